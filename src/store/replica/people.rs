//! People as Jira shows them, and the places where Jira's shapes differ from what is documented.

use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::domain::record::UserRecord;
use crate::observe::trace;
use crate::store::Result;

/// Writes users that are new or changed. A user is on most pages, so one that is as it was is not even locked. One who is
/// forgotten stays so; one whose account Jira shows as closed keeps the name until all that it stands in is cleaned (see
/// [`crate::store::people`]).
pub async fn upsert_users(conn: &mut PgConnection, site_id: Uuid, users: &[UserRecord]) -> Result<()> {
    let mut sorted: Vec<&UserRecord> = users.iter().collect();
    sorted.sort_unstable_by(|a, b| a.account_id.cmp(&b.account_id));
    sorted.dedup_by(|a, b| a.account_id == b.account_id);
    let ids: Vec<&str> = sorted.iter().map(|u| u.account_id.as_str()).collect();
    let names: Vec<&str> = sorted.iter().map(|u| u.display_name.as_str()).collect();
    let emails: Vec<Option<&str>> = sorted.iter().map(|u| u.email.as_deref()).collect();
    let active: Vec<bool> = sorted.iter().map(|u| u.active).collect();
    let zones: Vec<Option<&str>> = sorted.iter().map(|u| u.time_zone.as_deref()).collect();
    let types: Vec<Option<&str>> = sorted.iter().map(|u| u.account_type.as_deref()).collect();
    let usernames: Vec<Option<&str>> = sorted.iter().map(|u| u.username.as_deref()).collect();
    let closed: Vec<bool> = sorted.iter().map(|u| u.closed).collect();
    sqlx::query!(
        r#"
        INSERT INTO syncline.jira_user AS u (site_id, account_id, display_name, email, active, time_zone, account_type, username, closed_at)
        SELECT $1, n.account_id, n.display_name, n.email, n.active, n.time_zone, n.account_type, n.username,
               CASE WHEN n.closed THEN clock_timestamp() END
          FROM unnest($2::text[], $3::text[], $4::text[], $5::bool[], $6::text[], $7::text[], $8::text[], $9::bool[])
               AS n (account_id, display_name, email, active, time_zone, account_type, username, closed)
         WHERE NOT EXISTS (
               SELECT 1 FROM syncline.jira_user o
                WHERE o.site_id = $1 AND o.account_id = n.account_id
                  AND (o.forgotten_at IS NOT NULL OR n.closed AND o.closed_at IS NOT NULL
                       OR NOT n.closed AND o.closed_at IS NULL AND (o.display_name, o.email, o.active, o.time_zone, o.account_type, o.username) IS NOT DISTINCT FROM
                      (n.display_name, n.email, n.active, n.time_zone, n.account_type, coalesce(n.username, o.username))))
         ORDER BY n.account_id
        ON CONFLICT (site_id, account_id) DO UPDATE
           SET display_name = CASE WHEN excluded.closed_at IS NULL THEN excluded.display_name ELSE u.display_name END,
               email = CASE WHEN excluded.closed_at IS NULL THEN excluded.email ELSE u.email END, active = excluded.active,
               time_zone = excluded.time_zone, account_type = excluded.account_type,
               username = CASE WHEN excluded.closed_at IS NULL THEN coalesce(excluded.username, u.username) ELSE u.username END,
               closed_at = CASE WHEN excluded.closed_at IS NOT NULL THEN coalesce(u.closed_at, excluded.closed_at) END,
               updated_at = clock_timestamp()
         WHERE u.forgotten_at IS NULL
        "#,
        site_id,
        &ids as &[&str],
        &names as &[&str],
        &emails as &[Option<&str>],
        &active,
        &zones as &[Option<&str>],
        &types as &[Option<&str>],
        &usernames as &[Option<&str>],
        &closed,
    )
    .execute(conn)
    .instrument(trace::batch("INSERT", "syncline.jira_user", ids.len()))
    .await?;
    Ok(())
}

/// Records drifts, given as (entity, field, expected, found); the same place is counted, not repeated. Answers entity and
/// field of those that are new.
pub async fn record_drifts(
    conn: &mut PgConnection,
    site_id: Uuid,
    drifts: &[[&str; 4]],
) -> Result<Vec<(String, String)>> {
    if drifts.is_empty() {
        return Ok(Vec::new());
    }
    let mut sorted = drifts.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let part = |i: usize| sorted.iter().map(|drift| drift[i].to_owned()).collect::<Vec<String>>();
    let rows = sqlx::query!(
        r#"
        INSERT INTO syncline.schema_drift AS d (site_id, entity, field, expected, found)
        SELECT $1, n.entity, n.field, n.expected, n.found
          FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS n (entity, field, expected, found)
        ON CONFLICT (site_id, entity, field, expected, found) DO UPDATE
           SET occurrences = d.occurrences + 1, last_seen_at = clock_timestamp()
        RETURNING d.entity, d.field, d.xmax = 0 AS "new!"
        "#,
        site_id,
        &part(0),
        &part(1),
        &part(2),
        &part(3),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter(|row| row.new).map(|row| (row.entity, row.field)).collect())
}
