//! Claiming: ready steps become this process's, in one statement.

use sqlx::PgPool;
use uuid::Uuid;

use super::FINAL_STEP;
use crate::domain::queue::Queue;
use crate::store::{Result, acquire};

/// A step that this process may execute, until its lease ends.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedStep {
    /// The step's id.
    pub id: Uuid,
    /// Its run, unless it stands alone.
    pub run_id: Option<Uuid>,
    /// Where it waited.
    pub queue: Queue,
    /// What to do: the name of a handler.
    pub kind: String,
    /// Which one of its kind within the run.
    pub key: String,
    /// Its parameters.
    pub payload: serde_json::Value,
    /// Gates that must be open, the widest first.
    pub gates: Vec<String>,
    /// The claim's number: the fence.
    pub attempt: i32,
    /// Attempts that were spent on failures so far.
    pub failures: i16,
    /// Times that a process died with it.
    pub rescues: i16,
    /// Its run is being stopped: it must not be executed.
    pub stopping: bool,
    /// How many failures make it dead.
    pub max_attempts: i16,
    /// How urgent it is; successors inherit it unless they say otherwise.
    pub priority: i16,
    /// W3C trace context of its run.
    pub trace_context: Option<String>,
    /// Seconds that it was ready before it was claimed.
    pub waited_seconds: f64,
}

/// What a claim found.
#[derive(Debug)]
pub struct Claims {
    /// Steps to execute, the most urgent first.
    pub steps: Vec<ClaimedStep>,
    /// How many others were ready but stand behind a shut gate; they were put off until it opens. Where this is not 0,
    /// there may be more to claim.
    pub put_off: usize,
}

/// Claims up to `limit` ready steps of `queue` for `owner`, whose lease must be alive. Steps behind a shut gate are not
/// claimed but put off until it opens.
pub async fn claim(pool: &PgPool, queue: Queue, owner: Uuid, limit: i64) -> Result<Claims> {
    let mut connection = acquire(pool).await?;
    let rows = sqlx::query!(
        r#"
        -- The ready rows are picked and locked first (materialised, so that the limit holds once), then taken. A worker
        -- whose lease has run out finds nothing: it may have been declared dead.
        WITH picked AS MATERIALIZED (
            SELECT id, gates FROM syncline.sync_step
             WHERE queue = $1 AND state = 'ready'
               AND EXISTS (SELECT 1 FROM syncline.worker WHERE id = $2 AND lease_until > clock_timestamp())
             ORDER BY priority DESC, ready_at
             LIMIT $3
             FOR UPDATE SKIP LOCKED
        ), gated AS (
            SELECT p.id, (SELECT max(g.paused_until) FROM syncline.rate_gate g
                           WHERE g.key = ANY (p.gates) AND g.paused_until > clock_timestamp()) AS paused_until
              FROM picked p
        )
        UPDATE syncline.sync_step s
           SET state = CASE WHEN p.paused_until IS NULL THEN 'running' ELSE 'later' END,
               ready_at = coalesce(p.paused_until, s.ready_at),
               attempt = s.attempt + (p.paused_until IS NULL)::int,
               owner = CASE WHEN p.paused_until IS NULL THEN $2 END,
               claimed_at = CASE WHEN p.paused_until IS NULL THEN clock_timestamp() END
          FROM gated p
         WHERE s.id = p.id
        RETURNING s.id, s.run_id, s.kind, s.key, s.payload, s.gates, s.attempt, s.failures, s.rescues, s.max_attempts,
                  s.priority, s.trace_context, s.state = 'running' AS "claimed!",
                  extract(epoch FROM clock_timestamp() - s.ready_at)::float8 AS "waited_seconds!",
                  s.kind <> $4 AND EXISTS (
                      SELECT 1 FROM syncline.sync_run r
                       WHERE r.id = s.run_id AND (r.cancel_requested_at IS NOT NULL OR r.error_code IS NOT NULL)
                  ) AS "stopping!"
        "#,
        queue.as_str(),
        owner,
        limit,
        FINAL_STEP,
    )
    .fetch_all(&mut *connection)
    .await?;
    connection.give_back();
    let found = rows.len();
    let mut steps: Vec<ClaimedStep> = rows
        .into_iter()
        .filter(|row| row.claimed)
        .map(|row| ClaimedStep {
            id: row.id,
            run_id: row.run_id,
            queue,
            kind: row.kind,
            key: row.key,
            payload: row.payload,
            gates: row.gates,
            attempt: row.attempt,
            failures: row.failures,
            rescues: row.rescues,
            stopping: row.stopping,
            max_attempts: row.max_attempts,
            priority: row.priority,
            trace_context: row.trace_context,
            waited_seconds: row.waited_seconds.max(0.0),
        })
        .collect();
    // RETURNING has no order of its own.
    steps.sort_by_key(|step| std::cmp::Reverse((step.priority, std::cmp::Reverse(step.id))));
    let put_off = found - steps.len();
    Ok(Claims { steps, put_off })
}
