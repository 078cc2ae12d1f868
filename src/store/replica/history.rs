//! The history of issues: written once. Jira does not edit it, so that an entry which differs is one that was read wrongly or
//! altered here; it is put right when it is read again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::domain::entity::ChangeRecord;
use crate::observe::trace;
use crate::store::Result;

/// Inserts entries that are not there yet and, of what was read `whole`, puts right those that differ; answers how many were
/// new or different. A part of a history only adds: its end point, which is asked for the rest, has the last word.
pub async fn insert_changes(
    conn: &mut PgConnection,
    site_id: Uuid,
    changes: &[&ChangeRecord],
    whole: bool,
) -> Result<i64> {
    if changes.is_empty() {
        return Ok(0);
    }
    let mut sorted: Vec<&ChangeRecord> = changes.to_vec();
    sorted.sort_unstable_by_key(|change| (change.id, change.item));
    let text = |f: fn(&ChangeRecord) -> Option<&str>| sorted.iter().map(|c| f(c)).collect::<Vec<Option<&str>>>();
    let ids: Vec<i64> = sorted.iter().map(|c| c.id).collect();
    let items: Vec<i16> = sorted.iter().map(|c| c.item).collect();
    let issues: Vec<i64> = sorted.iter().map(|c| c.issue_id).collect();
    let created: Vec<DateTime<Utc>> = sorted.iter().map(|c| c.created_at).collect();
    let fields: Vec<&str> = sorted.iter().map(|c| c.field.as_str()).collect();
    let inserted = sqlx::query!(
        r#"
        INSERT INTO syncline.changelog (site_id, id, item, issue_id, author_account_id, created_at, field, field_id, field_type,
                                        from_value, from_text, to_value, to_text)
        SELECT $1, n.* FROM unnest($2::int8[], $3::int2[], $4::int8[], $5::text[], $6::timestamptz[], $7::text[], $8::text[],
                                   $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]) AS n
        ON CONFLICT DO NOTHING
        "#,
        site_id,
        &ids,
        &items,
        &issues,
        &text(|c| c.author.as_deref()) as &[Option<&str>],
        &created,
        &fields as &[&str],
        &text(|c| c.field_id.as_deref()) as &[Option<&str>],
        &text(|c| c.field_type.as_deref()) as &[Option<&str>],
        &text(|c| c.from_value.as_deref()) as &[Option<&str>],
        &text(|c| c.from_text.as_deref()) as &[Option<&str>],
        &text(|c| c.to_value.as_deref()) as &[Option<&str>],
        &text(|c| c.to_text.as_deref()) as &[Option<&str>],
    )
    .execute(&mut *conn)
    .instrument(trace::batch("INSERT", "syncline.changelog", changes.len()))
    .await?
    .rows_affected();
    if !whole || usize::try_from(inserted).is_ok_and(|inserted| inserted == sorted.len()) {
        return Ok(i64::try_from(inserted).unwrap_or(i64::MAX));
    }
    // Some were there before.
    let corrected = sqlx::query!(
        r#"
        UPDATE syncline.changelog c
           SET issue_id = n.issue_id, author_account_id = n.author, created_at = n.created_at, field = n.field, field_id = n.field_id,
               field_type = n.field_type, from_value = n.from_value, from_text = n.from_text, to_value = n.to_value, to_text = n.to_text
          FROM unnest($2::int8[], $3::int2[], $4::int8[], $5::text[], $6::timestamptz[], $7::text[], $8::text[],
                      $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
               AS n (id, item, issue_id, author, created_at, field, field_id, field_type, from_value, from_text, to_value, to_text)
         WHERE c.site_id = $1 AND c.id = n.id AND c.item = n.item
           AND (c.issue_id, c.author_account_id, c.created_at, c.field, c.field_id, c.field_type, c.from_value, c.from_text, c.to_value, c.to_text)
               IS DISTINCT FROM (n.issue_id, n.author, n.created_at, n.field, n.field_id, n.field_type, n.from_value, n.from_text, n.to_value, n.to_text)
        "#,
        site_id,
        &ids,
        &items,
        &issues,
        &text(|c| c.author.as_deref()) as &[Option<&str>],
        &created,
        &fields as &[&str],
        &text(|c| c.field_id.as_deref()) as &[Option<&str>],
        &text(|c| c.field_type.as_deref()) as &[Option<&str>],
        &text(|c| c.from_value.as_deref()) as &[Option<&str>],
        &text(|c| c.from_text.as_deref()) as &[Option<&str>],
        &text(|c| c.to_value.as_deref()) as &[Option<&str>],
        &text(|c| c.to_text.as_deref()) as &[Option<&str>],
    )
    .execute(conn)
    .instrument(trace::batch("UPDATE", "syncline.changelog", changes.len()))
    .await?
    .rows_affected();
    Ok(i64::try_from(inserted.saturating_add(corrected)).unwrap_or(i64::MAX))
}
