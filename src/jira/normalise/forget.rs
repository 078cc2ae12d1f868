//! Pages without what names people who are forgotten; see [`crate::domain::forgotten`].

use super::{ParsedCollection, ParsedPage};
use crate::domain::forgotten::Forgotten;
use crate::domain::record::{CommentRecord, WorklogRecord};

impl ParsedPage {
    /// Takes out what names people who are forgotten; the accounts stay.
    pub fn forget(&mut self, mut people: Forgotten) {
        if people.is_empty() {
            return;
        }
        people.mentioned_as(self.mentions.iter().map(|(id, text)| (id.as_str(), text.as_str())));
        self.users.retain(|user| !people.has(&user.account_id));
        for issue in &mut self.issues {
            people.issue(&mut issue.issue);
            issue.comments.iter_mut().for_each(|comment| drop(people.comment(comment)));
            issue.worklogs.iter_mut().for_each(|worklog| drop(people.worklog(worklog)));
            issue.changes.iter_mut().for_each(|change| drop(people.change(change)));
        }
    }
}

impl ParsedCollection<CommentRecord> {
    /// Takes out what names people who are forgotten.
    pub fn forget(&mut self, mut people: Forgotten) {
        people.mentioned_as(self.mentions.iter().map(|(id, text)| (id.as_str(), text.as_str())));
        self.records.iter_mut().for_each(|comment| drop(people.comment(comment)));
    }
}

impl ParsedCollection<WorklogRecord> {
    /// Takes out what names people who are forgotten.
    pub fn forget(&mut self, mut people: Forgotten) {
        people.mentioned_as(self.mentions.iter().map(|(id, text)| (id.as_str(), text.as_str())));
        self.records.iter_mut().for_each(|worklog| drop(people.worklog(worklog)));
    }
}
