//! Hints of webhooks become runs that read the issues by id.
//!
//! Any number of processes may run this; there is no leader. Hints that are due are locked by whoever looks first (SKIP LOCKED), and
//! their runs are requested in the same transaction. A project whose run is under way keeps its hints for the next one.
//!
//! What must hold: a look that finds nothing costs one look at an index; a hint is lost by no process that dies.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::failure::sanitise;
use crate::observe::events;
use crate::observe::health::Heartbeat;
use crate::store::patience::Patience;
use crate::store::{Connections, Result, webhook};

/// The longest time between two looks: a hint waits for two seconds, so that it is seen before it is due.
const EVERY: Duration = Duration::from_secs(2);
/// The shortest.
const AT_LEAST: Duration = Duration::from_millis(50);

/// Turns hints into runs until `stop`.
pub async fn run(connections: Connections, heartbeat: Heartbeat, stop: CancellationToken) {
    // What is under way when the stop comes is undone by its transaction, and made by another process.
    let _ = stop.run_until_cancelled(follow(&connections, &heartbeat)).await;
}

async fn follow(connections: &Connections, heartbeat: &Heartbeat) {
    let mut patience = Patience::default();
    loop {
        let sleep = match patience.wait(look(connections)).await {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::warn!(event = events::HINTS_FAILED, error = %sanitise(&error.to_string()), "retrying in 2 s");
                EVERY
            }
        };
        heartbeat.rest(tokio::time::sleep(sleep)).await;
    }
}

/// Turns what is due into runs; answers when to look again.
async fn look(connections: &Connections) -> Result<Duration> {
    let pool = connections.now();
    let Some(seconds) = webhook::due_in(&pool).await? else { return Ok(EVERY) };
    if seconds > 0.0 {
        return Ok(Duration::from_secs_f64(seconds.min(EVERY.as_secs_f64())).max(AT_LEAST));
    }
    webhook::request(&pool).await?;
    Ok(AT_LEAST)
}
