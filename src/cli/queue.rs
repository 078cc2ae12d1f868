//! `syncline queue`: what waits, who works, and what nobody tries any more.

use clap::Subcommand;

use super::confirm::confirm;
use super::output::{Format, span, time, time_or_dash};
use super::selection::plural;
use super::{Context, Error, Row, completing, ids};
use crate::app::queue::{self, DeadStep, QueueStats, ShutGate, Which, Worker};

/// Inspect the queue and retry dead steps
#[derive(Debug, clap::Args)]
pub struct QueueArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Count steps by queue and state; list workers and pauses that Jira asked for
    Stats,
    /// List dead steps, newest first; they have no attempts left or failed permanently
    Dead {
        /// Maximum number of rows
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Retry dead steps; for a step of a run, this requests a new run
    Requeue {
        /// Dead steps: their ids, the first digits of them, `latest`, or KEY@latest
        #[arg(required_unless_present = "all", value_name = "STEP", add = completing::steps())]
        steps: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "steps")]
        all: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(args: QueueArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Stats => stats(context).await,
        Verb::Dead { limit } => {
            let steps = queue::dead(&context.app(), &context.acting(), None, Some(limit)).await?;
            context.output.rows(&steps, "no step is dead")
        }
        Verb::Requeue { steps, all, yes } => requeue(context, &steps, all, yes).await,
    }
}

async fn stats(context: &Context) -> Result<(), Error> {
    let stats = queue::stats(&context.app(), &context.acting()).await?;
    if context.output.format() != Format::Table {
        return context.output.result("", &stats);
    }
    context.output.rows(&stats.queues, "")?;
    context.output.print("")?;
    context.output.rows(&stats.workers, "no worker is running: start one with `syncline worker`")?;
    if !stats.pauses.is_empty() {
        context.output.print("")?;
        context.output.rows(&stats.pauses, "")?;
    }
    Ok(())
}

async fn requeue(context: &Context, steps: &[String], all: bool, yes: bool) -> Result<(), Error> {
    if all {
        let dead = queue::dead_count(&context.app(), &context.acting()).await?;
        confirm(&format!("retry {dead} dead {}", plural(usize::try_from(dead).unwrap_or(0), "step")), yes)?;
    }
    let chosen = ids::steps(context, steps).await?;
    let which = if all { Which::default() } else { queue::these(chosen) };
    let requeued = queue::requeue(&context.app(), &context.acting(), &which).await?;
    let (ready, runs) = (requeued.ready.len(), requeued.runs.len());
    if ready + runs == 0 && !all {
        return Err(Error::failure(
            "nothing was retried: there is no such dead step, or its project is paused or \
            removed",
        )
        .help("list them with `syncline queue dead`"));
    }
    context.output.result(&format!("{ready} steps are ready again; {runs} new runs were requested"), &requeued)
}

impl Row for QueueStats {
    const HEADERS: &'static [&'static str] = &["QUEUE", "READY", "LATER", "RUNNING", "DEAD", "OLDEST", "NEXT"];

    fn cells(&self) -> Vec<String> {
        #[allow(clippy::cast_possible_truncation)] // an age in seconds fits
        let oldest = self.oldest_ready_age_seconds.map_or_else(|| "-".into(), |age| span(age as i64));
        vec![
            self.queue.clone(),
            self.ready.to_string(),
            self.later.to_string(),
            self.running.to_string(),
            self.dead.to_string(),
            oldest,
            time_or_dash(self.next_ready_at),
        ]
    }
}

impl Row for Worker {
    const HEADERS: &'static [&'static str] = &["WORKER", "HOST", "PID", "VERSION", "SINCE", "RUNNING"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.host.clone(),
            self.pid.to_string(),
            self.version.clone(),
            time(self.started_at),
            self.running.to_string(),
        ]
    }
}

impl Row for ShutGate {
    const HEADERS: &'static [&'static str] = &["PAUSED", "UNTIL", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![self.site.clone(), time(self.paused_until), self.reason.clone()]
    }
}

impl Row for DeadStep {
    const HEADERS: &'static [&'static str] = &["STEP", "KIND", "PROJECT", "DEAD SINCE", "ATTEMPTS", "ERROR"];

    fn cells(&self) -> Vec<String> {
        let error = match (&self.error_code, &self.error_message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (code, message) => code.as_ref().or(message.as_ref()).cloned().unwrap_or_default(),
        };
        let kind = if self.key.is_empty() { self.kind.clone() } else { format!("{} {}", self.kind, self.key) };
        vec![
            self.id.to_string(),
            kind,
            self.project.clone().unwrap_or_else(|| "-".into()),
            time_or_dash(self.finished_at),
            self.attempts.to_string(),
            error,
        ]
    }
}
