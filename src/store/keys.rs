//! Keys of issues that stand in other issues beside their ids: at the other end of a link, and as the parent.
//!
//! What must hold: when an issue's key changes, by a move or with its project's, the copies change with it, in whatever
//! project they are; no page is being written meanwhile, so that none brings the old key back. A copy whose issue is not in
//! the replica is as Jira last showed it.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::Result;

/// Whether issues stand anywhere under another key than they have: those of `ids` in links, and those of `former`, given as
/// (id, key before), as parents.
pub async fn are_misnamed(
    conn: &mut PgConnection,
    site_id: Uuid,
    ids: &[i64],
    former: &[(i64, String)],
) -> Result<bool> {
    if ids.is_empty() && former.is_empty() {
        return Ok(false);
    }
    let (parents, keys): (Vec<i64>, Vec<String>) = former.iter().cloned().unzip();
    let any = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (SELECT 1 FROM unnest($2::int8[]) AS n (id)
                        CROSS JOIN LATERAL (SELECT i.key FROM syncline.issue i WHERE i.site_id = $1 AND i.id = n.id AND i.deleted_at IS NULL LIMIT 1) i
                        CROSS JOIN LATERAL (SELECT 1 FROM syncline.issue_link l
                                             WHERE l.site_id = $1 AND l.other_issue_id = n.id AND l.other_key <> i.key LIMIT 1) l)
            OR EXISTS (SELECT 1 FROM unnest($3::int8[], $4::text[]) AS n (id, key)
                        CROSS JOIN LATERAL (SELECT 1 FROM syncline.issue c
                                             WHERE c.site_id = $1 AND c.parent_key = n.key AND coalesce(c.parent_id, n.id) = n.id LIMIT 1) c)
               AS "any!"
        "#,
        site_id,
        ids,
        &parents,
        &keys,
    )
    .fetch_one(conn)
    .await?;
    Ok(any)
}

/// Writes the present keys of these issues wherever they stand. To be called before anything is locked, with names held
/// alone (see [`super::names::hold_alone`]): the copies are locked in the order of their ids.
/// `epic_links` are the fields in which sites name the parent a second time.
pub async fn mend(
    conn: &mut PgConnection,
    site_id: Uuid,
    ids: &[i64],
    former: &[(i64, String)],
    epic_links: &[String],
) -> Result<()> {
    let (parents, keys): (Vec<i64>, Vec<String>) = former.iter().cloned().unzip();
    sqlx::query!(
        r#"
        WITH named AS MATERIALIZED (
            SELECT c.id, i.key, n.key AS former FROM unnest($2::int8[], $3::text[]) AS n (id, key)
             CROSS JOIN LATERAL (SELECT i.key FROM syncline.issue i WHERE i.site_id = $1 AND i.id = n.id AND i.deleted_at IS NULL LIMIT 1) i
              JOIN syncline.issue c ON c.site_id = $1 AND c.parent_key = n.key AND coalesce(c.parent_id, n.id) = n.id
             WHERE i.key <> n.key
        ), locked AS MATERIALIZED (
            SELECT c.id FROM syncline.issue c WHERE c.site_id = $1 AND c.id = ANY (ARRAY(SELECT id FROM named)) ORDER BY c.id
               FOR NO KEY UPDATE
        )
        UPDATE syncline.issue c
           SET parent_key = n.key,
               fields = CASE WHEN c.fields ?| $4
                             THEN (SELECT jsonb_object_agg(f.id, CASE WHEN f.id = ANY ($4) AND f.value = to_jsonb(n.former) THEN to_jsonb(n.key) ELSE f.value END)
                                     FROM jsonb_each(c.fields) AS f (id, value))
                             ELSE c.fields END
          FROM named n
         WHERE c.site_id = $1 AND c.id = ANY (ARRAY(SELECT id FROM locked)) AND n.id = c.id
        "#,
        site_id,
        &parents,
        &keys,
        epic_links,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        UPDATE syncline.issue_link l SET other_key = i.key
          FROM unnest($2::int8[]) AS n (id)
         CROSS JOIN LATERAL (SELECT i.key FROM syncline.issue i WHERE i.site_id = $1 AND i.id = n.id AND i.deleted_at IS NULL LIMIT 1) i
         WHERE l.site_id = $1 AND l.other_issue_id = n.id AND l.other_key <> i.key
        "#,
        site_id,
        ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}
