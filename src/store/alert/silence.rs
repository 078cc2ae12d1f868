//! Silences and maintenance windows: what keeps messages back for a time.
//!
//! What must hold: whoever ends one before its time has the episodes looked at again, so that what is still open is told.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::domain::failure::Severity;
use crate::domain::route::{Selector, Silence};
use crate::store::Result;
use crate::store::audit::{self, Who};

/// Those in force at `now`.
pub async fn in_force(executor: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<Vec<Silence>> {
    let rows = sqlx::query!(
        r#"SELECT id, alert_id, min_severity, categories, classes, sites, projects, starts_at, ends_at
             FROM syncline.alert_silence WHERE ends_at > $1 AND starts_at <= $1"#,
        now
    )
    .fetch_all(executor)
    .await?;
    let silence = |id, alert_id, selector, starts_at, ends_at| Silence { id, alert_id, selector, starts_at, ends_at };
    Ok(rows
        .into_iter()
        .map(|r| {
            let min_severity = r.min_severity.as_deref().and_then(Severity::parse);
            let selector = Selector {
                min_severity,
                categories: r.categories,
                classes: r.classes,
                sites: r.sites,
                projects: r.projects,
            };
            silence(r.id, r.alert_id, selector, r.starts_at, r.ends_at)
        })
        .collect())
}

/// One as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct SilenceView {
    /// Its id.
    pub id: Uuid,
    /// The episode that it is for, if it is for one.
    pub alert_id: Option<Uuid>,
    /// What it is for otherwise.
    pub min_severity: Option<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Classes.
    pub classes: Vec<String>,
    /// Sites.
    pub sites: Vec<String>,
    /// Projects.
    pub projects: Vec<String>,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub reason: String,
}

/// Those of a kind (`silence` or `maintenance`) that have not ended, the next to end first.
pub async fn list(pool: &PgPool, kind: &str, now: DateTime<Utc>) -> Result<Vec<SilenceView>> {
    let rows = sqlx::query_as!(
        SilenceView,
        r#"SELECT id, alert_id, min_severity, categories, classes, sites, projects, starts_at, ends_at, created_by, reason
             FROM syncline.alert_silence WHERE kind = $1 AND ends_at > $2 ORDER BY ends_at, id"#,
        kind,
        now
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Adds one; `kind` is `silence` or `maintenance`.
pub async fn add(
    pool: &PgPool,
    now: DateTime<Utc>,
    kind: &str,
    silence: &Silence,
    reason: &str,
    who: &Who<'_>,
) -> Result<()> {
    let mut tx = pool.begin().await?;
    audit::speak_for(&mut tx, who).await?;
    let actor = who.name;
    let selector = &silence.selector;
    sqlx::query!(
        r#"INSERT INTO syncline.alert_silence (id, kind, alert_id, min_severity, categories, classes, sites, projects,
                  starts_at, ends_at, created_by, created_at, reason)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"#,
        silence.id,
        kind,
        silence.alert_id,
        selector.min_severity.map(Severity::as_str),
        &selector.categories,
        &selector.classes,
        &selector.sites,
        &selector.projects,
        silence.starts_at,
        silence.ends_at,
        actor,
        now,
        reason
    )
    .execute(&mut *tx)
    .await?;
    if let Some(alert_id) = silence.alert_id {
        let reason = format!("silenced until {}", silence.ends_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        super::admin::note(&mut tx, now, alert_id, "silenced", &reason, actor).await?;
    }
    audit::record(&mut *tx, actor, &format!("alert.{kind}.add"), &[silence.id.to_string()]).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends one now: by its own id or by that of its episode. Answers how many ended.
pub async fn end(pool: &PgPool, now: DateTime<Utc>, kind: &str, id: Uuid, who: &Who<'_>) -> Result<u64> {
    let mut tx = pool.begin().await?;
    audit::speak_for(&mut tx, who).await?;
    let actor = who.name;
    let ended = sqlx::query_scalar!(
        r#"DELETE FROM syncline.alert_silence WHERE kind = $1 AND (id = $2 OR alert_id = $2) AND ends_at > $3 RETURNING id"#,
        kind,
        id,
        now
    )
    .fetch_all(&mut *tx)
    .await?;
    if !ended.is_empty() {
        let ids: Vec<String> = ended.iter().map(Uuid::to_string).collect();
        audit::record(&mut *tx, actor, &format!("alert.{kind}.remove"), &ids).await?;
        look_again(&mut tx, now).await?;
    }
    tx.commit().await?;
    Ok(u64::try_from(ended.len()).unwrap_or(u64::MAX))
}

/// Has every episode that waits for something looked at now.
async fn look_again(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"WITH due AS (
               UPDATE syncline.alert SET next_action_at = $1
                WHERE id IN (SELECT id FROM syncline.alert WHERE next_action_at > $1 ORDER BY key FOR UPDATE)
           )
           SELECT pg_notify('syncline_alert', '')"#,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}
