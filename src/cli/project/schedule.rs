//! `syncline project reschedule`: when the next run is.

use super::super::output::time;
use super::super::selection::Selection;
use super::super::{Context, Error};
use super::act::{self, Acted};
use super::name;
use crate::app::project::Project;
use crate::app::schedule::{self, When};

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

pub(super) async fn reschedule(args: RescheduleArgs, context: &Context) -> Result<(), Error> {
    let chosen = args.selection.choose(context, false).await?;
    let when = When { cron: args.cron.clone(), time_zone: args.time_zone.clone() };
    // What is wrong with the schedule is said before anybody is asked.
    for project in &chosen {
        schedule::check(&context.app(), project, &when)?;
    }
    args.selection.agree("reschedule", &chosen, context)?;
    let mut acts = Vec::with_capacity(chosen.len());
    for project in &chosen {
        acts.push(one(project, &when, context).await?);
    }
    act::tell(&args.selection, &acts, context)
}

async fn one(project: &Project, when: &When, context: &Context) -> Result<Acted, Error> {
    let name = name(project);
    let done = schedule::reschedule(&context.app(), &context.acting(), &name, when).await?;
    let when = match done.next_run_at {
        Some(at) => format!("next run at {}", time(at)),
        None => "it stays paused".to_owned(),
    };
    Ok(Acted {
        text: format!("{name} now runs at {:?} ({}); {when}", done.cron, done.time_zone),
        next_run_at: done.next_run_at,
        ..Acted::new(project, "rescheduled")
    })
}
