//! `syncline sync`: asks for a run now.

use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::progress::{ProgressView, watch};
use super::selection::Selection;
use super::{Context, Error, Row, project, run};
use crate::app;
use crate::app::run::Start;
use crate::store::run_view;

/// Start a sync of projects now
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Request a run and print its id; if a run is active, the new run starts after it
    Start {
        #[command(flatten)]
        selection: Selection,
        /// Read all issues again, not only changed ones
        #[arg(long)]
        full: bool,
        /// Also compare the ids of all issues: mark deleted issues, and fetch missing ones
        #[arg(long)]
        reconcile: bool,
        /// Wait until the run has ended; exit code 1 if it failed
        #[arg(long)]
        wait: bool,
        /// Wait, and show progress
        #[arg(long, conflicts_with = "wait")]
        watch: bool,
    },
}

/// A run that was requested.
#[derive(Serialize)]
pub(super) struct Requested {
    pub run_id: Uuid,
    pub state: String,
}

/// One of several.
#[derive(Serialize)]
struct Started {
    project: String,
    run_id: Uuid,
}

impl Row for Started {
    const HEADERS: &'static [&'static str] = &["PROJECT", "RUN"];

    fn cells(&self) -> Vec<String> {
        vec![self.project.clone(), self.run_id.to_string()]
    }
}

impl SyncArgs {
    /// Whether it goes on until a run ends, or until somebody answers.
    pub(super) fn waits(&self) -> bool {
        let Verb::Start { wait, watch, selection, .. } = &self.verb;
        *wait || *watch || selection.one().is_none()
    }
}

pub(super) async fn run(args: SyncArgs, context: &Context) -> Result<(), Error> {
    let Verb::Start { selection, full, reconcile, wait, watch: show } = args.verb;
    let kind = if full { "full" } else { "incremental" };
    let Some(project) = selection.one() else {
        return several(&selection, (kind, reconcile), wait || show, show, context).await;
    };
    let run_id = request(context, project, kind, reconcile).await?;
    if wait || show {
        context.output.note(&format!("run {run_id}"));
        let view = ProgressView::new(context.output, !show);
        let progress = watch(&context.pool, run_id, view).await?;
        run::print_one(context, run_id).await?;
        return run::verdict(&progress);
    }
    announce(context, run_id).await
}

async fn request(context: &Context, project: &str, kind: &str, reconcile: bool) -> Result<Uuid, Error> {
    let asked = Start { project: project.to_owned(), full: kind == "full", reconcile };
    Ok(app::run::start(&context.app(), &context.acting(), &asked).await?)
}

/// Asks for runs of several projects; those that are paused are passed over where nobody named them.
async fn several(
    selection: &Selection,
    (kind, reconcile): (&str, bool),
    wait: bool,
    show: bool,
    context: &Context,
) -> Result<(), Error> {
    let mut chosen = selection.choose(context, false).await?;
    let (all, is_named) = (chosen.len(), selection.is_named());
    chosen.retain(|project| is_named || project.state == "active");
    if chosen.is_empty() {
        return Err(Error::failure("every project that matches is paused")
            .help("resume them first, e.g. `syncline project resume --all`"));
    }
    if chosen.len() < all {
        context.output.note(&format!("skipped because they are paused: {}", all - chosen.len()));
    }
    selection.agree("synchronise", &chosen, context)?;
    let mut started = Vec::with_capacity(chosen.len());
    let mut refused = Vec::new();
    for one in &chosen {
        let name = project::name(one);
        match request(context, &name, kind, reconcile).await {
            Ok(run_id) => started.push(Started { project: name, run_id }),
            Err(problem) => refused.push(format!("{name} ({problem})")),
        }
    }
    context.output.rows(&started, "no run was requested")?;
    let runs: Vec<Uuid> = started.iter().map(|one| one.run_id).collect();
    let followed = if wait {
        follow(context, &runs, show).await
    } else {
        tell_without_worker(context, runs.first().copied()).await
    };
    if refused.is_empty() {
        return followed;
    }
    let all = chosen.len();
    Err(Error::failure(format!("no run was requested for {} of {all} projects: {}", refused.len(), refused.join("; "))))
}

/// Follows runs to their ends, one after the other.
///
/// # Errors
/// When one of them did not succeed, or the database cannot be asked.
pub(super) async fn follow(context: &Context, runs: &[Uuid], show: bool) -> Result<(), Error> {
    let mut bad = Vec::new();
    for run in runs {
        let progress = watch(&context.pool, *run, ProgressView::new(context.output, !show)).await?;
        let line = super::progress::line(&progress);
        match run::verdict(&progress) {
            Ok(()) => context.output.note(&line),
            Err(problem) => bad.push(problem),
        }
    }
    match (bad.len(), runs.len()) {
        (0, _) => Ok(()),
        (_, 1) => Err(bad.remove(0)),
        (n, all) => {
            let reasons: Vec<&str> = bad.iter().map(|problem| problem.message.as_str()).collect();
            let mut problem = Error::failure(format!("{n} of {all} runs did not succeed: {}", reasons.join("; ")));
            problem.help = bad.iter().find_map(|problem| problem.help.clone());
            Err(problem)
        }
    }
}

/// Prints the id of a run that was requested, and says when it cannot start at once.
pub(super) async fn announce(context: &Context, run_id: Uuid) -> Result<(), Error> {
    let progress = run_view::progress(&context.pool, run_id).await?;
    let state = progress.as_ref().map_or("queued", |progress| progress.state.as_str()).to_owned();
    context.output.result(&run_id.to_string(), &Requested { run_id, state: state.clone() })?;
    if state == "queued" {
        context.output.note("another run of this project is active; this one runs next");
    }
    if progress.is_some_and(|progress| progress.workers == 0) {
        say_no_worker(context);
    }
    Ok(())
}

/// Says so where nobody executes runs.
pub(super) async fn tell_without_worker(context: &Context, run: Option<Uuid>) -> Result<(), Error> {
    let Some(run) = run else { return Ok(()) };
    if run_view::progress(&context.pool, run).await?.is_some_and(|progress| progress.workers == 0) {
        say_no_worker(context);
    }
    Ok(())
}

fn say_no_worker(context: &Context) {
    context.output.note("no worker is running: start one with `syncline worker`");
}
