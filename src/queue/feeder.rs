//! Claims ready steps of one queue for the places that are free, and sleeps when there is nothing to claim.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::{Claimed, Engine};
use crate::observe::metrics;
use crate::store::step;

/// The most steps that one claim takes: enough to make the statement cheap, few enough to leave some for others.
const MAX_BATCH: usize = 16;

/// Feeds a queue until the engine drains.
pub(super) async fn feed(engine: Engine, queue: Queue) {
    let slots = engine.slots();
    let mut failures = 0u32;
    loop {
        let first = tokio::select! {
            biased;
            () = engine.draining().cancelled() => return,
            permit = slots.take(queue) => permit,
        };
        let mut permits: Vec<_> = first.into_iter().collect();
        while permits.len() < MAX_BATCH
            && let Some(permit) = slots.try_take(queue)
        {
            permits.push(permit);
        }
        let epoch = engine.epoch();
        let limit = permits.len();
        let claimed = step::claim(engine.pool(), queue, epoch.owner, i64::try_from(limit).unwrap_or(1)).await;
        match claimed {
            Ok(steps) => {
                failures = 0;
                let full = steps.len() == limit;
                for (step, permit) in steps.into_iter().zip(permits) {
                    let waited = Duration::try_from_secs_f64(step.waited_seconds).unwrap_or_default();
                    metrics::step_claimed(engine.kind_label(&step.kind), waited);
                    engine.dispatch(Claimed { step: Arc::new(step), epoch: epoch.clone(), permit, chain: 0 });
                }
                if full {
                    continue; // there may be more; the next place that gets free is filled at once
                }
            }
            Err(error) => {
                drop(permits);
                failures += 1;
                tracing::warn!(event = "claim_failed", %queue, error = %sanitise(&error.to_string()));
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
            () = slots.woken(queue) => {}
        }
    }
}
