//! `/api/sync/analytics`: what was unusual, what goes together, what runs are expected to take, what days add up to.

use axum::extract::State;
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
use super::insights::named;
use crate::app::Result;
use crate::app::insight::{self, Anomaly, Daily, Forecast, Found, Pattern};

/// Since when, of which project.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnomalyParams {
    /// SITE/KEY, or KEY where one site has it; of all unless said.
    project: Option<String>,
    /// A week ago unless said.
    since: Option<DateTime<Utc>>,
}

/// Something unusual.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneAnomaly {
    /// The run; of a day's volume, the last of that day.
    run_id: Uuid,
    /// SITE/KEY.
    project: String,
    /// When the run ended.
    at: DateTime<Utc>,
    /// duration (seconds) or volume (issues changed in a day).
    metric: &'static str,
    /// What it was.
    value: f64,
    /// What was to be expected.
    usual: f64,
    /// Below this it is unusual; 0 where less is never.
    low: f64,
    /// Above this it is unusual.
    high: f64,
    /// Standard deviations from what is usual.
    score: f64,
    /// The same in words.
    text: String,
}

impl From<Found> for OneAnomaly {
    fn from(found: Found) -> Self {
        let text = found.anomaly.words();
        let Anomaly { run, at, metric, value, usual, low, high, score } = found.anomaly;
        Self { run_id: run, project: found.project, at, metric: metric.as_str(), value, usual, low, high, score, text }
    }
}

/// What was unusual, the newest first.
#[utoipa::path(get, path = "/api/sync/analytics/anomalies", tag = "insights", params(AnomalyParams),
    responses((status = 200, body = Vec<OneAnomaly>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn anomalies(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<AnomalyParams>,
) -> Result<Response> {
    let only = named(&shared.app, &actor, params.project.as_deref()).await?;
    let found = insight::anomalies(&shared.app, &actor, only, params.since).await?;
    Ok(etag::json(&headers, &found.into_iter().map(OneAnomaly::from).collect::<Vec<_>>()))
}

/// Failures that go together with something.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OnePattern {
    /// The failures' code.
    code: String,
    /// What they go together with, in words.
    condition: String,
    /// Troubles under that condition.
    troubles: u64,
    /// Hours under that condition.
    hours: u64,
    /// Troubles in all.
    troubles_in_all: u64,
    /// Hours in all.
    hours_in_all: u64,
    /// How likely chance alone shows so much somewhere: 0 to 0.01.
    by_chance: f64,
    /// The same in words.
    text: String,
}

impl From<Pattern> for OnePattern {
    fn from(pattern: Pattern) -> Self {
        let (condition, text) = (pattern.condition.words(), pattern.words());
        let Pattern { code, hits, hours, all_hits, all_hours, chance, .. } = pattern;
        Self {
            code,
            condition,
            troubles: hits,
            hours,
            troubles_in_all: all_hits,
            hours_in_all: all_hours,
            by_chance: chance,
            text,
        }
    }
}

/// Failures of the last 90 days that go together with an hour, a weekday, a site or a setting that was changed.
#[utoipa::path(get, path = "/api/sync/analytics/patterns", tag = "insights",
    responses((status = 200, body = Vec<OnePattern>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn patterns(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
) -> Result<Response> {
    let found = insight::patterns(&shared.app, &actor).await?;
    Ok(etag::json(&headers, &found.into_iter().map(OnePattern::from).collect::<Vec<_>>()))
}

/// Of which run.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ForecastParams {
    /// SITE/KEY, or KEY where one site has it.
    project: String,
    /// incremental (unless said), full or reconcile.
    kind: Option<String>,
    /// When it begins; now unless said.
    at: Option<DateTime<Utc>>,
}

/// What a run is expected to take.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Expected {
    /// From start to end.
    seconds: f64,
    /// It takes less in one of twenty cases.
    low: f64,
    /// It takes more in one of twenty cases.
    high: f64,
    /// How many of 1 fall within.
    coverage: f64,
    /// Requests to Jira.
    requests: f64,
    /// Atlassian's points.
    points: f64,
    /// How many runs it rests on.
    based_on_runs: usize,
}

impl From<Forecast> for Expected {
    fn from(forecast: Forecast) -> Self {
        let points = forecast.points();
        let Forecast { seconds, low, high, requests, based_on, .. } = forecast;
        Self { seconds, low, high, coverage: insight::COVERAGE, requests, points, based_on_runs: based_on }
    }
}

/// What the next run of a project is expected to take; null before 20 runs of its kind.
#[utoipa::path(get, path = "/api/sync/analytics/forecast", tag = "insights", params(ForecastParams),
    responses((status = 200, body = Option<Expected>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn forecast(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<ForecastParams>,
) -> Result<Response> {
    let found = insight::forecast(&shared.app, &actor, &params.project, params.kind.as_deref(), params.at).await?;
    Ok(etag::json(&headers, &found.map(Expected::from)))
}

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DailyParams {
    /// SITE/KEY, or KEY where one site has it; of all unless said.
    project: Option<String>,
    /// The last so many days: 1 to 3650, 28 unless said.
    #[param(minimum = 1, maximum = 3650)]
    days: Option<i64>,
}

/// What the runs of each day add up to, by project, kind and outcome: the newest day first; more than 10,000 rows are refused.
#[utoipa::path(get, path = "/api/sync/analytics/daily", tag = "insights", params(DailyParams),
    responses((status = 200, body = Vec<Daily>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn daily(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<DailyParams>,
) -> Result<Response> {
    let only = named(&shared.app, &actor, params.project.as_deref()).await?;
    Ok(etag::json(&headers, &insight::daily(&shared.app, &actor, only, params.days).await?))
}
