//! `syncline health`: which projects are well, and what ails the others.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::output::{time, time_or_dash};
use super::{Context, Error, Fields, Row, project};
use crate::app::health::{self, Counts, Health};
use crate::app::queue;

/// Show the health of projects, and what is wrong with unhealthy ones
#[derive(Debug, clap::Args)]
pub struct HealthArgs {
    /// Only this one, as KEY or SITE/KEY
    #[arg(add = super::completing::projects())]
    project: Option<String>,
    /// Exit with code 3 unless all projects are healthy
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(args: HealthArgs, context: &Context) -> Result<(), Error> {
    let only = match &args.project {
        Some(text) => Some(project::find(context, text, false).await?.id),
        None => None,
    };
    let found = health::list(&context.app(), &context.acting(), only).await?;
    let rows: Vec<_> = found.into_iter().map(Shown::of).collect();
    match (&args.project, rows.first()) {
        (Some(_), Some(row)) => context.output.fields(row)?,
        _ => context.output.rows(&rows, "no project yet: add one with `syncline project add SITE KEY`")?,
    }
    let sick = rows.iter().filter(|row| row.state == "failing" || row.state == "site failing").count();
    for trouble in
        queue::workers(&context.app(), &context.acting()).await?.iter().filter_map(queue::Worker::clock_trouble)
    {
        context.output.note(&format!("{trouble}; Syncline does not use it, but you should correct it (NTP)"));
    }
    if args.check && sick > 0 {
        return Err(Error::unhealthy(format!("{sick} of {} projects fail", rows.len())));
    }
    Ok(())
}

#[derive(Serialize)]
struct Shown {
    project: String,
    state: &'static str,
    code: Option<String>,
    failure_streak: i32,
    success_streak: i32,
    slow_streak: i32,
    since: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    last_failure_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    /// What is ahead of the clock.
    ahead: Option<String>,
    advice: Option<&'static str>,
    alerting: Vec<String>,
    rejected: Counts,
    rung: i16,
    next_run_at: Option<DateTime<Utc>>,
}

impl Shown {
    fn of(Health { row, state, ahead, advice, rejected }: Health) -> Self {
        Self {
            project: format!("{}/{}", row.site, row.key),
            state,
            advice,
            since: row.site_since.or(row.failing_since),
            code: row.code,
            ahead,
            failure_streak: row.failure_streak,
            success_streak: row.success_streak,
            slow_streak: row.slow_streak,
            last_success_at: row.last_success_at,
            last_failure_at: row.last_failure_at,
            last_error: row.last_error,
            alerting: row.alerting,
            rejected,
            rung: row.rung,
            next_run_at: row.next_run_at,
        }
    }
}

impl Row for Shown {
    const HEADERS: &'static [&'static str] =
        &["PROJECT", "STATE", "CODE", "IN A ROW", "SINCE", "LAST SUCCESS", "RUNG", "NEXT RUN"];

    fn cells(&self) -> Vec<String> {
        let streak = if self.failure_streak > 0 {
            format!("{} failed", self.failure_streak)
        } else {
            format!("{} succeeded", self.success_streak)
        };
        vec![
            self.project.clone(),
            self.state.to_owned(),
            self.code.clone().unwrap_or_else(|| "-".into()),
            streak,
            time_or_dash(self.since),
            time_or_dash(self.last_success_at),
            self.rung.to_string(),
            time_or_dash(self.next_run_at),
        ]
    }
}

impl Fields for Shown {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let often = |n: i32| if n > 0 { format!("{n} in a row") } else { String::new() };
        vec![
            ("project", self.project.clone()),
            ("state", self.state.to_owned()),
            ("code", self.code.clone().unwrap_or_default()),
            ("failures", often(self.failure_streak)),
            ("successes", often(self.success_streak)),
            ("slow runs", often(self.slow_streak)),
            ("since", self.since.map(time).unwrap_or_default()),
            ("last success", self.last_success_at.map(time).unwrap_or_default()),
            ("last failure", self.last_failure_at.map(time).unwrap_or_default()),
            ("last error", self.last_error.clone().unwrap_or_default()),
            ("ahead", self.ahead.clone().unwrap_or_default()),
            ("what to do", self.advice.unwrap_or_default().to_owned()),
            ("alerts", self.alerting.join(", ")),
            ("unreadable", health::in_words(&self.rejected)),
            ("rung", if self.rung > 0 { self.rung.to_string() } else { String::new() }),
            ("next run", self.next_run_at.map(time).unwrap_or_default()),
        ]
    }
}
