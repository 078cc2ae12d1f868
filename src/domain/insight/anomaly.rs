//! What was unusual: a run that took far longer than its size explains, a day on which far fewer or far more issues changed
//! than on such days.
//!
//! A duration is compared with what the run's issues explain; a day's volume with days of the same weekday. What was unusual
//! does not become part of what is usual, unless it stays so.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::numbers::{line, median, sigma};
use super::{Run, SLOTS, Work, slot};

/// Runs of a kind, and days, below which nothing is judged.
const MIN_RUNS: usize = 20;
const MIN_DAYS: usize = 21;
/// Standard deviations beyond which chance is no explanation: runs are judged by the hundred thousand.
const DEVIATIONS: f64 = 4.5;
/// A day is one of a few hundred a year.
const DAY_DEVIATIONS: f64 = 3.8;
/// What nobody would notice is no anomaly, however regular the history is: twice the duration, two thirds of the volume.
const NOTICEABLE_RATIO: f64 = 2.0;
const NOTICEABLE_SECONDS: f64 = 2.0;
const NOTICEABLE_VOLUME: f64 = 1.5;
/// Days with fewer changes tell nothing: chance alone halves them.
const MIN_VOLUME: f64 = 100.0;
/// What was unusual so often in a row is usual.
const GIVES_IN: usize = 12;

/// What was unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Seconds from start to end.
    Duration,
    /// Issues that changed in a day.
    Volume,
}

impl Metric {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Volume => "volume",
        }
    }
}

/// Something unusual.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// The run; of a day's volume, the last of that day.
    pub run: Uuid,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What.
    pub metric: Metric,
    /// What it was.
    pub value: f64,
    /// What was to be expected.
    pub usual: f64,
    /// Below this it is unusual; 0 where less is never.
    pub low: f64,
    /// Above this it is unusual.
    pub high: f64,
    /// Standard deviations away, of what is usual.
    pub score: f64,
}

impl Anomaly {
    /// In words.
    pub fn words(&self) -> String {
        let times = self.value / self.usual.max(f64::MIN_POSITIVE);
        match self.metric {
            Metric::Duration => {
                format!(
                    "took {:.0} s, {times:.1} times the {:.0} s that runs of this size take",
                    self.value, self.usual
                )
            }
            Metric::Volume if times < 1.0 => format!(
                "{:.0} issues changed that day, {:.0} % of the {:.0} that such days have",
                self.value,
                times * 100.0,
                self.usual
            ),
            Metric::Volume => {
                format!(
                    "{:.0} issues changed that day, {times:.1} times the {:.0} that such days have",
                    self.value, self.usual
                )
            }
        }
    }
}

/// What was unusual about the runs of one project, which come oldest first. Days are those of the zone; the last, which may
/// not be over, is not judged.
pub fn unusual(runs: &[Run], zone: Tz) -> Vec<Anomaly> {
    let mut found: Vec<Anomaly> = Work::ALL.into_iter().flat_map(|work| durations(runs, work, zone)).collect();
    found.extend(volumes(runs, zone));
    found.sort_by_key(|anomaly| anomaly.at);
    found
}

/// How far values usually lie from what is expected of them; what is far out is left out until it stays.
struct Usual {
    around: VecDeque<f64>,
    most: usize,
    out: Vec<f64>,
}

impl Usual {
    fn new(most: usize) -> Self {
        Self { around: VecDeque::new(), most, out: Vec::new() }
    }

    /// The middle and the standard deviation, at least `floor`.
    fn spread(&self, floor: f64) -> Option<(f64, f64)> {
        let values: Vec<f64> = self.around.iter().copied().collect();
        let centre = median(&values)?;
        Some((centre, sigma(&values, centre)?.max(floor)))
    }

    fn take(&mut self, value: f64, is_unusual: bool) {
        if is_unusual {
            self.out.push(value);
            if self.out.len() < GIVES_IN {
                return;
            }
            self.around.clear();
        } else {
            self.out.clear();
            self.out.push(value);
        }
        for value in self.out.drain(..) {
            self.around.push_back(value);
        }
        while self.around.len() > self.most {
            self.around.pop_front();
        }
    }
}

fn durations(runs: &[Run], work: Work, zone: Tz) -> Vec<Anomaly> {
    let mut sizes: VecDeque<(f64, f64)> = VecDeque::new();
    let mut explained: Option<(f64, f64)> = None;
    let mut usual = Usual::new(200);
    // Jira is slower in some hours than in others.
    let mut hours: Vec<VecDeque<f64>> = vec![VecDeque::new(); SLOTS];
    let mut found = Vec::new();
    for (n, run) in runs.iter().filter(|run| run.work == work && run.succeeded()).enumerate() {
        // The line is drawn anew now and then: it moves slowly, and costs the square of its points.
        if sizes.len() >= MIN_RUNS && (explained.is_none() || n % 8 == 0) {
            let points: Vec<(f64, f64)> = sizes.iter().copied().collect();
            let middle = median(&points.iter().map(|point| point.1).collect::<Vec<_>>()).unwrap_or(0.0);
            explained = line(&points).filter(|(_, slope)| *slope >= 0.0).or(Some((middle, 0.0)));
        }
        let mut is_unusual = false;
        if let Some((start, slope)) = explained {
            let expected = (start + slope * run.issues).max(0.1);
            let place = slot(run.started_at, zone);
            let hour = hours.get(place).filter(|hour| hour.len() >= 5);
            let hour = hour.and_then(|hour| median(&hour.iter().copied().collect::<Vec<_>>())).unwrap_or(0.0);
            let raw = (run.seconds() / expected).ln();
            let (expected, off) = (expected * hour.exp(), raw - hour);
            if let Some((centre, deviation)) = usual.spread(0.05).filter(|_| usual.around.len() >= MIN_RUNS) {
                let expected = expected * centre.exp();
                let bound = (DEVIATIONS * deviation).max(NOTICEABLE_RATIO.ln());
                let high = (expected * bound.exp()).max(expected + NOTICEABLE_SECONDS);
                is_unusual = run.seconds() > high;
                if is_unusual {
                    found.push(Anomaly {
                        run: run.id,
                        at: run.finished_at,
                        metric: Metric::Duration,
                        value: run.seconds(),
                        usual: expected,
                        low: 0.0,
                        high,
                        score: (off - centre) / deviation,
                    });
                }
            }
            usual.take(off, is_unusual);
            if let Some(hour) = hours.get_mut(place).filter(|_| !is_unusual) {
                hour.push_back(raw);
                if hour.len() > 15 {
                    hour.pop_front();
                }
            }
        }
        if !is_unusual {
            sizes.push_back((run.issues, run.seconds()));
            if sizes.len() > 60 {
                sizes.pop_front();
            }
        }
    }
    found
}

struct Day {
    date: NaiveDate,
    changed: f64,
    last: (Uuid, DateTime<Utc>),
    had_full: bool,
}

fn days(runs: &[Run], zone: Tz) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for run in runs.iter().filter(|run| run.succeeded()) {
        let date = run.finished_at.with_timezone(&zone).date_naive();
        if days.last().is_none_or(|day| day.date != date) {
            days.push(Day { date, changed: 0.0, last: (run.id, run.finished_at), had_full: false });
        }
        if let Some(day) = days.last_mut() {
            day.changed += run.changed;
            day.last = (run.id, run.finished_at);
            day.had_full |= run.work == Work::Full;
        }
    }
    days
}

fn volumes(runs: &[Run], zone: Tz) -> Vec<Anomaly> {
    let mut all = days(runs, zone);
    all.pop();
    let mut weekdays: HashMap<u32, VecDeque<f64>> = HashMap::new();
    let mut usual = Usual::new(56);
    let mut found = Vec::new();
    for (n, day) in all.iter().enumerate() {
        // A day's changes are known from the runs of that day only where the day before has been read, too; a full run reads
        // what earlier ones missed.
        let follows = n
            .checked_sub(1)
            .and_then(|before| all.get(before))
            .is_some_and(|before| before.date.succ_opt() == Some(day.date));
        if day.had_full || !follows {
            continue;
        }
        let weekday = day.date.weekday().number_from_monday();
        let same: Vec<f64> = weekdays.get(&weekday).map(|same| same.iter().copied().collect()).unwrap_or_default();
        let volume = (day.changed + 1.0).ln();
        let mut is_unusual = false;
        if let Some(centre) = median(&same).filter(|_| same.len() >= 3) {
            let off = volume - centre;
            if let Some((level, deviation)) = usual.spread(0.05).filter(|_| usual.around.len() >= MIN_DAYS) {
                let expected = (centre + level).exp() - 1.0;
                let bound = (DAY_DEVIATIONS * deviation).max(NOTICEABLE_VOLUME.ln());
                is_unusual = expected >= MIN_VOLUME && (off - level).abs() > bound;
                if is_unusual {
                    found.push(Anomaly {
                        run: day.last.0,
                        at: day.last.1,
                        metric: Metric::Volume,
                        value: day.changed,
                        usual: expected,
                        low: expected * (-bound).exp(),
                        high: expected * bound.exp(),
                        score: (off - level) / deviation,
                    });
                }
            }
            usual.take(off, is_unusual);
        }
        if !is_unusual {
            let same = weekdays.entry(weekday).or_default();
            same.push_back(volume);
            if same.len() > 8 {
                same.pop_front();
            }
        }
    }
    found
}
