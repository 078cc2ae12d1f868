//! Lifts what holds a site's projects back, once the way in was changed.

use sqlx::PgPool;
use uuid::Uuid;

use crate::store::{Result, schedule_admin};

/// Which of the projects are tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// All that were held back: the site has let the account in.
    All,
    /// One for all: nobody has asked the site, and many refused log-ins would lock the account.
    One,
}

/// Lets the projects of a site that were held back by failures start now, at the lowest rung; with [`Tried::One`] the site's
/// probe, or the one that is due first, for all of them. Answers how many start.
pub async fn lift(pool: &PgPool, site_id: Uuid, tried: Tried) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    // The lock that whoever reads ends of runs takes first.
    sqlx::query!(
        r#"UPDATE syncline.site_health
              SET rung = 0, next_probe_at = CASE WHEN incident_since IS NULL THEN next_probe_at ELSE clock_timestamp() END
            WHERE site_id = $1"#,
        site_id
    )
    .execute(&mut *transaction)
    .await?;
    let lifted = sqlx::query!(
        r#"UPDATE syncline.schedule s
              SET hold = NULL, hold_code = NULL, rung = 0, held_since = NULL, hold_until = NULL, hold_seconds = 0,
                  next_slot_at = clock_timestamp(), next_run_at = clock_timestamp(), updated_at = clock_timestamp()
            WHERE s.project_id IN (
                  SELECT c.project_id FROM syncline.schedule c
                    JOIN syncline.project p ON p.id = c.project_id
                    LEFT JOIN syncline.site_health h ON h.site_id = p.site_id
                   WHERE p.site_id = $1 AND p.state = 'active' AND c.state = 'active' AND c.hold IN ('ladder', 'until', 'site')
                   ORDER BY p.id = h.probe DESC NULLS LAST, c.next_run_at, c.project_id
                   LIMIT CASE WHEN $2 THEN NULL ELSE 1 END)"#,
        site_id,
        tried == Tried::All
    )
    .execute(&mut *transaction)
    .await?;
    if lifted.rows_affected() > 0 {
        schedule_admin::wake_scheduler(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(lifted.rows_affected())
}
