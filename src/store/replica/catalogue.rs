//! The site's catalogues: fields, statuses, issue types, priorities, resolutions.
//!
//! What must hold: these lists are read whole, so a row that a list no longer holds is marked deleted, and one that comes
//! back is undeleted; an empty list marks nothing, since a site without statuses is one that was not shown.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::entity::{FieldRecord, StatusRecord, TermKind, TermRecord};
use crate::store::Result;

/// Makes the fields of the site what the list says.
pub async fn upsert_fields(conn: &mut PgConnection, site_id: Uuid, fields: &[FieldRecord]) -> Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&FieldRecord> = fields.iter().collect();
    sorted.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    sorted.dedup_by(|a, b| a.id == b.id);
    let text = |f: fn(&FieldRecord) -> Option<&str>| sorted.iter().map(|r| f(r)).collect::<Vec<Option<&str>>>();
    let ids: Vec<&str> = sorted.iter().map(|f| f.id.as_str()).collect();
    let names: Vec<&str> = sorted.iter().map(|f| f.name.as_str()).collect();
    let custom: Vec<bool> = sorted.iter().map(|f| f.custom).collect();
    sqlx::query!(
        r#"
        WITH gone AS (
            UPDATE syncline.field SET deleted_at = clock_timestamp()
             WHERE site_id = $1 AND deleted_at IS NULL AND id <> ALL ($2::text[])
        )
        INSERT INTO syncline.field AS f (site_id, id, name, custom, value_type, items, custom_kind, system)
        SELECT $1, n.* FROM unnest($2::text[], $3::text[], $4::bool[], $5::text[], $6::text[], $7::text[], $8::text[]) AS n
        ON CONFLICT (site_id, id) DO UPDATE
           SET name = excluded.name, custom = excluded.custom, value_type = excluded.value_type, items = excluded.items,
               custom_kind = excluded.custom_kind, system = excluded.system, updated_at = clock_timestamp(), deleted_at = NULL
         WHERE f.deleted_at IS NOT NULL
            OR (f.name, f.custom, f.value_type, f.items, f.custom_kind, f.system)
               IS DISTINCT FROM (excluded.name, excluded.custom, excluded.value_type, excluded.items, excluded.custom_kind, excluded.system)
        "#,
        site_id,
        &ids as &[&str],
        &names as &[&str],
        &custom,
        &text(|f| f.value_type.as_deref()) as &[Option<&str>],
        &text(|f| f.items.as_deref()) as &[Option<&str>],
        &text(|f| f.custom_kind.as_deref()) as &[Option<&str>],
        &text(|f| f.system.as_deref()) as &[Option<&str>],
    )
    .execute(&mut *conn)
    .await?;
    // The view that shows them by name changes with them.
    sqlx::query!("SELECT syncline.publish_fields($1)", site_id).execute(conn).await?;
    Ok(())
}

/// Makes the statuses of the site what the list says. Answers whether one that was known is called otherwise, or is of another
/// category.
pub async fn upsert_statuses(conn: &mut PgConnection, site_id: Uuid, statuses: &[StatusRecord]) -> Result<bool> {
    if statuses.is_empty() {
        return Ok(false);
    }
    let mut sorted: Vec<&StatusRecord> = statuses.iter().collect();
    sorted.sort_unstable_by_key(|s| s.id);
    sorted.dedup_by_key(|s| s.id);
    let ids: Vec<i64> = sorted.iter().map(|s| s.id).collect();
    let names: Vec<&str> = sorted.iter().map(|s| s.name.as_str()).collect();
    let categories: Vec<&str> = sorted.iter().map(|s| s.category.as_str()).collect();
    let descriptions: Vec<Option<&str>> = sorted.iter().map(|s| s.description.as_deref()).collect();
    let renamed = sqlx::query_scalar!(
        r#"
        WITH gone AS (
            UPDATE syncline.status SET deleted_at = clock_timestamp()
             WHERE site_id = $1 AND deleted_at IS NULL AND id <> ALL ($2::int8[])
        ), renamed AS (
            SELECT 1 FROM unnest($2::int8[], $3::text[], $4::text[]) AS n (id, name, category)
              JOIN syncline.status o ON o.site_id = $1 AND o.id = n.id AND (o.name, o.category) <> (n.name, n.category)
        ), written AS (
        INSERT INTO syncline.status AS s (site_id, id, name, category, description)
        SELECT $1, n.* FROM unnest($2::int8[], $3::text[], $4::text[], $5::text[]) AS n
        ON CONFLICT (site_id, id) DO UPDATE
           SET name = excluded.name, category = excluded.category, description = excluded.description,
               updated_at = clock_timestamp(), deleted_at = NULL
         WHERE s.deleted_at IS NOT NULL
            OR (s.name, s.category, s.description) IS DISTINCT FROM (excluded.name, excluded.category, excluded.description)
        )
        SELECT EXISTS (SELECT 1 FROM renamed) AS "renamed!"
        "#,
        site_id,
        &ids,
        &names as &[&str],
        &categories as &[&str],
        &descriptions as &[Option<&str>],
    )
    .fetch_one(conn)
    .await?;
    Ok(renamed)
}

/// Makes one of the simple catalogues of the site what the list says; entries of other kinds in it are left out. Answers
/// whether one that was known is called otherwise.
pub async fn upsert_terms(
    conn: &mut PgConnection,
    site_id: Uuid,
    kind: TermKind,
    terms: &[TermRecord],
) -> Result<bool> {
    let mut sorted: Vec<&TermRecord> = terms.iter().filter(|term| term.kind == kind).collect();
    if sorted.is_empty() {
        return Ok(false);
    }
    sorted.sort_unstable_by_key(|t| t.id);
    sorted.dedup_by_key(|t| t.id);
    let ids: Vec<i64> = sorted.iter().map(|t| t.id).collect();
    let names: Vec<&str> = sorted.iter().map(|t| t.name.as_str()).collect();
    let descriptions: Vec<Option<&str>> = sorted.iter().map(|t| t.description.as_deref()).collect();
    let subtasks: Vec<bool> = sorted.iter().map(|t| t.is_subtask).collect();
    let positions: Vec<i32> = sorted.iter().map(|t| t.position).collect();
    let renamed = sqlx::query_scalar!(
        r#"
        WITH gone AS (
            UPDATE syncline.term SET deleted_at = clock_timestamp()
             WHERE site_id = $1 AND kind = $2 AND deleted_at IS NULL AND id <> ALL ($3::int8[])
        ), renamed AS (
            SELECT 1 FROM unnest($3::int8[], $4::text[]) AS n (id, name)
              JOIN syncline.term o ON o.site_id = $1 AND o.kind = $2 AND o.id = n.id AND o.name <> n.name
        ), written AS (
        INSERT INTO syncline.term AS t (site_id, kind, id, name, description, is_subtask, position)
        SELECT $1, $2, n.* FROM unnest($3::int8[], $4::text[], $5::text[], $6::bool[], $7::int4[]) AS n
        ON CONFLICT (site_id, kind, id) DO UPDATE
           SET name = excluded.name, description = excluded.description, is_subtask = excluded.is_subtask,
               position = excluded.position, updated_at = clock_timestamp(), deleted_at = NULL
         WHERE t.deleted_at IS NOT NULL
            OR (t.name, t.description, t.is_subtask, t.position)
               IS DISTINCT FROM (excluded.name, excluded.description, excluded.is_subtask, excluded.position)
        )
        SELECT EXISTS (SELECT 1 FROM renamed) AS "renamed!"
        "#,
        site_id,
        kind.as_str(),
        &ids,
        &names as &[&str],
        &descriptions as &[Option<&str>],
        &subtasks,
        &positions,
    )
    .fetch_one(conn)
    .await?;
    Ok(renamed)
}
