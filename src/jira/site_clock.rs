//! A site's clock, as the `Date` headers of its answers show it.
//!
//! Readings are kept against this process' monotonic clock, so that neither its wall clock nor the time that a request took
//! falsifies them: a request was sent no later than its answer's `Date` less the time until the answer came. A site may have
//! several nodes, whose clocks differ: the lowest and the highest reading of the last half hour to hour are kept, since the
//! next request may be answered, and the next edit dated, by any of them.
//!
//! What must hold: the lowest time is not later than that of any node that has answered in that time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{DATE, HeaderMap};

use crate::domain::http_date;

/// What is known of one site's clock.
#[derive(Debug)]
pub struct SiteClock {
    began: Instant,
    readings: Mutex<Readings>,
}

/// Of the present half hour and of the one before.
#[derive(Debug)]
struct Readings {
    since: Instant,
    now: Option<Range>,
    before: Option<Range>,
}

/// Milliseconds since 1970 at the time when the clock was begun to be read, by the node that is furthest behind and by the one
/// that is furthest ahead.
#[derive(Clone, Copy, Debug)]
struct Range {
    lowest: i64,
    highest: i64,
}

/// A `Date` has whole seconds: it may be so much later than it says.
const RESOLUTION_MILLIS: i64 = 999;
const HALF_HOUR: Duration = Duration::from_secs(1_800);

impl Default for SiteClock {
    fn default() -> Self {
        let began = Instant::now();
        Self { began, readings: Mutex::new(Readings { since: began, now: None, before: None }) }
    }
}

impl SiteClock {
    /// Takes note of an answer to a request that was sent at `sent`; its headers came `after` that.
    pub(super) fn heard(&self, headers: &HeaderMap, sent: Instant, after: Duration) {
        let Some(date) = date(headers) else { return };
        let since = millis(sent.saturating_duration_since(self.began));
        let read = date.timestamp_millis().saturating_sub(since);
        let (lowest, highest) = (read.saturating_sub(millis(after)), read.saturating_add(RESOLUTION_MILLIS));
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.saturating_duration_since(readings.since) > HALF_HOUR {
            *readings = Readings { since: sent, now: None, before: readings.now };
        }
        let widened = readings.now.map_or(Range { lowest, highest }, |range| Range {
            lowest: range.lowest.min(lowest),
            highest: range.highest.max(highest),
        });
        readings.now = Some(widened);
    }

    /// The site's time at `at`, by the node that is furthest behind; nothing where no answer told.
    pub fn lowest(&self, at: Instant) -> Option<DateTime<Utc>> {
        self.at(self.ranges().map(|range| range.lowest).min()?, at)
    }

    /// The same by the node that is furthest ahead.
    pub fn highest(&self, at: Instant) -> Option<DateTime<Utc>> {
        self.at(self.ranges().map(|range| range.highest).max()?, at)
    }

    fn ranges(&self) -> impl Iterator<Item = Range> {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        [readings.now, readings.before].into_iter().flatten()
    }

    fn at(&self, millis: i64, at: Instant) -> Option<DateTime<Utc>> {
        let began = DateTime::from_timestamp_millis(millis)?;
        began.checked_add_signed(TimeDelta::from_std(at.saturating_duration_since(self.began)).ok()?)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What time it is where an answer comes from, as its `Date` says; `now`, our time, where it says none, or one that is no time
/// of today's.
pub(super) fn time_of(headers: &HeaderMap, now: DateTime<Utc>) -> DateTime<Utc> {
    date(headers).filter(|date| (*date - now).abs() < TimeDelta::days(1)).unwrap_or(now)
}

/// The `Date` of an answer.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date::parse(headers.get(DATE)?.to_str().ok()?, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(date: &'static str) -> HeaderMap {
        [(DATE, date.parse().unwrap())].into_iter().collect()
    }

    fn at(text: &str) -> Option<DateTime<Utc>> {
        text.parse().ok()
    }

    #[test]
    fn a_site_has_the_time_of_its_answers_less_what_they_took() {
        let clock = SiteClock::default();
        let sent = clock.began + Duration::from_secs(10);
        assert_eq!(clock.lowest(sent), None, "nothing was heard yet");
        clock.heard(&headers("Wed, 01 May 2024 10:25:20 GMT"), sent, Duration::from_secs(3));
        assert_eq!(clock.lowest(sent), at("2024-05-01T10:25:17Z"));
        assert_eq!(clock.highest(sent), at("2024-05-01T10:25:20.999Z"));
        assert_eq!(clock.lowest(sent + Duration::from_secs(60)), at("2024-05-01T10:26:17Z"), "it goes on");
    }

    #[test]
    fn of_nodes_that_differ_both_ends_are_kept_for_a_while() {
        let clock = SiteClock::default();
        for date in ["Wed, 01 May 2024 10:25:20 GMT", "Wed, 01 May 2024 10:17:20 GMT", "no date"] {
            clock.heard(&headers(date), clock.began, Duration::ZERO);
        }
        assert_eq!(clock.lowest(clock.began), at("2024-05-01T10:17:20Z"));
        assert_eq!(clock.highest(clock.began), at("2024-05-01T10:25:20.999Z"));
        let minutes = |n: u64| clock.began + Duration::from_secs(n * 60);
        clock.heard(&headers("Wed, 01 May 2024 10:56:20 GMT"), minutes(31), Duration::ZERO);
        assert_eq!(clock.lowest(minutes(31)), at("2024-05-01T10:48:20Z"), "the slow one may answer next");
        clock.heard(&headers("Wed, 01 May 2024 11:27:20 GMT"), minutes(62), Duration::ZERO);
        assert_eq!(clock.lowest(minutes(62)), at("2024-05-01T11:27:20Z"), "it was set right long ago");
    }
}
