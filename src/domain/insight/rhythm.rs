//! When a project changes and when its site is quick: a cadence that asks less often when nothing happens, and the hour for
//! runs that read everything.
//!
//! What must hold: the proposal keeps the age that 95 of 100 changes have when they arrive; it is told only if it saves a
//! noticeable share of the requests.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use super::numbers::{median, quantile};
use super::{Run, SLOTS, Work, slot};

/// Fewer runs tell nothing: two weeks of one every quarter of an hour.
const MIN_RUNS: usize = 500;
/// The share of changes that may come in the quiet hours: the others keep their age.
const QUIET_SHARE: f64 = 0.035;
/// A proposal that saves less is none.
const WORTH: f64 = 0.1;
const WEEK: i64 = 7 * 86_400;

/// When a project changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Rhythm {
    /// Slots in which little changes; a run an hour is enough there.
    pub quiet: Vec<usize>,
    /// The share of changes in them.
    pub quiet_changes: f64,
    /// The share of requests of incremental runs that one run an hour there saves.
    pub saved: f64,
    /// The same in each week of the history: in one of twenty weeks it was less, in one of twenty more.
    pub saved_between: (f64, f64),
    /// The hour of a working day in which runs are quickest, and how much quicker than usual; none where all are alike.
    pub best_hour: Option<(u8, f64)>,
}

/// The rhythm of a project, of runs that come oldest first; none where too little is known.
pub fn rhythm(runs: &[Run], zone: Tz) -> Option<Rhythm> {
    let mut changed = [0.0f64; SLOTS];
    let mut requests = [0.0f64; SLOTS];
    let mut count = [0.0f64; SLOTS];
    let mut pace: Vec<Vec<f64>> = vec![Vec::new(); SLOTS];
    let mut seen = 0;
    let mut hours = BTreeSet::new();
    let mut weeks: BTreeMap<i64, [f64; SLOTS]> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.work == Work::Incremental && run.succeeded()) {
        let place = slot(run.started_at, zone);
        if let (Some(changes), Some(sent), Some(runs), Some(pace)) =
            (changed.get_mut(place), requests.get_mut(place), count.get_mut(place), pace.get_mut(place))
        {
            *changes += run.changed;
            *sent += run.requests;
            *runs += 1.0;
            pace.push(run.seconds() / run.requests.max(1.0));
            if let Some(sent) = weeks.entry(run.started_at.timestamp() / WEEK).or_insert([0.0; SLOTS]).get_mut(place) {
                *sent += run.requests;
            }
        }
        hours.insert(run.started_at.timestamp() / 3600);
        seen += 1;
    }
    let all_changes: f64 = changed.iter().sum();
    let all_requests: f64 = requests.iter().sum();
    if seen < MIN_RUNS || all_changes < 100.0 || all_requests <= 0.0 {
        return None;
    }
    #[allow(clippy::cast_precision_loss)] // hours
    let runs_an_hour = seen as f64 / hours.len() as f64;
    let share =
        |slots: &[usize], of: &[f64; SLOTS], all: f64| slots.iter().filter_map(|slot| of.get(*slot)).sum::<f64>() / all;
    let mut order: Vec<usize> = (0..SLOTS).filter(|slot| count.get(*slot).is_some_and(|runs| *runs > 0.0)).collect();
    let rate = |slot: usize| changed.get(slot).zip(count.get(slot)).map_or(0.0, |(changes, runs)| changes / runs);
    order.sort_by(|one, other| rate(*one).total_cmp(&rate(*other)));
    let mut quiet = Vec::new();
    for place in order {
        quiet.push(place);
        if share(&quiet, &changed, all_changes) > QUIET_SHARE {
            quiet.pop();
            break;
        }
    }
    quiet.sort_unstable();
    // One run an hour instead of several.
    let kept = (1.0 / runs_an_hour).min(1.0);
    let saved = share(&quiet, &requests, all_requests) * (1.0 - kept);
    let by_week: Vec<f64> =
        weeks.values().map(|sent| share(&quiet, sent, sent.iter().sum::<f64>().max(1.0)) * (1.0 - kept)).collect();
    let saved_between = (quantile(&by_week, 0.05)?, quantile(&by_week, 0.95)?);
    let usual = median(&pace.iter().flatten().copied().collect::<Vec<_>>())?;
    let best_hour = pace
        .iter()
        .take(24)
        .enumerate()
        .filter(|(_, pace)| pace.len() >= 10)
        .filter_map(|(hour, pace)| Some((u8::try_from(hour).ok()?, median(pace)?)))
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .map(|(hour, pace)| (hour, usual / pace))
        .filter(|(_, quicker)| *quicker >= 1.2);
    Some(Rhythm {
        quiet_changes: share(&quiet, &changed, all_changes),
        saved_between,
        saved: if saved >= WORTH { saved } else { 0.0 },
        quiet: if saved >= WORTH { quiet } else { Vec::new() },
        best_hour,
    })
}

impl Rhythm {
    /// A schedule that runs every `minutes` where much changes, and once an hour where little does; none where nothing is
    /// saved by that.
    pub fn cron(&self, minutes: u32) -> Option<String> {
        if self.quiet.is_empty() || !(1..60).contains(&minutes) {
            return None;
        }
        let mut parts = Vec::new();
        for (minute, is_quiet) in [(format!("*/{minutes}"), false), ("0".to_owned(), true)] {
            for (days, from) in [("1-5", 0), ("6,0", 24)] {
                let hours = (0..24usize).filter(|hour| self.quiet.contains(&(from + hour)) == is_quiet);
                if let Some(hours) = ranges(hours) {
                    parts.push(format!("{minute} {hours} * * {days}"));
                }
            }
        }
        Some(parts.join(" | "))
    }
}

/// Numbers that ascend, as cron writes them: `0-6,20`; none of nothing.
fn ranges(numbers: impl Iterator<Item = usize>) -> Option<String> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let words = ranges.into_iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    Some(words.collect::<Vec<_>>().join(",")).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_become_a_schedule() {
        let mut quiet: Vec<usize> = (0..7).chain([20, 22, 23]).collect();
        quiet.extend(24..48);
        let rhythm = Rhythm { quiet, quiet_changes: 0.03, saved: 0.4, saved_between: (0.3, 0.5), best_hour: None };
        let cron = rhythm.cron(15).unwrap();
        assert_eq!(cron, "*/15 7-19,21 * * 1-5 | 0 0-6,20,22-23 * * 1-5 | 0 0-23 * * 6,0");
        assert!(crate::domain::cron::Schedule::parse(&cron, "Europe/Berlin").is_ok());
        assert_eq!(rhythm.cron(60), None, "once an hour is what it is already");
    }
}
