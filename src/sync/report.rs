//! What a page held that could not be read: into `sync_log` and `schema_drift`, and counted.

use serde_json::json;
use sqlx::PgConnection;

use super::workshop::Job;
use crate::engine::StepError;
use crate::jira::normalise::{Drift, ParsedPage, RecordError};
use crate::observe::metrics;
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
        message: format!("the site counts {missing} issues more than it shows"),
        advice: Some(
            "Compare the number of issues in Jira with what the account sees; a restart of Jira's index may help.",
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
            metrics::record_errors(entity(&error.field), 1);
        }
        let entries: Vec<Entry> = rejected
            .iter()
            .take(MAX_ENTRIES)
            .map(|error| Entry {
                level: Level::Warn,
                event: "record_rejected",
                code: None,
                message: format!(
                    "{}: {}: {}; skipped, the page went on",
                    error.key.as_deref().unwrap_or("an issue without a key"),
                    error.field,
                    error.problem
                ),
                advice: Some("Open the issue in Jira; if it looks right there, report it with this entry."),
                details: Some(json!({"issue_id": error.issue_id, "field": error.field})),
            })
            .collect();
        journal(&mut *conn, Some(job.work.run_id), kind, &entries).await?;
    }
    let rows: Vec<[&str; 4]> =
        drifts.iter().map(|drift| [drift.entity, drift.field.as_ref(), drift.expected, drift.found]).collect();
    replica::record_drifts(conn, job.work.site_id, &rows).await?;
    for drift in drifts {
        metrics::schema_drift(drift.entity, 1);
    }
    Ok(())
}

/// The entity of a field at fault: `comment.created` is a comment's, `updated` the issue's.
fn entity(field: &str) -> &'static str {
    let owner = field.split_once('.').map_or("", |(owner, _)| owner);
    ["comment", "worklog", "user"].into_iter().find(|entity| *entity == owner).unwrap_or("issue")
}
