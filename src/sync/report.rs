//! What a page held that could not be read: into `sync_log` and `schema_drift`, and counted.

use std::collections::HashMap;

use serde_json::json;
use sqlx::PgConnection;

use super::workshop::Job;
use crate::engine::StepError;
use crate::jira::normalise::{Drift, ParsedPage, RecordError};
use crate::observe::{events, metrics};
use crate::store::rejected;
use crate::store::replica;
use crate::store::step::{Entry, Level, journal};

/// Entries for one page are bounded: a change of Jira's shape would otherwise fill the log with one line per issue.
const MAX_ENTRIES: usize = 20;

/// Records what a page of issues held.
pub(super) async fn page(conn: &mut PgConnection, job: &Job, kind: &str, page: &ParsedPage) -> Result<(), StepError> {
    records(conn, job, kind, &page.rejected, &page.drifts).await
}

/// Records that a walk ended before the total that the site told: what is missing may be hidden from the account, or lost.
pub(super) async fn missing(conn: &mut PgConnection, job: &Job, kind: &str, missing: u64) -> Result<(), StepError> {
    if missing == 0 {
        return Ok(());
    }
    let entry = Entry {
        level: Level::Warn,
        event: "rows_missing",
        code: None,
        message: format!("the site's total is {missing} issues higher than the number that it returned"),
        advice: Some(
            "Compare the number of issues in Jira with the number that the account sees; rebuilding Jira's index may \
                help.",
        ),
        details: Some(json!({"missing": missing})),
    };
    journal(&mut *conn, Some(job.work.run_id), kind, &[entry]).await?;
    let drift =
        Drift { entity: "page", field: "total".into(), expected: "as many rows as it tells", found: "fewer rows" };
    records(conn, job, kind, &[], &[drift]).await
}

/// Records rejected records and drifts.
pub(super) async fn records(
    conn: &mut PgConnection,
    job: &Job,
    kind: &str,
    rejected: &[RecordError],
    drifts: &[Drift],
) -> Result<(), StepError> {
    if !rejected.is_empty() {
        for error in rejected {
            metrics::record_errors(error.entity(), 1);
        }
        let named: Vec<(&str, Option<String>)> = rejected.iter().map(|error| (error.entity(), name(error))).collect();
        rejected::note(conn, job.work.run_id, &named).await?;
        let keyless: Vec<i64> =
            rejected.iter().filter(|error| error.key.is_none()).filter_map(|error| error.issue_id).collect();
        let keys = rejected::keys(&mut *conn, job.work.site_id, &keyless).await?;
        let entries: Vec<Entry> = rejected
            .iter()
            .take(MAX_ENTRIES)
            .map(|error| Entry {
                level: Level::Warn,
                event: events::RECORD_REJECTED,
                code: None,
                message: format!(
                    "{}: {}: {}; the record was skipped",
                    whose(error, &keys),
                    error.field,
                    error.problem
                ),
                advice: Some("Open the issue in Jira; if it looks correct there, report it with this entry."),
                details: Some(
                    json!({"issue_id": error.issue_id, "entity": error.entity(), "record_id": error.record_id, "field": error.field}),
                ),
            })
            .collect();
        for entry in &entries {
            tracing::warn!(event = events::RECORD_REJECTED, run_id = %job.work.run_id, "{}", entry.message);
        }
        journal(&mut *conn, Some(job.work.run_id), kind, &entries).await?;
    }
    let rows: Vec<[&str; 4]> =
        drifts.iter().map(|drift| [drift.entity, drift.field.as_ref(), drift.expected, drift.found]).collect();
    for (entity, path) in replica::record_drifts(conn, job.work.site_id, &rows).await? {
        tracing::warn!(event = events::SCHEMA_DRIFT, entity, path, "Jira's answer has an unknown shape");
    }
    for drift in drifts {
        metrics::schema_drift(drift.entity, 1);
    }
    Ok(())
}

/// What tells a record from others of its entity; `None` of one that nothing names.
fn name(error: &RecordError) -> Option<String> {
    match (error.entity(), error.issue_id, error.record_id) {
        ("issue", Some(issue), _) => Some(issue.to_string()),
        ("issue", None, _) => error.key.clone(),
        (_, issue, Some(record)) => Some(format!("{}/{record}", issue.unwrap_or_default())),
        (_, _, None) => None,
    }
}

/// The issue's key, or else its id.
fn whose(error: &RecordError, keys: &HashMap<i64, String>) -> String {
    let key = error.key.as_ref().or_else(|| keys.get(&error.issue_id?));
    let id = || error.issue_id.map(|id| format!("issue {id}"));
    let nothing = || match error.entity() {
        "issue" => "an issue without a key".to_owned(),
        entity => format!("a {entity} without an issue"),
    };
    key.cloned().or_else(id).unwrap_or_else(nothing)
}
