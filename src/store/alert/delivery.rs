//! The outbox: what is to be sent, and what became of it.
//!
//! What must hold: nothing here is called while a message is being sent; what nobody got ends in the log channel.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;

/// The kind of step that sends a message.
pub const DELIVER_STEP: &str = "deliver_alert";
/// Failures in a row after which a channel counts as failing, and a message as stuck.
pub const FAILURES_LIMIT: i32 = 5;

/// A message on its way, with its channel.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id.
    pub id: Uuid,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// The channel's name.
    pub channel: String,
    /// The message.
    pub message: Value,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
    /// What the channel answered to the first message of this thread.
    pub thread_reference: Option<String>,
    /// When an earlier message of this episode to the same recipients is tried, which is on its way and not stuck.
    pub behind: Option<DateTime<Utc>>,
    /// Whether these recipients have had a message of this episode before.
    pub opens_thread: bool,
    /// The channel's definition, unless it was removed.
    pub definition: Option<StoredChannel>,
}

/// A channel as it is stored.
#[derive(Clone, Debug)]
pub struct StoredChannel {
    /// Its kind.
    pub kind: String,
    /// What its kind needs.
    pub settings: Value,
    /// A reference to its secret.
    pub credential: Option<String>,
    /// Changes when the definition does.
    pub updated_at: DateTime<Utc>,
}

/// Loads a delivery; `None` when it was removed with its episode.
pub async fn load(pool: &PgPool, id: Uuid) -> Result<Option<Delivery>> {
    let row = sqlx::query!(
        r#"SELECT d.id, d.state, d.channel, d.message, d.attempts, d.created_at,
                  NOT EXISTS (SELECT 1 FROM syncline.alert_delivery f
                               WHERE f.alert_id = d.alert_id AND f.channel = d.channel AND f.recipients = d.thread
                                 AND f.event_seq < d.event_seq) AS "opens_thread!",
                  (SELECT min(coalesce(f.next_try_at, f.created_at)) FROM syncline.alert_delivery f
                    WHERE f.alert_id = d.alert_id AND f.channel = d.channel AND f.recipients = d.thread
                      AND f.event_seq < d.event_seq AND f.state = 'pending' AND f.attempts < $2) AS behind,
                  (SELECT f.reference FROM syncline.alert_delivery f
                    WHERE f.alert_id = d.alert_id AND f.channel = d.channel AND f.recipients = d.thread
                      AND f.event_seq < d.event_seq AND f.state = 'delivered' AND f.reference IS NOT NULL
                    ORDER BY f.event_seq LIMIT 1) AS thread_reference, c.kind AS "kind?", c.settings AS "settings?", c.credential,
                  c.updated_at AS "updated_at?"
             FROM syncline.alert_delivery d
             LEFT JOIN syncline.alert_channel c ON c.name = d.channel
            WHERE d.id = $1"#,
        id,
        FAILURES_LIMIT
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|r| Delivery {
        id: r.id,
        state: r.state,
        channel: r.channel,
        message: r.message,
        attempts: r.attempts,
        created_at: r.created_at,
        thread_reference: r.thread_reference,
        behind: r.behind,
        opens_thread: r.opens_thread,
        definition: match (r.kind, r.settings, r.updated_at) {
            (Some(kind), Some(settings), Some(updated_at)) => {
                Some(StoredChannel { kind, settings, credential: r.credential, updated_at })
            }
            _ => None,
        },
    }))
}

/// The channel took it. Answers the channel's health before: whether it had been reported as failing.
pub async fn delivered(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    id: Uuid,
    reference: Option<&str>,
    refused: &Value,
) -> Result<bool> {
    let channel = sqlx::query_scalar!(
        r#"UPDATE syncline.alert_delivery
              SET state = 'delivered', attempts = attempts + 1, finished_at = $2, next_try_at = NULL, reference = $3, refused = $4
            WHERE id = $1 RETURNING channel"#,
        id,
        now,
        reference,
        refused
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(channel) = channel else { return Ok(false) };
    // Locks the row only when there is something to forget: deliveries must not queue behind each other.
    let was_reported = sqlx::query_scalar!(
        r#"UPDATE syncline.alert_channel c
              SET failures = 0, failing_since = NULL, reported = false, reason_code = NULL, reason = NULL
             FROM (SELECT name, reported FROM syncline.alert_channel WHERE name = $1 AND (failures > 0 OR reported) FOR UPDATE) old
            WHERE c.name = old.name RETURNING old.reported AS "reported!""#,
        channel
    )
    .fetch_optional(conn)
    .await?;
    Ok(was_reported.unwrap_or(false))
}

/// A refusal, as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Its code.
    pub code: &'a str,
    /// The other side's words, sanitised.
    pub message: &'a str,
    /// When the same message is tried again; never, when absent.
    pub next_try_at: Option<DateTime<Utc>>,
}

/// How a channel is, after it did not take a message.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Failures in a row.
    pub failures: i32,
    /// Since when.
    pub failing_since: DateTime<Utc>,
}

/// The channel did not take it. Answers the channel's health; none when the channel was removed.
pub async fn refused(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    id: Uuid,
    refusal: Refusal<'_>,
) -> Result<Option<Health>> {
    // Siblings first: of several that fail at once, the last must see that nobody got the message.
    sqlx::query!(
        r#"SELECT s.id FROM syncline.alert_delivery s JOIN syncline.alert_delivery d USING (alert_id, event_seq)
            WHERE d.id = $1 ORDER BY s.id FOR UPDATE OF s"#,
        id
    )
    .fetch_all(&mut *conn)
    .await?;
    let channel = sqlx::query_scalar!(
        r#"UPDATE syncline.alert_delivery
              SET state = CASE WHEN $3::timestamptz IS NULL THEN 'failed' ELSE 'pending' END, attempts = attempts + 1,
                  next_try_at = $3, finished_at = CASE WHEN $3::timestamptz IS NULL THEN $2::timestamptz END,
                  reason_code = $4, reason = $5
            WHERE id = $1 RETURNING channel"#,
        id,
        now,
        refusal.next_try_at,
        refusal.code,
        refusal.message
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(channel) = channel else { return Ok(None) };
    let health = sqlx::query_as!(
        Health,
        r#"UPDATE syncline.alert_channel
              SET failures = failures + 1, failing_since = coalesce(failing_since, $2), reason_code = $3, reason = $4
            WHERE name = $1 RETURNING failures, failing_since AS "failing_since!""#,
        channel,
        now,
        refusal.code,
        refusal.message
    )
    .fetch_optional(conn)
    .await?;
    Ok(health)
}

/// Remembers that a channel's failing was observed, so that its next success is observed too.
pub async fn mark_reported(conn: &mut PgConnection, channel: &str) -> Result<()> {
    sqlx::query!("UPDATE syncline.alert_channel SET reported = true WHERE name = $1 AND NOT reported", channel)
        .execute(conn)
        .await?;
    Ok(())
}

/// Hands a message to the log channel when nobody has got it and everybody else who should is failing. Answers the new
/// delivery, which needs a step.
pub async fn fall_back(conn: &mut PgConnection, now: DateTime<Utc>, id: Uuid, new_id: Uuid) -> Result<Option<Uuid>> {
    let fallback = sqlx::query_scalar!(
        r#"INSERT INTO syncline.alert_delivery (id, alert_id, event_seq, event, channel, recipients, thread, message,
                  created_at)
           SELECT $3, d.alert_id, d.event_seq, d.event, 'log', '', '',
                  d.message || jsonb_build_object('to', '[]'::jsonb, 'cc', '[]'::jsonb, 'bcc', '[]'::jsonb, 'metadata',
                                                  d.message->'metadata' || jsonb_build_object('delivery_id', $3::uuid)),
                  $2
             FROM syncline.alert_delivery d
            WHERE d.id = $1 AND d.channel <> 'log'
              AND NOT EXISTS (SELECT 1 FROM syncline.alert_delivery o
                               WHERE o.alert_id = d.alert_id AND o.event_seq = d.event_seq
                                 AND (o.state = 'delivered' OR o.state = 'pending' AND o.attempts < $4 AND o.id <> d.id))
           ON CONFLICT (alert_id, event_seq, channel, recipients) DO NOTHING
           RETURNING id"#,
        id,
        now,
        new_id,
        FAILURES_LIMIT
    )
    .fetch_optional(conn)
    .await?;
    Ok(fallback)
}

/// Hands a message that some recipients may take later to them alone. Answers the new delivery, which needs a step.
pub async fn split(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    id: Uuid,
    new_id: Uuid,
    recipients: &[String],
) -> Result<Option<Uuid>> {
    let again = sqlx::query_scalar!(
        r#"INSERT INTO syncline.alert_delivery (id, alert_id, event_seq, event, channel, recipients, thread, message,
                  created_at)
           SELECT $3, d.alert_id, d.event_seq, d.event, d.channel, 'again ' || array_to_string($4::text[], ','), d.thread,
                  -- The delivery's id stays: to a recipient who has got it all the same, it is the same message.
                  d.message || jsonb_build_object('to', to_jsonb($4::text[]), 'cc', '[]'::jsonb, 'bcc', '[]'::jsonb), $2
             FROM syncline.alert_delivery d WHERE d.id = $1
           ON CONFLICT (alert_id, event_seq, channel, recipients) DO NOTHING
           RETURNING id"#,
        id,
        now,
        new_id,
        recipients
    )
    .fetch_optional(conn)
    .await?;
    Ok(again)
}

/// Deliveries that nobody works on although they are overdue: their step was given up. Each is handed out once and then not
/// again until `now` has moved on by `patience_seconds`.
pub async fn forgotten(conn: &mut PgConnection, now: DateTime<Utc>, patience_seconds: f64) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"UPDATE syncline.alert_delivery SET next_try_at = $1
            WHERE id IN (
                SELECT d.id FROM syncline.alert_delivery d
                 WHERE d.state = 'pending' AND d.created_at < $1::timestamptz - make_interval(secs => $2)
                   AND coalesce(d.next_try_at, d.created_at) < $1::timestamptz - make_interval(secs => $2)
                   AND NOT EXISTS (SELECT 1 FROM syncline.sync_step s
                                    WHERE s.kind = 'deliver_alert' AND s.state IN ('ready', 'later', 'running')
                                      AND s.payload->>'delivery_id' = d.id::text)
                 ORDER BY d.created_at LIMIT 100
                 FOR UPDATE OF d SKIP LOCKED)
           RETURNING id"#,
        now,
        patience_seconds
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}
