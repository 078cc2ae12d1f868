//! Runs that ended and were not read yet.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::failure::{FailureCode, sanitise};
use crate::domain::health::End;
use crate::store::Result;
use crate::store::rejected::{self, Counts};

/// A run that ended, with what it is compared with.
#[derive(Clone, Debug)]
pub struct Unread {
    /// The run.
    pub run_id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How.
    pub end: End,
    /// Issues that it read.
    pub issues: i64,
    /// It compared the ids of all issues, too.
    pub reconcile: bool,
    /// It read everything.
    pub full: bool,
    /// Somebody asked for it.
    pub manual: bool,
    /// What it could not read.
    pub rejected: Counts,
    /// Seconds that runs of its kind and size took.
    pub like_seconds: Vec<f64>,
    /// Issues per second that runs of its kind reached, where they read enough to tell.
    pub like_rates: Vec<f64>,
}

/// The kind of the step that reads the ends of runs.
pub const ANALYSIS_STEP: &str = "analyse_run";

/// Enqueues the step that reads the end of `run_id`, in the transaction that ends it. It stands outside the run, which is
/// over, and in its trace.
pub async fn enqueue_analysis(conn: &mut PgConnection, clock: &Clock, run_id: Uuid) -> Result<()> {
    sqlx::query!(
        r#"WITH step AS (
               INSERT INTO syncline.sync_step (id, queue, kind, key, state, priority, payload, max_attempts, trace_context)
               SELECT $1, 'control', $2, r.id::text, 'ready', 20, jsonb_build_object('project_id', r.project_id), 32767, r.trace_context
                 FROM syncline.sync_run r WHERE r.id = $3
               RETURNING queue)
           SELECT count(pg_notify('syncline_step', queue)) FROM step"#,
        clock.new_id(),
        ANALYSIS_STEP,
        run_id,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// The project's runs that ended and were not read, in the order of their ends. The caller holds the project's health.
pub async fn unread(conn: &mut PgConnection, project_id: Uuid) -> Result<Vec<Unread>> {
    let rows = sqlx::query!(
        r#"
        SELECT r.id, r.state, coalesce(r.started_at, r.created_at) AS "started_at!", r.finished_at AS "finished_at!",
               r.error_code, r.error_message, r.error_retry_at, r.issues_seen, r.reconcile, r.kind = 'full' AND r.trigger <> 'repair' AS "full!", r.trigger IN ('manual', 'retry') AS "manual!", r.rejected,
               coalesce(l.seconds, '{}') AS "seconds!", coalesce(l.rates, '{}') AS "rates!"
          FROM syncline.sync_run r
          LEFT JOIN LATERAL (
              -- The last successes of its kind that were not slow, or were slow long ago: what is slow for a week is usual.
              SELECT array_agg(o.seconds) FILTER (WHERE o.size = s.size) AS seconds,
                     array_agg(o.issues_seen / greatest(o.seconds, 0.001)) FILTER (WHERE o.issues_seen >= 500) AS rates
                FROM (SELECT CASE WHEN r.issues_seen <= 0 THEN -1 ELSE floor(log(r.issues_seen::float8)) END AS size) s,
                     LATERAL (
                         SELECT q.issues_seen, extract(epoch FROM q.finished_at - coalesce(q.started_at, q.created_at))::float8 AS seconds,
                                CASE WHEN q.issues_seen <= 0 THEN -1 ELSE floor(log(q.issues_seen::float8)) END AS size
                           FROM syncline.sync_run q
                          WHERE q.project_id = r.project_id AND q.created_at < r.created_at AND q.state = 'succeeded' AND q.kind = r.kind
                            AND (NOT q.slow OR q.finished_at < r.finished_at - interval '7 days')
                          ORDER BY q.created_at DESC LIMIT 60) o
          ) l ON r.state = 'succeeded'
         WHERE r.project_id = $1 AND r.finished_at IS NOT NULL AND r.analysed_at IS NULL
         ORDER BY r.finished_at, r.id
         LIMIT 100
        "#,
        project_id
    )
    .fetch_all(conn)
    .await?;
    let end = |state: &str, code: Option<String>, message: Option<String>, retry_at| match state {
        "succeeded" => End::Succeeded,
        "failed" => End::Failed {
            code: code.as_deref().and_then(FailureCode::parse).unwrap_or(FailureCode::Unknown),
            message: sanitise(&message.unwrap_or_default()),
            retry_at,
        },
        _ => End::Cancelled,
    };
    Ok(rows
        .into_iter()
        .map(|row| Unread {
            run_id: row.id,
            started_at: row.started_at,
            finished_at: row.finished_at,
            end: end(&row.state, row.error_code, row.error_message, row.error_retry_at),
            issues: row.issues_seen,
            reconcile: row.reconcile,
            full: row.full,
            manual: row.manual,
            rejected: rejected::counts(&row.rejected),
            like_seconds: row.seconds,
            like_rates: row.rates,
        })
        .collect())
}

/// Marks runs as read, and which of them were slow.
pub async fn mark_read(executor: impl PgExecutor<'_>, runs: &[Uuid], slow: &[bool], now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.sync_run r SET analysed_at = $3, slow = n.slow
             FROM unnest($1::uuid[], $2::bool[]) AS n (id, slow) WHERE r.id = n.id AND r.analysed_at IS NULL"#,
        runs,
        slow,
        now
    )
    .execute(executor)
    .await?;
    Ok(())
}
