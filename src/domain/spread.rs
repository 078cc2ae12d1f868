//! Spreading starts: schedules of many projects share the same slots, and must not all start in the same second.
//!
//! What must hold: a project's offset is the same in every process and after every restart, it is shorter than the
//! interval (no slot is pushed past the next one), and offsets of different projects are evenly distributed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::cron::Schedule;

/// The widest spread. "Every night at two" may mean a quarter past two, not noon; and ten thousand projects over this time
/// are eleven starts a second.
pub const SPREAD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long after its slot a project starts, given the distance to the next slot. Whole milliseconds.
pub fn offset(project_id: Uuid, interval: Duration) -> Duration {
    within(project_id, "", interval.min(SPREAD_LIMIT))
}

/// The project's place in a stretch of time; places of different purposes have nothing to do with each other.
pub fn within(project_id: Uuid, purpose: &str, width: Duration) -> Duration {
    let width = u64::try_from(width.as_millis()).unwrap_or(u64::MAX);
    // Ids begin with the time at which they were made, so they are hashed: projects added together must not start together.
    let digest = blake3::Hasher::new().update(project_id.as_bytes()).update(purpose.as_bytes()).finalize();
    let mut head = [0; 8];
    head.copy_from_slice(&digest.as_bytes()[..8]);
    let scaled = (u128::from(u64::from_be_bytes(head)) * u128::from(width)) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(0))
}

/// When a project starts next: the first slot after `now`, and its own place in that slot's interval. `None` when the
/// schedule has no further slot.
pub fn next_start(schedule: &Schedule, project_id: Uuid, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let slot_at = schedule.next_after(now)?;
    let offset = offset(project_id, schedule.interval_at(slot_at));
    Some((slot_at, slot_at + TimeDelta::from_std(offset).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_thousand_projects_do_not_start_in_one_second() {
        let mut starts = [0u32; 900];
        for n in 0..10_000u64 {
            // Ids as the clock makes them: consecutive milliseconds, different tails.
            let id = uuid::Builder::from_unix_timestamp_millis(1_760_000_000_000 + n, &[7; 10]).into_uuid();
            starts[usize::try_from(offset(id, Duration::from_secs(900)).as_secs()).unwrap()] += 1;
        }
        assert!(starts.iter().all(|&n| n <= 40), "{:?}", starts.iter().max());
        assert!(starts.iter().filter(|&&n| n == 0).count() < 10, "the spread leaves holes");
    }

    #[test]
    fn a_project_keeps_its_offset() {
        let id = Uuid::from_u128(0x0199_7f00_0000_7000_8000_0000_0000_0001);
        assert_eq!(offset(id, Duration::from_secs(900)), offset(id, Duration::from_secs(900)));
        assert_eq!(offset(id, Duration::ZERO), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_slot_is_pushed_past_the_next(id: u128, millis in 1u64..=86_400_000) {
            let interval = Duration::from_millis(millis);
            let offset = offset(Uuid::from_u128(id), interval);
            prop_assert!(offset < interval && offset < SPREAD_LIMIT);
        }
    }
}
