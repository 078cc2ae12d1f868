//! Insights: what the history of runs teaches, for whoever may read statistics.
//!
//! The figures themselves are [`crate::domain::insight`]'s; here runs are read, within bounds, and names are put to what was
//! found. What must hold: nobody learns of projects beyond their reach, not even from a figure about all of them.

mod advice;
mod growth;
mod runs;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{Actor, App, Error, Result, Verb};
use crate::domain::cron::Schedule;
use crate::domain::insight::{self as figures, Facts, Run};
use crate::store::insight::{self, ProjectFacts};
use crate::store::patience::{LONGEST, again};
use crate::store::within;

pub use advice::{Advice, Change, apply, patterns, recommendations};
pub use growth::{Grown, WhatIf, sizes, what_if};
pub use runs::{Found, anomalies, anomalies_of, expected, forecast};

pub use crate::domain::insight::{Anomaly, COVERAGE, Forecast, Part, Pattern, Score, Work};
pub use crate::store::insight::Daily;

/// The days of history that are read, and the most runs of each project.
const DAYS: i32 = 90;
const MOST_RUNS: i64 = 3_000;
/// Projects whose whole history is read for one answer.
const MOST_PROJECTS: usize = 100;
/// Rows of days for one answer.
const MOST_ROWS: i64 = 10_000;

/// A project and its score.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The project.
    pub project_id: Uuid,
    /// Its site.
    pub site: String,
    /// SITE/KEY.
    pub project: String,
    /// Its score; none while it is paused, or before its first run.
    pub score: Option<Score>,
}

/// How well projects are.
#[derive(Clone, Debug)]
pub struct Health {
    /// Of all of them together: 0 to 100.
    pub score: Option<f64>,
    /// Of each site that has a score.
    pub sites: Vec<(String, f64)>,
    /// Each project, the worst first; those without a score last.
    pub projects: Vec<Scored>,
}

/// The scores of the projects within reach; of one where `only` names it.
///
/// # Errors
/// Where the actor may not.
pub async fn health(app: &App, actor: &Actor, only: Option<Uuid>) -> Result<Health> {
    actor.may(Verb::ReadStatistics)?;
    let facts = facts(app, actor, only).await?;
    let ids: Vec<Uuid> = facts.iter().map(|one| one.project_id).collect();
    // Two weeks of a run every quarter of an hour; of many projects, the last two days are enough to tell them apart.
    let most = if ids.len() <= MOST_PROJECTS { 1_400 } else { 200 };
    let mut runs = runs_of(app, &ids, 14, most).await?;
    let now = app.clock.now();
    let mut projects: Vec<Scored> = facts
        .into_iter()
        .map(|one| {
            let runs = runs.remove(&one.project_id).unwrap_or_default();
            let score = figures::score(&runs, &weighed(&one, now), now);
            Scored { project_id: one.project_id, project: format!("{}/{}", one.site, one.key), site: one.site, score }
        })
        .collect();
    let rank = |scored: &Scored| scored.score.as_ref().map_or(f64::MAX, |score| score.score);
    projects.sort_by(|one, other| rank(one).total_cmp(&rank(other)));
    let of = |site: Option<&str>| {
        let of_site = projects.iter().filter(|one| site.is_none_or(|site| one.site == site));
        let scores: Vec<f64> = of_site.filter_map(|one| one.score.as_ref()).map(|score| score.score).collect();
        figures::of_several(&scores)
    };
    let mut names: Vec<&str> = projects.iter().map(|one| one.site.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let sites = names.into_iter().filter_map(|site| Some((site.to_owned(), of(Some(site))?))).collect();
    Ok(Health { score: of(None), sites, projects })
}

fn weighed(project: &ProjectFacts, now: DateTime<Utc>) -> Facts {
    let every = schedule(project).map_or(TimeDelta::hours(1), |schedule| {
        TimeDelta::from_std(schedule.interval_at(now)).unwrap_or(TimeDelta::hours(1))
    });
    #[allow(clippy::cast_precision_loss)] // counts
    Facts {
        is_paused: project.state == "paused",
        // A run may be late, and takes its time.
        objective: (every * 2).max(TimeDelta::minutes(15)),
        fresh_as_of: project.fresh_as_of,
        last_success_at: project.last_success_at,
        has_critical_alert: project.has_critical_alert,
        rejected: project.rejected as f64,
        issues: project.issues as f64,
        different: project.different as f64,
        is_owed: project.is_owed,
    }
}

fn schedule(project: &ProjectFacts) -> Option<Schedule> {
    Schedule::parse(project.cron.as_deref()?, project.time_zone.as_deref().unwrap_or("UTC")).ok()
}

fn zone(project: &ProjectFacts) -> Tz {
    project.time_zone.as_deref().and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC)
}

/// What the runs of each day add up to: of one project or of all within reach, the newest day first.
///
/// # Errors
/// Where the actor may not, the number of days is out of bounds, or there are more than 10,000 rows: none is left out unsaid.
pub async fn daily(app: &App, actor: &Actor, only: Option<Uuid>, days: Option<i64>) -> Result<Vec<Daily>> {
    actor.may(Verb::ReadStatistics)?;
    let days = i32::try_from(super::run::bounded("days", days, 28, 1, 3_650)?).unwrap_or(28);
    let pool = app.pool();
    let ids = reach(actor, only);
    let rows = again(|| within(LONGEST, insight::daily(&pool, days, ids.as_deref(), MOST_ROWS + 1))).await?;
    if i64::try_from(rows.len()).is_ok_and(|found| found > MOST_ROWS) {
        return Err(Error::invalid("days", format!("{days} days are more than {MOST_ROWS} rows"))
            .help("ask for fewer days, or name a project where that is possible"));
    }
    Ok(rows)
}

/// The projects that are asked about: none for all.
fn reach(actor: &Actor, only: Option<Uuid>) -> Option<Vec<Uuid>> {
    match only {
        Some(id) if actor.reaches(id) => Some(vec![id]),
        Some(_) => Some(Vec::new()),
        None => actor.projects.clone(),
    }
}

async fn facts(app: &App, actor: &Actor, only: Option<Uuid>) -> Result<Vec<ProjectFacts>> {
    let pool = app.pool();
    let ids = reach(actor, only);
    Ok(again(|| within(LONGEST, insight::facts(&pool, ids.as_deref()))).await?)
}

/// The same, of so few projects that the history of each can be read.
async fn few(app: &App, actor: &Actor, only: Option<Uuid>) -> Result<Vec<ProjectFacts>> {
    let facts = facts(app, actor, only).await?;
    if facts.len() > MOST_PROJECTS {
        let found = facts.len();
        return Err(Error::invalid("project", format!("{found} projects are more than {MOST_PROJECTS} at once"))
            .help("name a project"));
    }
    Ok(facts)
}

async fn runs_of(app: &App, projects: &[Uuid], days: i32, most: i64) -> Result<HashMap<Uuid, Vec<Run>>> {
    let pool = app.pool();
    let mut runs: HashMap<Uuid, Vec<Run>> = HashMap::new();
    for (project, run) in again(|| within(LONGEST, insight::runs(&pool, projects, days, most))).await? {
        runs.entry(project).or_default().push(run);
    }
    Ok(runs)
}
