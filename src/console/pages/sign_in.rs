//! Signing in and out.
//!
//! What must hold: the address to go on to is a path of this console; the answer to a wrong secret says nothing of accounts.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::super::fields::{Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{KEPT, of_status, redirect, theme};
use crate::api::Shared;
use crate::app::{Kind, token};

#[derive(Template)]
#[template(path = "sign_in.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    next: String,
    problem: Option<String>,
}

/// A path of this console, whatever was given: never another host.
fn own_path(base: &str, wanted: &str) -> String {
    let is_path = wanted.starts_with('/') && !wanted.starts_with("//") && !wanted.contains(['\\', '\r', '\n']);
    let is_own = is_path && wanted.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    if is_own { wanted.to_owned() } else { format!("{base}/") }
}

fn draw(shared: &Shared, headers: &HeaderMap, status: StatusCode, next: &str, problem: Option<String>) -> Response {
    let base = &shared.config.base_path;
    let shell = Shell::bare(base, theme(headers), shared.app.now(), "Sign in");
    let drawn = of_status(status, &Page { shell, next: own_path(base, next), problem });
    drawn.unwrap_or_else(|_| redirect("/"))
}

/// The form.
pub(in super::super) async fn show(State(shared): State<Shared>, headers: HeaderMap, Query(query): Query) -> Response {
    draw(&shared, &headers, StatusCode::OK, query.or_empty("next"), None)
}

/// Lets the bearer of a token in.
pub(in super::super) async fn enter(State(shared): State<Shared>, headers: HeaderMap, Form(form): Form) -> Response {
    let (next, secret) = (form.or_empty("next").to_owned(), form.or_empty("token").to_owned());
    match token::actor(&shared.app, &secret, None).await {
        Ok(_) => with_cookie(&shared, &own_path(&shared.config.base_path, &next), &secret, 43_200),
        Err(problem) if problem.kind == Kind::Unauthenticated => {
            let text = "The token does not work: it is unknown, revoked or over.".to_owned();
            draw(&shared, &headers, StatusCode::UNAUTHORIZED, &next, Some(text))
        }
        Err(problem) => draw(&shared, &headers, StatusCode::SERVICE_UNAVAILABLE, &next, Some(problem.message)),
    }
}

/// Forgets who it was.
pub(in super::super) async fn leave(State(shared): State<Shared>) -> Response {
    with_cookie(&shared, &format!("{}/sign-in", shared.config.base_path), "", 0)
}

fn with_cookie(shared: &Shared, to: &str, value: &str, seconds: u32) -> Response {
    let path = if shared.config.base_path.is_empty() { "/" } else { &shared.config.base_path };
    let mut response = redirect(to);
    let text = format!("{KEPT}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    if let Ok(cookie) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_host() {
        assert_eq!(own_path("", "/history?status=failed"), "/history?status=failed");
        assert_eq!(own_path("/jira", "/jira/history"), "/jira/history");
        for elsewhere in ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nb", "history", ""] {
            assert_eq!(own_path("/jira", elsewhere), "/jira/", "{elsewhere:?}");
        }
        assert_eq!(own_path("/jira", "/jirafoo"), "/jira/");
    }
}
