//! The queue as operators see it, and how dead steps come back.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::audit::{self, Who};
use crate::store::{Result, clock};

/// One queue, counted.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStats {
    /// `jira`, `store` or `control`.
    pub queue: String,
    /// Steps that may be claimed.
    pub ready: i64,
    /// Steps that wait for a time.
    pub later: i64,
    /// Steps that are being executed.
    pub running: i64,
    /// Steps that nobody tries any more.
    pub dead: i64,
    /// How long the oldest ready step has waited; none when none is ready.
    pub oldest_ready_age_seconds: Option<f64>,
    /// When the next waiting step becomes ready.
    pub next_ready_at: Option<DateTime<Utc>>,
}

/// A part of a site that is being left alone.
#[derive(Clone, Debug, Serialize)]
pub struct ShutGate {
    /// The site's name, or the gate's key when it is about something else.
    pub site: String,
    /// Until when.
    pub paused_until: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// A worker process.
#[derive(Clone, Debug, Serialize)]
pub struct Worker {
    /// Made when the process started.
    pub id: Uuid,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: i32,
    /// The program's version.
    pub version: String,
    /// Since when.
    pub started_at: DateTime<Utc>,
    /// How far its machine's clock is ahead of the database's, where it is more than a second.
    pub clock_ahead_seconds: Option<f64>,
    /// Steps that it executes now.
    pub running: i64,
}

impl Worker {
    /// What is wrong with its machine's clock, if anything.
    pub fn clock_trouble(&self) -> Option<String> {
        let ahead = self.clock_ahead_seconds.filter(|ahead| ahead.abs() > clock::SKEW_LIMIT.as_seconds_f64())?;
        Some(format!("the clock of {} (pid {}) is {ahead:+.0} s off the database's", self.host, self.pid))
    }
}

/// A step that nobody tries any more.
#[derive(Clone, Debug, Serialize)]
pub struct DeadStep {
    /// Its id.
    pub id: Uuid,
    /// Its queue.
    pub queue: String,
    /// What it does.
    pub kind: String,
    /// Which one of its kind within its run.
    pub key: String,
    /// Its run, if it belongs to one.
    pub run_id: Option<Uuid>,
    /// SITE/KEY.
    pub project: Option<String>,
    /// How often it was claimed.
    pub attempts: i32,
    /// When it was given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// The canonical code of its failure.
    pub error_code: Option<String>,
    /// What happened.
    pub error_message: Option<String>,
    /// Who must do what.
    pub error_advice: Option<String>,
}

/// Which dead steps are meant; all where nothing narrows them down.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// These.
    pub ids: Option<Vec<Uuid>>,
    /// Those that failed with this code.
    pub code: Option<String>,
}

/// A cause of dead steps.
#[derive(Clone, Debug, Serialize)]
pub struct DeadCause {
    /// The canonical code of the failure.
    pub code: String,
    /// How many steps are dead of it.
    pub steps: i64,
}

/// What became of dead steps that were to be given up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Discarded {
    /// The steps.
    pub steps: Vec<Uuid>,
}

/// What became of the dead steps that were to be brought back.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Requeued {
    /// Steps without a run that are ready again.
    pub ready: Vec<Uuid>,
    /// New runs in place of those whose steps were dead.
    pub runs: Vec<Uuid>,
}

/// Every queue, counted in one statement.
pub async fn stats(pool: &PgPool) -> Result<Vec<QueueStats>> {
    let stats = sqlx::query_as!(
        QueueStats,
        r#"SELECT q.queue AS "queue!",
                  count(*) FILTER (WHERE t.state = 'ready' AND NOT t.held_back) AS "ready!",
                  count(*) FILTER (WHERE t.state = 'later' OR t.held_back) AS "later!",
                  count(*) FILTER (WHERE t.state = 'running') AS "running!",
                  count(*) FILTER (WHERE t.state = 'dead') AS "dead!",
                  extract(epoch FROM clock_timestamp() - min(t.ready_at) FILTER (WHERE t.state = 'ready' AND NOT t.held_back))::float8
                      AS oldest_ready_age_seconds,
                  min(t.ready_at) FILTER (WHERE t.state = 'later') AS next_ready_at
             FROM unnest(ARRAY['jira', 'store', 'control']) WITH ORDINALITY AS q (queue, position)
             LEFT JOIN (SELECT s.queue, s.state, s.ready_at,
                               -- A shut gate makes what stands behind it wait, whatever its state says.
                               s.state = 'ready' AND EXISTS (SELECT 1 FROM syncline.rate_gate g
                                   WHERE g.key = ANY (s.gates) AND g.paused_until > clock_timestamp()) AS held_back
                          FROM syncline.sync_step s WHERE s.state IN ('ready', 'later', 'running', 'dead')) t ON t.queue = q.queue
            GROUP BY q.queue, q.position
            ORDER BY q.position"#
    )
    .fetch_all(pool)
    .await?;
    Ok(stats)
}

/// Gates that are shut now.
pub async fn shut_gates(pool: &PgPool) -> Result<Vec<ShutGate>> {
    let gates = sqlx::query_as!(
        ShutGate,
        r#"SELECT coalesce(s.name, g.key) AS "site!", g.paused_until, g.reason
             FROM syncline.rate_gate g
             LEFT JOIN syncline.site s ON g.key LIKE 'site:' || s.id || '%'
            WHERE g.paused_until > clock_timestamp()
            ORDER BY g.paused_until"#
    )
    .fetch_all(pool)
    .await?;
    Ok(gates)
}

/// Workers that are alive.
pub async fn workers(pool: &PgPool) -> Result<Vec<Worker>> {
    let workers = sqlx::query_as!(
        Worker,
        r#"SELECT w.id, w.host, w.pid, w.version, w.started_at, w.clock_ahead_seconds,
                  (SELECT count(*) FROM syncline.sync_step t WHERE t.owner = w.id AND t.state = 'running') AS "running!"
             FROM syncline.worker w
            WHERE w.lease_until > clock_timestamp()
            ORDER BY w.started_at"#
    )
    .fetch_all(pool)
    .await?;
    Ok(workers)
}

/// How many steps nobody tries any more.
pub async fn count_dead(pool: &PgPool) -> Result<i64> {
    let dead = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.sync_step WHERE state = 'dead'"#)
        .fetch_one(pool)
        .await?;
    Ok(dead)
}

/// Dead steps, newest first; of one failure code, if it is given.
pub async fn dead(pool: &PgPool, code: Option<&str>, limit: i64) -> Result<Vec<DeadStep>> {
    let steps = sqlx::query_as!(
        DeadStep,
        r#"SELECT t.id, t.queue, t.kind, t.key, t.run_id, s.name || '/' || p.key AS project, t.attempt AS attempts,
                  t.finished_at, t.error_code, t.error_message, t.error_advice
             FROM syncline.sync_step t
             LEFT JOIN syncline.sync_run r ON r.id = t.run_id
             LEFT JOIN syncline.project p ON p.id = r.project_id
             LEFT JOIN syncline.site s ON s.id = p.site_id
            WHERE t.state = 'dead' AND ($2::text IS NULL OR t.error_code = $2)
            ORDER BY t.finished_at DESC
            LIMIT $1"#,
        limit,
        code
    )
    .fetch_all(pool)
    .await?;
    Ok(steps)
}

/// Why steps are dead, the most frequent cause first.
pub async fn dead_causes(pool: &PgPool) -> Result<Vec<DeadCause>> {
    let causes = sqlx::query_as!(
        DeadCause,
        r#"SELECT coalesce(error_code, '') AS "code!", count(*) AS "steps!" FROM syncline.sync_step
            WHERE state = 'dead' GROUP BY 1 ORDER BY 2 DESC, 1"#
    )
    .fetch_all(pool)
    .await?;
    Ok(causes)
}

/// Gives dead steps up: those that are meant are cancelled.
pub async fn discard(pool: &PgPool, which: &Which, who: &Who<'_>) -> Result<Discarded> {
    let mut transaction = pool.begin().await?;
    let steps = sqlx::query_scalar!(
        r#"UPDATE syncline.sync_step SET state = 'cancelled'
            WHERE state = 'dead' AND ($1::uuid[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR error_code = $2) RETURNING id"#,
        which.ids.as_deref(),
        which.code
    )
    .fetch_all(&mut *transaction)
    .await?;
    let subjects: Vec<String> = steps.iter().map(Uuid::to_string).collect();
    audit::record_each(&mut *transaction, who, "queue.discard", &subjects).await?;
    transaction.commit().await?;
    Ok(Discarded { steps })
}

/// Brings dead steps back: those that are meant. A step of its own is ready again. A step of a run has taken its run with
/// it, so that a run is requested in its place (one per project, full if any of them was); projects that are paused or
/// removed are left out.
pub async fn requeue(pool: &PgPool, which: &Which, who: &Who<'_>) -> Result<Requeued> {
    let mut transaction = pool.begin().await?;
    let dead = sqlx::query!(
        r#"SELECT id, run_id FROM syncline.sync_step
            WHERE state = 'dead' AND ($1::uuid[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR error_code = $2) FOR UPDATE"#,
        which.ids.as_deref(),
        which.code
    )
    .fetch_all(&mut *transaction)
    .await?;
    let ids: Vec<Uuid> = dead.iter().map(|step| step.id).collect();
    let ready = sqlx::query_scalar!(
        r#"UPDATE syncline.sync_step
              SET state = 'ready', failures = 0, rescues = 0, ready_at = clock_timestamp(), owner = NULL, finished_at = NULL
            WHERE id = ANY($1) AND run_id IS NULL
           RETURNING id"#,
        &ids
    )
    .fetch_all(&mut *transaction)
    .await?;
    let renewed = sqlx::query!(
        r#"SELECT w.project_id, syncline.request_run(w.project_id, w.kind, 'retry', $2, retried => w.run_id) AS "run!"
             FROM (SELECT r.project_id, CASE WHEN bool_or(r.kind = 'full') THEN 'full' ELSE 'incremental' END AS kind,
                          (array_agg(r.id ORDER BY r.created_at DESC))[1] AS run_id
                     FROM syncline.sync_run r
                     JOIN syncline.project p ON p.id = r.project_id AND p.state = 'active'
                    WHERE r.id = ANY(SELECT t.run_id FROM syncline.sync_step t WHERE t.id = ANY($1))
                    GROUP BY r.project_id) w"#,
        &ids,
        who.name
    )
    .fetch_all(&mut *transaction)
    .await?;
    let projects: Vec<Uuid> = renewed.iter().map(|row| row.project_id).collect();
    // What has been replaced is no longer dead.
    sqlx::query!(
        r#"UPDATE syncline.sync_step t SET state = 'cancelled'
             FROM syncline.sync_run r
            WHERE t.id = ANY($1) AND r.id = t.run_id AND r.project_id = ANY($2)"#,
        &ids,
        &projects
    )
    .execute(&mut *transaction)
    .await?;
    if !ready.is_empty() {
        sqlx::query!(
            "SELECT pg_notify('syncline_step', q.queue) FROM (SELECT DISTINCT queue FROM syncline.sync_step WHERE id = ANY($1)) q",
            &ready
        )
        .fetch_all(&mut *transaction)
        .await?;
    }
    let subjects: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    audit::record_each(&mut *transaction, who, "queue.requeue", &subjects).await?;
    transaction.commit().await?;
    Ok(Requeued { ready, runs: renewed.into_iter().map(|row| row.run).collect() })
}
