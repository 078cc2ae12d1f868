//! How a run goes: its progress, its steps, what it waited for, its log.

use uuid::Uuid;

use super::run::{LONGEST_PAGE, bounded, find, unknown};
use super::{Actor, App, Error, Page, Result, Verb, cursor};
use crate::domain::failure::FailureCode;
use crate::store::log::{self, LogFilter};
use crate::store::patience::{LONGEST, again};
use crate::store::run_details;
use crate::store::run_view;
use crate::store::within;

pub use crate::store::log::LogEntry;
pub use crate::store::run_details::{Step, StepCount, Waited};
pub use crate::store::run_view::RunProgress;

/// What a run did and what it waited for.
#[derive(Clone, Debug)]
pub struct Details {
    /// Its steps by kind.
    pub steps: Vec<StepCount>,
    /// What it waited for, longest first.
    pub waits: Vec<Waited>,
}

/// The steps of a run by kind, and its waits.
///
/// # Errors
/// Where the actor may not, or there is no such run within reach.
pub async fn details(app: &App, actor: &Actor, id: Uuid) -> Result<Details> {
    actor.may(Verb::ReadRuns)?;
    find(app, actor, id).await?;
    let pool = app.pool();
    let steps = again(|| within(LONGEST, run_details::steps(&pool, id))).await?;
    let waits = again(|| within(LONGEST, run_details::waits(&pool, id))).await?;
    Ok(Details { steps, waits })
}

/// How far a run has come.
///
/// # Errors
/// Where the actor may not, or there is no such run within reach.
pub async fn progress(app: &App, actor: &Actor, id: Uuid) -> Result<RunProgress> {
    actor.may(Verb::ReadRuns)?;
    find(app, actor, id).await?;
    let pool = app.pool();
    again(|| within(LONGEST, run_view::progress(&pool, id))).await?.ok_or_else(|| unknown(id))
}

/// A run's steps one by one, in the order in which they were made. They are swept some time after its end.
///
/// # Errors
/// Where the actor may not, there is no such run within reach, or something was asked wrongly.
pub async fn steps(app: &App, actor: &Actor, id: Uuid, limit: Option<i64>, after: Option<&str>) -> Result<Page<Step>> {
    actor.may(Verb::ReadRuns)?;
    let limit = bounded("first", limit, 100, 1, LONGEST_PAGE)?;
    let question = format!("steps {id}");
    let after = after.map(|text| cursor::decode(&question, text)).transpose()?;
    find(app, actor, id).await?;
    let pool = app.pool();
    let mut items = again(|| within(LONGEST, run_details::list(&pool, id, after, limit + 1))).await?;
    let has_more = items.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        items.pop();
    }
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|last| cursor::encode(&question, (last.created_at, last.id)));
    let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
    Ok(Page { items, next_cursor, total })
}

/// What a run does now, and how long it will take still.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// `queued`, `planning`, `reading`, `writing`, `paused`, `stopping` or `over`.
    pub operation: &'static str,
    /// 0 to 100; none until the run is planned.
    pub percent: Option<f64>,
    /// At the pace so far; none before anything is done, and none once it has ended.
    pub remaining_seconds: Option<f64>,
}

/// Reads a run's progress for people.
pub fn pace(progress: &RunProgress) -> Pace {
    let operation = match progress.state.as_str() {
        "queued" => "queued",
        "cancelling" => "stopping",
        _ if progress.has_ended() => "over",
        _ if progress.paused_until.is_some() => "paused",
        _ if progress.issues_total_estimate.is_none() => "planning",
        _ if progress.pages_fetched > progress.pages_applied => "writing",
        _ => "reading",
    };
    #[allow(clippy::cast_precision_loss)] // counts of issues
    let share = progress
        .issues_total_estimate
        .filter(|total| *total > 0)
        .map(|total| (progress.issues_done as f64 / total as f64).min(1.0));
    let percent = if progress.state == "succeeded" { Some(100.0) } else { share.map(|share| share * 100.0) };
    let goes_on = progress.state == "running";
    let remaining_seconds =
        share.filter(|share| goes_on && *share > 0.0).map(|share| progress.elapsed_seconds * (1.0 - share) / share);
    Pace { operation, percent, remaining_seconds }
}

/// Whose matter a failure is, by its canonical code.
pub fn category(code: &str) -> &'static str {
    FailureCode::parse(code).map_or("unknown", |code| code.category().as_str())
}

/// The newest entries of a project's log, oldest first.
///
/// # Errors
/// Where the actor may not, or the project is not within reach.
pub async fn project_logs(app: &App, actor: &Actor, project: Uuid, limit: Option<i64>) -> Result<Vec<LogEntry>> {
    actor.may(Verb::ReadLogs)?;
    if !actor.reaches(project) {
        return Ok(Vec::new());
    }
    let filter = LogFilter {
        project_id: Some(project),
        levels: ["info", "warn", "error"].map(str::to_owned).to_vec(),
        limit: bounded("limit", limit, 100, 1, 1_000)?,
        ..LogFilter::default()
    };
    let pool = app.pool();
    Ok(again(|| within(LONGEST, log::list(&pool, &filter))).await?)
}

/// Which entries of a run's log.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// As loud as this, or louder: `info`, `warn`, `error`.
    pub level: Option<String>,
    /// About this kind of record.
    pub entity: Option<String>,
    /// With this text.
    pub text: Option<String>,
    /// Older than the entry of this number.
    pub before: Option<i64>,
    /// Newer than the entry of this number.
    pub after: Option<i64>,
    /// The first that match, not the last.
    pub oldest: bool,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The newest entries of a run's log, oldest first.
///
/// # Errors
/// Where the actor may not, or something was asked wrongly.
pub async fn logs(app: &App, actor: &Actor, id: Uuid, asked: &Logs) -> Result<Vec<LogEntry>> {
    actor.may(Verb::ReadLogs)?;
    find(app, actor, id).await?;
    let levels: &[&str] = match asked.level.as_deref() {
        None | Some("info") => &["info", "warn", "error"],
        Some("warn" | "warning") => &["warn", "error"],
        Some("error") => &["error"],
        Some(other) => {
            return Err(Error::invalid("level", format!("level knows no {other:?}")).help("one of info, warn, error"));
        }
    };
    let filter = LogFilter {
        run_id: Some(id),
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
        limit: bounded("limit", asked.limit, 200, 1, 1_001)?,
        after: asked.after.unwrap_or(0),
        oldest: asked.oldest,
        before: asked.before,
        text: asked.text.clone(),
        entity: asked.entity.clone(),
        ..LogFilter::default()
    };
    let pool = app.pool();
    Ok(again(|| within(LONGEST, log::list(&pool, &filter))).await?)
}
