//! One run as it goes: its log, its progress, and stopping it or asking for it again.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::Params;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::follow::{self, LogEntry, RunProgress};
use crate::app::run::{self, Cancelled};
use crate::app::{self, Result};

/// How often a client that hears nothing is told that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which log entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParams {
    /// As loud as this, or louder: info, warn or error.
    level: Option<String>,
    /// About this kind of record: issue, comment, worklog, …
    entity_type: Option<String>,
    /// With this text in message, event or code.
    q: Option<String>,
    /// Older than the entry of this number: the `next_cursor` of an answer.
    cursor: Option<i64>,
    /// Newer than the entry of this number.
    after: Option<i64>,
    /// At most so many: 1 to 1,000, 200 unless said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Part of a run's log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogPage {
    /// The entries, oldest first.
    items: Vec<LogEntry>,
    /// Leads to older entries; null where there are none.
    next_cursor: Option<i64>,
}

/// The newest entries of a run's log, oldest first.
#[utoipa::path(get, path = "/api/sync/history/{id}/logs", tag = "history", params(("id" = String, Path, description = "The run's id"), LogParams),
    responses((status = 200, body = LogPage), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn logs(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Params(params): Params<LogParams>,
) -> Result<Response> {
    let limit = run::bounded("limit", params.limit, 200, 1, 1_000)?;
    let asked = follow::Logs {
        level: params.level,
        entity: params.entity_type,
        text: params.q,
        before: params.cursor,
        after: params.after,
        limit: Some(limit),
        oldest: false,
    };
    let items = follow::logs(&shared.app, &actor, app::id("id", &id)?, &asked).await?;
    let is_full = i64::try_from(items.len()).unwrap_or(i64::MAX) >= limit;
    let next_cursor = items.first().filter(|_| is_full).map(|entry| entry.id);
    Ok(etag::json(&headers, &LogPage { items, next_cursor }))
}

/// How far a run has come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Progress {
    /// What it does: queued, planning, reading, writing, paused, stopping, over.
    operation: &'static str,
    /// How much is done, from 0 to 100; null until the run is planned.
    percent: Option<f64>,
    /// How long it will take still, at the pace so far; null where that is not known.
    remaining_seconds: Option<f64>,
    #[serde(flatten)]
    progress: RunProgress,
}

impl From<RunProgress> for Progress {
    fn from(progress: RunProgress) -> Self {
        let follow::Pace { operation, percent, remaining_seconds } = follow::pace(&progress);
        Self { operation, percent, remaining_seconds, progress }
    }
}

/// How far a run has come.
#[utoipa::path(get, path = "/api/sync/history/{id}/progress", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = Progress), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn progress(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<Progress>> {
    Ok(Json(follow::progress(&shared.app, &actor, app::id("id", &id)?).await?.into()))
}

/// The progress of a run as it happens, as server-sent events: `progress` while it goes on, `end` with the last state.
#[utoipa::path(get, path = "/api/sync/history/{id}/events", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = Progress, content_type = "text/event-stream"),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn events(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Response> {
    let heard = shared.live.follow(&shared.app, &actor, app::id("id", &id)?).await?;
    let stream = followed(heard, shared.stop.clone());
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// What is heard of a run, now and then at each change, until its end or the server's.
fn followed(
    heard: watch::Receiver<RunProgress>,
    stop: CancellationToken,
) -> impl Stream<Item = std::result::Result<Event, Infallible>> {
    stream::unfold((Some(heard), true, stop), |(heard, is_first, stop)| async move {
        let mut heard = heard?;
        if !is_first {
            tokio::select! {
                () = stop.cancelled() => return None,
                changed = heard.changed() => changed.ok()?,
            }
        }
        let now = heard.borrow_and_update().clone();
        let is_over = now.has_ended();
        let name = if is_over { "end" } else { "progress" };
        let event = Event::default().event(name).json_data(Progress::from(now)).ok()?;
        Some((Ok(event), ((!is_over).then_some(heard), false, stop)))
    })
}

/// A run that was asked to stop.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancelledRun {
    /// The run.
    run_id: Uuid,
    /// cancelled, or cancelling: it stops at the end of the steps that are being executed.
    state: &'static str,
}

/// Ask a run to stop.
#[utoipa::path(post, path = "/api/sync/history/{id}/cancel", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 202, body = CancelledRun), (status = 409, body = Problem, description = "It is over"),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn cancel(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<CancelledRun>)> {
    let run_id = app::id("id", &id)?;
    let state = match run::cancel(&shared.app, &actor, run_id).await? {
        Cancelled::AtOnce => "cancelled",
        Cancelled::AtStepEnd => "cancelling",
    };
    Ok((StatusCode::ACCEPTED, Json(CancelledRun { run_id, state })))
}

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetriedRun {
    /// The new run.
    run_id: Uuid,
    /// The run that it repeats.
    retry_of: Uuid,
}

/// Ask for a new run with the parameters of one that is over.
#[utoipa::path(post, path = "/api/sync/history/{id}/retry", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 202, body = RetriedRun), (status = 409, body = Problem, description = "It goes on, or its project is paused"),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn retry(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RetriedRun>)> {
    let retry_of = app::id("id", &id)?;
    let run_id = run::retry(&shared.app, &actor, retry_of).await?;
    Ok((StatusCode::ACCEPTED, Json(RetriedRun { run_id, retry_of })))
}
