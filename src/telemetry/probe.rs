//! Asks the channels, now and then, whether they would take a message: a mail server that is down is to be known before it is
//! needed.
//!
//! What must hold: a channel is asked by one process at a time, outside of any transaction; what it answers changes nothing
//! but what operators see (`alert_channel_up`, `syncline alert channel list`).

use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::Channels;
use crate::alert::channel::{Reason, ReasonCode};
use crate::clock::Clock;
use crate::domain::failure::sanitise;
use crate::observe::events;
use crate::observe::health::Heartbeat;
use crate::store::alert::channel;
use crate::store::patience::ANSWER;
use crate::store::{Connections, Result, within};

/// How often a channel is asked.
const EVERY: TimeDelta = TimeDelta::minutes(10);
/// How often this process looks whether one is to be asked.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until `stop`.
pub async fn probe(
    connections: Connections,
    clock: Clock,
    channels: Channels,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    loop {
        let pool = connections.now();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            asked = probe_due(&pool, &clock, &channels, Some(&heartbeat)) => if let Err(error) = asked {
                tracing::warn!(event = events::KEEPER_FAILED, error = %sanitise(&error.to_string()), "channels could \
                    not be checked");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = heartbeat.rest(tokio::time::sleep(LOOK_EVERY)) => {}
        }
    }
}

/// Asks the channels whose turn it is; answers how many cannot be used.
///
/// # Errors
/// When the database refuses.
pub async fn probe_due(
    pool: &PgPool,
    clock: &Clock,
    channels: &Channels,
    heartbeat: Option<&Heartbeat>,
) -> Result<usize> {
    let now = clock.now();
    let mut down = 0;
    for (name, stored) in within(ANSWER, channel::claim_probes(pool, now, EVERY)).await? {
        heartbeat.inspect(|heartbeat| heartbeat.beat());
        let answer = match channels.open(&name, Some(&stored)) {
            Ok(channel) => tokio::time::timeout(PATIENCE, channel.probe()).await.unwrap_or_else(|_| {
                Err(Reason::new(ReasonCode::Timeout, format!("no answer within {} s", PATIENCE.as_secs())))
            }),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = &answer {
            down += 1;
            tracing::warn!(event = events::CHANNEL_UNREACHABLE, channel = name, code = %reason.code, advice = reason.code.advice(), "{}", reason.message);
        }
        let problem = answer.err().map(|reason| reason.to_string());
        within(ANSWER, channel::record_probe(pool, &name, problem.as_deref())).await?;
    }
    Ok(down)
}
