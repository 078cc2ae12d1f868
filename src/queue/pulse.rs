//! Once a second: renew the lease, rescue, start timers. A process that could not renew in time stops its steps.

use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, PgConnection};
use uuid::Uuid;

use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::Engine;
use crate::observe::health::Heartbeat;
use crate::observe::{events, metrics, trace};
use crate::store::Result;
use crate::store::step::{self, PulseReport};

/// The longest that one pulse is waited for: a third of the silence after which a process counts as wedged.
const LONGEST_PULSE: Duration = Duration::from_secs(10);
/// A pulse that looked for steps of the dead and for ready ones may have been dear: so many times its cost passes before the
/// next look. Feeders look for ready steps by themselves meanwhile, at less cost.
const REST: u32 = 10;
/// The shortest sleep between two pulses, however close the timers are.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

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
    // When the lease began to run; none while nothing can have been claimed under it.
    let mut renewed: Option<Instant> = None;
    let mut next = Duration::ZERO;
    let mut connection = None;
    let mut looked: Option<(Instant, Duration)> = None;
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = tokio::time::sleep(next) => {}
        }
        heartbeat.beat();
        let started = Instant::now();
        let epoch = engine.epoch();
        // A pulse that hangs must outlive neither the lease that it should renew nor the patience of who watches this loop.
        let remaining = renewed.map_or(LONGEST_PULSE, |renewed| lease.saturating_sub(renewed.elapsed()).max(every));
        let patience = remaining.min(LONGEST_PULSE);
        next = every;
        let look = looked.is_none_or(|(at, cost)| at.elapsed() >= cost * REST);
        match tokio::time::timeout(patience, pulse(&engine, &mut connection, (epoch.owner, host.as_str(), lease), look))
            .await
        {
            Ok(Ok(report)) => {
                renewed = Some(started);
                if look {
                    looked = Some((Instant::now(), started.elapsed()));
                } else {
                    Queue::ALL.into_iter().for_each(|queue| engine.slots().wake(queue));
                }
                engine.set_database_lost(false);
                for queue in report.ready {
                    engine.slots().wake(queue);
                }
                if let Some(timer) = report.next_timer {
                    next = timer.clamp(SHORTEST_SLEEP, every);
                }
            }
            Ok(Err(error)) => {
                engine.set_database_lost(true);
                tracing::warn!(event = events::PULSE_FAILED, error = %sanitise(&error.to_string()));
            }
            Err(_) => {
                engine.set_database_lost(true);
                tracing::warn!(event = events::PULSE_FAILED, error = "no answer in time");
            }
        }
        if renewed.is_some_and(|renewed| renewed.elapsed() >= lease) {
            tracing::error!(event = events::LEASE_LOST, owner = %epoch.owner, "the lease could not be renewed: steps in flight stop, others take them over");
            engine.renew_epoch();
            renewed = None;
            next = every.min(Duration::from_millis(100));
        }
    }
}

/// One pulse over a connection of its own: neither steps that hold all of the pool's nor a dead one that was pooled may cost
/// the lease. The connection is kept only when the pulse succeeds.
async fn pulse(
    engine: &Engine,
    kept: &mut Option<PgConnection>,
    (owner, host, lease): (Uuid, &str, Duration),
    look: bool,
) -> Result<PulseReport> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => engine.pool().connect_options().connect().await?,
    };
    let in_flight = engine.in_flight();
    let version = env!("CARGO_PKG_VERSION");
    let report = step::pulse_looking(&mut connection, owner, host, version, lease, &in_flight, look).await?;
    for rescued in &report.rescued {
        let step = engine.kind_label(&rescued.kind);
        metrics::step_rescued(step);
        trace::attempt_lost(&trace::LostAttempt {
            traceparent: rescued.trace_context.as_deref(),
            step,
            step_id: rescued.id,
            run_id: rescued.run_id,
            attempt: rescued.attempt,
            claimed_at: rescued.claimed_at,
        });
        tracing::warn!(
            event = events::STEP_RESCUED, step_id = %rescued.id, kind = rescued.kind,
            run_id = rescued.run_id.map(tracing::field::display), attempt = rescued.attempt,
            trace_id = rescued.trace_context.as_deref().and_then(trace::trace_id),
            "taken back from a process that fell silent"
        );
    }
    if !report.rescued.is_empty()
        && let Err(error) = step::record_rescues(&mut connection, events::STEP_RESCUED, &report.rescued).await
    {
        // The steps are safe; only the count is short.
        tracing::warn!(event = events::OUTCOME_NOT_RECORDED, error = %sanitise(&error.to_string()));
    }
    *kept = Some(connection);
    Ok(report)
}
