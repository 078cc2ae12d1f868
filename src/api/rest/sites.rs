//! `/api/sites`: what came from them.

use axum::extract::{Path, State};
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
use crate::app::run::bounded;
use crate::app::webhook::{self, Event, Which};

/// Which webhooks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Before the one of this number: the `next_cursor` of an answer.
    cursor: Option<i64>,
    /// About this issue: its key or its id.
    issue: Option<String>,
    /// With this outcome: hinted, run, ignored or read.
    outcome: Option<String>,
    /// At most so many: 1 to 500, 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Part of the log of webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage {
    /// The webhooks, newest first.
    items: Vec<Event>,
    /// Leads to older ones; null where there are none.
    next_cursor: Option<i64>,
}

/// The webhooks of a site that were taken in the last 7 days, newest first.
#[utoipa::path(get, path = "/api/sites/{site}/webhook-events", tag = "sites", params(EventParams,
    ("site" = String, Path, description = "The site's name")),
    responses((status = 200, body = EventPage), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn webhook_events(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(site): Path<String>,
    Params(params): Params<EventParams>,
) -> Result<Response> {
    let limit = bounded("limit", params.limit, 50, 1, 500)?;
    let which = Which { before: params.cursor, issue: params.issue, outcome: params.outcome, limit: Some(limit) };
    let items = webhook::log(&shared.app, &actor, &site, &which).await?;
    let is_full = i64::try_from(items.len()).unwrap_or(i64::MAX) >= limit;
    let next_cursor = items.last().filter(|_| is_full).map(|event| event.id);
    Ok(etag::json(&headers, &EventPage { items, next_cursor }))
}
