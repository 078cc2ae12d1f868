//! `syncline run`: what was and is being synchronised.

use clap::Subcommand;
use uuid::Uuid;

use super::output::{span, time, time_or_dash};
use super::progress::{ProgressView, watch};
use super::{Context, Error, Fields, Row, project, sync};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::rejected;
use crate::store::run_view::{self, Run, RunFilter, RunProgress};
use crate::store::within;

/// List, show, watch, cancel or retry runs
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List runs, newest first
    List {
        /// Only those of this project, as KEY or SITE/KEY
        #[arg(long)]
        project: Option<String>,
        /// Only those in this state
        #[arg(long, value_parser = ["queued", "running", "succeeded", "failed", "cancelled"])]
        state: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show one run
    Show {
        /// Its id
        run: Uuid,
    },
    /// Follow a run to its end; exit code 1 if it fails
    Watch {
        /// Its id
        run: Uuid,
    },
    /// Stop a run at the next step boundary
    Cancel {
        /// Its id
        run: Uuid,
    },
    /// Request a new run with the parameters of one that has ended; it goes on from the project's cursor
    Retry {
        /// Its id
        run: Uuid,
    },
}

impl RunArgs {
    /// Whether it goes on until a run ends.
    pub(super) fn waits(&self) -> bool {
        matches!(self.verb, Verb::Watch { .. })
    }
}

pub(super) async fn run(args: RunArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::List { project, state, limit } => {
            let project_id = match project {
                Some(text) => Some(project::find(context, &text, true).await?.id),
                None => None,
            };
            let filter = RunFilter { project_id, state, limit, id: None };
            let runs = run_view::list(&context.pool, &filter).await?;
            context.output.rows(&runs, "no run matches")
        }
        Verb::Show { run } => print_one(context, run).await,
        Verb::Watch { run } => {
            find(context, run).await?;
            let progress = watch(&context.pool, run, ProgressView::new(context.output, false)).await?;
            print_one(context, run).await?;
            verdict(&progress)
        }
        Verb::Cancel { run } => {
            let state = undisturbed(|| run_view::cancel(&context.pool, run)).await?;
            context.output.result(&state, &sync::Requested { run_id: run, state: state.clone() })?;
            if state == "cancelling" {
                context.output.note("it stops at the end of the steps that are being executed");
            }
            Ok(())
        }
        Verb::Retry { run } => {
            let actor = context.actor();
            match undisturbed(|| run_view::retry(&context.pool, run, &actor)).await? {
                Some(new) => sync::announce(context, new).await,
                None => {
                    let old = find(context, run).await?;
                    let help = match old.state.as_str() {
                        "queued" | "running" | "cancelling" => format!("watch it with `syncline run watch {run}`"),
                        _ => format!("its project is paused or removed: `syncline project show {}`", old.project),
                    };
                    Err(Error::failure(format!("run {run} ({}, {}) cannot be retried", old.project, old.state))
                        .help(help))
                }
            }
        }
    }
}

async fn find(context: &Context, id: Uuid) -> Result<Run, Error> {
    let filter = RunFilter { id: Some(id), limit: 1, ..RunFilter::default() };
    let found = again(|| within(LONGEST, run_view::list(&context.pool, &filter))).await?.pop();
    found.ok_or_else(|| Error::failure(format!("unknown run {id}")).help("list runs with `syncline run list`"))
}

/// Prints one run, whole.
pub(super) async fn print_one(context: &Context, id: Uuid) -> Result<(), Error> {
    context.output.fields(&find(context, id).await?)
}

/// The exit code of a run that was waited for.
pub(super) fn verdict(progress: &RunProgress) -> Result<(), Error> {
    if progress.state == "succeeded" {
        return Ok(());
    }
    let reason = match (&progress.error_code, &progress.error_message) {
        (Some(code), Some(message)) => format!(": {code}: {message}"),
        (Some(code), None) => format!(": {code}"),
        _ => String::new(),
    };
    let mut problem = Error::failure(format!("run {} {}{reason}", progress.run_id, progress.state));
    problem.help = progress.error_advice.clone();
    Err(problem)
}

fn took(run: &Run) -> String {
    match (run.started_at, run.finished_at) {
        (Some(start), Some(end)) => span((end - start).num_seconds()),
        _ => "-".into(),
    }
}

impl Row for Run {
    const HEADERS: &'static [&'static str] =
        &["RUN", "PROJECT", "KIND", "TRIGGER", "STATE", "ISSUES", "NEW", "CHANGED", "CREATED", "TOOK", "REJECTED"];

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
            (0, n) => format!("{n} could not be read: syncline log list --run {}", self.id),
            (all, issues) => {
                let what =
                    if all == issues { String::new() } else { format!(" ({})", rejected::in_words(&unreadable)) };
                format!("{all} could not be read{what}: syncline log list --run {}", self.id)
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
