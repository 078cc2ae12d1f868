//! `/api/sync/stats/summary`: what the runs of some days add up to.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::Params;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::Result;
use crate::app::stats::{self, Sum};

/// Of how many days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SummaryParams {
    /// The last so many days: 1 to 90, 7 unless said.
    #[param(minimum = 1, maximum = 90)]
    days: Option<i64>,
}

/// What the runs add up to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summary {
    /// Of how many days.
    days: i64,
    /// The share of runs that succeeded, of those that succeeded or failed: 0 to 100; null where none did.
    success_rate: Option<f64>,
    /// In all.
    total: Sum,
    /// Day by day, the oldest first; days without a run are left out.
    by_day: Vec<Sum>,
}

/// What the runs of the last days add up to.
#[utoipa::path(get, path = "/api/sync/stats/summary", tag = "statistics", params(SummaryParams),
    responses((status = 200, body = Summary), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn summary(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<SummaryParams>,
) -> Result<Response> {
    let found = stats::summary(&shared.app, &actor, params.days).await?;
    let success_rate = found.success_share().map(|share| share * 100.0);
    Ok(etag::json(&headers, &Summary { days: found.days, success_rate, total: found.all, by_day: found.by_day }))
}
