//! `/api/session` and `/api/sessions`: signing in and out, and who is signed in.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::access::Caller;
use super::super::client::Client;
use super::super::cookie;
use super::super::extract::{Body, Params};
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::session::{self, Session, SignIn};
use crate::app::{self, Actor, Result, Role, Way};

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInBody {
    /// The account.
    name: String,
    /// Its password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Who asks, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhoAmI {
    /// Their name, as the audit has it.
    name: String,
    /// By which way: `session`, `token`, `local`.
    way: &'static str,
    /// The role of their account: `viewer`, `operator`, `administrator`; null for tokens.
    role: Option<&'static str>,
    /// What they may do.
    scopes: Vec<String>,
    /// The ids of the only projects that they reach; null for all.
    projects: Option<Vec<Uuid>>,
    /// When the session ends, however much it is used; null for tokens.
    ends_at: Option<DateTime<Utc>>,
}

async fn who(shared: &Shared, actor: Actor) -> Result<WhoAmI> {
    let ends_at = session::ends_at(&shared.app, &actor).await?;
    let role = match actor.way {
        Way::Session => Some(Role::of(&actor.scopes).as_str()),
        _ => None,
    };
    let scopes = actor.scopes.texts();
    Ok(WhoAmI { name: actor.name, way: actor.way.as_str(), role, scopes, projects: actor.projects, ends_at })
}

/// Sign in with name and password. The answer sets a cookie.
#[utoipa::path(post, path = "/api/session", tag = "administration", request_body = SignInBody, security(()),
    responses((status = 200, body = WhoAmI), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn sign_in(
    State(shared): State<Shared>,
    client: Client,
    headers: HeaderMap,
    Body(body): Body<SignInBody>,
) -> Result<Response> {
    cookie::check(&client)?;
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let asked = SignIn { name: body.name, password: body.password, address: client.address.clone(), user_agent };
    let made = session::sign_in(&shared.app, &asked).await?;
    let actor = session::actor(&shared.app, made.expose_secret(), client.address.clone()).await?;
    let kept = cookie::kept(&client, &shared.config.base_path, &made)?;
    Ok(with_cookie(kept, Json(who(&shared, actor).await?)))
}

fn with_cookie(cookie: HeaderValue, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/api/session", tag = "administration",
    responses((status = 200, body = WhoAmI), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn show(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<WhoAmI>> {
    Ok(Json(who(&shared, actor).await?))
}

/// Sign out. The session ends, and the browser forgets it.
#[utoipa::path(delete, path = "/api/session", tag = "administration",
    responses((status = 204, description = "Signed out"), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn sign_out(State(shared): State<Shared>, Caller(actor): Caller, client: Client) -> Result<Response> {
    session::sign_out(&shared.app, &actor).await?;
    Ok(with_cookie(cookie::forgotten(&client, &shared.config.base_path)?, StatusCode::NO_CONTENT))
}

/// Another password of one's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    /// The present one.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// The new one: at least 12 characters.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Change one's own password. Other sessions of the account end.
#[utoipa::path(put, path = "/api/session/password", tag = "administration", request_body = PasswordBody,
    responses((status = 204, description = "Changed"), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn change_password(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Body(body): Body<PasswordBody>,
) -> Result<StatusCode> {
    session::change_password(&shared.app, &actor, &body.password, &body.new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsOf {
    /// Of this account; of all unless said. Who is no administrator sees their own.
    account: Option<String>,
}

/// Sessions that work, newest first.
#[utoipa::path(get, path = "/api/sessions", tag = "administration", params(SessionsOf),
    responses((status = 200, body = Vec<Session>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Params(of): Params<SessionsOf>,
) -> Result<Json<Vec<Session>>> {
    Ok(Json(session::list(&shared.app, &actor, of.account.as_deref()).await?))
}

/// End a session. Its browser is signed out at once.
#[utoipa::path(delete, path = "/api/sessions/{id}", tag = "administration", params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "Ended"), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn end(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    session::end(&shared.app, &actor, app::id("id", &id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
