//! `syncline alert silence` and `maintenance`: what keeps messages back, always with an end.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use uuid::Uuid;

use super::super::ids::ambiguous;
use super::super::output::{Format, time};
use super::super::{Context, Error, Row, completing};
use super::parse::{self, SelectorArgs};
use super::show::find;
use crate::domain::route::{Selector, Silence};
use crate::store::alert::silence::{self, SilenceView};
use crate::store::ids::{Candidate, range};

/// The end, which must be given: nothing is silenced for ever.
#[derive(Debug, clap::Args)]
struct EndArgs {
    /// Duration, e.g. 4h or 2d
    #[arg(long = "for", value_name = "SPAN", value_parser = parse::span, conflicts_with = "until")]
    span: Option<TimeDelta>,
    /// End, e.g. 2026-03-02T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    until: Option<DateTime<Utc>>,
}

impl EndArgs {
    fn read(&self, starts_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
        let help = "give its end: --for 4h, or --until 2026-03-02T18:00:00Z";
        let Some(end) = self.until.or_else(|| self.span.map(|span| starts_at + span)) else {
            return Err(Error::usage("it has no end; a silence must end").help(help));
        };
        if end <= starts_at || end <= now {
            let begin = if end <= now { "is over already" } else { "ends before it starts" };
            return Err(Error::usage(format!("{} to {} {begin}", time(starts_at), time(end))).help(help));
        }
        Ok(end)
    }
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SilenceArgs {
    #[command(subcommand)]
    list: Option<SilenceVerb>,
    /// The alert, unless the silence is for whatever matches the options
    #[arg(add = completing::alerts())]
    alert: Option<String>,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    selector: SelectorArgs,
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Debug, Subcommand)]
enum SilenceVerb {
    /// List silences that have not ended
    List,
}

pub(super) async fn silence(args: SilenceArgs, context: &Context) -> Result<(), Error> {
    let now = context.clock.now();
    if let Some(SilenceVerb::List) = args.list {
        let rows = silence::list(&context.pool, "silence", now).await?;
        return context.output.rows(&rows, "nothing is silenced");
    }
    let ends_at = args.end.read(now, now)?;
    let selector = args.selector.read(context).await?;
    let alert_id = match (&args.alert, selector.is_empty()) {
        (Some(alert), true) => Some(find(context, alert).await?.id),
        (None, false) => None,
        (Some(_), false) => {
            return Err(
                Error::usage("an alert and options that match others exclude each other").help("leave out one of them")
            );
        }
        (None, true) => {
            return Err(Error::usage("this would silence everything")
                .help("name an alert, or select alerts: --class, --category, --site, --project, --min-severity"));
        }
    };
    let new = Silence { id: context.clock.new_id(), alert_id, selector, starts_at: now, ends_at };
    silence::add(&context.pool, now, "silence", &new, &args.reason, &context.actor()).await?;
    let text = format!("silenced until {}; end it with `syncline alert unsilence {}`", time(ends_at), new.id);
    context.output.done(&text, &serde_json::json!({"silence": new.id, "ends_at": ends_at, "outcome": "silenced"}))
}

#[derive(Debug, clap::Args)]
pub(super) struct MaintenanceArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Plan a maintenance window: it suppresses messages; alerts that are open at its end send theirs then
    Add {
        /// Start, e.g. 2026-03-02T18:00:00Z [default: now]
        #[arg(long, value_name = "TIME", value_parser = parse::time)]
        from: Option<DateTime<Utc>>,
        #[command(flatten)]
        end: EndArgs,
        /// On this site; may be repeated
        #[arg(long, value_name = "SITE", required_unless_present_any = ["project", "all"])]
        site: Vec<String>,
        /// About this project; may be repeated
        #[arg(long, value_name = "PROJECT")]
        project: Vec<String>,
        /// About everything
        #[arg(long, conflicts_with_all = ["site", "project"])]
        all: bool,
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// List maintenance windows that have not ended
    List,
    /// Remove a window, or end it now
    Remove {
        /// Its id, or the first digits of it
        id: String,
    },
}

pub(super) async fn run(args: MaintenanceArgs, context: &Context) -> Result<(), Error> {
    let now = context.clock.now();
    match args.verb {
        Verb::Add { from, end, site, project, all: _, reason } => {
            let starts_at = from.unwrap_or(now);
            let ends_at = end.read(starts_at, now)?;
            let names = SelectorArgs::of(site, project).read(context).await?;
            let mut done = Vec::new();
            for selector in halves(names) {
                let new = Silence { id: context.clock.new_id(), alert_id: None, selector, starts_at, ends_at };
                silence::add(&context.pool, now, "maintenance", &new, &reason, &context.actor()).await?;
                if context.output.format() == Format::Table {
                    let (from, to) = (time(starts_at), time(ends_at));
                    context.output.note(&format!("maintenance {} from {from} to {to}", new.id));
                }
                let window = serde_json::json!({"maintenance": new.id, "starts_at": starts_at, "ends_at": ends_at, "outcome": "planned"});
                done.push(window);
            }
            match context.output.format() {
                Format::Table => Ok(()),
                Format::Json | Format::Jsonl => context.output.result("", &done),
            }
        }
        Verb::List => {
            let rows = silence::list(&context.pool, "maintenance", now).await?;
            context.output.rows(&rows, "no maintenance window is planned")
        }
        Verb::Remove { id: text } => {
            let no_such = || {
                Error::failure(format!("there is no maintenance window {text}"))
                    .help("list windows with `syncline alert maintenance list`")
            };
            let id = named(context, "maintenance", &text).await?.ok_or_else(no_such)?;
            if silence::end(&context.pool, now, "maintenance", id, &context.actor()).await? == 0 {
                return Err(no_such());
            }
            let done = serde_json::json!({"maintenance": id, "outcome": "removed"});
            context.output.done("removed; open alerts send their messages now", &done)
        }
    }
}

/// The silence or window whose id, or its beginning, a text is; none where it is no such beginning, or none begins so.
pub(super) async fn named(context: &Context, kind: &str, text: &str) -> Result<Option<Uuid>, Error> {
    if let Ok(id) = Uuid::try_parse(text.trim()) {
        return Ok(Some(id));
    }
    let Some((low, high)) = range(text) else { return Ok(None) };
    let known = silence::list(&context.pool, kind, context.clock.now()).await?;
    let mut found: Vec<Candidate> = known
        .iter()
        .filter(|one| (low..=high).contains(&one.id))
        .map(|one| Candidate { id: one.id, about: one.cells().swap_remove(1) })
        .collect();
    match found.len() {
        0 => Ok(None),
        1 => Ok(Some(found.remove(0).id)),
        _ => Err(ambiguous(kind, text, &found)),
    }
}

/// Sites and projects add to each other in a window, where the conditions of a selector narrow each other.
fn halves(selector: Selector) -> Vec<Selector> {
    let Selector { sites, projects, .. } = selector;
    if sites.is_empty() || projects.is_empty() {
        return vec![Selector { sites, projects, ..Selector::default() }];
    }
    vec![Selector { sites, ..Selector::default() }, Selector { projects, ..Selector::default() }]
}

impl Row for SilenceView {
    const HEADERS: &'static [&'static str] = &["ID", "FOR", "FROM", "UNTIL", "BY", "REASON"];

    fn cells(&self) -> Vec<String> {
        let list = |name: &str, values: &[String]| match values {
            [] => None,
            values => Some(format!("{name} {}", values.join(", "))),
        };
        let parts = [
            self.alert_id.map(|id| format!("alert {id}")),
            self.min_severity.as_ref().map(|severity| format!("{severity} and worse")),
            list("category", &self.categories),
            list("class", &self.classes),
            list("site", &self.sites),
            list("project", &self.projects),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        vec![
            self.id.to_string(),
            if parts.is_empty() { "everything".into() } else { parts.join("; ") },
            time(self.starts_at),
            time(self.ends_at),
            self.created_by.clone(),
            self.reason.clone(),
        ]
    }
}
