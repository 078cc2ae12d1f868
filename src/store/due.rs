//! Schedules that are due: claimed by whichever scheduler looks first, moved on, and turned into runs, in one transaction.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;

/// A schedule whose time has come, locked until the transaction ends.
#[derive(Clone, Debug)]
pub struct Due {
    /// The project.
    pub project_id: Uuid,
    /// Its cron expression.
    pub cron: String,
    /// The zone whose wall clock counts.
    pub time_zone: String,
    /// The slot that is due, as cron says.
    pub next_slot_at: DateTime<Utc>,
    /// When it should have started.
    pub next_run_at: DateTime<Utc>,
}

/// A schedule that was moved on.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The project.
    pub project_id: Uuid,
    /// The slot that becomes a run now: the newest one that has passed.
    pub slot_at: DateTime<Utc>,
    /// Slots before it that are served by the same run.
    pub missed: i64,
    /// The slot after it.
    pub next_slot_at: DateTime<Utc>,
    /// When this project starts in it.
    pub next_run_at: DateTime<Utc>,
    /// The run's trace.
    pub trace_context: String,
}

/// Up to `limit` schedules that are due at `now`, the longest waiting first; those that another scheduler holds are left out.
pub async fn due(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<Vec<Due>> {
    let due = sqlx::query_as!(
        Due,
        r#"SELECT s.project_id, s.cron, s.time_zone, s.next_slot_at, s.next_run_at
             FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id
            WHERE s.state = 'active' AND p.state = 'active' AND s.next_run_at <= $1
            ORDER BY s.next_run_at
            LIMIT $2
            FOR UPDATE OF s SKIP LOCKED"#,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(due)
}

/// Moves schedules on and requests their runs; one that is held back is put off again, until the run's end was read. The unique key on project and slot refuses a slot that was enqueued before.
pub async fn enqueue(conn: &mut PgConnection, moved: &[Moved], now: DateTime<Utc>) -> Result<()> {
    let projects: Vec<Uuid> = moved.iter().map(|m| m.project_id).collect();
    let slots: Vec<DateTime<Utc>> = moved.iter().map(|m| m.slot_at).collect();
    let missed: Vec<i64> = moved.iter().map(|m| m.missed).collect();
    let next_slots: Vec<DateTime<Utc>> = moved.iter().map(|m| m.next_slot_at).collect();
    let next_runs: Vec<DateTime<Utc>> = moved.iter().map(|m| m.next_run_at).collect();
    let traces: Vec<String> = moved.iter().map(|m| m.trace_context.clone()).collect();
    sqlx::query!(
        r#"UPDATE syncline.schedule s
              SET last_slot_at = n.slot_at, missed_total = s.missed_total + n.missed,
                  next_slot_at = CASE WHEN s.hold IS NULL THEN n.next_slot_at ELSE greatest(n.next_slot_at, $6::timestamptz + make_interval(secs => s.hold_seconds)) END,
                  next_run_at = CASE WHEN s.hold IS NULL THEN n.next_run_at ELSE greatest(n.next_run_at, $6::timestamptz + make_interval(secs => s.hold_seconds)) END
             FROM unnest($1::uuid[], $2::timestamptz[], $3::int8[], $4::timestamptz[], $5::timestamptz[])
                  AS n (project_id, slot_at, missed, next_slot_at, next_run_at)
            WHERE s.project_id = n.project_id"#,
        &projects,
        &slots,
        &missed,
        &next_slots,
        &next_runs,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"SELECT syncline.request_run(n.project_id, 'incremental', 'schedule', 'scheduler', n.slot_at, trace => n.trace)
             FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS n (project_id, slot_at, trace)"#,
        &projects,
        &slots,
        &traces,
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(())
}

/// A schedule that cannot be followed is paused, with the reason in the log, rather than tried again for ever.
pub async fn pause_broken(conn: &mut PgConnection, project_id: Uuid, reason: &str) -> Result<()> {
    sqlx::query!(
        r#"WITH paused AS (UPDATE syncline.schedule SET state = 'paused' WHERE project_id = $1)
           INSERT INTO syncline.sync_log (project_id, level, event, code, message, advice)
           VALUES ($1, 'error', 'schedule_paused', 'CONFIG', $2, 'Correct it with "syncline project reschedule".')"#,
        project_id,
        reason
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// When the next schedule is due; `None` when none is active.
pub async fn next_due(pool: &PgPool) -> Result<Option<DateTime<Utc>>> {
    let next = sqlx::query_scalar!(
        r#"SELECT s.next_run_at FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id
            WHERE s.state = 'active' AND p.state = 'active' ORDER BY s.next_run_at LIMIT 1"#
    )
    .fetch_optional(pool)
    .await?;
    Ok(next)
}

/// What the schedules ask for.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Projects that are followed.
    pub projects: i64,
    /// Projects that are paused.
    pub paused: i64,
    /// SITE/KEY of the project that is due next.
    pub next: Option<String>,
    /// When that is.
    pub next_at: Option<DateTime<Utc>>,
    /// Runs that are under way or wait.
    pub runs: i64,
}

/// What the schedules ask for, in a glance.
pub async fn outlook(pool: &PgPool) -> Result<Outlook> {
    let outlook = sqlx::query_as!(
        Outlook,
        r#"WITH followed AS (
               SELECT t.name || '/' || p.key AS name, s.next_run_at, p.state = 'active' AND s.state = 'active' AS is_active
                 FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id JOIN syncline.site t ON t.id = p.site_id
                WHERE p.state <> 'removed')
           SELECT count(*) FILTER (WHERE is_active) AS "projects!", count(*) FILTER (WHERE NOT is_active) AS "paused!",
                  (SELECT name FROM followed WHERE is_active ORDER BY next_run_at, name LIMIT 1) AS next,
                  min(next_run_at) FILTER (WHERE is_active) AS next_at,
                  (SELECT count(*) FROM syncline.sync_run WHERE state IN ('queued', 'running')) AS "runs!"
             FROM followed"#
    )
    .fetch_one(pool)
    .await?;
    Ok(outlook)
}

/// How an active schedule stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The project.
    pub project_id: Uuid,
    /// Its cron expression.
    pub cron: String,
    /// The zone whose wall clock counts.
    pub time_zone: String,
    /// The next slot, as cron says.
    pub next_slot_at: DateTime<Utc>,
    /// When the project starts in it.
    pub next_run_at: DateTime<Utc>,
    /// The slot that was served last.
    pub last_slot_at: Option<DateTime<Utc>>,
    /// Whether it is held back.
    pub hold: bool,
    /// How long it is put off, in seconds.
    pub hold_seconds: f64,
    /// Since when.
    pub held_since: Option<DateTime<Utc>>,
}

/// Every active schedule.
pub async fn standing(pool: &PgPool) -> Result<Vec<Standing>> {
    let standing = sqlx::query_as!(
        Standing,
        r#"SELECT s.project_id, s.cron, s.time_zone, s.next_slot_at, s.next_run_at, s.last_slot_at, s.hold IS NOT NULL AS "hold!",
                  s.hold_seconds, s.held_since
             FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id
            WHERE s.state = 'active' AND p.state = 'active'"#
    )
    .fetch_all(pool)
    .await?;
    Ok(standing)
}

/// A schedule that stood wrong.
#[derive(Clone, Copy, Debug)]
pub struct Righted {
    /// The project.
    pub project_id: Uuid,
    /// When it was to start, wrongly.
    pub stood_at: DateTime<Utc>,
    /// Its next slot.
    pub next_slot_at: DateTime<Utc>,
    /// When it starts in it.
    pub next_run_at: DateTime<Utc>,
}

/// Makes schedules start when they should, unless somebody has moved them meanwhile. Slots after `ahead` that count as served
/// are free again: their time has not come. Answers how many schedules were put right.
pub async fn put_right(pool: &PgPool, righted: &[Righted], ahead: DateTime<Utc>) -> Result<usize> {
    if righted.is_empty() {
        return Ok(0);
    }
    let projects: Vec<Uuid> = righted.iter().map(|r| r.project_id).collect();
    let stood: Vec<DateTime<Utc>> = righted.iter().map(|r| r.stood_at).collect();
    let slots: Vec<DateTime<Utc>> = righted.iter().map(|r| r.next_slot_at).collect();
    let runs: Vec<DateTime<Utc>> = righted.iter().map(|r| r.next_run_at).collect();
    let done = sqlx::query_scalar!(
        r#"
        WITH righted AS (
            UPDATE syncline.schedule s
               SET next_slot_at = n.next_slot_at, next_run_at = n.next_run_at,
                   last_slot_at = CASE WHEN s.last_slot_at > $5 THEN NULL ELSE s.last_slot_at END,
                   held_since = CASE WHEN s.held_since IS NOT NULL THEN least(s.held_since, clock_timestamp()) END,
                   hold_until = CASE WHEN s.hold IS NOT NULL THEN n.next_run_at ELSE s.hold_until END
              FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
                   AS n (project_id, stood_at, next_slot_at, next_run_at)
             WHERE s.project_id = n.project_id AND s.next_run_at = n.stood_at
            RETURNING s.project_id, n.stood_at, n.next_run_at
        ), freed AS (
            UPDATE syncline.sync_run r SET slot_at = NULL FROM righted WHERE r.project_id = righted.project_id AND r.slot_at > $5
        ), told AS (
            INSERT INTO syncline.sync_log (project_id, level, event, message)
            SELECT project_id, 'warn', 'schedule_put_right',
                   'a wrong clock had put the next run off until ' || to_char(stood_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
                   || ' UTC; it starts at ' || to_char(next_run_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'
              FROM righted
        )
        SELECT count(*) AS "n!" FROM righted
        "#,
        &projects,
        &stood,
        &slots,
        &runs,
        ahead,
    )
    .fetch_one(pool)
    .await?;
    Ok(usize::try_from(done).unwrap_or(0))
}
