//! `POST /hooks/jira/{site}` and `/hooks/jira/{site}/{secret}`: what Jira sends when something has changed.
//!
//! What must hold: the secret in an address reaches no answer and no log; a body is bounded before it is read; Jira hears 202 or
//! 200 for what was taken, and never 409: it would send that again.

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use secrecy::SecretString;
use serde::Serialize;

use super::problem::Problem;
use super::shared::Shared;
use crate::app::Error;
use crate::app::webhook::{BODY_BYTES, Outcome, Post, Refusal};

/// The longest secret that is looked at, in bytes; those that are made here are shorter.
const SECRET_BYTES: usize = 256;

/// The routes for Jira. They ask for no session: each webhook proves itself.
pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/hooks/jira/{site}", post(unsealed).fallback(nothing))
        .route("/hooks/jira/{site}/{secret}", post(sealed).fallback(nothing))
        // Paths below may hold a secret that was entered wrongly: they are not repeated.
        .route("/hooks/{*rest}", any(nothing))
        .layer(DefaultBodyLimit::disable())
}

/// An answer to a webhook that was taken.
#[derive(Serialize)]
struct Answer {
    status: &'static str,
}

async fn unsealed(State(shared): State<Shared>, Path(site): Path<String>, headers: HeaderMap, body: Body) -> Response {
    receive(&shared, &site, None, &headers, body).await
}

async fn sealed(
    State(shared): State<Shared>,
    Path((site, secret)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    receive(&shared, &site, Some(SecretString::from(secret)), &headers, body).await
}

async fn nothing() -> Response {
    Error::not_found("there is nothing at this address")
        .help("Jira sends webhooks by POST to /hooks/jira/SITE; `syncline site webhook check SITE` shows the address")
        .into_response()
}

async fn receive(
    shared: &Shared,
    site: &str,
    secret: Option<SecretString>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let (app, hooks) = (&shared.app, &shared.hooks);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let refuse = async |refusal: Refusal| {
        hooks.refused(app, site, refusal).await;
        answer(refusal)
    };
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return refuse(Refusal::Encoded).await;
    }
    let length = text("content-length").and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY_BYTES) {
        return refuse(Refusal::TooLarge).await;
    }
    let Ok(body) = to_bytes(body, BODY_BYTES).await else { return refuse(Refusal::TooLarge).await };
    if secret.as_ref().is_some_and(|secret| secrecy::ExposeSecret::expose_secret(secret).len() > SECRET_BYTES) {
        return refuse(Refusal::BadPath).await;
    }
    let posted = Post {
        site,
        secret: secret.as_ref(),
        signature: text("x-hub-signature"),
        authorization: text("authorization"),
        identifier: text("x-atlassian-webhook-identifier"),
        body: &body,
    };
    match hooks.receive(app, &posted).await {
        Ok(Outcome::Accepted) => (StatusCode::ACCEPTED, Json(Answer { status: "accepted" })).into_response(),
        Ok(Outcome::Duplicate) => (StatusCode::OK, Json(Answer { status: "duplicate" })).into_response(),
        Err(refusal) => answer(refusal),
    }
}

/// How a refusal is told. Whoever has no secret does not learn which sites there are.
fn answer(refusal: Refusal) -> Response {
    let unproven = || Error::unauthenticated("nothing proves that this webhook comes from the site");
    match refusal {
        Refusal::UnknownSite
        | Refusal::Unsigned
        | Refusal::BadSignature
        | Refusal::BadToken
        | Refusal::BadPath
        | Refusal::NoSecret => unproven()
            .help("compare the address and the secret in Jira with `syncline site webhook list SITE`")
            .into_response(),
        Refusal::NotJson => Error::invalid("body", "the body is no JSON object in UTF-8").into_response(),
        Refusal::TooOld => Error::invalid("timestamp", "the webhook is older than 24 hours, or of the future")
            .help("compare the clocks; what was missed is read by the schedule")
            .into_response(),
        Refusal::TooLarge => {
            let detail = format!("the body is larger than {BODY_BYTES} bytes");
            Problem::of_body(StatusCode::PAYLOAD_TOO_LARGE, detail, "let the webhook leave out the issue's fields")
                .into_response()
        }
        Refusal::Encoded => Problem::of_body(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is compressed",
            "send it without Content-Encoding",
        )
        .into_response(),
        Refusal::OverBudget => Error::limited("the site sends more webhooks than are taken", 60).into_response(),
        Refusal::Unavailable => Error::unavailable("the webhook cannot be stored now").into_response(),
    }
}
