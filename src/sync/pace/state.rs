//! What a process remembers of a site between two requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::purse::Purse;
use crate::domain::failure::{FailureCode, RetryPolicy};
use crate::jira::Endpoint;
use crate::jira::pacer::Answered;

/// The wait after a refusal that names none: doubled with each in a row, up to the longest, times 0.5 to 1.5 by chance.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Points that a request is taken to cost before any answer of its endpoint was seen: the request and a page of 50.
const FIRST_COST: f64 = 51.0;

#[derive(Default)]
pub(super) struct State {
    pub purses: HashMap<String, Arc<Purse>>,
    pub pauses: HashMap<String, Instant>,
    /// Refusals without a time in a row, by scope.
    pub nameless: HashMap<String, u32>,
    pub workers: i64,
    /// What is set as the least pause after a 429 that names no time.
    pub least_pause: Duration,
    /// Requests in this second and the one before, for a first guess at a rate.
    pub asked: (Option<Instant>, u32, u32),
    /// What is still to be paid or given back, in points.
    pub owed: f64,
    /// What a request of each endpoint cost lately.
    costs: HashMap<Endpoint, f64>,
}

impl State {
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
        self.costs.get(&endpoint).copied().unwrap_or(FIRST_COST)
    }

    /// What a request cost, against what was paid for it. What was refused cost next to nothing, and says nothing of what
    /// others will cost.
    pub fn settle_cost(&mut self, answered: &Answered<'_>) {
        let cost = 1.0 + answered.objects as f64;
        self.owed += cost - answered.paid_points;
        if answered.refused.is_none() {
            let expected = self.costs.entry(answered.endpoint).or_insert(FIRST_COST);
            *expected += 0.2 * (cost - *expected);
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
