//! The audit: who changed what, by which way, from where.

use super::run::bounded;
use super::{Actor, App, Result, Verb};
use crate::store::audit;
use crate::store::patience::{LONGEST, again};
use crate::store::within;

pub use crate::store::audit::Entry;

/// Which entries of the audit; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Older than the entry of this number.
    pub before: Option<i64>,
    /// By this actor.
    pub actor: Option<String>,
    /// Of this action, or of this noun.
    pub action: Option<String>,
    /// About this site, SITE/KEY or run.
    pub subject: Option<String>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The audit, newest first.
///
/// # Errors
/// Where the actor may not, or something was asked wrongly.
pub async fn list(app: &App, actor: &Actor, asked: &Filter) -> Result<Vec<Entry>> {
    actor.may_everywhere(Verb::ReadAudit)?;
    let limit = bounded("limit", asked.limit, 50, 1, 500)?;
    let pool = app.pool();
    let read = || {
        audit::list(
            &pool,
            asked.before,
            asked.actor.as_deref(),
            asked.action.as_deref(),
            asked.subject.as_deref(),
            limit,
        )
    };
    Ok(again(|| within(LONGEST, read())).await?)
}
