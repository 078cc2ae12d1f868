//! What a whole database holds and what was done for it: for reports.

use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// Everything, added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub struct Totals {
    pub issues: i64,
    pub comments: i64,
    pub worklogs: i64,
    pub runs: i64,
    pub pages: i64,
    pub steps: i64,
    pub retries: i64,
    pub rescues: i64,
}

/// Adds up.
pub async fn read(pool: &PgPool) -> Result<Totals> {
    let totals = sqlx::query_as!(
        Totals,
        r#"SELECT (SELECT count(*) FROM syncline.issue WHERE deleted_at IS NULL) AS "issues!",
                  (SELECT count(*) FROM syncline.comment) AS "comments!",
                  (SELECT count(*) FROM syncline.worklog) AS "worklogs!",
                  count(*) AS "runs!", coalesce(sum(pages), 0)::int8 AS "pages!", coalesce(sum(steps), 0)::int8 AS "steps!",
                  coalesce(sum(retries), 0)::int8 AS "retries!", coalesce(sum(rescues), 0)::int8 AS "rescues!"
             FROM syncline.sync_run"#
    )
    .fetch_one(pool)
    .await?;
    Ok(totals)
}

/// Which steps each living worker process is executing: its process id and their kinds.
pub async fn held_steps(pool: &PgPool) -> Result<Vec<(i32, String)>> {
    let rows = sqlx::query!(
        r#"SELECT w.pid, s.kind FROM syncline.sync_step s JOIN syncline.worker w ON w.id = s.owner
            WHERE s.state = 'running' AND w.lease_until > clock_timestamp()"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.pid, row.kind)).collect())
}

/// Messages that channels have taken, in the order of their decision: what was told, subject, HTML.
pub async fn sent_messages(pool: &PgPool) -> Result<Vec<(String, String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT event, coalesce(message->>'subject', '') AS "subject!", coalesce(message->>'html', '') AS "html!"
             FROM syncline.alert_delivery WHERE state = 'delivered' ORDER BY created_at, event_seq"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event, row.subject, row.html)).collect())
}

/// Worker processes with a lease.
pub async fn living_workers(pool: &PgPool) -> Result<i64> {
    let n =
        sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.worker WHERE lease_until > clock_timestamp()"#)
            .fetch_one(pool)
            .await?;
    Ok(n)
}

/// Makes every active schedule due now, as if its next slot had come.
pub async fn bring_schedules_forward(pool: &PgPool) -> Result<()> {
    sqlx::query!(
        r#"WITH due AS (
               UPDATE syncline.schedule SET next_slot_at = date_trunc('second', clock_timestamp()), next_run_at = clock_timestamp()
                WHERE state = 'active' RETURNING 1)
           SELECT pg_notify('syncline_schedule', '') FROM (SELECT count(*) FROM due) n"#
    )
    .fetch_all(pool)
    .await?;
    Ok(())
}

/// The runs that schedules started, newest first, at most `limit`.
pub async fn scheduled_runs(pool: &PgPool, limit: i64) -> Result<Vec<Uuid>> {
    let runs = sqlx::query_scalar!(
        "SELECT id FROM syncline.sync_run WHERE trigger = 'schedule' ORDER BY created_at DESC LIMIT $1",
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(runs)
}

/// Creates a database next to the one the pool is connected to, in place of an older one of that name.
pub async fn recreate_database(pool: &PgPool, name: &str) -> Result<()> {
    // A name cannot be a parameter; this one is the program's own, and quoted all the same.
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)"))).execute(pool).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {quoted}"))).execute(pool).await?;
    Ok(())
}
