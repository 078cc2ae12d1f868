//! Schedules, as operators change them.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::audit::{self, Who};
use crate::store::Result;

/// When a schedule comes due next.
#[derive(Clone, Copy, Debug)]
pub struct NextSlot {
    /// The time that the cron expression names.
    pub slot_at: DateTime<Utc>,
    /// The time at which the project starts in that slot.
    pub run_at: DateTime<Utc>,
}

/// Stops a project's schedule and refuses requests; a run that is under way goes on to its end.
pub async fn pause(pool: &PgPool, project_id: Uuid, subject: &str, who: &Who<'_>) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        r#"WITH p AS (
               UPDATE syncline.project SET state = 'paused', updated_at = clock_timestamp()
                WHERE id = $1 AND state = 'active'
           )
           UPDATE syncline.schedule SET state = 'paused', updated_at = clock_timestamp() WHERE project_id = $1"#,
        project_id
    )
    .execute(&mut *transaction)
    .await?;
    audit::record_by(&mut *transaction, who, "project.pause", subject, &json!({ "state": ["active", "paused"] }))
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Starts it again from its next slot on: slots that passed in the meantime are not made up for. What held it back before
/// holds it back still.
pub async fn resume(pool: &PgPool, project_id: Uuid, next: NextSlot, subject: &str, who: &Who<'_>) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        r#"WITH p AS (
               UPDATE syncline.project SET state = 'active', updated_at = clock_timestamp()
                WHERE id = $1 AND state = 'paused'
           )
           UPDATE syncline.schedule
              SET state = 'active', updated_at = clock_timestamp(),
                  next_slot_at = CASE WHEN hold IS NULL OR hold_until < $2 THEN $2 ELSE hold_until END,
                  next_run_at = CASE WHEN hold IS NULL OR hold_until < $3 THEN $3 ELSE hold_until END
            WHERE project_id = $1"#,
        project_id,
        next.slot_at,
        next.run_at
    )
    .execute(&mut *transaction)
    .await?;
    audit::record_by(&mut *transaction, who, "project.resume", subject, &json!({ "state": ["paused", "active"] }))
        .await?;
    wake_scheduler(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Gives it another cron expression or time zone; a paused one stays paused, and one that is backed off keeps its rung:
/// `held_seconds` is the rung's wait over the new cadence, and moves the next try by as much as it differs.
#[allow(clippy::too_many_arguments)] // one statement's
pub async fn reschedule(
    pool: &PgPool,
    project_id: Uuid,
    cron: &str,
    time_zone: &str,
    next: NextSlot,
    held_seconds: f64,
    subject: &str,
    who: &Who<'_>,
) -> Result<DateTime<Utc>> {
    let mut transaction = pool.begin().await?;
    let old = sqlx::query!("SELECT cron, time_zone FROM syncline.schedule WHERE project_id = $1", project_id)
        .fetch_optional(&mut *transaction)
        .await?;
    let next_run_at = sqlx::query_scalar!(
        r#"WITH held AS (
               SELECT project_id, CASE WHEN hold IN ('ladder', 'slow') THEN greatest(clock_timestamp(), hold_until + make_interval(secs => $6 - hold_seconds))
                                       ELSE hold_until END AS until
                 FROM syncline.schedule WHERE project_id = $1)
           UPDATE syncline.schedule s
              SET cron = $2, time_zone = $3, updated_at = clock_timestamp(), next_slot_at = coalesce(h.until, $4),
                  next_run_at = coalesce(h.until, $5), hold_until = h.until,
                  hold_seconds = CASE WHEN s.hold IN ('ladder', 'slow') THEN $6 ELSE s.hold_seconds END
             FROM held h WHERE s.project_id = h.project_id
           RETURNING s.next_run_at"#,
        project_id,
        cron,
        time_zone,
        next.slot_at,
        next.run_at,
        held_seconds,
    )
    .fetch_one(&mut *transaction)
    .await?;
    let old = old.map(|old| (old.cron, old.time_zone)).unwrap_or_default();
    let details = json!({ "cron": [old.0, cron], "time_zone": [old.1, time_zone] });
    audit::record_by(&mut *transaction, who, "project.reschedule", subject, &details).await?;
    wake_scheduler(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(next_run_at)
}

/// The channel on which schedulers hear that a schedule has changed.
pub const SCHEDULE_CHANNEL: &str = "syncline_schedule";

/// Lets schedulers look again at when the next run is due, once the transaction has committed.
pub(super) async fn wake_scheduler(executor: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, '')", SCHEDULE_CHANNEL).execute(executor).await?;
    Ok(())
}
