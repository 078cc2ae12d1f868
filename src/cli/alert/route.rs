//! `syncline alert route`: who hears of what.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use serde::Serialize;

use super::super::{Context, Error, Row};
use super::channel;
use super::parse::{self, SelectorArgs};
use super::trial::SubjectArgs;
use crate::domain::episode::in_words;
use crate::domain::failure::Severity;
use crate::domain::hours::Hours;
use crate::domain::route::{self, LAST_RESORT, Route, Selector};
use crate::store::alert::route as routes;
use crate::store::alert::silence;

#[derive(Debug, clap::Args)]
pub(super) struct RouteArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a route: the alerts that it matches, a channel and recipients
    Add(AddArgs),
    /// List routes in the order in which they are checked
    List,
    /// Remove the route at a position
    Remove {
        /// Its position
        position: i32,
    },
    /// Move a route to another position
    Move {
        /// Its present position
        from: i32,
        /// Its new position
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        to: i32,
    },
    /// Show which routes match a failure, and why the others do not
    Test {
        #[command(flatten)]
        subject: SubjectArgs,
        /// At this time, e.g. 2026-03-02T18:00:00Z [default: now]
        #[arg(long, value_name = "TIME", value_parser = parse::time)]
        at: Option<DateTime<Utc>>,
        /// Assume that nobody has acknowledged it for this long, e.g. 1h
        #[arg(long, value_name = "SPAN", value_parser = parse::span)]
        unacknowledged_for: Option<TimeDelta>,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Routes are checked in the order of their positions; the first match takes the alert, unless it has --continue.
A route with --escalate-after escalates: it matches alerts that nobody has acknowledged for that time.
Alerts that no route takes go to the log.

Examples:
  syncline alert route add mail --to billing@example.com --category billing --continue
  syncline alert route add phone --to +4915112345678 --category billing
  syncline alert route add chat --category latency --hours 'MON-FRI 08:00-18:00 Europe/Berlin'
  syncline alert route add mail --to boss@example.com --min-severity critical --escalate-after 2h")]
struct AddArgs {
    /// The channel
    channel: String,
    /// A recipient; may be repeated
    #[arg(long, value_name = "RECIPIENT")]
    to: Vec<String>,
    /// Recipient of a copy (Cc); may be repeated
    #[arg(long, value_name = "MAILBOX")]
    cc: Vec<String>,
    /// Recipient of a blind copy (Bcc); may be repeated
    #[arg(long, value_name = "MAILBOX")]
    bcc: Vec<String>,
    #[command(flatten)]
    selector: SelectorArgs,
    /// Only during these hours, e.g. 'MON-FRI 08:00-18:00 Europe/Berlin'
    #[arg(long, value_name = "HOURS")]
    hours: Option<Hours>,
    /// Only alerts that nobody has acknowledged for this long, e.g. 1h
    #[arg(long, value_name = "SPAN", value_parser = parse::span)]
    escalate_after: Option<TimeDelta>,
    /// Check later routes too after this one matches
    #[arg(long = "continue")]
    goes_on: bool,
    /// Its position [default: the last]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    position: Option<i32>,
}

pub(super) async fn run(args: RouteArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Add(args) => add(args, context).await,
        Verb::List => {
            let rows: Vec<Listed> = routes::list(&context.pool).await?.into_iter().map(Listed).collect();
            context.output.rows(&rows, "no route yet: every alert goes to the log")
        }
        Verb::Remove { position } => {
            let removed = routes::remove(&context.pool, position, &context.actor()).await?;
            removed.ok_or_else(|| no_route(position))?;
            let done = serde_json::json!({"position": position, "outcome": "removed"});
            context.output.done(&format!("removed route {position}; later routes moved up"), &done)
        }
        Verb::Move { from, to } => {
            routes::relocate(&context.pool, from, to, &context.actor()).await?.ok_or_else(|| no_route(from))?;
            let done = serde_json::json!({"from": from, "position": to, "outcome": "moved"});
            context.output.done(&format!("moved route {from} to position {to}"), &done)
        }
        Verb::Test { subject, at, unacknowledged_for } => test(context, &subject, at, unacknowledged_for).await,
    }
}

fn no_route(position: i32) -> Error {
    Error::failure(format!("there is no route {position}")).help("list them with `syncline alert route list`")
}

async fn add(args: AddArgs, context: &Context) -> Result<(), Error> {
    let channel = channel::find(context, &args.channel).await?;
    channel::check_recipients(channel::definition(&channel)?.kind, &args.to, &args.cc, &args.bcc)?;
    let new = Route {
        id: context.clock.new_id(),
        // The store takes the last place for any that is too high.
        position: args.position.unwrap_or(i32::MAX),
        channel: channel.name,
        to: args.to,
        cc: args.cc,
        bcc: args.bcc,
        selector: args.selector.read(context).await?,
        hours: args.hours,
        escalate_after_seconds: args.escalate_after.map(|after| after.num_seconds()),
        goes_on: args.goes_on,
    };
    let position = routes::add(&context.pool, context.clock.now(), &new, &context.actor()).await?;
    let done = serde_json::json!({"route": new.id, "position": position, "channel": new.channel, "outcome": "added"});
    context.output.done(&format!("added route {position}: {} to {}", purpose(&new), people(&new)), &done)
}

async fn test(
    context: &Context,
    subject: &SubjectArgs,
    at: Option<DateTime<Utc>>,
    age: Option<TimeDelta>,
) -> Result<(), Error> {
    let at = at.unwrap_or_else(|| context.clock.now());
    let mut subject = subject.read(context).await?;
    subject.unacknowledged_for = Some(age.unwrap_or_default());
    let all = routes::list(&context.pool).await?;
    let mut rows: Vec<Tested> = route::walk(&all, &subject, at)
        .into_iter()
        .map(|verdict| Tested {
            route: Some(verdict.route.position),
            channel: verdict.route.channel.clone(),
            recipients: people(verdict.route),
            gets_it: verdict.refusal.is_none(),
            reason: verdict.refusal.unwrap_or_else(|| "it matches".to_owned()),
        })
        .collect();
    if rows.iter().all(|row| !row.gets_it) {
        let reason = "no route takes the alert: it goes to the log".to_owned();
        let (channel, recipients) = (LAST_RESORT.to_owned(), "-".to_owned());
        rows.push(Tested { route: None, channel, recipients, gets_it: true, reason });
    }
    context.output.rows(&rows, "")?;
    let silences = silence::in_force(&context.pool, at).await?;
    if let Some(until) = route::withheld_until(&silences, &subject, at) {
        let until = super::super::output::time(until);
        context.output.note(&format!("no message before {until}: a silence or a maintenance window covers it"));
    }
    Ok(())
}

fn people(route: &Route) -> String {
    let text = route.audience().recipients();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// What a route is for, in words.
fn purpose(route: &Route) -> String {
    let Selector { min_severity, categories, classes, sites, projects } = &route.selector;
    let list = |name: &str, values: &[String]| match values {
        [] => None,
        values => Some(format!("{name} {}", values.join(", "))),
    };
    let parts = [
        min_severity.map(|severity: Severity| format!("{} and worse", severity.as_str())),
        list("category", categories),
        list("class", classes),
        list("site", sites),
        list("project", projects),
        route.hours.as_ref().map(|hours| format!("in {hours}")),
        route.escalate_after().map(|after| format!("not acknowledged for {}", in_words(after))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join("; ") }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Listed(Route);

impl Row for Listed {
    const HEADERS: &'static [&'static str] = &["ROUTE", "FOR", "CHANNEL", "TO", "THEN"];

    fn cells(&self) -> Vec<String> {
        let route = &self.0;
        let then = if route.escalate_after_seconds.is_some() || route.goes_on { "go on" } else { "stop" };
        vec![route.position.to_string(), purpose(route), route.channel.clone(), people(route), then.to_owned()]
    }
}

/// What became of a route in a test.
#[derive(Serialize)]
struct Tested {
    route: Option<i32>,
    channel: String,
    recipients: String,
    gets_it: bool,
    reason: String,
}

impl Row for Tested {
    const HEADERS: &'static [&'static str] = &["ROUTE", "CHANNEL", "TO", "GETS IT", "WHY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.route.map_or_else(|| "-".to_owned(), |position| position.to_string()),
            self.channel.clone(),
            self.recipients.clone(),
            if self.gets_it { "yes" } else { "no" }.to_owned(),
            self.reason.clone(),
        ]
    }
}
