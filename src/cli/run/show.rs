//! A run as people see it: in a list, by itself, and with all of its steps.

use serde::Serialize;

use super::super::output::{Format, span, time, time_or_dash};
use super::super::sync::Requested;
use super::super::{Context, Error, Fields, Row};
use crate::store::patience::{LONGEST, again};
use crate::store::rejected;
use crate::store::run_details::{self, StepCount, Waited};
use crate::store::run_view::Run;
use crate::store::within;

/// A run with its steps and waits.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    run: Run,
    steps_by_kind: Vec<StepCount>,
    waits: Vec<Waited>,
}

/// Prints a run, its steps by kind, and what it waited for.
pub(super) async fn all(context: &Context, run: Run) -> Result<(), Error> {
    let steps_by_kind = again(|| within(LONGEST, run_details::steps(&context.pool, run.id))).await?;
    let waits = again(|| within(LONGEST, run_details::waits(&context.pool, run.id))).await?;
    let whole = Whole { run, steps_by_kind, waits };
    let output = &context.output;
    output.fields(&whole)?;
    if output.format() == Format::Table {
        if !whole.steps_by_kind.is_empty() {
            output.print("")?;
            output.rows(&whole.steps_by_kind, "")?;
        }
        if !whole.waits.is_empty() {
            output.print("")?;
            output.rows(&whole.waits, "")?;
        }
    }
    Ok(())
}

impl Fields for Whole {
    fn fields(&self) -> Vec<(&'static str, String)> {
        self.run.fields()
    }
}

impl Row for StepCount {
    const HEADERS: &'static [&'static str] =
        &["STEPS", "DONE", "RUNNING", "WAITING", "DEAD", "CANCELLED", "FAILURES", "RESCUES", "TIME"];
    const SPARE: &'static [&'static str] = &["RESCUES", "CANCELLED", "TIME"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.done.to_string(),
            self.running.to_string(),
            self.waiting.to_string(),
            self.dead.to_string(),
            self.cancelled.to_string(),
            self.failures.to_string(),
            self.rescues.to_string(),
            format!("{:.1}s", self.seconds),
        ]
    }
}

impl Row for Waited {
    const HEADERS: &'static [&'static str] = &["WAITED FOR", "BECAUSE", "TIMES", "TIME"];

    fn cells(&self) -> Vec<String> {
        let because = if self.kind == "pause" { "Jira asked for a pause" } else { "an attempt failed" };
        vec![self.reason.clone(), because.into(), self.times.to_string(), format!("{:.1}s", self.seconds)]
    }
}

impl Row for Requested {
    const HEADERS: &'static [&'static str] = &["RUN", "STATE"];

    fn cells(&self) -> Vec<String> {
        vec![self.run_id.to_string(), self.state.clone()]
    }
}

fn took(run: &Run) -> String {
    match (run.started_at, run.finished_at) {
        (Some(start), Some(end)) => span((end - start).num_seconds()),
        _ => "-".into(),
    }
}

/// What the reconciliation marked, where there was one.
fn marked(run: &Run) -> String {
    match (run.reconcile, run.issues_deleted) {
        (false, 0) => String::new(),
        (_, 0) => "none: every issue still exists in Jira".into(),
        (_, 1) => "1 issue is no longer in Jira".into(),
        (_, n) => format!("{n} issues are no longer in Jira"),
    }
}

impl Row for Run {
    const HEADERS: &'static [&'static str] =
        &["RUN", "PROJECT", "KIND", "TRIGGER", "STATE", "ISSUES", "NEW", "CHANGED", "CREATED", "TOOK", "REJECTED"];

    const SPARE: &'static [&'static str] = &["REJECTED", "CHANGED", "NEW", "TRIGGER", "TOOK", "KIND"];

    fn cells(&self) -> Vec<String> {
        let state = match &self.error_code {
            Some(code) => format!("{} {code}", self.state),
            None => self.state.clone(),
        };
        vec![
            self.id.to_string(),
            self.project.clone(),
            self.kind.clone(),
            self.trigger.clone(),
            state,
            self.issues_seen.to_string(),
            self.issues_created.to_string(),
            self.issues_updated.to_string(),
            time(self.created_at),
            took(self),
            rejected::counts(&self.rejected).values().sum::<i64>().max(self.issues_rejected).to_string(),
        ]
    }
}

impl Fields for Run {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let window = match (self.window_from, self.window_to) {
            (None, None) if self.started_at.is_none() => String::new(),
            (None, _) => "everything".into(),
            (Some(from), to) => format!("updated from {} to {}", time(from), to.map_or("now".into(), time)),
        };
        let unreadable = rejected::counts(&self.rejected);
        let rejected = match (unreadable.values().sum::<i64>(), self.issues_rejected) {
            (0, 0) => String::new(),
            (0, n) => format!("{n} could not be read: syncline run logs {}", self.id),
            (all, issues) => {
                let what =
                    if all == issues { String::new() } else { format!(" ({})", rejected::in_words(&unreadable)) };
                format!("{all} could not be read{what}: syncline run logs {}", self.id)
            }
        };
        vec![
            ("run", self.id.to_string()),
            ("project", self.project.clone()),
            ("kind", self.kind.clone()),
            ("trigger", self.trigger.clone()),
            ("state", self.state.clone()),
            ("requested by", self.requested_by.clone()),
            ("retry of", self.retry_of.map(|id| id.to_string()).unwrap_or_default()),
            ("slot", self.slot_at.map(time).unwrap_or_default()),
            ("requested", time(self.created_at)),
            ("started", time_or_dash(self.started_at)),
            ("finished", time_or_dash(self.finished_at)),
            ("took", took(self)),
            ("window", window),
            ("pages", self.pages.to_string()),
            (
                "issues",
                format!(
                    "{} read: {} new, {} changed, {} unchanged",
                    self.issues_seen, self.issues_created, self.issues_updated, self.issues_unchanged
                ),
            ),
            ("rejected", rejected),
            ("marked as gone", marked(self)),
            (
                "history",
                if self.changes_written > 0 {
                    format!("{} entries written", self.changes_written)
                } else {
                    String::new()
                },
            ),
            ("requests", if self.requests > 0 { self.requests.to_string() } else { String::new() }),
            ("comments", format!("{} written, {} removed", self.comments_written, self.comments_removed)),
            ("worklogs", format!("{} written, {} removed", self.worklogs_written, self.worklogs_removed)),
            ("noted", text(&self.noted)),
            ("steps", format!("{} done, {} retries, {} rescues", self.steps, self.retries, self.rescues)),
            ("trace", text(&self.trace_id)),
            ("error", text(&self.error_code)),
            ("message", text(&self.error_message)),
            ("advice", text(&self.error_advice)),
        ]
    }
}
