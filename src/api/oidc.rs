//! `/auth/oidc`: signing in by an OpenID provider, for browsers.
//!
//! What must hold: what goes wrong is told on a page that a person can read, and leads back; nobody is led to another host but the
//! provider's.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde::Deserialize;

use super::client::Client;
use super::cookie;
use super::extract::Params;
use super::problem::Problem;
use super::shared::Shared;
use crate::app::oidc::{Answer, Oidc};
use crate::app::{Error, Result};

/// Where somebody wants to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Next {
    /// A path of this host.
    #[serde(default)]
    next: String,
}

/// What a provider answers. It may say more; that is passed over.
#[derive(Deserialize)]
pub(super) struct Callback {
    state: Option<String>,
    code: Option<SecretString>,
    error: Option<String>,
    iss: Option<String>,
}

fn provider(shared: &Shared) -> Result<&Oidc> {
    shared.oidc.as_ref().ok_or_else(|| {
        Error::not_found("nobody signs in by an OpenID provider here").help("the configuration `oidc.issuer` names one")
    })
}

/// Leads to the provider.
pub(super) async fn begin(
    State(shared): State<Shared>,
    client: Client,
    headers: HeaderMap,
    next: Result<Params<Next>>,
) -> Response {
    let begun = async {
        cookie::check(&client)?;
        let begun = provider(&shared)?.begin(&shared.app, &next?.0.next).await?;
        leave(begun.to.as_str(), [cookie::asked(&client, &shared.config.base_path, &begun.kept)?])
    };
    begun.await.unwrap_or_else(|problem| told(&shared, &headers, problem))
}

/// Takes the provider's answer.
pub(super) async fn end(State(shared): State<Shared>, client: Client, headers: HeaderMap, uri: Uri) -> Response {
    let ended = async {
        let oidc = provider(&shared)?;
        let Query(answer) = Query::<Callback>::try_from_uri(&uri)
            .map_err(|_| Error::invalid("query", "the answer of the provider cannot be read").help("sign in again"))?;
        if let Some(error) = answer.error {
            let plain: String = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
            return Err(Error::forbidden(format!("the OpenID provider refused: {plain}")).help("sign in again"));
        }
        let (Some(state), Some(code), Some(kept)) = (answer.state, answer.code, cookie::was_asked(&client, &headers))
        else {
            return Err(Error::unauthenticated(
                "this sign-in was not begun in this browser, or took longer than ten minutes",
            )
            .help("sign in again"));
        };
        let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let issuer = answer.iss;
        let answer = Answer { state, code, kept, issuer, address: client.address.clone(), user_agent };
        let (session, next) = oidc.end(&shared.app, &answer).await?;
        let base = &shared.config.base_path;
        let next = if next.is_empty() { format!("{base}/") } else { next };
        leave(&next, [cookie::kept(&client, base, &session)?, cookie::answered(&client, base)?])
    };
    ended.await.unwrap_or_else(|problem| told(&shared, &headers, problem))
}

fn leave<const N: usize>(to: &str, cookies: [HeaderValue; N]) -> Result<Response> {
    let to = HeaderValue::from_str(to).map_err(|_| Error::invalid("next", "next is no path"))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A page for people, a problem for programs.
fn told(shared: &Shared, headers: &HeaderMap, problem: Error) -> Response {
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kinds| kinds.contains("text/html"));
    let problem = Problem::from(problem);
    if !wants_page {
        return problem.into_response();
    }
    let again = format!("{}/auth/oidc", shared.config.base_path);
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sign-in failed</title><h1>Sign-in failed</h1>\
         <p>{}.</p><p>{}</p><p><a href=\"{}\">Sign in again</a></p></html>\n",
        escaped(&problem.detail),
        escaped(problem.advice.as_deref().unwrap_or_default()),
        escaped(&again)
    );
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    *response.body_mut() = page.into();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
