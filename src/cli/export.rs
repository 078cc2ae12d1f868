//! `syncline export`: everything that matches, for spreadsheets and programs.

use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};

use super::output::print;
use super::{Context, Error};
use crate::app::export::{self, Format};
use crate::app::run::History;

/// Write all runs, or what days add up to, as CSV or JSON lines to standard output
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    #[command(subcommand)]
    what: What,
    /// How lines are written
    #[arg(long, value_enum, default_value = "csv", global = true)]
    format: FileFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FileFormat {
    /// With a header
    Csv,
    /// A JSON object a line
    Jsonl,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write all runs that match, newest first
    Runs {
        /// Only of this project, as KEY or SITE/KEY; can be repeated
        #[arg(long, add = super::completing::projects())]
        project: Vec<String>,
        /// Only of this site
        #[arg(long)]
        site: Option<String>,
        /// Only in this state; can be repeated
        #[arg(long)]
        state: Vec<String>,
        /// Only with this failure code; can be repeated
        #[arg(long)]
        code: Vec<String>,
        /// Requested at this time (RFC 3339) or later
        #[arg(long)]
        from: Option<DateTime<Utc>>,
        /// Requested before this time (RFC 3339)
        #[arg(long)]
        to: Option<DateTime<Utc>>,
    },
    /// Write what the runs of each day add up to, newest day first
    Days {
        /// The last so many days
        #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
    },
}

pub(super) async fn run(args: ExportArgs, context: &Context) -> Result<(), Error> {
    let (app, actor) = (context.app(), context.acting());
    let format = match args.format {
        FileFormat::Csv => Format::Csv,
        FileFormat::Jsonl => Format::JsonLines,
    };
    match args.what {
        What::Runs { project, site, state, code, from, to } => {
            let some = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
            let asked = History {
                projects: some(project),
                site,
                states: some(state),
                codes: some(code),
                from,
                to,
                ..History::default()
            };
            let mut runs = export::runs(app, actor, asked, format);
            while let Some(lines) = runs.next().await? {
                if !lines.is_empty() {
                    print(&lines.join("\n"))?;
                }
            }
        }
        What::Days { days } => {
            let lines = export::days(&app, &actor, Some(days), format).await?;
            if !lines.is_empty() {
                print(&lines.join("\n"))?;
            }
        }
    }
    Ok(())
}
