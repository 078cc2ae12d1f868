//! Once a second: renew the lease, rescue, start timers. A process that could not renew in time stops its steps.

use std::time::{Duration, Instant};

use crate::domain::failure::sanitise;
use crate::engine::Engine;
use crate::store::step;

/// Pulses until `stopped`. `lease` is how long others wait before they take over.
pub(super) async fn beat(
    engine: Engine,
    host: String,
    every: Duration,
    lease: Duration,
    stopped: impl Future<Output = ()>,
) {
    let mut stopped = std::pin::pin!(stopped);
    let mut renewed = Instant::now();
    let mut next = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = tokio::time::sleep(next) => {}
        }
        let started = Instant::now();
        let epoch = engine.epoch();
        let in_flight = engine.in_flight();
        let pulse = step::pulse(engine.pool(), epoch.owner, &host, env!("CARGO_PKG_VERSION"), lease, &in_flight);
        // A pulse that hangs must not outlive the lease that it should renew.
        let remaining = lease.saturating_sub(renewed.elapsed()).max(every);
        next = every;
        match tokio::time::timeout(remaining, pulse).await {
            Ok(Ok(report)) => {
                renewed = started;
                for kind in &report.rescued {
                    tracing::warn!(event = "step_rescued", kind, "its process died: taken over");
                }
                for queue in report.ready {
                    engine.slots().wake(queue);
                }
                if let Some(timer) = report.next_timer {
                    next = timer.clamp(Duration::from_millis(5), every);
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(event = "pulse_failed", error = %sanitise(&error.to_string()));
            }
            Err(_) => tracing::warn!(event = "pulse_failed", error = "no answer in time"),
        }
        if renewed.elapsed() >= lease {
            tracing::error!(event = "lease_lost", owner = %epoch.owner, "the lease could not be renewed: steps in flight stop, others take them over");
            engine.renew_epoch();
            renewed = Instant::now();
            next = Duration::from_millis(100);
        }
    }
}
