//! What a site withholds from the account, so that it is said once instead of failing runs.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;

/// Keeps what was found of features, given as (feature, state, reason); a state is `available`, `absent` or `forbidden`. A
/// row that says the same already is only looked at, unless it is a day old.
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
                            WHERE o.site_id = $1 AND o.feature = n.feature AND o.state = n.state
                              AND o.checked_at > clock_timestamp() - interval '1 day')
        ON CONFLICT (site_id, feature) DO UPDATE
           SET state = excluded.state, reason = excluded.reason, checked_at = clock_timestamp()
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

/// Whether a feature was found withheld within the last day: to be asked for again then.
pub async fn is_withheld(pool: &PgPool, site_id: Uuid, feature: &str) -> Result<bool> {
    let withheld = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM syncline.site_capability
                           WHERE site_id = $1 AND feature = $2 AND state <> 'available'
                             AND checked_at > clock_timestamp() - interval '1 day') AS "it!""#,
        site_id,
        feature
    )
    .fetch_one(pool)
    .await?;
    Ok(withheld)
}
