//! The members of one object of a list, read without trust.
//!
//! What must hold: a value of an unexpected type is absent and noted, each kind once; nothing that Jira sends panics.

use std::borrow::Cow;
use std::cell::RefCell;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};

use super::normalise::{Drift, kind_of};
use super::time;
use crate::domain::forgotten::is_anonymised;
use crate::domain::record::UserRecord;

/// The kinds of accounts that are known.
pub(super) const ACCOUNT_TYPES: [&str; 4] = ["atlassian", "app", "customer", "unknown"];
pub(super) const ACCOUNT_TYPES_EXPECTED: &str = "atlassian, app, customer or unknown";

/// What is not as documented in the objects of one list, each kind once.
pub(super) struct Notes {
    entity: &'static str,
    drifts: RefCell<Vec<Drift>>,
}

impl Notes {
    pub(super) fn new(entity: &'static str) -> Self {
        Self { entity, drifts: RefCell::default() }
    }

    pub(super) fn note(
        &self,
        field: Cow<'static, str>,
        expected: &'static str,
        found: &'static str,
        entity: &'static str,
    ) {
        let drift = Drift { entity, field, expected, found };
        let mut drifts = self.drifts.borrow_mut();
        if !drifts.contains(&drift) {
            drifts.push(drift);
        }
    }

    pub(super) fn taken(self) -> Vec<Drift> {
        self.drifts.into_inner()
    }
}

/// The members of one object, read without trust: a value of another type is noted and absent.
pub(super) struct Members<'a> {
    pub(super) map: &'a Map<String, Value>,
    notes: Option<&'a Notes>,
    /// The member that holds this object, where it is not the whole.
    within: Option<&'static str>,
}

impl<'a> Members<'a> {
    /// Of an object whose drifts are nobody's business.
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, notes: None, within: None }
    }

    pub(super) fn noted(map: &'a Map<String, Value>, notes: &'a Notes) -> Self {
        Self { map, notes: Some(notes), within: None }
    }

    /// The member as `read` makes it; what it cannot make of a value that is there is noted.
    fn read<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        let made = read(value);
        if made.is_none() {
            self.note(name, expected, kind_of(value));
        }
        made
    }

    pub(super) fn note(&self, name: &'static str, expected: &'static str, found: &'static str) {
        let Some(notes) = self.notes else { return };
        let field = self.within.map_or(Cow::Borrowed(name), |within| Cow::Owned(format!("{within}.{name}")));
        notes.note(field, expected, found, notes.entity);
    }

    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        let text = self.read(name, "text", Value::as_str).filter(|text| !text.is_empty())?;
        Some(text.replace('\0', "\u{FFFD}"))
    }

    /// A name, which everything has.
    pub(super) fn name(&self) -> String {
        if self.map.get("name").is_none_or(Value::is_null) {
            self.note("name", "text", "nothing");
        }
        self.text("name").unwrap_or_default()
    }

    /// A word out of a closed list; one that is new is kept and noted.
    pub(super) fn word(&self, name: &'static str, known: &[&str], expected: &'static str) -> Option<String> {
        let word = self.text(name)?;
        if !known.contains(&word.to_lowercase().as_str()) {
            self.note(name, expected, "another value");
        }
        Some(word)
    }

    pub(super) fn id(&self, name: &'static str) -> Option<i64> {
        self.read(name, "numeric id", |value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok()))
    }

    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        self.read(name, "boolean", Value::as_bool)
    }

    pub(super) fn day(&self, name: &'static str) -> Option<NaiveDate> {
        self.read(name, "date", |value| {
            let text = value.as_str()?;
            time::day(text).at().or_else(|| time::parse_date(text.get(..10)?))
        })
    }

    pub(super) fn moment(&self, name: &'static str) -> Option<DateTime<Utc>> {
        self.read(name, "time", |value| time::instant(value.as_str()?).at())
    }

    pub(super) fn inside(&self, name: &'static str) -> Option<Members<'a>> {
        let map = self.read(name, "object", Value::as_object)?;
        Some(Members { map, notes: self.notes, within: Some(name) })
    }

    /// A user with what Jira tells.
    pub(super) fn user(&self) -> Option<UserRecord> {
        let cloud = self.text("accountId");
        let username = self.text("name").filter(|_| cloud.is_none());
        let account_id = cloud.or_else(|| self.text("key")).or_else(|| username.clone())?;
        let display_name = self.text("displayName").unwrap_or_default();
        let active = self.flag("active").unwrap_or(true);
        let record = UserRecord {
            closed: self.flag("deleted").unwrap_or(false) || is_anonymised(active, &display_name),
            account_id,
            username,
            display_name,
            email: self.text("emailAddress"),
            active,
            time_zone: self.text("timeZone"),
            account_type: self.word("accountType", &ACCOUNT_TYPES, ACCOUNT_TYPES_EXPECTED),
        };
        Some(record.sealed())
    }
}
