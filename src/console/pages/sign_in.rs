//! Signing in and out.
//!
//! What must hold: the address to go on to is a path of this console; the answer to a wrong secret says nothing of accounts.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use secrecy::SecretString;

use super::super::fields::{Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{of_status, redirect, theme};
use super::failed;
use crate::api::client::Client;
use crate::api::{Caller, Shared, cookie};
use crate::app::session::{self, SignIn};
use crate::app::{Error, Kind};

#[derive(Template)]
#[template(path = "sign_in.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    next: String,
    name: String,
    problem: Option<String>,
}

/// A path of this console, whatever was given: never another host.
fn own_path(base: &str, wanted: &str) -> String {
    let is_path = wanted.starts_with('/') && !wanted.starts_with("//") && !wanted.contains(['\\', '\r', '\n']);
    let is_own = is_path && wanted.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    if is_own { wanted.to_owned() } else { format!("{base}/") }
}

fn draw(
    shared: &Shared,
    headers: &HeaderMap,
    status: StatusCode,
    next: &str,
    (name, problem): (String, Option<String>),
) -> Response {
    let base = &shared.config.base_path;
    let shell = Shell::bare(base, theme(headers), shared.app.now(), "Sign in");
    let drawn = of_status(status, &Page { shell, next: own_path(base, next), name, problem });
    drawn.unwrap_or_else(|_| redirect("/"))
}

/// The form.
pub(crate) async fn show(State(shared): State<Shared>, headers: HeaderMap, Query(query): Query) -> Response {
    draw(&shared, &headers, StatusCode::OK, query.or_empty("next"), (String::new(), None))
}

/// Lets somebody in, and leads them to where they wanted to go. The name that was typed stays where the password is wrong.
pub(crate) async fn enter(
    State(shared): State<Shared>,
    client: Client,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    let next = form.or_empty("next").to_owned();
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let asked = SignIn {
        name: form.or_empty("name").to_owned(),
        password: SecretString::from(form.raw("password")),
        address: client.address.clone(),
        user_agent,
    };
    let done = async {
        cookie::check(&client)?;
        let session = session::sign_in(&shared.app, &asked).await?;
        cookie::kept(&client, &shared.config.base_path, &session)
    };
    match done.await {
        Ok(kept) => with_cookie(redirect(&own_path(&shared.config.base_path, &next)), kept),
        Err(problem) => {
            let status = match problem.kind {
                Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
                Kind::Limited => StatusCode::TOO_MANY_REQUESTS,
                Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::FORBIDDEN,
            };
            let text = match (problem.kind, problem.help) {
                (Kind::Internal, _) => "Signing in failed; the log of the process says why.".to_owned(),
                (_, Some(help)) => format!("{}: {help}", problem.message),
                (_, None) => problem.message,
            };
            draw(&shared, &headers, status, &next, (asked.name, Some(text)))
        }
    }
}

/// Ends the session, and makes the browser forget it.
pub(crate) async fn leave(State(shared): State<Shared>, client: Client, caller: Result<Caller, Error>) -> Response {
    if let Ok(Caller(actor)) = caller
        && let Err(problem) = session::sign_out(&shared.app, &actor).await
    {
        return failed::bare(&shared, "", &problem);
    }
    let to = redirect(&format!("{}/sign-in", shared.config.base_path));
    match cookie::forgotten(&client, &shared.config.base_path) {
        Ok(kept) => with_cookie(to, kept),
        Err(_) => to,
    }
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
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
