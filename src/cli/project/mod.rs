//! `syncline project`: what is synchronised, and when.

mod act;
mod add;
mod discover;
mod schedule;
mod track;
mod who;

use clap::Subcommand;
use serde::Serialize;

use super::completing;
use super::output::{time, time_or_dash};
use super::selection::{Selection, Which};
use super::{Context, Error, Fields, Row};
use crate::app;
pub(super) use crate::app::project::name;
use crate::store::project::{self, Project, ProjectFilter, ReplicaCounts};

/// Discover, add, list, show, track, pause, resume, reschedule or remove projects
#[derive(Debug, clap::Args)]
pub struct ProjectArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Synchronise projects of a site
    Add(add::AddArgs),
    /// List the projects that the account can see on a site, and add some or all of them
    Discover(discover::DiscoverArgs),
    /// Select the issues of projects: all issues, or those of listed users
    Track(track::TrackArgs),
    /// List projects with their schedules and sync progress
    List {
        /// Only those of this site
        #[arg(long, add = completing::sites())]
        site: Option<String>,
        /// Include removed ones
        #[arg(long)]
        all: bool,
    },
    /// Show projects and their row counts in the replica
    Show(Which),
    /// Pause projects: stop their schedules and refuse requests; an active run continues
    #[command(after_long_help = "\
Examples:
  syncline project pause WEB
  syncline project pause OPS WEB
  syncline project pause --site acme --yes")]
    Pause(Selection),
    /// Resume paused projects
    Resume(Selection),
    /// Change the schedules of projects
    Reschedule(schedule::RescheduleArgs),
    /// Stop synchronising projects; the replica keeps their rows unless you use --purge
    Remove {
        #[command(flatten)]
        selection: Selection,
        /// Also remove their issues, comments, worklogs and runs from the replica
        #[arg(long)]
        purge: bool,
    },
}

pub(super) async fn run(args: ProjectArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Add(args) => add::run(args, context).await,
        Verb::Discover(args) => discover::run(args, context).await,
        Verb::Track(args) => track::run(args, context).await,
        Verb::List { site, all } => {
            let filter = ProjectFilter { site, removed: all, ..ProjectFilter::default() };
            let projects = project::list(&context.pool, &filter).await?;
            context.output.rows(&projects, "no project yet: add one with `syncline project add SITE KEY`")
        }
        Verb::Show(which) => show(context, &which).await,
        Verb::Pause(selection) => act::pause(&selection, context).await,
        Verb::Resume(selection) => act::resume(&selection, context).await,
        Verb::Reschedule(args) => schedule::reschedule(args, context).await,
        Verb::Remove { selection, purge } => act::remove(&selection, purge, context).await,
    }
}

/// The project that KEY or SITE/KEY names, or an error that offers what is near.
pub(super) async fn find(context: &Context, text: &str, removed: bool) -> Result<Project, Error> {
    Ok(app::project::find(&context.app(), &context.acting(), text, removed).await?)
}

/// A project with what the replica holds of it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    project: Project,
    replica: ReplicaCounts,
}

async fn show(context: &Context, which: &Which) -> Result<(), Error> {
    // One that was removed is shown where it is named.
    let chosen = which.choose(context, which.is_named()).await?;
    let mut shown = Vec::with_capacity(chosen.len());
    for project in chosen {
        let replica = project::count_replica(&context.pool, project.id).await?;
        shown.push(Shown { project, replica });
    }
    match shown.as_slice() {
        [one] if which.one().is_some() => context.output.fields(one),
        several => context.output.blocks(several),
    }
}

fn schedule_text(project: &Project) -> String {
    match (&project.cron, &project.time_zone) {
        (Some(cron), Some(zone)) if zone == "UTC" => cron.clone(),
        (Some(cron), Some(zone)) => format!("{cron} {zone}"),
        _ => "-".into(),
    }
}

impl Row for Project {
    const HEADERS: &'static [&'static str] =
        &["SITE", "KEY", "NAME", "STATE", "SCHEDULE", "LAST SYNC", "LAST SUCCESS", "NEWEST CHANGE", "NEXT RUN"];
    const SPARE: &'static [&'static str] = &["SCHEDULE", "NAME", "NEWEST CHANGE", "SITE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.site.clone(),
            self.key.clone(),
            self.name.clone(),
            self.state.clone(),
            schedule_text(self),
            if self.active_run.is_some() { "running".into() } else { self.status.clone() },
            time_or_dash(self.last_success_at),
            time_or_dash(self.newest_change_at),
            time_or_dash(self.next_run_at),
        ]
    }
}

impl Fields for Shown {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let project = &self.project;
        vec![
            ("project", name(project)),
            ("name", project.name.clone()),
            ("state", project.state.clone()),
            ("jira id", project.jira_id.map(|id| id.to_string()).unwrap_or_default()),
            ("schedule", schedule_text(project)),
            ("next run", project.next_run_at.map(time).unwrap_or_default()),
            ("missed slots", project.missed_total.to_string()),
            ("last sync", project.status.clone()),
            ("last success", time_or_dash(project.last_success_at)),
            ("newest change", time_or_dash(project.newest_change_at)),
            ("read up to", time_or_dash(project.cursor_at)),
            ("active run", project.active_run.map(|run| run.to_string()).unwrap_or_default()),
            ("issues", self.replica.issues.to_string()),
            ("comments", self.replica.comments.to_string()),
            ("worklogs", self.replica.worklogs.to_string()),
        ]
    }
}
