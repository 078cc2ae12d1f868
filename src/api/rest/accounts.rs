//! `/api/accounts`: people who sign in.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::Body;
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::Result;
use crate::app::account::{self, Account};

/// Accounts by name.
#[utoipa::path(get, path = "/api/accounts", tag = "administration",
    responses((status = 200, body = Vec<Account>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(State(shared): State<Shared>, Caller(actor): Caller, headers: HeaderMap) -> Result<Response> {
    Ok(etag::json(&headers, &account::list(&shared.app, &actor).await?))
}

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountBody {
    /// What they sign in with: up to 100 letters, digits and . - _ @ +; upper and lower case are the same.
    name: String,
    /// Their address.
    email: Option<String>,
    /// viewer, operator or administrator; viewer unless said.
    role: Option<String>,
    /// Whether they read comments and worklogs that Jira shows to some people only; false unless said.
    #[serde(default)]
    restricted: bool,
    /// The only projects that they reach, each as KEY or SITE/KEY; all unless said.
    #[serde(default)]
    projects: Vec<String>,
    /// Their password: at least 12 characters. It is never shown.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
}

/// Make an account.
#[utoipa::path(post, path = "/api/accounts", tag = "administration", request_body = AccountBody,
    responses((status = 201, body = Account), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn create(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(body): Body<AccountBody>,
) -> Result<(StatusCode, Json<Account>)> {
    let asked = account::NewOne {
        name: body.name,
        email: body.email,
        role: body.role,
        restricted: body.restricted,
        projects: body.projects,
        password: body.password,
    };
    Ok((StatusCode::CREATED, Json(account::create(&shared.app, &actor, &asked).await?)))
}

/// What changes of an account; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    /// viewer, operator or administrator.
    role: Option<String>,
    /// Whether they read comments and worklogs that Jira shows to some people only.
    restricted: Option<bool>,
    /// The only projects that they reach, each as KEY or SITE/KEY; an empty list for all.
    projects: Option<Vec<String>>,
    /// Their address; an empty text for none.
    email: Option<String>,
    /// Another password; it ends their sessions.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// Whether it is disabled; it ends their sessions, and their tokens do nothing meanwhile.
    disabled: Option<bool>,
}

/// Change an account. Open sessions follow at once.
#[utoipa::path(patch, path = "/api/accounts/{name}", tag = "administration", request_body = ChangeBody,
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = Account), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn change(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<Account>> {
    let asked = account::Change {
        role: body.role,
        restricted: body.restricted,
        projects: body.projects,
        email: body.email,
        password: body.password,
        disabled: body.disabled,
    };
    Ok(Json(account::change(&shared.app, &actor, &name, &asked).await?))
}

/// Remove an account. Its sessions end, and its tokens are revoked.
#[utoipa::path(delete, path = "/api/accounts/{name}", tag = "administration",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "Removed"), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn remove(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    account::remove(&shared.app, &actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
