//! `/api/audit`: who changed what.

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
use crate::app::audit::{self, Entry};
use crate::app::run::bounded;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// Older than the entry of this number: the `next_cursor` of an answer.
    cursor: Option<i64>,
    /// By this actor.
    actor: Option<String>,
    /// Of this action, such as `project.pause`, or of this noun, such as `project`.
    action: Option<String>,
    /// About this site, SITE/KEY or run.
    subject: Option<String>,
    /// At most so many: 1 to 500, 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Part of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// The entries, newest first.
    items: Vec<Entry>,
    /// Leads to older entries; null where there are none.
    next_cursor: Option<i64>,
}

/// Who changed what, by which way, from where: newest first.
#[utoipa::path(get, path = "/api/audit", tag = "administration", params(AuditParams),
    responses((status = 200, body = AuditPage), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<AuditParams>,
) -> Result<Response> {
    let limit = bounded("limit", params.limit, 50, 1, 500)?;
    let asked = audit::Filter {
        before: params.cursor,
        actor: params.actor,
        action: params.action,
        subject: params.subject,
        limit: Some(limit),
    };
    let items = audit::list(&shared.app, &actor, &asked).await?;
    let is_full = i64::try_from(items.len()).unwrap_or(i64::MAX) >= limit;
    let next_cursor = items.last().filter(|_| is_full).map(|entry| entry.id);
    Ok(etag::json(&headers, &AuditPage { items, next_cursor }))
}
