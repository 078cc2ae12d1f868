//! The pacer of one site in this process.

mod answers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use uuid::Uuid;

use super::purse::{Purse, Turn};
use super::state::State;
use super::{Shared, lock};
use crate::domain::failure::{Failure, FailureCode, PauseScope};
use crate::domain::rate as rule;
use crate::domain::setting;
use crate::jira::Endpoint;
use crate::jira::concurrency::{Concurrency, InFlight};
use crate::jira::pacer::{Answered, Pacer};
use crate::observe::metrics;
use crate::store::patience::ANSWER;
use crate::store::quota;
use crate::store::rate::{self, Standing};
use crate::store::within;

/// A longer wait than this is not waited for here: the step is put off behind its gate, and its place serves others.
const PATIENCE: Duration = Duration::from_secs(3);
/// Nobody waits longer for turns; a step has a time limit.
const LONGEST_QUEUE: Duration = Duration::from_secs(60);
/// A site is not asked before it is known what others have met there, unless the database takes longer than this to tell.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// How often the site's own limits are read again.
const LIMITS_KEPT: Duration = Duration::from_secs(30);
/// How far ahead points are given.
const POINTS_HORIZON: Duration = Duration::from_secs(1);
/// Keeps the limits of one site; see [`super`].
pub struct SitePacer {
    shared: Arc<Shared>,
    site_id: Uuid,
    /// `site:{id}`: the key of its pauses and of its own bucket. An endpoint's is this and its template.
    key: String,
    acquainted: OnceCell<()>,
    limits: OnceCell<Limits>,
    state: Mutex<State>,
}

struct Limits {
    places: Arc<Concurrency>,
    own: Mutex<(rate::SiteLimits, Instant)>,
}

impl SitePacer {
    pub(super) fn new(shared: Arc<Shared>, site_id: Uuid) -> Self {
        let key = format!("site:{site_id}");
        Self { shared, site_id, key, acquainted: OnceCell::new(), limits: OnceCell::new(), state: Mutex::default() }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    fn endpoint_key(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.key, endpoint.template())
    }

    /// Takes over what others have met.
    pub(super) fn learn(&self, standing: &Standing) {
        let mine = |key: &str| key.split('/').next() == Some(&self.key);
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.workers = standing.workers;
        let least = standing.settings.whole(&setting::RATE_PAUSE).unwrap_or(0);
        state.least_pause = Duration::from_secs(u64::from(least));
        for key in standing.buckets.iter().filter(|key| mine(key)) {
            self.purse(&mut state, key);
        }
        state.pauses.retain(|_, pause| pause.until + rule::return_time(pause.length) > now);
        for pause in standing.pauses.iter().filter(|pause| mine(&pause.key)) {
            let until = now.checked_sub(pause.ended_ago).map(|until| until + pause.left);
            if let Some(until) = until {
                state.pause(&pause.key, until, pause.length, now);
            }
            if standing.quotas.contains(&pause.key) {
                state.is_spent(&pause.key, now);
            }
        }
    }

    fn purse(&self, state: &mut State, key: &str) -> Arc<Purse> {
        let gates = || if key == self.key { vec![key.to_owned()] } else { vec![self.key.clone(), key.to_owned()] };
        Arc::clone(state.purses.entry(key.to_owned()).or_insert_with(|| Arc::new(Purse::new(key, gates()))))
    }

    /// The buckets that a request pays from, the widest first.
    fn purses(&self, endpoint: Endpoint) -> Vec<Arc<Purse>> {
        let state = lock(&self.state);
        if state.purses.is_empty() {
            return Vec::new();
        }
        [self.key.clone(), self.endpoint_key(endpoint)]
            .iter()
            .filter_map(|key| state.purses.get(key).cloned())
            .collect()
    }

    /// How long requests to `endpoint` pause, and whether it is the whole site that does.
    fn pause(&self, endpoint: Endpoint) -> Option<(Duration, PauseScope)> {
        let state = lock(&self.state);
        if state.pauses.is_empty() {
            return None;
        }
        let now = Instant::now();
        let left = |key: &str| state.pauses.get(key).map(|pause| pause.until - now).filter(|left| !left.is_zero());
        let site = left(&self.key).map(|left| (left, PauseScope::Site));
        let own = left(&self.endpoint_key(endpoint)).map(|left| (left, PauseScope::Endpoint));
        site.into_iter().chain(own).max_by_key(|(left, _)| *left)
    }

    /// Whether Jira said after this that the hour's points are spent: what was paid before counts for nothing.
    fn is_spent_since(&self, paid_at: Instant) -> bool {
        lock(&self.state).spent_at.is_some_and(|spent_at| spent_at > paid_at)
    }

    /// When a request that no bucket holds back may go out after a pause.
    fn returns_at(&self, endpoint: Endpoint, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.state);
        if state.pauses.is_empty() {
            return None;
        }
        let (site, own) = (&self.key, &self.endpoint_key(endpoint));
        [site, own].into_iter().filter_map(|key| state.pauses.get_mut(key)?.turn(now)).max()
    }

    async fn limits(&self) -> &Limits {
        let limits = self
            .limits
            .get_or_init(|| async {
                let own = self.read_limits().await;
                let places = Concurrency::new(u32::try_from(own.max_concurrency).unwrap_or(1));
                Limits { places, own: Mutex::new((own, Instant::now())) }
            })
            .await;
        let old = lock(&limits.own).1.elapsed() > LIMITS_KEPT;
        if old {
            lock(&limits.own).1 = Instant::now();
            let own = self.read_limits().await;
            limits.places.allow(u32::try_from(own.max_concurrency).unwrap_or(1));
            lock(&limits.own).0 = own;
        }
        limits
    }

    async fn read_limits(&self) -> rate::SiteLimits {
        let known = || self.limits.get().map(|limits| lock(&limits.own).0.clone());
        let default = || rate::SiteLimits { name: String::new(), max_concurrency: 8, points_per_hour: None };
        match within(ANSWER, rate::site_limits(&self.shared.pool(), self.site_id)).await {
            Ok(Some(limits)) => limits,
            Ok(None) | Err(_) => known().unwrap_or_else(default),
        }
    }

    /// Looks at what others have met: before the first request, for which everyone here waits, and from time to time.
    async fn look(&self) {
        let first = || async {
            if tokio::time::timeout(FIRST_LOOK, self.shared.look_now()).await.is_err() {
                tracing::debug!(site = self.key, "the database is slow: the first requests do not wait for its limits");
            }
        };
        if self.acquainted.initialized() {
            self.shared.look().await;
        } else {
            self.acquainted.get_or_init(first).await;
        }
    }

    async fn wait(&self, endpoint: Endpoint) -> Result<InFlight, Failure> {
        self.look().await;
        let limits = self.limits().await;
        let points_per_hour = lock(&limits.own).0.points_per_hour;
        let began = Instant::now();
        let (mut paid_points, mut paid_at) = (0.0, began);
        loop {
            if let Some((pause, scope)) = self.pause(endpoint) {
                // Points that were paid and not used are given back, unless the plan was emptied meanwhile.
                let paid = std::mem::take(&mut paid_points);
                if !self.is_spent_since(paid_at) {
                    lock(&self.state).owed -= paid;
                }
                self.sit_out(endpoint, pause, scope).await?;
                continue;
            }
            if let Some(points) = points_per_hour.filter(|_| paid_points == 0.0) {
                let asked = Instant::now();
                paid_at = asked;
                paid_points = self.pay(endpoint, f64::from(points)).await?;
                metrics::rate_gate_waited("points", asked.elapsed());
            }
            let asked = Instant::now();
            let purses = self.purses(endpoint);
            let mut at = asked;
            if purses.is_empty()
                && let Some(turn) = self.returns_at(endpoint, asked)
            {
                at = turn;
                metrics::rate_gate_waited("pause", turn - asked);
            }
            let workers = lock(&self.state).workers;
            for purse in &purses {
                match purse.turn(&self.shared.pool(), &self.shared.clock, workers).await {
                    Ok(Turn::At(turn)) => at = at.max(turn),
                    Ok(Turn::Paused(pause)) => self.begin_pause(&purse.key, pause),
                    Ok(Turn::Free) => drop(lock(&self.state).purses.remove(&purse.key)),
                    Err(error) => tracing::debug!(%error, "no permit can be taken: the request is sent without one"),
                }
            }
            if began.elapsed() > LONGEST_QUEUE {
                let problem = format!("too many requests wait for a permit of {}", endpoint.resource());
                let later = Failure::new(FailureCode::RateLimit, problem).after(Some(PATIENCE));
                return Err(later.scoped(PauseScope::Endpoint));
            }
            tokio::time::sleep_until(at).await;
            if !purses.is_empty() {
                metrics::rate_gate_waited("bucket", asked.elapsed());
            }
            if self.pause(endpoint).is_some() {
                continue;
            }
            let waits = Instant::now();
            let mut place = limits.places.enter().await;
            metrics::rate_gate_waited("concurrency", waits.elapsed());
            // Who waited for a place may have missed a pause that began meanwhile.
            if paid_points > 0.0 && self.is_spent_since(paid_at) {
                paid_points = 0.0;
                continue;
            }
            if self.pause(endpoint).is_none() {
                lock(&self.state).count();
                place.paid_points = paid_points;
                return Ok(place);
            }
        }
    }

    /// Waits for the end of a short pause; a long one is the engine's, which keeps it without a place.
    async fn sit_out(&self, endpoint: Endpoint, pause: Duration, scope: PauseScope) -> Result<(), Failure> {
        if pause > PATIENCE {
            let problem = format!("Jira asked for a pause of {}", endpoint.resource());
            return Err(Failure::new(FailureCode::RateLimit, problem).after(Some(pause)).scoped(scope));
        }
        tokio::time::sleep(pause).await;
        metrics::rate_gate_waited("pause", pause);
        Ok(())
    }

    fn begin_pause(&self, key: &str, pause: Duration) {
        let now = Instant::now();
        lock(&self.state).pause(key, now + pause, pause, now);
    }

    fn quota_key(&self) -> String {
        format!("{}/points", self.key)
    }

    /// Pays for a request from the hour's plan; answers how many points.
    async fn pay(&self, endpoint: Endpoint, points_per_hour: f64) -> Result<f64, Failure> {
        let began = Instant::now();
        loop {
            let (cost, owed) = {
                let mut state = lock(&self.state);
                (state.cost(endpoint), std::mem::take(&mut state.owed))
            };
            let key = self.quota_key();
            let pool = self.shared.pool();
            let spend = quota::spend(&pool, &key, points_per_hour, cost, owed, POINTS_HORIZON);
            let spent = within(ANSWER, spend).await;
            let Ok(points) = spent else {
                lock(&self.state).owed += owed;
                return Ok(0.0);
            };
            if points.given > 0.0 {
                tokio::time::sleep(points.ready_in).await;
                return Ok(points.given);
            }
            if points.ready_in > PATIENCE || began.elapsed() > LONGEST_QUEUE {
                let problem = "the points that are available in this hour so far are spent";
                // The plan holds back what costs so much; what costs less may go on.
                let later = Failure::new(FailureCode::Quota, problem).after(Some(points.ready_in));
                return Err(later.scoped(PauseScope::Endpoint));
            }
            tokio::time::sleep(points.ready_in.mul_f64(1.0 + self.shared.clock.jitter() / 2.0)).await;
        }
    }
}

impl Pacer for SitePacer {
    fn admit(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<InFlight, Failure>> {
        Box::pin(self.wait(endpoint))
    }

    fn settle<'a>(&'a self, answered: Answered<'a>) -> BoxFuture<'a, ()> {
        Box::pin(self.note(answered))
    }

    fn counts_objects(&self) -> bool {
        self.limits.get().is_some_and(|limits| lock(&limits.own).0.points_per_hour.is_some())
    }
}
