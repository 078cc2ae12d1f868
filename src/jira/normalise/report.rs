//! What is noticed while a page is read: people, drifts, and records that cannot be kept.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::domain::record::UserRecord;
use crate::jira::loose::{Flag, FromJson, List, Loose, Moment, Text};
use crate::jira::wire;

/// One record that could not be kept, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The issue, as far as it is known.
    pub issue_id: Option<i64>,
    /// The issue's key, as far as it is known.
    pub key: Option<String>,
    /// The field at fault, e.g. `updated` or `comment.created`.
    pub field: String,
    /// What is wrong with it, sanitised; it never holds the value.
    pub problem: String,
}

/// An optional field that holds another type than documented; it is stored as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Drift {
    /// `issue`, `comment`, `worklog` or `user`.
    pub entity: &'static str,
    /// The field, e.g. `parent.key`.
    pub field: &'static str,
    /// A word for the type that was expected, e.g. `text`.
    pub expected: &'static str,
    /// A word for the type that was found, e.g. `object`.
    pub found: &'static str,
}

/// Collects while a page is read.
#[derive(Default)]
pub(super) struct Report {
    pub rejected: Vec<RecordError>,
    pub drifts: Vec<Drift>,
    pub users: Vec<UserRecord>,
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
        self.rejected.push(RecordError { issue_id, key, field: field.into(), problem });
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
                let drift = Drift { entity, field, expected: T::EXPECTED, found };
                // The kinds of drift are as few as the fields, so that a scan does.
                if !self.drifts.contains(&drift) {
                    self.drifts.push(drift);
                }
                None
            }
        }
    }

    pub(super) fn text(&mut self, entity: &'static str, field: &'static str, text: Loose<Text<'_>>) -> Option<String> {
        self.optional(entity, field, text).map(Text::into_string)
    }

    pub(super) fn name(&mut self, field: &'static str, named: Loose<wire::Named<'_>>) -> Option<String> {
        let named = self.optional("issue", field, named)?;
        self.text("issue", field, named.name)
    }

    pub(super) fn moment(&mut self, field: &'static str, moment: Loose<Moment>) -> Option<DateTime<Utc>> {
        self.optional("issue", field, moment).map(|Moment(at)| at)
    }

    pub(super) fn labels(&mut self, labels: Loose<List<Text<'_>>>) -> Vec<String> {
        let labels = self.optional("issue", "labels", labels).map_or_else(Vec::new, |List(labels)| labels);
        labels.into_iter().filter_map(|label| self.text("issue", "labels", label)).collect()
    }

    /// The account id of a user, who is remembered when met for the first time.
    pub(super) fn user(
        &mut self,
        entity: &'static str,
        field: &'static str,
        user: Loose<wire::User<'_>>,
    ) -> Option<String> {
        let user = self.optional(entity, field, user)?;
        let account_id = self.text("user", "accountId", user.account_id).filter(|id| !id.is_empty())?;
        if !self.known_users.contains(&account_id) {
            self.known_users.insert(account_id.clone());
            let record = UserRecord {
                account_id: account_id.clone(),
                display_name: self.text("user", "displayName", user.display_name).unwrap_or_default(),
                email: self.text("user", "emailAddress", user.email_address),
                active: self.optional("user", "active", user.active).is_none_or(|Flag(active)| active),
                time_zone: self.text("user", "timeZone", user.time_zone),
                account_type: self.text("user", "accountType", user.account_type),
            };
            self.users.push(record.sealed());
        }
        Some(account_id)
    }
}
