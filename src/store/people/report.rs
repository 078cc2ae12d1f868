//! Which accounts are reported to Atlassian, and what it answered.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;

/// Claims the report of a site that is read by OAuth, if it is due; others leave it to who claimed it for the time of a cycle.
pub async fn claim_report(
    conn: &mut PgConnection,
    site_id: Uuid,
    now: DateTime<Utc>,
    cycle: TimeDelta,
) -> Result<bool> {
    let claimed = sqlx::query!(
        r#"UPDATE syncline.site SET accounts_report_due_at = $3
            WHERE id = $1 AND auth = 'oauth' AND coalesce(accounts_report_due_at, '-infinity') <= $2"#,
        site_id,
        now,
        now + cycle
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(claimed > 0)
}

/// Accounts of whom personal data are stored, with ids above `after`, and when those were last read.
pub async fn reportable(pool: &PgPool, site_id: Uuid, after: &str, limit: i64) -> Result<Vec<(String, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"SELECT u.account_id, greatest(u.updated_at, CASE WHEN c.state = 'available' THEN s.users_synced_at END) AS "read_at!"
             FROM syncline.jira_user u
             JOIN syncline.site s ON s.id = u.site_id
             LEFT JOIN syncline.site_capability c ON c.site_id = u.site_id AND c.feature = 'users'
            WHERE u.site_id = $1 AND u.account_id > $2 AND u.forgotten_at IS NULL AND u.account_type IS DISTINCT FROM 'app'
            ORDER BY u.account_id LIMIT $3"#,
        site_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.account_id, row.read_at)).collect())
}

/// Accounts that were closed wait to be anonymised; where others have changed, the next run reads the users anew.
pub async fn note_reported(
    conn: &mut PgConnection,
    site_id: Uuid,
    closed: &[String],
    updated: &[String],
) -> Result<()> {
    sqlx::query!(
        r#"WITH closed AS (
               UPDATE syncline.jira_user SET closed_at = coalesce(closed_at, clock_timestamp())
                WHERE site_id = $1 AND account_id = ANY ($2) AND forgotten_at IS NULL
           )
           UPDATE syncline.site SET users_synced_at = NULL WHERE id = $1 AND cardinality($3::text[]) > 0"#,
        site_id,
        closed,
        updated
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All accounts of a site were reported.
pub async fn reported(conn: &mut PgConnection, site_id: Uuid, at: DateTime<Utc>, due_at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.site SET accounts_reported_at = $2, accounts_report_due_at = $3 WHERE id = $1",
        site_id,
        at,
        due_at
    )
    .execute(conn)
    .await?;
    Ok(())
}
