//! How large the database becomes, and what more projects would cost.

use chrono::{Datelike, NaiveDate};

use super::{DAYS, reach};
use crate::app::run::bounded;
use crate::app::{Actor, App, Error, Result, Verb, project};
use crate::domain::insight::{Growth, grow};
use crate::store::insight;
use crate::store::patience::{LONGEST, again};
use crate::store::within;

/// A table, or the whole database, and how it grows.
#[derive(Clone, Debug)]
pub struct Grown {
    /// The table; `database` for all of it.
    pub name: String,
    /// Bytes on its last day.
    pub bytes: i64,
    /// That day.
    pub day: NaiveDate,
    /// In 30 and in 90 days; none before a week is known.
    pub ahead: Option<[Growth; 2]>,
}

/// The sizes of tables, the largest first. Of all projects together: whoever reaches only some of them may not.
///
/// # Errors
/// Where the actor may not.
pub async fn sizes(app: &App, actor: &Actor) -> Result<Vec<Grown>> {
    actor.may(Verb::ReadStatistics)?;
    if actor.projects.is_some() {
        return Err(
            Error::forbidden("sizes are those of all projects together").help("ask with access to all projects")
        );
    }
    let pool = app.pool();
    let rows = again(|| within(LONGEST, insight::sizes(&pool))).await?;
    let mut grown: Vec<Grown> = Vec::new();
    for of_name in rows.chunk_by(|one, other| one.name == other.name) {
        let Some(last) = of_name.last() else { continue };
        #[allow(clippy::cast_precision_loss)] // bytes
        let sizes: Vec<(f64, f64)> =
            of_name.iter().map(|size| (f64::from(size.day.num_days_from_ce()), size.bytes as f64)).collect();
        let ahead = grow(&sizes, 30.0).zip(grow(&sizes, 90.0)).map(|(month, quarter)| [month, quarter]);
        grown.push(Grown { name: last.name.clone(), bytes: last.bytes, day: last.day, ahead });
    }
    grown.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    Ok(grown)
}

/// What more projects like one would cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhatIf {
    /// How many.
    pub projects: i64,
    /// Days of history that it rests on.
    pub days: i64,
    /// Runs a day.
    pub runs: f64,
    /// Requests to Jira a day.
    pub requests: f64,
    /// Atlassian's points a day.
    pub points: f64,
    /// Runs under way at once, on average.
    pub at_once: f64,
    /// Issues that are new or changed a day.
    pub issues_changed: f64,
}

/// What `count` projects more like the named one would cost a day, by its last 28 days; none where it has no history.
///
/// # Errors
/// Where the actor may not, there is no such project within reach, or the number is out of bounds.
pub async fn what_if(app: &App, actor: &Actor, named: &str, count: i64) -> Result<Option<WhatIf>> {
    actor.may(Verb::ReadStatistics)?;
    let count = bounded("count", Some(count), 1, 1, 100_000)?;
    let project = project::find(app, actor, named, false).await?;
    let (pool, ids) = (app.pool(), reach(actor, Some(project.id)));
    let rows = again(|| within(LONGEST, insight::daily(&pool, 28.min(DAYS), ids.as_deref(), 1_000))).await?;
    let (Some(newest), Some(oldest)) = (rows.first(), rows.last()) else { return Ok(None) };
    let days = (newest.day - oldest.day).num_days() + 1;
    #[allow(clippy::cast_precision_loss)] // counts
    let each = |sum: f64| sum / days as f64 * count as f64;
    #[allow(clippy::cast_precision_loss)]
    let sum = |of: fn(&insight::Daily) -> i64| rows.iter().map(of).sum::<i64>() as f64;
    let (requests, issues) = (sum(|row| row.requests), sum(|row| row.issues));
    Ok(Some(WhatIf {
        projects: count,
        days,
        runs: each(sum(|row| row.runs)),
        requests: each(requests),
        points: each(requests + issues),
        at_once: each(rows.iter().map(|row| row.seconds).sum::<f64>()) / 86_400.0,
        issues_changed: each(sum(|row| row.issues_changed)),
    }))
}
