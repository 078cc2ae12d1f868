//! What a verification found.

use serde::Serialize;

use crate::jira::normalise::RecordError;

/// The differences of one project, and how much was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The site's name.
    pub site: String,
    /// The project's key.
    pub project: String,
    /// Issues that Jira showed and that were compared.
    pub checked_issues: u64,
    /// Their comments.
    pub checked_comments: u64,
    /// Their worklogs.
    pub checked_worklogs: u64,
    /// In Jira, not in the replica.
    pub missing: Vec<Missing>,
    /// In both, not the same.
    pub stale: Vec<Stale>,
    /// In the replica, no longer in this project of Jira.
    pub extra: Vec<Extra>,
    /// In Jira, in a form that cannot be read: nobody can say whether the replica is right.
    pub unreadable: Vec<Unreadable>,
    /// Unreadable ones without an id, which cannot be looked at again; moved to `unreadable` at the end of each look.
    #[serde(skip)]
    pub(super) nameless: Vec<Unreadable>,
}

/// An issue that the replica lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Jira's id.
    pub id: i64,
    /// Its key.
    pub key: String,
}

/// An issue that the replica holds otherwise than Jira.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Jira's id.
    pub id: i64,
    /// Its key.
    pub key: String,
    /// The fields that differ.
    pub fields: Vec<&'static str>,
    /// Ids of comments that differ or are on one side only.
    pub comments: Vec<i64>,
    /// Ids of worklogs that differ or are on one side only.
    pub worklogs: Vec<i64>,
}

/// An issue that the replica has too much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extra {
    /// Jira's id.
    pub id: i64,
    /// Its key in the replica.
    pub key: String,
    /// Where it went.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Where an extra issue went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Deleted, or hidden from the account: Jira does not tell which.
    Gone,
    /// Moved to another project.
    Moved {
        /// That project's key.
        to: String,
        /// Whether it is synchronised too: its own sync will take the issue over.
        tracked: bool,
    },
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The issue, as far as it is known.
    pub id: Option<i64>,
    /// Its key, as far as it is known.
    pub key: Option<String>,
    /// The field at fault.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl From<&RecordError> for Unreadable {
    fn from(error: &RecordError) -> Self {
        Self { id: error.issue_id, key: error.key.clone(), field: error.field.clone(), problem: error.problem.clone() }
    }
}

impl Report {
    /// Nothing compared and nothing found yet.
    pub fn new(site: &str, project: &str) -> Self {
        Self { site: site.to_owned(), project: project.to_owned(), ..Self::default() }
    }

    /// How many issues are not as they should be.
    pub fn differences(&self) -> usize {
        self.missing.len() + self.stale.len() + self.extra.len() + self.unreadable.len()
    }

    /// Whether the replica is what Jira shows.
    pub fn is_clean(&self) -> bool {
        self.differences() == 0
    }

    /// The issues that differ.
    pub(super) fn issue_ids(&self) -> impl Iterator<Item = i64> {
        let missing = self.missing.iter().map(|missing| missing.id);
        let stale = self.stale.iter().map(|stale| stale.id);
        let extra = self.extra.iter().map(|extra| extra.id);
        missing.chain(stale).chain(extra).chain(self.unreadable.iter().filter_map(|unreadable| unreadable.id))
    }

    /// The issues that a run can mend: not those that are unreadable, and not those that moved to a project whose own
    /// sync takes them over.
    pub(super) fn repairable(&self) -> impl Iterator<Item = i64> {
        let taken_over = |extra: &&Extra| matches!(extra.reason, Reason::Moved { tracked: true, .. });
        let missing = self.missing.iter().map(|missing| missing.id);
        let stale = self.stale.iter().map(|stale| stale.id);
        missing.chain(stale).chain(self.extra.iter().filter(move |extra| !taken_over(extra)).map(|extra| extra.id))
    }

    /// Forgets what was found, before another look.
    pub(super) fn clear(&mut self) {
        self.missing.clear();
        self.stale.clear();
        self.extra.clear();
        self.unreadable.clone_from(&self.nameless);
    }
}
