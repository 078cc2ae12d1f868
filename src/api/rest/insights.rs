//! `/api/sync/analytics`: how well projects are, how figures go, what to change.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::Params;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::insight::{self, Advice, Scored};
use crate::app::stats::{self, Trend, TrendPoint};
use crate::app::{Actor, App, Result, project};

/// Of which project.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfProject {
    /// SITE/KEY, or KEY where one site has it; of all unless said.
    project: Option<String>,
}

pub(super) async fn named(app: &App, actor: &Actor, project: Option<&str>) -> Result<Option<Uuid>> {
    match project {
        Some(named) => Ok(Some(project::find(app, actor, named, false).await?.id)),
        None => Ok(None),
    }
}

/// A part of a score.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Part {
    /// success, steadiness, freshness, speed or completeness.
    name: &'static str,
    /// 0 to 1.
    value: f64,
    /// How much it counts: all weights are 1.
    weight: f64,
}

/// The score of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectScore {
    /// The project's id.
    project_id: Uuid,
    /// SITE/KEY.
    project: String,
    /// 0 to 100; null while it is paused, or before its first run.
    score: Option<f64>,
    /// What it is made of.
    parts: Vec<Part>,
    /// Why it is not 100, in sentences, the worst first.
    reasons: Vec<String>,
}

impl From<Scored> for ProjectScore {
    fn from(scored: Scored) -> Self {
        let (score, parts, reasons) = match scored.score {
            Some(score) => (Some(score.score), score.parts, score.reasons),
            None => (None, Vec::new(), Vec::new()),
        };
        let parts = parts.into_iter().map(|part| Part { name: part.name, value: part.value, weight: part.weight });
        Self { project_id: scored.project_id, project: scored.project, score, parts: parts.collect(), reasons }
    }
}

/// The score of a site.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SiteScore {
    /// The site.
    site: String,
    /// 0 to 100.
    score: f64,
}

/// How well projects are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthScore {
    /// Of all of them: three quarters of the mean, and a quarter of the worst; null where none has a score.
    score: Option<f64>,
    /// Of each site.
    sites: Vec<SiteScore>,
    /// Of each project, the worst first.
    projects: Vec<ProjectScore>,
}

/// How well projects are, 0 to 100, with what the score is made of.
#[utoipa::path(get, path = "/api/sync/analytics/health-score", tag = "insights", params(OfProject),
    responses((status = 200, body = HealthScore), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn health_score(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<OfProject>,
) -> Result<Response> {
    let only = named(&shared.app, &actor, params.project.as_deref()).await?;
    let health = insight::health(&shared.app, &actor, only).await?;
    let sites = health.sites.into_iter().map(|(site, score)| SiteScore { site, score }).collect();
    let projects = health.projects.into_iter().map(ProjectScore::from).collect();
    Ok(etag::json(&headers, &HealthScore { score: health.score, sites, projects }))
}

/// Of what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TrendParams {
    /// SITE/KEY, or KEY where one site has it; of all unless said.
    project: Option<String>,
    /// success_rate, issues, runs, duration or requests; all of them unless said.
    metric: Option<String>,
    /// The last so many days: 1 to 90, 28 unless said.
    #[param(minimum = 1, maximum = 90)]
    days: Option<i64>,
}

/// A day of a trend.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DayOfTrend {
    /// The day, from midnight UTC.
    at: DateTime<Utc>,
    /// The value; null where no run tells it.
    value: Option<f64>,
    /// How many runs it is about.
    runs: i64,
}

/// How a figure went from day to day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneTrend {
    /// success_rate, issues, runs, duration or requests.
    metric: String,
    /// A point for each day with a run, the oldest first.
    points: Vec<DayOfTrend>,
    /// The median of the slopes between all pairs of days; null with fewer than three.
    slope_per_day: Option<f64>,
    /// Whether the change is more than chance, by the test of Mann and Kendall at 5 %.
    significant: bool,
}

impl From<Trend> for OneTrend {
    fn from(trend: Trend) -> Self {
        let point = |point: TrendPoint| DayOfTrend { at: point.at, value: point.value, runs: point.runs };
        Self {
            metric: trend.metric,
            points: trend.points.into_iter().map(point).collect(),
            slope_per_day: trend.slope_per_day,
            significant: trend.significant,
        }
    }
}

/// How figures of the runs went from day to day.
#[utoipa::path(get, path = "/api/sync/analytics/trends", tag = "insights", params(TrendParams),
    responses((status = 200, body = Vec<OneTrend>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn trends(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<TrendParams>,
) -> Result<Response> {
    let only = named(&shared.app, &actor, params.project.as_deref()).await?;
    let days = params.days.unwrap_or(28);
    let metrics = params.metric.as_deref().map_or(stats::METRICS.to_vec(), |metric| vec![metric]);
    let mut trends = Vec::with_capacity(metrics.len());
    for metric in metrics {
        trends.push(OneTrend::from(stats::trend(&shared.app, &actor, only, metric, days).await?));
    }
    Ok(etag::json(&headers, &trends))
}

/// What to change, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recommendation {
    /// Names it, as long as it holds.
    id: String,
    /// SITE/KEY; null where it is about several projects.
    project: Option<String>,
    /// What to do.
    text: String,
    /// What it rests on.
    evidence: serde_json::Value,
    /// What it gains.
    gain: String,
    /// What applying it changes; empty where a person has to.
    changes: serde_json::Value,
}

impl From<Advice> for Recommendation {
    fn from(advice: Advice) -> Self {
        let changes = advice.change.as_ref().map_or_else(|| serde_json::json!([]), insight::Change::json);
        let Advice { id, project, text, evidence, gain, .. } = advice;
        Self { id, project, text, evidence, gain, changes }
    }
}

/// What to change, and why.
#[utoipa::path(get, path = "/api/sync/analytics/recommendations", tag = "insights", params(OfProject),
    responses((status = 200, body = Vec<Recommendation>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn recommendations(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<OfProject>,
) -> Result<Response> {
    let only = named(&shared.app, &actor, params.project.as_deref()).await?;
    let found = insight::recommendations(&shared.app, &actor, only).await?;
    Ok(etag::json(&headers, &found.into_iter().map(Recommendation::from).collect::<Vec<_>>()))
}

/// A project that was given another schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Applied {
    /// SITE/KEY.
    project: String,
    /// Its cron expression from now on.
    cron: String,
    /// The time zone in which it is read.
    time_zone: String,
    /// When it runs next by itself; null while it is paused.
    next_run_at: Option<DateTime<Utc>>,
}

/// Do what a recommendation says, if it still holds.
#[utoipa::path(post, path = "/api/sync/analytics/recommendations/{id}/apply", tag = "insights",
    params(("id" = String, Path, description = "The recommendation's id")),
    responses((status = 200, body = Applied), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn apply(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<Applied>> {
    let done = insight::apply(&shared.app, &actor, &id).await?;
    let project = project::name(&done.project);
    Ok(Json(Applied { project, cron: done.cron, time_zone: done.time_zone, next_run_at: done.next_run_at }))
}
