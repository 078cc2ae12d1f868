//! `syncline run`: what was and is being synchronised.

mod show;

use clap::Subcommand;
use uuid::Uuid;

use super::progress::{ProgressView, watch};
use super::selection::plural;
use super::{Context, Error, completing, ids, log, project, sync};
use crate::app;
use crate::app::run::{Cancelled, History};
use crate::store::log::LogFilter;
use crate::store::run_view::{Run, RunProgress};

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
        /// Only runs of this project, as KEY or SITE/KEY
        #[arg(long, add = completing::projects())]
        project: Option<String>,
        /// Only runs in this state
        #[arg(long, value_parser = ["queued", "running", "succeeded", "failed", "cancelled"])]
        state: Option<String>,
        /// Maximum number of rows
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show one run: counts, requests, steps and waits
    Show {
        /// Its id, the first digits of it, `latest`, or KEY@latest
        #[arg(add = completing::runs())]
        run: String,
    },
    /// Print the log of a run and its steps
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
    /// Stop runs at the next step boundary; exit code 1 if one has already ended
    Cancel {
        /// Their ids, the first digits of them, `latest`, or KEY@latest
        #[arg(required = true, value_name = "RUN", add = completing::runs())]
        runs: Vec<String>,
    },
    /// Request a new run with the parameters of one that has ended; it starts at the project's cursor
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
            let projects = match project {
                Some(text) => Some(vec![project::name(&project::find(context, &text, true).await?)]),
                None => None,
            };
            let asked =
                History { projects, states: state.map(|one| vec![one]), limit: Some(limit), ..History::default() };
            let runs = app::run::newest(&context.app(), &context.acting(), &asked).await?;
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
    let (app, actor) = (context.app(), context.acting());
    let mut states = Vec::with_capacity(runs.len());
    let mut over = Vec::new();
    for run in runs {
        let state = match app::run::cancel(&app, &actor, *run).await {
            Ok(Cancelled::AtOnce) => "cancelled".to_owned(),
            Ok(Cancelled::AtStepEnd) => "cancelling".to_owned(),
            Err(problem) if problem.kind == app::Kind::Conflict => {
                over.push(problem);
                app::run::get(&app, &actor, *run).await?.state
            }
            Err(problem) => return Err(problem.into()),
        };
        states.push(sync::Requested { run_id: *run, state });
    }
    match states.as_slice() {
        [one] => context.output.result(&one.state, one)?,
        several => context.output.rows(several, "")?,
    }
    if states.iter().any(|one| one.state == "cancelling") {
        context.output.note("it stops when its running steps have ended");
    }
    match over.len() {
        0 => Ok(()),
        1 => Err(over.remove(0).into()),
        n => {
            let all: Vec<&str> = over.iter().map(|problem| problem.message.as_str()).collect();
            Err(Error::failure(format!("{n} {} over already: {}", plural(n, "run"), all.join("; "))))
        }
    }
}

async fn retry(context: &Context, run: Uuid) -> Result<(), Error> {
    let new = app::run::retry(&context.app(), &context.acting(), run).await?;
    sync::announce(context, new).await
}

async fn find(context: &Context, id: Uuid) -> Result<Run, Error> {
    Ok(app::run::get(&context.app(), &context.acting(), id).await?)
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
