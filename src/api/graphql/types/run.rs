//! Runs: what was done, what is being done, and how it went.

use async_graphql::{Context, Enum, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::insight::{Anomaly, Prediction};
use super::project::{LogLevel, SyncLog};
use super::{Count, PageInfo, Project, asker, uuid};
use crate::app::cursor;
use crate::app::follow::{self, RunProgress};
use crate::app::insight;
use crate::app::run::{self as app, bounded};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum RunStatus {
    /// It waits for its turn.
    Queued,
    /// It is being worked on.
    Running,
    /// It stops at the end of the steps that are being executed.
    Cancelling,
    /// It has read what it was to read.
    Succeeded,
    /// It has failed.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl RunStatus {
    const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Cancelling, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// What a stored state stands for.
    pub fn of(text: &str) -> Self {
        Self::ALL.into_iter().find(|one| one.as_str() == text).unwrap_or(Self::Queued)
    }
}

/// Why something failed, and what to do about it.
#[derive(Debug, SimpleObject)]
pub struct Failure {
    /// The canonical code, such as TOKEN_EXPIRED.
    code: String,
    /// Whose matter it is: configuration, access, limits, network and so on.
    category: String,
    /// What happened.
    message: String,
    /// Who must do what.
    advice: Option<String>,
    /// When it is tried again by itself.
    retry_at: Option<DateTime<Utc>>,
}

impl Failure {
    fn of(
        code: Option<&str>,
        message: Option<&str>,
        advice: Option<&str>,
        retry_at: Option<DateTime<Utc>>,
    ) -> Option<Self> {
        let code = code?;
        Some(Self {
            category: follow::category(code).to_owned(),
            code: code.to_owned(),
            message: message.unwrap_or_default().to_owned(),
            advice: advice.map(str::to_owned),
            retry_at,
        })
    }
}

/// How far a run has come.
#[derive(Debug, SimpleObject)]
pub struct Progress {
    /// What is being done: queued, planning, reading, writing, paused, stopping or over.
    operation: String,
    /// Issues written or found unchanged.
    done: i32,
    /// How many there will be about; null until the run is planned.
    total_estimate: Option<i32>,
    /// The share that is done, 0 to 100.
    percent: Option<f64>,
    /// How long it has run.
    elapsed_seconds: f64,
    /// How long it will take still, at the pace so far.
    remaining_seconds: Option<f64>,
    /// Until when Jira asked to be left alone.
    paused_until: Option<DateTime<Utc>>,
    /// Why it did.
    pause_reason: Option<String>,
}

fn int(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

impl Progress {
    /// For people who watch.
    pub fn of(progress: &RunProgress) -> Self {
        let pace = follow::pace(progress);
        Self {
            operation: pace.operation.to_owned(),
            done: int(progress.issues_done),
            total_estimate: progress.issues_total_estimate.map(int),
            percent: pace.percent,
            elapsed_seconds: progress.elapsed_seconds,
            remaining_seconds: pace.remaining_seconds,
            paused_until: progress.paused_until,
            pause_reason: progress.pause_reason.clone(),
        }
    }
}

/// A step of a run.
pub struct Step(follow::Step);

#[Object]
impl Step {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }
    /// What it does: plan_run, fetch_page, upsert_batch and so on.
    async fn kind(&self) -> &str {
        &self.0.kind
    }
    /// ready, later, running, done, dead or cancelled.
    async fn state(&self) -> &str {
        &self.0.state
    }
    /// How often it was claimed.
    async fn attempt(&self) -> i32 {
        self.0.attempts
    }
    /// From when it may be claimed.
    async fn ready_at(&self) -> DateTime<Utc> {
        self.0.ready_at
    }
    /// When it was claimed last.
    async fn claimed_at(&self) -> Option<DateTime<Utc>> {
        self.0.claimed_at
    }
    /// When it ended.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }
    /// Its last failure.
    async fn error(&self) -> Option<Failure> {
        let step = &self.0;
        let retry_at = (step.state == "later").then_some(step.ready_at);
        Failure::of(step.error_code.as_deref(), step.error_message.as_deref(), step.error_advice.as_deref(), retry_at)
    }
}

/// Part of the steps of a run.
#[derive(SimpleObject)]
pub struct StepConnection {
    nodes: Vec<Step>,
    page_info: PageInfo,
}

/// Part of the log of a run.
#[derive(SimpleObject)]
pub struct LogConnection {
    nodes: Vec<SyncLog>,
    page_info: PageInfo,
}

/// A run.
pub struct Run(pub app::Run);

#[Object]
impl Run {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }
    /// What it synchronises.
    async fn project(&self, context: &Context<'_>) -> Result<Project> {
        Ok(Project(asker(context).project(self.0.project_id).await?))
    }
    /// incremental or full.
    async fn kind(&self) -> &str {
        &self.0.kind
    }
    /// schedule, manual, retry or repair.
    async fn trigger(&self) -> &str {
        &self.0.trigger
    }
    /// How it stands.
    async fn status(&self) -> RunStatus {
        RunStatus::of(&self.0.state)
    }
    /// Who asked for it.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }
    /// The batch of runs that it belongs to; null: it was asked for alone.
    async fn batch_id(&self) -> Option<ID> {
        None
    }
    /// When it was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When its first step ran.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }
    /// When it ended.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }
    /// How far it has come.
    async fn progress(&self, context: &Context<'_>) -> Result<Progress> {
        let asker = asker(context);
        asker.statement()?;
        Ok(Progress::of(&follow::progress(&asker.app, &asker.actor, self.0.id).await?))
    }
    /// What it read and wrote, by name.
    async fn counts(&self) -> Json<Value> {
        let run = &self.0;
        Json(json!({
            "pages": run.pages, "requests": run.requests, "steps": run.steps, "retries": run.retries, "rescues": run.rescues,
            "issuesSeen": run.issues_seen, "issuesCreated": run.issues_created, "issuesUpdated": run.issues_updated,
            "issuesUnchanged": run.issues_unchanged, "issuesDeleted": run.issues_deleted, "rejected": run.rejected,
            "commentsWritten": run.comments_written, "commentsRemoved": run.comments_removed,
            "worklogsWritten": run.worklogs_written, "worklogsRemoved": run.worklogs_removed,
            "changesWritten": run.changes_written,
        }))
    }
    /// Why it failed.
    async fn error(&self) -> Option<Failure> {
        let run = &self.0;
        Failure::of(run.error_code.as_deref(), run.error_message.as_deref(), run.error_advice.as_deref(), None)
    }
    /// How long it was expected to take; null where nothing is known.
    async fn prediction(&self, context: &Context<'_>) -> Result<Option<Prediction>> {
        let asker = asker(context);
        asker.statement()?;
        let expected = insight::expected(&asker.app, &asker.actor, self.0.id).await?;
        Ok(expected.map(Prediction::from))
    }
    /// What was unusual about it.
    async fn anomalies(&self, context: &Context<'_>) -> Result<Vec<Anomaly>> {
        let asker = asker(context);
        asker.statement()?;
        let found = insight::anomalies_of(&asker.app, &asker.actor, self.0.id).await?;
        Ok(found.into_iter().map(Anomaly::from).collect())
    }
    /// Its steps in the order in which they were made. They are swept some time after its end.
    async fn steps(
        &self,
        context: &Context<'_>,
        #[graphql(default = 100)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<StepConnection> {
        let asker = asker(context);
        asker.statement()?;
        let page = follow::steps(&asker.app, &asker.actor, self.0.id, first.map(i64::from), after.as_deref()).await?;
        asker.spend(page.items.len())?;
        Ok(StepConnection {
            nodes: page.items.into_iter().map(Step).collect(),
            page_info: PageInfo::of(page.next_cursor),
        })
    }
    /// Its log, the oldest entry first: entries of this level or above, with this text.
    async fn logs(
        &self,
        context: &Context<'_>,
        level: Option<LogLevel>,
        search: Option<String>,
        #[graphql(default = 100)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<LogConnection> {
        let asker = asker(context);
        asker.statement()?;
        let first = bounded("first", first.map(i64::from), 100, 1, 1_000)?;
        let after = after.as_deref().map(|text| cursor::decode_numbered("log", text)).transpose()?;
        let asked = follow::Logs {
            level: level.map(|level| level.as_str().to_owned()),
            text: search,
            after: Some(after.map_or(0, |(_, _, id)| id)),
            limit: Some(first + 1),
            oldest: true,
            ..follow::Logs::default()
        };
        let mut entries = follow::logs(&asker.app, &asker.actor, self.0.id, &asked).await?;
        asker.spend(entries.len())?;
        let has_more = entries.len() > usize::try_from(first).unwrap_or(usize::MAX);
        entries.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        let last = entries.last().filter(|_| has_more);
        let next = last.map(|last| cursor::encode_numbered("log", (last.at, uuid::Uuid::nil(), last.id)));
        Ok(LogConnection { nodes: entries.into_iter().map(SyncLog).collect(), page_info: PageInfo::of(next) })
    }
}

/// Part of the history.
#[derive(SimpleObject)]
pub struct RunConnection {
    nodes: Vec<Run>,
    page_info: PageInfo,
    count: Count,
}

/// The part of the history that was asked for.
pub async fn history(context: &Context<'_>, asked: app::History) -> Result<RunConnection> {
    let asker = asker(context);
    asker.statement()?;
    let page = app::history(&asker.app, &asker.actor, &asked).await?;
    asker.spend(page.items.len())?;
    Ok(RunConnection {
        nodes: page.items.into_iter().map(Run).collect(),
        page_info: PageInfo::of(page.next_cursor),
        count: Count::of(page.total),
    })
}

/// A run by its id; null where there is none within reach.
pub async fn one(context: &Context<'_>, id: &ID) -> Result<Option<Run>> {
    let asker = asker(context);
    match app::get(&asker.app, &asker.actor, uuid("id", id)?).await {
        Ok(run) => Ok(Some(Run(run))),
        Err(error) if error.kind == crate::app::Kind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
