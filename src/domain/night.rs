//! When a project is reconciled: once a night, at a time of its own.
//!
//! A reconciliation asks for the ids of a whole project, and thousands of projects have the same night. So each has its own
//! time between one and four o'clock on the clock of its schedule, and the first scheduled run after it takes the
//! reconciliation along. A project that runs once a day is reconciled by that run, and a night in which no worker ran is made
//! up for in the morning.
//!
//! What must hold: a project's time is the same in every process; what its guard stopped is tried again the next night and
//! not with the next run, so that the project stays fresh; what failed for another reason is tried again the same night.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::spread;

/// The first of the nightly times.
const BEGINS: NaiveTime = match NaiveTime::from_hms_opt(1, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};
/// The times of all projects lie within so long.
const WITHIN: Duration = Duration::from_secs(3 * 3600);
/// A reconciliation that failed, and not by its guard, is tried again after so long.
const AGAIN_AFTER: TimeDelta = TimeDelta::hours(1);

/// The last of the project's nightly times, at or before `now`.
pub fn last(project_id: Uuid, zone: Tz, now: DateTime<Utc>) -> DateTime<Utc> {
    let after = TimeDelta::from_std(spread::within(project_id, "night", WITHIN)).unwrap_or_default();
    let today = now.with_timezone(&zone).date_naive();
    let at = |days: u64| {
        let local = today.checked_sub_days(Days::new(days)).unwrap_or(today).and_time(BEGINS) + after;
        let exists = |local| zone.from_local_datetime(&local).earliest();
        // A time that the clocks of this night leave out is an hour later.
        let found = exists(local).or_else(|| exists(local + TimeDelta::hours(1)));
        found.map_or_else(|| local.and_utc(), |found| found.to_utc())
    };
    [at(0), at(1)].into_iter().find(|time| *time <= now).unwrap_or_else(|| at(2))
}

/// What became of a project's reconciliations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// When one went through, or the project was made.
    pub through: DateTime<Utc>,
    /// When the last one began.
    pub tried: Option<DateTime<Utc>>,
    /// Whether the last one was stopped by its guard.
    pub stopped: bool,
}

impl Tries {
    /// Whether a scheduled run takes a reconciliation along; `night` is the project's [`last`] nightly time.
    pub fn is_due(&self, night: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        if self.through >= night {
            return false;
        }
        match self.tried {
            Some(tried) if tried >= night => !self.stopped && now - tried >= AGAIN_AFTER,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn projects_that_share_a_night_do_not_share_a_minute() {
        let now = at("2026-03-02T12:00:00Z");
        let mut minutes = [0u32; 180];
        for n in 0..10_000u128 {
            let night = last(Uuid::from_u128(n), Tz::UTC, now);
            let minute = (night - at("2026-03-02T01:00:00Z")).num_minutes();
            minutes[usize::try_from(minute).unwrap()] += 1;
        }
        assert!(minutes.iter().all(|&n| (20..=110).contains(&n)), "{:?}", minutes.iter().max());
    }

    #[test]
    fn a_projects_night_is_that_of_its_own_clock() {
        let id = Uuid::from_u128(7);
        let hour = |zone: Tz, now: &str| last(id, zone, at(now)).with_timezone(&zone).format("%d %H").to_string();
        for zone in [Tz::UTC, Tz::Asia__Tokyo, Tz::America__Los_Angeles, Tz::Europe__Berlin] {
            let told = hour(zone, "2026-03-02T12:00:00Z");
            assert!(["02 01", "02 02", "02 03"].contains(&told.as_str()), "{zone}: {told}");
        }
        let night = last(id, Tz::UTC, at("2026-03-02T12:00:00Z"));
        assert_eq!(last(id, Tz::UTC, night), night);
        assert_eq!(last(id, Tz::UTC, night - TimeDelta::milliseconds(1)), night - TimeDelta::days(1));
        // The night in which clocks go forward has one, too, and only one.
        for id in (0..50).map(Uuid::from_u128) {
            let night = last(id, Tz::Europe__Berlin, at("2026-03-29T12:00:00Z"));
            assert!(night >= at("2026-03-29T00:00:00Z") && night < at("2026-03-29T03:00:00Z"), "{night}");
        }
    }

    #[test]
    fn a_night_reconciles_once_and_the_guard_waits_for_the_next() {
        let night = at("2026-03-02T02:00:00Z");
        let minute = |n: i64| night + TimeDelta::minutes(n);
        let before = Tries { through: minute(-1_440), tried: Some(minute(-1_440)), stopped: false };
        assert!(before.is_due(night, minute(10)));
        assert!(Tries { stopped: true, ..before }.is_due(night, minute(10)), "stopped the night before");
        let failed = Tries { tried: Some(minute(10)), ..before };
        assert!(!failed.is_due(night, minute(30)) && failed.is_due(night, minute(70)), "an outage, say");
        assert!(!Tries { stopped: true, ..failed }.is_due(night, minute(1_000)));
        assert!(!Tries { through: minute(12), ..failed }.is_due(night, minute(1_000)));
        assert!(Tries { tried: None, ..before }.is_due(night, minute(1_000)), "no worker ran at night");
    }
}
