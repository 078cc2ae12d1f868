//! What the history of runs teaches: how well a project is, what was unusual, how long the next run takes, which failures
//! go together.
//!
//! What must hold: all of it is a function of the runs that it is given and of a time, so that asking again answers the
//! same; a run is never part of what it is judged by; where too little is known, nothing is said.

mod anomaly;
mod forecast;
mod growth;
mod numbers;
mod pattern;
mod rhythm;
mod score;

pub use anomaly::{Anomaly, Metric, unusual};
pub use forecast::{COVERAGE, Forecast, MIN_RUNS, Outcome, forecast, replay};
pub use growth::{Growth, grow};
pub use numbers::{median, quantile};
pub use pattern::{Condition, Pattern, Unit, patterns};
pub use rhythm::{Rhythm, rhythm};
pub use score::{Facts, Part, Score, of_several, score};

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

/// What a run did. Runs of different work are never compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// It read what is new.
    Incremental,
    /// It read everything.
    Full,
    /// It read what is new, and compared the ids of all issues.
    Reconcile,
}

impl Work {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Incremental, Self::Full, Self::Reconcile];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
            Self::Reconcile => "reconcile",
        }
    }

    /// Of a run of this kind.
    pub const fn of(full: bool, reconcile: bool) -> Self {
        match (full, reconcile) {
            (true, _) => Self::Full,
            (false, true) => Self::Reconcile,
            (false, false) => Self::Incremental,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Well.
    Succeeded,
    /// With this failure code.
    Failed(String),
    /// It was stopped, which says nothing.
    Cancelled,
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// What it did.
    pub work: Work,
    /// How it ended.
    pub end: End,
    /// Issues that it read.
    pub issues: f64,
    /// Of those, new or changed.
    pub changed: f64,
    /// Requests that it sent.
    pub requests: f64,
}

impl Run {
    /// From start to end; at least a millisecond.
    pub fn seconds(&self) -> f64 {
        (self.finished_at - self.started_at).as_seconds_f64().max(0.001)
    }

    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        self.end == End::Succeeded
    }
}

/// The hours of a working day and those of the weekend, on the wall clock: 0 to 47.
pub const SLOTS: usize = 48;

/// Which of them.
pub fn slot(at: DateTime<Utc>, zone: Tz) -> usize {
    let there = at.with_timezone(&zone);
    let weekend = there.weekday().number_from_monday() > 5;
    usize::try_from(there.hour()).unwrap_or(0) % 24 + if weekend { 24 } else { 0 }
}

/// Days from `from` to `to`.
fn days_between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).as_seconds_f64() / TimeDelta::days(1).as_seconds_f64()
}
