//! Ending a step otherwise: again later, handed back, or dead. Each is fenced and keeps the run's count of open steps.

use std::time::Duration;

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{ClaimedStep, FINAL_STEP, FINAL_STEP_ATTEMPTS};
use crate::clock::Clock;
use crate::domain::failure::Failure;
use crate::store::Result;

/// Makes `step` ready again after `delay`, or ends it as cancelled when its run is stopping. `spend` counts a failed
/// attempt. False when the claim was no longer ours.
pub async fn retry_later(
    conn: &mut PgConnection,
    clock: &Clock,
    owner: Uuid,
    step: &ClaimedStep,
    delay: Duration,
    failure: Option<&Failure>,
    spend: bool,
) -> Result<bool> {
    let back = sqlx::query_scalar!(
        r#"UPDATE syncline.sync_step
              SET state = CASE WHEN $4::float8 > 0 THEN 'later' ELSE 'ready' END, owner = NULL,
                  ready_at = clock_timestamp() + make_interval(secs => $4), failures = failures + $5::int2,
                  error_code = coalesce($6, error_code), error_message = coalesce($7, error_message),
                  error_advice = coalesce($8, error_advice)
            WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running'
           RETURNING 1 AS "n!""#,
        step.id,
        step.attempt,
        owner,
        delay.as_secs_f64(),
        i16::from(spend),
        failure.map(|failure| failure.code.as_str()),
        failure.map(|failure| failure.message.as_str()),
        failure.map(|failure| failure.advice()),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let (Some(_), Some(run_id)) = (back, step.run_id) else { return Ok(back.is_some()) };
    // Locks the run, so that a cancellation either sees the step as it is now, or is seen here.
    let stopping = sqlx::query_scalar!(
        r#"UPDATE syncline.sync_run SET retries = retries + $2 WHERE id = $1
           RETURNING cancel_requested_at IS NOT NULL OR error_code IS NOT NULL AS "stopping!""#,
        run_id,
        i32::from(spend),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if stopping == Some(true) {
        cancel_waiting(conn, clock, &[run_id]).await?;
    }
    Ok(true)
}

/// Gives a step back untouched: another worker takes it at once, no attempt is spent.
pub async fn hand_back<'e>(executor: impl PgExecutor<'e>, owner: Uuid, step: &ClaimedStep) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        WITH back AS (
            UPDATE syncline.sync_step SET state = 'ready', owner = NULL, ready_at = clock_timestamp()
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running' RETURNING queue
        )
        SELECT count(pg_notify('syncline_step', queue)) AS "n!" FROM back
        "#,
        step.id,
        step.attempt,
        owner
    )
    .fetch_one(executor)
    .await?;
    Ok(done.n > 0)
}

/// Ends `step` as dead and its run as failing: what has not started is cancelled, the first failure is the run's, and the
/// final step is enqueued when nothing is running any more. False when the claim was no longer ours.
pub async fn fail_run(
    conn: &mut PgConnection,
    clock: &Clock,
    owner: Uuid,
    step: &ClaimedStep,
    failure: &Failure,
) -> Result<bool> {
    let dead = sqlx::query_scalar!(
        r#"UPDATE syncline.sync_step
              SET state = 'dead', owner = NULL, finished_at = clock_timestamp(), failures = failures + 1,
                  error_code = $4, error_message = $5, error_advice = $6
            WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running'
           RETURNING 1 AS "n!""#,
        step.id,
        step.attempt,
        owner,
        failure.code.as_str(),
        failure.message,
        failure.advice(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if dead.is_none() {
        return Ok(false);
    }
    if let Some(run_id) = step.run_id {
        stop_runs(conn, clock, &[run_id], 1, failure).await?;
    }
    Ok(true)
}

/// Shuts `gate` for `pause`, unless it is shut for longer already.
pub async fn shut_gate(conn: &mut PgConnection, gate: &str, pause: Duration, reason: &str) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO syncline.rate_gate (key, paused_until, reason)
           VALUES ($1, clock_timestamp() + make_interval(secs => $2), $3)
           ON CONFLICT (key) DO UPDATE
              SET paused_until = greatest(rate_gate.paused_until, excluded.paused_until), reason = excluded.reason,
                  updated_at = clock_timestamp()"#,
        gate,
        pause.as_secs_f64(),
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits for this transaction's turn to stop everything behind `gate`. Whoever stops several runs locks them all: without
/// turns, the many steps that fail at once when credentials are lost would lock each other's runs crosswise.
pub async fn take_turn(conn: &mut PgConnection, gate: &str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('syncline.stop ' || $1, 0))", gate)
        .fetch_one(conn)
        .await?;
    Ok(())
}

/// Marks running runs as failed and cancels what waits; `ended` of each one's steps have ended with the caller's statement.
async fn stop_runs(conn: &mut PgConnection, clock: &Clock, runs: &[Uuid], ended: i32, failure: &Failure) -> Result<()> {
    // The runs first, then their steps: the order that every transaction keeps.
    sqlx::query!(
        r#"UPDATE syncline.sync_run
              SET open_steps = open_steps - $2, error_code = coalesce(error_code, $3),
                  error_message = CASE WHEN error_code IS NULL THEN $4 ELSE error_message END,
                  error_advice = CASE WHEN error_code IS NULL THEN $5 ELSE error_advice END,
                  error_category = CASE WHEN error_code IS NULL THEN $6 ELSE error_category END,
                  error_severity = CASE WHEN error_code IS NULL THEN $7 ELSE error_severity END,
                  error_retry_at = CASE WHEN error_code IS NULL THEN clock_timestamp() + make_interval(secs => $8) ELSE error_retry_at END
            WHERE id = ANY ($1)"#,
        runs,
        ended,
        failure.code.as_str(),
        failure.message,
        failure.advice(),
        failure.code.category().as_str(),
        failure.code.severity().as_str(),
        failure.retry_after.map(|wait| wait.as_secs_f64()),
    )
    .execute(&mut *conn)
    .await?;
    cancel_waiting(conn, clock, runs).await
}

/// Cancels the steps of stopping runs that nobody executes, and enqueues the final step of those that have no other open.
/// The caller holds the runs' locks.
async fn cancel_waiting(conn: &mut PgConnection, clock: &Clock, runs: &[Uuid]) -> Result<()> {
    let final_ids: Vec<Uuid> = runs.iter().map(|_| clock.new_id()).collect();
    sqlx::query!(
        r#"
        WITH stopped AS (
            -- A step that is being claimed or ended just now is passed over: its end waits for the run, which is ours. It
            -- finds the run stopping, then or when it is claimed.
            UPDATE syncline.sync_step SET state = 'cancelled', finished_at = clock_timestamp()
             WHERE id IN (SELECT w.id FROM syncline.sync_step w
                           WHERE w.run_id = ANY ($1) AND w.state IN ('ready', 'later') AND w.kind <> $3
                             FOR UPDATE SKIP LOCKED)
            RETURNING run_id
        ), run AS (
            UPDATE syncline.sync_run r SET open_steps = r.open_steps - (SELECT count(*) FROM stopped s WHERE s.run_id = r.id)::int
             WHERE r.id = ANY ($1)
            RETURNING r.id, r.open_steps, r.trace_context
        ), last AS (
            INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, priority, max_attempts, trace_context)
            SELECT f.id, run.id, 'store', $3, '', 'ready', 30, $4, run.trace_context
              FROM run JOIN unnest($1::uuid[], $2::uuid[]) AS f (run_id, id) ON f.run_id = run.id
             WHERE run.open_steps = 0
            ON CONFLICT (run_id, kind, key) DO NOTHING
            RETURNING queue
        )
        SELECT count(pg_notify('syncline_step', q.queue)) AS "n!" FROM (SELECT DISTINCT queue FROM last) q
        "#,
        runs,
        &final_ids,
        FINAL_STEP,
        FINAL_STEP_ATTEMPTS,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Stops every running run that has open steps behind `gate`, with `failure`: an account must not be locked by the rest.
pub async fn stop_gate(conn: &mut PgConnection, clock: &Clock, gate: &str, failure: &Failure) -> Result<Vec<Uuid>> {
    let runs = sqlx::query_scalar!(
        r#"SELECT r.id FROM syncline.sync_run r
            WHERE r.state = 'running' AND r.error_code IS NULL AND r.cancel_requested_at IS NULL
              AND EXISTS (SELECT 1 FROM syncline.sync_step s WHERE s.run_id = r.id AND $1 = ANY (s.gates)
                             AND s.state IN ('ready', 'later', 'running'))
            ORDER BY r.id FOR UPDATE"#,
        gate
    )
    .fetch_all(&mut *conn)
    .await?;
    if !runs.is_empty() {
        stop_runs(conn, clock, &runs, 0, failure).await?;
    }
    Ok(runs)
}
