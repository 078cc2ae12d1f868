//! What can be done. Each mutation calls a use case, which checks, acts and writes the audit.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use uuid::Uuid;

use super::types::{Alert, Project, RunFilter, Setting, SettingInput, SyncJob, asker, target, uuid};
use crate::app::run::{self, Cancelled, Start, bounded};
use crate::app::setting::Change;
use crate::app::{self, Error, Kind, alert, project, schedule, setting, tracking};

/// What changes something.
pub struct Mutation;

/// SITE/KEY of a project by its id.
async fn name(context: &Context<'_>, id: &ID) -> app::Result<String> {
    let project = asker(context).project(uuid("projectId", id)?).await?;
    Ok(project::name(&project))
}

/// A project as it is now: what this request read before is no longer true.
async fn now(context: &Context<'_>, name: &str) -> app::Result<Project> {
    let asker = asker(context);
    Ok(Project(Arc::new(project::find(&asker.app, &asker.actor, name, true).await?)))
}

async fn resume(context: &Context<'_>, name: &str) -> app::Result<()> {
    let asker = asker(context);
    let (cron, zone) = asker.app.default_schedule();
    project::resume(&asker.app, &asker.actor, name, (&cron, &zone)).await.map(drop)
}

async fn start(context: &Context<'_>, name: &str, full: bool) -> app::Result<Uuid> {
    let asker = asker(context);
    let asked = Start { project: name.to_owned(), full, ..Start::default() };
    run::start(&asker.app, &asker.actor, &asked).await
}

/// The runs that are meant, by their ids or by a filter: the newest first.
async fn chosen(
    context: &Context<'_>,
    ids: Option<Vec<ID>>,
    filter: Option<RunFilter>,
    limit: i32,
    fits: fn(&str) -> bool,
) -> app::Result<Vec<Uuid>> {
    let limit = bounded("limit", Some(limit.into()), 100, 1, 1_000)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let asker = asker(context);
    match (ids, filter) {
        (Some(_), Some(_)) => {
            Err(Error::invalid("filter", "ids and filter exclude each other").help("leave one of them out"))
        }
        (None, None) => Err(Error::invalid("ids", "neither ids nor filter is given").help("say which runs are meant")),
        (Some(ids), None) if ids.len() > most => {
            Err(Error::invalid("ids", format!("ids holds {} ids, more than the limit", ids.len()))
                .help("raise limit (1,000 at most), or name fewer"))
        }
        (Some(ids), None) => ids.iter().map(|id| uuid("ids", id)).collect(),
        (None, Some(filter)) => {
            let asked = run::History { limit: Some(limit), ..filter.asked(None) };
            let found = run::newest(&asker.app, &asker.actor, &asked).await?;
            Ok(found.into_iter().filter(|run| fits(&run.state)).map(|run| run.id).collect())
        }
    }
}

#[Object]
impl Mutation {
    /// Resume the schedule of a project and start a run at once; with `full` it reads everything again.
    async fn start_project_sync(&self, context: &Context<'_>, project_id: ID, full: Option<bool>) -> Result<SyncJob> {
        let name = name(context, &project_id).await?;
        resume(context, &name).await?;
        start(context, &name, full.unwrap_or(false)).await?;
        Ok(SyncJob(now(context, &name).await?))
    }

    /// Pause a project: nothing starts until it is resumed. A run that is under way goes on to its end.
    async fn pause_project_sync(&self, context: &Context<'_>, project_id: ID) -> Result<SyncJob> {
        let (asker, name) = (asker(context), name(context, &project_id).await?);
        project::pause(&asker.app, &asker.actor, &name).await?;
        Ok(SyncJob(now(context, &name).await?))
    }

    /// Resume a project from its next slot on; no run is started.
    async fn resume_project_sync(&self, context: &Context<'_>, project_id: ID) -> Result<SyncJob> {
        let name = name(context, &project_id).await?;
        resume(context, &name).await?;
        Ok(SyncJob(now(context, &name).await?))
    }

    /// Give a project another cron expression; its time zone stays.
    async fn reschedule_project_sync(&self, context: &Context<'_>, project_id: ID, cron: String) -> Result<SyncJob> {
        let (asker, name) = (asker(context), name(context, &project_id).await?);
        let when = schedule::When { cron: Some(cron), time_zone: None };
        schedule::reschedule(&asker.app, &asker.actor, &name, &when).await?;
        Ok(SyncJob(now(context, &name).await?))
    }

    /// Start a run beside the schedule, which stays as it is; with `full` it reads everything again.
    async fn trigger_project_sync(
        &self,
        context: &Context<'_>,
        project_id: ID,
        full: Option<bool>,
        account_ids: Option<Vec<String>>,
    ) -> Result<SyncJob> {
        let name = name(context, &project_id).await?;
        if account_ids.is_some_and(|ids| !ids.is_empty()) {
            return Err(Error::invalid("accountIds", "a run for some accounts alone is not built in this version")
                .help("leave accountIds out, or list the accounts with trackUsers")
                .into());
        }
        start(context, &name, full.unwrap_or(false)).await?;
        Ok(SyncJob(now(context, &name).await?))
    }

    /// Ask runs to stop; answers how many were asked. Runs that are over are left out.
    async fn cancel_runs(
        &self,
        context: &Context<'_>,
        ids: Option<Vec<ID>>,
        filter: Option<RunFilter>,
        #[graphql(default = 100)] limit: Option<i32>,
    ) -> Result<i32> {
        let asker = asker(context);
        let goes_on = |state: &str| matches!(state, "queued" | "running");
        let mut done = 0;
        for id in chosen(context, ids, filter, limit.unwrap_or(100), goes_on).await? {
            match run::cancel(&asker.app, &asker.actor, id).await {
                Ok(Cancelled::AtOnce | Cancelled::AtStepEnd) => done += 1,
                Err(error) if error.kind == Kind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// Request runs in place of runs that failed or were cancelled; answers how many. Runs that go on, and those of paused
    /// projects, are left out.
    async fn retry_runs(
        &self,
        context: &Context<'_>,
        ids: Option<Vec<ID>>,
        filter: Option<RunFilter>,
        #[graphql(default = 100)] limit: Option<i32>,
    ) -> Result<i32> {
        let asker = asker(context);
        let is_retried = |state: &str| matches!(state, "failed" | "cancelled");
        let mut done = 0;
        for id in chosen(context, ids, filter, limit.unwrap_or(100), is_retried).await? {
            match run::retry(&asker.app, &asker.actor, id).await {
                Ok(_) => done += 1,
                Err(error) if error.kind == Kind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// Synchronise projects of a site from now on. All are asked of Jira before the first is added.
    async fn track_projects(&self, context: &Context<'_>, site: String, keys: Vec<String>) -> Result<Vec<Project>> {
        let asker = asker(context);
        let found = tracking::track(&asker.app, &asker.actor, &site, &keys).await?;
        Ok(found.into_iter().map(|one| Project(Arc::new(one))).collect())
    }

    /// Stop synchronising a project. What the replica holds stays.
    async fn untrack_project(&self, context: &Context<'_>, project_id: ID) -> Result<Project> {
        let (asker, name) = (asker(context), name(context, &project_id).await?);
        tracking::untrack(&asker.app, &asker.actor, &name).await?;
        Ok(now(context, &name).await?)
    }

    /// Bring the issues of these users, with their whole history. A project that brought everybody's issues brings those of
    /// listed users from now on.
    async fn track_users(&self, context: &Context<'_>, project_id: ID, account_ids: Vec<String>) -> Result<Project> {
        let (asker, name) = (asker(context), name(context, &project_id).await?);
        tracking::add_users(&asker.app, &asker.actor, &name, &account_ids).await?;
        Ok(now(context, &name).await?)
    }

    /// Bring nothing new of these users. What the replica has of them stays.
    async fn untrack_users(&self, context: &Context<'_>, project_id: ID, account_ids: Vec<String>) -> Result<Project> {
        let (asker, name) = (asker(context), name(context, &project_id).await?);
        tracking::remove_users(&asker.app, &asker.actor, &name, &account_ids).await?;
        Ok(now(context, &name).await?)
    }

    /// Take an alert on: no more reminders, no escalation by age.
    async fn acknowledge_alert(&self, context: &Context<'_>, id: ID, note: Option<String>) -> Result<Alert> {
        let (asker, id) = (asker(context), uuid("id", &id)?);
        alert::acknowledge(&asker.app, &asker.actor, id, &note.unwrap_or_default()).await?;
        Ok(Alert(alert::get(&asker.app, &asker.actor, id).await?))
    }

    /// Keep messages about an alert back for so many seconds: 1 to 7,776,000.
    async fn silence_alert(&self, context: &Context<'_>, id: ID, seconds: i32) -> Result<Alert> {
        let (asker, id) = (asker(context), uuid("id", &id)?);
        alert::silence(&asker.app, &asker.actor, id, seconds.into(), "").await?;
        Ok(Alert(alert::get(&asker.app, &asker.actor, id).await?))
    }

    /// End an alert. If its condition still holds, it opens again.
    async fn resolve_alert(&self, context: &Context<'_>, id: ID) -> Result<Alert> {
        let (asker, id) = (asker(context), uuid("id", &id)?);
        alert::resolve(&asker.app, &asker.actor, id).await?;
        Ok(Alert(alert::get(&asker.app, &asker.actor, id).await?))
    }

    /// Change settings of a project, or for all, in one go; answers the settings in force afterwards.
    async fn set_settings(
        &self,
        context: &Context<'_>,
        project_id: Option<ID>,
        changes: Vec<SettingInput>,
    ) -> Result<Vec<Setting>> {
        let asker = asker(context);
        let target = target(context, project_id).await?;
        let changes: Vec<Change> =
            changes.into_iter().map(|SettingInput { key, value }| Change { key, value }).collect();
        let found = setting::change(&asker.app, &asker.actor, &target, &changes).await?;
        Ok(found.into_iter().map(Setting::from).collect())
    }
}
