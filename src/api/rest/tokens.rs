//! `/api/tokens`: who may use the API.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::Body;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::Result;
use crate::app::token::{self, Token};

/// Tokens that work, newest first.
#[utoipa::path(get, path = "/api/tokens", tag = "administration",
    responses((status = 200, body = Vec<Token>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(State(shared): State<Shared>, Caller(actor): Caller, headers: HeaderMap) -> Result<Response> {
    Ok(etag::json(&headers, &token::list(&shared.app, &actor, false).await?))
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    /// What people call it: up to 100 characters.
    name: String,
    /// What its bearer may do: some of read, replica, replica:restricted, operate, admin; read unless said.
    #[serde(default)]
    scopes: Vec<String>,
    /// The only projects that it reaches, each as KEY or SITE/KEY; all unless said.
    #[serde(default)]
    projects: Vec<String>,
    /// How many days it works: 1 to 3,650; for ever unless said.
    days: Option<i64>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// Its name.
    name: String,
    /// The token. It is shown here and nowhere else.
    token: String,
}

/// Make a token. The answer shows it once.
#[utoipa::path(post, path = "/api/tokens", tag = "administration", request_body = TokenBody,
    responses((status = 201, body = MadeToken), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn create(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(body): Body<TokenBody>,
) -> Result<(StatusCode, Json<MadeToken>)> {
    let asked = token::NewOne { name: body.name, scopes: body.scopes, projects: body.projects, days: body.days };
    let made = token::create(&shared.app, &actor, &asked).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { name: asked.name, token: made.expose_secret().to_owned() })))
}

/// Revoke a token by its name or its id. It stops working at once.
#[utoipa::path(delete, path = "/api/tokens/{name}", tag = "administration", params(("name" = String, Path, description = "Its name or its id")),
    responses((status = 204, description = "Revoked"), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn revoke(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    token::revoke(&shared.app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
