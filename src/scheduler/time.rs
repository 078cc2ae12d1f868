//! Keeps the process' clock as the database's, and says how far the machine's own is off.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::failure::sanitise;
use crate::engine::Engine;
use crate::observe::health::Heartbeat;
use crate::observe::{events, metrics};
use crate::store::patience::ANSWER;
use crate::store::{Connections, clock, within};

/// Between two readings; in between this process' monotonic clock counts on. The first ones follow each other sooner: the worker
/// with which they are kept is written by the first pulse.
const EVERY: Duration = Duration::from_secs(10);
const AT_FIRST: Duration = Duration::from_secs(1);
const FIRST_READINGS: u32 = 3;

/// Follows the database's clock until `stop`.
pub async fn keep_time(
    engine: Engine,
    connections: Connections,
    clock: Clock,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    let _ = stop.run_until_cancelled(follow(&engine, &connections, &clock, &heartbeat)).await;
}

async fn follow(engine: &Engine, connections: &Connections, clock: &Clock, heartbeat: &Heartbeat) {
    let mut told = false;
    for reading in 0_u32.. {
        match within(ANSWER, clock::follow(&connections.now(), clock)).await {
            Ok(Some(ahead)) => {
                told = tell(ahead, told);
                // Kept with the worker for others to see; what cannot be written now is written the next time.
                let pool = connections.now();
                let kept = clock::keep(&pool, engine.epoch().owner, ahead);
                if let Err(error) = within(ANSWER, kept).await {
                    tracing::debug!(error = %sanitise(&error.to_string()), "the clock's deviation was not stored");
                }
            }
            Ok(None) => {}
            // A database that is away is told of elsewhere; time goes on by the last reading.
            Err(error) => tracing::debug!(error = %sanitise(&error.to_string()), "the database's clock could not be \
                read"),
        }
        heartbeat.rest(tokio::time::sleep(if reading < FIRST_READINGS { AT_FIRST } else { EVERY })).await;
    }
}

/// Says once that the machine's clock is off, and once that it is right again; answers whether it is off.
fn tell(ahead: TimeDelta, told: bool) -> bool {
    let seconds = ahead.as_seconds_f64();
    metrics::clock_ahead(seconds);
    let off = ahead.abs() > clock::SKEW_LIMIT;
    match (off, told) {
        (true, false) => tracing::warn!(
            event = events::CLOCK_OFF,
            ahead_seconds = seconds,
            "this machine's clock differs from the database's: Syncline uses the database's; correct this one (NTP)"
        ),
        (false, true) => tracing::info!(event = events::CLOCK_RIGHT, ahead_seconds = seconds),
        _ => {}
    }
    off
}
