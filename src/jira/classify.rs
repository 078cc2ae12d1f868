//! What a refusal means: one pure function from status, headers, body shape and endpoint to a [`Failure`].
//!
//! What must hold: texts for people never decide, since they come in the account's language (and `Accept-Language` is a
//! wish, not an order); the one exception is the gateway's word for a missing scope. Every answer gets a code; what is not known is `UNKNOWN`, with the shape in its message.
//!
//! Decisions that the documentation leaves open:
//! * A sign-in page under 200 is `GATEWAY_HTML`, not `AUTH_INVALID`: a proxy may show one for a minute, and a site is not
//!   stopped for that. Its advice names single sign-on.
//! * Any answer that carries Seraph's word that the log-in failed is `AUTH_INVALID`, also a 200: Jira then goes on as
//!   anonymous, and an anonymous search answers 200 without issues, which would look like 'no changes'.
//! * A 404 means that something is gone only in Jira's own form, `{errorMessages, errors}`. The site's front door
//!   (`errorCode`), an HTML page and an empty body say that the *site* is away, and then nothing was deleted.
//! * A 404 about one issue is `PERMISSION`: gone and hidden look the same. The client turns it into `None`.
//! * How an unpaid site answers is not documented: 402, or a 403 whose machine code speaks of payment or suspension.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};

use super::endpoint::Endpoint;
use super::shape::Shape;
use crate::domain::failure::FailureCode as Code;
use crate::domain::failure::{Failure, PauseScope};
use crate::domain::http_date;
use crate::domain::scrub::Secrets;

/// One answer that is not what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Also 200, when the body is not JSON or lacks what must be there.
    pub status: StatusCode,
    /// All of them.
    pub headers: &'a HeaderMap,
    /// The first kilobytes of the body.
    pub body_prefix: &'a [u8],
    /// What was asked.
    pub endpoint: Endpoint,
    /// Where it was asked, for the message: the path of the request.
    pub path: &'a str,
    /// The site's time, or ours where it does not tell: turns a moment to wait for into a duration.
    pub now: DateTime<Utc>,
    /// What the request carried, to be taken out of whatever the answer repeats of it.
    pub secrets: &'a Secrets,
}

impl Answer<'_> {
    /// Whether it comes from the door before the sites: the site is suspended, or there is none of that name.
    pub(super) fn is_of_front_door(&self) -> bool {
        let shape = Shape::of(self.body_prefix, header(self.headers, CONTENT_TYPE.as_str()));
        matches!(shape, Shape::Json(refusal) if refusal.front_door)
    }
}

impl Answer<'_> {
    /// Whether a token endpoint says that the grant does not count any more: `invalid_grant`, or a 403 that says of the
    /// client that it may not, which was seen for a refresh token that is over.
    pub(super) fn says_invalid_grant(&self) -> bool {
        let shape = Shape::of(self.body_prefix, header(self.headers, CONTENT_TYPE.as_str()));
        let over = self.status == StatusCode::FORBIDDEN && shape.has_code(&["UNAUTHORIZED_CLIENT"]);
        self.status.is_client_error() && (over || shape.has_code(&["INVALID_GRANT"]))
    }
}

/// The shortest wait that is taken from an answer: a wait spends no attempt, so that none at all would be a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest: beyond a day a wait is taken for a mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Machine codes of a site that is not paid for; not documented, see the module's doc.
const UNPAID: [&str; 4] = ["PAYMENT", "UNPAID", "BILLING", "SUSPEND"];
/// Machine codes of OAuth 2.0 (RFC 6749, RFC 6750) for a token that was good once.
const EXPIRED: [&str; 3] = ["INVALID_TOKEN", "INVALID_GRANT", "EXPIRED"];

/// Says what `answer` means.
pub fn classify(answer: &Answer<'_>) -> Failure {
    let shape = Shape::of(answer.body_prefix, header(answer.headers, CONTENT_TYPE.as_str()));
    let (code, scope) = code(answer, &shape);
    let may_name_a_wait = answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error();
    let wait = if may_name_a_wait { wait(answer, code) } else { None };
    Failure::new(code, message(answer, &shape)).after(wait).scoped(scope)
}

fn code(answer: &Answer<'_>, shape: &Shape) -> (Code, PauseScope) {
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        return rate_limit(answer.headers);
    }
    let code = login(answer.headers).unwrap_or_else(|| match answer.status.as_u16() {
        200..=299 => success(shape),
        300..=399 => Code::GatewayHtml,
        400 | 422 => bad_request(shape),
        401 => unauthorised(answer.headers, shape),
        402 => Code::SuspendedPayment,
        403 => forbidden(answer.headers, shape),
        404 => not_found(answer.endpoint, shape),
        405 | 406 | 410 | 415 => Code::ApiRemoved,
        407 => Code::GatewayHtml,
        408 => Code::Timeout,
        // Too much was asked for at once: only another question helps.
        413 | 414 | 431 => Code::BadQuery,
        421 | 425 => Code::NetworkGlitch,
        451 => Code::SiteUnavailable,
        500..=599 => server_error(answer, shape),
        _ => Code::Unknown,
    });
    (code, PauseScope::Site)
}

/// What Jira's log-in filter (Seraph) says in headers, whatever the status: that a CAPTCHA must be solved first, or that
/// the credentials failed. A 403 with `AUTHENTICATED_FAILED` is what it is also without this.
fn login(headers: &HeaderMap) -> Option<Code> {
    let denied = header(headers, "x-authentication-denied-reason");
    let reason = header(headers, "x-seraph-loginreason");
    if denied.contains("CAPTCHA_CHALLENGE") || reason.contains("AUTHENTICATION_DENIED") {
        Some(Code::Captcha)
    } else if reason.contains("AUTHENTICATED_FAILED") {
        Some(Code::AuthInvalid)
    } else {
        None
    }
}

fn success(shape: &Shape) -> Code {
    match shape {
        Shape::Html => Code::GatewayHtml,
        Shape::Json(_) | Shape::Text(_) | Shape::Empty => Code::SchemaChanged,
    }
}

fn bad_request(shape: &Shape) -> Code {
    if matches!(shape, Shape::Html) { Code::GatewayHtml } else { Code::BadQuery }
}

fn unauthorised(headers: &HeaderMap, shape: &Shape) -> Code {
    let challenge = header(headers, WWW_AUTHENTICATE.as_str()).to_ascii_lowercase();
    if matches!(shape, Shape::Json(refusal) if refusal.scope_mismatch) || challenge.contains("insufficient_scope") {
        Code::Permission
    } else if challenge.contains("error=\"invalid_token\"") || shape.has_code(&EXPIRED) {
        Code::AuthExpired
    } else {
        Code::AuthInvalid
    }
}

fn forbidden(headers: &HeaderMap, shape: &Shape) -> Code {
    if shape.has_code(&UNPAID) {
        return Code::SuspendedPayment;
    }
    match shape {
        _ if shape.has_code(&["INVALID_GRANT"]) => Code::AuthExpired,
        Shape::Json(refusal) if refusal.lone_error => Code::AuthInvalid,
        Shape::Html if !headers.contains_key("x-arequestid") => Code::GatewayHtml,
        _ => Code::Permission,
    }
}

fn not_found(endpoint: Endpoint, shape: &Shape) -> Code {
    match shape {
        Shape::Json(refusal) if refusal.front_door => Code::SiteUnavailable,
        Shape::Json(refusal) if refusal.usual && endpoint.is_about_a_project() => Code::NotFoundProject,
        Shape::Json(refusal) if refusal.usual && endpoint.is_about_an_issue() => Code::Permission,
        Shape::Json(_) => Code::ApiRemoved,
        Shape::Html | Shape::Text(_) | Shape::Empty => Code::SiteUnavailable,
    }
}

fn server_error(answer: &Answer<'_>, shape: &Shape) -> Code {
    let status = answer.status.as_u16();
    if status == 503 && retry_after(answer).is_some() {
        return Code::Maintenance;
    }
    match shape {
        Shape::Html => Code::GatewayHtml,
        // Envoy, which stands before Jira, explains itself in plain text: `upstream connect error …`.
        Shape::Text(_) if (502..=504).contains(&status) => Code::GatewayHtml,
        _ => Code::ServerError,
    }
}

/// Why a 429, by `RateLimit-Reason`: a quota is the site's, a burst the endpoint's. Without a reason, the site's.
fn rate_limit(headers: &HeaderMap) -> (Code, PauseScope) {
    let reason = header(headers, "ratelimit-reason").to_ascii_lowercase();
    if reason.contains("quota") {
        (Code::Quota, PauseScope::Site)
    } else if reason.contains("burst") || reason.contains("per-issue") {
        (Code::RateLimit, PauseScope::Endpoint)
    } else {
        (Code::RateLimit, PauseScope::Site)
    }
}

/// Why an answer asks for a pause; none where it does not. One of `observe::labels::LIMIT_REASONS`.
pub(super) fn limit_reason(answer: &Answer<'_>) -> Option<&'static str> {
    let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
    let named = answer.status.is_server_error() && retry_after(answer).is_some();
    let reason = header(answer.headers, "ratelimit-reason").to_ascii_lowercase();
    (limited || named).then(|| match reason.as_str() {
        reason if reason.contains("quota-global") => "quota_global",
        reason if reason.contains("quota") => "quota_tenant",
        reason if reason.contains("burst") || reason.contains("per-issue") => "burst",
        _ if retry_after(answer).is_some() => "retry_after",
        _ => "unknown",
    })
}

/// How long to wait: what `Retry-After` says, or else when `X-RateLimit-Reset` says, or else Data Center's refill
/// interval; a spent quota is refilled at the full hour, UTC.
fn wait(answer: &Answer<'_>, code: Code) -> Option<Duration> {
    let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
    let wait = retry_after(answer).or_else(|| if limited { reset(answer) } else { None }).or_else(|| {
        let hour = TimeDelta::hours(1);
        let refill = (answer.now + hour).duration_trunc(hour).ok()?;
        (code == Code::Quota).then(|| until(refill, answer.now))
    })?;
    Some(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

/// `Retry-After`: seconds, or a date in one of the forms of RFC 9110.
fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let value = header(answer.headers, RETRY_AFTER.as_str()).trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    Some(until(http_date::parse(value, Some(answer.now))?, answer.now))
}

fn reset(answer: &Answer<'_>) -> Option<Duration> {
    let value = header(answer.headers, "x-ratelimit-reset").trim();
    let at_epoch = || DateTime::from_timestamp(value.parse().ok()?, 0);
    let at = super::time::parse(value).or_else(at_epoch);
    let interval =
        || header(answer.headers, "x-ratelimit-interval-seconds").trim().parse().ok().map(Duration::from_secs);
    at.map(|at| until(at, answer.now)).or_else(interval)
}

fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (at - now).to_std().unwrap_or(Duration::ZERO)
}

fn message(answer: &Answer<'_>, shape: &Shape) -> String {
    let mut message = format!("{} from {}", answer.status.as_u16(), answer.endpoint.asked_at(answer.path));
    // What is no refusal of a token endpoint holds tokens, in whatever form.
    let may_hold_tokens = answer.endpoint == Endpoint::OAuthToken && !answer.status.is_client_error();
    match shape.message().filter(|_| !may_hold_tokens) {
        Some(text) => message.extend([": ", &answer.secrets.scrub(text)]),
        None => message.extend([" with ", shape.name()]),
    }
    let host = reqwest::Url::parse(header(answer.headers, LOCATION.as_str()));
    if let Some(host) = host.ok().as_ref().and_then(reqwest::Url::host_str).filter(|_| answer.status.is_redirection()) {
        message.extend([", redirected to ", host]);
    }
    message
}

/// A header's text; empty where it is absent or not text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "classify_kinds_tests.rs"]
mod kinds_tests;
