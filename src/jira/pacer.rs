//! What stands between a client and the wire: whether a request may be sent now, and what its answer said about limits.
//!
//! Limits are the site's and count for all processes together, so whoever keeps them needs the database, which this module
//! does not know: the client asks a [`Pacer`] before each attempt and tells it of each answer.
//!
//! What must hold: nothing that a header says can be more than a number within reason.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::concurrency::InFlight;
use super::endpoint::Endpoint;
use crate::domain::failure::Failure;
use crate::domain::rate::Told;

/// Keeps the limits of one site.
pub trait Pacer: Send + Sync {
    /// Waits until a request may be sent; it is under way as long as what is given lives.
    ///
    /// # Errors
    /// `RATE_LIMIT` or `QUOTA`, with the time to wait, where that is too long to wait in place.
    fn admit(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<InFlight, Failure>>;

    /// Takes note of an answer, or that there was none.
    fn settle<'a>(&'a self, answered: Answered<'a>) -> BoxFuture<'a, ()>;

    /// Whether the objects in an answer are of interest: counting them means to read it.
    fn counts_objects(&self) -> bool;
}

/// What became of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// What was asked.
    pub endpoint: Endpoint,
    /// From sending to the end of the body.
    pub took: Duration,
    /// What headers said of limits.
    pub told: Told,
    /// [`InFlight::paid_points`] of the request.
    pub paid_points: f64,
    /// How many objects (issues, comments, users, …) came, where they were counted.
    pub objects: u64,
    /// The status and what it meant; nothing where it was good.
    pub refused: Option<(&'a Failure, Option<StatusCode>)>,
    /// Whether Jira asked for a pause.
    pub limited: bool,
}

/// What the headers of an answer say of limits: Cloud's `X-RateLimit-Limit`, `-Remaining` and `-Reset` (a time), and Data
/// Center's `-FillRate` per `-Interval-Seconds` (Atlassian: "Rate limiting" of both).
pub(super) fn told(headers: &HeaderMap, now: DateTime<Utc>) -> Told {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok().filter(|number| (0.0..1e9).contains(number));
    let interval = number("x-ratelimit-interval-seconds").filter(|seconds| *seconds > 0.0);
    let refill = number("x-ratelimit-fillrate").filter(|fill| *fill > 0.0).zip(interval);
    Told {
        limit: number("x-ratelimit-limit"),
        remaining: number("x-ratelimit-remaining"),
        reset_in: text("x-ratelimit-reset").and_then(|value| reset_in(value, now)),
        refill_per_second: refill.map(|(fill, interval)| fill / interval),
        cycle_days: text("cycle-period").and_then(|days| days.parse().ok()).filter(|days| *days > 0),
    }
}

/// A time, or seconds since 1970, or, where that would be long ago, seconds from now.
fn reset_in(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    const LONG_AGO: i64 = 1_000_000_000;
    let at = match value.parse::<i64>() {
        Ok(seconds) if seconds < LONG_AGO => return u64::try_from(seconds).ok().map(Duration::from_secs),
        Ok(seconds) => DateTime::from_timestamp(seconds, 0)?,
        Err(_) => super::time::parse(value)?,
    };
    Some((at - now).to_std().unwrap_or_default())
}

/// How many objects an answer holds: the elements of its list, or 1. Jira's points count them.
pub(super) fn objects(body: &Bytes) -> u64 {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_any(Top).unwrap_or(1).max(1)
}

/// The names of the lists that envelopes carry.
const LISTS: [&str; 8] = ["issues", "values", "comments", "worklogs", "histories", "changelogs", "projects", "users"];

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if LISTS.contains(&key.as_ref()) {
                count += map.next_value_seed(List)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(count)
    }
}

/// A list's length; what is no list counts nothing.
struct List;

impl<'de> DeserializeSeed<'de> for List {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<u64, D::Error> {
        value.deserialize_seq(Top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn read(headers: &[(&'static str, &str)]) -> Told {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        told(&headers.collect(), now())
    }

    #[test]
    fn what_cloud_tells_is_read() {
        let told = read(&[
            ("x-ratelimit-limit", "350"),
            ("x-ratelimit-remaining", "12"),
            ("x-ratelimit-reset", "2026-11-22T10:00:30Z"),
        ]);
        assert_eq!((told.limit, told.remaining), (Some(350.0), Some(12.0)));
        assert_eq!(told.reset_in, Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_data_center_tells_is_read() {
        let told = read(&[
            ("x-ratelimit-limit", "60"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-interval-seconds", "5"),
            ("x-ratelimit-fillrate", "20"),
        ]);
        assert_eq!(told.refill_per_second, Some(4.0));
    }

    #[test]
    fn a_reset_may_be_seconds_of_either_kind() {
        let at = (now().timestamp() + 45).to_string();
        assert_eq!(read(&[("x-ratelimit-reset", &at)]).reset_in, Some(Duration::from_secs(45)));
        assert_eq!(read(&[("x-ratelimit-reset", "45")]).reset_in, Some(Duration::from_secs(45)));
        assert_eq!(read(&[("x-ratelimit-reset", "soon")]).reset_in, None);
    }

    #[test]
    fn nonsense_tells_nothing() {
        assert_eq!(
            read(&[("x-ratelimit-limit", "-1"), ("x-ratelimit-remaining", "NaN"), ("x-ratelimit-fillrate", "9")]),
            Told::default()
        );
    }

    #[test]
    fn objects_are_counted_by_their_envelope() {
        for (body, expected) in [
            (r#"{"issues":[{"id":"1","fields":{"issues":[1,2,3]}},{"id":"2"}],"isLast":true}"#, 2),
            (r#"{"startAt":0,"comments":[{},{},{}],"total":3}"#, 3),
            (r"[{},{},{},{}]", 4),
            (r#"{"accountId":"5b10"}"#, 1),
            (r#"{"issues":7}"#, 1),
            ("no json", 1),
        ] {
            assert_eq!(objects(&Bytes::from_static(body.as_bytes())), expected, "{body}");
        }
    }
}
