//! What goes together, and what to change.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{DAYS, MOST_RUNS, few, reach, runs_of, schedule, zone};
use crate::app::schedule::{Rescheduled, When, reschedule};
use crate::app::{Actor, App, Error, Result, Verb};
use crate::domain::insight::{self as figures, Condition, Pattern, Run, Unit, Work};
use crate::store::insight::{self, ProjectFacts};
use crate::store::patience::{LONGEST, again};
use crate::store::within;

/// Incremental runs below which a project that never changes says nothing.
const MIN_IDLE_RUNS: usize = 300;
/// An hour that is all that a project without changes needs.
const HOURLY: &str = "0 * * * *";

/// What to change, and why.
#[derive(Clone, Debug)]
pub struct Advice {
    /// Names it, as long as it holds.
    pub id: String,
    /// The project; none where it is about several.
    pub project: Option<String>,
    /// What to do.
    pub text: String,
    /// What it rests on.
    pub evidence: Value,
    /// What it gains.
    pub gain: String,
    /// What [`apply`] changes; none where a person has to.
    pub change: Option<Change>,
}

/// A change of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// SITE/KEY.
    pub project: String,
    /// The cron expression from then on.
    pub cron: String,
    /// The one before.
    pub before: String,
}

impl Change {
    /// As programs read it.
    pub fn json(&self) -> Value {
        json!([{ "project": self.project, "schedule": { "cron": self.cron, "before": self.before } }])
    }
}

/// Failures of the last 90 days that go together with an hour, a weekday, a site or a setting that was changed; the surest
/// first. Hours and weekdays are those of UTC.
///
/// # Errors
/// Where the actor may not.
pub async fn patterns(app: &App, actor: &Actor) -> Result<Vec<Pattern>> {
    actor.may(Verb::ReadStatistics)?;
    let pool = app.pool();
    let ids = reach(actor, None);
    let hours = again(|| within(LONGEST, insight::site_hours(&pool, DAYS, ids.as_deref()))).await?;
    let units: Vec<Unit> = hours
        .into_iter()
        .map(|hour| {
            let mut conditions = vec![
                Condition::Hour(u8::try_from(hour.at.hour()).unwrap_or(0)),
                Condition::Weekday(u8::try_from(hour.at.weekday().num_days_from_monday()).unwrap_or(0)),
                Condition::Site(hour.site),
            ];
            conditions.extend(hour.changed.into_iter().map(Condition::Changed));
            Unit { conditions, codes: hour.codes.into_iter().collect::<BTreeSet<_>>() }
        })
        .collect();
    Ok(figures::patterns(&units))
}

/// What to change: for one project, or for all within reach.
///
/// # Errors
/// Where the actor may not, or there are too many projects to read the history of each.
pub async fn recommendations(app: &App, actor: &Actor, only: Option<Uuid>) -> Result<Vec<Advice>> {
    actor.may(Verb::ReadStatistics)?;
    let mut advice = Vec::new();
    for project in few(app, actor, only).await? {
        let id = project.project_id;
        let runs = runs_of(app, &[id], DAYS, MOST_RUNS).await?.remove(&id).unwrap_or_default();
        advice.extend(about(app, &project, &runs));
    }
    if only.is_none() {
        advice.extend(patterns(app, actor).await?.iter().map(of_pattern));
    }
    Ok(advice)
}

fn about(app: &App, project: &ProjectFacts, runs: &[Run]) -> Vec<Advice> {
    let name = format!("{}/{}", project.site, project.key);
    let (zone, now) = (zone(project), app.clock.now());
    let Some(schedule) = schedule(project).filter(|_| project.state == "active") else { return Vec::new() };
    let minutes = u32::try_from(schedule.interval_at(now).as_secs() / 60).unwrap_or(0);
    let before = schedule.expression().to_owned();
    // A schedule that names hours was thought about by somebody.
    let is_plain = before.split('|').count() == 1 && before.split_whitespace().nth(1) == Some("*");
    let change = |cron: String| Change { project: name.clone(), cron, before: before.clone() };
    let mut advice = Vec::new();
    let idle = idle(runs);
    if let Some((count, requests)) = idle.filter(|_| is_plain && (1..60).contains(&minutes)) {
        let share = 1.0 - f64::from(minutes) / 60.0;
        advice.push(Advice {
            id: format!("idle:{}", project.project_id),
            project: Some(name.clone()),
            text: format!("Synchronise {name} once an hour: nothing changed there in {count} runs"),
            evidence: json!({ "runs": count, "changed": 0, "requests": requests, "every_minutes": minutes }),
            gain: format!("{:.0} % of its requests", share * 100.0),
            change: Some(change(HOURLY.to_owned())),
        });
    }
    let Some(rhythm) = figures::rhythm(runs, zone) else { return advice };
    if let Some(cron) = rhythm.cron(minutes).filter(|_| is_plain && idle.is_none()) {
        let (low, high) = rhythm.saved_between;
        advice.push(Advice {
            id: format!("quiet-hours:{}", project.project_id),
            project: Some(name.clone()),
            text: format!(
                "Synchronise {name} once an hour in its quiet hours: {:.1} % of its changes come in them",
                rhythm.quiet_changes * 100.0
            ),
            evidence: json!({ "quiet_hours": rhythm.quiet, "share_of_changes": rhythm.quiet_changes, "runs": runs.len(),
                              "time_zone": zone.name() }),
            gain: format!(
                "{:.0} % of its requests, {:.0} to {:.0} % in nine of ten weeks",
                rhythm.saved * 100.0,
                low * 100.0,
                high * 100.0
            ),
            change: Some(change(cron)),
        });
    }
    if let Some((hour, quicker)) = rhythm.best_hour {
        advice.push(Advice {
            id: format!("best-hour:{}", project.project_id),
            project: Some(name.clone()),
            text: format!("Start full runs of {name} at {hour:02}:00 ({})", zone.name()),
            evidence: json!({ "hour": hour, "time_zone": zone.name(), "times_as_quick": quicker, "runs": runs.len() }),
            gain: format!("Jira answers {quicker:.1} times as quickly then as it usually does"),
            change: None,
        });
    }
    advice
}

/// How many incremental runs found nothing, and their requests; none where there are few, or one found something.
fn idle(runs: &[Run]) -> Option<(usize, f64)> {
    let incremental: Vec<&Run> = runs.iter().filter(|run| run.work == Work::Incremental && run.succeeded()).collect();
    let nothing = incremental.iter().all(|run| run.changed == 0.0);
    (incremental.len() >= MIN_IDLE_RUNS && nothing)
        .then(|| (incremental.len(), incremental.iter().map(|run| run.requests).sum()))
}

fn of_pattern(pattern: &Pattern) -> Advice {
    let what = match &pattern.condition {
        Condition::Hour(_) | Condition::Weekday(_) => {
            format!("Ask who runs Jira what happens {} (UTC), or plan no full runs then", pattern.condition.words())
        }
        Condition::Site(site) => format!("Look at site {site} first"),
        Condition::Changed(key) => format!("Look at what {key} was changed to"),
    };
    Advice {
        id: format!("pattern:{}:{}", pattern.code, pattern.condition.words().replace(' ', "-")),
        project: None,
        text: format!("{what}: {}", pattern.words()),
        evidence: json!({ "code": pattern.code, "condition": pattern.condition.words(), "troubles": pattern.hits,
                          "hours": pattern.hours, "troubles_in_all": pattern.all_hits, "hours_in_all": pattern.all_hours,
                          "by_chance": pattern.chance }),
        gain: format!("up to {} of {} troubles with {}", pattern.hits, pattern.all_hits, pattern.code),
        change: None,
    }
}

/// Does what an advice says, if it still holds.
///
/// # Errors
/// Where the actor may not, there is no such advice any more, or a person has to do it.
pub async fn apply(app: &App, actor: &Actor, id: &str) -> Result<Rescheduled> {
    actor.may(Verb::RescheduleProject)?;
    let only = id.split_once(':').and_then(|(_, project)| project.parse::<Uuid>().ok());
    let found = recommendations(app, actor, only).await?.into_iter().find(|advice| advice.id == id);
    let Some(advice) = found else {
        return Err(
            Error::not_found("there is no such recommendation now").help("list them again: the history has gone on")
        );
    };
    let Some(change) = advice.change else {
        return Err(Error::invalid("id", "this recommendation changes no setting").help("it says what a person can do"));
    };
    let when = When { cron: Some(change.cron), time_zone: None };
    reschedule(app, actor, &change.project, &when).await
}
