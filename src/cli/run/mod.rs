//! `syncline run`: what was and is being synchronised.

mod show;

use clap::Subcommand;
use uuid::Uuid;

use super::progress::{ProgressView, watch};
use super::selection::plural;
use super::{Context, Error, completing, ids, log, project, sync};
use crate::store::log::LogFilter;
use crate::store::patience::{LONGEST, again, undisturbed};
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
        #[arg(long, add = completing::projects())]
        project: Option<String>,
        /// Only those in this state
        #[arg(long, value_parser = ["queued", "running", "succeeded", "failed", "cancelled"])]
        state: Option<String>,
        /// Maximum number of rows
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show one run: counts, requests, steps, and what it waited for
    Show {
        /// Its id, the first digits of it, `latest`, or KEY@latest
        #[arg(add = completing::runs())]
        run: String,
    },
    /// Print what happened to a run and its steps
    Logs {
        /// Its id, the first digits of it, `latest`, or KEY@latest
        #[arg(add = completing::runs())]
        run: String,
        #[command(flatten)]
        show: log::ShowArgs,
    },
    /// Follow a run to its end; exit code 1 if it fails
    Watch {
        /// Its id, the first digits of it, `latest`, or KEY@latest
        #[arg(add = completing::runs())]
        run: String,
    },
    /// Stop runs at the next step boundary; exit code 1 where one is over
    Cancel {
        /// Their ids, the first digits of them, `latest`, or KEY@latest
        #[arg(required = true, value_name = "RUN", add = completing::runs())]
        runs: Vec<String>,
    },
    /// Request a new run with the parameters of one that has ended; it goes on from the project's cursor
    Retry {
        /// Its id, the first digits of it, `latest`, or KEY@latest
        #[arg(add = completing::runs())]
        run: String,
    },
}

impl RunArgs {
    /// Whether it goes on until a run ends.
    pub(super) fn waits(&self) -> bool {
        matches!(&self.verb, Verb::Watch { .. } | Verb::Logs { show: log::ShowArgs { follow: true, .. }, .. })
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
        Verb::Show { run } => {
            let run = ids::run(context, &run).await?;
            show::all(context, find(context, run).await?).await
        }
        Verb::Logs { run, show } => {
            let run_id = ids::run(context, &run).await?;
            find(context, run_id).await?;
            log::entries(&show, LogFilter { run_id: Some(run_id), ..LogFilter::default() }, context).await
        }
        Verb::Watch { run } => {
            let run = ids::run(context, &run).await?;
            find(context, run).await?;
            let progress = watch(&context.pool, run, ProgressView::new(context.output, false)).await?;
            print_one(context, run).await?;
            verdict(&progress)
        }
        Verb::Cancel { runs } => cancel(context, &ids::runs(context, &runs).await?).await,
        Verb::Retry { run } => retry(context, ids::run(context, &run).await?).await,
    }
}

async fn cancel(context: &Context, runs: &[Uuid]) -> Result<(), Error> {
    let mut states = Vec::with_capacity(runs.len());
    let mut over = Vec::new();
    for run in runs {
        let before = match runs.len() {
            // An id that is not known is told by the database's own refusal.
            1 => again(|| within(LONGEST, run_view::progress(&context.pool, *run))).await?,
            _ => Some(progress_of(context, *run).await?),
        };
        let was_over = before.is_some_and(|progress| progress.has_ended());
        let state = undisturbed(|| run_view::cancel(&context.pool, *run)).await?;
        if was_over || matches!(state.as_str(), "succeeded" | "failed") {
            over.push(format!("run {run} is over already: it {}", ended(&state)));
        }
        states.push(sync::Requested { run_id: *run, state });
    }
    match states.as_slice() {
        [one] => context.output.result(&one.state, one)?,
        several => context.output.rows(several, "")?,
    }
    if states.iter().any(|one| one.state == "cancelling") {
        context.output.note("it stops at the end of the steps that are being executed");
    }
    match over.len() {
        0 => Ok(()),
        1 => Err(Error::failure(over.remove(0)).help("list runs that go on with `syncline run list --state running`")),
        n => Err(Error::failure(format!("{n} {} over already: {}", plural(n, "run"), over.join("; ")))),
    }
}

/// How a run that is over ended, in a sentence.
fn ended(state: &str) -> &'static str {
    match state {
        "succeeded" => "has succeeded",
        "failed" => "has failed",
        _ => "was cancelled",
    }
}

async fn progress_of(context: &Context, run: Uuid) -> Result<RunProgress, Error> {
    let progress = again(|| within(LONGEST, run_view::progress(&context.pool, run))).await?;
    progress.ok_or_else(|| Error::failure(format!("unknown run {run}")).help("list runs with `syncline run list`"))
}

async fn retry(context: &Context, run: Uuid) -> Result<(), Error> {
    let actor = context.actor();
    if let Some(new) = undisturbed(|| run_view::retry(&context.pool, run, &actor)).await? {
        return sync::announce(context, new).await;
    }
    let old = find(context, run).await?;
    let help = match old.state.as_str() {
        "queued" | "running" | "cancelling" => format!("watch it with `syncline run watch {run}`"),
        _ => format!("its project is paused or removed: `syncline project show {}`", old.project),
    };
    Err(Error::failure(format!("run {run} ({}, {}) cannot be retried", old.project, old.state)).help(help))
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
