//! Rate limits, as Atlassian sets them.
//!
//! Bursts are held by a token bucket for each endpoint and method (Data Center: one for everything); the hourly quota counts
//! points, one for each request and one for each object in its answer, and begins anew with the hour of the site's clock.
//! What was allowed and what could have been is counted, so that a client can be told how much of a limit it used.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::http::StatusCode;
use chrono::SecondsFormat;
use serde::Serialize;

use super::options::Kind;
use super::reply::{self, Reply};
use super::site::lock;

/// Limits of a site; the default has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// For each endpoint and method.
    pub bucket: Option<Bucket>,
    /// Points that an hour has; 65,000 on sites without a quota of their own.
    pub points_per_hour: Option<u64>,
    /// The quota is the app's over all its sites, not this site's.
    pub global_quota: bool,
    /// How a refusal looks.
    pub shape: LimitShape,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Tokens that flow in.
    pub rate_per_second: f64,
    /// Tokens that it holds; it begins full.
    pub burst: u32,
}

/// How a 429 looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitShape {
    /// `Retry-After`, `X-RateLimit-*` and `RateLimit-Reason`; on Data Center its own headers.
    #[default]
    Headers,
    /// None of them.
    Bare,
    /// None of them, and a page for people.
    Html,
}

impl std::str::FromStr for LimitShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "headers" => Ok(Self::Headers),
            "bare" => Ok(Self::Bare),
            "html" => Ok(Self::Html),
            other => Err(format!("'{other}' is not a shape of a refusal: there are headers, bare and html")),
        }
    }
}

impl std::str::FromStr for Bucket {
    type Err = String;

    /// `100` is a hundred a second with a burst of as many; `100:350` has a burst of its own.
    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let wrong = || format!("'{text}' is not a rate per second, or a rate, ':' and a burst, such as 100:350");
        let rate_per_second: f64 = rate.parse().ok().filter(|rate| (0.001..=1e6).contains(rate)).ok_or_else(wrong)?;
        let burst = burst.map_or(Ok(rate_per_second.ceil() as u32), |burst| burst.parse().map_err(|_| wrong()))?;
        Ok(Self { rate_per_second, burst: burst.max(1) })
    }
}

/// What a limit has let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LimitStats {
    /// Requests that passed.
    pub allowed: u64,
    /// Requests that were answered 429.
    pub limited: u64,
    /// Requests that could have passed since the first one: the burst, and what flowed in since.
    pub possible: f64,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at_ms: i64,
    first_ms: i64,
    allowed: u64,
    limited: u64,
}

/// Points used in an hour (counted from 1970).
#[derive(Debug, Default)]
struct Hour {
    number: i64,
    used: u64,
    limited: u64,
}

/// The limits of a running site.
#[derive(Debug)]
pub(super) struct Limiter {
    kind: Kind,
    limits: Limits,
    levels: Mutex<BTreeMap<String, Level>>,
    hour: Mutex<Hour>,
}

/// Objects in an answer, for the quota; an extension of the reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Objects(pub(super) u64);

/// What the headers of an admitted request tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) limit: u64,
    pub(super) left: u64,
}

const HOUR_MS: i64 = 3_600_000;

impl Limiter {
    pub(super) fn new(kind: Kind, limits: Limits) -> Self {
        Self { kind, limits, levels: Mutex::default(), hour: Mutex::default() }
    }

    /// Takes a token and asks for the points left; the error is the refusal. `None` where nothing is limited.
    pub(super) fn admit(&self, method: &str, endpoint: &str, now_ms: i64) -> Result<Option<Room>, Box<Reply>> {
        if let Some(quota) = self.limits.points_per_hour {
            let mut hour = lock(&self.hour);
            hour.turn(now_ms);
            if hour.used >= quota {
                hour.limited += 1;
                let wait_ms = HOUR_MS - now_ms.rem_euclid(HOUR_MS);
                let reason =
                    if self.limits.global_quota { "jira-quota-global-based" } else { "jira-quota-tenant-based" };
                return Err(Box::new(self.refusal(quota, wait_ms, now_ms, reason, None)));
            }
        }
        let Some(bucket) = self.limits.bucket else {
            return Ok(self
                .limits
                .points_per_hour
                .map(|limit| Room { limit, left: limit.saturating_sub(lock(&self.hour).used) }));
        };
        let scope = match self.kind {
            Kind::Cloud => format!("{method} {endpoint}"),
            Kind::DataCenter => "all".to_owned(),
        };
        let mut levels = lock(&self.levels);
        let level = levels.entry(scope).or_insert_with(|| Level {
            tokens: f64::from(bucket.burst),
            at_ms: now_ms,
            first_ms: now_ms,
            allowed: 0,
            limited: 0,
        });
        let flown = (now_ms - level.at_ms).max(0) as f64 / 1_000.0 * bucket.rate_per_second;
        level.tokens = (level.tokens + flown).min(f64::from(bucket.burst));
        level.at_ms = level.at_ms.max(now_ms);
        if level.tokens >= 1.0 {
            level.tokens -= 1.0;
            level.allowed += 1;
            return Ok(Some(Room { limit: u64::from(bucket.burst), left: level.tokens as u64 }));
        }
        level.limited += 1;
        let wait_ms = ((1.0 - level.tokens) / bucket.rate_per_second * 1_000.0).ceil() as i64;
        Err(Box::new(self.refusal(u64::from(bucket.burst), wait_ms, now_ms, "jira-burst-based", Some(bucket))))
    }

    /// Counts the points of an answered request.
    pub(super) fn spend(&self, objects: u64, now_ms: i64) {
        if self.limits.points_per_hour.is_some() {
            let mut hour = lock(&self.hour);
            hour.turn(now_ms);
            hour.used += 1 + objects;
        }
    }

    fn refusal(&self, limit: u64, wait_ms: i64, now_ms: i64, reason: &str, bucket: Option<Bucket>) -> Reply {
        let refused = match self.limits.shape {
            LimitShape::Html => return reply::html(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
            _ if self.kind == Kind::DataCenter => {
                reply::json(StatusCode::TOO_MANY_REQUESTS, r#"{"message":"Rate limit exceeded."}"#)
            }
            _ => reply::refuse(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded."),
        };
        if self.limits.shape == LimitShape::Bare {
            return refused;
        }
        // Whole seconds, never too short.
        let seconds = (wait_ms + 999) / 1_000;
        let refused = reply::with(refused, "retry-after", &seconds.max(1).to_string());
        let refused = reply::with(refused, "x-ratelimit-limit", &limit.to_string());
        let refused = reply::with(refused, "x-ratelimit-remaining", "0");
        match (self.kind, bucket) {
            (Kind::DataCenter, Some(bucket)) => {
                let refused = reply::with(refused, "x-ratelimit-interval-seconds", "1");
                reply::with(refused, "x-ratelimit-fillrate", &(bucket.rate_per_second as u64).to_string())
            }
            _ => {
                let reset = chrono::DateTime::from_timestamp_millis(now_ms + wait_ms);
                let reset = reset.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default();
                let refused = reply::with(refused, "x-ratelimit-reset", &reset);
                reply::with(refused, "ratelimit-reason", reason)
            }
        }
    }

    /// What each bucket has let through so far, and the points used in this hour.
    pub(super) fn stats(&self, now_ms: i64) -> (BTreeMap<String, LimitStats>, u64, u64) {
        let rate = self.limits.bucket.unwrap_or(Bucket { rate_per_second: 0.0, burst: 0 });
        let told = |level: &Level| LimitStats {
            allowed: level.allowed,
            limited: level.limited,
            possible: f64::from(rate.burst) + (now_ms - level.first_ms) as f64 / 1_000.0 * rate.rate_per_second,
        };
        let buckets = lock(&self.levels).iter().map(|(scope, level)| (scope.clone(), told(level))).collect();
        let mut hour = lock(&self.hour);
        hour.turn(now_ms);
        (buckets, hour.used, hour.limited)
    }
}

impl Hour {
    fn turn(&mut self, now_ms: i64) {
        let number = now_ms.div_euclid(HOUR_MS);
        if self.number != number {
            (self.number, self.used) = (number, 0);
        }
    }
}
