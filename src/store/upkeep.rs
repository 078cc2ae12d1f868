//! Keeps tables from growing with time: ended steps, old runs, log entries and alerts are removed in bounded batches.

use std::time::Duration;

use sqlx::PgPool;

use crate::store::Result;

/// How long ended things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Steps that are done or cancelled.
    pub steps: Duration,
    /// Runs that ended, with their dead steps and log entries. The newest run of a project stays.
    pub runs: Duration,
    /// Alerts that are over, with their history and their messages; silences that have ended.
    pub alerts: Duration,
}

const QUARTER: Duration = Duration::from_secs(90 * 24 * 3600);

impl Default for Retention {
    fn default() -> Self {
        Self { steps: Duration::from_secs(24 * 3600), runs: QUARTER, alerts: QUARTER }
    }
}

/// Removes up to `batch` rows of each kind; answers how many were removed. Only one process does so at a time.
pub async fn sweep(pool: &PgPool, retention: &Retention, batch: i64) -> Result<i64> {
    let removed = sqlx::query_scalar!(
        r#"
        WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
        steps AS (
            DELETE FROM syncline.sync_step WHERE id IN (
                SELECT s.id FROM syncline.sync_step s, turn
                 -- By the primary key: an index on the time of their end would be paid by every step.
                 WHERE turn.mine AND s.id < syncline.id_floor(clock_timestamp() - make_interval(secs => $1))
                   AND s.state IN ('done', 'cancelled')
                   AND NOT EXISTS (SELECT 1 FROM syncline.sync_run r WHERE r.id = s.run_id AND r.state = 'running')
                 LIMIT $3) RETURNING 1
        ), old AS MATERIALIZED (
            SELECT r.id FROM syncline.sync_run r, turn
             WHERE turn.mine AND r.finished_at < clock_timestamp() - make_interval(secs => $2)
               AND EXISTS (SELECT 1 FROM syncline.sync_run newer WHERE newer.project_id = r.project_id AND newer.created_at > r.created_at)
             LIMIT $3
        ), dead AS (
            DELETE FROM syncline.sync_step
             WHERE run_id IN (SELECT id FROM old)
                -- Those that stand alone.
                OR id IN (SELECT s.id FROM syncline.sync_step s, turn
                           WHERE turn.mine AND s.state = 'dead' AND s.run_id IS NULL
                             AND s.finished_at < clock_timestamp() - make_interval(secs => $2) LIMIT $3)
            RETURNING 1
        ), runs AS (
            DELETE FROM syncline.sync_run WHERE id IN (SELECT id FROM old) RETURNING 1
        ), logs AS (
            DELETE FROM syncline.sync_log WHERE id IN (
                SELECT l.id FROM syncline.sync_log l, turn
                 WHERE turn.mine AND l.at < clock_timestamp() - make_interval(secs => $2) LIMIT $3) RETURNING 1
        ), alerts AS (
            DELETE FROM syncline.alert WHERE id IN (
                SELECT a.id FROM syncline.alert a, turn
                 WHERE turn.mine AND a.state = 'resolved' AND a.resolved_at < clock_timestamp() - make_interval(secs => $4)
                 LIMIT $3) RETURNING 1
        ), silences AS (
            DELETE FROM syncline.alert_silence s USING turn
             WHERE turn.mine AND s.ends_at < clock_timestamp() - make_interval(secs => $4) RETURNING 1
        ), workers AS (
            DELETE FROM syncline.worker w USING turn
             WHERE turn.mine AND w.lease_until < clock_timestamp() - interval '1 hour' RETURNING 1
        ), gates AS (
            DELETE FROM syncline.rate_gate g USING turn
             WHERE turn.mine AND g.paused_until < clock_timestamp() - interval '1 day' RETURNING 1
        )
        SELECT (SELECT count(*) FROM steps) + (SELECT count(*) FROM dead) + (SELECT count(*) FROM runs) + (SELECT count(*) FROM logs)
             + (SELECT count(*) FROM alerts) + (SELECT count(*) FROM silences) + (SELECT count(*) FROM workers) + (SELECT count(*) FROM gates) AS "n!"
        "#,
        retention.steps.as_secs_f64(),
        retention.runs.as_secs_f64(),
        batch,
        retention.alerts.as_secs_f64(),
    )
    .fetch_one(pool)
    .await?;
    Ok(removed)
}
