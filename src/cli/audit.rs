//! `syncline audit`: who changed what.

use clap::Subcommand;

use super::output::time;
use super::{Context, Error, Row};
use crate::app::audit::{self, Entry, Filter};

/// Show who changed what
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List changes, newest first
    List {
        /// Only changes by this actor
        #[arg(long)]
        actor: Option<String>,
        /// Only this action, such as project.pause, or this noun, such as project
        #[arg(long)]
        action: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=500))]
        limit: i64,
    },
}

impl Row for Entry {
    const HEADERS: &'static [&'static str] = &["WHEN", "WHO", "BY", "ACTION", "SUBJECT", "FROM", "DETAILS"];
    const SPARE: &'static [&'static str] = &["FROM", "DETAILS", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            time(self.at),
            self.actor.clone(),
            self.way.clone().unwrap_or_else(|| "-".to_owned()),
            self.action.clone(),
            self.subject.clone(),
            self.address.clone().unwrap_or_else(|| "-".to_owned()),
            self.details.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    }
}

pub(super) async fn run(args: AuditArgs, context: &Context) -> Result<(), Error> {
    let Verb::List { actor, action, limit } = args.verb;
    let asked = Filter { before: None, actor, action, limit: Some(limit) };
    let entries = audit::list(&context.app(), &context.acting(), &asked).await?;
    context.output.rows(&entries, "no manual changes yet")
}
