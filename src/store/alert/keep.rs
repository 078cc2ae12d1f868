//! What the keeper of episodes reads and writes: episodes that are due, and what was decided about them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::row::{self, AlertRow, Change};
use crate::domain::alert::{Details, Scope};
use crate::domain::route::Audience;
use crate::observe::events;
use crate::store::{Error, Result};

/// An episode whose time has come, locked until the transaction ends.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its state.
    pub row: AlertRow,
    /// What it is about.
    pub scope: Scope,
    /// The class of the condition.
    pub class: String,
    /// Its category.
    pub category: String,
    /// How telemetry describes it.
    pub details: Details,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// The name of its site.
    pub site: Option<String>,
    /// Where that site is.
    pub site_url: Option<String>,
    /// SITE/KEY of its project.
    pub project: Option<String>,
    /// SITE/KEY of projects whose episodes it speaks for.
    pub children: Vec<String>,
}

/// Episodes of projects that their site speaks for from now on, and those whose site has nothing to say any more. Answers
/// how many changed.
pub async fn settle(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<i64> {
    let settled = sqlx::query_scalar!(
        r#"
        WITH released AS (
            -- Over with their site's: what still fails is seen again, and is an episode of its own then.
            UPDATE syncline.alert SET state = 'resolved', resolved_at = $1, next_action_at = NULL, last_seq = last_seq + 1
             WHERE id IN (SELECT c.id FROM syncline.alert c
                           WHERE c.state = 'absorbed'
                             AND NOT EXISTS (SELECT 1 FROM syncline.alert p WHERE p.id = c.parent_id AND p.state <> 'resolved')
                             FOR UPDATE OF c SKIP LOCKED)
            RETURNING id, last_seq, severity, 'resolved' AS event, 'the episode of its site is over' AS reason
        ), absorbed AS (
            UPDATE syncline.alert a
               SET state = 'absorbed', parent_id = n.parent_id, next_action_at = NULL, last_seq = a.last_seq + 1
              FROM (SELECT c.id, p.id AS parent_id
                      FROM syncline.alert c
                      JOIN syncline.alert p ON p.site_id = c.site_id AND p.class = c.class AND p.scope_kind = 'site'
                     -- What people know of is taken over only by what they know of.
                     WHERE c.scope_kind = 'project' AND c.state IN ('pending', 'open') AND p.cleared_at IS NULL
                       AND (p.state = 'open' OR p.state = 'pending' AND c.state = 'pending')
                       FOR UPDATE OF c SKIP LOCKED) n
             WHERE a.id = n.id
            RETURNING a.id, a.last_seq, a.severity, 'absorbed' AS event, 'the episode of its site speaks for it' AS reason
        ), recorded AS (
            INSERT INTO syncline.alert_event (alert_id, seq, at, event, reason, severity)
            SELECT id, last_seq, $1, event, reason, severity FROM released
             UNION ALL SELECT id, last_seq, $1, event, reason, severity FROM absorbed
            RETURNING 1
        )
        SELECT count(*) AS "n!" FROM recorded
        "#,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(settled)
}

/// Up to `limit` episodes that are due at `now`, the longest waiting first; those that somebody else holds are left out.
pub async fn due(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"SELECT a.id, a.key, a.state, a.severity, coalesce((a.details->>'rung')::int2, 0::int2) AS "rung!", a.held_since,
                  a.cleared_at, a.resolved_at, a.damped_until, a.flaps, a.told_open, a.told_at, a.told_opened_at,
                  a.told_severity, a.told_rung, a.told_age_seconds, a.acknowledged_at, a.last_seq, a.next_action_at,
                  a.scope, a.class, a.category, a.details, a.opened_at,
                  (SELECT s.name FROM syncline.site s WHERE s.id = a.site_id) AS site,
                  (SELECT s.base_url FROM syncline.site s WHERE s.id = a.site_id) AS site_url,
                  (SELECT s.name || '/' || p.key FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id
                    WHERE p.id = a.project_id) AS project,
                  ARRAY(SELECT s.name || '/' || p.key FROM syncline.alert c
                          JOIN syncline.project p ON p.id = c.project_id JOIN syncline.site s ON s.id = p.site_id
                         WHERE c.parent_id = a.id AND c.state = 'absorbed' AND a.scope_kind = 'site'
                         ORDER BY 1) AS "children!: Vec<String>"
             FROM syncline.alert a
            WHERE a.next_action_at <= $1
            ORDER BY a.next_action_at
            LIMIT $2
            FOR UPDATE OF a SKIP LOCKED"#,
        now,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for r in rows {
        let id = r.id;
        let read_all = || -> Result<Due> {
            let row = AlertRow {
                id: r.id,
                key: r.key,
                state: r.state,
                severity: r.severity,
                rung: r.rung,
                held_since: r.held_since,
                cleared_at: r.cleared_at,
                resolved_at: r.resolved_at,
                damped_until: r.damped_until,
                flaps: r.flaps,
                told_open: r.told_open,
                told_at: r.told_at,
                told_opened_at: r.told_opened_at,
                told_severity: r.told_severity,
                told_rung: r.told_rung,
                told_age_seconds: r.told_age_seconds,
                acknowledged_at: r.acknowledged_at,
                last_seq: r.last_seq,
                next_action_at: r.next_action_at,
            };
            Ok(Due {
                row,
                scope: read(r.scope, "scope")?,
                class: r.class,
                category: r.category,
                details: read(r.details, "details")?,
                opened_at: r.opened_at,
                site: r.site,
                site_url: r.site_url,
                project: r.project,
                children: r.children,
            })
        };
        match read_all() {
            Ok(due) => found.push(due),
            // Another version wrote it: it must not keep the others from being told.
            Err(error) => {
                tracing::error!(event = events::ALERT_UNREADABLE, alert_id = %id, %error);
                put_aside(conn, id, now + TimeDelta::days(1)).await?;
            }
        }
    }
    Ok(found)
}

async fn put_aside(conn: &mut PgConnection, id: Uuid, until: DateTime<Utc>) -> Result<()> {
    sqlx::query!("UPDATE syncline.alert SET next_action_at = $2 WHERE id = $1", id, until).execute(conn).await?;
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(value: Value, column: &'static str) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::BadValue {
        table: "syncline.alert",
        column,
        found: error.to_string(),
        expected: "a document of this version",
    })
}

/// When an episode is due next; `None` when none is.
pub async fn next_due(pool: &PgPool) -> Result<Option<DateTime<Utc>>> {
    let next = sqlx::query_scalar!("SELECT min(next_action_at) FROM syncline.alert WHERE next_action_at IS NOT NULL")
        .fetch_one(pool)
        .await?;
    Ok(next)
}

/// Something that happened to an episode, to be recorded.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The episode.
    pub alert_id: Uuid,
    /// Its number within the episode.
    pub seq: i32,
    /// What happened.
    pub event: String,
    /// Why.
    pub reason: String,
    /// How bad it was then.
    pub severity: String,
    /// Whether a silence or a maintenance window kept its message back.
    pub withheld: bool,
}

/// A message to one channel, for the outbox.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Made by the caller: the message names it.
    pub id: Uuid,
    /// The episode.
    pub alert_id: Uuid,
    /// The event that it tells of.
    pub event_seq: i32,
    /// What kind of event.
    pub event: String,
    /// The channel.
    pub channel: String,
    /// Identifies the recipients within the channel.
    pub recipients: String,
    /// The message.
    pub message: Value,
}

/// Writes what was decided; answers the ids of the deliveries that were not there before.
pub async fn record(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    changes: &[Change],
    events: &[NewEvent],
    deliveries: &[NewDelivery],
) -> Result<Vec<Uuid>> {
    row::write(conn, changes, None).await?;
    if !events.is_empty() {
        insert_events(conn, now, events).await?;
    }
    if deliveries.is_empty() { Ok(Vec::new()) } else { insert_deliveries(conn, now, deliveries).await }
}

pub(super) async fn insert_events(conn: &mut PgConnection, now: DateTime<Utc>, events: &[NewEvent]) -> Result<()> {
    let alerts: Vec<Uuid> = events.iter().map(|e| e.alert_id).collect();
    let seqs: Vec<i32> = events.iter().map(|e| e.seq).collect();
    let kinds: Vec<String> = events.iter().map(|e| e.event.clone()).collect();
    let reasons: Vec<String> = events.iter().map(|e| e.reason.clone()).collect();
    let severities: Vec<String> = events.iter().map(|e| e.severity.clone()).collect();
    let withheld: Vec<bool> = events.iter().map(|e| e.withheld).collect();
    sqlx::query!(
        r#"INSERT INTO syncline.alert_event (alert_id, seq, at, event, reason, severity, withheld)
           SELECT n.alert_id, n.seq, $7, n.event, n.reason, n.severity, n.withheld
             FROM unnest($1::uuid[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::bool[])
                  AS n (alert_id, seq, event, reason, severity, withheld)"#,
        &alerts,
        &seqs,
        &kinds,
        &reasons,
        &severities,
        &withheld,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts messages into the outbox; answers those that were not there before, for which steps are to be enqueued.
pub(super) async fn insert_deliveries(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    deliveries: &[NewDelivery],
) -> Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = deliveries.iter().map(|d| d.id).collect();
    let alerts: Vec<Uuid> = deliveries.iter().map(|d| d.alert_id).collect();
    let seqs: Vec<i32> = deliveries.iter().map(|d| d.event_seq).collect();
    let kinds: Vec<String> = deliveries.iter().map(|d| d.event.clone()).collect();
    let channels: Vec<String> = deliveries.iter().map(|d| d.channel.clone()).collect();
    let recipients: Vec<String> = deliveries.iter().map(|d| d.recipients.clone()).collect();
    let messages: Vec<Value> = deliveries.iter().map(|d| d.message.clone()).collect();
    let inserted = sqlx::query_scalar!(
        r#"INSERT INTO syncline.alert_delivery (id, alert_id, event_seq, event, channel, recipients, thread, message,
                  created_at)
           SELECT n.id, n.alert_id, n.seq, n.event, n.channel, n.recipients, n.recipients, n.message, $8
             FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
                  AS n (id, alert_id, seq, event, channel, recipients, message)
           ON CONFLICT (alert_id, event_seq, channel, recipients) DO NOTHING
           RETURNING id"#,
        &ids,
        &alerts,
        &seqs,
        &kinds,
        &channels,
        &recipients,
        &messages,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(inserted)
}

/// Those who were told that these episodes go on: they are told when it is over.
pub async fn listeners(conn: &mut PgConnection, alerts: &[Uuid]) -> Result<Vec<(Uuid, Audience)>> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT d.alert_id, d.channel,
                  ARRAY(SELECT jsonb_array_elements_text(d.message->'to')) AS "to!: Vec<String>",
                  ARRAY(SELECT jsonb_array_elements_text(d.message->'cc')) AS "cc!: Vec<String>",
                  ARRAY(SELECT jsonb_array_elements_text(d.message->'bcc')) AS "bcc!: Vec<String>"
             FROM syncline.alert_delivery d JOIN syncline.alert a ON a.id = d.alert_id
            WHERE d.alert_id = ANY ($1) AND d.event <> 'resolved' AND d.recipients = d.thread
              AND d.created_at >= a.told_opened_at"#,
        alerts
    )
    .fetch_all(conn)
    .await?;
    let audience = |to, cc, bcc, channel| Audience { channel, to, cc, bcc };
    Ok(rows.into_iter().map(|r| (r.alert_id, audience(r.to, r.cc, r.bcc, r.channel))).collect())
}
