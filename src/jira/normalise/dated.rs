//! The dates and amounts of an issue that have columns of their own, read from what came.
//!
//! What must hold: a value without a place in its column (a year beyond all calendars, a date that is none, a number of thirty
//! digits) is left among the other fields as it came, and its column is empty; the issue is kept. Only a `created` or
//! an `updated` that is there and no time costs the issue: nobody can say then what it means.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::value::RawValue;

use super::Reject;
use super::report::Report;
use crate::jira::loose::{FromJson, Loose, Text, Whole};
use crate::jira::time::{self, Told};

/// What was read.
#[derive(Default)]
pub(super) struct Dated {
    pub resolved_at: Option<DateTime<Utc>>,
    pub status_category_changed_at: Option<DateTime<Utc>>,
    pub due_date: Option<NaiveDate>,
    pub original_estimate: Option<i64>,
    pub remaining_estimate: Option<i64>,
    pub time_spent: Option<i64>,
}

/// When an issue was created and updated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The fields of an issue as they came.
type Rest<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

impl Times {
    /// Takes both out of `rest`. One that is missing, or beyond all calendars, is taken for the other one: the row is kept, and
    /// a cursor that follows it passes nothing, since the issue is not updated before it is created.
    pub(super) fn take(report: &mut Report, rest: &mut Rest<'_>) -> Result<Self, Reject> {
        let created = instant(report, rest, "created")?;
        let updated = instant(report, rest, "updated")?;
        match (created.or(updated), updated.or(created)) {
            (Some(created_at), Some(updated_at)) => Ok(Self { created_at, updated_at }),
            _ => Err(Reject::new("updated", "missing, and so is created".to_owned(), "time", "nothing")),
        }
    }
}

/// A time without which there is no record. `None` where there is none, or no column holds it; it stays in `rest` then.
fn instant(report: &mut Report, rest: &mut Rest<'_>, field: &'static str) -> Result<Option<DateTime<Utc>>, Reject> {
    let refused = |found| Reject::new(field, format!("time expected, {found} found"), "time", found);
    let Some(place) = rest.iter().position(|(id, _)| id == field) else {
        report.drift("issue", field, "time", "nothing");
        return Ok(None);
    };
    match told(rest[place].1.get(), time::instant) {
        Ok(Some(Told::At(at))) => {
            rest.remove(place);
            Ok(Some(at))
        }
        Ok(Some(Told::Beyond)) => {
            report.drift("issue", field, "time", "time beyond all bounds");
            Ok(None)
        }
        Ok(Some(Told::Nothing)) => Err(refused("text")),
        Ok(None) => {
            report.drift("issue", field, "time", "nothing");
            Ok(None)
        }
        Err(found) => Err(refused(found)),
    }
}

impl Dated {
    /// Takes what has a column out of `rest`.
    pub(super) fn take(report: &mut Report, rest: &mut Rest<'_>) -> Self {
        let mut read = Self::default();
        rest.retain(|(id, raw)| {
            let raw = raw.get();
            let taken = match id.as_ref() {
                "resolutiondate" => dated(report, "resolutiondate", raw, time::instant, &mut read.resolved_at),
                "statuscategorychangedate" => {
                    let place = &mut read.status_category_changed_at;
                    dated(report, "statuscategorychangedate", raw, time::instant, place)
                }
                "duedate" => dated(report, "duedate", raw, time::day, &mut read.due_date),
                "timeoriginalestimate" => amount(report, "timeoriginalestimate", raw, &mut read.original_estimate),
                "timeestimate" => amount(report, "timeestimate", raw, &mut read.remaining_estimate),
                "timespent" => amount(report, "timespent", raw, &mut read.time_spent),
                _ => false,
            };
            !taken
        });
        read
    }
}

/// What a value says of time; `None` where it is null. An error is a word for a value that is none.
fn told<T>(raw: &str, read: fn(&str) -> Told<T>) -> Result<Option<Told<T>>, &'static str> {
    match serde_json::from_str::<Loose<Text<'_>>>(raw) {
        Ok(Loose::Good(Text(text))) => Ok(Some(read(&text))),
        Ok(Loose::Absent) => Ok(None),
        Ok(Loose::Wrong(found)) => Err(found),
        Err(_) => Err("another value"),
    }
}

/// Whether the value has its place now.
fn dated<T>(
    report: &mut Report,
    field: &'static str,
    raw: &str,
    read: fn(&str) -> Told<T>,
    place: &mut Option<T>,
) -> bool {
    let found = match told(raw, read) {
        Ok(Some(Told::At(at))) => {
            *place = Some(at);
            return true;
        }
        Ok(None) => return true,
        Ok(Some(Told::Beyond)) => "time beyond all bounds",
        Ok(Some(Told::Nothing)) => "text",
        Err(found) => found,
    };
    report.drift("issue", field, "time", found);
    false
}

fn amount(report: &mut Report, field: &'static str, raw: &str, place: &mut Option<i64>) -> bool {
    match serde_json::from_str::<Loose<Whole>>(raw) {
        Ok(Loose::Good(Whole(amount))) => *place = Some(amount),
        Ok(Loose::Absent) => {}
        Ok(Loose::Wrong(found)) => {
            report.drift("issue", field, Whole::EXPECTED, found);
            return false;
        }
        Err(_) => {
            report.drift("issue", field, Whole::EXPECTED, "another value");
            return false;
        }
    }
    true
}
