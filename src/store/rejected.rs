//! What a run could not read: noted while it goes on, counted when it ends.
//!
//! What must hold: one record counts once, however often a page, a list of its own or a repair rejects it.

use std::collections::{BTreeMap, HashMap};

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::store::Result;

/// Numbers of records by entity.
pub type Counts = BTreeMap<String, i64>;

/// Notes records of a run: entity, and what names the record among those of its entity; one without a name is one more.
pub async fn note(conn: &mut PgConnection, run_id: Uuid, records: &[(&str, Option<String>)]) -> Result<()> {
    let (entities, names): (Vec<&str>, Vec<Option<&str>>) =
        records.iter().map(|(entity, name)| (*entity, name.as_deref())).unzip();
    sqlx::query!(
        r#"INSERT INTO syncline.sync_rejected (run_id, entity, record)
           SELECT DISTINCT $1::uuid, n.entity, coalesce(n.record, gen_random_uuid()::text)
             FROM unnest($2::text[], $3::text[]) AS n (entity, record)
            ORDER BY 2, 3
           ON CONFLICT DO NOTHING"#,
        run_id,
        &entities as &[&str],
        &names as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The keys of issues, as far as the replica knows them.
pub async fn keys(executor: impl PgExecutor<'_>, site_id: Uuid, ids: &[i64]) -> Result<HashMap<i64, String>> {
    let rows =
        sqlx::query!("SELECT id, key FROM syncline.issue WHERE site_id = $1 AND id = ANY ($2::int8[])", site_id, ids)
            .fetch_all(executor)
            .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.key)).collect())
}

/// How a run stands before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It has not failed and nobody has stopped it.
    pub well: bool,
    /// Issues of its pages that were read.
    pub read: i64,
    /// Issues of its pages that could not be read.
    pub rejected: i64,
}

/// How a run stands.
pub async fn standing(executor: impl PgExecutor<'_>, run_id: Uuid) -> Result<Standing> {
    let standing = sqlx::query_as!(
        Standing,
        r#"SELECT (r.error_code IS NULL AND r.cancel_requested_at IS NULL) AS "well!",
                  (SELECT coalesce(sum(q.issues_seen), 0)::int8 FROM syncline.sync_partition q WHERE q.run_id = r.id) AS "read!",
                  (SELECT coalesce(sum(q.issues_rejected), 0)::int8 FROM syncline.sync_partition q WHERE q.run_id = r.id) AS "rejected!"
             FROM syncline.sync_run r WHERE r.id = $1"#,
        run_id
    )
    .fetch_one(executor)
    .await?;
    Ok(standing)
}

/// Fails a run that has not failed yet.
pub async fn fail(executor: impl PgExecutor<'_>, run_id: Uuid, code: &str, message: &str, advice: &str) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.sync_run SET error_code = $2, error_message = $3, error_advice = $4
            WHERE id = $1 AND error_code IS NULL"#,
        run_id,
        code,
        message,
        advice
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// The counts as they are stored; what is none counts as nothing.
pub fn counts(stored: &serde_json::Value) -> Counts {
    let members = stored.as_object().into_iter().flatten();
    members
        .filter_map(|(entity, count)| Some((entity.clone(), count.as_i64()?)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Counts in words: `changelog 993, issue 1`.
pub fn in_words(counts: &Counts) -> String {
    counts.iter().map(|(entity, count)| format!("{entity} {count}")).collect::<Vec<String>>().join(", ")
}
