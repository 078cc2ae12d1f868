//! The janitor: removes what is older than it is to be kept, as fast as needed and no faster than claims bear.
//!
//! Every process has one and one of them works at a time. A round goes through all kinds, a small batch of each in turn, until
//! nothing is left that should be gone. Between two batches it rests for longer than the last one took, so that most of the
//! database's time is left to others whatever the server can do; batches grow and shrink with what they take.
//!
//! What must hold: a batch stays short; a round goes on where another process left off; settings count from the next round,
//! which begins when they change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::failure::sanitise;
use crate::observe::health::Heartbeat;
use crate::observe::{events, metrics};
use crate::store::patience::{ANSWER, LONGEST};
use crate::store::upkeep::{self, Kind, Position, Retention, TURN};
use crate::store::{Connections, Result, setting, within};

/// When the first round begins, and how long it is to the next.
const FIRST_AFTER: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(600);
/// What a batch should take. Its size follows.
const TARGET: Duration = Duration::from_millis(6);
const SMALLEST: i64 = 20;
const LARGEST: i64 = 1_000;
/// How much longer it rests than it worked, within bounds.
const REST: u32 = 11;
const SHORTEST_REST: Duration = Duration::from_millis(2);
const LONGEST_REST: Duration = Duration::from_secs(5);
/// How long a batch may go on after a stop was asked for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Removes old rows until `stop`. `changed` is told when settings for all have changed.
pub async fn run(
    connections: Connections,
    clock: Clock,
    changed: Arc<Notify>,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    let holder = clock.new_id();
    let mut wait = FIRST_AFTER;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = heartbeat.rest(changed.notified()) => {}
            () = sleep(wait) => {}
        }
        wait = EVERY;
        match turn(&connections, holder, &heartbeat, &stop).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(event = events::UPKEEP_DONE, removed, "old rows removed"),
            Err(error) => {
                tracing::warn!(event = events::UPKEEP_FAILED, error = %sanitise(&error.to_string()), "retrying in a \
                    minute");
                wait = FIRST_AFTER;
            }
        }
    }
}

/// One round as the settings say, if it is due and nobody else's turn; answers how many rows were removed.
async fn turn(connections: &Connections, holder: Uuid, heartbeat: &Heartbeat, stop: &CancellationToken) -> Result<u64> {
    let settings = within(ANSWER, setting::in_force(&connections.now(), None, None)).await?;
    let retention = Retention::of(&settings);
    if !within(ANSWER, upkeep::is_due(&connections.now())).await? {
        return Ok(0);
    }
    let removed = go_through(connections, &retention, holder, Some(heartbeat), stop).await;
    within(ANSWER, upkeep::give_turn_back(&connections.now(), holder)).await?;
    removed
}

/// A kind that is being gone through.
struct Course {
    kind: Kind,
    from: Position,
    limit: i64,
    unrecorded: i64,
}

/// Goes through every kind until nothing is left that should be gone, `stop`, or another process has its turn; answers how
/// many rows were removed.
///
/// # Errors
/// When the database refuses a batch; what was removed before is gone.
pub async fn round(
    connections: &Connections,
    retention: &Retention,
    holder: Uuid,
    stop: &CancellationToken,
) -> Result<u64> {
    go_through(connections, retention, holder, None, stop).await
}

async fn go_through(
    connections: &Connections,
    retention: &Retention,
    holder: Uuid,
    heartbeat: Option<&Heartbeat>,
    stop: &CancellationToken,
) -> Result<u64> {
    let beat = || {
        if let Some(heartbeat) = heartbeat {
            heartbeat.beat();
        }
    };
    let mut courses: VecDeque<Course> =
        Kind::ALL.map(|kind| Course { kind, from: Position::default(), limit: SMALLEST * 5, unrecorded: 0 }).into();
    let (mut total, mut renewed) = (0, None::<Instant>);
    while let Some(mut course) = courses.pop_front() {
        let pool = connections.now();
        beat();
        if renewed.is_none_or(|at| at.elapsed() > TURN / 3) {
            if stop.is_cancelled() || !within(LONGEST, upkeep::take_turn(&pool, holder)).await? {
                break;
            }
            renewed = Some(Instant::now());
            beat();
        }
        let began = Instant::now();
        let batch = upkeep::batch(&pool, course.kind, retention, course.from, course.limit);
        // Most end at once. One that does not is left to the server, or its connection is dead.
        let done = tokio::select! {
            biased;
            done = within(LONGEST, batch) => done?,
            () = async { stop.cancelled().await; sleep(FAREWELL).await } => break,
        };
        beat();
        let took = began.elapsed();
        if !done.is_mine {
            break;
        }
        course.from = done.next;
        course.unrecorded += done.removed;
        total += u64::try_from(done.removed).unwrap_or(0);
        metrics::upkeep_removed(course.kind.as_str(), u64::try_from(done.removed).unwrap_or(0));
        // Fewer than asked for: there are no more.
        let behind_since = if done.is_full {
            let age = chrono::TimeDelta::from_std(course.kind.kept(retention)).unwrap_or_default();
            done.reached.map(|at| at + age)
        } else {
            None
        };
        let recorded = upkeep::record(&pool, course.kind, std::mem::take(&mut course.unrecorded), behind_since);
        within(LONGEST, recorded).await?;
        if done.is_full {
            course.limit = next_limit(course.limit, took);
            courses.push_back(course);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep((took * REST).clamp(SHORTEST_REST, LONGEST_REST)) => {}
        }
    }
    Ok(total)
}

/// How many rows the next batch may look at, after one that took so long.
fn next_limit(limit: i64, took: Duration) -> i64 {
    let next = match took {
        took if took > TARGET * 2 => limit / 2,
        took if took < TARGET / 2 => limit * 2,
        _ => limit,
    };
    next.clamp(SMALLEST, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_what_they_take_within_bounds() {
        let ms = Duration::from_millis;
        assert_eq!([ms(1), ms(6), ms(13)].map(|took| next_limit(200, took)), [400, 200, 100]);
        assert_eq!((next_limit(LARGEST, ms(1)), next_limit(SMALLEST, ms(500))), (LARGEST, SMALLEST));
    }
}
