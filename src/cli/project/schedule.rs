//! `syncline project reschedule`: when the next run is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::output::time;
use super::super::selection::Selection;
use super::super::{Context, Error};
use super::act::{self, Acted};
use super::name;
use crate::domain::cron::Schedule;
use crate::domain::spread;
use crate::store::health;
use crate::store::project::Project;
use crate::store::schedule_admin::{self, NextSlot};

#[derive(Debug, clap::Args)]
pub(super) struct RescheduleArgs {
    #[command(flatten)]
    selection: Selection,
    /// Schedule: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "EXPRESSION", required_unless_present = "time_zone")]
    cron: Option<String>,
    /// Time zone of the schedule, e.g. Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

/// When a project is due next: its slot, and its place in the slot's interval.
pub(super) fn next_slot(schedule: &Schedule, project_id: Uuid, now: DateTime<Utc>) -> Result<NextSlot, Error> {
    spread::next_start(schedule, project_id, now)
        .map(|(slot_at, run_at)| NextSlot { slot_at, run_at })
        .ok_or_else(|| Error::usage(format!("the schedule {:?} has no further slot", schedule.expression())))
}

pub(super) async fn reschedule(args: RescheduleArgs, context: &Context) -> Result<(), Error> {
    let chosen = args.selection.choose(context, false).await?;
    let when = (args.cron.as_deref(), args.time_zone.as_deref());
    // What is wrong with the schedule is said before anybody is asked.
    for project in &chosen {
        read(project, when, context)?;
    }
    args.selection.agree("reschedule", &chosen, context)?;
    let mut acts = Vec::with_capacity(chosen.len());
    for project in &chosen {
        acts.push(one(project, when, context).await?);
    }
    act::tell(&args.selection, &acts, context)
}

/// The schedule that a project gets: what is not given stays.
fn read(project: &Project, (cron, zone): (Option<&str>, Option<&str>), context: &Context) -> Result<Schedule, Error> {
    let defaults = &context.config.sync;
    let cron = cron.or(project.cron.as_deref()).unwrap_or(&defaults.default_cron);
    Ok(Schedule::parse(cron, zone.or(project.time_zone.as_deref()).unwrap_or(&defaults.time_zone))?)
}

async fn one(project: &Project, when: (Option<&str>, Option<&str>), context: &Context) -> Result<Acted, Error> {
    let name = name(project);
    let schedule = read(project, when, context)?;
    let next = next_slot(&schedule, project.id, context.clock.now())?;
    let (cron, zone) = (schedule.expression(), schedule.time_zone().name());
    let held = health::schedule_view(&context.pool, Some(project.id)).await?.pop();
    let base = schedule.interval_at(context.clock.now());
    let held_seconds = match held.as_ref().and_then(|view| view.hold.as_deref()) {
        Some("slow") => (base * 2).as_secs_f64(),
        _ => {
            let rung = held.as_ref().map_or(0, |view| u32::try_from(view.rung).unwrap_or(0));
            context.config.telemetry.rules().ladder.wait(rung, base, 0.5).as_secs_f64()
        }
    };
    let actor = context.actor();
    let next_run_at =
        schedule_admin::reschedule(&context.pool, project.id, cron, zone, next, held_seconds, &name, &actor).await?;
    let is_paused = project.state == "paused";
    let when = if is_paused { "it stays paused".to_owned() } else { format!("next run at {}", time(next_run_at)) };
    Ok(Acted {
        text: format!("{name} now runs at {cron:?} ({zone}); {when}"),
        next_run_at: (!is_paused).then_some(next_run_at),
        ..Acted::new(project, "rescheduled")
    })
}
