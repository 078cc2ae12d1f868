//! Webhooks that came: taken by one statement, listed, counted.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::Result;

/// A webhook that was proven.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// The site.
    pub site_id: Uuid,
    /// The secret that proved it.
    pub secret: Uuid,
    /// What Jira calls the delivery.
    pub delivery: String,
    /// When Jira made it.
    pub sent_at: Option<DateTime<Utc>>,
    /// What happened.
    pub kind: String,
    /// What proved it: `hmac`, `jwt` or `path`.
    pub verified: &'static str,
    /// The issues that it names.
    pub issues: Vec<i64>,
    /// The key of the first of them.
    pub issue_key: Option<String>,
    /// The project that it names, by Jira's id.
    pub project: Option<i64>,
    /// The same by its key.
    pub project_key: Option<String>,
    /// The board that it names.
    pub board: Option<i64>,
    /// It is about the project as a whole.
    pub is_whole: bool,
    /// When the issue changed, as Jira says.
    pub changed_at: Option<DateTime<Utc>>,
    /// Why it is ignored whatever it names.
    pub ignored: Option<&'static str>,
    /// So many hints of a site may wait; what comes then asks for a run.
    pub most_hints: i64,
    /// How long a hint waits for others, in seconds.
    pub coalesce: f64,
}

/// What became of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// False: it had come before.
    pub is_new: bool,
    /// `hinted`, `run` or `ignored`.
    pub outcome: String,
}

/// Takes a webhook: the event, its hints and the use of its secret, by one statement.
pub async fn take(pool: &PgPool, it: &Arrival) -> Result<Taken> {
    let row = sqlx::query!(
        r#"
        WITH waiting AS MATERIALIZED (
            SELECT count(*) >= $12 AS is_full
              FROM (SELECT FROM syncline.webhook_hint h WHERE h.site_id = $1 LIMIT $12) few
        ), said AS MATERIALIZED (
            SELECT p.id FROM syncline.project p
             WHERE p.site_id = $1 AND p.state = 'active' AND (p.jira_id = $10 OR p.jira_id IS NULL AND p.key = $11)
             LIMIT 1
        ), named AS MATERIALIZED (
            -- Where the issue is now, as the webhook says; where it was, if that is all that is known. Never both: one would
            -- write it while the other marks it as moved away.
            SELECT p.id AS project_id, i.id AS issue_id, here.id IS NOT NULL AS is_here, p.tracking
              FROM unnest($8::int8[]) AS i (id)
              LEFT JOIN syncline.issue here ON here.site_id = $1 AND here.id = i.id
              JOIN syncline.project p
                ON p.site_id = $1 AND p.state = 'active' AND p.id = coalesce((SELECT id FROM said), here.project_id)
             WHERE $14::text IS NULL
            UNION
            SELECT p.id, 0, true, 'all' FROM syncline.project p
             WHERE $13 AND $14::text IS NULL AND p.site_id = $1 AND p.state = 'active'
               AND (p.jira_id = $10 OR p.jira_id IS NULL AND p.key = $11
                    OR p.jira_id = (SELECT b.jira_project_id FROM syncline.board b WHERE b.site_id = $1 AND b.id = $16))
        ), target AS MATERIALIZED (
            -- Whose issues a project with a list wants is known by its query alone: what is not here is asked for by a run.
            SELECT DISTINCT n.project_id,
                   CASE WHEN w.is_full OR n.tracking = 'listed' AND NOT n.is_here THEN 0 ELSE n.issue_id END AS issue_id
              FROM named n CROSS JOIN waiting w
        ), verdict AS MATERIALIZED (
            SELECT CASE WHEN count(*) = 0 THEN 'ignored' WHEN bool_and(t.issue_id = 0) THEN 'run' ELSE 'hinted' END AS outcome,
                   CASE WHEN $14::text IS NOT NULL THEN $14 WHEN count(*) = 0 THEN 'untracked'
                        WHEN (SELECT is_full FROM waiting) THEN 'full' END AS reason
              FROM target t
        ), event AS (
            INSERT INTO syncline.webhook_event (site_id, delivery, sent_at, kind, issue_id, issue_key, verified, outcome, reason)
            SELECT $1, $3, $4, $5, ($8::int8[])[1], $9, $6, v.outcome, v.reason FROM verdict v
            ON CONFLICT (site_id, delivery) DO NOTHING
            RETURNING id
        ), hint AS (
            INSERT INTO syncline.webhook_hint AS h (site_id, project_id, issue_id, changed_at, due_at)
            SELECT $1, t.project_id, t.issue_id, $7, clock_timestamp() + make_interval(secs => $15)
              FROM target t WHERE EXISTS (SELECT FROM event)
             ORDER BY t.project_id, t.issue_id
            ON CONFLICT (site_id, project_id, issue_id) DO UPDATE
               SET hinted_at = excluded.hinted_at, changed_at = greatest(h.changed_at, excluded.changed_at),
                   due_at = least(h.due_at, excluded.due_at), tries = 0
             -- A project that waits to be read whole waits for no more.
             WHERE excluded.issue_id <> 0
        ), used AS (
            UPDATE syncline.webhook_secret SET last_used_at = clock_timestamp()
             WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
        )
        SELECT EXISTS (SELECT FROM event) AS "is_new!", v.outcome AS "outcome!" FROM verdict v
        "#,
        it.site_id,
        it.secret,
        it.delivery,
        it.sent_at,
        it.kind,
        it.verified,
        it.changed_at,
        &it.issues,
        it.issue_key,
        it.project,
        it.project_key,
        it.most_hints,
        it.is_whole,
        it.ignored,
        it.coalesce,
        it.board
    )
    .fetch_one(pool)
    .await?;
    Ok(Taken { is_new: row.is_new, outcome: row.outcome })
}

/// Adds to how many webhooks of a site were refused.
pub async fn count_refusals(pool: &PgPool, site_id: Uuid, reason: &str, count: i64) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO syncline.webhook_refusal AS r (site_id, reason, hour, count)
           VALUES ($1, $2, date_trunc('hour', clock_timestamp()), $3)
           ON CONFLICT (site_id, reason, hour) DO UPDATE SET count = r.count + excluded.count, last_at = excluded.last_at"#,
        site_id,
        reason,
        count
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A webhook as people see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// Grows in the order in which they came.
    pub id: i64,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When Jira made it, as it says.
    pub sent_at: Option<DateTime<Utc>>,
    /// What happened, as Jira calls it.
    pub kind: String,
    /// The issue that it is about.
    pub issue_id: Option<i64>,
    /// Its key, as the webhook says.
    pub issue_key: Option<String>,
    /// What Jira calls the delivery.
    pub delivery: String,
    /// What proved it: hmac, jwt or path.
    pub verified: String,
    /// hinted, run, ignored or read.
    pub outcome: String,
    /// Why it was ignored, or a run was requested.
    pub reason: Option<String>,
    /// When the issue was read since.
    pub read_at: Option<DateTime<Utc>>,
}

/// The webhooks of a site, newest first: older than `before`, about `issue` (its key or id), with this outcome.
pub async fn list(
    pool: &PgPool,
    site_id: Uuid,
    before: Option<i64>,
    issue: Option<&str>,
    outcome: Option<&str>,
    limit: i64,
) -> Result<Vec<Event>> {
    let events = sqlx::query_as!(
        Event,
        r#"SELECT id, received_at, sent_at, kind, issue_id, issue_key, delivery, verified, outcome, reason, read_at
             FROM syncline.webhook_event
            WHERE site_id = $1 AND ($2::int8 IS NULL OR id < $2)
              AND ($3::text IS NULL OR issue_key = $3 OR issue_id::text = $3)
              AND ($4::text IS NULL OR outcome = $4)
            ORDER BY id DESC LIMIT $5"#,
        site_id,
        before,
        issue,
        outcome,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(events)
}

/// How many were refused for one reason within 7 days.
#[derive(Clone, Debug, Serialize)]
pub struct Refusals {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: i64,
    /// When they were last counted.
    pub last_at: DateTime<Utc>,
}

/// How the webhooks of a site stand, over the last 7 days.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// When the last one came.
    pub last_received_at: Option<DateTime<Utc>>,
    /// How long after Jira had made it, in seconds.
    pub last_delay_seconds: Option<f64>,
    /// How many came.
    pub events: i64,
    /// Of them: ignored.
    pub ignored: i64,
    /// Hints that wait to be read.
    pub hints: i64,
    /// From the webhook to the read, in seconds: half took no longer.
    pub read_p50_seconds: Option<f64>,
    /// The same: 95 of 100 took no longer.
    pub read_p95_seconds: Option<f64>,
    /// Refused ones.
    pub refused: Vec<Refusals>,
}

/// How the webhooks of a site stand.
pub async fn standing(pool: &PgPool, site_id: Uuid) -> Result<Standing> {
    let refused = sqlx::query_as!(
        Refusals,
        r#"SELECT reason, sum(count)::int8 AS "count!", max(last_at) AS "last_at!" FROM syncline.webhook_refusal
            WHERE site_id = $1 GROUP BY reason ORDER BY 2 DESC, 1"#,
        site_id
    )
    .fetch_all(pool)
    .await?;
    let row = sqlx::query!(
        r#"SELECT last.received_at AS "received_at?", last.delay AS "delay?", e.events AS "events!", e.ignored AS "ignored!",
                  e.p50, e.p95, (SELECT count(*) FROM syncline.webhook_hint WHERE site_id = $1) AS "hints!"
             FROM (SELECT count(*) AS events, count(*) FILTER (WHERE outcome = 'ignored') AS ignored,
                          percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM read_at - received_at)::float8) AS p50,
                          percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM read_at - received_at)::float8) AS p95
                     FROM (SELECT * FROM syncline.webhook_event WHERE site_id = $1 ORDER BY id DESC LIMIT 100000) few) e
             LEFT JOIN LATERAL (SELECT received_at, extract(epoch FROM received_at - sent_at)::float8 AS delay
                                  FROM syncline.webhook_event WHERE site_id = $1 ORDER BY id DESC LIMIT 1) last ON true"#,
        site_id
    )
    .fetch_one(pool)
    .await?;
    Ok(Standing {
        last_received_at: row.received_at,
        last_delay_seconds: row.delay,
        events: row.events,
        ignored: row.ignored,
        hints: row.hints,
        read_p50_seconds: row.p50,
        read_p95_seconds: row.p95,
        refused,
    })
}
