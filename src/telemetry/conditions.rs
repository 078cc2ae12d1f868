//! What is observed of a project and of a site, in words.

use sqlx::PgConnection;

use super::analyse_run::Reading;
use super::words;
use crate::domain::alert::{Details, Observation, Scope, Signal, category, class};
use crate::domain::failure::{FailureCode, Severity};
use crate::domain::health::Streak;
use crate::domain::site_cause::{Cause, Change, Unsteady};
use crate::store::Result;
use crate::store::health::{self, Ailing};

/// The classes of failures that a site's own unsteadiness would explain.
fn down_classes() -> Vec<String> {
    let down = FailureCode::ALL.into_iter().filter(|code| Cause::of(*code) == Some(Cause::Down));
    down.map(|code| code.as_str().to_owned()).collect()
}

/// The other projects of the site that are in such trouble, where that matters.
pub(super) async fn neighbours(reading: &Reading<'_>, conn: &mut PgConnection) -> Result<Vec<Ailing>> {
    let code = reading.health.failure_class(&reading.rules.ladder).filter(|_| reading.health.failure_streak > 0);
    if reading.unsteady.is_none() && code.and_then(Cause::of) != Some(Cause::Down) {
        return Ok(Vec::new());
    }
    health::ailing(conn, reading.subject.site_id, reading.subject.project_id, &down_classes()).await
}

/// Joins the project to those of its site that fail on and off, or finds the site steady again. Answers whether the site
/// speaks for the project.
fn join(reading: &mut Reading<'_>, fires: Option<FailureCode>, ailing: &[Ailing]) -> bool {
    let (now, site_id) = (reading.now, reading.subject.site_id);
    let site = |code: FailureCode, signal| Observation {
        scope: Scope::Site { site_id },
        class: code.as_str().to_owned(),
        signal,
    };
    if reading.site.incident_since.is_some() {
        // What is the whole site's now is told as that.
        if let Some(before) = reading.unsteady.take().filter(|before| reading.site.told != Some(before.code)) {
            reading.observations.push(site(before.code, Signal::Absorbed(now)));
        }
        return false;
    }
    let struck = fires.filter(|code| Cause::of(*code) == Some(Cause::Down));
    if let Some(code) = struck
        && (reading.unsteady.is_some() || ailing.len() + 1 >= Unsteady::PROJECTS)
    {
        if reading.unsteady.is_none() {
            let told = ailing.iter().flat_map(|one| one.classes.iter().map(|class| (one.project_id, class.clone())));
            reading.observations.extend(told.map(|(project_id, class)| Observation {
                scope: Scope::Project { site_id, project_id },
                class,
                signal: Signal::Absorbed(now),
            }));
        }
        let unsteady = reading.unsteady.get_or_insert(Unsteady { code, since: now, seen_at: now });
        unsteady.seen_at = now;
        let unsteady = *unsteady;
        let details = unsteady_details(reading, unsteady, ailing);
        reading.observations.push(site(unsteady.code, Signal::Firing(Box::new(details))));
        return true;
    }
    if let Some(unsteady) = reading.unsteady.filter(|it| ailing.is_empty() && struck.is_none() && it.is_over(now)) {
        reading.unsteady = None;
        reading.observations.push(site(unsteady.code, Signal::Cleared(now)));
    }
    false
}

fn unsteady_details(reading: &Reading<'_>, unsteady: Unsteady, ailing: &[Ailing]) -> Details {
    let mut projects: Vec<String> = ailing.iter().map(|one| one.name.clone()).collect();
    projects.push(reading.subject.name());
    projects.sort();
    let what = words::failing(unsteady.code, &format!("site {}", reading.subject.site));
    Details {
        severity: unsteady.code.severity().max(Severity::Error),
        category: unsteady.code.category().as_str().to_owned(),
        since: unsteady.since,
        count: i64::from(reading.health.failure_streak),
        summary: format!("{what} intermittently, for {} of its projects", projects.len()),
        advice: unsteady.code.advice_for(reading.subject.means()).to_owned(),
        last_error: reading.health.last_error.clone(),
        run_id: reading.health.last_run_id,
        // Each project is on a ladder of its own.
        rung: 0,
        next_try_at: reading.next_try_at,
        projects,
        facts: vec![("Projects of the site".to_owned(), reading.subject.active_projects.to_string())],
    }
}

/// Observes what the project's health has come to be, and keeps in it which classes fire.
pub(super) fn of_project(reading: &mut Reading<'_>, ailing: &[Ailing]) {
    let (now, site_id, project_id) = (reading.now, reading.subject.site_id, reading.subject.project_id);
    let scope = || Scope::Project { site_id, project_id };
    let mut seen = Vec::new();
    let absorbing = reading.site.incident_since.is_some();
    let failing = reading.health.failure_class(&reading.rules.ladder).filter(|_| reading.health.failure_streak > 0);
    // Its site's alert tells what the site suffers from.
    let fires = failing.filter(|code| !(absorbing && Cause::of(*code).is_some()));
    let joined = join(reading, fires, ailing);
    let mut kept = Vec::new();
    for told in std::mem::take(&mut reading.health.alerting) {
        let code = FailureCode::parse(&told);
        let over = match code {
            Some(FailureCode::ReconcileGuard) => reading.health.guard.count == 0,
            Some(FailureCode::RecordsRejected) => {
                reading.health.rejected.is_empty() && fires != Some(FailureCode::RecordsRejected)
            }
            Some(code) => fires != Some(code),
            None => told == class::NO_RECENT_SUCCESS && reading.health.success_streak > 0,
        };
        if !over {
            kept.push(told);
            continue;
        }
        let absorbed = absorbing && code.and_then(Cause::of).is_some() && reading.health.failure_streak > 0;
        let signal = if absorbed { Signal::Absorbed(now) } else { Signal::Cleared(now) };
        seen.push(Observation { scope: scope(), class: told, signal });
    }
    if let Some(code) = fires {
        add(&mut kept, code.as_str());
        // Where the site speaks for the project, what was told of it alone is over without a word.
        let signal = match joined {
            true => Signal::Absorbed(now),
            false => Signal::Firing(Box::new(failure_details(reading, code))),
        };
        seen.push(Observation { scope: scope(), class: code.as_str().to_owned(), signal });
    }
    if reading.health.guard.count > 0 {
        let class = FailureCode::ReconcileGuard.as_str();
        add(&mut kept, class);
        let signal = Signal::Firing(Box::new(guard_details(reading)));
        seen.push(Observation { scope: scope(), class: class.to_owned(), signal });
    }
    if !reading.health.rejected.is_empty() && fires != Some(FailureCode::RecordsRejected) {
        let class = FailureCode::RecordsRejected.as_str();
        add(&mut kept, class);
        let signal = Signal::Firing(Box::new(rejected_details(reading)));
        seen.push(Observation { scope: scope(), class: class.to_owned(), signal });
    }
    for (class, streak, over) in reading.health.slow_classes(reading.rules) {
        if over {
            add(&mut kept, class);
            let details = slow_details(reading, class, streak);
            seen.push(Observation {
                scope: scope(),
                class: class.to_owned(),
                signal: Signal::Firing(Box::new(details)),
            });
        } else if streak.count == 0 && kept.iter().any(|told| told == class) {
            kept.retain(|told| told != class);
            seen.push(Observation { scope: scope(), class: class.to_owned(), signal: Signal::Cleared(now) });
        }
    }
    reading.health.alerting = kept;
    reading.observations.append(&mut seen);
}

fn add(kept: &mut Vec<String>, class: &str) {
    if !kept.iter().any(|told| told == class) {
        kept.push(class.to_owned());
    }
}

fn failure_details(reading: &Reading<'_>, told: FailureCode) -> Details {
    let health = &reading.health;
    let newest = health.code.unwrap_or(told);
    let rung = reading.rules.ladder.rung(newest, health.class_streak, health.failure_streak, reading.pace.rung());
    let wait = reading.rules.ladder.wait(rung, reading.pace.base, 0.5);
    let mut facts = vec![cadence(rung, reading.rules.ladder.top(), wait, reading.pace.base)];
    if newest != told {
        facts.push(("Newest failure".to_owned(), newest.as_str().to_owned()));
    }
    facts.push(("Last success".to_owned(), moment(health.last_success_at)));
    Details {
        severity: told.severity().max(Severity::Warning),
        category: told.category().as_str().to_owned(),
        since: health.failing_since.unwrap_or(reading.now),
        count: i64::from(health.failure_streak),
        summary: words::failing(newest, &format!("project {}", reading.subject.name())),
        advice: newest.advice_for(reading.subject.means()).to_owned(),
        last_error: health.last_error.clone(),
        run_id: health.last_run_id,
        rung: i16::try_from(rung).unwrap_or(i16::MAX),
        next_try_at: reading.next_try_at,
        projects: vec![reading.subject.name()],
        facts,
    }
}

/// A reconciliation that its guard stopped: runs go on, and what is gone stays unmarked until somebody has looked.
fn guard_details(reading: &Reading<'_>) -> Details {
    let (health, code) = (&reading.health, FailureCode::ReconcileGuard);
    Details {
        severity: code.severity(),
        category: code.category().as_str().to_owned(),
        since: health.guard.since.unwrap_or(reading.now),
        count: i64::from(health.guard.count),
        summary: words::failing(code, &format!("project {}", reading.subject.name())),
        advice: code.advice().to_owned(),
        last_error: health.guard_error.clone(),
        run_id: health.last_run_id,
        rung: 0,
        next_try_at: None,
        projects: vec![reading.subject.name()],
        facts: vec![("Tried again".to_owned(), "the next night".to_owned())],
    }
}

/// Records that cannot be read, although runs succeed: the replica lacks them, or keeps their former version.
fn rejected_details(reading: &Reading<'_>) -> Details {
    let (health, code) = (&reading.health, FailureCode::RecordsRejected);
    let all: i64 = health.rejected.values().sum();
    let facts = health.rejected.iter().map(|(entity, count)| (format!("Unreadable: {entity}"), count.to_string()));
    Details {
        severity: Severity::Warning,
        category: code.category().as_str().to_owned(),
        since: health.rejected_since.unwrap_or(reading.now),
        count: all,
        summary: format!(
            "Project {}: {all} {} in Jira's answers cannot be read",
            reading.subject.name(),
            if all == 1 { "record" } else { "records" }
        ),
        advice: "`syncline log list --level warn` and `syncline verify PROJECT` show them with the reasons. When \
            they are corrected in Jira, or a newer version can read them, a full run (`syncline sync start PROJECT \
            --full`) ends this alert."
            .to_owned(),
        last_error: None,
        run_id: health.last_run_id,
        rung: 0,
        next_try_at: None,
        projects: vec![reading.subject.name()],
        facts: facts.collect(),
    }
}

fn slow_details(reading: &Reading<'_>, condition: &str, streak: Streak) -> Details {
    let about = format!("Project {}", reading.subject.name());
    let (what, category, advice) = match condition {
        class::SLOW_RUNS => (
            "runs take far longer than before",
            category::LATENCY,
            "An operator should check latency and rate limiting on the Jira API dashboard, and the size of the runs \
                with `syncline run list`. Until then, later runs are staggered.",
        ),
        class::LOW_THROUGHPUT => (
            "runs read far fewer issues per second than before",
            category::LATENCY,
            "An operator should check Jira's latency, the site's concurrency limit and PostgreSQL's load.",
        ),
        _ => (
            "the replica is refreshed too late although runs succeed",
            category::FRESHNESS,
            "An operator should start more workers, or give the project a slower cadence with `syncline project reschedule PROJECT --cron EXPRESSION`.",
        ),
    };
    Details {
        severity: Severity::Warning,
        category: category.to_owned(),
        since: streak.since.unwrap_or(reading.now),
        count: i64::from(streak.count),
        summary: format!("{about}: {what}"),
        advice: advice.to_owned(),
        last_error: None,
        run_id: reading.health.last_run_id,
        rung: 0,
        next_try_at: reading.next_try_at,
        projects: vec![reading.subject.name()],
        facts: vec![("Last success".to_owned(), moment(reading.health.last_success_at))],
    }
}

/// Observes what became of the site, and takes from its projects what is the site's now.
pub(super) async fn of_site(
    reading: &mut Reading<'_>,
    conn: &mut PgConnection,
    change: Change,
    told: FailureCode,
) -> Result<()> {
    let (now, site_id) = (reading.now, reading.subject.site_id);
    let observation = |code: FailureCode, signal| Observation {
        scope: Scope::Site { site_id },
        class: code.as_str().to_owned(),
        signal,
    };
    match change {
        Change::None => return Ok(()),
        Change::Resolved(told) => {
            reading.observations.push(observation(told, Signal::Cleared(now)));
            return Ok(());
        }
        Change::Turned(before) => reading.observations.push(observation(before, Signal::Absorbed(now))),
        Change::Opened => {
            let classes: Vec<String> = FailureCode::ALL
                .into_iter()
                .filter(|code| Cause::of(*code).is_some())
                .map(|code| code.as_str().to_owned())
                .collect();
            for (project_id, class) in health::absorb_site(conn, site_id, &classes).await? {
                let scope = Scope::Project { site_id, project_id };
                reading.observations.push(Observation { scope, class, signal: Signal::Absorbed(now) });
            }
            reading.health.alerting.retain(|told| !classes.contains(told));
        }
        Change::Continues => {}
    }
    let names = health::project_names(conn, &reading.site.failed_projects).await?;
    let (site, ladder) = (&reading.site, &reading.rules.ladder);
    let wait = ladder.wait(site.rung, reading.pace.base, 0.5);
    let details = Details {
        severity: told.severity().max(Severity::Error),
        category: told.category().as_str().to_owned(),
        since: site.since.unwrap_or(now),
        count: i64::from(site.failures),
        summary: words::failing(told, &format!("site {}", reading.subject.site)),
        advice: told.advice_for(reading.subject.means()).to_owned(),
        last_error: site.last_error.clone(),
        run_id: reading.health.last_run_id,
        rung: i16::try_from(site.rung).unwrap_or(i16::MAX),
        next_try_at: site.next_probe_at,
        projects: names,
        facts: vec![
            cadence(site.rung, ladder.top(), wait, reading.pace.base),
            ("Tried for all".to_owned(), reading.subject.name()),
            ("Projects of the site".to_owned(), reading.subject.active_projects.to_string()),
        ],
    };
    reading.observations.push(observation(told, Signal::Firing(Box::new(details))));
    Ok(())
}

/// Facts about the waits of a trouble that lasts.
pub(super) const ABOUT_WAITING: [&str; 3] = ["Back-off", "Tried for all", "Tried again"];

fn cadence(rung: u32, top: u32, wait: std::time::Duration, base: std::time::Duration) -> (String, String) {
    let text = match rung {
        0 => format!("none yet: one run every {}, as scheduled", words::span(base)),
        _ => {
            format!("rung {rung} of {top}: one run every {} instead of every {}", words::span(wait), words::span(base))
        }
    };
    ("Back-off".to_owned(), text)
}

fn moment(at: Option<chrono::DateTime<chrono::Utc>>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}
