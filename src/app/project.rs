//! Projects: which there are within reach, and pausing and resuming them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Actor, App, Error, Result, Verb, connect};
use crate::domain::cron::{CronError, Schedule};
use crate::domain::spread;
use crate::store::drift;
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::project::{self, ProjectFilter};
use crate::store::schedule_admin::{self, NextSlot};
use crate::store::within;

pub use crate::store::drift::Drift;
pub use crate::store::project::{Project, SyncState};

/// SITE/KEY.
pub fn name(project: &Project) -> String {
    format!("{}/{}", project.site, project.key)
}

/// The projects within reach, in the order of site and key.
///
/// # Errors
/// Where the actor may not.
pub async fn list(app: &App, actor: &Actor, removed: bool) -> Result<Vec<Project>> {
    actor.may(Verb::ReadProjects)?;
    all(app, actor, removed).await
}

async fn all(app: &App, actor: &Actor, removed: bool) -> Result<Vec<Project>> {
    let pool = app.pool();
    let filter = ProjectFilter { removed, ..ProjectFilter::default() };
    let mut found = again(|| within(LONGEST, project::list(&pool, &filter))).await?;
    found.retain(|one| actor.reaches(one.id));
    Ok(found)
}

/// How far projects have been read, by entity.
///
/// # Errors
/// Where the actor may not.
pub async fn states(app: &App, actor: &Actor, projects: &[Uuid]) -> Result<Vec<SyncState>> {
    actor.may(Verb::ReadProjects)?;
    let (pool, projects) = (app.pool(), within_reach(actor, projects));
    Ok(again(|| within(LONGEST, project::states(&pool, &projects))).await?)
}

/// The last comparison of each project with Jira.
///
/// # Errors
/// Where the actor may not.
pub async fn verifications(app: &App, actor: &Actor, projects: &[Uuid]) -> Result<Vec<(Uuid, serde_json::Value)>> {
    actor.may(Verb::ReadProjects)?;
    let (pool, projects) = (app.pool(), within_reach(actor, projects));
    Ok(again(|| within(LONGEST, project::verifications(&pool, &projects))).await?)
}

pub(super) fn within_reach(actor: &Actor, projects: &[Uuid]) -> Vec<Uuid> {
    projects.iter().copied().filter(|id| actor.reaches(*id)).collect()
}

/// Where Jira's answers differ from what is documented; of one site where it is named.
///
/// # Errors
/// Where the actor may not, or the site is unknown.
pub async fn drift(app: &App, actor: &Actor, site: Option<&str>) -> Result<Vec<Drift>> {
    actor.may_everywhere(Verb::ReadProjects)?;
    let site = match site {
        Some(name) => Some(connect::find(app, name).await?.id),
        None => None,
    };
    let pool = app.pool();
    Ok(again(|| within(LONGEST, drift::list(&pool, site))).await?)
}

/// Whether a project is meant by KEY or SITE/KEY, whatever the case.
fn is_named(project: &Project, text: &str) -> bool {
    match text.split_once('/') {
        Some((site, key)) => project.site.eq_ignore_ascii_case(site) && project.key.eq_ignore_ascii_case(key),
        None => project.key.eq_ignore_ascii_case(text),
    }
}

/// The one project that is meant, or an error that offers what is near.
fn pick<'a>(projects: &'a [Project], text: &str) -> Result<&'a Project> {
    let meant: Vec<&Project> = projects.iter().filter(|one| is_named(one, text)).collect();
    let key = text.rsplit('/').next().unwrap_or(text).to_ascii_uppercase();
    match meant.as_slice() {
        [one] => Ok(one),
        [] => {
            let near = projects
                .iter()
                .map(|other| (strsim::jaro_winkler(&key, &other.key), other))
                .filter(|(likeness, _)| *likeness > 0.7)
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, other)| format!("did you mean {}? ", name(other)));
            let help = format!("{}list the projects with `syncline project list`", near.unwrap_or_default());
            Err(Error::not_found(format!("unknown project {text:?}")).help(help))
        }
        several => {
            let names: Vec<String> = several.iter().map(|one| name(one)).collect();
            let message = format!("project key {key} is used on several sites: {}", names.join(", "));
            Err(Error::invalid("project", message).help("name the site too, as SITE/KEY"))
        }
    }
}

/// The project that KEY or SITE/KEY names; with `removed` it may have been removed.
///
/// # Errors
/// Where the actor may not, or no such project is within reach.
pub async fn find(app: &App, actor: &Actor, named: &str, removed: bool) -> Result<Project> {
    actor.may(Verb::ReadProjects)?;
    let projects = all(app, actor, removed).await?;
    pick(&projects, named).cloned()
}

/// The ids of the projects that are meant and within reach; none when nothing narrows them down.
///
/// # Errors
/// Where one of those that were named is unknown or ambiguous.
pub(super) async fn reach(
    app: &App,
    actor: &Actor,
    named: Option<&[String]>,
    site: Option<&str>,
    text: Option<&str>,
) -> Result<Option<Vec<Uuid>>> {
    if named.is_none() && site.is_none() && text.is_none() {
        return Ok(actor.projects.clone());
    }
    let projects = all(app, actor, true).await?;
    let named = match named {
        Some(texts) => {
            let found: Result<Vec<Uuid>> = texts.iter().map(|text| pick(&projects, text).map(|one| one.id)).collect();
            Some(found?)
        }
        None => None,
    };
    let text = text.map(str::to_lowercase);
    let has = |one: &Project, text: &str| format!("{} {}", name(one), one.name).to_lowercase().contains(text);
    let ids = projects
        .iter()
        .filter(|one| named.as_ref().is_none_or(|ids| ids.contains(&one.id)))
        .filter(|one| site.is_none_or(|site| one.site == site))
        .filter(|one| text.as_deref().is_none_or(|text| has(one, text)))
        .map(|one| one.id);
    Ok(Some(ids.collect()))
}

/// What became of a project.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The project as it was before.
    pub project: Project,
    /// False when it was so already.
    pub changed: bool,
    /// When it runs next by itself.
    pub next_run_at: Option<DateTime<Utc>>,
}

/// Stops a project's schedule and refuses requests; a run that is under way goes on to its end.
///
/// # Errors
/// Where the actor may not, or no such project is within reach.
pub async fn pause(app: &App, actor: &Actor, named: &str) -> Result<Changed> {
    actor.may(Verb::PauseProject)?;
    let project = find(app, actor, named, false).await?;
    let changed = project.state != "paused";
    if changed {
        let (pool, who, name) = (app.pool(), actor.who(), name(&project));
        undisturbed(|| schedule_admin::pause(&pool, project.id, &name, &who)).await?;
    }
    Ok(Changed { project, changed, next_run_at: None })
}

/// Starts a project again from its next slot on. `default_cron` and `default_zone` count where it has no schedule.
///
/// # Errors
/// Where the actor may not, or no such project is within reach.
pub async fn resume(
    app: &App,
    actor: &Actor,
    named: &str,
    (default_cron, default_zone): (&str, &str),
) -> Result<Changed> {
    actor.may(Verb::ResumeProject)?;
    let project = find(app, actor, named, false).await?;
    if project.state == "active" {
        return Ok(Changed { next_run_at: project.next_run_at, project, changed: false });
    }
    let wrong = |problem: CronError| Error::invalid("cron", problem.to_string());
    let schedule = Schedule::parse(
        project.cron.as_deref().unwrap_or(default_cron),
        project.time_zone.as_deref().unwrap_or(default_zone),
    )
    .map_err(wrong)?;
    let next = spread::next_start(&schedule, project.id, app.clock.now())
        .map(|(slot_at, run_at)| NextSlot { slot_at, run_at })
        .ok_or_else(|| {
            Error::invalid("cron", format!("the schedule {:?} has no further slot", schedule.expression()))
        })?;
    let (pool, who, name) = (app.pool(), actor.who(), name(&project));
    undisturbed(|| schedule_admin::resume(&pool, project.id, next, &name, &who)).await?;
    Ok(Changed { project, changed: true, next_run_at: Some(next.run_at) })
}
