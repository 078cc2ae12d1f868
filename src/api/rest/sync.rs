//! `/api/sync/start`: asks for a run now.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::access::Caller;
use super::super::extract::Body;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::{Result, run};

/// What to start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartBody {
    /// KEY or SITE/KEY.
    project: String,
    /// Read everything again, not only what has changed.
    #[serde(default)]
    full: bool,
    /// Compare the ids of all issues too.
    #[serde(default)]
    reconcile: bool,
}

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StartedRun {
    /// The run.
    run_id: Uuid,
}

/// Ask for a run of a project. A request that meets an active run is kept and runs next.
#[utoipa::path(post, path = "/api/sync/start", tag = "history", request_body = StartBody,
    responses((status = 202, body = StartedRun), (status = 409, body = Problem, description = "The project is paused"),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn start(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(body): Body<StartBody>,
) -> Result<(StatusCode, Json<StartedRun>)> {
    let asked = run::Start { project: body.project, full: body.full, reconcile: body.reconcile };
    let run_id = run::start(&shared.app, &actor, &asked).await?;
    Ok((StatusCode::ACCEPTED, Json(StartedRun { run_id })))
}
