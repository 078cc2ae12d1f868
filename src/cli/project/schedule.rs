//! `syncline project reschedule` and `resume`: when the next run is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::output::time;
use super::super::{Context, Error};
use super::{find, name};
use crate::domain::cron::Schedule;
use crate::domain::spread;
use crate::store::health;
use crate::store::schedule_admin::{self, NextSlot};

#[derive(Debug, clap::Args)]
pub(super) struct RescheduleArgs {
    /// KEY or SITE/KEY
    project: String,
    /// When to synchronise: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "EXPRESSION", required_unless_present = "time_zone")]
    cron: Option<String>,
    /// The time zone of the expression, e.g. Europe/Berlin
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
    let project = find(context, &args.project, false).await?;
    let name = name(&project);
    let cron = args.cron.or(project.cron).unwrap_or_else(|| context.config.sync.default_cron.clone());
    let zone = args.time_zone.or(project.time_zone).unwrap_or_else(|| context.config.sync.time_zone.clone());
    let schedule = Schedule::parse(&cron, &zone)?;
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
    let when = if project.state == "paused" {
        "it stays paused".to_owned()
    } else {
        format!("next run at {}", time(next_run_at))
    };
    context.output.note(&format!("{name} now runs at {cron:?} ({zone}); {when}"));
    Ok(())
}

pub(super) async fn resume(context: &Context, text: &str) -> Result<(), Error> {
    let project = find(context, text, false).await?;
    let name = name(&project);
    if project.state == "active" {
        context.output.note(&format!("{name} is active already"));
        return Ok(());
    }
    let defaults = &context.config.sync;
    let schedule = Schedule::parse(
        project.cron.as_deref().unwrap_or(&defaults.default_cron),
        project.time_zone.as_deref().unwrap_or(&defaults.time_zone),
    )?;
    let next = next_slot(&schedule, project.id, context.clock.now())?;
    schedule_admin::resume(&context.pool, project.id, next, &name, &context.actor()).await?;
    context.output.note(&format!("resumed {name}; next run at {}", time(next.run_at)));
    Ok(())
}
