//! What answers teach of a site's limits: how many requests it bears at once, what is left of a limit, and, where it refuses,
//! for how long everyone pauses and at which rate it goes on.

use tokio::time::Instant;

use super::super::lock;
use super::SitePacer;
use crate::domain::failure::{Failure, FailureCode, PauseScope};
use crate::domain::rate::{self as rule, Level, Told};
use crate::jira::concurrency::Sign;
use crate::jira::pacer::Answered;
use crate::observe::{events, metrics};
use crate::store::patience::ANSWER;
use crate::store::{quota, rate, within};

/// A rate that was refused is not brought below this, per second, unless Jira tells a rate.
const SLOWEST: f64 = 2.0;
/// The first guess at a limit is no lower than this, unless Jira tells one: a run that has just begun was not yet asking for
/// much. A tenth of what Jira Cloud allows in bursts; where it is too much, the next refusal says so.
const SLOWEST_GUESS: f64 = 10.0;

impl SitePacer {
    pub(super) async fn note(&self, answered: Answered<'_>) {
        let sign = match answered.refused {
            None => Sign::Good,
            Some(_) if answered.limited => Sign::Bad,
            Some((_, None)) => Sign::Bad,
            Some((_, Some(status))) if status.is_server_error() => Sign::Bad,
            Some(_) => Sign::None,
        };
        if let Some(limits) = self.limits.get() {
            let limit = limits.places.observe(answered.endpoint, answered.took, sign);
            let own = lock(&limits.own);
            metrics::jira_concurrency_limit(&own.0.name, limit);
            let points = own.0.points_per_hour.is_some();
            drop(own);
            if points {
                lock(&self.state).settle_cost(&answered);
            }
        }
        match answered.refused {
            Some((failure, _)) if answered.limited => self.refused(&answered, failure).await,
            Some(_) => {}
            None => self.answered(&answered).await,
        }
    }

    /// A good answer: what is left is the level that the narrowest bucket is steered by.
    async fn answered(&self, answered: &Answered<'_>) {
        let Answered { endpoint, told, .. } = *answered;
        lock(&self.state).nameless.clear();
        let purses = self.purses(endpoint);
        if let Some((narrowest, wider)) = purses.split_last() {
            narrowest.saw(&told);
            wider.iter().for_each(|purse| purse.saw(&Told::default()));
            return;
        }
        if Level::of(&told).is_some_and(|level| level.is_felt()) {
            // Data Center limits an account, Cloud an endpoint.
            let key = if told.refill_per_second.is_some() { self.key.clone() } else { self.endpoint_key(endpoint) };
            let rate = self.guess(&told);
            match within(ANSWER, rate::open_bucket(&self.shared.pool(), &key, rate, rule::burst(rate))).await {
                Ok(is_first) => self.learnt(&key, rate, is_first, "little is left"),
                Err(error) => tracing::debug!(%error, "a limit could not be shared"),
            }
        }
    }

    /// Jira asked for a pause: it begins here at once, and everywhere as soon as it is written.
    async fn refused(&self, answered: &Answered<'_>, failure: &Failure) {
        let key = match failure.scope {
            PauseScope::Site => self.key.clone(),
            PauseScope::Endpoint => self.endpoint_key(answered.endpoint),
        };
        let pause = failure
            .retry_after
            .unwrap_or_else(|| lock(&self.state).backoff(&key, failure.code, self.shared.clock.jitter()));
        let purse = self.purses(answered.endpoint).pop();
        self.begin_pause(&key, pause);
        if failure.code == FailureCode::Quota {
            lock(&self.state).is_spent(&key, Instant::now());
        }
        let (pool, reason) = (&self.shared.pool(), failure.code.as_str());
        let written = match failure.code {
            FailureCode::RateLimit => {
                let known = within(ANSWER, rate::refused_rate(pool, &key)).await.ok().flatten();
                let (refused, slowest) = match known {
                    Some((rate, since)) => (rule::after_refusal(rate, &answered.told, since), SLOWEST),
                    None if answered.told.limit.is_some() => (self.guess(&answered.told), SLOWEST),
                    None => (self.guess(&answered.told), SLOWEST_GUESS),
                };
                let told = answered.told.refill_per_second.is_some();
                let rate = if told { refused } else { refused.max(slowest) };
                let is_limit = !purse.as_ref().is_some_and(|purse| purse.is_roomy());
                let refusal = rate::Refusal { key: &key, pause, reason, rate, burst: rule::burst(rate), is_limit };
                within(ANSWER, rate::refuse(pool, refusal))
                    .await
                    .map(|is_first| self.learnt(&key, rate, is_first, "refused"))
            }
            FailureCode::Quota => match within(ANSWER, quota::spend_all(pool, &self.quota_key())).await {
                Ok(()) => within(ANSWER, rate::pause(pool, &key, pause, reason)).await,
                failed => failed,
            },
            _ => within(ANSWER, rate::pause(pool, &key, pause, reason)).await,
        };
        if let Err(error) = written {
            tracing::debug!(%error, "a pause could not be shared");
        }
        if let Some(purse) = purse {
            purse.forfeit().await;
        }
    }

    fn guess(&self, told: &Told) -> f64 {
        let state = lock(&self.state);
        let asked = f64::from(state.asked.1.max(state.asked.2)) * state.workers.max(1) as f64;
        rule::first_guess(told, asked)
    }

    fn learnt(&self, key: &str, rate: f64, is_first: bool, reason: &'static str) {
        self.purse(&mut lock(&self.state), key);
        if is_first {
            tracing::info!(event = events::RATE_LEARNT, bucket = key, rate_per_second = rate, reason);
        }
    }
}
