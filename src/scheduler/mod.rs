//! Schedules become runs.
//!
//! Any number of processes may run this; there is no leader. A due schedule is locked by whoever looks first (SKIP LOCKED)
//! and moved on in the same transaction that requests its run; a unique key on project and slot stands behind it. Slots
//! that passed while nobody looked become one run, and are counted as missed.
//!
//! What must hold: each slot is enqueued at most once, by any number of schedulers, whatever the clock does; slots are judged
//! by the database's clock, which is read before each look; the loop sleeps until something is due or a schedule changes, and
//! waits for the database for a limited time only.

pub mod hints;
pub mod janitor;
mod misfire;
mod outlook;
mod put_right;
mod time;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use misfire::move_on;
pub use outlook::say_outlook;
pub use put_right::put_right;
pub use time::keep_time;

use crate::clock::Clock;
use crate::domain::failure::sanitise;
use crate::observe::health::Heartbeat;
use crate::observe::{events, metrics, trace};
use crate::store::patience::{LONGEST, Patience};
use crate::store::session::BEGIN;
use crate::store::{Connections, Result, clock as store_clock, due, within};

/// Schedules that are handled in one transaction.
const BATCH: i64 = 500;
/// How long one transaction is waited for at first: a silent connection is found in time, and a slow database is borne with.
const BATCH_PATIENCE: Duration = Duration::from_secs(8);
/// How long the look at all schedules is waited for at first.
const STANDING_PATIENCE: Duration = Duration::from_secs(20);
/// The longest sleep: the wall clock may be set while we sleep, and a notification may be lost.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How often schedules that stand too far ahead are looked for.
const CHECK_STANDING_EVERY: TimeDelta = TimeDelta::minutes(10);

/// Turns schedules into runs until `stop`. `changed` is told when a schedule was added or changed.
pub async fn run(
    connections: Connections,
    clock: Clock,
    changed: Arc<Notify>,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    // What is under way when the stop comes is undone by its transaction, and made by another process.
    let _ = stop.run_until_cancelled(follow(&connections, &clock, &changed, &heartbeat)).await;
}

async fn follow(connections: &Connections, clock: &Clock, changed: &Notify, heartbeat: &Heartbeat) {
    let mut next_look = clock.now() + CHECK_STANDING_EVERY;
    let (mut patience, mut standing) = (Patience::of(BATCH_PATIENCE), Patience::of(STANDING_PATIENCE));
    check_standing(&connections.now(), clock, &mut standing).await;
    heartbeat.beat();
    loop {
        let sleep = match turn(&connections.now(), clock, &mut patience, Some(heartbeat)).await {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::warn!(event = events::SCHEDULER_FAILED, error = %sanitise(&error.to_string()), "retrying in \
                    2 s");
                Duration::from_secs(2)
            }
        };
        if clock.now() >= next_look {
            next_look = clock.now() + CHECK_STANDING_EVERY;
            heartbeat.beat();
            check_standing(&connections.now(), clock, &mut standing).await;
            heartbeat.beat();
        }
        tokio::select! {
            biased;
            () = heartbeat.rest(changed.notified()) => {}
            () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
        }
    }
}

/// Enqueues everything that is due now; answers how long there is nothing to do.
pub async fn tick(pool: &PgPool, clock: &Clock) -> Result<Duration> {
    turn(pool, clock, &mut Patience::of(LONGEST), None).await
}

async fn turn(
    pool: &PgPool,
    clock: &Clock,
    patience: &mut Patience,
    heartbeat: Option<&Heartbeat>,
) -> Result<Duration> {
    // Not by `patience`, which would not grow: this is answered even where a batch is slow.
    within(BATCH_PATIENCE, store_clock::follow(pool, clock)).await?;
    while patience.wait(batch(pool, clock)).await? {
        heartbeat.inspect(|heartbeat| heartbeat.beat());
    }
    heartbeat.inspect(|heartbeat| heartbeat.beat());
    let next = patience.wait(due::next_due(pool)).await?;
    let wait = next.map(|next| (next - clock.now()).to_std().unwrap_or_default());
    // Due, but held by another scheduler just now: it will have moved it on in a moment.
    Ok(wait.map_or(LONGEST_SLEEP, |wait| wait.max(Duration::from_millis(50))))
}

/// Enqueues what is due, as much as one transaction handles; answers whether there may be more.
async fn batch(pool: &PgPool, clock: &Clock) -> Result<bool> {
    let now = clock.now();
    let mut tx = pool.begin_with(BEGIN).await?;
    let found = due::due(&mut tx, now, BATCH).await?;
    let mut moved = Vec::with_capacity(found.len());
    for schedule in &found {
        match move_on(schedule, now, trace::new_traceparent(clock)) {
            Ok(one) => moved.push(one),
            Err(problem) => {
                tracing::error!(event = events::SCHEDULE_PAUSED, project_id = %schedule.project_id, problem);
                due::pause_broken(&mut tx, schedule.project_id, &problem).await?;
            }
        }
    }
    if !moved.is_empty() {
        due::enqueue(&mut tx, &moved, now).await?;
    }
    tx.commit().await?;
    for schedule in &found {
        metrics::scheduler_lag((now - schedule.next_run_at).to_std().unwrap_or_default());
    }
    for one in moved.iter().filter(|one| one.missed > 0) {
        let missed = u32::try_from(one.missed).unwrap_or(u32::MAX);
        metrics::schedule_missed(missed);
        tracing::warn!(event = events::SCHEDULE_MISSED, project_id = %one.project_id, missed, "one run makes up for \
            the missed slots");
    }
    Ok(i64::try_from(found.len()).unwrap_or(0) >= BATCH)
}

async fn check_standing(pool: &PgPool, clock: &Clock, patience: &mut Patience) {
    if let Err(error) = patience.wait(put_right(pool, clock)).await {
        tracing::warn!(event = events::SCHEDULER_FAILED, error = %sanitise(&error.to_string()), "checking again in \
            10 minutes");
    }
}
