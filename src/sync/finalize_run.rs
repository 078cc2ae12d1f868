//! `finalize_run`: the last step of every run, also of one that failed or was cancelled.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use super::advance_cursor::{self, Rejects};
use super::workshop::Workshop;
use crate::domain::failure::FailureCode;
use crate::domain::setting::{REJECTED_SHARE_MAX, Settings};
use crate::engine::{Commit, FINAL_STEP, Step, StepContext, StepError};
use crate::observe::{events, metrics, trace};
use crate::store::finalize::{self, Outcome};
use crate::store::health;
use crate::store::rejected::{self, Standing};
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
            let work = workshop.work_of(context).await?;
            let project_id = work.project_id;
            let share = Settings::new(&work.settings).number(&REJECTED_SHARE_MAX).unwrap_or(REJECTED_SHARE_MAX.default);
            let ended = Arc::new(OnceLock::new());
            let told = Arc::clone(&ended);
            let commit = Commit::effects(move |conn| {
                Box::pin(async move {
                    let standing = rejected::standing(&mut *conn, run_id).await?;
                    let refused = too_many(&standing, share).filter(|_| standing.well && work.trigger != "repair");
                    if let Some(problem) = &refused {
                        let code = FailureCode::RecordsRejected;
                        rejected::fail(&mut *conn, run_id, code.as_str(), problem, code.advice()).await?;
                    }
                    let rejects = if standing.well && refused.is_none() { Rejects::Pass } else { Rejects::Hold };
                    advance_cursor::advance(conn, run_id, project_id, rejects).await?;
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

/// Below so many issues a share says nothing; that none at all can be read always does.
const LEAST_FOR_SHARE: i64 = 10;

/// Why a run that would be a success is none: too much of what it was to read could not be read.
fn too_many(standing: &Standing, max_share: f64) -> Option<String> {
    let Standing { read, rejected, .. } = *standing;
    let all = read.saturating_add(rejected);
    if rejected == 0 {
        return None;
    }
    if read == 0 {
        return Some(format!("none of the {rejected} issues could be read"));
    }
    #[allow(clippy::cast_precision_loss)] // numbers of issues
    let over = all >= LEAST_FOR_SHARE && rejected as f64 > max_share * all as f64;
    over.then(|| {
        format!("{rejected} of {all} issues could not be read, more than rejected_share_max ({max_share}) allows")
    })
}

fn entry(outcome: &Outcome) -> Entry {
    let code = outcome.error_code.as_deref().and_then(FailureCode::parse);
    let unreadable = rejected::counts(&outcome.rejected);
    let (level, event) = match outcome.state.as_str() {
        "succeeded" if unreadable.is_empty() => (Level::Info, "run_succeeded"),
        "succeeded" => (Level::Warn, "run_succeeded"),
        "cancelled" => (Level::Warn, "run_cancelled"),
        _ => (Level::Error, "run_failed"),
    };
    let message = outcome.error_message.clone().unwrap_or_else(|| {
        format!(
            "{} issues seen: {} created, {} updated, {} unchanged",
            outcome.issues_seen, outcome.issues_created, outcome.issues_updated, outcome.issues_unchanged
        ) + &if unreadable.is_empty() {
            String::new()
        } else {
            format!("; could not be read: {}", rejected::in_words(&unreadable))
        }
    });
    Entry {
        level,
        event,
        code: code.map(FailureCode::as_str),
        message,
        advice: code.map(FailureCode::advice),
        details: Some(
            serde_json::json!({"duration_seconds": outcome.duration_seconds, "next_run": outcome.next_run, "rejected": outcome.rejected}),
        ),
    }
}

/// A run in one line, for whoever reads along.
fn sentence(outcome: &Outcome) -> String {
    let took = Duration::try_from_secs_f64(outcome.duration_seconds).unwrap_or_default();
    let mut text = format!("{}: {} {} in {:.1} s", outcome.project, outcome.kind, outcome.state, took.as_secs_f64());
    match (&outcome.error_code, &outcome.error_message) {
        (Some(code), Some(message)) => text.push_str(&format!(": {code}: {message}")),
        (Some(code), None) => text.push_str(&format!(": {code}")),
        _ => text.push_str(&format!(
            ": {} issues read, {} new, {} changed",
            outcome.issues_seen, outcome.issues_created, outcome.issues_updated
        )),
    }
    if outcome.issues_deleted > 0 {
        text.push_str(&format!(", {} gone", outcome.issues_deleted));
    }
    text
}

/// Said just after the commit: once at most. The rows are the truth; this is for whoever watches.
fn announce(run_id: Uuid, outcome: &Outcome) {
    let took = Duration::try_from_secs_f64(outcome.duration_seconds).unwrap_or_default();
    tracing::info!(
        event = events::RUN_FINISHED, state = %outcome.state, kind = %outcome.kind, trigger = %outcome.trigger,
        seconds = outcome.duration_seconds, issues = outcome.issues_seen, created = outcome.issues_created,
        updated = outcome.issues_updated, code = outcome.error_code, "{}", sentence(outcome)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(read: i64, rejected: i64, max_share: f64) -> bool {
        too_many(&Standing { well: true, read, rejected }, max_share).is_some()
    }

    #[test]
    fn a_run_fails_that_can_read_none_or_less_than_its_share() {
        assert!(verdict(0, 1, 1.0) && verdict(0, 900, 0.5), "none at all");
        assert!(verdict(4, 6, 0.5) && !verdict(5, 5, 0.5), "more than the share");
        assert!(!verdict(1, 8, 0.5), "too few to tell");
        assert!(verdict(99, 1, 0.0) && !verdict(1, 99, 1.0) && !verdict(0, 0, 0.0));
    }
}
