//! What is synchronised: projects of a site, and whose issues of a project.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use super::{Actor, App, Error, Result, Verb, connect, project, schedule};
use crate::domain::cron::Schedule;
use crate::domain::failure::{Failure, FailureCode};
use crate::jira::{JiraClient, Project as JiraProject};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::people;
use crate::store::project::{NewProject, Project, ProjectFilter};
use crate::store::site::Site;
use crate::store::tracking::{self, Subject};
use crate::store::within;

pub use crate::store::tracking::{Tracked, TrackedUser};

/// The longest that a caller waits for Jira.
const JIRA: Duration = Duration::from_secs(30);
/// Projects, or users, that one call may name.
const MOST: usize = 500;
/// No site has so many pages of projects: a server that never says the last one is not asked for ever.
const MAX_PAGES: usize = 1_000;

/// A project that an account of Jira may see.
#[derive(Clone, Debug)]
pub struct ProjectOption {
    /// The site's name.
    pub site: String,
    /// Its key in Jira.
    pub key: String,
    /// Its name in Jira.
    pub name: String,
    /// The name of whoever leads it.
    pub lead: Option<String>,
    /// How many issues it has, where Jira tells.
    pub issues: Option<i64>,
    /// Whether it is archived or in the trash.
    pub closed: bool,
    /// The project here, where it is synchronised.
    pub tracked: Option<Project>,
}

/// The projects that the account of a site, or of the only site, may see, with this text in key, name or lead.
///
/// # Errors
/// Where the actor may not, the site is unknown, or Jira does not answer.
pub async fn discover(
    app: &App,
    actor: &Actor,
    site: Option<&str>,
    search: Option<&str>,
) -> Result<Vec<ProjectOption>> {
    actor.may_everywhere(Verb::TrackProject)?;
    let site = connect::find_or_only(app, site).await?;
    let client = connect::client(app, &site)?;
    let visible = in_time(visible(&client)).await?;
    let pool = app.pool();
    let filter = ProjectFilter { site: Some(site.name.clone()), ..ProjectFilter::default() };
    let ours = again(|| within(LONGEST, crate::store::project::list(&pool, &filter))).await?;
    let by_id: HashMap<i64, &Project> = ours.iter().filter_map(|one| Some((one.jira_id?, one))).collect();
    let by_key: HashMap<&str, &Project> =
        ours.iter().filter(|one| one.jira_id.is_none()).map(|one| (one.key.as_str(), one)).collect();
    let options = visible.into_iter().map(|one| ProjectOption {
        site: site.name.clone(),
        tracked: by_id.get(&one.id).or_else(|| by_key.get(one.key.as_str())).map(|ours| (*ours).clone()),
        lead: one.lead.map(|lead| lead.display_name),
        issues: one.issue_count,
        closed: one.archived || one.deleted,
        name: one.name,
        key: one.key,
    });
    let text = search.unwrap_or_default().to_lowercase();
    let has = |option: &ProjectOption| {
        let fields = [Some(&option.key), Some(&option.name), option.lead.as_ref()];
        fields.into_iter().flatten().any(|field| field.to_lowercase().contains(&text))
    };
    Ok(options.filter(|option| text.is_empty() || has(option)).collect())
}

async fn in_time<T>(ask: impl Future<Output = std::result::Result<T, Failure>>) -> Result<T> {
    match timeout(JIRA, ask).await {
        Ok(answer) => answer.map_err(|failure| Error::jira(&failure)),
        Err(_) => {
            let failure =
                Failure::new(FailureCode::Timeout, format!("Jira did not answer within {} s", JIRA.as_secs()));
            Err(Error::jira(&failure))
        }
    }
}

async fn visible(client: &JiraClient) -> std::result::Result<Vec<JiraProject>, Failure> {
    let mut projects: Vec<JiraProject> = Vec::new();
    let mut start_at = Some(0);
    let mut any_state = true;
    for _ in 0..MAX_PAGES {
        let Some(start) = start_at else { break };
        let page = match any_state {
            true => client.projects_of_any_state(start).await,
            false => client.projects(start).await,
        };
        let page = match page {
            // What is archived or in the trash is not shown to everybody.
            Err(failure) if any_state && matches!(failure.code, FailureCode::BadQuery | FailureCode::Permission) => {
                any_state = false;
                continue;
            }
            page => page?,
        };
        start_at = page.next_start();
        projects.extend(page.values);
    }
    projects.sort_by(|a, b| a.key.cmp(&b.key));
    projects.dedup_by_key(|project| project.id);
    Ok(projects)
}

/// Synchronises projects of a site from now on, each with the default schedule and a first run at once. All are asked of
/// Jira before the first is added; a project that is synchronised already stays as it is.
///
/// # Errors
/// Where the actor may not, the site is unknown, Jira does not know a project, or Jira does not answer.
pub async fn track(app: &App, actor: &Actor, site: &str, keys: &[String]) -> Result<Vec<Project>> {
    actor.may_everywhere(Verb::TrackProject)?;
    let mut keys: Vec<String> = keys.iter().map(|key| key.trim().to_ascii_uppercase()).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() || keys.len() > MOST {
        return Err(Error::invalid("keys", format!("keys holds {} keys", keys.len())).help(format!("from 1 to {MOST}")));
    }
    if let Some(bad) = keys.iter().find(|key| !is_key(key)) {
        let bad: String = bad.chars().take(60).collect();
        return Err(Error::invalid("keys", format!("{bad:?} cannot be a project key"))
            .help("a key is letters, digits and underscores, beginning with a letter, such as WEB"));
    }
    let site = connect::find(app, site).await?;
    let client = connect::client(app, &site)?;
    let mut wanted: Vec<JiraProject> = Vec::with_capacity(keys.len());
    for key in &keys {
        match in_time(client.project(key)).await {
            Ok(found) => wanted.push(found),
            Err(mut error) => {
                error.field = Some("keys".to_owned());
                error.message = format!("{key}: {}", error.message);
                return Err(error);
            }
        }
    }
    register(app, actor, &site, wanted).await?;
    let names: Vec<String> = keys.iter().map(|key| format!("{}/{key}", site.name)).collect();
    let all = project::list(app, actor, false).await?;
    let found = |name: &String| all.iter().find(|one| project::name(one).eq_ignore_ascii_case(name)).cloned();
    Ok(names.iter().filter_map(found).collect())
}

async fn register(app: &App, actor: &Actor, site: &Site, wanted: Vec<JiraProject>) -> Result<()> {
    let defaults = &app.config.sync;
    let schedule = Schedule::parse(&defaults.default_cron, &defaults.time_zone)
        .map_err(|problem| Error::invalid("cron", problem.to_string()))?;
    let mut new = Vec::with_capacity(wanted.len());
    for one in wanted {
        let id = app.clock.new_id();
        let next = schedule::next_slot(app, &schedule, id)?;
        let (jira_id, next_slot_at, next_run_at) = (Some(one.id), next.slot_at, next.run_at);
        new.push(NewProject { id, key: one.key, jira_id, name: one.name, next_slot_at, next_run_at });
    }
    new.dedup_by(|a, b| a.key == b.key);
    let (pool, who) = (app.pool(), actor.who());
    let when = (schedule.expression(), schedule.time_zone().name());
    undisturbed(|| crate::store::project::add(&pool, site.id, &new, when, true, &who)).await?;
    Ok(())
}

/// The same rule as the table's.
fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.len() <= 255
        && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Stops synchronising a project and keeps what the replica holds. Answers the project as it was.
///
/// # Errors
/// Where the actor may not, or no such project is within reach.
pub async fn untrack(app: &App, actor: &Actor, named: &str) -> Result<Project> {
    actor.may(Verb::TrackProject)?;
    let project = project::find(app, actor, named, false).await?;
    let (pool, who, name) = (app.pool(), actor.who(), project::name(&project));
    undisturbed(|| crate::store::project::remove(&pool, project.id, &name, &who)).await?;
    Ok(project)
}

/// A user of a site, and whether a project brings their issues.
#[derive(Clone, Debug)]
pub struct UserOption {
    /// Jira's id of the user.
    pub account_id: String,
    /// The name shown.
    pub display_name: String,
    /// None where Jira hides it.
    pub email: Option<String>,
    /// Whether the project lists the user.
    pub is_tracked: bool,
}

/// The users of a project's site that the replica knows, with this text in name, address or id: at most 1,000. Without a
/// project, the users of all sites.
///
/// # Errors
/// Where the actor may not, or no such project is within reach.
pub async fn users(app: &App, actor: &Actor, named: Option<&str>, search: Option<&str>) -> Result<Vec<UserOption>> {
    let pool = app.pool();
    let (site, listed) = match named {
        Some(named) => {
            actor.may(Verb::TrackUser)?;
            let project = project::find(app, actor, named, false).await?;
            let site = connect::find(app, &project.site).await?;
            (Some(site.id), again(|| within(LONGEST, tracking::list(&pool, project.id))).await?)
        }
        None => {
            actor.may_everywhere(Verb::TrackUser)?;
            (None, Vec::new())
        }
    };
    let known = again(|| within(LONGEST, people::users(&pool, site))).await?;
    let mut options: Vec<UserOption> = known
        .into_iter()
        .map(|user| UserOption {
            is_tracked: listed.iter().any(|one| one.account_id == user.account_id),
            account_id: user.account_id,
            display_name: user.display_name,
            email: user.email,
        })
        .collect();
    let unknown = listed.into_iter().filter(|one| one.display_name.is_none()).map(|one| UserOption {
        display_name: one.account_id.clone(),
        account_id: one.account_id,
        email: None,
        is_tracked: true,
    });
    options.extend(unknown);
    let text = search.unwrap_or_default().to_lowercase();
    options.retain(|one| {
        let fields = [Some(&one.account_id), Some(&one.display_name), one.email.as_ref()];
        text.is_empty() || fields.into_iter().flatten().any(|field| field.to_lowercase().contains(&text))
    });
    options.truncate(1_000);
    Ok(options)
}

/// Brings the issues of these users too, with their whole history. A project that brought everybody's issues brings those of
/// listed users from now on.
///
/// # Errors
/// Where the actor may not, no such project is within reach, or the site has no such user that the replica knows.
pub async fn add_users(app: &App, actor: &Actor, named: &str, account_ids: &[String]) -> Result<Project> {
    let project = subject(app, actor, named, account_ids).await?;
    let site = connect::find(app, &project.site).await?;
    let pool = app.pool();
    let known = again(|| within(LONGEST, tracking::look_up(&pool, site.id, account_ids))).await?;
    if let Some(unknown) = account_ids.iter().find(|id| known.iter().all(|(_, account)| account != *id)) {
        let unknown: String = unknown.chars().take(100).collect();
        return Err(Error::invalid("accountIds", format!("site {} has no user {unknown:?}", project.site))
            .help("take the account id of a user that jiraProjectUserOptions lists"));
    }
    let name = project::name(&project);
    let subject = Subject { project_id: project.id, name: &name, who: actor.who() };
    undisturbed(|| tracking::add(&pool, subject, account_ids)).await?;
    Ok(project)
}

/// Brings nothing new of these users; what the replica has of them stays.
///
/// # Errors
/// Where the actor may not, or no such project is within reach.
pub async fn remove_users(app: &App, actor: &Actor, named: &str, account_ids: &[String]) -> Result<Project> {
    let project = subject(app, actor, named, account_ids).await?;
    let (pool, name) = (app.pool(), project::name(&project));
    let subject = Subject { project_id: project.id, name: &name, who: actor.who() };
    undisturbed(|| tracking::remove(&pool, subject, account_ids)).await?;
    Ok(project)
}

async fn subject(app: &App, actor: &Actor, named: &str, account_ids: &[String]) -> Result<Project> {
    actor.may(Verb::TrackUser)?;
    if account_ids.is_empty() || account_ids.len() > MOST {
        return Err(Error::invalid("accountIds", format!("accountIds holds {} ids", account_ids.len()))
            .help(format!("from 1 to {MOST}")));
    }
    project::find(app, actor, named, false).await
}
