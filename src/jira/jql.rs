//! JQL for a window of time in one project.
//!
//! What must hold: times are unquoted epoch milliseconds, which are absolute. Quoted dates have minute resolution and are
//! read in the profile's time zone of the account, and so skip or repeat issues (see airbyte#14163). The project clause
//! bounds the query, which `/search/jql` demands. It names the key, which every server knows; a run asks for the key first,
//! and Jira goes on taking the old one after a change.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};

/// The order of a walk: oldest first. The key breaks ties, so that the pages of one walk have one order.
pub const OLDEST_FIRST: &str = " ORDER BY updated ASC, key ASC";

/// The issues of the project with the key `project` that were updated in `since <= updated < until`, oldest first.
pub fn window(project: &str, since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> String {
    clauses(project, since, until) + OLDEST_FIRST
}

/// As [`window`], without an order: for counting.
pub fn clauses(project: &str, since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> String {
    let mut jql = format!("project = {}", quote(project));
    if let Some(since) = since {
        push(&mut jql, format_args!(" AND updated >= {}", since.timestamp_millis()));
    }
    if let Some(until) = until {
        push(&mut jql, format_args!(" AND updated < {}", until.timestamp_millis()));
    }
    jql
}

/// A window widened to whole seconds, which is all that Data Center's index knows: the issues of a second are found as of
/// its beginning, and a window must not lose those of its first or last second.
pub fn whole_seconds(
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let second = |at: DateTime<Utc>| DateTime::from_timestamp(at.timestamp(), 0).unwrap_or(at);
    let up = |at: DateTime<Utc>| if second(at) == at { at } else { second(at) + TimeDelta::seconds(1) };
    (since.map(second), until.map(up))
}

/// `text` as a JQL string: in double quotes, with what could end the string or is not printable escaped.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => push(&mut quoted, format_args!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn push(to: &mut String, text: std::fmt::Arguments<'_>) {
    let written = to.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(millis)
    }

    #[test]
    fn a_window_is_half_open_and_in_unquoted_milliseconds() {
        assert_eq!(
            window("ACME", at(1_732_212_000_000), at(1_732_212_000_001)),
            "project = \"ACME\" AND updated >= 1732212000000 AND updated < 1732212000001 ORDER BY updated ASC, key ASC"
        );
        assert_eq!(window("ACME", None, None), "project = \"ACME\" ORDER BY updated ASC, key ASC");
        assert_eq!(clauses("A\"B", None, at(5)), "project = \"A\\\"B\" AND updated < 5");
    }

    #[test]
    fn a_window_in_whole_seconds_holds_the_one_it_came_from() {
        assert_eq!(whole_seconds(at(1_500), at(2_001)), (at(1_000), at(3_000)));
        assert_eq!(whole_seconds(at(1_000), at(2_000)), (at(1_000), at(2_000)));
        assert_eq!(whole_seconds(None, None), (None, None));
    }

    #[test]
    fn a_quoted_text_cannot_leave_its_quotes() {
        assert_eq!(quote("ACME"), "\"ACME\"");
        assert_eq!(quote("A\" OR project = \"B"), "\"A\\\" OR project = \\\"B\"");
        assert_eq!(quote("A\\\" OR 1"), "\"A\\\\\\\" OR 1\"");
        assert_eq!(quote("a\nb\u{0}"), "\"a\\u000ab\\u0000\"");
        assert_eq!(quote("プロジェクト"), "\"プロジェクト\"");
    }
}
