//! The work: whether somebody does it, and what of it does not go on.

use super::super::Context;
use super::{Report, some_of};
use crate::domain::cron;
use crate::store::ahead;
use crate::store::doctor::{self, TroubledProject};
use crate::store::project::{self, ProjectFilter};
use crate::store::queue_view;
use crate::store::upkeep;

/// A step that could run and does not for so long has nobody to run it.
const LONG_WAIT_SECONDS: f64 = 120.0;
/// Rows that should be gone for so long tell of a janitor that does not keep up; as the alert SynclineJanitorBehind has it.
const JANITOR_BEHIND_SECONDS: f64 = 21_600.0;
/// A run that did not start for so long after its time is overdue.
const OVERDUE_SECONDS: f64 = 300.0;

/// Workers, queue, schedules, projects.
pub(super) async fn check(context: &Context, report: &mut Report) {
    check_workers(context, report).await;
    check_queue(context, report).await;
    check_schedules(context, report).await;
    check_projects(context, report).await;
    check_janitor(context, report).await;
    check_times(context, report).await;
}

/// What Jira has dated ahead of the clock, and cursors that stood there.
async fn check_times(context: &Context, report: &mut Report) {
    let ahead = match ahead::list(&context.pool, None).await {
        Ok(ahead) => ahead,
        Err(problem) => return report.refused("times", &problem),
    };
    let found: Vec<String> =
        ahead.iter().filter(|one| one.is_any()).map(|one| format!("{}: {}", one.name, one.sentence())).collect();
    if found.is_empty() {
        return report.pass("times", "no issue and no cursor is ahead of the clock");
    }
    let remedy = "check the clocks of Jira's servers; nothing is lost, and an edit gives the issue a new date";
    report.warn("times", some_of(found.iter().map(String::as_str)), remedy);
}

async fn check_workers(context: &Context, report: &mut Report) {
    let workers = match queue_view::workers(&context.pool).await {
        Ok(workers) => workers,
        Err(problem) => return report.refused("workers", &problem),
    };
    if workers.is_empty() {
        let remedy = "start one: syncline worker";
        return match project::list(&context.pool, &ProjectFilter::default()).await {
            Ok(projects) if projects.iter().any(|project| project.state == "active") => {
                report.fail("workers", "no worker is alive: nothing is synchronised", remedy);
            }
            Ok(_) => report.warn("workers", "no worker is alive", remedy),
            Err(problem) => report.refused("workers", &problem),
        };
    }
    check_clocks(&workers, report);
    let own = env!("CARGO_PKG_VERSION");
    let strangers: Vec<String> = workers
        .iter()
        .filter(|worker| worker.version != own)
        .map(|worker| format!("{} (pid {}) is {}", worker.host, worker.pid, worker.version))
        .collect();
    if strangers.is_empty() {
        return report.pass("workers", format!("{} alive, version {own}", workers.len()));
    }
    let found = format!("this program is {own}; {}", some_of(strangers.iter().map(String::as_str)));
    report.warn("workers", found, "bring all workers to one version, unless a roll-out is in progress");
}

async fn check_janitor(context: &Context, report: &mut Report) {
    let lags = match upkeep::lags(&context.pool).await {
        Ok(lags) => lags,
        Err(problem) => return report.refused("old rows", &problem),
    };
    let behind: Vec<String> = lags
        .iter()
        .filter(|(_, seconds)| *seconds > JANITOR_BEHIND_SECONDS)
        .map(|(kind, seconds)| format!("{kind}: {:.0} h", seconds / 3_600.0))
        .collect();
    if behind.is_empty() {
        return report.pass("old rows", "removed according to the retention settings");
    }
    let found = format!("not removed in time: {}", some_of(behind.iter().map(String::as_str)));
    report.warn(
        "old rows",
        found,
        "keep a worker running: its janitor removes them, and logs upkeep_failed if it cannot",
    );
}

/// Workers whose machines have another time than the database.
fn check_clocks(workers: &[queue_view::Worker], report: &mut Report) {
    let off: Vec<String> = workers.iter().filter_map(queue_view::Worker::clock_trouble).collect();
    if off.is_empty() {
        return report.pass("workers' clocks", "as the database's");
    }
    let remedy = "correct these machines' clocks (NTP); workers use the database's clock, so only their logs are wrong";
    report.warn("workers' clocks", some_of(off.iter().map(String::as_str)), remedy);
}

async fn check_queue(context: &Context, report: &mut Report) {
    let stats = match queue_view::stats(&context.pool).await {
        Ok(stats) => stats,
        Err(problem) => return report.refused("queue", &problem),
    };
    let waits: Vec<String> = stats
        .iter()
        .filter_map(|queue| {
            let age = queue.oldest_ready_age_seconds.filter(|age| *age > LONG_WAIT_SECONDS)?;
            Some(format!("{}: {} ready, the oldest for {age:.0} s", queue.queue, queue.ready))
        })
        .collect();
    if waits.is_empty() {
        let ready: i64 = stats.iter().map(|queue| queue.ready).sum();
        let running: i64 = stats.iter().map(|queue| queue.running).sum();
        report.pass("queue", format!("{ready} steps ready, {running} running"));
    } else {
        report.warn("queue", waits.join("; "), "start more workers, or raise the queue's concurrency (queue.*)");
    }
    match stats.iter().map(|queue| queue.dead).sum::<i64>() {
        0 => report.pass("dead steps", "none"),
        dead => report.warn(
            "dead steps",
            format!("{dead} step{} dead", if dead == 1 { " was" } else { "s were" }),
            "find the cause with `syncline queue dead`; retry them with `syncline queue requeue --all`",
        ),
    }
}

async fn check_schedules(context: &Context, report: &mut Report) {
    let schedules = match doctor::schedules(&context.pool).await {
        Ok(schedules) => schedules,
        Err(problem) => return report.refused("schedules", &problem),
    };
    let mut broken = 0_usize;
    for schedule in &schedules {
        let problem =
            cron::Schedule::parse(&schedule.cron, &schedule.time_zone).err().map(|problem| problem.to_string());
        let Some(problem) = problem
            .or_else(|| schedule.paused.then(|| schedule.reason.clone().unwrap_or_else(|| "it is paused".to_owned())))
        else {
            continue;
        };
        broken += 1;
        // One line each, for the first few: there the reason matters.
        if broken <= 5 {
            report.fail(
                "schedules",
                format!("{} has no valid schedule: {problem}", schedule.project),
                format!("syncline project reschedule {} --cron '*/15 * * * *'", schedule.project),
            );
        }
    }
    if broken > 5 {
        report.fail("schedules", format!("{} more like these", broken - 5), "correct them in the same way");
    }
    let overdue: Vec<&str> = schedules
        .iter()
        .filter(|schedule| !schedule.paused && schedule.overdue_seconds > OVERDUE_SECONDS)
        .map(|schedule| schedule.project.as_str())
        .collect();
    if !overdue.is_empty() {
        let remedy = "start a worker (syncline worker); if one runs, read its log; missed slots become one run";
        report.warn("schedules", format!("overdue: {}", some_of(overdue.into_iter())), remedy);
    } else if broken == 0 {
        report.pass("schedules", format!("{} followed", schedules.len()));
    }
}

async fn check_projects(context: &Context, report: &mut Report) {
    let troubled = match doctor::troubled_projects(&context.pool).await {
        Ok(troubled) => troubled,
        Err(problem) => return report.refused("projects", &problem),
    };
    let (mut failing, never): (Vec<&TroubledProject>, Vec<&TroubledProject>) =
        troubled.iter().partition(|project| project.error_code.is_some());
    // What has one cause is one line.
    failing.sort_by_key(|project| project.error_code.clone());
    for group in failing.chunk_by(|a, b| a.error_code == b.error_code) {
        let [first, ..] = group else { continue };
        let names = some_of(group.iter().map(|project| project.project.as_str()));
        let code = first.error_code.as_deref().unwrap_or("UNKNOWN");
        let advice = first.error_advice.clone().unwrap_or_else(|| "see `syncline run list --state failed`".to_owned());
        report.fail("projects", format!("the last run failed with {code}: {names}"), advice);
    }
    if !never.is_empty() {
        let names = some_of(never.iter().map(|project| project.project.as_str()));
        report.warn("projects", format!("never synchronised: {names}"), "syncline sync start PROJECT --full --wait");
    }
    if troubled.is_empty() {
        report.pass("projects", "no project is failing");
    }
}
