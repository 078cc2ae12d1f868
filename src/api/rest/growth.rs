//! `/api/sync/analytics/growth` and `what-if`: how large the database becomes, and what more projects would cost.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::Params;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::Result;
use crate::app::insight::{self, Grown, WhatIf};

/// A size to come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ahead {
    /// In so many days.
    days: i32,
    /// Bytes that are expected.
    bytes: f64,
    /// It is less in one of twenty cases, if it goes on as it did.
    low: f64,
    /// It is more in one of twenty cases.
    high: f64,
}

/// A table and how it grows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TableGrowth {
    /// The table, with its indexes; database for all of it.
    name: String,
    /// Bytes on disk.
    bytes: i64,
    /// On this day.
    day: NaiveDate,
    /// Bytes a day; null before a week is known.
    per_day: Option<f64>,
    /// In 30 and in 90 days.
    ahead: Vec<Ahead>,
}

impl From<Grown> for TableGrowth {
    fn from(grown: Grown) -> Self {
        let per_day = grown.ahead.map(|[month, _]| month.per_day);
        let days = [30, 90];
        let ahead = grown.ahead.into_iter().flatten().zip(days).map(|(growth, days)| Ahead {
            days,
            bytes: growth.expected,
            low: growth.low,
            high: growth.high,
        });
        Self { name: grown.name, bytes: grown.bytes, day: grown.day, per_day, ahead: ahead.collect() }
    }
}

/// How large the tables are and become, the largest first.
#[utoipa::path(get, path = "/api/sync/analytics/growth", tag = "insights",
    responses((status = 200, body = Vec<TableGrowth>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn growth(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
) -> Result<Response> {
    let found = insight::sizes(&shared.app, &actor).await?;
    Ok(etag::json(&headers, &found.into_iter().map(TableGrowth::from).collect::<Vec<_>>()))
}

/// How many projects of which kind.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhatIfParams {
    /// They are like this one: SITE/KEY, or KEY where one site has it.
    project: String,
    /// How many: 1 to 100000.
    #[param(minimum = 1, maximum = 100_000)]
    count: i64,
}

/// What more projects would cost a day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MoreProjects {
    /// How many.
    projects: i64,
    /// Days of history that it rests on.
    days: i64,
    /// Runs.
    runs: f64,
    /// Requests to Jira.
    requests: f64,
    /// Atlassian's points.
    points: f64,
    /// Runs under way at once, on average.
    at_once: f64,
    /// Issues that are new or changed.
    issues_changed: f64,
}

impl From<WhatIf> for MoreProjects {
    fn from(found: WhatIf) -> Self {
        let WhatIf { projects, days, runs, requests, points, at_once, issues_changed } = found;
        Self { projects, days, runs, requests, points, at_once, issues_changed }
    }
}

/// What more projects like one would cost a day, by its last 28 days; null where it has no history.
#[utoipa::path(get, path = "/api/sync/analytics/what-if", tag = "insights", params(WhatIfParams),
    responses((status = 200, body = Option<MoreProjects>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn what_if(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<WhatIfParams>,
) -> Result<Response> {
    let found = insight::what_if(&shared.app, &actor, &params.project, params.count).await?;
    Ok(etag::json(&headers, &found.map(MoreProjects::from)))
}
