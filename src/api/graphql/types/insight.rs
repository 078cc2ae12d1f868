//! What history teaches. Health and trends are told; what is not built yet says so.

use async_graphql::{ID, Json, Result, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::app::{self, Error};

/// How well a project is.
#[derive(SimpleObject)]
pub struct Health {
    /// well, ailing, failing, site failing, never, paused or removed.
    state: String,
    /// 0 to 100; null: no score is computed yet.
    score: Option<i32>,
    /// What the score is made of; empty where there is none.
    parts: Vec<HealthPart>,
    /// Why, in sentences; empty where all is well.
    reasons: Vec<String>,
}

/// A part of a score.
#[derive(SimpleObject)]
pub struct HealthPart {
    /// What it is about.
    name: String,
    /// 0 to 1.
    value: f64,
    /// How much it counts.
    weight: f64,
}

impl Health {
    /// Of a project; none once it was removed.
    pub fn of(health: Option<&app::health::Health>) -> Self {
        let state = health.map_or("removed", |health| health.state).to_owned();
        let reasons = health.map(app::health::Health::reasons).unwrap_or_default();
        Self { state, score: None, parts: Vec::new(), reasons }
    }

    /// Of several projects: the worst speaks for all.
    pub fn of_all(all: &[app::health::Health]) -> Self {
        let ranks = ["site failing", "failing", "ailing", "never", "well", "paused"];
        let worst = ranks.into_iter().find(|state| all.iter().any(|one| one.state == *state));
        let sick = all.iter().filter(|one| matches!(one.state, "site failing" | "failing" | "ailing"));
        let reasons = sick.flat_map(|one| {
            let name = format!("{}/{}", one.row.site, one.row.key);
            one.reasons().into_iter().map(move |reason| format!("{name}: {reason}"))
        });
        let state = worst.unwrap_or("never").to_owned();
        Self { state, score: None, parts: Vec::new(), reasons: reasons.take(100).collect() }
    }
}

/// How a figure went from day to day.
#[derive(SimpleObject)]
pub struct Trend {
    /// success_rate, issues, runs, duration or requests.
    pub metric: String,
    /// A point for each day with a run.
    pub points: Vec<Point>,
    /// How much it changes a day: the median of the slopes between all pairs of days. Null with fewer than three days.
    pub slope_per_day: Option<f64>,
    /// Whether the change is more than chance, by the test of Mann and Kendall at 5 %.
    pub significant: bool,
}

/// A day of a trend.
#[derive(SimpleObject)]
pub struct Point {
    /// The day, from midnight UTC.
    pub at: DateTime<Utc>,
    /// The value; null where no run tells it.
    pub value: Option<f64>,
    /// How many runs it is about.
    pub n: i32,
}

impl From<app::stats::Trend> for Trend {
    fn from(trend: app::stats::Trend) -> Self {
        let points = trend.points.into_iter().map(|point| Point {
            at: point.at,
            value: point.value,
            n: i32::try_from(point.runs).unwrap_or(i32::MAX),
        });
        Self {
            metric: trend.metric,
            points: points.collect(),
            slope_per_day: trend.slope_per_day,
            significant: trend.significant,
        }
    }
}

/// How long a run was expected to take.
#[derive(SimpleObject)]
pub struct Prediction {
    /// The expected time.
    seconds: f64,
    /// The lower end of the interval.
    low: f64,
    /// The upper end of the interval.
    high: f64,
    /// How many of 1 fall within.
    coverage: f64,
    /// How many runs it is based on.
    based_on_runs: i32,
}

/// What was unusual about a run.
#[derive(SimpleObject)]
pub struct Anomaly {
    /// The run.
    run_id: ID,
    /// What was measured.
    metric: String,
    /// The value.
    value: f64,
    /// The lower end of what is usual.
    low: f64,
    /// The upper end of what is usual.
    high: f64,
    /// How unusual it is.
    score: f64,
}

/// What to change, and why.
#[derive(SimpleObject)]
pub struct Recommendation {
    /// Its id.
    id: ID,
    /// What to do.
    text: String,
    /// What it rests on.
    evidence: Json<Value>,
    /// What it gains.
    gain: String,
    /// The settings that it changes.
    changes: Json<Value>,
}

/// Says that something of the schema is not built yet.
pub fn not_built<T>(what: &'static str) -> Result<T> {
    Err(Error::conflict(format!("{what} are not computed by this version"))
        .help("leave the field out; docs/api.md lists what is not built yet")
        .into())
}
