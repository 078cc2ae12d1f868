//! The gauges that are read from the database: the same on every pod, asked for at most once every few seconds.

use sqlx::PgPool;

use crate::domain::queue::Queue;
use crate::observe::metrics::{AlertsFiring, ChannelUp, DbGauges, OldestReady, ProjectGauges, QueueDepth};
use crate::store::Result;

/// Reads them. Counts of ended steps are left out but for the dead: they would need a scan of history.
pub async fn read(pool: &PgPool) -> Result<DbGauges> {
    let depths = sqlx::query!(
        r#"SELECT queue, state, count(*) AS "count!" FROM syncline.sync_step
            WHERE state IN ('ready', 'later', 'running', 'dead') GROUP BY queue, state"#
    )
    .fetch_all(pool)
    .await?;
    let oldest = sqlx::query!(
        r#"SELECT q.name AS "queue!",
                  coalesce((SELECT extract(epoch FROM clock_timestamp() - min(s.ready_at))::float8 FROM syncline.sync_step s
                             WHERE s.queue = q.name AND s.state = 'ready'), 0) AS "seconds!"
             FROM unnest(ARRAY['jira', 'store', 'control']) AS q (name)"#
    )
    .fetch_all(pool)
    .await?;
    let projects = sqlx::query!(
        r#"SELECT p.key, min(s.cursor_at) AS watermark, min(s.last_sync_time) AS last_success,
                  coalesce(max(h.failure_streak), 0) AS "failure_streak!",
                  coalesce(max(CASE WHEN c.hold = 'site' THEN greatest(g.rung, 1) ELSE c.rung END), 0)::int AS "rung!"
             FROM syncline.project p
             LEFT JOIN syncline.sync_state s ON s.project_id = p.id
             LEFT JOIN syncline.project_health h ON h.project_id = p.id
             LEFT JOIN syncline.schedule c ON c.project_id = p.id
             LEFT JOIN syncline.site_health g ON g.site_id = p.site_id
            WHERE p.state <> 'removed' GROUP BY p.id, p.key ORDER BY p.key"#
    )
    .fetch_all(pool)
    .await?;
    // Categories are words of this program, so that the labels are bounded; every severity is there, at 0 if need be.
    let alerts = sqlx::query!(
        r#"SELECT v.severity AS "severity!", coalesce(a.category, 'none') AS "category!", count(a.id) AS "count!"
             FROM unnest(ARRAY['critical', 'error', 'warning', 'info']) AS v (severity)
             LEFT JOIN syncline.alert a ON a.severity = v.severity AND a.state IN ('pending', 'open')
            GROUP BY 1, 2 ORDER BY 1, 2"#
    )
    .fetch_all(pool)
    .await?;
    let channels =
        sqlx::query!(r#"SELECT name, failures = 0 AND probe_problem IS NULL AS "up!" FROM syncline.alert_channel ORDER BY name LIMIT 50"#)
            .fetch_all(pool)
            .await?;
    let size = sqlx::query_scalar!(r#"SELECT pg_database_size(current_database()) AS "size!""#).fetch_one(pool).await?;

    let states = ["ready", "later", "running", "dead"];
    let queue_jobs = Queue::ALL
        .into_iter()
        .flat_map(|queue| states.map(|state| (queue.as_str(), state)))
        .map(|(queue, state)| {
            let count = depths.iter().find(|row| row.queue == queue && row.state == state).map_or(0, |row| row.count);
            QueueDepth { queue: queue.to_owned(), state: state.to_owned(), count: u64::try_from(count).unwrap_or(0) }
        })
        .collect();
    Ok(DbGauges {
        queue_jobs,
        oldest_ready: oldest
            .into_iter()
            .map(|row| OldestReady { queue: row.queue, seconds: row.seconds.max(0.0) })
            .collect(),
        projects: projects
            .into_iter()
            .map(|row| ProjectGauges {
                project: row.key,
                watermark: row.watermark,
                last_success: row.last_success,
                backoff_rung: u32::try_from(row.rung).unwrap_or(0),
                failure_streak: u32::try_from(row.failure_streak).unwrap_or(0),
            })
            .collect(),
        alerts: alerts
            .into_iter()
            .map(|row| AlertsFiring {
                severity: row.severity,
                category: row.category,
                count: u64::try_from(row.count).unwrap_or(0),
            })
            .collect(),
        channels: channels.into_iter().map(|row| ChannelUp { channel: row.name, up: row.up }).collect(),
        db_size_bytes: u64::try_from(size).ok(),
    })
}
