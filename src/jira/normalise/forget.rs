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
            for comment in &mut issue.comments {
                people.comment(comment);
            }
            for worklog in &mut issue.worklogs {
                people.worklog(worklog);
            }
            people.history(&mut issue.changes);
        }
    }
}

impl ParsedCollection<CommentRecord> {
    /// Takes out what names people who are forgotten.
    pub fn forget(&mut self, mut people: Forgotten) {
        people.mentioned_as(self.mentions.iter().map(|(id, text)| (id.as_str(), text.as_str())));
        for comment in &mut self.records {
            people.comment(comment);
        }
    }
}

impl ParsedCollection<WorklogRecord> {
    /// Takes out what names people who are forgotten.
    pub fn forget(&mut self, mut people: Forgotten) {
        people.mentioned_as(self.mentions.iter().map(|(id, text)| (id.as_str(), text.as_str())));
        for worklog in &mut self.records {
            people.worklog(worklog);
        }
    }
}
