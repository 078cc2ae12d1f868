//! Once a second: renew the lease, rescue, start timers. A process that could not renew in time stops its steps.

use std::time::{Duration, Instant};

use crate::domain::failure::sanitise;
use crate::engine::Engine;
use crate::observe::health::Heartbeat;
use crate::observe::metrics;
use crate::store::step;

/// How to pulse.
pub(super) struct Beat {
    /// The name of this machine, for operators.
    pub host: String,
    /// The time between two pulses.
    pub every: Duration,
    /// How long others wait before they take over.
    pub lease: Duration,
    /// Says that this loop turns.
    pub heartbeat: Heartbeat,
}

/// Pulses until `stopped`.
pub(super) async fn beat(engine: Engine, options: Beat, stopped: impl Future<Output = ()>) {
    let Beat { host, every, lease, heartbeat } = options;
    let mut stopped = std::pin::pin!(stopped);
    let mut renewed = Instant::now();
    let mut next = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = tokio::time::sleep(next) => {}
        }
        heartbeat.beat();
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
                engine.set_database_lost(false);
                for kind in &report.rescued {
                    metrics::step_rescued(engine.kind_label(kind));
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
                engine.set_database_lost(true);
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
