//! Episodes as operators see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// An episode.
#[derive(Clone, Debug, Serialize)]
pub struct AlertView {
    /// Its id.
    pub id: Uuid,
    /// The project that it is about, if it is about one.
    pub project_id: Option<Uuid>,
    /// `pending`, `open`, `absorbed` or `resolved`.
    pub state: String,
    /// How bad it is.
    pub severity: String,
    /// Its category.
    pub category: String,
    /// The class of the condition.
    pub class: String,
    /// What it is about: `site acme`, `project acme/OPS`, `channel mail`, `syncline`.
    pub about: String,
    /// How telemetry describes it: see `domain::alert::Details`.
    pub details: Value,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// When it ended.
    pub resolved_at: Option<DateTime<Utc>>,
    /// How often it came back.
    pub flaps: i32,
    /// When people were told last.
    pub told_at: Option<DateTime<Utc>>,
    /// When somebody took it on.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who.
    pub acknowledged_by: Option<String>,
    /// What they said.
    pub note: Option<String>,
    /// Until when it is silenced by itself.
    pub silenced_until: Option<DateTime<Utc>>,
    /// The episode that speaks for it.
    pub parent_id: Option<Uuid>,
    /// Episodes that it speaks for.
    pub children: i64,
    /// When it is looked at again.
    pub next_action_at: Option<DateTime<Utc>>,
    /// Messages sent.
    pub delivered: i64,
    /// Messages on their way.
    pub undelivered: i64,
}

/// Which episodes to list.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// Those that are over too.
    pub all: bool,
    /// This one, by its id or the beginning of it.
    pub id: Option<String>,
    /// Of these projects; none for all.
    pub projects: Option<Vec<Uuid>>,
    /// Those opened before the episode with this time and id, the newest first.
    pub before: Option<(DateTime<Utc>, Uuid)>,
    /// The newest first, not the worst.
    pub newest: bool,
    /// At most so many.
    pub limit: i64,
}

/// Episodes, the worst first, those that are over last.
pub async fn list(pool: &PgPool, now: DateTime<Utc>, filter: &AlertFilter) -> Result<Vec<AlertView>> {
    let alerts = sqlx::query_as!(
        AlertView,
        r#"SELECT a.id, a.project_id, a.state, a.severity, a.category, a.class,
                  CASE a.scope_kind
                      WHEN 'site' THEN 'site ' || coalesce((SELECT s.name FROM syncline.site s WHERE s.id = a.site_id), a.site_id::text)
                      WHEN 'project' THEN 'project ' || coalesce(
                          (SELECT s.name || '/' || p.key FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id
                            WHERE p.id = a.project_id), a.project_id::text)
                      WHEN 'channel' THEN 'channel ' || (a.scope->>'name')
                      ELSE 'syncline' END AS "about!",
                  a.details, a.opened_at, a.seen_at, a.resolved_at, a.flaps, a.told_at, a.acknowledged_at, a.acknowledged_by,
                  a.note,
                  (SELECT max(s.ends_at) FROM syncline.alert_silence s WHERE s.alert_id = a.id AND s.ends_at > $1) AS silenced_until,
                  a.parent_id,
                  (SELECT count(*) FROM syncline.alert c WHERE c.parent_id = a.id AND c.state = 'absorbed') AS "children!",
                  a.next_action_at,
                  (SELECT count(*) FROM syncline.alert_delivery d WHERE d.alert_id = a.id AND d.state = 'delivered') AS "delivered!",
                  (SELECT count(*) FROM syncline.alert_delivery d WHERE d.alert_id = a.id AND d.state <> 'delivered') AS "undelivered!"
             FROM syncline.alert a
            WHERE ($2 OR a.state <> 'resolved' AND (a.state <> 'absorbed' OR $3::text IS NOT NULL))
              AND ($3::text IS NULL OR starts_with(a.id::text, $3) OR right(a.id::text, 12) = $3)
              AND ($5::uuid[] IS NULL OR a.project_id = ANY ($5))
              AND ($6::timestamptz IS NULL OR (a.opened_at, a.id) < ($6, $7::uuid))
            ORDER BY NOT $8 AND a.state = 'resolved',
                     CASE WHEN NOT $8 THEN array_position(ARRAY['critical', 'error', 'warning', 'info'], a.severity) END,
                     a.opened_at DESC, a.id DESC
            LIMIT $4"#,
        now,
        filter.all || filter.id.is_some(),
        filter.id,
        filter.limit,
        filter.projects.as_deref(),
        filter.before.map(|(at, _)| at),
        filter.before.map(|(_, id)| id),
        filter.newest
    )
    .fetch_all(pool)
    .await?;
    Ok(alerts)
}

/// One line of an episode's history.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    /// Its number.
    pub seq: i32,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub event: String,
    /// Why.
    pub reason: String,
    /// Who, where it was somebody.
    pub actor: Option<String>,
    /// How bad it was then.
    pub severity: String,
    /// Whether its message was kept back.
    pub withheld: bool,
}

/// An episode's history.
pub async fn events(pool: &PgPool, id: Uuid) -> Result<Vec<EventView>> {
    let events = sqlx::query_as!(
        EventView,
        "SELECT seq, at, event, reason, actor, severity, withheld FROM syncline.alert_event WHERE alert_id = $1 ORDER BY seq",
        id
    )
    .fetch_all(pool)
    .await?;
    Ok(events)
}

/// The histories of several episodes, each of these projects where they are given.
pub async fn events_of(pool: &PgPool, ids: &[Uuid], projects: Option<&[Uuid]>) -> Result<Vec<(Uuid, EventView)>> {
    let rows = sqlx::query!(
        "SELECT e.alert_id, e.seq, e.at, e.event, e.reason, e.actor, e.severity, e.withheld
           FROM syncline.alert_event e JOIN syncline.alert a ON a.id = e.alert_id
          WHERE e.alert_id = ANY ($1) AND ($2::uuid[] IS NULL OR a.project_id = ANY ($2))
          ORDER BY e.alert_id, e.seq",
        ids,
        projects
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let event = EventView {
                seq: r.seq,
                at: r.at,
                event: r.event,
                reason: r.reason,
                actor: r.actor,
                severity: r.severity,
                withheld: r.withheld,
            };
            (r.alert_id, event)
        })
        .collect())
}

/// A message of an episode.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryView {
    /// Its id.
    pub id: Uuid,
    /// The event that it tells of.
    pub event_seq: i32,
    /// What kind of event.
    pub event: String,
    /// The channel.
    pub channel: String,
    /// Who gets it.
    pub recipients: String,
    /// `pending`, `delivered` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
    /// When it is tried again.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it was taken, or given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// Recipients who were refused while others got it.
    pub refused: Value,
    /// Why it was not taken.
    pub reason: Option<String>,
}

/// An episode's messages.
pub async fn deliveries(pool: &PgPool, id: Uuid) -> Result<Vec<DeliveryView>> {
    let deliveries = sqlx::query_as!(
        DeliveryView,
        r#"SELECT id, event_seq, event, channel, recipients, state, attempts, created_at, next_try_at, finished_at, refused,
                  reason_code || ': ' || reason AS reason
             FROM syncline.alert_delivery WHERE alert_id = $1 ORDER BY event_seq, channel, recipients"#,
        id
    )
    .fetch_all(pool)
    .await?;
    Ok(deliveries)
}
