//! What a verification found.

use serde::Serialize;
use serde_json::json;

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
    /// Changed fields of their histories.
    pub checked_changes: u64,
    /// Their links to other issues.
    pub checked_links: u64,
    /// Their attachments.
    pub checked_attachments: u64,
    /// Entries of catalogues: versions, components, boards, sprints.
    pub checked_catalogue: u64,
    /// A number of issues of the replica was compared, instead of all that Jira shows.
    pub sample: bool,
    /// In Jira, not in the replica.
    pub missing: Vec<Missing>,
    /// In both, not the same.
    pub stale: Vec<Stale>,
    /// In the replica, no longer in this project of Jira.
    pub extra: Vec<Extra>,
    /// In Jira, in a form that cannot be read: nobody can say whether the replica is right.
    pub unreadable: Vec<Unreadable>,
    /// Of the project's catalogues, what is missing, stale or extra.
    pub catalogue: Vec<Entry>,
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
    /// Ids of entries of history that differ or are on one side only.
    pub changes: Vec<i64>,
    /// Ids of links that differ or are on one side only.
    pub links: Vec<i64>,
    /// Ids of attachments that differ or are on one side only.
    pub attachments: Vec<i64>,
}

impl Stale {
    pub(super) fn is_clean(&self) -> bool {
        let parts = [&self.comments, &self.worklogs, &self.changes, &self.links, &self.attachments];
        self.fields.is_empty() && parts.iter().all(|ids| ids.is_empty())
    }
}

/// An entry of a catalogue of the project that the replica lacks or holds otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `version`, `component`, `board` or `sprint`.
    pub entity: &'static str,
    /// Jira's id.
    pub id: i64,
    /// `missing`, `stale` or `extra`.
    pub problem: &'static str,
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
        self.missing.len() + self.stale.len() + self.extra.len() + self.unreadable.len() + self.catalogue.len()
    }

    /// Per entity what was compared and what differed, for `syncline.verification`.
    pub fn by_entity(&self) -> serde_json::Value {
        let stale = |ids: fn(&Stale) -> usize| self.stale.iter().map(ids).sum::<usize>();
        let part =
            |compared: u64, stale: usize| json!({"compared": compared, "missing": 0, "stale": stale, "extra": 0});
        let of = |problem: &str| self.catalogue.iter().filter(|entry| entry.problem == problem).count();
        json!({
            "issue": {"compared": self.checked_issues, "missing": self.missing.len(),
                      "stale": stale(|it| usize::from(!it.fields.is_empty())), "extra": self.extra.len()},
            "comment": part(self.checked_comments, stale(|it| it.comments.len())),
            "worklog": part(self.checked_worklogs, stale(|it| it.worklogs.len())),
            "changelog": part(self.checked_changes, stale(|it| it.changes.len())),
            "link": part(self.checked_links, stale(|it| it.links.len())),
            "attachment": part(self.checked_attachments, stale(|it| it.attachments.len())),
            "catalogue": {"compared": self.checked_catalogue, "missing": of("missing"), "stale": of("stale"), "extra": of("extra")},
        })
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
