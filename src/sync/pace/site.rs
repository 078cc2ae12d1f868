//! The pacer of one site in this process.

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
use crate::domain::rate::{self as rule, Level, Told};
use crate::domain::setting;
use crate::jira::Endpoint;
use crate::jira::concurrency::{Concurrency, InFlight, Sign};
use crate::jira::pacer::{Answered, Pacer};
use crate::observe::{events, metrics};
use crate::store::quota;
use crate::store::rate::{self, Standing};

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
/// A rate that was refused is not brought below this, per second, unless Jira tells a rate.
const SLOWEST: f64 = 2.0;
/// The first guess at a limit is no lower than this, unless Jira tells one: a run that has just begun was not yet asking for
/// much. A tenth of what Jira Cloud allows in bursts; where it is too much, the next refusal says so.
const SLOWEST_GUESS: f64 = 10.0;

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
        match rate::site_limits(&self.shared.pool(), self.site_id).await {
            Ok(Some(limits)) => limits,
            Ok(None) | Err(_) => known().unwrap_or_else(default),
        }
    }

    /// Looks at what others have met: before the first request, for which everyone here waits, and from time to time.
    async fn look(&self) {
        let first = || async {
            if tokio::time::timeout(FIRST_LOOK, self.shared.look_now()).await.is_err() {
                tracing::debug!(site = self.key, "the database is slow: the first requests go on without its limits");
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
                    Err(error) => tracing::debug!(%error, "no turn can be taken: the request goes on without"),
                }
            }
            if began.elapsed() > LONGEST_QUEUE {
                let problem = format!("too many requests wait for their turn at {}", endpoint.resource());
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
            let problem = format!("a pause that Jira asked for holds back {}", endpoint.resource());
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
            let spent = quota::spend(&self.shared.pool(), &key, points_per_hour, cost, owed, POINTS_HORIZON).await;
            let Ok(points) = spent else {
                lock(&self.state).owed += owed;
                return Ok(0.0);
            };
            if points.given > 0.0 {
                tokio::time::sleep(points.ready_in).await;
                return Ok(points.given);
            }
            if points.ready_in > PATIENCE || began.elapsed() > LONGEST_QUEUE {
                let problem = "the points of this hour are spent as far as they may be by now";
                // The plan holds back what costs so much; what costs less may go on.
                let later = Failure::new(FailureCode::Quota, problem).after(Some(points.ready_in));
                return Err(later.scoped(PauseScope::Endpoint));
            }
            tokio::time::sleep(points.ready_in.mul_f64(1.0 + self.shared.clock.jitter() / 2.0)).await;
        }
    }

    async fn note(&self, answered: Answered<'_>) {
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
            match rate::open_bucket(&self.shared.pool(), &key, rate, rule::burst(rate)).await {
                Ok(is_first) => self.learnt(&key, rate, is_first, "little is left"),
                Err(error) => tracing::debug!(%error, "a limit cannot be shared"),
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
                let known = rate::refused_rate(pool, &key).await.ok().flatten();
                let (refused, slowest) = known.map_or_else(
                    || {
                        (
                            self.guess(&answered.told),
                            if answered.told.limit.is_some() { SLOWEST } else { SLOWEST_GUESS },
                        )
                    },
                    |(rate, since)| (rule::after_refusal(rate, &answered.told, since), SLOWEST),
                );
                let told = answered.told.refill_per_second.is_some();
                let rate = if told { refused } else { refused.max(slowest) };
                let is_limit = !purse.as_ref().is_some_and(|purse| purse.is_roomy());
                let refusal = rate::Refusal { key: &key, pause, reason, rate, burst: rule::burst(rate), is_limit };
                rate::refuse(pool, refusal).await.map(|is_first| self.learnt(&key, rate, is_first, "refused"))
            }
            FailureCode::Quota => match quota::spend_all(pool, &self.quota_key()).await {
                Ok(()) => rate::pause(pool, &key, pause, reason).await,
                failed => failed,
            },
            _ => rate::pause(pool, &key, pause, reason).await,
        };
        if let Err(error) = written {
            tracing::debug!(%error, "a pause cannot be shared");
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
