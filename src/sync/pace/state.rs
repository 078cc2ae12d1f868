//! What a process remembers of a site between two requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::purse::Purse;
use crate::domain::failure::{FailureCode, RetryPolicy};
use crate::domain::rate as rule;
use crate::jira::Endpoint;
use crate::jira::pacer::Answered;

/// The wait after a refusal that names none: doubled with each in a row, up to the longest, times 0.5 to 1.5 by chance.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// After a pause without a bucket, requests return by degrees to what this process asked for per second before it, and to at
/// least so much.
const LEAST_ASKED: f64 = 10.0;
/// Ends of pauses that are so near are of one pause.
const SAME_PAUSE: Duration = Duration::from_millis(200);

/// Points that a request is taken to cost before any answer of its endpoint was seen: one, and one for each object.
const fn first_cost(endpoint: Endpoint) -> f64 {
    match endpoint {
        // A bundle of issues whose histories are asked for together.
        Endpoint::ChangelogBulk => 501.0,
        _ => 51.0,
    }
}

#[derive(Default)]
pub(super) struct State {
    pub purses: HashMap<String, Arc<Purse>>,
    /// Pauses that are on, and those after which requests still return by degrees.
    pub pauses: HashMap<String, Pause>,
    /// Refusals without a time in a row, by scope.
    pub nameless: HashMap<String, u32>,
    pub workers: i64,
    /// What is set as the least pause after a 429 that names no time.
    pub least_pause: Duration,
    /// Requests in this second and the one before, for a first guess at a rate.
    pub asked: (Option<Instant>, u32, u32),
    /// What is still to be paid or given back, in points.
    pub owed: f64,
    /// When Jira last said that the hour's points are spent.
    pub spent_at: Option<Instant>,
    /// What a request of each endpoint cost lately.
    costs: HashMap<Endpoint, f64>,
}

/// A pause that Jira asked for, as this process keeps it.
pub(super) struct Pause {
    pub until: Instant,
    /// How long it is in all.
    pub length: Duration,
    /// Requests per second of this process before it.
    pub asked: f64,
    /// Requests that were let go since its end.
    pub returned: u32,
    /// The hour's points are spent.
    pub quota: bool,
}

impl Pause {
    /// When the next request may go out that no bucket holds back; `None` once all have returned.
    pub fn turn(&mut self, now: Instant) -> Option<Instant> {
        if now >= self.until + rule::return_time(self.length) {
            return None;
        }
        let asked = self.asked.max(LEAST_ASKED);
        // Turns that nobody took are lost: they are not made up for.
        let over = rule::returned_after(now.saturating_duration_since(self.until), asked, self.length) as u32;
        self.returned = self.returned.max(over);
        let turn = self.until + rule::returns_after(self.returned, asked, self.length);
        self.returned += 1;
        Some(turn)
    }
}

impl State {
    /// Notes a pause of such a length, or that one lasts longer; a longer one begins anew.
    pub fn pause(&mut self, key: &str, until: Instant, length: Duration, now: Instant) {
        let asked = match self.asked.0 {
            Some(since) if now - since < Duration::from_secs(2) => f64::from(self.asked.1.max(self.asked.2)),
            _ => 0.0,
        };
        let heard = Pause { until, length, asked, returned: 0, quota: false };
        let known = self.pauses.entry(key.to_owned()).or_insert(heard);
        known.length = known.length.max(length);
        // The same pause, heard of again, ends a moment sooner or later.
        let longer = until.saturating_duration_since(known.until);
        if longer > SAME_PAUSE || known.returned == 0 && !longer.is_zero() {
            // Little is asked in a pause: what was asked before it counts.
            let asked = asked.max(known.asked);
            *known = Pause { until, length: known.length, asked, returned: 0, quota: false };
        }
    }

    /// Notes that a pause is about the hour's points.
    pub fn is_spent(&mut self, key: &str, now: Instant) {
        if let Some(pause) = self.pauses.get_mut(key).filter(|pause| !pause.quota) {
            pause.quota = true;
            self.spent_at = Some(now);
        }
    }

    /// Counts a request.
    pub fn count(&mut self) {
        let now = Instant::now();
        match self.asked.0 {
            Some(since) if now - since < Duration::from_secs(1) => self.asked.1 += 1,
            Some(since) if now - since < Duration::from_secs(2) => self.asked = (Some(now), 1, self.asked.1),
            _ => self.asked = (Some(now), 1, 0),
        }
    }

    /// What a request to `endpoint` is taken to cost.
    pub fn cost(&self, endpoint: Endpoint) -> f64 {
        self.costs.get(&endpoint).copied().unwrap_or(first_cost(endpoint))
    }

    /// What a request cost, against what was paid for it. What was refused cost next to nothing, and says nothing of what
    /// others will cost.
    pub fn settle_cost(&mut self, answered: &Answered<'_>) {
        let cost = 1.0 + answered.objects as f64;
        self.owed += cost - answered.paid_points;
        if answered.refused.is_none() {
            let expected = self.costs.entry(answered.endpoint).or_insert(first_cost(answered.endpoint));
            // A dear one is learnt at once: it is paid for before it is asked, and what was too much comes back.
            *expected = if cost > *expected { cost } else { *expected + 0.2 * (cost - *expected) };
        }
    }

    /// The pause after a refusal that names none: longer with each in a row, and after a 429 not less than is set.
    pub fn backoff(&mut self, key: &str, code: FailureCode, jitter: f64) -> Duration {
        let count = self.nameless.entry(key.to_owned()).or_insert(0);
        let factor = 1u32 << (*count).min(6);
        *count += 1;
        let pause = (FIRST_BACKOFF * factor).min(LONGEST_BACKOFF).mul_f64(0.5 + jitter);
        match code.policy() {
            RetryPolicy::WaitForScope => pause.max(self.least_pause),
            _ => pause,
        }
    }
}
