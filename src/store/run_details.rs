//! What a run did, step by step, and what it waited for.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::Result;

/// The steps of one kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepCount {
    /// Their kind.
    pub kind: String,
    /// Ended well.
    pub done: i64,
    /// Being executed.
    pub running: i64,
    /// Not begun, or put off.
    pub waiting: i64,
    /// Given up.
    pub dead: i64,
    /// Stopped before they began.
    pub cancelled: i64,
    /// Attempts that failed.
    pub failures: i64,
    /// Takeovers from workers that had fallen silent.
    pub rescues: i64,
    /// From claim to end of those that are done, together; steps side by side count each.
    pub seconds: f64,
}

/// Waits of one kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Waited {
    /// The canonical code of what was waited for.
    pub reason: String,
    /// `pause` where Jira asked for it, `retry` where an attempt had failed.
    pub kind: String,
    /// How often.
    pub times: i64,
    /// How long, each step's wait counted.
    pub seconds: f64,
}

/// One step of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Step {
    /// Its id.
    pub id: Uuid,
    /// `jira`, `store` or `control`.
    pub queue: String,
    /// What it does.
    pub kind: String,
    /// Which one of its kind.
    pub key: String,
    /// `ready`, `later`, `running`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// How often it was claimed.
    pub attempts: i32,
    /// Attempts that failed.
    pub failures: i16,
    /// Takeovers from workers that had fallen silent.
    pub rescues: i16,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it may be claimed.
    pub ready_at: DateTime<Utc>,
    /// When it was claimed last.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The canonical code of its last failure.
    pub error_code: Option<String>,
    /// What happened.
    pub error_message: Option<String>,
    /// Who must do what.
    pub error_advice: Option<String>,
}

/// The run's steps by kind, in the order in which the kinds began.
pub async fn steps(pool: &PgPool, run_id: Uuid) -> Result<Vec<StepCount>> {
    let steps = sqlx::query_as!(
        StepCount,
        r#"SELECT kind, count(*) FILTER (WHERE state = 'done') AS "done!", count(*) FILTER (WHERE state = 'running') AS "running!",
                  count(*) FILTER (WHERE state IN ('ready', 'later')) AS "waiting!", count(*) FILTER (WHERE state = 'dead') AS "dead!",
                  count(*) FILTER (WHERE state = 'cancelled') AS "cancelled!", coalesce(sum(failures), 0)::int8 AS "failures!",
                  coalesce(sum(rescues), 0)::int8 AS "rescues!",
                  coalesce(sum(extract(epoch FROM finished_at - claimed_at)) FILTER (WHERE state = 'done'), 0)::float8 AS "seconds!"
             FROM syncline.sync_step WHERE run_id = $1 GROUP BY kind ORDER BY min(created_at), kind"#,
        run_id
    )
    .fetch_all(pool)
    .await?;
    Ok(steps)
}

/// The run's steps one by one, in the order in which they were made: after the one with this time and id.
pub async fn list(pool: &PgPool, run_id: Uuid, after: Option<(DateTime<Utc>, Uuid)>, limit: i64) -> Result<Vec<Step>> {
    let steps = sqlx::query_as!(
        Step,
        r#"SELECT id, queue, kind, key, state, attempt AS attempts, failures, rescues, created_at, ready_at, claimed_at,
                  finished_at, error_code, error_message, error_advice
             FROM syncline.sync_step
            WHERE run_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::uuid))
            ORDER BY created_at, id LIMIT $4"#,
        run_id,
        after.map(|(at, _)| at),
        after.map(|(_, id)| id),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(steps)
}

/// What the run waited for, longest first.
pub async fn waits(pool: &PgPool, run_id: Uuid) -> Result<Vec<Waited>> {
    let waits = sqlx::query_as!(
        Waited,
        r#"SELECT coalesce(code, 'UNKNOWN') AS "reason!", CASE event WHEN 'gate_shut' THEN 'pause' ELSE 'retry' END AS "kind!",
                  count(*) AS "times!", coalesce(sum((details ->> 'delay_seconds')::float8), 0)::float8 AS "seconds!"
             FROM syncline.sync_log WHERE run_id = $1 AND event IN ('gate_shut', 'step_retried')
            GROUP BY 1, 2 ORDER BY 4 DESC, 1"#,
        run_id
    )
    .fetch_all(pool)
    .await?;
    Ok(waits)
}
