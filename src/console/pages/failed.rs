//! Who is let in to pages, and the page that says why there is none: what was refused, its code, what to do.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::fields::encoded;
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, of_status, redirect, theme};
use crate::api::{Caller, Shared};
use crate::app::{Error, Kind, Result};

#[derive(Template)]
#[template(path = "failed.html", config = ".askama.toml")]
struct Failed {
    shell: Shell,
    title: &'static str,
    code: &'static str,
    message: String,
    help: Option<String>,
}

fn title(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, "This cannot be asked so"),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "Sign in first"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "You may not do this"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "There is no such thing"),
        Kind::Limited => (StatusCode::TOO_MANY_REQUESTS, "Too many tries"),
        Kind::Conflict => (StatusCode::CONFLICT, "This is not possible now"),
        Kind::Jira => (StatusCode::BAD_GATEWAY, "Jira refused, or could not be asked"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The database cannot be asked now"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "The request failed"),
    }
}

fn draw(shell: Shell, error: &Error) -> Response {
    let (status, title) = title(error.kind);
    let (message, help) = match error.kind {
        Kind::Internal => {
            tracing::error!(event = crate::observe::events::API_FAILED, error = %error.message, "a page failed");
            ("What went wrong stands in the log of the process.".to_owned(), None)
        }
        Kind::Unavailable => (
            error.message.clone(),
            Some("wait a moment and try again; `syncline doctor` says what is wrong".to_owned()),
        ),
        _ => (error.message.clone(), error.help.clone()),
    };
    let page = Failed { shell, title, code: error.kind.code(), message, help };
    of_status(status, &page).unwrap_or_else(|_| status.into_response())
}

/// For a visitor. The database is not asked: it may be what is wrong.
async fn page(visitor: &Visitor, error: &Error) -> Response {
    draw(Shell::quiet(visitor, "", title(error.kind).1), error)
}

/// For somebody unknown.
pub(crate) fn bare(shared: &Shared, theme: &'static str, error: &Error) -> Response {
    draw(Shell::bare(&shared.config.base_path, theme, shared.app.now(), title(error.kind).1), error)
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> std::result::Result<Self, Response> {
        let (theme, base) = (theme(&parts.headers), &shared.config.base_path);
        let said = parts.uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("said=")));
        let said = said.map(str::to_owned);
        match Caller::from_request_parts(parts, shared).await {
            Ok(Caller(actor)) => Ok(Self { actor, shared: shared.clone(), theme, said, now: shared.app.now() }),
            Err(error) if error.kind == Kind::Unauthenticated && parts.method == Method::GET => {
                let wanted = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                // The path below the base: the router has taken the base away.
                Err(redirect(&format!("{base}/sign-in?next={}", encoded(&format!("{base}{wanted}")))))
            }
            Err(error) if error.kind == Kind::Unauthenticated => Err(redirect(&format!("{base}/sign-in"))),
            Err(error) => Err(bare(shared, theme, &error)),
        }
    }
}

impl Visitor {
    /// The page, or the page that says why there is none.
    pub(crate) async fn answer(&self, page: Result<Response>) -> Response {
        match page {
            Ok(page) => page,
            Err(error) => self.refuse(&error).await,
        }
    }

    /// The page that says why there is none.
    pub(crate) async fn refuse(&self, error: &Error) -> Response {
        page(self, error).await
    }
}
