//! Schedules that a wrong clock has pushed ahead are put right.
//!
//! A scheduler whose clock was ahead (of an older version, which went by its machine's) has served slots that had not come yet.
//! Their next slots lie behind those, and the slots themselves count as served.
//!
//! What must hold: only what no right clock can have written is touched: a slot that was served before its time, or a next
//! slot that is not the next one although nothing holds the schedule back.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::clock::Clock;
use crate::domain::cron::Schedule;
use crate::domain::spread;
use crate::observe::events;
use crate::store::due::{self, Righted, Standing};
use crate::store::{Result, clock as store_clock};

/// A clock that is put back by less than this (as when another server takes over) is not taken for one that was wrong.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// A hold lasts up to three times its wait (projects of a site start one after the other), or as long as Jira asks: a day.
const LONGEST_NAMED: TimeDelta = TimeDelta::hours(25);

/// Puts right what is wrong; answers how many schedules were.
pub async fn put_right(pool: &PgPool, clock: &Clock) -> Result<usize> {
    store_clock::follow(pool, clock).await?;
    let now = clock.now();
    let righted: Vec<Righted> =
        due::standing(pool).await?.iter().filter_map(|standing| righted(standing, now)).collect();
    for one in &righted {
        tracing::warn!(
            event = events::SCHEDULE_PUT_RIGHT, project_id = %one.project_id, stood_at = %one.stood_at, next_run = %one.next_run_at,
            "a wrong clock had moved the schedule ahead"
        );
    }
    due::put_right(pool, &righted, now + TOLERANCE).await
}

/// How a schedule is to stand, where it stands wrong.
fn righted(standing: &Standing, now: DateTime<Utc>) -> Option<Righted> {
    let late = now + TOLERANCE;
    let stood_at = standing.next_run_at;
    let righted = |next_slot_at, next_run_at| {
        Some(Righted { project_id: standing.project_id, stood_at, next_slot_at, next_run_at })
    };
    if standing.hold {
        let wait = TimeDelta::milliseconds((standing.hold_seconds.clamp(0.0, 1e8) * 1_000.0) as i64);
        let began_ahead = standing.held_since.is_some_and(|since| since > late);
        let too_far = stood_at > now + wait * 3 + LONGEST_NAMED;
        return if began_ahead || too_far { righted(now + wait, now + wait) } else { None };
    }
    // One that cannot be read is paused by whoever serves it.
    let schedule = Schedule::parse(&standing.cron, &standing.time_zone).ok()?;
    let (next_slot_at, next_run_at) = spread::next_start(&schedule, standing.project_id, now)?;
    let served_ahead = standing.last_slot_at.is_some_and(|served| served > late);
    // A slot that was served moments ago by a clock that has been put back since comes once all the same.
    let just_served = standing.last_slot_at.is_some_and(|served| served >= next_slot_at && !served_ahead);
    let too_far = standing.next_slot_at > next_slot_at + TOLERANCE && !just_served;
    if served_ahead || too_far { righted(next_slot_at, next_run_at) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn standing(next: &str, last: Option<&str>) -> Standing {
        Standing {
            project_id: uuid::Uuid::from_u128(7),
            cron: "*/15 * * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            next_slot_at: at(next),
            next_run_at: at(next),
            last_slot_at: last.map(at),
            hold: false,
            hold_seconds: 0.0,
            held_since: None,
        }
    }

    #[test]
    fn a_schedule_that_was_pushed_ahead_starts_with_its_next_slot() {
        let now = at("2026-03-01T10:07:00Z");
        for pushed in [
            standing("2026-03-01T12:15:00Z", Some("2026-03-01T12:00:00Z")),
            standing("2027-04-05T12:15:00Z", Some("2027-04-05T12:00:00Z")),
            // Whoever pushed it did not say so.
            standing("2027-04-05T12:15:00Z", None),
        ] {
            let righted = righted(&pushed, now).unwrap();
            assert_eq!(righted.next_slot_at, at("2026-03-01T10:15:00Z"));
            assert!(righted.next_run_at < at("2026-03-01T10:30:00Z"));
        }
    }

    #[test]
    fn a_schedule_that_stands_right_is_left_alone() {
        let now = at("2026-03-01T10:07:00Z");
        for right in [
            standing("2026-03-01T10:15:00Z", Some("2026-03-01T10:00:00Z")),
            standing("2026-03-01T10:00:00Z", Some("2026-03-01T09:45:00Z")),
            standing("2026-02-01T10:00:00Z", None),
        ] {
            assert!(righted(&right, now).is_none(), "{right:?}");
        }
        // The slot of 10:15 was served on time; then the clock was put back by three seconds.
        let served = standing("2026-03-01T10:30:00Z", Some("2026-03-01T10:15:00Z"));
        assert!(righted(&served, at("2026-03-01T10:14:57Z")).is_none());
    }

    #[test]
    fn a_hold_is_as_long_as_it_was_meant_to_be() {
        let now = at("2026-03-01T10:07:00Z");
        let held = |until: &str, since: &str| Standing {
            hold: true,
            hold_seconds: 3_600.0,
            held_since: Some(at(since)),
            ..standing(until, None)
        };
        assert!(righted(&held("2026-03-01T12:07:00Z", "2026-03-01T10:00:00Z"), now).is_none());
        assert!(righted(&held("2026-03-02T10:00:00Z", "2026-03-01T10:00:00Z"), now).is_none(), "Jira named a time");
        let since_ahead = righted(&held("2026-03-01T13:07:00Z", "2026-03-01T12:07:00Z"), now).unwrap();
        assert_eq!(since_ahead.next_run_at, at("2026-03-01T11:07:00Z"));
        assert!(righted(&held("2027-04-05T13:07:00Z", "2026-03-01T10:00:00Z"), now).is_some());
    }
}
