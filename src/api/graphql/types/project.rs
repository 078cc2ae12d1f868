//! Projects with their jobs, states, settings and logs, and what may be synchronised.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::loaders::{NewestRunOf, StatesOf, VerificationOf};
use super::{Health, IssueConnection, IssueFilter, Run, RunConnection, RunFilter, asker, issues, loaders, runs};
use crate::app::follow::LogEntry;
use crate::app::project as app;
use crate::app::setting::{Effect, InForce, Target};
use crate::app::{schedule, setting, tracking};

/// A project that is synchronised.
#[derive(Clone)]
pub struct Project(pub Arc<app::Project>);

#[Object]
impl Project {
    /// Its id here.
    async fn id(&self) -> ID {
        self.0.id.into()
    }
    /// Its key.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name of its site.
    async fn site(&self) -> &str {
        &self.0.site
    }
    /// active, paused or removed.
    async fn state(&self) -> &str {
        &self.0.state
    }
    /// Its schedule and its newest run.
    async fn job(&self) -> SyncJob {
        SyncJob(self.clone())
    }
    /// How well it is.
    async fn health(&self, context: &Context<'_>) -> Result<Health> {
        let asker = asker(context);
        let score = asker.score(self.0.id).await?;
        Ok(Health::of(asker.health(self.0.id).await?.as_deref()).scored(score))
    }
    /// How far it has been read, by entity; what was never read is left out.
    async fn sync_states(&self, context: &Context<'_>) -> Result<Vec<SyncState>> {
        states(context, self.0.id).await
    }
    /// The settings in force.
    async fn settings(&self, context: &Context<'_>) -> Result<Vec<Setting>> {
        let asker = asker(context);
        asker.statement()?;
        let target = Target::Project(app::name(&self.0));
        Ok(setting::list(&asker.app, &asker.actor, &target).await?.into_iter().map(Setting::from).collect())
    }
    /// The last comparison with Jira: finishedAt, mode, compared, differences, byEntity.
    async fn verification(&self, context: &Context<'_>) -> Result<Option<Json<Value>>> {
        Ok(loaders(context).load_one(VerificationOf(self.0.id)).await?.map(Json))
    }
    /// Its runs, the newest first.
    async fn runs(
        &self,
        context: &Context<'_>,
        filter: Option<RunFilter>,
        #[graphql(default = 25)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<RunConnection> {
        runs(context, Some(self.0.id), filter, first.unwrap_or(25), after).await
    }
    /// Its issues, those first that were updated last.
    async fn issues(
        &self,
        context: &Context<'_>,
        filter: Option<IssueFilter>,
        #[graphql(default = 50)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<IssueConnection> {
        issues(context, Some(self.0.id), filter, first.unwrap_or(50), after).await
    }
}

/// How far one kind of record has been read.
#[derive(SimpleObject)]
pub struct SyncState {
    /// issue, comment, worklog or changelog.
    entity: String,
    /// When the cursor was moved last.
    last_sync_time: DateTime<Utc>,
    /// never, running, succeeded, failed or cancelled.
    status: String,
    /// Everything that Jira showed as updated before this is in the replica.
    complete_through: Option<DateTime<Utc>>,
    /// From when on the next run reads again what it could not read.
    owed_from: Option<DateTime<Utc>>,
}

/// The states of a project.
pub async fn states(context: &Context<'_>, project: uuid::Uuid) -> Result<Vec<SyncState>> {
    let found = loaders(context).load_one(StatesOf(project)).await?.unwrap_or_default();
    let known = found.into_iter().filter_map(|state| {
        Some(SyncState {
            last_sync_time: state.last_sync_time?,
            entity: state.entity,
            status: state.status,
            complete_through: state.cursor_at,
            owed_from: state.owed_from,
        })
    });
    Ok(known.collect())
}

/// How the last sync of something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SyncStatus {
    /// It was never synchronised, or nothing is under way.
    Idle,
    /// It is under way.
    Running,
    /// It succeeded.
    Success,
    /// It failed.
    Failed,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SyncJobStatus {
    /// It runs by its schedule.
    Active,
    /// Nothing starts until it is resumed.
    Paused,
    /// Its last run failed, or its site fails; it is tried again by itself.
    Error,
}

/// The schedule of a project, and its newest run.
pub struct SyncJob(pub Project);

#[Object]
impl SyncJob {
    /// The project's id.
    async fn id(&self) -> ID {
        self.0.0.id.into()
    }
    /// Names the sync of the project: sync/SITE/KEY.
    async fn workflow_id(&self) -> String {
        format!("sync/{}", app::name(&self.0.0))
    }
    /// Names its schedule: schedule/SITE/KEY.
    async fn schedule_id(&self) -> String {
        format!("schedule/{}", app::name(&self.0.0))
    }
    /// The cron expression; empty once the project was removed.
    async fn cron_schedule(&self) -> &str {
        self.0.0.cron.as_deref().unwrap_or_default()
    }
    /// How it stands.
    async fn status(&self, context: &Context<'_>) -> Result<SyncJobStatus> {
        if self.0.0.state != "active" {
            return Ok(SyncJobStatus::Paused);
        }
        let health = asker(context).health(self.0.0.id).await?;
        let fails = health.is_some_and(|health| matches!(health.state, "failing" | "site failing"));
        Ok(if fails { SyncJobStatus::Error } else { SyncJobStatus::Active })
    }
    /// When its newest run began.
    async fn last_run_at(&self, context: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        let run = loaders(context).load_one(NewestRunOf(self.0.0.id)).await?;
        Ok(run.and_then(|run| run.started_at))
    }
    /// When it runs next by itself; null while it is paused.
    async fn next_run_at(&self) -> Option<DateTime<Utc>> {
        self.0.0.next_run_at
    }
    /// The zone in which the cron expression is read.
    async fn time_zone(&self) -> &str {
        self.0.0.time_zone.as_deref().unwrap_or("UTC")
    }
    /// Why it runs next when it does, in one sentence.
    async fn why(&self, context: &Context<'_>) -> Result<String> {
        let asker = asker(context);
        let view = asker.schedule(self.0.0.id).await?;
        let gone = || "it is not synchronised: add the project again".to_owned();
        Ok(view.map_or_else(gone, |view| schedule::why(&view, asker.app.now())))
    }
    /// Its newest run.
    async fn run(&self, context: &Context<'_>) -> Result<Option<Run>> {
        Ok(loaders(context).load_one(NewestRunOf(self.0.0.id)).await?.map(Run))
    }
    /// The project.
    async fn project(&self) -> Project {
        self.0.clone()
    }
}

/// How loud an entry of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum LogLevel {
    /// Nothing is kept of this level: it asks for all.
    Debug,
    /// What happened.
    Info,
    /// What somebody may want to look at.
    Warn,
    /// What went wrong.
    Error,
}

impl LogLevel {
    /// As it is asked for.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug | Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// An entry of the log.
pub struct SyncLog(pub LogEntry);

#[Object]
impl SyncLog {
    /// Its number; grows with time.
    async fn id(&self) -> ID {
        self.0.id.into()
    }
    /// How loud it is.
    async fn level(&self) -> LogLevel {
        match self.0.level.as_str() {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            _ => LogLevel::Info,
        }
    }
    /// One sentence.
    async fn message(&self) -> &str {
        &self.0.message
    }
    /// More, for machines; `event` is the stable name of what happened.
    async fn details(&self) -> Option<Json<Value>> {
        let mut details = match &self.0.details {
            Some(Value::Object(map)) => map.clone(),
            Some(other) => serde_json::Map::from_iter([("value".to_owned(), other.clone())]),
            None => serde_json::Map::new(),
        };
        details.insert("event".to_owned(), Value::from(self.0.event.clone()));
        // The canonical code of a failure, by the name that programs of this family look for.
        if let Some(code) = &self.0.code {
            details.insert("errorCode".to_owned(), Value::from(code.clone()));
        }
        Some(Json(Value::Object(details)))
    }
    /// The canonical code of a failure.
    async fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }
    /// Who must do what.
    async fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }
    /// The run that it is about.
    async fn run_id(&self) -> Option<ID> {
        self.0.run_id.map(ID::from)
    }
    /// When.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.at
    }
}

/// A project that the account of a site may see.
#[derive(SimpleObject)]
pub struct JiraProjectOption {
    /// Its key in Jira.
    key: String,
    /// Its name in Jira.
    name: String,
    /// Who leads it.
    lead: Option<String>,
    /// How many issues it has, where Jira tells.
    issues: Option<i32>,
    /// Whether it is synchronised.
    tracked: bool,
    /// Its id here, where it is synchronised.
    project_id: Option<ID>,
}

impl From<tracking::ProjectOption> for JiraProjectOption {
    fn from(option: tracking::ProjectOption) -> Self {
        Self {
            key: option.key,
            name: option.name,
            lead: option.lead,
            issues: option.issues.map(|issues| i32::try_from(issues).unwrap_or(i32::MAX)),
            tracked: option.tracked.is_some(),
            project_id: option.tracked.map(|project| project.id.into()),
        }
    }
}

/// A user whose issues a project may bring.
#[derive(SimpleObject)]
pub struct JiraProjectUserOption {
    /// Jira's id of the account.
    account_id: String,
    /// The name that Jira shows.
    display_name: String,
    /// Null where Jira hides it.
    email: Option<String>,
    /// Whether the project lists the user.
    is_tracked: bool,
}

impl From<tracking::UserOption> for JiraProjectUserOption {
    fn from(option: tracking::UserOption) -> Self {
        let tracking::UserOption { account_id, display_name, email, is_tracked } = option;
        Self { account_id, display_name, email, is_tracked }
    }
}

/// A setting in force.
#[derive(SimpleObject)]
pub struct Setting {
    /// Its name.
    key: String,
    /// Its value, in its unit.
    value: f64,
    /// What it counts.
    unit: String,
    /// The smallest value.
    min: f64,
    /// The largest value.
    max: f64,
    /// Where the value comes from: project, site, all, configuration or default.
    source: String,
    /// What it does, and from when a change counts.
    effect: String,
}

impl From<InForce> for Setting {
    fn from(found: InForce) -> Self {
        let when = match found.key.effect {
            Effect::NextRun => "from the next run on",
            Effect::Soon => "in every process within some seconds",
        };
        Self {
            key: found.key.name.to_owned(),
            value: found.value,
            unit: found.key.unit.to_owned(),
            min: found.key.min,
            max: found.key.max,
            source: found.source.to_owned(),
            effect: format!("{}; {when}", found.key.meaning),
        }
    }
}

/// A change of a setting.
#[derive(Debug, InputObject)]
pub struct SettingInput {
    /// Its name.
    pub key: String,
    /// The value; null removes what is set, so that the next wider setting applies.
    pub value: Option<f64>,
}
