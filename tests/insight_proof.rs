//! What insights say is right: each is scored on the last fifth of seeded years of runs, against a naive method.
//!
//! The histories are those of [`syncline::simulator::past`]: troubles cluster in rough weeks, one in ten waits for a person;
//! changes follow the hours of the week; Jira's pace drifts. `cargo nextest run insight_proof --no-capture` prints the
//! figures.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use syncline::domain::insight::{
    Condition, End, Facts, Metric, Run, Unit, Work, median, patterns, replay, rhythm, score, unusual,
};
use syncline::simulator::past::{History, Plan};

const DAYS: i64 = 365;

fn start() -> DateTime<Utc> {
    "2024-01-01T00:00:00Z".parse().unwrap()
}

/// From here on it is judged; what was before is what may be learned from.
fn held_out() -> DateTime<Utc> {
    start() + TimeDelta::days(DAYS * 4 / 5)
}

/// A project of this number: quiet and restless sites, small and large projects.
fn plan(number: u64) -> Plan {
    let place = usize::try_from(number).unwrap();
    Plan {
        seed: number,
        from: start(),
        days: DAYS,
        every: TimeDelta::minutes(30),
        changes_a_day: [600.0, 1_500.0, 3_000.0, 800.0][place % 4],
        unrest: [0.05, 0.3, 1.0, 2.0][place / 3 % 4],
        bad_nights: if number.is_multiple_of(6) { 40.0 } else { 0.0 },
    }
}

fn histories() -> Vec<History> {
    (0..12).map(|number| plan(number).play()).collect()
}

/// What is read of it when it is asked about, a quarter of a year, and what is held out.
fn read(history: &History) -> &[Run] {
    let from = held_out() - TimeDelta::days(90);
    &history.runs[history.runs.partition_point(|run| run.started_at < from)..]
}

/// Every other one: they take a while.
fn some_histories() -> Vec<History> {
    (0..12).step_by(2).map(|number| plan(number).play()).collect()
}

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

/// How often a project that is about to be in trouble has a lower score than one that is not. Three failures in a row are a
/// trouble, as alerts have it.
#[test]
fn a_low_score_foretells_trouble() {
    let mut scored = Vec::new();
    for history in histories() {
        let runs = &history.runs;
        let place = |at: DateTime<Utc>| runs.partition_point(|run| run.finished_at < at);
        let mut at = held_out();
        while at < start() + TimeDelta::days(DAYS - 1) {
            let (from, now, then) = (place(at - TimeDelta::days(14)), place(at), place(at + TimeDelta::days(1)));
            let past = &runs[from..now];
            let last = past.iter().rev().find(|run| run.succeeded());
            let facts = Facts {
                objective: TimeDelta::hours(1),
                fresh_as_of: last.map(|run| run.started_at),
                last_success_at: last.map(|run| run.finished_at),
                issues: 10_000.0,
                ..Facts::default()
            };
            let mut streak = 0;
            let is_trouble = runs[now.saturating_sub(2)..then].iter().any(|run| {
                streak = if run.succeeded() { 0 } else { streak + 1 };
                streak == 3
            });
            scored.push((score(past, &facts, at).unwrap().score, is_trouble));
            at += TimeDelta::hours(6);
        }
    }
    let (troubled, calm): (Vec<_>, Vec<_>) = scored.into_iter().partition(|(_, is_trouble)| *is_trouble);
    let mut below = 0.0;
    for (one, _) in &troubled {
        for (other, _) in &calm {
            below += if one < other {
                1.0
            } else if one == other {
                0.5
            } else {
                0.0
            };
        }
    }
    let auc = below / (troubled.len() * calm.len()) as f64;
    println!("health_auc {auc:.3} ({} troubled, {} calm moments)", troubled.len(), calm.len());
    assert!(auc >= 0.85, "{auc}");
}

#[test]
fn planted_anomalies_are_found_and_hardly_others() {
    let (mut slow, mut slow_found, mut thin, mut thin_found, mut wrong, mut runs) = (0, 0, 0, 0, 0, 0);
    let end = (start() + TimeDelta::days(DAYS - 1)).date_naive();
    for history in some_histories() {
        let found: Vec<_> =
            unusual(read(&history), Tz::UTC).into_iter().filter(|anomaly| anomaly.at >= held_out()).collect();
        let is_found = |run: &Run| found.iter().any(|one| one.metric == Metric::Duration && one.run == run.id);
        let judged = history.runs.iter().filter(|run| run.started_at >= held_out());
        runs += judged.clone().count();
        let planted: Vec<_> = judged.filter(|run| history.slow.contains(&run.id)).collect();
        slow += planted.len();
        slow_found += planted.into_iter().filter(|run| is_found(run)).count();
        let days: BTreeSet<_> =
            found.iter().filter(|one| one.metric == Metric::Volume).map(|one| one.at.date_naive()).collect();
        let planted: BTreeSet<_> =
            history.thin.iter().copied().filter(|day| *day >= held_out().date_naive() && *day < end).collect();
        thin += planted.len();
        thin_found += planted.intersection(&days).count();
        wrong += days.difference(&planted).count();
        wrong += found.iter().filter(|one| one.metric == Metric::Duration && !history.slow.contains(&one.run)).count();
    }
    let recall = share(slow_found + thin_found, slow + thin);
    let wrong = 1_000.0 * share(wrong, runs);
    println!("anomaly_recall {recall:.3} (slow {slow_found}/{slow}, thin {thin_found}/{thin})");
    println!("anomaly_false_per_1000_runs {wrong:.3}");
    assert!(recall >= 0.95 && wrong <= 1.0 && slow > 20 && thin > 5, "{recall} {wrong}");
}

#[test]
fn forecasts_beat_the_last_run_and_their_bounds_hold() {
    let (mut off, mut last_off, mut median_off, mut within, mut all) = (0.0, 0.0, 0.0, 0, 0);
    for history in some_histories() {
        let read = read(&history);
        let runs: Vec<&Run> = read.iter().filter(|run| run.succeeded()).collect();
        let outcomes = replay(read, Work::Incremental, Tz::UTC);
        let skipped = runs.len() - outcomes.len();
        for (place, outcome) in outcomes.iter().enumerate() {
            let place = place + skipped;
            if runs[place].started_at < held_out() {
                continue;
            }
            let last: Vec<f64> = runs[place.saturating_sub(21)..place].iter().map(|run| run.seconds()).collect();
            off += (outcome.expected.seconds - outcome.seconds).abs();
            last_off += (last.last().unwrap() - outcome.seconds).abs();
            median_off += (median(&last).unwrap() - outcome.seconds).abs();
            all += 1;
            within += usize::from((outcome.expected.low..=outcome.expected.high).contains(&outcome.seconds));
        }
    }
    let (to_last, to_median, coverage) = (off / last_off, off / median_off, share(within, all));
    println!("forecast_mase {to_last:.3} to the last run, {to_median:.3} to the median of 21");
    println!("forecast_interval_coverage {coverage:.3} of {all} runs");
    assert!(to_last < 0.8 && to_median < 0.8 && (0.87..=0.93).contains(&coverage));
}

/// The hours of a history, as they are counted.
fn hours(runs: &[Run]) -> Vec<Unit> {
    let mut units: Vec<(i64, Unit)> = Vec::new();
    let mut before: BTreeSet<String> = BTreeSet::new();
    for of_hour in runs.chunk_by(|one, other| one.started_at.timestamp() / 3600 == other.started_at.timestamp() / 3600)
    {
        let at = of_hour[0].started_at;
        let failed = of_hour.iter().filter_map(|run| match &run.end {
            End::Failed(code) => Some(code.clone()),
            _ => None,
        });
        let codes: BTreeSet<String> = failed.collect();
        let conditions = vec![
            Condition::Hour(u8::try_from(at.hour()).unwrap()),
            Condition::Weekday(u8::try_from(at.weekday().num_days_from_monday()).unwrap()),
        ];
        units.push((at.timestamp(), Unit { conditions, codes: codes.difference(&before).cloned().collect() }));
        before = codes;
    }
    units.into_iter().map(|(_, unit)| unit).collect()
}

#[test]
fn planted_patterns_are_found_and_chance_is_not_told() {
    let (mut planted, mut found, mut told, mut shuffles) = (0, 0, 0, 0);
    let mut dice = SmallRng::seed_from_u64(7);
    for number in 0..12 {
        let history = Plan { bad_nights: if number & 1 == 0 { 40.0 } else { 0.0 }, ..plan(number) }.play();
        // A quarter of a year, as it is asked.
        let from = history.runs.partition_point(|run| run.started_at < start() + TimeDelta::days(DAYS - 90));
        let mut units = hours(&history.runs[from..]);
        if number & 1 == 0 {
            planted += 1;
            let is_it = |condition: &Condition| *condition == Condition::Hour(2);
            found += usize::from(patterns(&units).iter().any(|one| one.code == "TIMEOUT" && is_it(&one.condition)));
        }
        for _ in 0..100 {
            let mut codes: Vec<_> = units.iter_mut().map(|unit| std::mem::take(&mut unit.codes)).collect();
            codes.shuffle(&mut dice);
            units.iter_mut().zip(codes).for_each(|(unit, codes)| unit.codes = codes);
            shuffles += 1;
            told += usize::from(!patterns(&units).is_empty());
        }
    }
    let (found, by_chance) = (share(found, planted), share(told, shuffles));
    println!("patterns_found {found:.3} of {planted}; patterns_false_on_shuffled {by_chance:.4} of {shuffles}");
    assert!(found >= 0.95 && by_chance <= 0.01);
}

/// The age that 95 of 100 changes have when they arrive, and the requests that were sent, if runs come by `every` minutes.
fn replayed(runs: &[Run], every: impl Fn(DateTime<Utc>) -> f64) -> (f64, f64) {
    let (mut ages, mut requests, mut since) = (Vec::new(), 0.0, 0.0);
    let mut waiting: Vec<(f64, f64)> = Vec::new();
    for run in runs.iter().filter(|run| run.succeeded()) {
        since += 15.0;
        // What changed in this quarter of an hour is as old as its middle.
        waiting.push((run.changed, since));
        if since + 0.5 >= every(run.started_at) {
            ages.extend(waiting.drain(..).map(|(changes, at)| (since - at + 7.5, changes)));
            requests += 3.0 + 1.0;
            since = 0.0;
        }
    }
    ages.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all: f64 = ages.iter().map(|(_, changes)| changes).sum();
    let mut seen = 0.0;
    let age = ages.iter().find(|(_, changes)| {
        seen += changes;
        seen >= 0.95 * all
    });
    (age.map_or(0.0, |(age, _)| *age), requests)
}

#[test]
fn quiet_hours_save_requests_at_the_same_age() {
    let mut saved = Vec::new();
    for number in 0..4 {
        let history = Plan { every: TimeDelta::minutes(15), unrest: 0.0, bad_nights: 0.0, ..plan(number) }.play();
        let cut = history.runs.partition_point(|run| run.started_at < held_out());
        let (past, held) = history.runs.split_at(cut);
        let known = rhythm(&past[past.len() - 3_000..], Tz::UTC).unwrap();
        let is_quiet = |at: DateTime<Utc>| known.quiet.contains(&syncline::domain::insight::slot(at, Tz::UTC));
        let (age, requests) = replayed(held, |_| 15.0);
        let (age_then, requests_then) = replayed(held, |at| if is_quiet(at) && at.minute() != 0 { 61.0 } else { 15.0 });
        println!("age {age:.1} then {age_then:.1} minutes, requests {requests:.0} then {requests_then:.0}");
        assert!(age_then <= age * 1.01, "95 of 100 changes are as fresh as before");
        saved.push(1.0 - requests_then / requests);
        let (low, high) = known.saved_between;
        assert!(known.saved > low - 0.01 && known.saved < high + 0.01);
    }
    let least = saved.iter().copied().fold(1.0, f64::min);
    println!("best_time_requests_saved_ratio {least:.2} at least, of {saved:.2?}");
    assert!(least >= 0.3, "{saved:?}");
}
