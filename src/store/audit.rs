//! Who changed what by hand.

use serde_json::Value;
use sqlx::PgExecutor;

use crate::store::Result;

/// Records a change in the transaction that makes it: `action` as `site.add`, `subject` as the site's name or SITE/KEY.
pub async fn record(executor: impl PgExecutor<'_>, actor: &str, action: &str, subjects: &[String]) -> Result<()> {
    sqlx::query!(
        "INSERT INTO syncline.audit (actor, action, subject) SELECT $1, $2, s FROM unnest($3::text[]) AS s",
        actor,
        action,
        subjects
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// The same for one subject, with what it was and what it became. No secret may be in `details`.
pub async fn record_with(
    executor: impl PgExecutor<'_>,
    actor: &str,
    action: &str,
    subject: &str,
    details: &Value,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO syncline.audit (actor, action, subject, details) VALUES ($1, $2, $3, $4)",
        actor,
        action,
        subject,
        details
    )
    .execute(executor)
    .await?;
    Ok(())
}
