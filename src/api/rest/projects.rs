//! `/api/projects`: what is synchronised.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::Params;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::Result;
use crate::app::project::{self, Project};

/// Which projects.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ProjectParams {
    /// Those that were removed too.
    #[serde(default)]
    removed: bool,
}

/// Projects with their schedules and how fresh they are.
#[utoipa::path(get, path = "/api/projects", tag = "projects", params(ProjectParams),
    responses((status = 200, body = Vec<Project>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<ProjectParams>,
) -> Result<Response> {
    Ok(etag::json(&headers, &project::list(&shared.app, &actor, params.removed).await?))
}

/// A project that was paused or resumed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedProject {
    /// SITE/KEY.
    project: String,
    /// paused or active.
    state: &'static str,
    /// False when it was so already.
    changed: bool,
    /// When it runs next by itself.
    next_run_at: Option<DateTime<Utc>>,
}

/// Stop a project's schedule and refuse requests. A run that is under way goes on to its end.
#[utoipa::path(post, path = "/api/projects/{site}/{key}/pause", tag = "projects",
    params(("site" = String, Path, description = "The site's name"), ("key" = String, Path, description = "The project's key")),
    responses((status = 200, body = ChangedProject), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn pause(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path((site, key)): Path<(String, String)>,
) -> Result<Json<ChangedProject>> {
    let done = project::pause(&shared.app, &actor, &format!("{site}/{key}")).await?;
    let project = project::name(&done.project);
    Ok(Json(ChangedProject { project, state: "paused", changed: done.changed, next_run_at: None }))
}

/// Start a project again from its next slot on.
#[utoipa::path(post, path = "/api/projects/{site}/{key}/resume", tag = "projects",
    params(("site" = String, Path, description = "The site's name"), ("key" = String, Path, description = "The project's key")),
    responses((status = 200, body = ChangedProject), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn resume(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path((site, key)): Path<(String, String)>,
) -> Result<Json<ChangedProject>> {
    let defaults = (shared.sync.default_cron.as_str(), shared.sync.time_zone.as_str());
    let done = project::resume(&shared.app, &actor, &format!("{site}/{key}"), defaults).await?;
    let project = project::name(&done.project);
    Ok(Json(ChangedProject { project, state: "active", changed: done.changed, next_run_at: done.next_run_at }))
}
