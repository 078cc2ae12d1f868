//! `syncline alert`: what is wrong, who hears of it, and what keeps messages back.

mod act;
mod channel;
mod maintenance;
mod parse;
mod route;
mod show;
mod trial;

pub(super) use channel::definition;
use clap::Subcommand;

use super::{Context, Error, completing};

/// Show and handle alerts; manage channels and routes
#[derive(Debug, clap::Args)]
pub struct AlertArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List open alerts, the most severe first
    List {
        /// Also list alerts that are over, and alerts that a site's alert has absorbed
        #[arg(long)]
        all: bool,
        /// Maximum number of rows
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Show one alert with its history and its messages
    Show {
        /// Its id, the first or the last 12 digits of it, `latest`, or KEY@latest
        #[arg(add = completing::alerts())]
        alert: String,
    },
    /// Acknowledge an alert: no more reminders, no escalation by age
    Ack {
        /// Its id, the first or the last 12 digits of it, `latest`, or KEY@latest
        #[arg(add = completing::alerts())]
        alert: String,
        /// What you will do
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
    },
    /// Keep messages back for a time: of one alert, or of whatever matches
    Silence(maintenance::SilenceArgs),
    /// End a silence early
    Unsilence {
        /// The id of the silence, or the alert
        id: String,
    },
    /// End an alert by hand; it opens again if the condition still holds
    Resolve {
        /// Its id, the first or the last 12 digits of it, `latest`, or KEY@latest
        #[arg(add = completing::alerts())]
        alert: String,
    },
    /// Send a test message through the routes, as a failure would
    Test(trial::TestArgs),
    /// Add, list, test or remove the channels that carry messages
    Channel(channel::ChannelArgs),
    /// Say who hears of what
    Route(route::RouteArgs),
    /// Plan times in which nobody is told
    Maintenance(maintenance::MaintenanceArgs),
}

pub(super) async fn run(args: AlertArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::List { all, limit } => show::list(context, all, limit).await,
        Verb::Show { alert } => show::show(context, &alert).await,
        Verb::Ack { alert, note } => act::acknowledge(context, &alert, &note).await,
        Verb::Silence(args) => maintenance::silence(args, context).await,
        Verb::Unsilence { id } => act::unsilence(context, &id).await,
        Verb::Resolve { alert } => act::resolve(context, &alert).await,
        Verb::Test(args) => trial::test(args, context).await,
        Verb::Channel(args) => channel::run(args, context).await,
        Verb::Route(args) => route::run(args, context).await,
        Verb::Maintenance(args) => maintenance::run(args, context).await,
    }
}
