//! Schedules: when projects run next, why then, and changing that.

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::run::bounded;
use super::{Actor, App, Error, Result, Verb, project};
use crate::domain::cron::{CronError, Schedule};
use crate::domain::spread;
use crate::store::health;
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::project::Project;
use crate::store::schedule_admin::{self, NextSlot};
use crate::store::within;
use crate::telemetry::span;

pub use crate::store::health::ScheduleView as View;

/// The longest cron expression, in characters.
const LONGEST_CRON: usize = 200;

/// The schedules within reach, by their next start; of one project where `only` names it.
///
/// # Errors
/// Where the actor may not.
pub async fn list(app: &App, actor: &Actor, only: Option<Uuid>) -> Result<Vec<View>> {
    actor.may(Verb::ReadProjects)?;
    let pool = app.pool();
    let mut views = again(|| within(LONGEST, health::schedule_view(&pool, only))).await?;
    views.retain(|view| actor.reaches(view.project_id));
    Ok(views)
}

/// The next times that a cron expression names, at most 100.
///
/// # Errors
/// When the expression or the zone cannot be read, or the number is out of bounds.
pub fn preview(app: &App, cron: &str, time_zone: &str, count: i64) -> Result<Vec<DateTime<Utc>>> {
    let count = bounded("count", Some(count), 5, 1, 100)?;
    let schedule = parse(cron, time_zone)?;
    let mut at = app.clock.now();
    let mut times = Vec::new();
    for _ in 0..count {
        let Some(next) = schedule.next_after(at) else { break };
        times.push(next);
        at = next;
    }
    Ok(times)
}

fn parse(cron: &str, time_zone: &str) -> Result<Schedule> {
    if cron.chars().count() > LONGEST_CRON {
        return Err(Error::invalid("cron", format!("cron is longer than {LONGEST_CRON} characters"))
            .help("five fields: minute, hour, day of month, month, day of week"));
    }
    Schedule::parse(cron, time_zone).map_err(|problem: CronError| {
        Error::invalid("cron", problem.to_string())
            .help("five fields: minute, hour, day of month, month, day of week; a zone such as Europe/Berlin")
    })
}

/// When a project runs; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// The cron expression.
    pub cron: Option<String>,
    /// The time zone in which it is read.
    pub time_zone: Option<String>,
}

/// What became of a schedule.
#[derive(Clone, Debug)]
pub struct Rescheduled {
    /// The project as it was before.
    pub project: Project,
    /// The cron expression from now on.
    pub cron: String,
    /// Its time zone.
    pub time_zone: String,
    /// When it runs next by itself; none while it is paused.
    pub next_run_at: Option<DateTime<Utc>>,
}

/// The schedule that a project gets: checked, and nothing changed.
///
/// # Errors
/// When it cannot be read, or has no further time.
pub fn check(app: &App, project: &Project, when: &When) -> Result<Schedule> {
    let defaults = &app.config.sync;
    let cron = when.cron.as_deref().or(project.cron.as_deref()).unwrap_or(&defaults.default_cron);
    let zone = when.time_zone.as_deref().or(project.time_zone.as_deref()).unwrap_or(&defaults.time_zone);
    let schedule = parse(cron, zone)?;
    next_slot(app, &schedule, project.id)?;
    Ok(schedule)
}

/// When a project is due next: its slot, and its place in the slot's interval.
///
/// # Errors
/// When the schedule names no further time.
pub(crate) fn next_slot(app: &App, schedule: &Schedule, project_id: Uuid) -> Result<NextSlot> {
    spread::next_start(schedule, project_id, app.clock.now())
        .map(|(slot_at, run_at)| NextSlot { slot_at, run_at })
        .ok_or_else(|| Error::invalid("cron", format!("the schedule {:?} has no further slot", schedule.expression())))
}

/// Gives a project another schedule. A project that is paused stays paused; one that is backed off keeps its rung.
///
/// # Errors
/// Where the actor may not, no such project is within reach, or the schedule cannot be read.
pub async fn reschedule(app: &App, actor: &Actor, named: &str, when: &When) -> Result<Rescheduled> {
    actor.may(Verb::RescheduleProject)?;
    let project = project::find(app, actor, named, false).await?;
    let schedule = check(app, &project, when)?;
    let next = next_slot(app, &schedule, project.id)?;
    let pool = app.pool();
    let held = again(|| within(LONGEST, health::schedule_view(&pool, Some(project.id)))).await?.pop();
    let base = schedule.interval_at(app.clock.now());
    let held_seconds = match held.as_ref().and_then(|view| view.hold.as_deref()) {
        Some("slow") => (base * 2).as_secs_f64(),
        _ => {
            let rung = held.as_ref().map_or(0, |view| u32::try_from(view.rung).unwrap_or(0));
            app.config.telemetry.rules().ladder.wait(rung, base, 0.5).as_secs_f64()
        }
    };
    let (cron, zone) = (schedule.expression(), schedule.time_zone().name());
    let (who, name) = (actor.who(), project::name(&project));
    let write = || schedule_admin::reschedule(&pool, project.id, cron, zone, next, held_seconds, &name, &who);
    let next_run_at = undisturbed(write).await?;
    let next_run_at = (project.state != "paused").then_some(next_run_at);
    Ok(Rescheduled { project, cron: cron.to_owned(), time_zone: zone.to_owned(), next_run_at })
}

/// Why the next run is when it is, in one sentence.
pub fn why(view: &View, now: DateTime<Utc>) -> String {
    let schedule = Schedule::parse(&view.cron, &view.time_zone).ok();
    if view.project_state != "active" || view.state != "active" {
        return "it is paused: no run starts until you resume it with `syncline project resume`".to_owned();
    }
    let in_time = match (view.next_run_at - now).to_std() {
        Ok(wait) => format!("in {}", span(wait)),
        Err(_) => "now".to_owned(),
    };
    let base = schedule
        .as_ref()
        .map_or_else(|| "as scheduled".to_owned(), |it| format!("every {}", span(it.interval_at(now))));
    let code = view.hold_code.as_deref().unwrap_or("failures");
    let since = view.held_since.map(|at| format!(" since {}", time(at))).unwrap_or_default();
    let mut sentence = match view.hold.as_deref() {
        Some("ladder") => format!(
            "{in_time}, on rung {} of the back-off ladder instead of {base}{since}, because {} runs in a row failed, the last with {code}; the first success restores the base cadence",
            view.rung, view.failure_streak
        ),
        Some("until") => format!("{in_time}, because Jira named this time as the end of {code}; after that {base}"),
        Some("site") => {
            let site = view.site_code.as_deref().unwrap_or(code);
            if view.probe.as_deref() == Some(&view.key) {
                format!(
                    "{in_time}, as the probe of site {} while it fails with {site}{since}; its first success \
                        restores every project of the site",
                    view.site
                )
            } else {
                let probe = view.probe.as_deref().unwrap_or("another project");
                let next = view.next_probe_at.map(|at| format!(" (next at {})", time(at))).unwrap_or_default();
                format!(
                    "{in_time} at the latest, because site {} fails with {site}{since}: {probe} is the probe for all \
                        of its projects{next}, and its first success restores the base cadence ({base})",
                    view.site
                )
            }
        }
        Some("slow") => {
            format!("{in_time}, at half the cadence ({base}){since}, because the last runs took far longer than usual")
        }
        _ => format!("{in_time}, {base} at this project's own place in the interval"),
    };
    if let (Some(until), Some(reason)) = (view.gate_until, view.gate_reason.as_deref()) {
        sentence.push_str(&format!("; the site asked for a pause until {} ({reason})", time(until)));
    }
    if view.active_run.is_some() {
        sentence.push_str("; a run is active");
    }
    sentence
}

/// A time for people.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true).replace('T', " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn view() -> View {
        let at: DateTime<Utc> = "2026-03-01T10:30:00Z".parse().unwrap();
        View {
            project_id: uuid::Uuid::nil(),
            site: "acme".into(),
            key: "OPS".into(),
            project_state: "active".into(),
            state: "active".into(),
            cron: "*/15 * * * *".into(),
            time_zone: "UTC".into(),
            next_slot_at: at,
            next_run_at: at,
            last_slot_at: None,
            missed_total: 0,
            rung: 0,
            hold: None,
            hold_code: None,
            held_since: None,
            hold_until: None,
            failure_streak: 0,
            code: None,
            site_code: None,
            site_since: None,
            site_failures: None,
            probe: None,
            next_probe_at: None,
            gate_until: None,
            gate_reason: None,
            active_run: None,
        }
    }

    fn sentence(change: impl FnOnce(&mut View)) -> String {
        let mut view = view();
        change(&mut view);
        why(&view, "2026-03-01T10:18:00Z".parse().unwrap())
    }

    #[test]
    fn one_sentence_tells_why_a_project_runs_when_it_does() {
        assert_eq!(sentence(|_| {}), "in 12 min, every 15 min at this project's own place in the interval");
        let backed_off = sentence(|view| {
            view.hold = Some("ladder".into());
            (view.rung, view.failure_streak, view.hold_code) = (2, 4, Some("TIMEOUT".into()));
        });
        assert!(
            backed_off
                .starts_with("in 12 min, on rung 2 of the back-off ladder instead of every 15 min, because 4 runs"),
            "{backed_off}"
        );
        let held = sentence(|view| {
            view.hold = Some("site".into());
            (view.site_code, view.probe) = (Some("SUSPENDED_PAYMENT".into()), Some("WEB".into()));
        });
        assert!(held.contains("site acme fails with SUSPENDED_PAYMENT: WEB is the probe for all"), "{held}");
        assert!(sentence(|view| view.project_state = "paused".into()).contains("paused"));
    }
}
