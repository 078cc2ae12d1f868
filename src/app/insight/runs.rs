//! What was unusual about runs, and how long they take.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{DAYS, MOST_RUNS, facts, few, runs_of, zone};
use crate::app::{Actor, App, Error, Result, Verb, project, run};
use crate::domain::insight::{self as figures, Anomaly, Forecast, Work};

/// Something unusual about a project.
#[derive(Clone, Debug)]
pub struct Found {
    /// The project.
    pub project_id: Uuid,
    /// SITE/KEY.
    pub project: String,
    /// What.
    pub anomaly: Anomaly,
}

/// What was unusual since `since`, a week ago unless said: of one project, or of all within reach, the newest first.
///
/// # Errors
/// Where the actor may not, or there are too many projects to read the history of each.
pub async fn anomalies(
    app: &App,
    actor: &Actor,
    only: Option<Uuid>,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<Found>> {
    actor.may(Verb::ReadStatistics)?;
    let since = since.unwrap_or_else(|| app.clock.now() - TimeDelta::days(7));
    let facts = few(app, actor, only).await?;
    let mut found = Vec::new();
    for one in facts {
        let runs = runs_of(app, &[one.project_id], DAYS, MOST_RUNS).await?.remove(&one.project_id).unwrap_or_default();
        let project = format!("{}/{}", one.site, one.key);
        let unusual = figures::unusual(&runs, zone(&one)).into_iter().filter(|anomaly| anomaly.at >= since);
        found.extend(unusual.map(|anomaly| Found { project_id: one.project_id, project: project.clone(), anomaly }));
    }
    found.sort_by_key(|found| std::cmp::Reverse(found.anomaly.at));
    Ok(found)
}

/// What was unusual about a run.
///
/// # Errors
/// Where the actor may not, or there is no such run within reach.
pub async fn anomalies_of(app: &App, actor: &Actor, id: Uuid) -> Result<Vec<Anomaly>> {
    let run = run::get(app, actor, id).await?;
    let found = anomalies(app, actor, Some(run.project_id), Some(run.created_at)).await?;
    Ok(found.into_iter().map(|found| found.anomaly).filter(|anomaly| anomaly.run == id).collect())
}

/// What the next run of a project is expected to take, if it begins at `at` (now unless said); none where too little is
/// known.
///
/// # Errors
/// Where the actor may not, there is no such project within reach, or there is no such work.
pub async fn forecast(
    app: &App,
    actor: &Actor,
    named: &str,
    work: Option<&str>,
    at: Option<DateTime<Utc>>,
) -> Result<Option<Forecast>> {
    actor.may(Verb::ReadStatistics)?;
    let work = match work {
        None => Work::Incremental,
        Some(text) => Work::ALL.into_iter().find(|work| work.as_str() == text).ok_or_else(|| {
            Error::invalid("kind", "there is no such kind of run").help("incremental, full or reconcile")
        })?,
    };
    let project = project::find(app, actor, named, false).await?;
    ahead(app, actor, project.id, work, at.unwrap_or_else(|| app.clock.now())).await
}

/// What a run was expected to take when it was asked for.
///
/// # Errors
/// Where the actor may not, or there is no such run within reach.
pub async fn expected(app: &App, actor: &Actor, id: Uuid) -> Result<Option<Forecast>> {
    let run = run::get(app, actor, id).await?;
    ahead(app, actor, run.project_id, Work::of(run.kind == "full", run.reconcile), run.created_at).await
}

async fn ahead(app: &App, actor: &Actor, project: Uuid, work: Work, at: DateTime<Utc>) -> Result<Option<Forecast>> {
    let Some(facts) = facts(app, actor, Some(project)).await?.pop() else { return Ok(None) };
    let mut runs = runs_of(app, &[project], DAYS, MOST_RUNS).await?.remove(&project).unwrap_or_default();
    runs.retain(|run| run.finished_at <= at);
    Ok(figures::forecast(&runs, work, at, zone(&facts)))
}
