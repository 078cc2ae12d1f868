//! `syncline project pause`, `resume` and `remove`: what changes projects, one or many.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::super::confirm::confirm;
use super::super::output::{Format, time_or_dash};
use super::super::selection::{Selection, counted};
use super::super::{Context, Error};
use super::name;
use crate::app;
use crate::store::project::{self, Project};

/// What was done to a project.
#[derive(Serialize)]
pub(super) struct Acted {
    pub project: String,
    /// `paused`, `resumed`, `rescheduled`, `removed`, `purged` or `unchanged`.
    pub outcome: &'static str,
    /// When it runs next by itself, where the act decides that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<DateTime<Utc>>,
    /// The run that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_run: Option<Uuid>,
    /// How many issues went with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issues: Option<u64>,
    /// The same for people.
    #[serde(skip)]
    pub text: String,
}

impl Acted {
    /// Nothing but what was done.
    pub fn new(project: &Project, outcome: &'static str) -> Self {
        let project = name(project);
        Self { project, outcome, next_run_at: None, active_run: None, issues: None, text: String::new() }
    }
}

/// Says what was done: a line for each project; an object for the one that was named, a list for several.
pub(super) fn tell(selection: &Selection, acts: &[Acted], context: &Context) -> Result<(), Error> {
    match (context.output.format(), acts) {
        (Format::Table, _) => {
            acts.iter().for_each(|act| context.output.note(&act.text));
            Ok(())
        }
        (_, [one]) if selection.one().is_some() => context.output.result("", one),
        (Format::Json, _) => context.output.result("", &acts),
        (Format::Jsonl, _) => acts.iter().try_for_each(|act| context.output.result("", act)),
    }
}

pub(super) async fn pause(selection: &Selection, context: &Context) -> Result<(), Error> {
    let chosen = selection.choose(context, false).await?;
    selection.agree("pause", &chosen, context)?;
    let mut acts = Vec::with_capacity(chosen.len());
    for project in &chosen {
        let name = name(project);
        if project.state == "paused" {
            let text = format!("{name} is paused already");
            acts.push(Acted { text, ..Acted::new(project, "unchanged") });
            continue;
        }
        app::project::pause(&context.app(), &context.acting(), &name).await?;
        let mut text = format!("paused {name}; resume it with `syncline project resume {name}`");
        if let Some(run) = project.active_run {
            text.push_str(&format!("\nrun {run} continues; stop it with `syncline run cancel {run}`"));
        }
        acts.push(Acted { text, active_run: project.active_run, ..Acted::new(project, "paused") });
    }
    tell(selection, &acts, context)
}

pub(super) async fn resume(selection: &Selection, context: &Context) -> Result<(), Error> {
    let chosen = selection.choose(context, false).await?;
    selection.agree("resume", &chosen, context)?;
    let defaults = &context.config.sync;
    let mut acts = Vec::with_capacity(chosen.len());
    for project in &chosen {
        let name = name(project);
        if project.state == "active" {
            let text = format!("{name} is active already");
            acts.push(Acted { text, ..Acted::new(project, "unchanged") });
            continue;
        }
        let defaults = (defaults.default_cron.as_str(), defaults.time_zone.as_str());
        let done = app::project::resume(&context.app(), &context.acting(), &name, defaults).await?;
        let next = done.next_run_at;
        let text = format!("resumed {name}; next run at {}", time_or_dash(next));
        acts.push(Acted { text, next_run_at: next, ..Acted::new(project, "resumed") });
    }
    tell(selection, &acts, context)
}

pub(super) async fn remove(selection: &Selection, purge: bool, context: &Context) -> Result<(), Error> {
    let chosen = selection.choose(context, purge).await?;
    let what = match chosen.as_slice() {
        [one] => name(one),
        several => counted(several),
    };
    let act = match purge {
        true => {
            let (mut issues, mut comments, mut worklogs) = (0, 0, 0);
            for project in &chosen {
                let counts = project::count_replica(&context.pool, project.id).await?;
                issues += counts.issues;
                comments += counts.comments;
                worklogs += counts.worklogs;
            }
            format!(
                "remove {what} with {issues} issues, {comments} comments, {worklogs} worklogs and all runs from the replica"
            )
        }
        false => format!("stop synchronising {what} (the replica keeps the rows)"),
    };
    confirm(&act, selection.is_agreed())?;
    let mut acts = Vec::with_capacity(chosen.len());
    for project in &chosen {
        let name = name(project);
        if purge {
            let issues = project::purge(&context.pool, project.id, &name, &context.actor()).await?;
            let text = format!("removed {name} and {issues} issues");
            acts.push(Acted { text, issues: Some(issues), ..Acted::new(project, "purged") });
        } else {
            project::remove(&context.pool, project.id, &name, &context.actor()).await?;
            let text = format!("removed {name}; the replica keeps its rows");
            acts.push(Acted { text, ..Acted::new(project, "removed") });
        }
    }
    tell(selection, &acts, context)
}
