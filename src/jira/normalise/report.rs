//! What is noticed while a page is read: people, drifts, and records that cannot be kept.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use crate::domain::entity::{ComponentRecord, SprintRecord, VersionRecord};
use crate::domain::failure::sanitise;
use crate::domain::forgotten::is_anonymised;
use crate::domain::record::UserRecord;
use crate::jira::adf::Document;
use crate::jira::loose::{Flag, FromJson, List, Loose, Text, Whole};
use crate::jira::members::{ACCOUNT_TYPES, ACCOUNT_TYPES_EXPECTED};
use crate::jira::sprint::STATES;
use crate::jira::wire;

/// One record that could not be kept, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The issue, as far as it is known.
    pub issue_id: Option<i64>,
    /// The issue's key, as far as it is known.
    pub key: Option<String>,
    /// The comment, worklog, entry of history, link or attachment, as far as it is known; none of an issue itself.
    pub record_id: Option<i64>,
    /// The field at fault, e.g. `updated` or `comment.created`.
    pub field: String,
    /// What is wrong with it, sanitised; it never holds the value.
    pub problem: String,
}

/// How the fields of other records than issues begin, and what those are called.
const PARTS: [(&str, &str); 14] = [
    ("comment", "comment"),
    ("worklog", "worklog"),
    ("changelog", "changelog"),
    ("issuelinks", "link"),
    ("attachment", "attachment"),
    ("user", "user"),
    ("field", "field"),
    ("status", "status"),
    ("issue_type", "issue_type"),
    ("priority", "priority"),
    ("resolution", "resolution"),
    ("version", "version"),
    ("component", "component"),
    ("board", "board"),
];

impl RecordError {
    /// What could not be kept: `issue`, `comment`, `worklog`, `changelog` (one entry), `link`, `attachment`, or an entry of a
    /// catalogue.
    pub fn entity(&self) -> &'static str {
        let owner = self.field.split_once('.').map_or(self.field.as_str(), |(owner, _)| owner);
        if owner == "sprint" {
            return "sprint";
        }
        PARTS.iter().find(|(part, _)| *part == owner).map_or("issue", |(_, entity)| entity)
    }
}

/// A field that holds something else than documented: another type, a new value of a closed list, or nothing where
/// there must be something. What can be kept of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Drift {
    /// `issue`, `comment`, `worklog`, `changelog`, `user`, or the name of a catalogue.
    pub entity: &'static str,
    /// The field, e.g. `parent.key` or `customfield_10050`.
    pub field: Cow<'static, str>,
    /// A word for what was expected, e.g. `text`.
    pub expected: &'static str,
    /// A word for what was found, e.g. `object`.
    pub found: &'static str,
}

/// Collects while a page is read.
#[derive(Default)]
pub(super) struct Report {
    pub rejected: Vec<RecordError>,
    pub drifts: Vec<Drift>,
    pub users: Vec<UserRecord>,
    /// Who is mentioned in texts: account id, and as what.
    pub mentions: BTreeSet<(String, String)>,
    pub sprints: Vec<SprintRecord>,
    pub versions: Vec<VersionRecord>,
    pub components: Vec<ComponentRecord>,
    known_users: HashSet<String>,
}

impl Report {
    pub(super) fn reject(
        &mut self,
        issue_id: Option<i64>,
        key: Option<String>,
        field: impl Into<String>,
        problem: String,
    ) {
        self.reject_part((issue_id, None), key, field, problem);
    }

    /// The same of what belongs to an issue: with its own id.
    pub(super) fn reject_part(
        &mut self,
        (issue_id, record_id): (Option<i64>, Option<i64>),
        key: Option<String>,
        field: impl Into<String>,
        problem: String,
    ) {
        self.rejected.push(RecordError { issue_id, key, record_id, field: field.into(), problem });
    }

    /// A value that may be absent; of another type, it is a drift and absent.
    pub(super) fn optional<'a, T: FromJson<'a>>(
        &mut self,
        entity: &'static str,
        field: &'static str,
        value: Loose<T>,
    ) -> Option<T> {
        match value {
            Loose::Good(value) => Some(value),
            Loose::Absent => None,
            Loose::Wrong(found) => {
                self.drift(entity, field, T::EXPECTED, found);
                None
            }
        }
    }

    /// A value that must be there and without which the record can be kept all the same.
    pub(super) fn expected<'a, T: FromJson<'a>>(
        &mut self,
        entity: &'static str,
        field: &'static str,
        value: Loose<T>,
    ) -> Option<T> {
        if matches!(value, Loose::Absent) {
            self.drift(entity, field, T::EXPECTED, "nothing");
        }
        self.optional(entity, field, value)
    }

    /// Notes that something is not as documented, each kind once.
    pub(super) fn drift(
        &mut self,
        entity: &'static str,
        field: impl Into<Cow<'static, str>>,
        expected: &'static str,
        found: &'static str,
    ) {
        let mut field = field.into();
        if field.contains(char::is_control) {
            field = sanitise(&field).into(); // ids of fields are Jira's too
        }
        let drift = Drift { entity, field, expected, found };
        // The kinds of drift are as few as the fields, so that a scan does.
        if !self.drifts.contains(&drift) {
            self.drifts.push(drift);
        }
    }

    pub(super) fn text(&mut self, entity: &'static str, field: &'static str, text: Loose<Text<'_>>) -> Option<String> {
        let text = self.optional(entity, field, text).map(Text::into_string)?;
        Some(if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text })
    }

    /// The elements of a list that can be read; the others are drifts.
    pub(super) fn list<'a, T: FromJson<'a>>(&mut self, field: &'static str, list: Loose<List<T>>) -> Vec<T> {
        let elements = self.optional("issue", field, list).map_or_else(Vec::new, |List(elements)| elements);
        elements.into_iter().filter_map(|element| self.optional("issue", field, element)).collect()
    }

    /// A document as plain text; whom it mentions is remembered.
    pub(super) fn document(&mut self, document: &Document<'_>) -> String {
        let (text, mentions) = document.to_text_with_mentions();
        self.mentions.extend(mentions);
        text
    }

    /// A count that fits into 32 bits, as all that are true do.
    pub(super) fn small(&mut self, field: &'static str, number: Loose<Whole>) -> Option<i32> {
        self.optional("issue", field, number).and_then(|Whole(number)| i32::try_from(number).ok())
    }

    /// The ids of sprints, which are remembered when met for the first time.
    pub(super) fn sprints(&mut self, sprints: Vec<SprintRecord>) -> Vec<i64> {
        let mut ids = Vec::with_capacity(sprints.len());
        for sprint in sprints {
            if !STATES.contains(&sprint.state.as_str()) {
                self.drift("sprint", "state", "future, active or closed", "another value");
            }
            ids.push(sprint.id);
            if self.sprints.iter().all(|known| known.id != sprint.id) {
                self.sprints.push(sprint);
            }
        }
        ids
    }

    pub(super) fn labels(&mut self, labels: Loose<List<Text<'_>>>) -> Vec<String> {
        let labels = self.optional("issue", "labels", labels).map_or_else(Vec::new, |List(labels)| labels);
        labels.into_iter().filter_map(|label| self.text("issue", "labels", label)).collect()
    }

    /// The account id of a user (on Data Center the key, or else the name), who is remembered when met for the first time.
    pub(super) fn user(
        &mut self,
        entity: &'static str,
        field: &'static str,
        user: Loose<wire::User<'_>>,
    ) -> Option<String> {
        let user = self.optional(entity, field, user)?;
        let account_id = self.text("user", "accountId", user.account_id).filter(|id| !id.is_empty());
        let username = match account_id {
            Some(_) => None,
            None => self.text("user", "name", user.name).filter(|name| !name.is_empty()),
        };
        let account_id = account_id.or_else(|| self.text("user", "key", user.key).filter(|key| !key.is_empty()));
        let account_id = account_id.or_else(|| username.clone())?;
        if !self.known_users.contains(&account_id) {
            self.known_users.insert(account_id.clone());
            let account_type = self.text("user", "accountType", user.account_type);
            if account_type.as_deref().is_some_and(|kind| !ACCOUNT_TYPES.contains(&kind)) {
                self.drift("user", "accountType", ACCOUNT_TYPES_EXPECTED, "another value");
            }
            let display_name = self.text("user", "displayName", user.display_name).unwrap_or_default();
            let active = self.optional("user", "active", user.active).is_none_or(|Flag(active)| active);
            let deleted = self.optional("user", "deleted", user.deleted).is_some_and(|Flag(deleted)| deleted);
            let record = UserRecord {
                closed: deleted || is_anonymised(active, &display_name),
                account_id: account_id.clone(),
                username,
                display_name,
                email: self.text("user", "emailAddress", user.email_address),
                active,
                time_zone: self.text("user", "timeZone", user.time_zone),
                account_type,
            };
            self.users.push(record.sealed());
        }
        Some(account_id)
    }
}
