//! How projects are: well, failing, held back, paused.

use super::{Actor, App, Result, Verb, project};
use crate::domain::failure::FailureCode;
use crate::store::health as stored;
use crate::store::patience::{LONGEST, again};
use crate::store::{rejected, within};

pub use crate::store::health::HealthRow;

/// The health of a project.
#[derive(Clone, Debug)]
pub struct Health {
    /// `paused`, `site failing`, `failing`, `ailing`, `never` or `well`.
    pub state: &'static str,
    /// What to do about its failure.
    pub advice: Option<&'static str>,
    /// What telemetry knows of it.
    pub row: HealthRow,
}

/// The state of a project in one word.
pub fn state(row: &HealthRow) -> &'static str {
    match row {
        row if row.project_state == "paused" => "paused",
        row if row.site_cause.is_some() => "site failing",
        row if row.failure_streak > 0 => "failing",
        row if !row.alerting.is_empty() || !rejected::counts(&row.rejected).is_empty() => "ailing",
        row if row.last_success_at.is_none() => "never",
        _ => "well",
    }
}

/// The health of one project, or of all within reach, the sick ones first.
///
/// # Errors
/// Where the actor may not, or no such project is within reach.
pub async fn list(app: &App, actor: &Actor, only: Option<&str>) -> Result<Vec<Health>> {
    actor.may(Verb::ReadProjects)?;
    let only = match only {
        Some(named) => Some(project::find(app, actor, named, false).await?.id),
        None => None,
    };
    let pool = app.pool();
    let rows = again(|| within(LONGEST, stored::health_rows(&pool, only))).await?;
    let rows = rows.into_iter().filter(|row| actor.reaches(row.project_id));
    let advice = |row: &HealthRow| row.code.as_deref().and_then(FailureCode::parse).map(FailureCode::advice);
    Ok(rows.map(|row| Health { state: state(&row), advice: advice(&row), row }).collect())
}
