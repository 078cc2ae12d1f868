//! What channels that speak HTTP share: a client that follows nothing, answers of bounded size, and what it means when
//! none comes.
//!
//! What must hold: credentials go where they were meant for, so that no redirect is followed and no proxy is picked up;
//! an error never repeats the URL, because an incoming webhook's URL is its secret.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, redirect};

use super::reason::{Reason, ReasonCode, Undelivered};
use super::settings::Problem;
use super::webhook::Forbidden;
use crate::clock::Clock;
use crate::domain::http_date;
use crate::tls;

/// As much of an answer as is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;
/// The longest wait that an answer may ask for; a longer one is cut.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A client of one channel, still to be built; `timeout` is for one request, from connecting to the last byte.
pub(super) fn builder(timeout: Duration) -> ClientBuilder {
    tls::client()
        .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .timeout(timeout)
}

pub(super) fn build(builder: ClientBuilder) -> Result<Client, Problem> {
    builder.build().map_err(|error| {
        Problem::new(
            "settings",
            format!("give no HTTP client: {}", deepest(&error)),
            "check this machine's root certificates and resolver",
        )
    })
}

/// What the other side answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    /// How long it asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Its first kibibytes.
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Later, and not before the time that was asked for.
    pub fn later(&self, reason: Reason) -> Undelivered {
        Undelivered::Later { after: self.retry_after, reason }
    }

    /// What a refusal means by its status alone, where the service has no better word for it.
    pub fn by_status(&self) -> Undelivered {
        let said = format!("the answer was {}: {}", self.status, self.body);
        let (code, again) = match self.status.as_u16() {
            429 => (ReasonCode::RateLimited, true),
            408 | 425 => (ReasonCode::Timeout, true),
            401 | 403 => (ReasonCode::AuthInvalid, false),
            413 => (ReasonCode::TooLarge, false),
            500.. => (ReasonCode::ServerError, true),
            _ => (ReasonCode::Refused, false),
        };
        let reason = Reason::new(code, said);
        if again { self.later(reason) } else { reason.never() }
    }
}

/// Sends a request once and reads the answer, whatever its status.
pub(super) async fn ask(request: RequestBuilder, clock: &Clock) -> Result<Answer, Undelivered> {
    let mut response = request.send().await.map_err(|error| no_answer(&error))?;
    let status = response.status();
    let retry_after = text(response.headers(), &RETRY_AFTER).and_then(|text| {
        // A moment is the service's own: it is measured from its clock where it tells.
        let now = clock.now();
        let theirs = date_of(response.headers()).filter(|theirs| (*theirs - now).abs() < TimeDelta::days(1));
        wait(text, theirs.unwrap_or(now))
    });
    let mut body = Vec::new();
    // An answer that breaks off has been given all the same: its status says what became of the message.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT_BYTES - body.len())]);
        if body.len() == ANSWER_LIMIT_BYTES {
            break;
        }
    }
    Ok(Answer { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn date_of(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date::parse(text(headers, &DATE)?, None)
}

/// `Retry-After`: seconds, or a date.
fn wait(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let wait = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = http_date::parse(text, Some(now))?;
            (until - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// What it means that no answer came: by the types in the error's chain of sources.
fn no_answer(error: &reqwest::Error) -> Undelivered {
    if let Some(forbidden) = find::<Forbidden>(error) {
        return Reason::new(ReasonCode::ForbiddenAddress, forbidden.to_string()).never();
    }
    if error.is_builder() {
        return Reason::new(ReasonCode::Config, format!("the request cannot be made: {}", deepest(error))).never();
    }
    let code = if error.is_timeout() {
        ReasonCode::Timeout
    } else if is_tls(error) {
        ReasonCode::Tls
    } else {
        ReasonCode::Unreachable
    };
    Reason::new(code, format!("no answer: {}", deepest(error))).later()
}

/// Whether TLS is at fault, anywhere in the chain of sources.
pub(super) fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    find::<rustls::Error>(error).is_some()
}

/// The first error of type `E` in the chain. An `io::Error` gives its content's source for its own and so hides the
/// content: it is asked for by itself.
pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let content = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = content.and_then(|content| find::<E>(content as &(dyn StdError + 'static))) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The text of the first cause; it never holds the URL.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    let mut text = String::from("the request failed");
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_as_seconds_or_as_a_date_and_bounded() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(wait("30", now), Some(Duration::from_secs(30)));
        assert_eq!(wait("Sun, 01 Mar 2026 12:01:00 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sun, 01 Mar 2026 11:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait("99999999", now), Some(LONGEST_WAIT));
        assert_eq!(wait("soon", now), None);
    }

    #[test]
    fn a_status_says_whether_trying_again_can_help() {
        let answer = |status: u16| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: Some(Duration::from_secs(7)),
            body: "words".into(),
        };
        for (status, code, again) in [
            (429, ReasonCode::RateLimited, true),
            (500, ReasonCode::ServerError, true),
            (503, ReasonCode::ServerError, true),
            (408, ReasonCode::Timeout, true),
            (302, ReasonCode::Refused, false),
            (400, ReasonCode::Refused, false),
            (401, ReasonCode::AuthInvalid, false),
            (404, ReasonCode::Refused, false),
            (413, ReasonCode::TooLarge, false),
        ] {
            match answer(status).by_status() {
                Undelivered::Later { after, reason } => {
                    assert!(again && reason.code == code, "{status}");
                    assert_eq!(after, Some(Duration::from_secs(7)));
                }
                Undelivered::Never { reason } => assert!(!again && reason.code == code, "{status}"),
            }
        }
    }
}
