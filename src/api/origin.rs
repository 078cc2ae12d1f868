//! Requests that a browser sends for another site's page.
//!
//! Where a token is asked for, such a page has none. But a browser sends a session's cookie by itself, and where nobody is asked who
//! they are, any page that the user of this machine looks at could ask.
//!
//! What must hold: what changes something and comes by a browser comes from this host's own page; where nobody is asked who they
//! are, that counts for every request, and the request's host is this machine.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::client::{self, Client};
use super::cookie;
use super::shared::Shared;
use crate::app::Error;
use crate::config::{ServeAuth, ServeConfig};

/// Refuses what comes from another site's page, unless it bears a token.
pub async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let config = &shared.config;
    if let Err(error) = is_own(request.method(), request.headers(), request.extensions(), config) {
        return error.into_response();
    }
    next.run(request).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

fn is_own(
    method: &Method,
    headers: &HeaderMap,
    extensions: &axum::http::Extensions,
    config: &ServeConfig,
) -> Result<(), Error> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Ok(());
    }
    let client = Client::of(headers, extensions, config);
    let is_free = config.auth == ServeAuth::None;
    // A name that was made to lead here (DNS rebinding) is not this machine's.
    if is_free && !client::is_this_machine(text(headers, "host").unwrap_or("")) {
        return Err(Error::forbidden("the host of the request is not this machine")
            .help("ask at 127.0.0.1 or localhost, or set serve.auth to token"));
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_free && !changes {
        return Ok(());
    }
    let is_foreign = match (text(headers, "origin"), text(headers, "sec-fetch-site")) {
        (Some(origin), _) => !is_origin_of(origin, &client, config),
        (None, Some(site)) => site != "same-origin" && (changes || site != "none"),
        // Browsers say one or the other; programs say neither, and hold no session.
        (None, None) => changes && cookie::sent(&client, headers).is_some(),
    };
    match is_foreign {
        true => Err(Error::forbidden("the request does not come from this host's own page")
            .help("programs, and pages of other sites, ask with a token; behind a reverse proxy set serve.public_url")),
        false => Ok(()),
    }
}

/// Whether it is the origin of the pages that are served here.
fn is_origin_of(origin: &str, client: &Client, config: &ServeConfig) -> bool {
    let is_public = config.public().is_some_and(|public| public.origin().ascii_serialization() == origin);
    let is_same = origin
        .split_once("://")
        .is_some_and(|(scheme, host)| host == client.host && (scheme == "https" || !client.is_https));
    is_public || is_same
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::Extensions;

    use super::*;

    fn own(method: Method, config: &ServeConfig, pairs: &[(&'static str, &str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        is_own(&method, &headers, &Extensions::new(), config).is_ok()
    }

    #[test]
    fn pages_of_other_sites_are_refused_without_a_token() {
        let config = ServeConfig { auth: ServeAuth::None, ..ServeConfig::default() };
        for pairs in [
            &[("host", "127.0.0.1:8080")][..],
            &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
            &[("host", "[::1]:8080"), ("sec-fetch-site", "same-origin")],
            &[("host", "localhost"), ("sec-fetch-site", "none")],
        ] {
            assert!(own(Method::GET, &config, pairs), "{pairs:?}");
        }
        for pairs in [
            &[("host", "evil.example:8080")][..],
            &[("host", "127.0.0.1:8080"), ("origin", "https://evil.example")],
            &[("host", "127.0.0.1:8080"), ("origin", "null")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9090")],
            &[("host", "127.0.0.1:8080"), ("sec-fetch-site", "cross-site")],
            &[],
        ] {
            assert!(!own(Method::GET, &config, pairs), "{pairs:?}");
        }
    }

    #[test]
    fn a_session_changes_something_from_this_hosts_pages_alone() {
        let plain = ServeConfig::default();
        let public =
            ServeConfig { public_url: Some("https://syncline.example.com/jira".into()), ..ServeConfig::default() };
        let (local, safe) = (("cookie", "syncline_session=a"), ("cookie", "__Host-syncline=a"));
        let (host, inside) = (("host", "127.0.0.1:8080"), ("host", "inside:8080"));
        for (config, pairs) in [
            (&plain, &[local, host, ("origin", "http://127.0.0.1:8080")][..]),
            (&plain, &[local, host, ("sec-fetch-site", "same-origin")]),
            (&public, &[safe, inside, ("origin", "https://syncline.example.com")]),
            (&plain, &[local, host, ("authorization", "Bearer a"), ("origin", "https://evil.example")]),
            (&plain, &[host]),
        ] {
            assert!(own(Method::POST, config, pairs), "{pairs:?}");
        }
        for (config, pairs) in [
            (&plain, &[local, host][..]),
            (&plain, &[local, host, ("origin", "null")]),
            (&plain, &[local, host, ("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")]),
            (&plain, &[local, host, ("sec-fetch-site", "same-site")]),
            (&plain, &[local, host, ("sec-fetch-site", "none")]),
            (&public, &[safe, inside, ("origin", "http://inside:8080")]),
            (&public, &[safe, inside, ("origin", "https://syncline.example.com.evil.example")]),
            // Signing somebody in by another site's page is refused too.
            (&plain, &[host, ("origin", "https://evil.example")]),
        ] {
            assert!(!own(Method::DELETE, config, pairs), "{pairs:?}");
        }
        assert!(own(Method::GET, &plain, &[local, host, ("sec-fetch-site", "cross-site")]));
    }
}
