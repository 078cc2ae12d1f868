//! Keeps the process' clock as the database's, and says how far the machine's own is off.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::failure::sanitise;
use crate::engine::Engine;
use crate::observe::{events, metrics};
use crate::store::{Connections, clock};

/// Between two readings; in between this process' monotonic clock counts on. The first ones follow each other sooner: the worker
/// with which they are kept is written by the first pulse.
const EVERY: Duration = Duration::from_secs(10);
const AT_FIRST: Duration = Duration::from_secs(1);
const FIRST_READINGS: u32 = 3;

/// Follows the database's clock until `stop`.
pub async fn keep_time(engine: Engine, connections: Connections, clock: Clock, stop: CancellationToken) {
    let mut told = false;
    for reading in 0_u32.. {
        match clock::follow(&connections.now(), &clock).await {
            Ok(Some(ahead)) => {
                told = tell(ahead, told);
                // Kept with the worker for others to see; what cannot be written now is written the next time.
                if let Err(error) = clock::keep(&connections.now(), engine.epoch().owner, ahead).await {
                    tracing::debug!(error = %sanitise(&error.to_string()), "the clock's error was not kept");
                }
            }
            Ok(None) => {}
            // A database that is away is told of elsewhere; time goes on by the last reading.
            Err(error) => tracing::debug!(error = %sanitise(&error.to_string()), "the database's clock was not read"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if reading < FIRST_READINGS { AT_FIRST } else { EVERY }) => {}
        }
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
            "this machine's clock and the database's are far apart: the database's decides; set this one (NTP)"
        ),
        (false, true) => tracing::info!(event = events::CLOCK_RIGHT, ahead_seconds = seconds),
        _ => {}
    }
    off
}
