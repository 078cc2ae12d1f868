//! `syncline schedule`: when projects run next, and why then.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use super::output::time;
use super::selection::Which;
use super::{Context, Error, Fields, Row, project};
use crate::app::schedule::{self, View};
use crate::domain::cron::Schedule;

/// Show when projects run next, and why
#[derive(Debug, clap::Args)]
pub struct ScheduleArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List schedules by their next start
    List,
    /// Explain when projects run next
    #[command(after_long_help = "\
Examples:
  syncline schedule show WEB
  syncline schedule show OPS WEB
  syncline schedule show --site acme")]
    Show(Which),
}

pub(super) async fn run(args: ScheduleArgs, context: &Context) -> Result<(), Error> {
    let now = context.clock.now();
    match args.verb {
        Verb::List => {
            let views = schedule::list(&context.app(), &context.acting(), None).await?;
            let shown: Vec<_> = views.iter().map(|view| Shown::of(view, now)).collect();
            context.output.rows(&shown, "no schedule yet: add a project with `syncline project add SITE KEY`")
        }
        Verb::Show(which) => show(&which, now, context).await,
    }
}

async fn show(which: &Which, now: DateTime<Utc>, context: &Context) -> Result<(), Error> {
    let chosen = which.choose(context, false).await?;
    // One project is asked for alone: there may be thousands.
    let only = if let [one] = chosen.as_slice() { Some(one.id) } else { None };
    let views = schedule::list(&context.app(), &context.acting(), only).await?;
    let mut shown = Vec::with_capacity(chosen.len());
    for project in &chosen {
        match views.iter().find(|view| view.project_id == project.id) {
            Some(view) => shown.push(Shown::of(view, now)),
            None if which.is_named() => {
                return Err(Error::failure(format!("project {} has no schedule", project::name(project)))
                    .help("set one with `syncline project reschedule`"));
            }
            None => {}
        }
    }
    match shown.as_slice() {
        [one] if which.one().is_some() => context.output.fields(one),
        several => context.output.blocks(several),
    }
}

#[derive(Serialize)]
struct Shown {
    project: String,
    state: String,
    cron: String,
    time_zone: String,
    base_cadence_seconds: Option<u64>,
    next_run_at: DateTime<Utc>,
    rung: i16,
    hold: Option<String>,
    hold_code: Option<String>,
    held_since: Option<DateTime<Utc>>,
    failure_streak: i32,
    missed_slots: i64,
    last_slot_at: Option<DateTime<Utc>>,
    why: String,
}

impl Shown {
    fn of(view: &View, now: DateTime<Utc>) -> Self {
        let schedule = Schedule::parse(&view.cron, &view.time_zone).ok();
        let state = if view.project_state == "active" { &view.state } else { &view.project_state };
        Self {
            project: format!("{}/{}", view.site, view.key),
            state: state.clone(),
            cron: view.cron.clone(),
            time_zone: view.time_zone.clone(),
            base_cadence_seconds: schedule.as_ref().map(|schedule| schedule.interval_at(now).as_secs()),
            next_run_at: view.next_run_at,
            rung: view.rung,
            hold: view.hold.clone(),
            hold_code: view.hold_code.clone(),
            held_since: view.held_since,
            failure_streak: view.failure_streak,
            missed_slots: view.missed_total,
            last_slot_at: view.last_slot_at,
            why: schedule::why(view, now),
        }
    }
}

impl Row for Shown {
    const HEADERS: &'static [&'static str] = &["PROJECT", "STATE", "NEXT RUN", "RUNG", "WHY"];

    fn cells(&self) -> Vec<String> {
        vec![self.project.clone(), self.state.clone(), time(self.next_run_at), self.rung.to_string(), self.why.clone()]
    }
}

impl Fields for Shown {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let zone = format!("{} ({})", self.cron, self.time_zone);
        vec![
            ("project", self.project.clone()),
            ("state", self.state.clone()),
            ("base cadence", zone),
            ("next run", time(self.next_run_at)),
            ("why", self.why.clone()),
            ("missed slots", self.missed_slots.to_string()),
            ("last slot", self.last_slot_at.map(time).unwrap_or_default()),
        ]
    }
}
