//! What it means that no answer came.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use super::transport::CONNECT_TIMEOUT;
use crate::domain::failure::{Failure, FailureCode};

/// A request that took all its time: what it was waiting for.
pub(super) fn timed_out(asked: &str, connecting: bool, took: Duration, limit: Option<Duration>) -> Failure {
    let within = if connecting { CONNECT_TIMEOUT.min(limit.unwrap_or(CONNECT_TIMEOUT)) } else { limit.unwrap_or(took) };
    let (what, seconds) =
        (if connecting { "no connection for" } else { "no complete answer from" }, within.as_secs_f64());
    Failure::new(FailureCode::Timeout, format!("{what} {asked} within {seconds} s"))
}

/// Says what it means that no answer came: by the types in the error's chain of sources, never by their texts.
pub fn classify_transport(error: &reqwest::Error, asked: &str) -> Failure {
    let code = if error.is_builder() {
        FailureCode::Config
    } else if error.is_redirect() {
        FailureCode::GatewayHtml
    } else if error.is_timeout() {
        FailureCode::Timeout
    } else if error.is_dns() {
        FailureCode::Dns
    } else if error.source().is_some_and(is_tls) {
        FailureCode::Tls
    } else {
        // Refused, reset, closed in the middle, not decompressible: the connection is at fault, as far as one can tell.
        FailureCode::NetworkGlitch
    };
    Failure::new(code, format!("no answer from {asked}: {}", deepest(error)))
}

fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    // An `io::Error` gives its content's source for its own and so hides the content: it is asked for by itself.
    let content = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || content.is_some_and(|content| is_tls(content as &(dyn StdError + 'static)))
        || error.source().is_some_and(is_tls)
}

/// The text of the first cause; it never holds the URL.
pub(super) fn deepest(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    let mut text = String::from("the request failed");
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
