//! One connection pool per process, and the life of a request: attempts, time limit, size limit, metrics.
//!
//! What must hold: a request is tried at most three times, and again only for what a moment may heal (a broken
//! connection, a failing gateway), never after it took all the time that it has. What Jira refuses, and any answer that names a time to wait for, goes to the engine at
//! once: it waits for the whole fleet. No answer takes more memory than its limit, and no request waits for ever.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode, redirect};
use tracing::{Instrument, Span};

use super::carried::Carried;
use super::classify::{Answer, classify, limit_reason};
use super::endpoint::Endpoint;
use super::no_answer::{classify_transport, deepest, timed_out};
use super::pacer::{self, Answered, Pacer};
use super::repair;
use super::site_clock::{self, SiteClock};
use crate::clock::Clock;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::rate::Told;
use crate::observe::{metrics, trace};
use crate::tls;

/// How often one request is sent before its failure is the engine's.
const ATTEMPTS: u32 = 3;
/// Between the first attempts; it doubles, up to the longest, and is then cut by a random part of up to a half.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// The largest answer that is read, in bytes, after decompression. A page of 100 issues is about half a mebibyte.
const BODY_LIMIT_BYTES: usize = 64 << 20;
/// As much of a refusal as is read.
const REFUSAL_LIMIT_BYTES: usize = 64 << 10;
/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_CONNECTIONS_PER_HOST: usize = 32;

/// The process' connections to all sites. Made once, cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpPool {
    client: Client,
    clock: Clock,
    first_delay: Duration,
    body_limit_bytes: usize,
}

impl HttpPool {
    /// A pool; the clock gives jitter, and the time from which waits are measured.
    ///
    /// # Errors
    /// `CONFIG` where the machine's root certificates or resolver cannot be used.
    pub fn new(clock: Clock) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        headers.insert(HeaderName::from_static("x-force-accept-language"), HeaderValue::from_static("true"));
        // Data Center takes a POST for a forged one of a browser unless it is told that it is none.
        headers.insert(HeaderName::from_static("x-atlassian-token"), HeaderValue::from_static("no-check"));
        let client = tls::client()
            .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(redirect::Policy::custom(follow))
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
            .build()
            .map_err(|error| {
                Failure::new(FailureCode::Config, format!("the HTTP client cannot be set up: {}", deepest(&error)))
            })?;
        Ok(Self { client, clock, first_delay: FIRST_DELAY, body_limit_bytes: BODY_LIMIT_BYTES })
    }

    /// The same with other limits, so that tests need not wait and need not send mebibytes.
    #[cfg(test)]
    pub(super) fn with_limits(mut self, first_delay: Duration, body_limit_bytes: usize) -> Self {
        self.first_delay = first_delay;
        self.body_limit_bytes = body_limit_bytes;
        self
    }

    /// The same with another limit for the size of answers: the most memory that one of them takes.
    pub fn with_answer_limit(mut self, bytes: usize) -> Self {
        self.body_limit_bytes = bytes;
        self
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends what `request` builds until it succeeds, or its failure is final, or the attempts are spent; the body is a
    /// JSON object or array.
    pub(super) async fn send(
        &self,
        endpoint: Endpoint,
        pacer: Option<&dyn Pacer>,
        site_clock: Option<&SiteClock>,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Bytes, Refused> {
        let mut attempt = 1;
        loop {
            let place = match pacer {
                Some(pacer) => Some(pacer.admit(endpoint).await.map_err(Refused::unsent)?),
                None => None,
            };
            let (started, mut told) = (Instant::now(), Told::default());
            let outcome = self.traced_attempt(endpoint, request(), attempt - 1, &mut told, site_clock).await;
            let status_class = match &outcome {
                Ok(_) => "2xx",
                Err(refused) => refused.status_class(),
            };
            let took = started.elapsed();
            metrics::jira_request(endpoint.template(), status_class, took.as_secs_f64());
            if let Some((pacer, place)) = pacer.zip(place) {
                let body = outcome.as_ref().ok().filter(|_| pacer.counts_objects());
                let refused = outcome.as_ref().err();
                let answered = Answered {
                    endpoint,
                    took,
                    told,
                    paid_points: place.paid_points,
                    objects: body.map_or(0, pacer::objects),
                    refused: refused.map(|refused| (&refused.failure, refused.status)),
                    limited: refused.is_some_and(|refused| refused.limit.is_some()),
                };
                pacer.settle(answered).await;
            }
            match outcome {
                Ok(body) => return Ok(body),
                Err(refused) if attempt < ATTEMPTS && refused.may_heal() => {
                    tracing::debug!(endpoint = endpoint.template(), attempt, failure = %refused.failure, "asking again");
                }
                Err(refused) => return Err(refused),
            }
            tokio::time::sleep(self.delay(attempt)).await;
            attempt += 1;
        }
    }

    /// One attempt, for what must not be sent twice.
    pub(super) async fn send_once(&self, endpoint: Endpoint, request: RequestBuilder) -> Result<Bytes, Refused> {
        self.send_once_told(endpoint, request).await.0
    }

    /// The same, with what the answer's head tells, whatever its status.
    pub(super) async fn send_once_told(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
    ) -> (Result<Bytes, Refused>, Told) {
        let (started, mut told) = (Instant::now(), Told::default());
        let outcome = self.traced_attempt(endpoint, request, 0, &mut told, None).await;
        let status_class = outcome.as_ref().map_or_else(Refused::status_class, |_| "2xx");
        metrics::jira_request(endpoint.template(), status_class, started.elapsed().as_secs_f64());
        (outcome, told)
    }

    fn delay(&self, attempt: u32) -> Duration {
        let full = self.first_delay.saturating_mul(1 << (attempt - 1)).min(LONGEST_DELAY);
        full.mul_f64(1.0 - self.clock.jitter() / 2.0)
    }

    /// One attempt in a span of its own.
    async fn traced_attempt(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
        resend_count: u32,
        told: &mut Told,
        site_clock: Option<&SiteClock>,
    ) -> Result<Bytes, Refused> {
        let request =
            request.build().map_err(|error| Refused::from(classify_transport(&error, endpoint.template())))?;
        let url = request.url();
        let span = trace::http_request(&trace::HttpRequest {
            method: request.method().as_str(),
            template: endpoint.template(),
            scheme: url.scheme(),
            host: url.host_str().unwrap_or_default(),
            port: url.port_or_known_default().unwrap_or_default(),
            resend_count,
        });
        let outcome = self.attempt(endpoint, request, &span, told, site_clock).instrument(span.clone()).await;
        if let Err(refused) = &outcome {
            trace::failed(&span, refused.failure.code.as_str(), &refused.failure.message);
        }
        outcome
    }

    async fn attempt(
        &self,
        endpoint: Endpoint,
        request: Request,
        span: &Span,
        told: &mut Told,
        site_clock: Option<&SiteClock>,
    ) -> Result<Bytes, Refused> {
        let path = request.url().path().to_owned();
        let (began, limit) = (Instant::now(), request.timeout().copied());
        let carried = Carried::by(&request, endpoint);
        let broken = |error: reqwest::Error| {
            Refused::from(match (error.is_timeout(), error.is_connect()) {
                (true, connecting) => timed_out(&endpoint.asked_at(&path), connecting, began.elapsed(), limit),
                _ => classify_transport(&error, &endpoint.asked_at(&path)),
            })
        };
        let sent = Instant::now();
        let mut response = self.client.execute(request).await.map_err(broken)?;
        let after = sent.elapsed();
        trace::http_answered(span, response.status().as_u16());
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        // Moments that an answer names are the site's: they are measured from its own clock, not from ours.
        let now = site_clock::time_of(&headers, self.clock.now());
        *told = pacer::told(&headers, now);
        let limit = if status.is_success() { self.body_limit_bytes } else { REFUSAL_LIMIT_BYTES };
        let mut read = read(&mut response, limit).await.map_err(broken)?;
        if read.body.starts_with(repair::BYTE_ORDER_MARK) {
            read.body = read.body.slice(repair::BYTE_ORDER_MARK.len()..);
        }
        trace::http_read(span, read.body.len());
        if status.is_success() && read.cut {
            let failure = Failure::new(
                FailureCode::Config,
                format!(
                    "the answer of {} is larger than {limit} bytes and cannot be requested in parts: raise \
                        sync.answer_limit_mebibytes",
                    endpoint.asked_at(&path)
                ),
            );
            return Err(Refused { status: Some(status), too_large: true, ..failure.into() });
        }
        let anonymous = headers.get("x-seraph-loginreason").is_some_and(|reason| reason != "OK");
        let json = matches!(read.body.trim_ascii_start().first(), Some(b'{' | b'['));
        if status.is_success() && json && repair::is_cut_off(&read.body) {
            let problem = format!("the answer of {} is truncated", endpoint.asked_at(&path));
            return Err(Refused { status: Some(status), ..Failure::new(FailureCode::NetworkGlitch, problem).into() });
        }
        if let Some(site_clock) = site_clock.filter(|_| status.is_success() && json) {
            site_clock.heard(&headers, sent, after);
        }
        if status.is_success() && json && !anonymous {
            return Ok(read.body);
        }
        let body_prefix = &read.body[..read.body.len().min(REFUSAL_LIMIT_BYTES)];
        let secrets = carried.secrets();
        let answer = Answer { status, headers: &headers, body_prefix, endpoint, path: &path, now, secrets: &secrets };
        let failure = carried.sent_on(status, &headers).unwrap_or_else(|| classify(&answer));
        if status.is_success() && json && failure.code == FailureCode::SchemaChanged {
            // Seraph said something else than OK that is no failed log-in: the answer stands.
            return Ok(read.body);
        }
        let limit = limit_reason(&answer);
        let site_is_away = answer.is_of_front_door();
        let says_invalid_grant = answer.says_invalid_grant();
        Err(Refused { status: Some(status), limit, site_is_away, says_invalid_grant, ..failure.into() })
    }
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Refused {
    pub failure: Failure,
    /// Absent where no answer came.
    pub status: Option<StatusCode>,
    /// Why Jira asked for a pause, where it did: one of `observe::labels::LIMIT_REASONS`.
    pub limit: Option<&'static str>,
    /// Whether the site's front door answered in the site's place: then nothing is known of the site.
    pub site_is_away: bool,
    /// Whether a token endpoint says that the grant itself does not count any more.
    pub says_invalid_grant: bool,
    /// Whether an answer came that is larger than is read, or that no mending makes readable: less may be had.
    pub too_large: bool,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, status: None, limit: None, site_is_away: false, says_invalid_grant: false, too_large: false }
    }
}

impl Refused {
    /// Whether the site has no such endpoint. True also of a page that some proxy answers: whoever asks this goes another
    /// way or does without, and never takes it for 'there is nothing'.
    pub(super) fn is_absent(&self) -> bool {
        let absent = matches!(self.status.map(|status| status.as_u16()), Some(404 | 405 | 410 | 501));
        absent && !self.site_is_away
    }

    /// Whether it is the token that is refused: another one may do.
    pub(super) fn is_about_the_token(&self) -> bool {
        let refused = self.status == Some(StatusCode::UNAUTHORIZED);
        refused && matches!(self.failure.code, FailureCode::AuthExpired | FailureCode::AuthInvalid)
    }

    /// Whether the site has it and the account may not.
    pub(super) fn is_forbidden(&self) -> bool {
        self.failure.code == FailureCode::Permission && !self.is_absent()
    }

    /// It was not sent: a limit holds it back for longer than is waited for here.
    fn unsent(failure: Failure) -> Self {
        Self::from(failure)
    }

    /// Whether Jira says that what was asked for is there and hidden from the account.
    pub(super) fn is_hidden(&self) -> bool {
        self.status == Some(StatusCode::FORBIDDEN) && self.failure.code == FailureCode::Permission
    }

    /// Whether Jira says, in its own form, that the issue asked for is gone or hidden.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND) && self.failure.code == FailureCode::Permission
    }

    /// Whether asking again at once may help; never after a 3xx or a 4xx, and never before a time that was named.
    fn may_heal(&self) -> bool {
        use FailureCode::{Dns, GatewayHtml, NetworkGlitch, ServerError};
        let decided = self.status.is_some_and(|status| status.is_redirection() || status.is_client_error());
        !decided
            && self.failure.retry_after.is_none()
            && matches!(self.failure.code, NetworkGlitch | Dns | ServerError | GatewayHtml)
    }

    fn status_class(&self) -> &'static str {
        match self.status.map(|status| status.as_u16() / 100) {
            None => "error",
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            Some(_) => "5xx",
        }
    }
}

/// Follows a redirection within one origin only: the credentials are for that one.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same_origin = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if same_origin && attempt.previous().len() <= 3 { attempt.follow() } else { attempt.stop() }
}

struct Read {
    body: Bytes,
    /// Whether there was more than the limit.
    cut: bool,
}

async fn read(response: &mut Response, limit_bytes: usize) -> Result<Read, reqwest::Error> {
    let Some(first) = response.chunk().await? else { return Ok(Read { body: Bytes::new(), cut: false }) };
    let Some(second) = response.chunk().await? else {
        let cut = first.len() > limit_bytes;
        return Ok(Read { body: first.slice(..first.len().min(limit_bytes)), cut });
    };
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = BytesMut::with_capacity(
        announced.clamp(first.len() + second.len(), limit_bytes.max(first.len() + second.len())),
    );
    body.extend_from_slice(&first);
    body.extend_from_slice(&second);
    while body.len() <= limit_bytes {
        match response.chunk().await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    let cut = body.len() > limit_bytes;
    body.truncate(limit_bytes);
    Ok(Read { body: body.freeze(), cut })
}
