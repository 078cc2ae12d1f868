//! Ending a step well: done, its successors enqueued, the run's count of open steps kept. Fenced.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgExecutor;
use tracing::Instrument;
use uuid::Uuid;

use super::{ClaimedStep, FINAL_STEP, FINAL_STEP_ATTEMPTS};
use crate::clock::Clock;
use crate::domain::queue::Queue;
use crate::observe::trace;
use crate::store::Result;

/// Steps of a run that are as urgent as the run. Later ones stand behind those of runs that have just begun, and the longer
/// the line of its own that a run brings, the further behind.
pub const SHORT_RUN_STEPS: i32 = 32;

/// A step to be enqueued.
#[derive(Clone, Debug)]
pub struct NewStep {
    /// Where it waits.
    pub queue: Queue,
    /// What to do.
    pub kind: &'static str,
    /// Which one of its kind within the run: unique with kind and run.
    pub key: String,
    /// Its parameters.
    pub payload: Value,
    /// Gates that must be open, the widest first.
    pub gates: Vec<String>,
    /// How urgent it is.
    pub priority: i16,
    /// How long it waits before it is ready.
    pub delay: Duration,
    /// How many failures make it dead.
    pub max_attempts: i16,
}

/// Where a successor goes: into the queue, or straight to a free slot of the process that enqueues it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Any worker may claim it.
    Queue,
    /// It is claimed by this process in the same statement.
    Here,
}

/// A successor as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Its id, in the order of the request.
    pub id: Uuid,
    /// Whether it is this process's already (its attempt is 1).
    pub claimed: bool,
}

/// What ending a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The claim was no longer ours: nothing was written.
    Fenced,
    /// Written. Successors are stored in the order given, none when the run is stopping; `last` is the run's final step
    /// when this was the last of the others.
    Done {
        /// The successors.
        next: Vec<Enqueued>,
        /// The run's final step.
        last: Option<Enqueued>,
    },
}

/// How a step ends.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Successors, each with where it goes.
    pub next: &'a [(NewStep, Placement)],
    /// Where the run's final step goes, should this be the last of the others.
    pub last: Placement,
    /// Whether to wake other processes for what went into the queue; the final step, which comes once, always does.
    pub notify: bool,
    /// How many requests the step has sent to Jira.
    pub requests: u32,
}

/// Marks `step` done, enqueues its successors, and enqueues the run's final step when nothing else is open.
pub async fn finish<'e>(
    executor: impl PgExecutor<'e>,
    clock: &Clock,
    owner: Uuid,
    step: &ClaimedStep,
    end: &End<'_>,
) -> Result<Ended> {
    let End { next, last, notify, requests } = *end;
    let ids: Vec<Uuid> = next.iter().map(|_| clock.new_id()).collect();
    let queues: Vec<String> = next.iter().map(|(step, _)| step.queue.as_str().to_owned()).collect();
    let kinds: Vec<String> = next.iter().map(|(step, _)| step.kind.to_owned()).collect();
    let keys: Vec<String> = next.iter().map(|(step, _)| step.key.clone()).collect();
    let payloads: Vec<Value> = next.iter().map(|(step, _)| step.payload.clone()).collect();
    // An array of arrays must be rectangular: gates travel as one text each.
    let gates: Vec<String> = next.iter().map(|(step, _)| step.gates.join(",")).collect();
    let priorities: Vec<i16> = next.iter().map(|(step, _)| step.priority).collect();
    let delays: Vec<f64> = next.iter().map(|(step, _)| step.delay.as_secs_f64()).collect();
    let attempts: Vec<i16> = next.iter().map(|(step, _)| step.max_attempts).collect();
    let here: Vec<bool> = next.iter().map(|(_, placement)| *placement == Placement::Here).collect();
    let final_id = clock.new_id();
    let row = sqlx::query!(
        r#"
        WITH done AS (
            UPDATE syncline.sync_step SET state = 'done', owner = NULL, finished_at = clock_timestamp()
             WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'running'
            RETURNING run_id, kind, trace_context
        ), run AS (
            -- Locks the run: ends of steps of one run are counted one after the other, so exactly one sees the last.
            UPDATE syncline.sync_run r
               SET steps = r.steps + 1, requests = r.requests + $19,
                   open_steps = r.open_steps - (d.kind <> $17)::int
                              + CASE WHEN r.cancel_requested_at IS NULL AND r.error_code IS NULL THEN cardinality($4::uuid[]) ELSE 0 END
              FROM done d WHERE r.id = d.run_id
            RETURNING r.id, r.open_steps, r.cancel_requested_at IS NOT NULL OR r.error_code IS NOT NULL AS stopping,
                      -- A run that has had its share is as urgent as others of its length, whoever asked for it.
                      CASE WHEN r.steps + r.open_steps > $20 THEN -10 - width_bucket(r.open_steps, ARRAY[64, 256, 1024]) END AS most
        ), next AS (
            SELECT n.id, n.queue, n.kind, n.key, n.payload, n.gates, least(n.priority, run.most) AS priority, n.delay_seconds,
                   n.max_attempts, n.here, d.run_id, d.trace_context,
                   (SELECT max(g.paused_until) FROM syncline.rate_gate g
                     WHERE g.key = ANY (string_to_array(n.gates, ',')) AND g.paused_until > clock_timestamp()) AS paused_until
              FROM done d
              LEFT JOIN run ON run.id = d.run_id,
                   unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::text[], $10::int2[],
                          $11::float8[], $12::int2[], $13::bool[])
                   AS n (id, queue, kind, key, payload, gates, priority, delay_seconds, max_attempts, here)
             WHERE NOT coalesce(run.stopping, false)
        ), enqueued AS (
            INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, priority, payload, gates, attempt,
                                            max_attempts, ready_at, owner, claimed_at, trace_context)
            SELECT n.id, n.run_id, n.queue, n.kind, n.key,
                   CASE WHEN n.paused_until IS NOT NULL OR n.delay_seconds > 0 THEN 'later' WHEN n.here THEN 'running' ELSE 'ready' END,
                   n.priority, n.payload, string_to_array(n.gates, ','),
                   (n.here AND n.paused_until IS NULL AND n.delay_seconds = 0)::int,
                   n.max_attempts,
                   coalesce(n.paused_until, clock_timestamp() + make_interval(secs => n.delay_seconds)),
                   CASE WHEN n.here AND n.paused_until IS NULL AND n.delay_seconds = 0 THEN $3 END,
                   CASE WHEN n.here AND n.paused_until IS NULL AND n.delay_seconds = 0 THEN clock_timestamp() END,
                   n.trace_context
              FROM next n
            RETURNING id, queue, state
        ), last AS (
            INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, priority, attempt, max_attempts, owner,
                                            claimed_at, trace_context)
            SELECT $14, d.run_id, 'store', $17, '', CASE WHEN $15 THEN 'running' ELSE 'ready' END, 30, $15::bool::int, $18,
                   CASE WHEN $15 THEN $3 END, CASE WHEN $15 THEN clock_timestamp() END, d.trace_context
              FROM done d JOIN run ON run.id = d.run_id
             WHERE run.open_steps = 0 AND d.kind <> $17
            ON CONFLICT (run_id, kind, key) DO NOTHING
            RETURNING id, queue, state
        ), woken AS (
            SELECT pg_notify('syncline_step', q.queue)
              FROM (SELECT queue FROM enqueued WHERE state = 'ready' AND $16
                    UNION SELECT queue FROM last WHERE state = 'ready') q
        )
        SELECT EXISTS (SELECT 1 FROM done) AS "ours!",
               ARRAY(SELECT id FROM enqueued WHERE state = 'running') AS "claimed!",
               (SELECT count(*) FROM enqueued) AS "stored!",
               EXISTS (SELECT 1 FROM last) AS "was_last!",
               (SELECT count(*) FROM woken) AS "woken!"
        "#,
        step.id,
        step.attempt,
        owner,
        &ids,
        &queues,
        &kinds,
        &keys,
        &payloads,
        &gates,
        &priorities,
        &delays,
        &attempts,
        &here,
        final_id,
        last == Placement::Here,
        notify,
        FINAL_STEP,
        FINAL_STEP_ATTEMPTS,
        i64::from(requests),
        SHORT_RUN_STEPS,
    )
    .fetch_one(executor)
    .instrument(trace::batch("UPDATE", "syncline.sync_step", 1 + next.len()))
    .await?;
    if !row.ours {
        return Ok(Ended::Fenced);
    }
    let stored = if row.stored > 0 { ids } else { Vec::new() };
    Ok(Ended::Done {
        next: stored.into_iter().map(|id| Enqueued { id, claimed: row.claimed.contains(&id) }).collect(),
        last: row.was_last.then_some(Enqueued { id: final_id, claimed: last == Placement::Here }),
    })
}

/// Enqueues steps that belong to no run (upkeep, telemetry), or to a run whose count the caller keeps.
pub async fn enqueue<'e>(
    executor: impl PgExecutor<'e>,
    clock: &Clock,
    run_id: Option<Uuid>,
    steps: &[NewStep],
) -> Result<()> {
    let ids: Vec<Uuid> = steps.iter().map(|_| clock.new_id()).collect();
    let queues: Vec<String> = steps.iter().map(|step| step.queue.as_str().to_owned()).collect();
    let kinds: Vec<String> = steps.iter().map(|step| step.kind.to_owned()).collect();
    let keys: Vec<String> = steps.iter().map(|step| step.key.clone()).collect();
    let payloads: Vec<Value> = steps.iter().map(|step| step.payload.clone()).collect();
    let gates: Vec<String> = steps.iter().map(|step| step.gates.join(",")).collect();
    let priorities: Vec<i16> = steps.iter().map(|step| step.priority).collect();
    let delays: Vec<f64> = steps.iter().map(|step| step.delay.as_secs_f64()).collect();
    let attempts: Vec<i16> = steps.iter().map(|step| step.max_attempts).collect();
    sqlx::query!(
        r#"
        WITH counted AS (
            UPDATE syncline.sync_run SET open_steps = open_steps + cardinality($1::uuid[]) WHERE id = $10
        ), enqueued AS (
            INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, payload, gates, priority, state, ready_at, max_attempts, trace_context)
            SELECT n.id, $10, n.queue, n.kind, n.key, n.payload, string_to_array(n.gates, ','), n.priority,
                   CASE WHEN n.delay_seconds > 0 THEN 'later' ELSE 'ready' END,
                   clock_timestamp() + make_interval(secs => n.delay_seconds), coalesce(nullif(n.max_attempts, 0), 5),
                   (SELECT trace_context FROM syncline.sync_run WHERE id = $10)
              FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::int2[], $8::float8[], $9::int2[])
                   AS n (id, queue, kind, key, payload, gates, priority, delay_seconds, max_attempts)
            RETURNING queue, state
        )
        SELECT count(pg_notify('syncline_step', q.queue)) FROM (SELECT DISTINCT queue FROM enqueued WHERE state = 'ready') q
        "#,
        &ids,
        &queues,
        &kinds,
        &keys,
        &payloads,
        &gates,
        &priorities,
        &delays,
        &attempts,
        run_id,
    )
    .fetch_one(executor)
    .await?;
    Ok(())
}
