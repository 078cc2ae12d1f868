//! `syncline log`: the journal of runs and steps.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Subcommand;

use super::output::{Format, time};
use super::{Context, Error, Row, completing, ids, project};
use crate::store::log::{self, LogEntry, LogFilter};
use crate::store::patience::{LONGEST, again};
use crate::store::{run_view, within};

/// How often the journal is looked at while it is followed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Entries are numbered when they are written and seen when their transactions end: one of a smaller number may come later.
const OVERLAP: i64 = 1_000;

/// Read the log of runs and steps
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LogArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the newest entries, oldest first; `syncline log` does the same
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only entries of this run: its id, the first digits of it, `latest`, or KEY@latest
    #[arg(long, add = completing::runs())]
    run: Option<String>,
    /// Only entries of this project, as KEY or SITE/KEY
    #[arg(long, add = completing::projects())]
    project: Option<String>,
    #[command(flatten)]
    show: ShowArgs,
}

/// How entries are shown.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Only entries of this level or above
    #[arg(long, default_value = "info", value_parser = LEVELS)]
    level: String,
    /// Maximum number of rows
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Also print new entries, until Ctrl-C or the run's end
    #[arg(short, long)]
    pub follow: bool,
}

/// Rising.
const LEVELS: [&str; 3] = ["info", "warn", "error"];

impl LogArgs {
    /// Whether it goes on by itself.
    pub(super) fn waits(&self) -> bool {
        match &self.verb {
            Some(Verb::List(list)) => list.show.follow,
            None => self.list.show.follow,
        }
    }
}

pub(super) async fn run(args: LogArgs, context: &Context) -> Result<(), Error> {
    let ListArgs { run, project, show } = match args.verb {
        Some(Verb::List(list)) => list,
        None => args.list,
    };
    let project_id = match project {
        Some(text) => Some(project::find(context, &text, true).await?.id),
        None => None,
    };
    let run_id = match run {
        Some(text) => Some(ids::run(context, &text).await?),
        None => None,
    };
    entries(&show, LogFilter { run_id, project_id, ..LogFilter::default() }, context).await
}

/// Prints the entries that match, and goes on where that was asked for.
pub(super) async fn entries(show: &ShowArgs, filter: LogFilter, context: &Context) -> Result<(), Error> {
    let levels = LEVELS.into_iter().skip_while(|known| *known != show.level).map(str::to_owned).collect();
    let mut filter = LogFilter { levels, limit: show.limit, ..filter };
    if !show.follow {
        let entries = log::list(&context.pool, &filter).await?;
        return context.output.rows(&entries, "no entry matches");
    }
    let mut seen: BTreeSet<i64> = BTreeSet::new();
    loop {
        // Looked at before the entries: what a run's last step wrote is there when its end is.
        let over = match filter.run_id {
            Some(run) => has_ended(run, context).await?,
            None => false,
        };
        for entry in again(|| within(LONGEST, log::list(&context.pool, &filter))).await? {
            if seen.insert(entry.id) {
                print(&entry, context)?;
            }
        }
        if over {
            return Ok(());
        }
        filter.limit = 100_000;
        if let Some(last) = seen.last().copied() {
            filter.after = (last - OVERLAP).max(0);
            // What the first look left out stays left out.
            let first = seen.first().copied().unwrap_or(last);
            filter.after = filter.after.max(first - 1);
            seen = seen.split_off(&(filter.after + 1));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn has_ended(run: uuid::Uuid, context: &Context) -> Result<bool, Error> {
    let progress = again(|| within(LONGEST, run_view::progress(&context.pool, run))).await?;
    progress
        .map(|progress| progress.has_ended())
        .ok_or_else(|| Error::failure(format!("unknown run {run}")).help("list runs with `syncline run list`"))
}

fn print(entry: &LogEntry, context: &Context) -> Result<(), Error> {
    let line = match context.output.format() {
        Format::Table => entry.cells().join("  "),
        Format::Json | Format::Jsonl => serde_json::to_string(entry)?,
    };
    context.output.line(&line)
}

impl Row for LogEntry {
    const HEADERS: &'static [&'static str] = &["AT", "LEVEL", "PROJECT", "EVENT", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let code = self.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
        vec![
            time(self.at),
            self.level.clone(),
            self.project.clone().unwrap_or_else(|| "-".into()),
            self.event.clone(),
            format!("{code}{}", self.message),
        ]
    }
}
