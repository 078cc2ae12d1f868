//! `syncline log`: the journal of runs and steps.

use clap::Subcommand;
use uuid::Uuid;

use super::output::time;
use super::{Context, Error, Row, project};
use crate::store::log::{self, LogEntry, LogFilter};

/// Read what happened to runs and steps
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the newest entries, oldest first
    List {
        /// Only those about this run
        #[arg(long)]
        run: Option<Uuid>,
        /// Only those about this project, as KEY or SITE/KEY
        #[arg(long)]
        project: Option<String>,
        /// Only those at least this loud
        #[arg(long, default_value = "info", value_parser = LEVELS)]
        level: String,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
}

/// From the quietest to the loudest.
const LEVELS: [&str; 3] = ["info", "warn", "error"];

pub(super) async fn run(args: LogArgs, context: &Context) -> Result<(), Error> {
    let Verb::List { run, project, level, limit } = args.verb;
    let project_id = match project {
        Some(text) => Some(project::find(context, &text, true).await?.id),
        None => None,
    };
    let levels = LEVELS.into_iter().skip_while(|known| *known != level).map(str::to_owned).collect();
    let entries = log::list(&context.pool, &LogFilter { run_id: run, project_id, levels, limit }).await?;
    context.output.rows(&entries, "no entry matches")
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
