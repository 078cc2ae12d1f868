//! Claims ready steps of one queue for the places that are free, and sleeps when there is nothing to claim.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::{Claimed, Engine};
use crate::observe::health::Heartbeat;
use crate::observe::{events, metrics, trace};
use crate::store::patience::Patience;
use crate::store::step::{self, Claims};

/// The most steps that one claim takes: enough to make the statement cheap, few enough to leave some for others.
const MAX_BATCH: usize = 16;
/// Feeds a queue until the engine drains.
pub(super) async fn feed(engine: Engine, queue: Queue, heartbeat: Heartbeat) {
    let slots = engine.slots();
    let mut failures = 0u32;
    let mut patience = Patience::default();
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
        let epoch = engine.epoch();
        let limit = permits.len();
        let (asked, asked_at) = (Instant::now(), engine.clock().now());
        let pool = engine.pool();
        let claim = step::claim(&pool, queue, epoch.owner, i64::try_from(limit).unwrap_or(1));
        // An answer that never comes must not silence the queue; what it claimed all the same is found by a pulse.
        let claimed = patience.wait(claim).await;
        metrics::claim_took(queue.as_str(), asked.elapsed());
        match claimed {
            Ok(Claims { steps, put_off }) => {
                failures = 0;
                // Steps behind a shut gate take none of the places: others may stand behind them.
                let full = steps.len() + put_off == limit;
                let (claimed_at, batch) = (engine.clock().now(), steps.len());
                for (step, permit) in steps.into_iter().zip(permits) {
                    let waited = Duration::try_from_secs_f64(step.waited_seconds).unwrap_or_default();
                    metrics::step_claimed(engine.kind_label(&step.kind), waited);
                    trace::claimed(&trace::ClaimSpan {
                        traceparent: step.trace_context.as_deref(),
                        queue: queue.as_str(),
                        step_id: step.id,
                        asked_at,
                        claimed_at,
                        batch,
                    });
                    engine.dispatch(Claimed { step: Arc::new(step), epoch: epoch.clone(), permit, chain: 0 });
                }
                if full {
                    continue; // there may be more; the next place that gets free is filled at once
                }
            }
            Err(error) => {
                drop(permits);
                failures += 1;
                tracing::warn!(event = events::CLAIM_FAILED, %queue, error = %sanitise(&error.to_string()));
                let wait = Duration::from_millis(100 * 2u64.pow(failures.min(6)));
                tokio::select! {
                    () = engine.draining().cancelled() => return,
                    () = tokio::time::sleep(wait) => continue,
                }
            }
        }
        tokio::select! {
            biased;
            () = engine.draining().cancelled() => return,
            () = heartbeat.rest(slots.woken(queue)) => {}
        }
    }
}
