//! What a site withholds from the account, so that it is said once instead of failing runs, and what is owed for it.
//!
//! What must hold: what was passed over is asked for again (`sync_state.owed_from`), so that the refusal of an hour costs
//! nothing for good; a site that goes on refusing is asked less and less often, once a day in the end.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::store::Result;

/// Keeps what was found of features, given as (feature, state, reason); a state is `available`, `absent` or `forbidden`. A
/// row that says available already is only looked at, unless it is a day old.
pub async fn set(conn: &mut PgConnection, site_id: Uuid, found: &[(&str, &str, Option<&str>)]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let mut sorted = found.to_vec();
    sorted.sort_unstable();
    sorted.dedup_by_key(|(feature, ..)| *feature);
    let features: Vec<&str> = sorted.iter().map(|(feature, ..)| *feature).collect();
    let states: Vec<&str> = sorted.iter().map(|(_, state, _)| *state).collect();
    let reasons: Vec<Option<&str>> = sorted.iter().map(|(.., reason)| *reason).collect();
    sqlx::query!(
        r#"
        INSERT INTO syncline.site_capability AS c (site_id, feature, state, reason)
        SELECT $1, n.feature, n.state, n.reason FROM unnest($2::text[], $3::text[], $4::text[]) AS n (feature, state, reason)
         WHERE NOT EXISTS (SELECT 1 FROM syncline.site_capability o
                            WHERE o.site_id = $1 AND o.feature = n.feature AND o.state = n.state AND n.state = 'available'
                              AND o.checked_at > clock_timestamp() - interval '1 day')
        ON CONFLICT (site_id, feature) DO UPDATE
           SET state = excluded.state, reason = excluded.reason, checked_at = clock_timestamp(),
               since = CASE WHEN (c.state = 'available') = (excluded.state = 'available') THEN c.since ELSE clock_timestamp() END
        "#,
        site_id,
        &features as &[&str],
        &states as &[&str],
        &reasons as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes what each page may find anew: written once an hour, so that the pages of a run do not wait for each other's row.
pub async fn note(conn: &mut PgConnection, site_id: Uuid, feature: &str, state: &str, reason: &str) -> Result<()> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM syncline.site_capability
                           WHERE site_id = $1 AND feature = $2 AND state = $3
                             AND checked_at > clock_timestamp() - interval '1 hour') AS "known!""#,
        site_id,
        feature,
        state
    )
    .fetch_one(&mut *conn)
    .await?;
    match known {
        true => Ok(()),
        false => set(conn, site_id, &[(feature, state, Some(reason))]).await,
    }
}

/// A feature that was withheld is there: said only where it was said to be withheld.
pub async fn is_back(conn: &mut PgConnection, site_id: Uuid, feature: &str) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.site_capability
              SET state = 'available', reason = NULL, since = clock_timestamp(), checked_at = clock_timestamp()
            WHERE site_id = $1 AND feature = $2 AND state <> 'available'"#,
        site_id,
        feature
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a feature was found withheld and is not due to be asked for again.
pub async fn is_withheld<'e>(executor: impl PgExecutor<'e>, site_id: Uuid, feature: &str) -> Result<bool> {
    let due = sqlx::query_scalar!(r#"SELECT syncline.is_due_again($1, $2) AS "due!""#, site_id, feature)
        .fetch_one(executor)
        .await?;
    Ok(!due)
}

/// Whether a feature was found to be there.
pub async fn is_available<'e>(executor: impl PgExecutor<'e>, site_id: Uuid, feature: &str) -> Result<bool> {
    let available = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM syncline.site_capability
                           WHERE site_id = $1 AND feature = $2 AND state = 'available') AS "it!""#,
        site_id,
        feature
    )
    .fetch_one(executor)
    .await?;
    Ok(available)
}

/// Something that Jira withheld was passed over in a run: the `entity` of `issues` is owed.
pub async fn passed_over(
    conn: &mut PgConnection,
    (run_id, project_id, site_id): (Uuid, Uuid, Uuid),
    entity: &str,
    issues: &[i64],
) -> Result<()> {
    sqlx::query!(
        r#"
        WITH oldest AS (
            SELECT min(i.updated_at) AS at FROM unnest($5::int8[]) AS n (id)
             CROSS JOIN LATERAL (SELECT updated_at FROM syncline.issue WHERE site_id = $4 AND id = n.id LIMIT 1) i
        )
        UPDATE syncline.sync_state s SET owed_from = least(s.owed_from, o.at), owed_run_id = $1
          FROM oldest o WHERE s.project_id = $2 AND s.entity = $3 AND o.at IS NOT NULL
        "#,
        run_id,
        project_id,
        entity,
        site_id,
        issues
    )
    .execute(conn)
    .await?;
    Ok(())
}
