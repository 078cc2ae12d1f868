//! How long the next run takes, with bounds that hold.
//!
//! Several simple methods watch the history go by; the one that was best lately speaks. How far it was off lately makes the
//! bounds (conformal prediction; its level follows what was missed, as Gibbs and Candès have it,
//! <https://arxiv.org/abs/2106.00170>), so that they hold whatever the distribution is. All of it is about logarithms:
//! twice as long is as far off as half as long.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::numbers::{median, quantile};
use super::{Run, SLOTS, Work, slot};

/// How often the bounds hold.
pub const COVERAGE: f64 = 0.9;
/// Fewer runs of a kind tell nothing.
pub const MIN_RUNS: usize = 20;
/// Misses that make the bounds.
const REMEMBERED: usize = 200;
/// How fast a method's error is forgotten.
const FADING: f64 = 0.97;

/// What is expected of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// From start to end.
    pub seconds: f64,
    /// It takes less in one of twenty cases.
    pub low: f64,
    /// It takes more in one of twenty cases.
    pub high: f64,
    /// Requests to Jira.
    pub requests: f64,
    /// Issues that are read.
    pub issues: f64,
    /// How many runs it rests on.
    pub based_on: usize,
}

impl Forecast {
    /// Atlassian's points: one for each request, and one for each object.
    pub fn points(&self) -> f64 {
        self.requests + self.issues
    }
}

/// A run, and what was expected of it before it began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// What was expected.
    pub expected: Forecast,
    /// What it took.
    pub seconds: f64,
}

/// What the next run of this kind is expected to take, if it starts at `at`; none where too little is known. The runs come
/// oldest first.
pub fn forecast(runs: &[Run], work: Work, at: DateTime<Utc>, zone: Tz) -> Option<Forecast> {
    let mut watcher = Watcher::default();
    like(runs, work).for_each(|run| watcher.see(run, slot(run.started_at, zone)));
    watcher.expect(slot(at, zone))
}

/// Every run of this kind that anything was expected of, with what was.
pub fn replay(runs: &[Run], work: Work, zone: Tz) -> Vec<Outcome> {
    let mut watcher = Watcher::default();
    let mut outcomes = Vec::new();
    for run in like(runs, work) {
        let place = slot(run.started_at, zone);
        if let Some(expected) = watcher.expect(place) {
            outcomes.push(Outcome { expected, seconds: run.seconds() });
        }
        watcher.see(run, place);
    }
    outcomes
}

fn like(runs: &[Run], work: Work) -> impl Iterator<Item = &Run> {
    runs.iter().filter(move |run| run.work == work && run.succeeded())
}

/// The methods: the last runs, those of the same hour of such a day, and the same corrected by how things go today.
const METHODS: usize = 3;

#[derive(Default)]
struct Watcher {
    seen: usize,
    recent: Recent,
    requests: Recent,
    issues: Recent,
    slots: Slots,
    /// How far runs were from what their hour usually has.
    drift: Recent,
    /// The fading mean error of each method, and its weight.
    errors: [(f64, f64); METHODS],
    misses: VecDeque<f64>,
    /// The level of the bounds: above 0 it moves by what was missed.
    level: Option<f64>,
}

impl Watcher {
    fn methods(&self, place: usize) -> [Option<f64>; METHODS] {
        let hour = self.slots.usual(place);
        let drift = median(&self.drift.last(8));
        [median(&self.recent.last(21)), hour, hour.zip(drift).map(|(hour, drift)| hour + drift)]
    }

    /// What the best method says.
    fn speak(&self, place: usize) -> Option<f64> {
        let said = self.methods(place).into_iter().zip(&self.errors);
        let known =
            said.filter_map(|(said, (sum, weight))| Some((said?, if *weight > 0.0 { sum / weight } else { f64::MAX })));
        known.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(said, _)| said)
    }

    fn expect(&self, place: usize) -> Option<Forecast> {
        if self.seen < MIN_RUNS {
            return None;
        }
        let middle = self.speak(place)?;
        let misses: Vec<f64> = self.misses.iter().copied().collect();
        let width = quantile(&misses, self.level.unwrap_or(COVERAGE))?;
        Some(Forecast {
            seconds: middle.exp(),
            low: (middle - width).exp(),
            high: (middle + width).exp(),
            requests: self.requests.middle()?,
            issues: self.issues.middle()?,
            based_on: self.seen,
        })
    }

    fn see(&mut self, run: &Run, place: usize) {
        let took = run.seconds().ln();
        if let Some(middle) = self.speak(place) {
            let miss = (took - middle).abs();
            if let Some(expected) = self.expect(place) {
                let held = run.seconds() >= expected.low && run.seconds() <= expected.high;
                let level = self.level.unwrap_or(COVERAGE);
                // A miss counts nine times a hit: at 90 % both outweigh each other.
                self.level = Some((level + 0.01 * if held { COVERAGE - 1.0 } else { COVERAGE }).clamp(0.5, 0.995));
            }
            keep(&mut self.misses, miss, REMEMBERED);
        }
        for (said, (sum, weight)) in self.methods(place).into_iter().zip(&mut self.errors) {
            if let Some(said) = said {
                *sum = *sum * FADING + (took - said).abs();
                *weight = *weight * FADING + 1.0;
            }
        }
        if let Some(hour) = self.slots.usual(place) {
            self.drift.push(took - hour);
        }
        self.slots.push(place, took);
        self.recent.push(took);
        self.requests.push(run.requests);
        self.issues.push(run.issues);
        self.seen += 1;
    }
}

fn keep(queue: &mut VecDeque<f64>, value: f64, most: usize) {
    queue.push_back(value);
    if queue.len() > most {
        queue.pop_front();
    }
}

#[derive(Default)]
struct Recent(VecDeque<f64>);

impl Recent {
    fn push(&mut self, value: f64) {
        keep(&mut self.0, value, 21);
    }

    fn last(&self, n: usize) -> Vec<f64> {
        self.0.iter().rev().take(n).copied().collect()
    }

    fn middle(&self) -> Option<f64> {
        median(&self.last(21))
    }
}

struct Slots(Vec<VecDeque<f64>>);

impl Default for Slots {
    fn default() -> Self {
        Self(vec![VecDeque::new(); SLOTS])
    }
}

impl Slots {
    fn push(&mut self, place: usize, value: f64) {
        if let Some(slot) = self.0.get_mut(place) {
            keep(slot, value, 20);
        }
    }

    fn usual(&self, place: usize) -> Option<f64> {
        let slot = self.0.get(place).filter(|slot| slot.len() >= 3)?;
        median(&slot.iter().copied().collect::<Vec<_>>())
    }
}
