#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The first `n` slots after `start`.
fn slots(cron: &str, zone: &str, start: &str, n: usize) -> Vec<DateTime<Utc>> {
    let schedule = Schedule::parse(cron, zone).unwrap();
    std::iter::successors(schedule.next_after(utc(start)), |&slot| schedule.next_after(slot)).take(n).collect()
}

fn times(texts: &[&str]) -> Vec<DateTime<Utc>> {
    texts.iter().map(|text| utc(text)).collect()
}

#[test]
fn a_wrong_field_is_named() {
    let cases = [
        ("61 * * * *", Field::Minute),
        ("* 24 * * *", Field::Hour),
        ("* * 32 * *", Field::DayOfMonth),
        ("* * * 13 *", Field::Month),
        ("* * * * FUNDAY", Field::DayOfWeek),
        ("x * * * *", Field::Minute),
        ("MON * * * *", Field::Minute),
        ("*/0 * * * *", Field::Minute),
        ("* 9-5 * * *", Field::Hour),
    ];
    for (cron, expected) in cases {
        match Schedule::parse(cron, "UTC") {
            Err(CronError::Field { field, .. }) => assert_eq!(field, expected, "{cron}"),
            other => unreachable!("{cron}: {other:?}"),
        }
    }
    let text = Schedule::parse("0 25 * * *", "UTC").unwrap_err().to_string();
    assert_eq!(
        text,
        r#"cron "0 25 * * *": the hour field "25" is wrong; it takes 0-23, lists, ranges and steps, e.g. 6-22"#
    );
}

#[test]
fn invalid_cron_fields_nicknames_and_dates_are_refused() {
    assert!(matches!(Schedule::parse("", "UTC"), Err(CronError::FieldCount { found: 0, .. })));
    assert!(matches!(Schedule::parse("* * * *", "UTC"), Err(CronError::FieldCount { found: 4, .. })));
    assert!(matches!(Schedule::parse("0 */15 * * * *", "UTC"), Err(CronError::FieldCount { found: 6, .. })));
    assert!(matches!(Schedule::parse("@fortnightly", "UTC"), Err(CronError::Nickname { .. })));
    assert!(matches!(Schedule::parse("0 0 30 2 *", "UTC"), Err(CronError::Never { .. })));
    assert!(Schedule::parse("0 0 29 2 MON#1", "UTC").is_ok());
    assert!(Schedule::parse("@hourly", "UTC").is_ok());
    assert!(Schedule::parse(" 0 9 * JAN MON-FRI ", "UTC").is_ok());
}

#[test]
fn an_unknown_time_zone_is_answered_with_the_nearest_name() {
    let cases = [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("America/NewYork", "America/New_York"),
        ("new york", "America/New_York"),
    ];
    for (name, expected) in cases {
        match Schedule::parse("@daily", name) {
            Err(CronError::TimeZone { nearest, .. }) => assert_eq!(nearest, expected, "{name}"),
            other => unreachable!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_slot_follows_the_wall_clock_of_its_zone() {
    let expected = times(&["2025-01-15T08:00:00Z", "2025-01-16T08:00:00Z"]);
    assert_eq!(slots("0 9 * * *", "Europe/Berlin", "2025-01-15T00:00:00Z", 2), expected);
    let expected = times(&["2025-07-15T07:00:00Z", "2025-07-16T07:00:00Z"]);
    assert_eq!(slots("0 9 * * *", "Europe/Berlin", "2025-07-15T00:00:00Z", 2), expected);
}

#[test]
fn slots_in_the_spring_gap_run_once_at_its_end() {
    // Berlin, 2025-03-30: 02:00 becomes 03:00 at 01:00 UTC. New York, 2025-03-09: at 07:00 UTC.
    let expected = times(&["2025-03-29T01:30:00Z", "2025-03-30T01:00:00Z", "2025-03-31T00:30:00Z"]);
    assert_eq!(slots("30 2 * * *", "Europe/Berlin", "2025-03-29T00:00:00Z", 3), expected);
    let expected = times(&["2025-03-08T07:30:00Z", "2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"]);
    assert_eq!(slots("30 2 * * *", "America/New_York", "2025-03-08T06:00:00Z", 3), expected);
    // Two slots in the gap are one; the hours around it are untouched.
    let expected = times(&["2025-03-30T00:30:00Z", "2025-03-30T01:00:00Z", "2025-03-30T01:30:00Z"]);
    assert_eq!(slots("*/30 1-3 * * *", "Europe/Berlin", "2025-03-30T00:00:00Z", 3), expected);
    // A schedule that means a distance keeps it.
    let expected = times(&["2025-03-30T00:45:00Z", "2025-03-30T01:00:00Z", "2025-03-30T01:15:00Z"]);
    assert_eq!(slots("*/15 * * * *", "Europe/Berlin", "2025-03-30T00:30:00Z", 3), expected);
}

#[test]
fn a_slot_in_the_autumn_overlap_runs_once() {
    // Berlin, 2025-10-26: 03:00 becomes 02:00 at 01:00 UTC. New York, 2025-11-02: 02:00 becomes 01:00 at 06:00 UTC.
    let expected = times(&["2025-10-25T00:30:00Z", "2025-10-26T00:30:00Z", "2025-10-27T01:30:00Z"]);
    assert_eq!(slots("30 2 * * *", "Europe/Berlin", "2025-10-25T00:00:00Z", 3), expected);
    let expected = times(&["2025-11-01T05:30:00Z", "2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]);
    assert_eq!(slots("30 1 * * *", "America/New_York", "2025-11-01T05:00:00Z", 3), expected);
    // Asked in the middle of the second pass, it has already run.
    assert_eq!(slots("45 2 * * *", "Europe/Berlin", "2025-10-26T01:10:00Z", 1), times(&["2025-10-27T01:45:00Z"]));
    let expected = times(&["2025-10-26T00:00:00Z", "2025-10-26T00:30:00Z", "2025-10-26T02:00:00Z"]);
    assert_eq!(slots("*/30 1-3 * * *", "Europe/Berlin", "2025-10-25T23:30:00Z", 3), expected);
}

#[test]
fn an_hourly_schedule_keeps_its_interval_in_the_overlap() {
    for (zone, start) in [("Europe/Berlin", "2025-10-25T23:00:00Z"), ("America/New_York", "2025-11-02T04:00:00Z")] {
        for (cron, minutes) in [("*/15 * * * *", 15), ("0 * * * *", 60), ("50 * * * *", 60)] {
            for pair in slots(cron, zone, start, 16).windows(2) {
                assert_eq!(pair[1] - pair[0], TimeDelta::minutes(minutes), "{cron} in {zone} at {}", pair[0]);
            }
        }
    }
}

#[test]
fn half_hour_overlaps_and_missing_days_keep_the_order() {
    // Lord Howe moves by 30 minutes; Samoa left out 2011-12-30.
    let lord_howe = slots("45 1 * * *", "Australia/Lord_Howe", "2025-04-04T14:00:00Z", 3);
    assert!(lord_howe.windows(2).all(|pair| pair[1] - pair[0] >= TimeDelta::hours(24)), "{lord_howe:?}");
    let samoa = slots("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3);
    assert_eq!(samoa, times(&["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]));
}

#[test]
fn the_interval_is_the_distance_to_the_following_slot() {
    let schedule = Schedule::parse("*/15 * * * *", "Europe/Berlin").unwrap();
    assert_eq!(schedule.interval_at(utc("2025-05-01T10:15:00Z")), Duration::from_secs(900));
    let weekdays = Schedule::parse("0 9 * * MON-FRI", "UTC").unwrap();
    assert_eq!(weekdays.interval_at(utc("2025-05-02T09:00:00Z")), Duration::from_secs(3 * 86_400));
}

#[test]
fn a_year_of_downtime_is_counted_with_bounded_work() {
    let schedule = Schedule::parse("* * * * *", "Europe/Berlin").unwrap();
    assert_eq!(schedule.missed_between(utc("2024-05-01T00:00:00Z"), utc("2025-05-01T00:00:00Z")), MISSED_LIMIT);
    assert_eq!(schedule.missed_between(utc("2025-05-01T00:00:00Z"), utc("2025-05-01T00:00:00Z")), 0);
    assert_eq!(schedule.missed_between(utc("2025-05-01T00:10:00Z"), utc("2025-05-01T00:00:00Z")), 0);
}

const CRONS: [&str; 10] = [
    "* * * * *",
    "*/15 * * * *",
    "7 * * * *",
    "30 2 * * *",
    "*/20 1,2,3 * * *",
    "0 0 * * *",
    "15 */2 * * *",
    "0 9 * * MON-FRI",
    "0 3 L * *",
    "45 1 * 3,10,11 SUN",
];
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"];

fn schedule() -> impl Strategy<Value = Schedule> {
    (prop::sample::select(&CRONS[..]), prop::sample::select(&ZONES[..]))
        .prop_map(|(cron, zone)| Schedule::parse(cron, zone).unwrap())
}

/// Half of the instants are near a change of the clocks in Berlin, New York or Lord Howe.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    let changes = ["2025-03-30T01:00:00Z", "2025-10-26T01:00:00Z", "2025-03-09T07:00:00Z", "2025-11-02T06:00:00Z"];
    let near = (prop::sample::select(changes.to_vec()), -10_800_000i64..10_800_000)
        .prop_map(|(change, millis)| utc(change) + TimeDelta::milliseconds(millis));
    let any =
        (1_300_000_000_000i64..2_000_000_000_000).prop_map(|millis| DateTime::from_timestamp_millis(millis).unwrap());
    prop_oneof![near, any]
}

proptest! {
    #[test]
    fn slots_are_strictly_increasing_and_after_their_argument(schedule in schedule(), start in instant()) {
        let mut last = start;
        for _ in 0..40 {
            let next = schedule.next_after(last).unwrap();
            prop_assert!(next > last, "{} then {}", last, next);
            last = next;
        }
    }

    #[test]
    fn no_slot_is_skipped_by_asking_from_another_instant(schedule in schedule(), start in instant(), ahead in 0i64..20_000) {
        let next = schedule.next_after(start).unwrap();
        let asked = start + TimeDelta::seconds(ahead);
        let expected = if asked < next { next } else { schedule.next_after(asked).unwrap() };
        prop_assert_eq!(schedule.next_after(asked).unwrap(), expected);
        prop_assert_eq!(schedule.next_after(next - TimeDelta::milliseconds(1)).unwrap(), next);
    }

    #[test]
    fn missed_slots_equal_their_enumeration(schedule in schedule(), start in instant(), minutes in 0i64..3_000) {
        let now = start + TimeDelta::minutes(minutes);
        // Enumerated by asking at every minute, not by walking from slot to slot.
        let mut seen = std::collections::BTreeSet::new();
        for minute in -1..=minutes {
            seen.extend(schedule.next_after(start + TimeDelta::minutes(minute)));
        }
        let expected = seen.iter().filter(|&&slot| slot > start && slot <= now).count();
        prop_assert_eq!(schedule.missed_between(start, now) as usize, expected.min(MISSED_LIMIT as usize));
    }

    #[test]
    fn a_clock_that_jumps_yields_no_slot_twice(
        schedule in schedule(), start in instant(), jumps in prop::collection::vec(-200_000i64..200_000, 1..30),
    ) {
        let (mut now, mut last) = (start, None);
        for jump in jumps {
            now += TimeDelta::seconds(jump);
            let slot = schedule.next_slot(last, now).unwrap();
            prop_assert!(last.is_none_or(|last| slot > last) && slot > now);
            last = Some(slot);
        }
    }
}

#[test]
fn expressions_joined_by_a_bar_name_the_slots_of_all() {
    let schedule = Schedule::parse("*/15 7-8 * * 1-5|0 * * * *", "Europe/Berlin").unwrap();
    assert_eq!(schedule.expression(), "*/15 7-8 * * 1-5 | 0 * * * *");
    let mut at = "2026-11-27T05:30:00Z".parse::<DateTime<Utc>>().unwrap();
    let mut slots = Vec::new();
    for _ in 0..10 {
        at = schedule.next_after(at).unwrap();
        slots.push(at.format("%H:%M").to_string());
    }
    let expected = ["06:00", "06:15", "06:30", "06:45", "07:00", "07:15", "07:30", "07:45", "08:00", "09:00"];
    assert_eq!(slots, expected, "in UTC, an hour behind Berlin");
    assert_eq!(schedule.interval_at(at).as_secs(), 3_600);
    let refused = Schedule::parse("0 * * * * | 0 25 * * *", "UTC").unwrap_err().to_string();
    assert!(refused.contains("hour field \"25\""), "{refused}");
    assert!(matches!(Schedule::parse("0 * * * * |", "UTC"), Err(CronError::FieldCount { found: 0, .. })));
}
