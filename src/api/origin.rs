//! Requests that a browser sends for another site's page.
//!
//! Where a token is asked for, such a page has none. Where none is asked for, on this machine's own address, any page that its
//! user looks at could ask; so there the request's host must be this machine, and its origin the host.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::shared::Shared;
use crate::app::Error;
use crate::config::ServeAuth;

/// Refuses what comes from another site's page where no token is asked for.
pub async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let is_free = shared.config.auth == ServeAuth::None && !request.headers().contains_key(header::AUTHORIZATION);
    if is_free && let Err(error) = is_own(request.headers()) {
        return error.into_response();
    }
    next.run(request).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

fn is_own(headers: &HeaderMap) -> Result<(), Error> {
    let host = text(headers, "host").unwrap_or("");
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    // A name that was made to lead here (DNS rebinding) is not this machine's.
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return Err(Error::forbidden("the host of the request is not this machine")
            .help("ask at 127.0.0.1 or localhost, or set serve.auth to token"));
    }
    let is_foreign = match (text(headers, "origin"), text(headers, "sec-fetch-site")) {
        (Some(origin), _) => origin.split_once("://").is_none_or(|(_, rest)| rest != host),
        (None, Some(site)) => !matches!(site, "same-origin" | "none"),
        (None, None) => false,
    };
    match is_foreign {
        true => Err(Error::forbidden("the request comes from another site's page")
            .help("pages of other sites need a token: set serve.auth to token")),
        false => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn pages_of_other_sites_are_refused_without_a_token() {
        for own in [
            &[("host", "127.0.0.1:8080")][..],
            &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
            &[("host", "[::1]:8080"), ("sec-fetch-site", "same-origin")],
            &[("host", "localhost"), ("sec-fetch-site", "none")],
        ] {
            assert!(is_own(&headers(own)).is_ok(), "{own:?}");
        }
        for foreign in [
            &[("host", "evil.example:8080")][..],
            &[("host", "127.0.0.1:8080"), ("origin", "https://evil.example")],
            &[("host", "127.0.0.1:8080"), ("origin", "null")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9090")],
            &[("host", "127.0.0.1:8080"), ("sec-fetch-site", "cross-site")],
            &[],
        ] {
            assert!(is_own(&headers(foreign)).is_err(), "{foreign:?}");
        }
    }
}
