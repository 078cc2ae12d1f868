//! Worklogs as the site's feeds tell of them: removed by id, and counted against what their issues say.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Version;
use crate::store::Result;

/// Removes worklogs by id, those of issues that are stored as they were asked for no later than in `versions`.
pub async fn remove_worklogs(conn: &mut PgConnection, site_id: Uuid, ids: &[i64], versions: &[Version]) -> Result<i64> {
    if ids.is_empty() || versions.is_empty() {
        return Ok(0);
    }
    let (version_ids, version_times) = Version::columns(versions);
    let removed = sqlx::query!(
        r#"DELETE FROM syncline.worklog w USING unnest($3::int8[], $4::timestamptz[]) AS v (id, asked_at), syncline.issue i
            WHERE w.site_id = $1 AND w.id = ANY ($2) AND w.issue_id = v.id
              AND i.site_id = $1 AND i.id = v.id AND (i.observed_at IS NULL OR i.observed_at <= v.asked_at OR i.observed_at > clock_timestamp())"#,
        site_id,
        ids,
        &version_ids,
        &version_times,
    )
    .execute(conn)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).unwrap_or(i64::MAX))
}

/// Of issues, given as (id, worklogs that Jira counts), those that hold another number.
pub async fn worklogs_not_counting(conn: &mut PgConnection, site_id: Uuid, totals: &[(i64, i64)]) -> Result<Vec<i64>> {
    let (ids, counts): (Vec<i64>, Vec<i64>) = totals.iter().copied().unzip();
    let wrong = sqlx::query_scalar!(
        r#"SELECT n.id AS "id!" FROM unnest($2::int8[], $3::int8[]) AS n (id, total)
            WHERE n.total <> (SELECT count(*) FROM syncline.worklog w WHERE w.site_id = $1 AND w.issue_id = n.id)"#,
        site_id,
        &ids,
        &counts,
    )
    .fetch_all(conn)
    .await?;
    Ok(wrong)
}
