//! What history teaches. Health and trends are told; what is not built yet says so.

use async_graphql::{ID, Json, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::app;

/// How well a project is.
#[derive(SimpleObject)]
pub struct Health {
    /// well, ailing, failing, site failing, never, paused or removed.
    state: String,
    /// 0 to 100; null while the project is paused, or before its first run.
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

impl From<app::insight::Part> for HealthPart {
    fn from(part: app::insight::Part) -> Self {
        Self { name: part.name.to_owned(), value: part.value, weight: part.weight }
    }
}

#[allow(clippy::cast_possible_truncation)] // 0 to 100
fn whole(score: f64) -> i32 {
    score.round() as i32
}

impl Health {
    /// Of a project; none once it was removed.
    pub fn of(health: Option<&app::health::Health>) -> Self {
        let state = health.map_or("removed", |health| health.state).to_owned();
        let reasons = health.map(app::health::Health::reasons).unwrap_or_default();
        Self { state, score: None, parts: Vec::new(), reasons }
    }

    /// The same with a score, where there is one.
    pub fn scored(mut self, score: Option<app::insight::Score>) -> Self {
        if let Some(score) = score {
            self.score = Some(whole(score.score));
            self.parts = score.parts.into_iter().map(HealthPart::from).collect();
            self.reasons.extend(score.reasons);
        }
        self
    }

    /// The same with a score that is made of others.
    pub fn rated(self, score: Option<f64>) -> Self {
        Self { score: score.map(whole), ..self }
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

impl From<app::insight::Forecast> for Prediction {
    fn from(expected: app::insight::Forecast) -> Self {
        Self {
            seconds: expected.seconds,
            low: expected.low,
            high: expected.high,
            coverage: app::insight::COVERAGE,
            based_on_runs: i32::try_from(expected.based_on).unwrap_or(i32::MAX),
        }
    }
}

impl From<app::insight::Anomaly> for Anomaly {
    fn from(found: app::insight::Anomaly) -> Self {
        let metric = found.metric.as_str().to_owned();
        Self {
            run_id: found.run.into(),
            metric,
            value: found.value,
            low: found.low,
            high: found.high,
            score: found.score,
        }
    }
}

impl From<app::insight::Advice> for Recommendation {
    fn from(advice: app::insight::Advice) -> Self {
        let changes = advice.change.as_ref().map_or_else(|| serde_json::json!([]), app::insight::Change::json);
        Self {
            id: advice.id.into(),
            text: advice.text,
            evidence: Json(advice.evidence),
            gain: advice.gain,
            changes: Json(changes),
        }
    }
}
