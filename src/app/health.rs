//! Health: which projects are well, and what is wrong with the others.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Actor, App, Result, Verb};
use crate::domain::alert::class;
use crate::domain::failure::FailureCode;
use crate::store::patience::{LONGEST, again};
use crate::store::{ahead, health, rejected, within};

pub use crate::store::health::HealthRow as Row;
pub use crate::store::rejected::{Counts, in_words};

/// The health of a project.
#[derive(Clone, Debug)]
pub struct Health {
    /// As telemetry keeps it.
    pub row: Row,
    /// `well`, `ailing`, `failing`, `site failing`, `never` or `paused`.
    pub state: &'static str,
    /// What is ahead of the clock, in a sentence.
    pub ahead: Option<String>,
    /// What to do.
    pub advice: Option<&'static str>,
    /// Records that could not be read, by entity.
    pub rejected: Counts,
}

impl Health {
    /// Why the state is what it is, in sentences; nothing where it is well.
    pub fn reasons(&self) -> Vec<String> {
        let row = &self.row;
        let mut reasons = Vec::new();
        if let Some(cause) = row.site_cause.as_deref() {
            reasons.push(format!("site {} fails with {cause}", row.site));
        }
        if row.failure_streak > 0 {
            let code = row.code.as_deref().unwrap_or("UNKNOWN");
            let runs = if row.failure_streak == 1 { "the last run" } else { "runs in a row" };
            let count = if row.failure_streak == 1 { String::new() } else { format!("{} ", row.failure_streak) };
            reasons.push(format!("{count}{runs} failed, the last with {code}"));
        }
        if row.slow_streak > 0 {
            reasons.push(format!("{} slow runs in a row", row.slow_streak));
        }
        reasons.extend(self.ahead.clone());
        if !self.rejected.is_empty() {
            reasons.push(format!("records that cannot be read: {}", in_words(&self.rejected)));
        }
        if self.state == "never" {
            reasons.push("no run has succeeded yet".to_owned());
        }
        reasons
    }
}

/// The health of the projects within reach, the sick ones first; of one project where `only` names it.
///
/// # Errors
/// Where the actor may not.
pub async fn list(app: &App, actor: &Actor, only: Option<Uuid>) -> Result<Vec<Health>> {
    actor.may(Verb::ReadProjects)?;
    let pool = app.pool();
    let mut ahead: HashMap<Uuid, String> = again(|| within(LONGEST, ahead::list(&pool, only)))
        .await?
        .into_iter()
        .filter(ahead::Ahead::is_any)
        .map(|one| (one.project_id, one.sentence()))
        .collect();
    let rows = again(|| within(LONGEST, health::health_rows(&pool, only))).await?;
    let within_reach = rows.into_iter().filter(|row| actor.reaches(row.project_id));
    Ok(within_reach.map(|row| judge(ahead.remove(&row.project_id), row)).collect())
}

fn judge(ahead: Option<String>, mut row: Row) -> Health {
    if ahead.is_some() && row.alerting.iter().all(|class| class != class::DATED_AHEAD) {
        row.alerting.push(class::DATED_AHEAD.to_owned());
    }
    let rejected = rejected::counts(&row.rejected);
    let state = match &row {
        row if row.project_state == "paused" => "paused",
        row if row.site_cause.is_some() => "site failing",
        row if row.failure_streak > 0 => "failing",
        row if !row.alerting.is_empty() || !rejected.is_empty() => "ailing",
        row if row.last_success_at.is_none() => "never",
        _ => "well",
    };
    let advice = row.code.as_deref().and_then(FailureCode::parse).map(FailureCode::advice);
    row.code = row.code.or_else(|| ahead.as_ref().map(|_| class::DATED_AHEAD.to_owned()));
    Health { state, advice, ahead, rejected, row }
}
