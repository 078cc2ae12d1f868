//! The people of a page against their rows.
//!
//! What Jira tells of a person depends on who asks, and where: a list of users may show an address that an issue hides. So
//! only names, whether the account is active, and addresses that both sides know are compared.

use super::report::Person;
use super::{Error, Look};
use crate::domain::record::UserRecord;
use crate::jira::normalise::{ParsedIssue, ParsedPage};
use crate::store::patience::LONGEST;
use crate::store::verify_parts::{self as parts, StoredPerson};
use crate::store::within;

impl Look<'_> {
    /// Those of a page's people who differ, with an issue that names them.
    pub(super) async fn compare_people(&self, page: &ParsedPage) -> Result<Vec<Person>, Error> {
        let ids: Vec<String> = page.users.iter().map(|user| user.account_id.clone()).collect();
        let stored = within(LONGEST, parts::people(self.pool, self.scope.site_id, &ids)).await?;
        // Whose account is closed is anonymised with the next reading of the users, and keeps the name until then.
        let differing = page.users.iter().filter(|user| !user.closed).filter_map(|user| {
            let row = stored.iter().find(|row| row.account_id == user.account_id);
            let fields = row.map_or_else(Vec::new, |row| differing(user, row));
            if row.is_some() && fields.is_empty() {
                return None;
            }
            let issue = page.issues.iter().find(|issue| names(issue, &user.account_id))?;
            let problem = if row.is_some() { "stale" } else { "missing" };
            Some(Person { account_id: user.account_id.clone(), issue_id: issue.issue.id, problem, fields })
        });
        Ok(differing.collect())
    }
}

fn differing(jira: &UserRecord, stored: &StoredPerson) -> Vec<&'static str> {
    let emails = jira.email.as_ref().zip(stored.email.as_ref());
    let same = [
        ("display_name", jira.display_name == stored.display_name),
        ("active", jira.active == stored.active),
        ("email", emails.is_none_or(|(jira, stored)| jira == stored)),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

/// Whether the issue, or what came with it, names the account.
fn names(issue: &ParsedIssue, account_id: &str) -> bool {
    let is = |account: &Option<String>| account.as_deref() == Some(account_id);
    [&issue.issue.assignee, &issue.issue.reporter, &issue.issue.creator].into_iter().any(is)
        || issue.comments.iter().any(|comment| is(&comment.author) || is(&comment.update_author))
        || issue.worklogs.iter().any(|worklog| is(&worklog.author) || is(&worklog.update_author))
        || issue.changes.iter().any(|change| is(&change.author))
        || issue.attachments.iter().any(|file| is(&file.author))
}
