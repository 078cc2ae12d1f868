//! `finalize_run`: the last step of every run, also of one that failed or was cancelled.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use super::advance_cursor;
use super::workshop::Workshop;
use crate::domain::failure::FailureCode;
use crate::engine::{Commit, FINAL_STEP, Step, StepContext, StepError};
use crate::observe::{events, metrics, trace};
use crate::store::finalize::{self, Outcome};
use crate::store::health;
use crate::store::step::{Entry, Level, journal};

pub(super) struct FinalizeRun(pub Arc<Workshop>);

impl Step for FinalizeRun {
    fn kind(&self) -> &'static str {
        FINAL_STEP
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            // A run whose credentials cannot be resolved has failed for it and must end all the same.
            let run_id = super::workshop::run_id(context)?;
            let workshop = Arc::clone(&self.0);
            let (clock, now) = (context.clock.clone(), context.clock.now());
            let project_id = workshop.project_of(context).await?;
            let ended = Arc::new(OnceLock::new());
            let told = Arc::clone(&ended);
            let commit = Commit::effects(move |conn| {
                Box::pin(async move {
                    advance_cursor::advance(conn, run_id, project_id).await?;
                    let outcome = finalize::finalize(conn, run_id, project_id, now).await?;
                    journal(&mut *conn, Some(run_id), FINAL_STEP, &[entry(&outcome)]).await?;
                    health::enqueue_analysis(conn, &clock, run_id).await?;
                    workshop.forget(run_id);
                    let _ = ended.set(outcome);
                    Ok(Vec::new())
                })
            });
            Ok(commit.announcing(move || {
                if let Some(outcome) = told.get() {
                    announce(run_id, outcome);
                }
            }))
        })
    }
}

fn entry(outcome: &Outcome) -> Entry {
    let code = outcome.error_code.as_deref().and_then(FailureCode::parse);
    let (level, event) = match outcome.state.as_str() {
        "succeeded" => (Level::Info, "run_succeeded"),
        "cancelled" => (Level::Warn, "run_cancelled"),
        _ => (Level::Error, "run_failed"),
    };
    let message = outcome.error_message.clone().unwrap_or_else(|| {
        format!(
            "{} issues seen: {} created, {} updated, {} unchanged",
            outcome.issues_seen, outcome.issues_created, outcome.issues_updated, outcome.issues_unchanged
        )
    });
    Entry {
        level,
        event,
        code: code.map(FailureCode::as_str),
        message,
        advice: code.map(FailureCode::advice),
        details: Some(serde_json::json!({"duration_seconds": outcome.duration_seconds, "next_run": outcome.next_run})),
    }
}

/// Said just after the commit: once at most. The rows are the truth; this is for whoever watches.
fn announce(run_id: Uuid, outcome: &Outcome) {
    let took = Duration::try_from_secs_f64(outcome.duration_seconds).unwrap_or_default();
    tracing::info!(
        event = events::RUN_FINISHED, state = %outcome.state, kind = %outcome.kind, trigger = %outcome.trigger,
        seconds = outcome.duration_seconds, issues = outcome.issues_seen, created = outcome.issues_created,
        updated = outcome.issues_updated, code = outcome.error_code,
    );
    trace::run_ended(&trace::RunSpan {
        traceparent: outcome.trace_context.as_deref(),
        run_id,
        project: &outcome.project,
        kind: &outcome.kind,
        trigger: &outcome.trigger,
        state: &outcome.state,
        requested_at: outcome.created_at,
        finished_at: outcome.finished_at,
        issues: outcome.issues_seen,
        rescues: outcome.rescues,
        error_code: outcome.error_code.as_deref(),
    });
    let label =
        |known: &[&'static str], text: &str| known.iter().find(|name| **name == text).copied().unwrap_or("other");
    metrics::run_finished(
        label(&["incremental", "full"], &outcome.kind),
        label(&["schedule", "manual", "retry", "repair"], &outcome.trigger),
        label(&["succeeded", "failed", "cancelled"], &outcome.state),
        took,
    );
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    for (entity, operation, records) in [
        ("issue", "created", outcome.issues_created),
        ("issue", "updated", outcome.issues_updated),
        ("issue", "unchanged", outcome.issues_unchanged),
        ("issue", "deleted", outcome.issues_deleted),
        ("comment", "written", outcome.comments_written),
        ("comment", "removed", outcome.comments_removed),
        ("worklog", "written", outcome.worklogs_written),
        ("worklog", "removed", outcome.worklogs_removed),
        ("changelog", "written", outcome.changes_written),
    ] {
        metrics::records(entity, operation, count(records));
    }
}
