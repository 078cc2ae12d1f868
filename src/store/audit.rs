//! Who changed what by hand.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;

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

/// Who changes something, by which way, from where.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Their name.
    pub name: &'a str,
    /// The way in: `cli`, `token`, `session`, `local`.
    pub way: &'a str,
    /// The address that the request came from.
    pub address: Option<&'a str>,
}

impl<'a> Who<'a> {
    /// Somebody at the command line.
    pub const fn cli(name: &'a str) -> Self {
        Self { name, way: "cli", address: None }
    }
}

/// Says for whom a transaction works: its entries keep the way and the address. What it writes names the actor itself.
pub async fn speak_for(conn: &mut PgConnection, who: &Who<'_>) -> Result<()> {
    sqlx::query!(
        "SELECT set_config('syncline.way', $1, true) AS way, set_config('syncline.address', coalesce($2, ''), true) AS address",
        who.way,
        who.address
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// The same, with the way in and the address.
pub async fn record_by(
    executor: impl PgExecutor<'_>,
    who: &Who<'_>,
    action: &str,
    subject: &str,
    details: &Value,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO syncline.audit (actor, way, address, action, subject, details) VALUES ($1, $2, $3, $4, $5, $6)",
        who.name,
        who.way,
        who.address,
        action,
        subject,
        details
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// The same for several subjects.
pub async fn record_each(
    executor: impl PgExecutor<'_>,
    who: &Who<'_>,
    action: &str,
    subjects: &[String],
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO syncline.audit (actor, way, address, action, subject) SELECT $1, $2, $3, $4, s FROM unnest($5::text[]) AS s",
        who.name,
        who.way,
        who.address,
        action,
        subjects
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// An entry of the audit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Entry {
    /// Its number; grows with time.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// By which way: `cli`, `token`, `session`, `local`; null for entries of older programs.
    pub way: Option<String>,
    /// The address that the request came from.
    pub address: Option<String>,
    /// What was done, such as `project.pause`.
    pub action: String,
    /// To what: a site, SITE/KEY, a run.
    pub subject: String,
    /// What it was before, and what it became.
    pub details: Option<Value>,
}

/// Entries, newest first: of a smaller number than `before`, by this actor, of this action (or of a noun: `project`).
pub async fn list(
    executor: impl PgExecutor<'_>,
    before: Option<i64>,
    actor: Option<&str>,
    action: Option<&str>,
    subject: Option<&str>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let entries = sqlx::query_as!(
        Entry,
        "SELECT id, at, actor, way, address, action, subject, details FROM syncline.audit
          WHERE ($1::int8 IS NULL OR id < $1) AND ($2::text IS NULL OR actor = $2)
            AND ($3::text IS NULL OR action = $3 OR split_part(action, '.', 1) = $3)
            AND ($5::text IS NULL OR subject = $5)
          ORDER BY id DESC LIMIT $4",
        before,
        actor,
        action,
        limit,
        subject
    )
    .fetch_all(executor)
    .await?;
    Ok(entries)
}
