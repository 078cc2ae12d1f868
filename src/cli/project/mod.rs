//! `syncline project`: what is synchronised, and when.

mod add;
mod discover;
mod schedule;
mod track;
mod who;

use clap::Subcommand;
use serde::Serialize;

use super::confirm::confirm;
use super::output::{time, time_or_dash};
use super::{Context, Error, Fields, Row};
use crate::store::project::{self, Project, ProjectFilter, ReplicaCounts};
use crate::store::schedule_admin;

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
    /// List what the account can see on a site, and synchronise what is chosen
    Discover(discover::DiscoverArgs),
    /// Choose whose issues a project brings: everybody's, or those of listed users
    Track(track::TrackArgs),
    /// List projects with their schedules and how far they are synchronised
    List {
        /// Only those of this site
        #[arg(long)]
        site: Option<String>,
        /// Removed ones too
        #[arg(long)]
        all: bool,
    },
    /// Show one project, and what the replica holds of it
    Show {
        /// KEY or SITE/KEY
        project: String,
    },
    /// Stop a project's schedule and refuse requests; a run that is under way goes on
    Pause {
        /// KEY or SITE/KEY
        project: String,
    },
    /// Start a paused project's schedule again
    Resume {
        /// KEY or SITE/KEY
        project: String,
    },
    /// Change when a project is synchronised
    Reschedule(schedule::RescheduleArgs),
    /// Stop synchronising a project; the replica keeps its rows unless --purge
    Remove {
        /// KEY or SITE/KEY
        project: String,
        /// Remove its issues, comments, worklogs and runs from the replica too
        #[arg(long)]
        purge: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
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
        Verb::Show { project } => show(context, &project).await,
        Verb::Pause { project } => pause(context, &project).await,
        Verb::Resume { project } => schedule::resume(context, &project).await,
        Verb::Reschedule(args) => schedule::reschedule(args, context).await,
        Verb::Remove { project, purge, yes } => remove(context, &project, purge, yes).await,
    }
}

/// The project that KEY or SITE/KEY names, or an error that offers what is near.
pub(super) async fn find(context: &Context, text: &str, removed: bool) -> Result<Project, Error> {
    let (site, key) = match text.split_once('/') {
        Some((site, key)) => (Some(site.to_ascii_lowercase()), key),
        None => (None, text),
    };
    let key = key.to_ascii_uppercase();
    let filter = ProjectFilter { site, key: Some(key.clone()), removed };
    let mut found = project::list(&context.pool, &filter).await?;
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(name).collect();
        return Err(Error::usage(format!("project key {key} is used on several sites: {}", names.join(", ")))
            .help("name the site too, as SITE/KEY"));
    }
    if let Some(found) = found.pop() {
        return Ok(found);
    }
    let all = project::list(&context.pool, &ProjectFilter { removed, ..ProjectFilter::default() }).await?;
    let near = all
        .iter()
        .map(|other| (strsim::jaro_winkler(&key, &other.key), other))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| format!("did you mean {}? ", name(other)));
    let help = format!("{}list the projects with `syncline project list`", near.unwrap_or_default());
    Err(Error::failure(format!("unknown project {text:?}")).help(help))
}

/// SITE/KEY.
pub(super) fn name(project: &Project) -> String {
    format!("{}/{}", project.site, project.key)
}

/// A project with what the replica holds of it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    project: Project,
    replica: ReplicaCounts,
}

async fn show(context: &Context, text: &str) -> Result<(), Error> {
    let project = find(context, text, true).await?;
    let replica = project::count_replica(&context.pool, project.id).await?;
    context.output.fields(&Shown { project, replica })
}

async fn pause(context: &Context, text: &str) -> Result<(), Error> {
    let project = find(context, text, false).await?;
    let name = name(&project);
    if project.state == "paused" {
        context.output.note(&format!("{name} is paused already"));
        return Ok(());
    }
    schedule_admin::pause(&context.pool, project.id, &name, &context.actor()).await?;
    context.output.note(&format!("paused {name}; resume it with `syncline project resume {name}`"));
    if let Some(run) = project.active_run {
        context.output.note(&format!("run {run} goes on; stop it with `syncline run cancel {run}`"));
    }
    Ok(())
}

async fn remove(context: &Context, text: &str, purge: bool, yes: bool) -> Result<(), Error> {
    let project = find(context, text, purge).await?;
    let name = name(&project);
    if purge {
        let counts = project::count_replica(&context.pool, project.id).await?;
        let act = format!(
            "remove {name} with {} issues, {} comments, {} worklogs and all its runs from the replica",
            counts.issues, counts.comments, counts.worklogs
        );
        confirm(&act, yes)?;
        let issues = project::purge(&context.pool, project.id, &name, &context.actor()).await?;
        context.output.note(&format!("removed {name} and {issues} issues"));
        return Ok(());
    }
    confirm(&format!("stop synchronising {name} (the replica keeps its rows)"), yes)?;
    project::remove(&context.pool, project.id, &name, &context.actor()).await?;
    context.output.note(&format!("removed {name}; the replica keeps its rows"));
    Ok(())
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
        &["SITE", "KEY", "NAME", "STATE", "SCHEDULE", "LAST SYNC", "FRESH UNTIL", "NEXT RUN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.site.clone(),
            self.key.clone(),
            self.name.clone(),
            self.state.clone(),
            schedule_text(self),
            if self.active_run.is_some() { "running".into() } else { self.status.clone() },
            time_or_dash(self.cursor_at),
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
            ("fresh until", time_or_dash(project.cursor_at)),
            ("established", project.last_sync_time.map(time).unwrap_or_default()),
            ("active run", project.active_run.map(|run| run.to_string()).unwrap_or_default()),
            ("issues", self.replica.issues.to_string()),
            ("comments", self.replica.comments.to_string()),
            ("worklogs", self.replica.worklogs.to_string()),
        ]
    }
}
