//! `syncline sync`: asks for a run now.

use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::progress::{ProgressView, watch};
use super::{Context, Error, run};
use crate::store::patience::{LONGEST, again};
use crate::store::{run_view, within};

/// Start a sync of a project now
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Request a run and print its id; a request that meets an active run is kept and runs next
    Start {
        /// KEY or SITE/KEY
        project: String,
        /// Read everything again, not only what has changed
        #[arg(long)]
        full: bool,
        /// Compare the ids of all issues too: mark what is gone from Jira, fetch what is missing here
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

impl SyncArgs {
    /// Whether it goes on until a run ends.
    pub(super) fn waits(&self) -> bool {
        let Verb::Start { wait, watch, .. } = &self.verb;
        *wait || *watch
    }
}

pub(super) async fn run(args: SyncArgs, context: &Context) -> Result<(), Error> {
    let Verb::Start { project, full, reconcile, wait, watch: show } = args.verb;
    let kind = if full { "full" } else { "incremental" };
    let actor = context.actor();
    let request = || run_view::request(&context.pool, &project, kind, reconcile, &actor);
    // Asked twice at worst, when an answer was lost: the second run follows the first, and reads what is new since.
    let run_id = again(|| within(LONGEST, request())).await?;
    if wait || show {
        context.output.note(&format!("run {run_id}"));
        let view = ProgressView::new(context.output, !show);
        let progress = watch(&context.pool, run_id, view).await?;
        run::print_one(context, run_id).await?;
        return run::verdict(&progress);
    }
    announce(context, run_id).await
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
        context.output.note("no worker is running: start one with `syncline worker`");
    }
    Ok(())
}
