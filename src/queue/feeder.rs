//! Claims ready steps of one queue for the places that are free, and sleeps when there is nothing to claim.
//!
//! When no place is free, steps of sites that hold less than their share are claimed all the same, for places that are kept
//! for them ([`feed_others`]): a site that does not answer would hold up all others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::lanes::Lanes;
use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::{Claimed, Engine};
use crate::observe::health::Heartbeat;
use crate::observe::{events, metrics, trace};
use crate::store::patience::Patience;
use crate::store::step::{self, Look, Wish};

/// The most steps that one claim takes: enough to make the statement cheap, few enough to leave some for others.
const MAX_BATCH: usize = 16;
/// One claim of so many prefers a less urgent level.
const TURN_EVERY: u32 = 4;
/// How often a claim is made again at once that others forestalled.
const MAX_FORESTALLED: u32 = 3;
/// Between two looks for steps of other sites while all places are taken: after one that found none, and after one that did.
const OTHERS_EVERY: Duration = Duration::from_millis(200);
const MORE_OTHERS_AFTER: Duration = Duration::from_millis(20);

/// Feeds a queue until the engine drains.
pub(super) async fn feed(engine: Engine, queue: Queue, heartbeat: Heartbeat) {
    let slots = engine.slots();
    let mut feeder = Feeder::new(&engine, queue);
    let mut forestalled = 0;
    loop {
        let first = tokio::select! {
            biased;
            () = engine.draining().cancelled() => return,
            permit = heartbeat.rest(slots.take(queue)) => permit,
        };
        let mut permits: Vec<_> = first.into_iter().collect();
        while permits.len() < MAX_BATCH
            && let Some(permit) = slots.try_take(queue)
        {
            permits.push(permit);
        }
        let limit = permits.len();
        let wait = match feeder.claim(permits, None).await {
            // There may be more: the next place that gets free is filled at once.
            Ok(found) if found.claimed == limit || found.more_lanes => {
                forestalled = 0;
                continue;
            }
            Ok(found) if found.seen > found.claimed && forestalled < MAX_FORESTALLED => {
                forestalled += 1;
                continue;
            }
            Ok(found) => found.opens_in,
            Err(wait) => {
                tokio::select! {
                    () = engine.draining().cancelled() => return,
                    () = tokio::time::sleep(wait) => continue,
                }
            }
        };
        forestalled = 0;
        tokio::select! {
            biased;
            () = engine.draining().cancelled() => return,
            () = heartbeat.rest(slots.woken(queue)) => {}
            () = pause(wait) => {} // a gate opens
        }
    }
}

/// Feeds steps of sites that hold less than their share while no place is free, until the engine drains.
pub(super) async fn feed_others(engine: Engine, queue: Queue, heartbeat: Heartbeat) {
    let slots = engine.slots();
    let mut feeder = Feeder::new(&engine, queue);
    loop {
        tokio::select! {
            biased;
            () = engine.draining().cancelled() => return,
            () = heartbeat.rest(slots.woken_for_others(queue)) => {}
        }
        let mut rest = OTHERS_EVERY;
        while slots.free(queue) == 0
            && let Some(permit) = slots.try_take_for_others(queue)
        {
            let full = slots.with_their_share(queue, &engine.held(queue));
            if full.is_empty() {
                break;
            }
            heartbeat.beat();
            match feeder.claim(vec![permit], Some(&full)).await {
                Ok(found) if found.claimed > 0 => rest = MORE_OTHERS_AFTER,
                Ok(found) if found.more_lanes => {}
                _ => break,
            }
        }
        tokio::select! {
            () = engine.draining().cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// For ever, where there is nothing to wait for.
async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

struct Feeder {
    engine: Engine,
    queue: Queue,
    lanes: Lanes,
    claims: u32,
    failures: u32,
    patience: Patience,
}

/// What a claim came to.
struct Found {
    /// Steps that were claimed.
    claimed: usize,
    /// Steps that could have been.
    seen: usize,
    /// Whether there are lanes that were not looked at.
    more_lanes: bool,
    /// When a gate opens.
    opens_in: Option<Duration>,
}

impl Feeder {
    fn new(engine: &Engine, queue: Queue) -> Self {
        Self {
            engine: engine.clone(),
            queue,
            lanes: Lanes::default(),
            claims: 0,
            failures: 0,
            patience: Patience::default(),
        }
    }

    /// The level of urgency that comes first: the highest, and each of the others in turn. Claims that found nothing do not
    /// count: after a quiet time the most urgent comes first.
    fn turn(&self) -> i32 {
        let claim = self.claims.wrapping_add(1);
        let is_turn = claim.is_multiple_of(TURN_EVERY);
        if is_turn { i32::try_from(claim / TURN_EVERY % 5_040).unwrap_or(0) + 1 } else { 0 }
    }

    /// Claims for these places and sends what was claimed to them. After an error: how long to wait.
    async fn claim(
        &mut self,
        permits: Vec<OwnedSemaphorePermit>,
        passed_over: Option<&[String]>,
    ) -> Result<Found, Duration> {
        let (epoch, queue, turn) = (self.engine.epoch(), self.queue, self.turn());
        let (asked, asked_at) = (Instant::now(), self.engine.clock().now());
        let (pool, held) = (self.engine.pool(), self.engine.held(queue));
        let look = self.lanes.look(asked);
        let for_all = matches!(look, Look::After(_));
        let limit = i64::try_from(permits.len()).unwrap_or(1);
        let wish = Wish { turn, held: &held, passed_over, ..Wish::simple(queue, epoch.owner, limit).looking(look) };
        // An answer that never comes must not silence the queue; what it claimed all the same is found by a pulse.
        let answer = self.patience.wait(step::claim(&pool, &wish)).await;
        metrics::claim_took(queue.as_str(), asked.elapsed());
        let claims = match answer {
            Ok(claims) => claims,
            Err(error) => {
                self.lanes.forget();
                self.failures += 1;
                tracing::warn!(event = events::CLAIM_FAILED, %queue, error = %sanitise(&error.to_string()));
                return Err(Duration::from_millis(100 * 2u64.pow(self.failures.min(6))));
            }
        };
        self.failures = 0;
        let more_lanes = self.lanes.learn(for_all, &claims, Instant::now());
        let (claimed_at, batch) = (self.engine.clock().now(), claims.steps.len());
        if batch > 0 {
            self.claims = self.claims.wrapping_add(1);
        }
        for (step, permit) in claims.steps.into_iter().zip(permits) {
            let waited = Duration::try_from_secs_f64(step.waited_seconds).unwrap_or_default();
            metrics::step_claimed(self.engine.kind_label(&step.kind), waited);
            trace::claimed(&trace::ClaimSpan {
                traceparent: step.trace_context.as_deref(),
                queue: queue.as_str(),
                step_id: step.id,
                asked_at,
                claimed_at,
                batch,
            });
            let claimed =
                Claimed { step: Arc::new(step), epoch: epoch.clone(), permit, chain: 0, since: Instant::now() };
            self.engine.dispatch(claimed);
        }
        let opens_in = claims.opens_in_seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0)));
        let seen = usize::try_from(claims.seen).unwrap_or(0);
        Ok(Found { claimed: batch, seen, more_lanes, opens_in })
    }
}
