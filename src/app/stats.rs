//! What the runs of some days add up to.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::run::bounded;
use super::{Actor, App, Error, Result, Verb};
use crate::store::patience::{LONGEST, again};
use crate::store::{statistics, within};

pub use crate::store::statistics::Sum;

/// How a figure went from day to day.
#[derive(Clone, Debug)]
pub struct Trend {
    /// Its name.
    pub metric: String,
    /// A point for each day with a run, the oldest first.
    pub points: Vec<TrendPoint>,
    /// The median of the slopes between all pairs of days; none with fewer than three.
    pub slope_per_day: Option<f64>,
    /// Whether the change is more than chance, by the test of Mann and Kendall at 5 %.
    pub significant: bool,
}

/// A day of a trend.
#[derive(Clone, Copy, Debug)]
pub struct TrendPoint {
    /// The day, from midnight UTC.
    pub at: DateTime<Utc>,
    /// The value; none where no run tells it.
    pub value: Option<f64>,
    /// How many runs it is about.
    pub runs: i64,
}

/// The figures that trends are known of.
pub const METRICS: [&str; 5] = ["success_rate", "issues", "runs", "duration", "requests"];

/// How a figure of the runs went over the last `days` days; of one project, if it is given.
///
/// # Errors
/// Where the actor may not, the figure is unknown, or the number of days is out of bounds.
pub async fn trend(app: &App, actor: &Actor, project: Option<Uuid>, metric: &str, days: i64) -> Result<Trend> {
    actor.may(Verb::ReadStatistics)?;
    if !METRICS.contains(&metric) {
        return Err(Error::invalid("metric", "there is no such figure").help(format!("one of {}", METRICS.join(", "))));
    }
    let days = bounded("days", Some(days), 28, 1, 90)?;
    let projects = match project {
        Some(id) if actor.reaches(id) => Some(vec![id]),
        Some(_) => Some(Vec::new()),
        None => actor.projects.clone(),
    };
    let pool = app.pool();
    let asked = i32::try_from(days).unwrap_or(28);
    let sums = again(|| within(LONGEST, statistics::summary(&pool, asked, projects.as_deref()))).await?;
    let points: Vec<TrendPoint> = sums
        .iter()
        .filter_map(|sum| Some(TrendPoint { at: sum.day?, value: value(metric, sum), runs: sum.runs }))
        .collect();
    #[allow(clippy::cast_precision_loss)] // days
    let known: Vec<(f64, f64)> =
        points.iter().filter_map(|point| Some((point.at.timestamp() as f64 / 86_400.0, point.value?))).collect();
    let (slope_per_day, significant) = slope(&known);
    Ok(Trend { metric: metric.to_owned(), points, slope_per_day, significant })
}

#[allow(clippy::cast_precision_loss)] // counts
fn value(metric: &str, sum: &Sum) -> Option<f64> {
    match metric {
        "success_rate" => {
            let ended = sum.succeeded + sum.failed;
            (ended > 0).then(|| sum.succeeded as f64 / ended as f64)
        }
        "issues" => Some(sum.issues as f64),
        "requests" => Some(sum.requests as f64),
        "duration" => sum.average_seconds,
        _ => Some(sum.runs as f64),
    }
}

/// The median slope (Theil and Sen), and whether there is a trend (Mann and Kendall, with ties, at 5 %).
fn slope(points: &[(f64, f64)]) -> (Option<f64>, bool) {
    let n = points.len();
    if n < 3 {
        return (None, false);
    }
    let pairs = || points.iter().enumerate().flat_map(|(at, a)| points.iter().skip(at + 1).map(move |b| (a, b)));
    let mut slopes: Vec<f64> = pairs().map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    slopes.sort_by(f64::total_cmp);
    let middle = slopes.len() / 2;
    let at = |place: usize| slopes.get(place).copied().unwrap_or_default();
    let median = if slopes.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle - 1), at(middle)) };
    let sign = |difference: f64| match difference.total_cmp(&0.0) {
        _ if difference == 0.0 => 0.0,
        std::cmp::Ordering::Less => -1.0,
        _ => 1.0,
    };
    let score: f64 = pairs().map(|(a, b)| sign(b.1 - a.1)).sum();
    let weight = |count: f64| count * (count - 1.0) * (2.0 * count + 5.0);
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss)] // days
    let ties: f64 = values.chunk_by(|a, b| a == b).map(|tied| weight(tied.len() as f64)).sum();
    #[allow(clippy::cast_precision_loss)]
    let variance = (weight(n as f64) - ties) / 18.0;
    // 1.96 deviations, with the correction for a score of whole numbers.
    let significant = variance > 0.0 && (score.abs() - 1.0) / variance.sqrt() > 1.96;
    (Some(median), significant)
}

/// The runs of some days.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How many days.
    pub days: i64,
    /// In all.
    pub all: Sum,
    /// Day by day, the oldest first; days without a run are left out.
    pub by_day: Vec<Sum>,
}

impl Summary {
    /// The share of runs that succeeded, of those that ended well or badly; none where none did.
    pub fn success_share(&self) -> Option<f64> {
        let ended = self.all.succeeded + self.all.failed;
        #[allow(clippy::cast_precision_loss)] // counts of runs
        (ended > 0).then(|| self.all.succeeded as f64 / ended as f64)
    }
}

/// What the runs of the last `days` days add up to: 7 unless said.
///
/// # Errors
/// Where the actor may not, or the number of days is out of bounds.
pub async fn summary(app: &App, actor: &Actor, days: Option<i64>) -> Result<Summary> {
    actor.may(Verb::ReadStatistics)?;
    let days = bounded("days", days, 7, 1, 90)?;
    let pool = app.pool();
    let asked = i32::try_from(days).unwrap_or(7);
    let read = || statistics::summary(&pool, asked, actor.projects.as_deref());
    let mut sums = again(|| within(LONGEST, read())).await?;
    // The sum of nothing is a row too.
    let all = sums.pop().unwrap_or(Sum {
        day: None,
        runs: 0,
        succeeded: 0,
        failed: 0,
        cancelled: 0,
        active: 0,
        issues: 0,
        issues_changed: 0,
        requests: 0,
        average_seconds: None,
        projects: 0,
    });
    Ok(Summary { days, all, by_day: sums })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_told_from_chance() {
        let series =
            |values: &[f64]| values.iter().enumerate().map(|(day, value)| (day as f64, *value)).collect::<Vec<_>>();
        let (slope_of, is_trend) = slope(&series(&[1.0, 3.0, 5.0, 7.0, 9.0, 11.0]));
        assert!((slope_of.unwrap() - 2.0).abs() < 1e-9 && is_trend);
        let (_, is_trend) = slope(&series(&[5.0, 3.0, 6.0, 4.0, 5.0, 5.0]));
        assert!(!is_trend);
        // One outlier does not turn the slope.
        let (slope_of, _) = slope(&series(&[1.0, 1.0, 90.0, 1.0, 1.0, 1.0, 1.0]));
        assert!(slope_of.unwrap().abs() < 1e-9);
        assert_eq!(slope(&series(&[1.0, 2.0])), (None, false));
        assert_eq!(slope(&series(&[2.0; 5])), (Some(0.0), false));
    }
}
