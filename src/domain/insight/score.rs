//! How well a project is: 0 to 100, with what it is made of and why.
//!
//! What must hold: a project that is paused has no score; one with a critical alert has 40 at most, one without a success
//! for a day 20 at most, whatever else is well.

use chrono::{DateTime, TimeDelta, Utc};

use super::numbers::{line, median};
use super::{Run, Work, days_between};

/// After so many days a run counts half.
const HALF_LIFE_DAYS: f64 = 2.0;
/// Days that a trouble is remembered.
const STEADY_DAYS: i64 = 14;
/// A project of which every fifth run fails could not do worse.
const WORST_SHARE: f64 = 0.8;
const CRITICAL_CAP: f64 = 40.0;
const NO_SUCCESS_CAP: f64 = 20.0;

/// What is known of a project beside its runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// It is paused: nothing is expected of it.
    pub is_paused: bool,
    /// The data may be this old.
    pub objective: TimeDelta,
    /// As of when the replica is complete.
    pub fresh_as_of: Option<DateTime<Utc>>,
    /// When a run last succeeded.
    pub last_success_at: Option<DateTime<Utc>>,
    /// A critical alert about it or its site is open.
    pub has_critical_alert: bool,
    /// Records that cannot be read.
    pub rejected: f64,
    /// Issues in the replica.
    pub issues: f64,
    /// Issues that the last verification found to differ.
    pub different: f64,
    /// Comments, worklogs or history of some issues are to be read again.
    pub is_owed: bool,
}

/// A part of a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// `success`, `steadiness`, `freshness`, `speed` or `completeness`.
    pub name: &'static str,
    /// 0 to 1.
    pub value: f64,
    /// How much it counts: all weights are 1.
    pub weight: f64,
}

/// A score.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// 0 to 100.
    pub score: f64,
    /// What it is made of.
    pub parts: Vec<Part>,
    /// Why it is not 100, in sentences; the worst first.
    pub reasons: Vec<String>,
}

/// The score at `now`, of runs that come oldest first; none of a paused project, or of one before its first run. One that ran
/// and does not run any more has a bad one.
pub fn score(runs: &[Run], facts: &Facts, now: DateTime<Utc>) -> Option<Score> {
    if facts.is_paused || runs.is_empty() && facts.last_success_at.is_none() {
        return None;
    }
    let parts = vec![
        Part { name: "success", value: success(runs, now), weight: 0.35 },
        Part { name: "steadiness", value: steadiness(runs, now), weight: 0.15 },
        Part { name: "freshness", value: freshness(facts, now), weight: 0.25 },
        Part { name: "speed", value: apdex(runs), weight: 0.1 },
        Part { name: "completeness", value: completeness(facts), weight: 0.15 },
    ];
    let mut score = parts.iter().map(|part| part.value * part.weight).sum::<f64>() * 100.0;
    let mut reasons: Vec<(f64, String)> = parts
        .iter()
        .filter(|part| part.value < 0.95)
        .map(|part| ((1.0 - part.value) * part.weight, reason(part, facts, now)))
        .collect();
    reasons.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut reasons: Vec<String> = reasons.into_iter().map(|(_, reason)| reason).collect();
    if facts.has_critical_alert {
        score = score.min(CRITICAL_CAP);
        reasons.insert(0, "a critical alert is open: 40 at most".to_owned());
    }
    if facts.last_success_at.is_none_or(|at| now - at > TimeDelta::days(1)) {
        score = score.min(NO_SUCCESS_CAP);
        reasons.insert(0, "no run has succeeded for a day: 20 at most".to_owned());
    }
    Some(Score { score, parts, reasons })
}

/// Of several projects: the mean, drawn to the worst, so that one of a hundred that is down is seen. None where none has a
/// score.
pub fn of_several(scores: &[f64]) -> Option<f64> {
    let worst = scores.iter().copied().min_by(f64::total_cmp)?;
    #[allow(clippy::cast_precision_loss)] // projects
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    Some(0.75 * mean + 0.25 * worst)
}

/// The share of runs that succeeded, newer ones counting more: 1 for all, 0 for four of five and less. Half a success is
/// taken for granted, so that the first failure of a new project is not the end of the world.
fn success(runs: &[Run], now: DateTime<Utc>) -> f64 {
    let ended = runs.iter().filter(|run| run.end != super::End::Cancelled);
    let (mut well, mut all) = (0.5, 0.5);
    for run in ended {
        let weight = 0.5f64.powf(days_between(run.finished_at, now).max(0.0) / HALF_LIFE_DAYS);
        all += weight;
        if run.succeeded() {
            well += weight;
        }
    }
    1.0 - ((1.0 - well / all) / (1.0 - WORST_SHARE)).min(1.0).sqrt()
}

/// The share of the last 14 days without a failure: troubles come together, and a site that had some will have more.
fn steadiness(runs: &[Run], now: DateTime<Utc>) -> f64 {
    let failed = runs.iter().filter(|run| matches!(run.end, super::End::Failed(_)));
    #[allow(clippy::cast_possible_truncation)] // days
    let days: std::collections::BTreeSet<i64> =
        failed.map(|run| days_between(run.finished_at, now) as i64).filter(|day| *day < STEADY_DAYS).collect();
    #[allow(clippy::cast_precision_loss)] // days
    let share = days.len() as f64 / STEADY_DAYS as f64;
    1.0 - share.sqrt()
}

/// 1 within the objective, 0 from four times the objective on.
fn freshness(facts: &Facts, now: DateTime<Utc>) -> f64 {
    let Some(as_of) = facts.fresh_as_of else { return 0.0 };
    let objective = facts.objective.as_seconds_f64().max(1.0);
    ((4.0 - (now - as_of).as_seconds_f64() / objective) / 3.0).clamp(0.0, 1.0)
}

/// Apdex against what runs of their kind and size take: up to 1.5 times is satisfying, up to 4 times is tolerable (half).
fn apdex(runs: &[Run]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for work in Work::ALL {
        let like = runs.iter().rev().filter(|run| run.work == work && run.succeeded()).take(60);
        let points: Vec<(f64, f64)> = like.map(|run| (run.issues, run.seconds())).collect();
        let Some(middle) = median(&points.iter().map(|point| point.1).collect::<Vec<_>>()) else { continue };
        if points.len() < 5 {
            continue;
        }
        let (start, slope) = line(&points).filter(|(_, slope)| *slope > 0.0).unwrap_or((middle, 0.0));
        for (issues, seconds) in points.iter().take(30) {
            // Below a second nobody waits.
            let usual = (start + slope * issues).max(1.0);
            sum += if *seconds <= 1.5 * usual {
                1.0
            } else if *seconds <= 4.0 * usual {
                0.5
            } else {
                0.0
            };
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { 1.0 }
}

fn completeness(facts: &Facts) -> f64 {
    let lacking = facts.rejected + facts.different;
    // One issue that lacks is seen, and a hundredth of them is all that may lack.
    let share = if lacking > 0.0 { (0.1 + 90.0 * lacking / facts.issues.max(lacking)).min(1.0) } else { 0.0 };
    (1.0 - share) * if facts.is_owed { 0.8 } else { 1.0 }
}

fn reason(part: &Part, facts: &Facts, now: DateTime<Utc>) -> String {
    match part.name {
        "success" => format!("runs failed lately: {:.0} of 100 for success", part.value * 100.0),
        "steadiness" => "runs failed on several of the last 14 days".to_owned(),
        "freshness" => match facts.fresh_as_of {
            Some(at) => format!(
                "the replica is {} minutes old, {} are the objective",
                (now - at).num_minutes(),
                facts.objective.num_minutes()
            ),
            None => "the replica is not complete yet".to_owned(),
        },
        "speed" => "runs take longer than they usually do".to_owned(),
        _ => {
            let mut parts = Vec::new();
            if facts.rejected > 0.0 {
                parts.push(format!("{:.0} records cannot be read", facts.rejected));
            }
            if facts.different > 0.0 {
                parts.push(format!("the last verification found {:.0} issues to differ", facts.different));
            }
            if facts.is_owed {
                parts.push("parts of some issues are to be read again".to_owned());
            }
            parts.join("; ")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_project_that_stopped_running_is_not_without_a_score() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        let at = |days: i64| Some(now - TimeDelta::days(days));
        let facts =
            Facts { objective: TimeDelta::hours(1), last_success_at: at(20), fresh_as_of: at(20), ..Facts::default() };
        let stopped = score(&[], &facts, now).unwrap();
        assert!(stopped.score <= NO_SUCCESS_CAP && stopped.reasons[0].contains("for a day"), "{stopped:?}");
        assert_eq!(score(&[], &Facts::default(), now), None, "before its first run");
        assert_eq!(score(&[], &Facts { is_paused: true, ..facts }, now), None);
    }
}
