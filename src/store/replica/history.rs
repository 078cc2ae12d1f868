//! The history of issues: written once. Jira does not edit it, so that an entry which differs is one that was read wrongly or
//! altered here; it is put right when it is read again.
//!
//! What must hold: a change of status says which one it is of its issue's, and when the next one came, as the views have it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::domain::entity::ChangeRecord;
use crate::observe::trace;
use crate::store::Result;

/// Where changes of status stand among those of their issue, and when the next one came, if the entries are all that there is of
/// their issues; in the order of the entries.
fn places(changes: &[&ChangeRecord]) -> (Vec<Option<i32>>, Vec<Option<DateTime<Utc>>>) {
    let mut order: Vec<usize> =
        (0..changes.len()).filter(|at| changes.get(*at).is_some_and(|c| is_status(c))).collect();
    order.sort_by_key(|at| changes.get(*at).map(|c| (c.issue_id, c.created_at, c.id, c.item)));
    let mut places = vec![None; changes.len()];
    let mut untils = vec![None; changes.len()];
    let mut before: Option<(usize, i64, i32)> = None;
    for at in order {
        let Some(change) = changes.get(at) else { continue };
        let mut place = 1;
        if let Some((last, _, its)) = before.filter(|(_, issue, _)| *issue == change.issue_id) {
            place = its + 1;
            if let Some(until) = untils.get_mut(last) {
                *until = Some(change.created_at);
            }
        }
        if let Some(its) = places.get_mut(at) {
            *its = Some(place);
        }
        before = Some((at, change.issue_id, place));
    }
    (places, untils)
}

fn is_status(change: &ChangeRecord) -> bool {
    change.field == "status" || change.field_id.as_deref() == Some("status")
}

/// An id as the history has it: a text of digits.
fn status_id(value: &str) -> Option<i64> {
    let digits = (1..=18).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    if digits { value.parse().ok() } else { None }
}

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
    let (places, untils) = places(&sorted);
    let status_ids = |f: fn(&ChangeRecord) -> Option<&str>| {
        sorted.iter().map(|c| f(c).filter(|_| is_status(c)).and_then(status_id)).collect::<Vec<Option<i64>>>()
    };
    let inserted = sqlx::query!(
        r#"
        WITH added AS (
        INSERT INTO syncline.changelog (site_id, id, item, issue_id, author_account_id, created_at, field, field_id, field_type,
                                        from_value, from_text, to_value, to_text, status_place, status_until,
                                        from_status_id, to_status_id)
        SELECT $1, n.* FROM unnest($2::int8[], $3::int2[], $4::int8[], $5::text[], $6::timestamptz[], $7::text[], $8::text[],
                                   $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int4[], $15::timestamptz[],
                                   $16::int8[], $17::int8[]) AS n
        ON CONFLICT DO NOTHING
        RETURNING issue_id, status_place
        )
        SELECT count(*) AS "rows!",
               coalesce(array_agg(DISTINCT issue_id ORDER BY issue_id) FILTER (WHERE status_place IS NOT NULL), '{}') AS "issues!"
          FROM added
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
        &places as &[Option<i32>],
        &untils as &[Option<DateTime<Utc>>],
        &status_ids(|c| c.from_value.as_deref()) as &[Option<i64>],
        &status_ids(|c| c.to_value.as_deref()) as &[Option<i64>],
    )
    .fetch_one(&mut *conn)
    .instrument(trace::batch("INSERT", "syncline.changelog", changes.len()))
    .await?;
    let all_new = usize::try_from(inserted.rows).is_ok_and(|inserted| inserted == sorted.len());
    let placed_already = whole && all_new;
    if !placed_already && !inserted.issues.is_empty() {
        // Only those that a change of status was added to: it locks them, and others of the page may be another step's.
        sqlx::query!("SELECT syncline.place_status_changes($1, $2)", site_id, &inserted.issues)
            .execute(&mut *conn)
            .await?;
    }
    if !whole || all_new {
        return Ok(inserted.rows);
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
    Ok(inserted.rows.saturating_add(i64::try_from(corrected).unwrap_or(i64::MAX)))
}
