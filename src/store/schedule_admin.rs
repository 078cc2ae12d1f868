//! Schedules, as operators change them.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::audit;
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
pub async fn pause(pool: &PgPool, project_id: Uuid, subject: &str, actor: &str) -> Result<()> {
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
    audit::record(&mut *transaction, actor, "project.pause", &[subject.to_owned()]).await?;
    transaction.commit().await?;
    Ok(())
}

/// Starts it again from its next slot on: slots that passed in the meantime are not made up for.
pub async fn resume(pool: &PgPool, project_id: Uuid, next: NextSlot, subject: &str, actor: &str) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        r#"WITH p AS (
               UPDATE syncline.project SET state = 'active', updated_at = clock_timestamp()
                WHERE id = $1 AND state = 'paused'
           )
           UPDATE syncline.schedule
              SET state = 'active', next_slot_at = $2, next_run_at = $3, updated_at = clock_timestamp()
            WHERE project_id = $1"#,
        project_id,
        next.slot_at,
        next.run_at
    )
    .execute(&mut *transaction)
    .await?;
    audit::record(&mut *transaction, actor, "project.resume", &[subject.to_owned()]).await?;
    wake_scheduler(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Gives it another cron expression or time zone; a paused one stays paused.
pub async fn reschedule(
    pool: &PgPool,
    project_id: Uuid,
    cron: &str,
    time_zone: &str,
    next: NextSlot,
    subject: &str,
    actor: &str,
) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        r#"UPDATE syncline.schedule
              SET cron = $2, time_zone = $3, next_slot_at = $4, next_run_at = $5, updated_at = clock_timestamp()
            WHERE project_id = $1"#,
        project_id,
        cron,
        time_zone,
        next.slot_at,
        next.run_at
    )
    .execute(&mut *transaction)
    .await?;
    audit::record(&mut *transaction, actor, "project.reschedule", &[subject.to_owned()]).await?;
    wake_scheduler(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// The channel on which schedulers hear that a schedule has changed.
pub const SCHEDULE_CHANNEL: &str = "syncline_schedule";

/// Lets schedulers look again at when the next run is due, once the transaction has committed.
pub(super) async fn wake_scheduler(executor: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, '')", SCHEDULE_CHANNEL).execute(executor).await?;
    Ok(())
}
