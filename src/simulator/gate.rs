//! What stands before every endpoint: counting, waiting, faults, credentials, limits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use bytes::Bytes;
use chrono::SecondsFormat;

use super::auth::{Caller, captcha, unauthenticated};
use super::connection::Connection;
use super::faults::{Fault, FaultKind};
use super::limits::{Objects, Room};
use super::mangle;
use super::poorer;
use super::reply::{self, Reply};
use super::seed::{Dice, Purpose};
use super::site::{Site, lock};
use super::template::template;

/// What Jira's burst limit allows reads, per endpoint and second; told in headers when no limit is simulated.
const TOLD_LIMIT: u32 = 100;

/// Passes a request to its endpoint, or lets it fail.
pub(super) async fn gate(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Reply {
    let number = site.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let path = request.uri().path().to_owned();
    let endpoint = template(&path);
    let _in_flight = site.enter(endpoint);
    wait(&site, number).await;
    let fault = lock(&site.faults).decide(number, &path);
    if let Some(fault) = fault {
        site.count_fault(fault.kind);
    }
    let connection = request.extensions().get::<ConnectInfo<Connection>>().map(|info| info.0.clone());
    let reply = match fault {
        Some(fault) => match before(&site, fault, endpoint, connection.as_ref()).await {
            Some(reply) => reply,
            None => {
                request.extensions_mut().insert(fault.kind);
                after(&site, (fault.kind, endpoint), admit(&site, endpoint, request, next).await, connection).await
            }
        },
        None => admit(&site, endpoint, request, next).await,
    };
    let reply = site.language.apply(reply).await;
    site.count_status(reply.status().as_u16());
    // By the clock of the node that has served it.
    let now = chrono::DateTime::from_timestamp_millis(site.world.now_of_node_ms(number));
    let date = now.map(|now| now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap_or_default();
    let reply = reply::with(reply, "date", &date);
    reply::with(reply, "atl-traceid", &format!("{number:032x}"))
}

async fn wait(site: &Site, number: u64) {
    if *site.paused.borrow() {
        // The sender lives in the site itself: this ends only when the pause does.
        let _ = site.paused.subscribe().wait_for(|paused| !paused).await;
    }
    let jitter = site.jitter_micros.load(Ordering::Relaxed);
    let extra = if jitter == 0 { 0 } else { Dice::new(site.seed, Purpose::Latency, number, 0).below(jitter + 1) };
    let micros = site.latency_micros.load(Ordering::Relaxed).saturating_add(extra);
    if micros > 0 {
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

/// Waits, unless the site is being stopped.
async fn hold(site: &Site, duration: Duration) {
    let mut closing = site.closing.subscribe();
    let _ = tokio::time::timeout(duration, closing.wait_for(|closing| *closing)).await;
}

/// Credentials and limits, then the endpoint.
async fn admit(site: &Site, endpoint: &'static str, mut request: Request, next: Next) -> Reply {
    if site.suspended.load(Ordering::Relaxed) {
        return unavailable();
    }
    let mut caller = match caller(site, &request) {
        Ok(caller) => caller,
        Err(refusal) => return *refusal,
    };
    if let Caller::Known(viewer) = &mut caller {
        let path = request.uri().path();
        viewer.reads_wiki |= path.contains("/rest/api/2/") || path.contains("/rest/api/latest/");
    }
    request.extensions_mut().insert(caller);
    let now_ms = site.world.now_ms();
    let room = match site.limiter.admit(request.method().as_str(), endpoint, now_ms) {
        Ok(room) => room,
        Err(refusal) => return *refusal,
    };
    let limit = site.burst_limit.unwrap_or(TOLD_LIMIT);
    let left = match site.burst_limit {
        None => limit - 1,
        Some(limit) => match site.burst(endpoint, limit) {
            Some(left) => left,
            None => {
                let fault = Fault { kind: FaultKind::RateLimit, retry_after_seconds: 1 };
                return limited(site, fault, limit, "jira-burst-based");
            }
        },
    };
    let reply = next.run(request).await;
    let objects = reply.extensions().get::<Objects>().map_or(0, |objects| objects.0);
    site.limiter.spend(objects, now_ms);
    let Room { limit, left } = room.unwrap_or(Room { limit: u64::from(limit), left: u64::from(left) });
    let reply = reply::with(reply, "x-ratelimit-limit", &limit.to_string());
    reply::with(reply, "x-ratelimit-remaining", &left.to_string())
}

/// Who is calling; the error is the answer to wrong credentials.
fn caller(site: &Site, request: &Request) -> Result<Caller, Box<Reply>> {
    let catalogue = site.world.catalogue();
    let ignored = request.extensions().get() == Some(&FaultKind::Anonymous) || site.anonymous.load(Ordering::Relaxed);
    if ignored {
        return Ok(Caller::Anonymous(catalogue));
    }
    if request.uri().path().starts_with("/ex/jira/") {
        return site.gateway_caller(request.headers(), catalogue);
    }
    site.accounts.identify(request.headers(), catalogue)
}

fn limited(site: &Site, fault: Fault, limit: u32, reason: &str) -> Reply {
    let seconds = i64::try_from(fault.retry_after_seconds).unwrap_or(i64::MAX / 2_000);
    let reset =
        chrono::DateTime::from_timestamp_millis(site.world.now_ms().saturating_add(seconds.saturating_mul(1_000)));
    let reply = reply::refuse(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded.");
    let reply = reply::with(reply, "retry-after", &fault.retry_after_seconds.to_string());
    let reply = reply::with(reply, "x-ratelimit-limit", &limit.to_string());
    let reply = reply::with(reply, "x-ratelimit-remaining", "0");
    let reset = reset.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default();
    let reply = reply::with(reply, "x-ratelimit-reset", &reset);
    reply::with(reply, "ratelimit-reason", reason)
}

/// What the front door says when there is no site behind it, or one that is suspended.
fn unavailable() -> Reply {
    let body = r#"{"errorMessage":"Site temporarily unavailable","errorCode":"OTHER"}"#;
    reply::json(StatusCode::NOT_FOUND, body)
}

/// Faults that take the place of an answer; `None` for those that spoil one.
async fn before(site: &Site, fault: Fault, endpoint: &str, connection: Option<&Connection>) -> Option<Reply> {
    use FaultKind as F;
    let refuse = |status: u16, message: &str| {
        reply::refuse(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message)
    };
    Some(match fault.kind {
        F::RateLimit => limited(site, fault, TOLD_LIMIT, "jira-burst-based"),
        F::Quota => limited(site, fault, 65_000, "jira-quota-tenant-based"),
        F::RateLimitBare => refuse(429, "Rate limit exceeded."),
        F::RateLimitHtml => reply::html(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
        F::Maintenance => {
            let reply = refuse(503, "The site is being maintained.");
            reply::with(reply, "retry-after", &fault.retry_after_seconds.to_string())
        }
        F::Unavailable => reply::html(StatusCode::SERVICE_UNAVAILABLE, "Page Unavailable"),
        F::ServerError => refuse(500, "Internal server error"),
        F::Problem => {
            let body = format!(
                r#"{{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"Simulated.","instance":"{endpoint}"}}"#
            );
            reply::with(
                reply::json(StatusCode::INTERNAL_SERVER_ERROR, body),
                "content-type",
                "application/problem+json",
            )
        }
        F::BadGateway => reply::html(StatusCode::BAD_GATEWAY, "502 Bad Gateway"),
        F::GatewayTimeout => reply::html(StatusCode::GATEWAY_TIMEOUT, "504 Gateway Timeout"),
        F::SiteUnavailable => unavailable(),
        F::SignInPage => reply::html(StatusCode::OK, "Log in to continue"),
        F::Unauthorized => unauthenticated(site.kind, "AUTHENTICATED_FAILED"),
        F::UnauthorizedText => reply::text(StatusCode::UNAUTHORIZED, "Basic authentication failed\n"),
        F::Captcha => captcha(site.kind),
        F::PaymentRequired => refuse(402, "Payment required."),
        F::Forbidden => refuse(403, "You do not have permission to do this."),
        F::ForbiddenUnpaid => {
            let body =
                r#"{"errorMessage":"The subscription of this site has ended","errorCode":"SITE_SUSPENDED_PAYMENT"}"#;
            reply::json(StatusCode::FORBIDDEN, body)
        }
        F::Gone => refuse(410, "The requested API has been removed."),
        F::Reset => {
            reset(connection);
            reply::text(StatusCode::INTERNAL_SERVER_ERROR, "")
        }
        F::Hang => {
            hold(site, Duration::from_secs(600)).await;
            reply::html(StatusCode::GATEWAY_TIMEOUT, "504 Gateway Timeout")
        }
        F::WrongShape => reply::ok(br#"{"unexpected":{"shape":true}}"#.to_vec()),
        F::BlindLookUp if endpoint == "/issue/{}" => reply::no_issue(),
        F::Slow
        | F::Dribble
        | F::Truncated
        | F::BrokenJson
        | F::ControlCharacter
        | F::BadEscape
        | F::Nan
        | F::ByteOrderMark
        | F::Twice
        | F::MissingUpdated
        | F::OddDates
        | F::Oversize
        | F::Anonymous
        | F::RepeatedToken
        | F::EmptyPage
        | F::Endless
        | F::EndlessInvented
        | F::OmitLists
        | F::OmitValues
        | F::Doubled
        | F::Shared
        | F::ShortHistory
        | F::BlindLookUp
        | F::BlindSearch => return None,
    })
}

/// Faults that spoil a good answer.
async fn after(
    site: &Site,
    (kind, endpoint): (FaultKind, &str),
    reply: Reply,
    connection: Option<Connection>,
) -> Reply {
    match kind {
        FaultKind::Slow => hold(site, Duration::from_secs(5)).await,
        FaultKind::Dribble => {
            let (mut parts, body) = reply.into_parts();
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            parts.headers.insert("content-length", whole.len().into());
            let closing = site.closing.subscribe();
            let drops = futures::stream::unfold((whole, closing), |(rest, mut closing)| async move {
                let byte = rest.get(..1).map(|_| rest.slice(..1))?;
                let _ = tokio::time::timeout(Duration::from_secs(10), closing.wait_for(|closing| *closing)).await;
                Some((Ok::<_, std::io::Error>(byte), (rest.slice(1..), closing)))
            });
            return Reply::from_parts(parts, Body::from_stream(drops));
        }
        FaultKind::ControlCharacter
        | FaultKind::BadEscape
        | FaultKind::Nan
        | FaultKind::ByteOrderMark
        | FaultKind::Twice
        | FaultKind::MissingUpdated
        | FaultKind::OddDates
        | FaultKind::Oversize => {
            let (parts, body) = reply.into_parts();
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            return Reply::from_parts(parts, Body::from(mangle::mangle(kind, &whole)));
        }
        FaultKind::Truncated | FaultKind::BrokenJson => {
            let (mut parts, body) = reply.into_parts();
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            let half = whole.slice(..whole.len() / 2);
            if kind == FaultKind::BrokenJson {
                return Reply::from_parts(parts, Body::from(half));
            }
            // The full length is promised, half is sent, then the connection breaks.
            parts.headers.insert("content-length", whole.len().into());
            let cut = futures::stream::unfold(Some(half), move |rest| {
                let connection = connection.clone();
                async move {
                    if let Some(half) = rest {
                        return Some((Ok(half), None));
                    }
                    // What was written must reach the client before the reset overtakes it.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    reset(connection.as_ref());
                    Some((Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset)), None))
                }
            });
            return Reply::from_parts(parts, Body::from_stream(cut));
        }
        kind if FaultKind::POORER.contains(&kind) && reply.status() == StatusCode::OK => {
            let (parts, body) = reply.into_parts();
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            let spoilt = poorer::spoil(kind, endpoint, &whole);
            return Reply::from_parts(parts, spoilt.map_or_else(|| Body::from(whole), Body::from));
        }
        _ => {}
    }
    reply
}

fn reset(connection: Option<&Connection>) {
    if let Some(connection) = connection {
        connection.reset();
    }
}
