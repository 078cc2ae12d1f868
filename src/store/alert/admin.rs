//! What operators do to an episode: take it on, end it, ask for a test.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::keep::{self, NewDelivery};
use crate::store::{Result, audit};

/// Adds to an episode's history; answers the number of the event, none when there is no such episode.
pub(super) async fn note(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    alert_id: Uuid,
    event: &str,
    reason: &str,
    actor: &str,
) -> Result<Option<i32>> {
    let seq = sqlx::query_scalar!(
        r#"WITH a AS (UPDATE syncline.alert SET last_seq = last_seq + 1 WHERE id = $1 RETURNING id, last_seq, severity)
           INSERT INTO syncline.alert_event (alert_id, seq, at, event, reason, severity, actor)
           SELECT id, last_seq, $2, $3, $4, severity, $5 FROM a RETURNING seq"#,
        alert_id,
        now,
        event,
        reason,
        actor
    )
    .fetch_optional(conn)
    .await?;
    Ok(seq)
}

/// Takes an open episode on: no more reminders, no escalation by age. False when it is over, or was taken on already.
pub async fn acknowledge(pool: &PgPool, now: DateTime<Utc>, id: Uuid, text: &str, actor: &str) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let changed = sqlx::query!(
        r#"UPDATE syncline.alert SET acknowledged_at = $2, acknowledged_by = $3, note = nullif($4, ''),
                  -- What waits for a reminder waits for nothing now.
                  next_action_at = CASE WHEN state = 'open' AND cleared_at IS NULL THEN NULL ELSE next_action_at END
            WHERE id = $1 AND state <> 'resolved' AND acknowledged_at IS NULL"#,
        id,
        now,
        actor,
        text
    )
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 1 {
        let reason = if text.is_empty() { "somebody has acknowledged it" } else { text };
        note(&mut tx, now, id, "acknowledged", reason, actor).await?;
        audit::record(&mut *tx, actor, "alert.ack", &[id.to_string()]).await?;
    }
    tx.commit().await?;
    Ok(changed.rows_affected() == 1)
}

/// Ends an episode by hand: it is looked at at once, and people who know of it are told. False when it is over already.
pub async fn resolve(pool: &PgPool, now: DateTime<Utc>, id: Uuid, actor: &str) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let changed = sqlx::query!(
        r#"WITH closed AS (
               UPDATE syncline.alert
                  SET cleared_at = $2, flaps = 0, parent_id = NULL,
                      -- An absorbed one was spoken for: nobody waits for a word about it.
                      state = CASE WHEN state = 'absorbed' THEN 'pending' ELSE state END, next_action_at = $2
                WHERE id = $1 AND state <> 'resolved' RETURNING id
           )
           SELECT pg_notify('syncline_alert', '') FROM closed"#,
        id,
        now
    )
    .fetch_all(&mut *tx)
    .await?;
    if !changed.is_empty() {
        note(&mut tx, now, id, "closed", "ended by hand", actor).await?;
        audit::record(&mut *tx, actor, "alert.resolve", &[id.to_string()]).await?;
    }
    tx.commit().await?;
    Ok(!changed.is_empty())
}

/// An alert that exists only to be told: resolved from the start, so that nothing follows.
#[derive(Clone, Debug)]
pub struct TestAlert {
    /// Made by the caller.
    pub id: Uuid,
    /// Its class.
    pub class: String,
    /// Its category.
    pub category: String,
    /// Its severity.
    pub severity: String,
    /// Its description.
    pub details: Value,
}

/// Records a test with its messages, in the caller's transaction; answers the deliveries that need a step.
pub async fn test(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    test: &TestAlert,
    deliveries: &[NewDelivery],
    actor: &str,
) -> Result<Vec<Uuid>> {
    sqlx::query!(
        r#"INSERT INTO syncline.alert (id, key, scope, scope_kind, class, category, severity, state, details, opened_at,
                  held_since, seen_at, resolved_at)
           VALUES ($1, 'test:' || $1::uuid, '{"scope": "system"}', 'system', $2, $3, $4, 'resolved', $5, $6, $6, $6, $6)"#,
        test.id,
        test.class,
        test.category,
        test.severity,
        test.details,
        now
    )
    .execute(&mut *conn)
    .await?;
    note(&mut *conn, now, test.id, "test", "on request", actor).await?;
    let inserted = keep::insert_deliveries(&mut *conn, now, deliveries).await?;
    audit::record(conn, actor, "alert.test", &[test.id.to_string()]).await?;
    Ok(inserted)
}
