//! Which slot a due schedule serves, and which one comes next: pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::cron::Schedule;
use crate::domain::spread;
use crate::store::due::{Due, Moved};

/// Serves the newest slot that has passed by `now`; older ones that passed unseen are counted as missed. The next slot lies
/// after both `now` and every slot served before, so that a clock that jumps back yields none twice.
///
/// # Errors
/// A text for operators when the stored schedule cannot be followed.
pub fn move_on(due: &Due, now: DateTime<Utc>, trace_context: String) -> Result<Moved, String> {
    let schedule = Schedule::parse(&due.cron, &due.time_zone).map_err(|error| error.to_string())?;
    let missed = schedule.missed_between(due.next_slot_at, now);
    let mut slot_at = due.next_slot_at;
    if missed > 0 {
        // The newest slot that has passed: walk from close to now rather than over all that were missed.
        let interval = TimeDelta::from_std(schedule.interval_at(now)).unwrap_or(TimeDelta::zero());
        let mut from = (now - interval - interval).max(due.next_slot_at);
        while let Some(next) = schedule.next_after(from) {
            if next > now {
                break;
            }
            slot_at = slot_at.max(next);
            from = next;
        }
    }
    let next_slot_at = schedule
        .next_slot(Some(slot_at), now)
        .ok_or_else(|| format!("the schedule \"{}\" has no further slot", due.cron))?;
    let offset = spread::offset(due.project_id, schedule.interval_at(next_slot_at));
    Ok(Moved {
        project_id: due.project_id,
        slot_at,
        missed: i64::from(missed),
        next_slot_at,
        next_run_at: next_slot_at + TimeDelta::from_std(offset).unwrap_or(TimeDelta::zero()),
        trace_context,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn due(cron: &str, zone: &str, slot: &str) -> Due {
        Due {
            project_id: uuid::Uuid::from_u128(7),
            cron: cron.to_owned(),
            time_zone: zone.to_owned(),
            next_slot_at: at(slot),
            next_run_at: at(slot),
        }
    }

    #[test]
    fn a_slot_in_time_is_served_alone() {
        let due = due("*/15 * * * *", "UTC", "2026-03-01T10:00:00Z");
        let moved = move_on(&due, at("2026-03-01T10:00:05Z"), String::new()).unwrap();
        assert_eq!((moved.slot_at, moved.missed), (at("2026-03-01T10:00:00Z"), 0));
        assert_eq!(moved.next_slot_at, at("2026-03-01T10:15:00Z"));
        assert!(moved.next_run_at >= moved.next_slot_at && moved.next_run_at < at("2026-03-01T10:30:00Z"));
    }

    #[test]
    fn slots_that_passed_unseen_become_one_run_and_are_counted() {
        let due = due("*/15 * * * *", "UTC", "2026-03-01T10:00:00Z");
        let moved = move_on(&due, at("2026-03-01T12:07:00Z"), String::new()).unwrap();
        assert_eq!((moved.slot_at, moved.missed), (at("2026-03-01T12:00:00Z"), 8));
        assert_eq!(moved.next_slot_at, at("2026-03-01T12:15:00Z"));
    }

    #[test]
    fn a_clock_that_jumps_back_serves_no_slot_twice() {
        let due = due("*/15 * * * *", "UTC", "2026-03-01T10:00:00Z");
        let moved = move_on(&due, at("2026-03-01T08:00:00Z"), String::new()).unwrap();
        assert_eq!(moved.next_slot_at, at("2026-03-01T10:15:00Z"));
    }

    #[test]
    fn the_night_that_has_two_hours_of_two_runs_once() {
        // Berlin, 25 October 2026: 03:00 becomes 02:00.
        let due = due("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z");
        let moved = move_on(&due, at("2026-10-25T00:31:00Z"), String::new()).unwrap();
        assert_eq!(moved.next_slot_at, at("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn a_schedule_that_cannot_be_read_says_why() {
        let problem =
            move_on(&due("61 * * * *", "UTC", "2026-03-01T10:00:00Z"), at("2026-03-01T10:00:00Z"), String::new());
        assert!(problem.unwrap_err().contains("minute"));
    }
}
