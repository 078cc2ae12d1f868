//! `/api/alerts`: what is wrong, how it went on, and what people do about it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::{Body, Params};
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::alert::{self, Alert, Asked};
use crate::app::{self, Result};

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertParams {
    /// Those that are over too.
    #[serde(default)]
    all: bool,
    /// Where the list goes on: the `next_cursor` of an answer.
    cursor: Option<String>,
    /// At most so many: 1 to 500, 25 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertBody {
    /// Its id.
    id: Uuid,
    /// `pending`, `open`, `absorbed` or `resolved`.
    state: String,
    /// `info`, `warning`, `error` or `critical`.
    severity: String,
    /// Its category.
    category: String,
    /// The class of what is wrong, such as TOKEN_EXPIRED.
    class: String,
    /// What it is about: `site acme`, `project acme/OPS`, `channel mail`, `syncline`.
    about: String,
    /// What is wrong, in one sentence.
    summary: Option<String>,
    /// Who must do what.
    advice: Option<String>,
    /// When it was opened.
    opened_at: DateTime<Utc>,
    /// When it ended.
    resolved_at: Option<DateTime<Utc>>,
    /// When somebody took it on.
    acknowledged_at: Option<DateTime<Utc>>,
    /// Who.
    acknowledged_by: Option<String>,
    /// What they said.
    note: Option<String>,
    /// Until when its messages are kept back.
    silenced_until: Option<DateTime<Utc>>,
    /// How often it came back.
    flaps: i32,
    /// Messages sent.
    delivered: i64,
    /// Messages on their way.
    undelivered: i64,
}

impl From<Alert> for AlertBody {
    fn from(alert: Alert) -> Self {
        let details = alert::details(&alert);
        Self {
            summary: details.as_ref().map(|details| details.summary.clone()),
            advice: details.map(|details| details.advice),
            id: alert.id,
            state: alert.state,
            severity: alert.severity,
            category: alert.category,
            class: alert.class,
            about: alert.about,
            opened_at: alert.opened_at,
            resolved_at: alert.resolved_at,
            acknowledged_at: alert.acknowledged_at,
            acknowledged_by: alert.acknowledged_by,
            note: alert.note,
            silenced_until: alert.silenced_until,
            flaps: alert.flaps,
            delivered: alert.delivered,
            undelivered: alert.undelivered,
        }
    }
}

/// Part of the list of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertPage {
    /// The alerts, newest first.
    items: Vec<AlertBody>,
    /// Leads to the next part; null at the end.
    next_cursor: Option<String>,
}

/// Alerts, newest first: those that are open, or all.
#[utoipa::path(get, path = "/api/alerts", tag = "alerts", params(AlertParams),
    responses((status = 200, body = AlertPage), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<AlertParams>,
) -> Result<Response> {
    let asked = Asked { all: params.all, cursor: params.cursor, limit: params.limit };
    let page = alert::list(&shared.app, &actor, &asked).await?;
    let items = page.items.into_iter().map(AlertBody::from).collect();
    Ok(etag::json(&headers, &AlertPage { items, next_cursor: page.next_cursor }))
}

/// An alert with what happened to it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertStory {
    #[serde(flatten)]
    alert: AlertBody,
    /// What happened, oldest first: `seq`, `at`, `event`, `reason`, `actor`, `severity`, `withheld`.
    #[schema(value_type = Vec<Object>)]
    events: Value,
    /// The messages about it: `channel`, `recipients`, `state` and more.
    #[schema(value_type = Vec<Object>)]
    deliveries: Value,
}

/// One alert with what happened to it.
#[utoipa::path(get, path = "/api/alerts/{id}", tag = "alerts", params(("id" = String, Path, description = "The alert's id")),
    responses((status = 200, body = AlertStory), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response> {
    let story = alert::story(&shared.app, &actor, app::id("id", &id)?).await?;
    let (events, deliveries) = (serde_json::json!(story.events), serde_json::json!(story.deliveries));
    Ok(etag::json(&headers, &AlertStory { alert: story.alert.into(), events, deliveries }))
}

/// What somebody says.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// Up to 1,000 characters.
    #[serde(default)]
    note: String,
}

/// Take an alert on: no more reminders, no escalation by age.
#[utoipa::path(post, path = "/api/alerts/{id}/acknowledge", tag = "alerts", request_body = Note,
    params(("id" = String, Path, description = "The alert's id")),
    responses((status = 200, body = AlertBody), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn acknowledge(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(note): Body<Note>,
) -> Result<Json<AlertBody>> {
    let id = app::id("id", &id)?;
    alert::acknowledge(&shared.app, &actor, id, &note.note).await?;
    Ok(Json(alert::get(&shared.app, &actor, id).await?.into()))
}

/// For how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Silence {
    /// 1 to 7,776,000 (90 days).
    #[schema(minimum = 1, maximum = 7_776_000)]
    seconds: i64,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// Keep messages about an alert back for a time.
#[utoipa::path(post, path = "/api/alerts/{id}/silence", tag = "alerts", request_body = Silence,
    params(("id" = String, Path, description = "The alert's id")),
    responses((status = 200, body = AlertBody), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn silence(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(asked): Body<Silence>,
) -> Result<Json<AlertBody>> {
    let id = app::id("id", &id)?;
    alert::silence(&shared.app, &actor, id, asked.seconds, &asked.reason).await?;
    Ok(Json(alert::get(&shared.app, &actor, id).await?.into()))
}

/// End the silence of an alert; what is still open is told at once.
#[utoipa::path(post, path = "/api/alerts/{id}/unsilence", tag = "alerts", params(("id" = String, Path, description = "The alert's id")),
    responses((status = 204), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn unsilence(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    alert::unsilence(&shared.app, &actor, app::id("id", &id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End an alert. If its condition still holds, it opens again.
#[utoipa::path(post, path = "/api/alerts/{id}/resolve", tag = "alerts", params(("id" = String, Path, description = "The alert's id")),
    responses((status = 200, body = AlertBody), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn resolve(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<AlertBody>> {
    let id = app::id("id", &id)?;
    alert::resolve(&shared.app, &actor, id).await?;
    Ok(Json(alert::get(&shared.app, &actor, id).await?.into()))
}
