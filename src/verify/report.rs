//! What a verification found.

use std::collections::BTreeMap;
use std::fmt;

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
    /// People who are named on the issues.
    pub checked_users: u64,
    /// Entries of all catalogues.
    pub checked_catalogue: u64,
    /// The same by kind; a kind that the site withholds is not there.
    pub checked_entries: BTreeMap<&'static str, u64>,
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
    /// Of the catalogues of the project and its site, what is missing, stale or extra.
    pub catalogue: Vec<Entry>,
    /// People whom the replica lacks or holds otherwise.
    pub users: Vec<Person>,
    /// Issues that one way of asking Jira shows and another leaves out. The replica is compared with what is shown.
    pub one_way: Vec<OneWay>,
    /// Of how many issues Jira leaves something out, by what it is: `comment` and `worklog` were read issue by issue,
    /// `values` stay as they were stored.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Entries of history that the replica holds and Jira does not show, or not any more: history is never removed.
    pub changes_only_here: u64,
    /// Records that Jira shows on two issues at once: the replica has them on one.
    pub doubled: u64,
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
    /// The replica has it and says that it is gone, for this reason.
    pub marked: Option<String>,
}

/// An issue that one way of asking shows and another leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OneWay {
    /// Jira's id.
    pub id: i64,
    /// `search`, `look_up` (by id, not by search), `look_up_alone` (not by the answer about many), or `none`: a way did not
    /// answer, and the others do not show it.
    pub shown_by: &'static str,
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

/// An entry of a catalogue that the replica lacks or holds otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `version`, `component`, `board` or `sprint` of the project; `status`, `issue_type`, `priority`, `resolution` or
    /// `field` of its site.
    pub entity: &'static str,
    /// Jira's id.
    pub id: EntryId,
    /// `missing`, `stale` or `extra`.
    pub problem: &'static str,
    /// Of a stale one, the columns that differ.
    pub fields: Vec<String>,
}

impl Entry {
    /// Whether it is the whole site's.
    pub(super) fn is_of_site(&self) -> bool {
        !matches!(self.entity, "version" | "component" | "board" | "sprint")
    }
}

/// The id of an entry: fields have words, everything else has numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum EntryId {
    Number(i64),
    Text(String),
}

impl EntryId {
    pub(super) fn of(id: &str) -> Self {
        id.parse().map_or_else(|_| Self::Text(id.to_owned()), Self::Number)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => id.fmt(f),
            Self::Text(id) => id.fmt(f),
        }
    }
}

/// Somebody whom the replica lacks or holds otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Atlassian's account id; the user key on Data Center.
    pub account_id: String,
    /// An issue that names them.
    pub issue_id: i64,
    /// `missing` or `stale`.
    pub problem: &'static str,
    /// The columns that differ.
    pub fields: Vec<&'static str>,
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
        let issues = self.missing.len() + self.stale.len() + self.extra.len() + self.unreadable.len();
        issues + self.catalogue.len() + self.users.len()
    }

    /// Per entity what was compared and what differed, for `syncline.verification`.
    pub fn by_entity(&self) -> serde_json::Value {
        let stale = |ids: fn(&Stale) -> usize| self.stale.iter().map(ids).sum::<usize>();
        let part =
            |compared: u64, stale: usize| json!({"compared": compared, "missing": 0, "stale": stale, "extra": 0});
        let of = |problem: &str, kind: Option<&str>| {
            let found = self.catalogue.iter().filter(|entry| entry.problem == problem);
            found.filter(|entry| kind.is_none_or(|kind| kind == entry.entity)).count()
        };
        let people = |problem: &str| self.users.iter().filter(|person| person.problem == problem).count();
        let entries = |compared: u64, kind: Option<&str>| {
            json!({"compared": compared, "missing": of("missing", kind), "stale": of("stale", kind),
                   "extra": of("extra", kind)})
        };
        let mut by_entity = json!({
            "issue": {"compared": self.checked_issues, "missing": self.missing.len(),
                      "stale": stale(|it| usize::from(!it.fields.is_empty())), "extra": self.extra.len()},
            "comment": part(self.checked_comments, stale(|it| it.comments.len())),
            "worklog": part(self.checked_worklogs, stale(|it| it.worklogs.len())),
            "changelog": part(self.checked_changes, stale(|it| it.changes.len())),
            "link": part(self.checked_links, stale(|it| it.links.len())),
            "attachment": part(self.checked_attachments, stale(|it| it.attachments.len())),
            "user": {"compared": self.checked_users, "missing": people("missing"), "stale": people("stale"), "extra": 0},
            "catalogue": entries(self.checked_catalogue, None),
        });
        for (kind, compared) in &self.checked_entries {
            by_entity[*kind] = entries(*compared, Some(kind));
        }
        by_entity
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
        let people = self.users.iter().map(|person| person.issue_id);
        let unreadable = self.unreadable.iter().filter_map(|unreadable| unreadable.id);
        missing.chain(stale).chain(extra).chain(people).chain(unreadable)
    }

    /// The issues that a run can mend: not those that are unreadable, and not those that moved to a project whose own
    /// sync takes them over.
    pub(super) fn repairable(&self) -> impl Iterator<Item = i64> {
        let taken_over = |extra: &&Extra| matches!(extra.reason, Reason::Moved { tracked: true, .. });
        let missing = self.missing.iter().map(|missing| missing.id);
        let stale = self.stale.iter().map(|stale| stale.id);
        let people = self.users.iter().map(|person| person.issue_id);
        let extra = self.extra.iter().filter(move |extra| !taken_over(extra)).map(|extra| extra.id);
        missing.chain(stale).chain(extra).chain(people)
    }

    /// Forgets what was found, before another look.
    pub(super) fn clear(&mut self) {
        self.missing.clear();
        self.stale.clear();
        self.extra.clear();
        self.users.clear();
        self.one_way.clear();
        self.unreadable.clone_from(&self.nameless);
    }
}
