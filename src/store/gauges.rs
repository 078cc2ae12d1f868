//! The gauges that are read from the database: the same on every pod, asked for at most once every few seconds.
//!
//! What must hold: what a reading costs and how much it answers has a bound, whatever the number of steps, issues and
//! projects; only the active projects themselves are looked at one by one.

use std::time::Duration;

use sqlx::PgPool;

use crate::domain::queue::Queue;
use crate::observe::metrics::{AlertsFiring, ChannelUp, DbGauges, OldestReady, ProjectGauges, QueueDepth, TableGauges};
use crate::store::{Result, upkeep};

/// What is read.
#[derive(Clone, Copy, Debug)]
pub struct GaugeOptions {
    /// How many projects are named; the rest are one entry, `other`.
    pub project_limit: u32,
    /// A project whose last success is older is stale, unless its schedule is slower.
    pub freshness_objective: Duration,
}

/// The states of steps that are counted. The ends are left out but for the dead: they would need a scan of history.
const STATES: [&str; 4] = ["ready", "later", "running", "dead"];
/// Counting stops here.
const COUNT_LIMIT: i64 = 100_000;

/// Reads them.
pub async fn read(pool: &PgPool, options: &GaugeOptions) -> Result<DbGauges> {
    // The projects take the longest: the rest is asked beside them.
    let (projects, (queue_jobs, oldest_ready, tables, alerts, channels, upkeep)) =
        futures::try_join!(projects(pool, options), async {
            Ok((
                queue_jobs(pool).await?,
                oldest_ready(pool).await?,
                tables(pool).await?,
                alerts(pool).await?,
                channels(pool).await?,
                upkeep::lags(pool).await?,
            ))
        })?;
    let rest = sqlx::query!(
        r#"SELECT pg_database_size(current_database()) AS "size!",
                  (SELECT count(*) FROM syncline.worker WHERE lease_until > clock_timestamp()) AS "workers!",
                  (SELECT count(*) FROM syncline.project WHERE state = 'paused') AS "paused!",
                  ARRAY(SELECT name FROM syncline.site ORDER BY created_at LIMIT 50) AS "sites!: Vec<String>""#
    )
    .fetch_one(pool)
    .await?;
    let (projects, mut freshness) = projects;
    freshness.push(("paused", number(rest.paused)));
    Ok(DbGauges {
        queue_jobs,
        oldest_ready,
        workers: Some(number(rest.workers)),
        projects,
        freshness,
        alerts,
        channels,
        sites: rest.sites,
        db_size_bytes: Some(number(rest.size)),
        tables,
        upkeep,
    })
}

async fn queue_jobs(pool: &PgPool) -> Result<Vec<QueueDepth>> {
    let depths = sqlx::query!(
        r#"
        -- Each state has a partial index. Ready steps are counted by queue from the index alone; the others share a bound.
        SELECT q.name AS "queue!", 'ready' AS "state!",
               (SELECT count(*) FROM (SELECT FROM syncline.sync_step s WHERE s.queue = q.name AND s.state = 'ready' LIMIT $1) r) AS "count!"
          FROM unnest(ARRAY['jira', 'store', 'control']) AS q (name)
        UNION ALL
        (SELECT queue, 'later', count(*) FROM (SELECT queue FROM syncline.sync_step WHERE state = 'later' LIMIT $1) s GROUP BY queue)
        UNION ALL
        (SELECT queue, 'running', count(*) FROM (SELECT queue FROM syncline.sync_step WHERE state = 'running' LIMIT $1) s GROUP BY queue)
        UNION ALL
        (SELECT queue, 'dead', count(*) FROM (SELECT queue FROM syncline.sync_step WHERE state = 'dead' LIMIT $1) s GROUP BY queue)
        "#,
        COUNT_LIMIT
    )
    .fetch_all(pool)
    .await?;
    let found = |queue: &str, state: &str| depths.iter().find(|row| row.queue == queue && row.state == state);
    Ok(Queue::ALL
        .into_iter()
        .flat_map(|queue| STATES.map(|state| (queue.as_str(), state)))
        .map(|(queue, state)| {
            let count = found(queue, state).map_or(0, |row| number(row.count));
            QueueDepth { queue: queue.to_owned(), state: state.to_owned(), count }
        })
        .collect())
}

async fn oldest_ready(pool: &PgPool) -> Result<Vec<OldestReady>> {
    let oldest = sqlx::query!(
        r#"
        -- From lane to lane, by one look into the index for each; what stands behind a shut gate does not wait for a worker.
        WITH RECURSIVE walk AS (
            SELECT q.name AS queue, n.*, 1 AS looks FROM unnest(ARRAY['jira', 'store', 'control']) AS q (name) CROSS JOIN LATERAL (
                SELECT hash_array_extended(s.gates, 0) AS number, s.priority, s.gates, s.ready_at FROM syncline.sync_step s
                 WHERE s.queue = q.name AND s.state = 'ready'
                 ORDER BY hash_array_extended(s.gates, 0), s.priority, s.ready_at LIMIT 1) n
            UNION ALL
            SELECT w.queue, n.*, w.looks + 1 FROM walk w CROSS JOIN LATERAL (
                SELECT hash_array_extended(s.gates, 0), s.priority, s.gates, s.ready_at FROM syncline.sync_step s
                 WHERE s.queue = w.queue AND s.state = 'ready' AND (hash_array_extended(s.gates, 0), s.priority) > (w.number, w.priority)
                 ORDER BY hash_array_extended(s.gates, 0), s.priority, s.ready_at LIMIT 1) n
             WHERE w.looks < 2000
        )
        SELECT q.name AS "queue!",
               coalesce(extract(epoch FROM clock_timestamp() - min(w.ready_at) FILTER (WHERE NOT EXISTS (
                   SELECT 1 FROM syncline.rate_gate g WHERE g.key = ANY (w.gates) AND g.paused_until > clock_timestamp())))::float8, 0) AS "seconds!"
          FROM unnest(ARRAY['jira', 'store', 'control']) AS q (name) LEFT JOIN walk w ON w.queue = q.name
         GROUP BY q.name ORDER BY q.name
        "#
    )
    .fetch_all(pool)
    .await?;
    Ok(oldest.into_iter().map(|row| OldestReady { queue: row.queue, seconds: row.seconds.max(0.0) }).collect())
}

/// Active projects: the worst off by name, the rest as `other`, and how many of all of them are fresh.
async fn projects(pool: &PgPool, options: &GaugeOptions) -> Result<(Vec<ProjectGauges>, Vec<(&'static str, u64)>)> {
    let rows = sqlx::query!(
        r#"
        WITH every AS MATERIALIZED (
            SELECT p.id, p.site_id, p.key, CASE WHEN e.cursor_at IS NOT NULL THEN least(e.cursor_at, clock_timestamp()) END AS watermark, e.last_sync_time AS last_success,
                   -- A nightly project is not stale at noon. Who has no schedule was promised nothing.
                   CASE WHEN c.project_id IS NOT NULL THEN
                       coalesce(e.last_sync_time, p.created_at)
                       + greatest(make_interval(secs => $2), CASE WHEN c.hold IS NULL THEN 2 * (c.next_slot_at - c.last_slot_at) END)
                   END AS fresh_until,
                   v.finished_at AS verified, v.differences,
                   coalesce(h.failure_streak, 0) AS streak,
                   coalesce(CASE WHEN c.hold = 'site' THEN greatest(g.rung, 1) ELSE c.rung END, 0)::int AS rung
              FROM syncline.project p
              -- The entities of a project succeed together, so that one tells of all.
              LEFT JOIN syncline.sync_state e ON e.project_id = p.id AND e.entity = 'issue'
              LEFT JOIN syncline.schedule c ON c.project_id = p.id
              LEFT JOIN syncline.project_health h ON h.project_id = p.id
              LEFT JOIN syncline.verification v ON v.project_id = p.id
              LEFT JOIN syncline.site_health g ON g.site_id = p.site_id
             WHERE p.state = 'active'
        ), named AS MATERIALIZED (
            SELECT * FROM every ORDER BY fresh_until, id LIMIT $1
        ), other AS (
            SELECT min(watermark) AS watermark, min(last_success) AS last_success, min(fresh_until) AS fresh_until, max(streak) AS streak,
                   max(rung) AS rung, min(verified) AS verified, max(differences) AS differences, count(*) AS projects,
                   count(*) FILTER (WHERE fresh_until >= now()) AS fresh, count(*) FILTER (WHERE fresh_until < now()) AS stale
              FROM every WHERE id NOT IN (SELECT id FROM named)
        )
        SELECT s.name || '/' || r.key AS "project!", w.watermark, r.last_success, r.fresh_until, r.streak AS "streak!", r.rung AS "rung!", r.verified, r.differences, 1::int8 AS "projects!",
               CASE WHEN r.fresh_until >= now() THEN 1 ELSE 0 END::int8 AS "fresh!",
               CASE WHEN r.fresh_until < now() THEN 1 ELSE 0 END::int8 AS "stale!"
          FROM named r
          JOIN syncline.site s ON s.id = r.site_id
         CROSS JOIN LATERAL (
               SELECT CASE WHEN count(*) > 0 AND count(t.cursor_at) = count(*) THEN least(min(t.cursor_at), clock_timestamp()) END AS watermark
                 FROM syncline.sync_state t WHERE t.project_id = r.id) w
        UNION ALL
        SELECT 'other', o.watermark, o.last_success, o.fresh_until, o.streak, o.rung, o.verified, o.differences, o.projects, o.fresh, o.stale FROM other o WHERE o.projects > 0
        "#,
        i64::from(options.project_limit),
        options.freshness_objective.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    let freshness = vec![
        ("fresh", number(rows.iter().map(|row| row.fresh).sum())),
        ("stale", number(rows.iter().map(|row| row.stale).sum())),
        ("unscheduled", number(rows.iter().map(|row| row.projects - row.fresh - row.stale).sum())),
    ];
    let projects = rows
        .into_iter()
        .map(|row| ProjectGauges {
            project: row.project,
            watermark: row.watermark,
            last_success: row.last_success,
            fresh_until: row.fresh_until,
            backoff_rung: u32::try_from(row.rung).unwrap_or(0),
            failure_streak: u32::try_from(row.streak).unwrap_or(0),
            verified: row.verified,
            verify_differences: row.differences.map(number),
        })
        .collect();
    Ok((projects, freshness))
}

/// Categories are words of this program, so that the labels are bounded; every severity is there, at 0 if need be.
async fn alerts(pool: &PgPool) -> Result<Vec<AlertsFiring>> {
    let alerts = sqlx::query!(
        r#"SELECT v.severity AS "severity!", coalesce(a.category, 'none') AS "category!", count(a.id) AS "count!"
             FROM unnest(ARRAY['critical', 'error', 'warning', 'info']) AS v (severity)
             LEFT JOIN syncline.alert a ON a.severity = v.severity AND a.state IN ('pending', 'open')
            GROUP BY 1, 2 ORDER BY 1, 2"#
    )
    .fetch_all(pool)
    .await?;
    Ok(alerts
        .into_iter()
        .map(|row| AlertsFiring { severity: row.severity, category: row.category, count: number(row.count) })
        .collect())
}

async fn channels(pool: &PgPool) -> Result<Vec<ChannelUp>> {
    let channels =
        sqlx::query!(r#"SELECT name, failures = 0 AND probe_problem IS NULL AS "up!" FROM syncline.alert_channel ORDER BY name LIMIT 50"#)
            .fetch_all(pool)
            .await?;
    Ok(channels.into_iter().map(|row| ChannelUp { channel: row.name, up: row.up }).collect())
}

async fn tables(pool: &PgPool) -> Result<Vec<TableGauges>> {
    let tables = sqlx::query!(
        r#"SELECT t.relname::text AS "table!", coalesce(pg_total_relation_size(t.relid), 0) AS "size!", t.n_dead_tup AS "dead!"
             FROM pg_stat_user_tables t WHERE t.schemaname = 'syncline' ORDER BY t.relname"#
    )
    .fetch_all(pool)
    .await?;
    Ok(tables
        .into_iter()
        .map(|row| TableGauges { table: row.table, size_bytes: number(row.size), dead_rows: number(row.dead) })
        .collect())
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
