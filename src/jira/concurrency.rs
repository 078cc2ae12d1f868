//! How many requests to one site may be under way at once in this process: found by trying, between 1 and the site's limit.
//!
//! While answers take about as long as they took at best, there is room for one more; where they take several times as
//! long, or fail, the site is served better by fewer. Times are compared per endpoint, because a page of 100 issues takes
//! longer than a look at the account. The limit begins at the site's own: most sites have room, and the first run of a
//! process should not have to find that out.
//!
//! What must hold: a place is free again when its guard is dropped, whatever became of the request; at least one request
//! may always be under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::endpoint::Endpoint;

/// Of the places, after a failure and after a slow answer.
const AFTER_FAILURE: f64 = 0.7;
const AFTER_SLOWNESS: f64 = 0.95;
/// A lower limit is tried for so long before it is lowered again: answers to requests that were under way are old news.
const CALM: Duration = Duration::from_millis(500);
/// An answer is slow when it takes so many times the best, and so much longer.
const SLOW_FACTOR: f64 = 3.0;
const SLOW_SECONDS: f64 = 0.25;
/// The best time is believed a little less with every answer, since sites change.
const BASELINE_DRIFT: f64 = 0.002;

/// The places of one site in this process.
#[derive(Debug)]
pub struct Concurrency {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    most: u32,
    under_way: u32,
    lowered: Option<Instant>,
    /// The best time of each endpoint, in seconds.
    baselines: HashMap<Endpoint, f64>,
}

/// What an answer says about room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It was what it should be.
    Good,
    /// The site could not, or asked for less: 429, 5xx, a time-out, a connection that broke.
    Bad,
    /// It says nothing: what was asked for was refused.
    None,
}

impl Concurrency {
    /// Up to `most` places.
    pub fn new(most: u32) -> Arc<Self> {
        let most = most.max(1);
        let state = State { limit: f64::from(most), most, under_way: 0, lowered: None, baselines: HashMap::new() };
        Arc::new(Self { state: Mutex::new(state), freed: Notify::new() })
    }

    /// Waits for a place.
    pub async fn enter(self: &Arc<Self>) -> InFlight {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.try_enter() {
                return InFlight { paid_points: 0.0, places: Arc::clone(self) };
            }
            freed.await;
        }
    }

    fn try_enter(&self) -> bool {
        let mut state = self.lock();
        let free = f64::from(state.under_way + 1) <= state.limit.max(1.0);
        state.under_way += u32::from(free);
        free
    }

    /// The site's own limit, when it was changed.
    pub fn allow(&self, most: u32) {
        let mut state = self.lock();
        let most = most.max(1);
        if most != state.most {
            // More is taken as room at once, as at the start.
            state.limit = if most > state.most { f64::from(most) } else { state.limit.min(f64::from(most)) };
            state.most = most;
            drop(state);
            self.freed.notify_waiters();
        }
    }

    /// Takes note of an answer; the limit now.
    pub fn observe(&self, endpoint: Endpoint, took: Duration, sign: Sign) -> u32 {
        let mut state = self.lock();
        let before = state.limit;
        match sign {
            Sign::None => {}
            Sign::Bad => state.lower(AFTER_FAILURE),
            Sign::Good => {
                let seconds = took.as_secs_f64();
                let best = state.baselines.entry(endpoint).or_insert(seconds);
                *best = seconds.min(*best * (1.0 + BASELINE_DRIFT));
                if seconds > *best * SLOW_FACTOR && seconds > *best + SLOW_SECONDS {
                    state.lower(AFTER_SLOWNESS);
                } else if f64::from(state.under_way) + 1.0 > state.limit {
                    // Only a limit that is reached can be found to be too low.
                    state.limit = (state.limit + 1.0 / state.limit).min(f64::from(state.most));
                }
            }
        }
        let (limit, grown) = (state.limit, state.limit.floor() > before.floor());
        drop(state);
        if grown {
            self.freed.notify_one();
        }
        // At least 1 and at most `most`.
        limit as u32
    }

    /// The limit now.
    pub fn limit(&self) -> u32 {
        self.lock().limit as u32
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.freed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lower(&mut self, share: f64) {
        if self.lowered.is_none_or(|then| then.elapsed() >= CALM) {
            self.limit = (self.limit * share).max(1.0);
            self.lowered = Some(Instant::now());
        }
    }
}

/// A request that is under way; its place is free again when this is dropped.
#[derive(Debug)]
pub struct InFlight {
    /// Points that were paid for it in advance, where points are counted.
    pub paid_points: f64,
    places: Arc<Concurrency>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.places.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(50);
    const SLOW: Duration = Duration::from_millis(900);

    /// An answer after the time in which a lower limit is left alone.
    fn later(places: &Concurrency, took: Duration, sign: Sign) -> u32 {
        places.lock().lowered = None;
        places.observe(Endpoint::Search, took, sign)
    }

    #[tokio::test]
    async fn failures_lower_the_limit_and_flat_answers_raise_it_again() {
        let places = Concurrency::new(8);
        let held: Vec<_> = futures::future::join_all((0..8).map(|_| places.enter())).await;
        assert_eq!(later(&places, QUICK, Sign::Good), 8);
        assert_eq!(later(&places, QUICK, Sign::Bad), 5);
        assert_eq!(places.observe(Endpoint::Search, QUICK, Sign::Bad), 5, "of the same moment");
        for _ in 0..20 {
            later(&places, QUICK, Sign::Bad);
        }
        assert_eq!(places.limit(), 1, "one is always left");
        for _ in 0..60 {
            later(&places, QUICK, Sign::Good);
        }
        assert_eq!(places.limit(), 8);
        drop(held);
    }

    #[tokio::test]
    async fn slow_answers_lower_the_limit_relative_to_their_endpoint() {
        let places = Concurrency::new(8);
        places.observe(Endpoint::Comments, SLOW, Sign::Good);
        for _ in 0..5 {
            later(&places, QUICK, Sign::Good);
        }
        assert_eq!(places.limit(), 8, "a slow endpoint is no slow site");
        for _ in 0..30 {
            later(&places, SLOW, Sign::Good);
        }
        assert!(places.limit() < 4, "{}", places.limit());
    }

    #[tokio::test]
    async fn a_limit_that_is_not_reached_does_not_rise() {
        let places = Concurrency::new(8);
        later(&places, QUICK, Sign::Bad);
        for _ in 0..50 {
            later(&places, QUICK, Sign::Good);
        }
        assert_eq!(places.limit(), 5);
    }

    #[tokio::test]
    async fn a_place_is_free_again_also_when_its_request_was_given_up() {
        let places = Concurrency::new(1);
        let held = places.enter().await;
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { drop(places.enter().await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap();
    }
}
