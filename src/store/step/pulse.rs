//! The pulse: one statement a second keeps this process's lease, rescues the steps of the dead, and starts timers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::domain::queue::Queue;
use crate::store::Result;

/// What one pulse found.
#[derive(Clone, Debug, Default)]
pub struct PulseReport {
    /// Queues that have ready steps now.
    pub ready: Vec<Queue>,
    /// Steps that were taken back from processes that died.
    pub rescued: Vec<Rescued>,
    /// When the next timer is due, from now.
    pub next_timer: Option<Duration>,
}

/// A step that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// The step.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its run.
    pub run_id: Option<Uuid>,
    /// The number of the attempt that was lost.
    pub attempt: i32,
    /// When that attempt began.
    pub claimed_at: DateTime<Utc>,
    /// W3C trace context of its run.
    pub trace_context: Option<String>,
}

/// Timers that one pulse starts at most.
const TIMERS: usize = 1000;

/// Renews the lease of `owner` for `lease`, makes the steps of owners without a lease ready again, and makes steps ready
/// whose time has come. `in_flight` are the steps that this process knows it is executing.
pub async fn pulse<'e>(
    executor: impl PgExecutor<'e>,
    owner: Uuid,
    host: &str,
    version: &str,
    lease: Duration,
    in_flight: &[Uuid],
) -> Result<PulseReport> {
    pulse_looking(executor, owner, host, version, lease, in_flight, true).await
}

/// The same; without `look`, steps of dead owners and queues with ready steps are not looked for. That is what takes long
/// where an old snapshot keeps the rows of steps that ended.
pub async fn pulse_looking<'e>(
    executor: impl PgExecutor<'e>,
    owner: Uuid,
    host: &str,
    version: &str,
    lease: Duration,
    in_flight: &[Uuid],
    look: bool,
) -> Result<PulseReport> {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    let row = sqlx::query!(
        r#"
        WITH renewed AS (
            INSERT INTO syncline.worker (id, host, pid, version, lease_until)
            VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
            ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until
        ), rescued AS (
            -- Owners that are not (or no longer) alive; an owner that is not known at all counts as dead too. What is locked is
            -- still running: to ask for that again would choose the index of running steps once more.
            UPDATE syncline.sync_step s
               SET state = 'ready', owner = NULL, rescues = s.rescues + 1, ready_at = clock_timestamp()
             WHERE s.id = ANY (ARRAY(SELECT t.id FROM syncline.sync_step t
                             WHERE $8 AND t.state = 'running'
                               AND CASE WHEN t.owner = $1
                                   -- Ours, but not known here: the answer to its claim was lost on the way.
                                   THEN t.claimed_at < clock_timestamp() - make_interval(secs => $5) AND t.id <> ALL ($6::uuid[])
                                   ELSE NOT EXISTS (SELECT 1 FROM syncline.worker w
                                                     WHERE w.id = t.owner AND w.lease_until > clock_timestamp())
                                   END
                               FOR UPDATE SKIP LOCKED))
            RETURNING s.id, s.queue, s.kind, s.run_id, s.attempt, s.claimed_at, s.trace_context
        ), due AS (
            -- The time of the statement can be looked up in an index, clock_timestamp() cannot; an array is looked up by the
            -- primary key, a sub-select would be joined with the whole table.
            UPDATE syncline.sync_step s SET state = 'ready'
             WHERE s.id = ANY (ARRAY(SELECT t.id FROM syncline.sync_step t
                             WHERE t.state = 'later' AND t.ready_at <= statement_timestamp()
                             ORDER BY t.ready_at LIMIT $7 FOR UPDATE SKIP LOCKED))
            RETURNING s.queue
        )
        SELECT
            ARRAY(SELECT q.name FROM unnest(ARRAY['jira', 'store', 'control']) AS q (name)
                   -- Not EXISTS, for which all of them may be read.
                   WHERE $8 AND (SELECT true FROM syncline.sync_step s WHERE s.queue = q.name AND s.state = 'ready' LIMIT 1)
                      OR EXISTS (SELECT 1 FROM due WHERE due.queue = q.name)
                      OR EXISTS (SELECT 1 FROM rescued WHERE rescued.queue = q.name)) AS "ready!",
            (SELECT count(*) FROM due) AS "due!",
            ARRAY(SELECT id FROM rescued ORDER BY id) AS "rescued!",
            ARRAY(SELECT kind FROM rescued ORDER BY id) AS "rescued_kinds!",
            ARRAY(SELECT run_id FROM rescued ORDER BY id) AS "rescued_runs!: Vec<Option<Uuid>>",
            ARRAY(SELECT attempt FROM rescued ORDER BY id) AS "rescued_attempts!",
            ARRAY(SELECT coalesce(claimed_at, clock_timestamp()) FROM rescued ORDER BY id) AS "rescued_since!",
            ARRAY(SELECT trace_context FROM rescued ORDER BY id) AS "rescued_traces!: Vec<Option<String>>",
            (SELECT extract(epoch FROM min(ready_at) - clock_timestamp())::float8 FROM syncline.sync_step
              WHERE state = 'later' AND ready_at > statement_timestamp()) AS next_timer_seconds
        "#,
        owner,
        host,
        pid,
        version,
        lease.as_secs_f64(),
        in_flight,
        i64::try_from(TIMERS).unwrap_or(i64::MAX),
        look,
    )
    .fetch_one(executor)
    .await?;
    let attempts = row.rescued_attempts.into_iter().zip(row.rescued_since).zip(row.rescued_traces);
    let rescued = row.rescued.into_iter().zip(row.rescued_kinds).zip(row.rescued_runs).zip(attempts);
    let rescued = rescued.map(|(((id, kind), run_id), ((attempt, claimed_at), trace_context))| Rescued {
        id,
        kind,
        run_id,
        attempt,
        claimed_at,
        trace_context,
    });
    let all_due = usize::try_from(row.due).unwrap_or(0) < TIMERS;
    let next_timer = row.next_timer_seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)));
    Ok(PulseReport {
        ready: row.ready.iter().filter_map(|name| Queue::parse(name)).collect(),
        rescued: rescued.collect(),
        next_timer: if all_due { next_timer } else { Some(Duration::ZERO) },
    })
}

/// Counts rescues on their runs and writes them to the log. Not part of the pulse: that one locks steps, this one locks
/// runs, and whoever stops a run locks the run first.
pub async fn record_rescues(executor: impl PgExecutor<'_>, event: &str, rescued: &[Rescued]) -> Result<()> {
    let runs: Vec<Option<Uuid>> = rescued.iter().map(|step| step.run_id).collect();
    let kinds: Vec<String> = rescued.iter().map(|step| step.kind.clone()).collect();
    sqlx::query!(
        r#"
        WITH run AS MATERIALIZED (
            SELECT id, project_id FROM syncline.sync_run WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE
        ), counted AS (
            UPDATE syncline.sync_run r SET rescues = r.rescues + n.n
              FROM (SELECT u.run_id, count(*)::int AS n FROM unnest($1::uuid[]) AS u (run_id) GROUP BY u.run_id) n
              JOIN run ON run.id = n.run_id
             WHERE r.id = n.run_id
        )
        INSERT INTO syncline.sync_log (run_id, project_id, step_kind, level, event, message)
        SELECT u.run_id, run.project_id, u.kind, 'warn', $3, 'the process that ran it fell silent; it is executed again'
          FROM unnest($1::uuid[], $2::text[]) AS u (run_id, kind) LEFT JOIN run ON run.id = u.run_id
        "#,
        &runs as &[Option<Uuid>],
        &kinds,
        event,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Takes this process off the list of the living and hands back what it still held, without spending an attempt.
pub async fn forget_worker(pool: &PgPool, owner: Uuid) -> Result<u64> {
    let handed_back = sqlx::query_scalar!(
        r#"
        WITH gone AS (DELETE FROM syncline.worker WHERE id = $1),
        back AS (
            UPDATE syncline.sync_step SET state = 'ready', owner = NULL, ready_at = clock_timestamp()
             WHERE state = 'running' AND owner = $1 RETURNING queue
        ), woken AS (
            SELECT pg_notify('syncline_step', queue) FROM (SELECT DISTINCT queue FROM back) q
        )
        SELECT (SELECT count(*) FROM back) + 0 * (SELECT count(*) FROM woken) AS "n!"
        "#,
        owner
    )
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(handed_back).unwrap_or(0))
}
