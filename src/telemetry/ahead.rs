//! What is ahead of the clock is told: an issue that Jira dates so, and a cursor that stood there.
//!
//! What must hold: nothing is observed that is told already, so that looking costs one query.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::alert::{Details, Observation, Scope, Signal, category, class};
use crate::domain::failure::Severity;
use crate::store::ahead::{self, Ahead};
use crate::store::{Result, alert};

/// Observes projects that have come to have something ahead of the clock, or no longer do; answers how many.
pub async fn observe_ahead(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<usize> {
    let projects = ahead::list(&mut *conn, None).await?;
    let observations: Vec<Observation> =
        projects.iter().filter(|one| one.is_any() != one.told).map(|one| observation(one, now)).collect();
    alert::observe(conn, now, &observations).await?;
    Ok(observations.len())
}

fn observation(one: &Ahead, now: DateTime<Utc>) -> Observation {
    let signal = match one.is_any() {
        true => Signal::Firing(Box::new(details(one, now))),
        false => Signal::Cleared(now),
    };
    Observation {
        scope: Scope::Project { site_id: one.site_id, project_id: one.project_id },
        class: class::DATED_AHEAD.to_owned(),
        signal,
    }
}

fn details(one: &Ahead, now: DateTime<Utc>) -> Details {
    Details {
        severity: Severity::Warning,
        category: category::FRESHNESS.to_owned(),
        since: now,
        count: 1,
        summary: format!("Project {}: {}", one.name, one.sentence()),
        advice: "Nothing is lost: no cursor passes the clock, and each run reads issues with dates in the future \
            again. A Jira administrator should check the clocks of the servers (`syncline site check SITE`) and edit \
            the issue, which gives it a new date."
            .to_owned(),
        last_error: None,
        run_id: None,
        rung: 0,
        next_try_at: None,
        projects: vec![one.name.clone()],
        facts: Vec::new(),
    }
}
