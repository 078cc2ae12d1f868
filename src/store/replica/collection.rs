//! Comments and worklogs: written by batch, and removed where a complete list no longer holds them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::domain::record::{CommentRecord, Restriction, WorklogRecord};
use crate::domain::twice::newest_of_each;
use crate::observe::trace;
use crate::store::Result;

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows that are new or changed.
    pub written: i64,
    /// Rows that are gone.
    pub removed: i64,
}

/// Which version of an issue its comments and worklogs were read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Jira's id.
    pub issue_id: i64,
    /// The issue's `updated`.
    pub updated_at: DateTime<Utc>,
}

impl Version {
    pub(super) fn columns(versions: &[Self]) -> (Vec<i64>, Vec<DateTime<Utc>>) {
        versions.iter().map(|version| (version.issue_id, version.updated_at)).unzip()
    }
}

/// Writes comments, except those of issues that are stored in a newer version than in `versions` by now: an issue that did
/// not change is not locked, so another transaction may have written a newer one since. One statement sees that version
/// and its comments, or neither.
///
/// Of the issues in `complete`, every comment that is not in the batch is removed.
pub async fn apply_comments(
    conn: &mut PgConnection,
    site_id: Uuid,
    comments: &[&CommentRecord],
    versions: &[Version],
    complete: &[i64],
    also_seen: &[i64],
) -> Result<Applied> {
    let mut sorted: Vec<&CommentRecord> = comments.to_vec();
    newest_of_each(&mut sorted, |comment| (comment.id, comment.updated_at));
    let ids: Vec<i64> = sorted.iter().map(|c| c.id).collect();
    let issues: Vec<i64> = sorted.iter().map(|c| c.issue_id).collect();
    let authors: Vec<Option<&str>> = sorted.iter().map(|c| c.author.as_deref()).collect();
    let editors: Vec<Option<&str>> = sorted.iter().map(|c| c.update_author.as_deref()).collect();
    let bodies: Vec<&str> = sorted.iter().map(|c| c.body.as_str()).collect();
    let created: Vec<DateTime<Utc>> = sorted.iter().map(|c| c.created_at).collect();
    let updated: Vec<DateTime<Utc>> = sorted.iter().map(|c| c.updated_at).collect();
    let hashes: Vec<&[u8]> = sorted.iter().map(|c| c.content_hash.as_slice()).collect();
    let (restrictions, restricted_to) = restriction_columns(sorted.iter().map(|c| c.restriction.as_ref()));
    let internal: Vec<bool> = sorted.iter().map(|c| c.internal).collect();
    let (version_ids, version_times) = Version::columns(versions);
    let row = sqlx::query!(
        r#"
        WITH input AS MATERIALIZED (
            SELECT * FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::bytea[],
                                 $14::text[], $15::text[], $16::bool[])
                AS n (id, issue_id, author, editor, body, created_at, updated_at, content_hash, restriction, restricted_to, internal)
        ), current AS (
            -- One look-up by key for each row, whatever the statistics: before the first ANALYZE a join reads the whole site.
            SELECT v.id FROM unnest($12::int8[], $13::timestamptz[]) AS v (id, updated_at)
             CROSS JOIN LATERAL (SELECT i.updated_at, i.deleted_at FROM syncline.issue i
                                  WHERE i.site_id = $1 AND i.id = v.id LIMIT 1) i
             WHERE i.updated_at <= v.updated_at AND i.deleted_at IS NULL
        ), same AS (
            SELECT n.id FROM input n
             CROSS JOIN LATERAL (SELECT c.content_hash FROM syncline.comment c WHERE c.site_id = $1 AND c.id = n.id LIMIT 1) c
             WHERE c.content_hash = n.content_hash
        ), written AS (
            INSERT INTO syncline.comment AS c (site_id, id, issue_id, author_account_id, update_author_account_id, body, created_at, updated_at, content_hash,
                   restriction_type, restricted_to, is_internal)
            SELECT $1, n.id, n.issue_id, n.author, n.editor, n.body, n.created_at, n.updated_at, n.content_hash, n.restriction, n.restricted_to, n.internal
              FROM input n
             WHERE n.id NOT IN (SELECT id FROM same) AND n.issue_id IN (SELECT id FROM current)
             ORDER BY n.id
            ON CONFLICT (site_id, id) DO UPDATE
               SET issue_id = excluded.issue_id, author_account_id = excluded.author_account_id,
                   update_author_account_id = excluded.update_author_account_id, body = excluded.body,
                   created_at = excluded.created_at, updated_at = excluded.updated_at, content_hash = excluded.content_hash,
                   restriction_type = excluded.restriction_type, restricted_to = excluded.restricted_to, is_internal = excluded.is_internal
             WHERE c.updated_at <= excluded.updated_at
            RETURNING 1
        ), removed AS (
            DELETE FROM syncline.comment c
             WHERE c.site_id = $1 AND c.issue_id = ANY ($10) AND c.issue_id IN (SELECT id FROM current)
               AND c.id <> ALL ($2) AND c.id <> ALL ($11)
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM written) AS "written!", (SELECT count(*) FROM removed) AS "removed!"
        "#,
        site_id,
        &ids,
        &issues,
        &authors as &[Option<&str>],
        &editors as &[Option<&str>],
        &bodies as &[&str],
        &created,
        &updated,
        &hashes as &[&[u8]],
        complete,
        also_seen,
        &version_ids,
        &version_times,
        &restrictions as &[Option<&str>],
        &restricted_to as &[Option<&str>],
        &internal,
    )
    .fetch_one(conn)
    .instrument(trace::batch("INSERT", "syncline.comment", ids.len()))
    .await?;
    Ok(Applied { written: row.written, removed: row.removed })
}

/// Writes worklogs, as [`apply_comments`] does. Of the issues in `complete`, every worklog that is not in the batch is removed.
pub async fn apply_worklogs(
    conn: &mut PgConnection,
    site_id: Uuid,
    worklogs: &[&WorklogRecord],
    versions: &[Version],
    complete: &[i64],
    also_seen: &[i64],
) -> Result<Applied> {
    let mut sorted: Vec<&WorklogRecord> = worklogs.to_vec();
    newest_of_each(&mut sorted, |worklog| (worklog.id, worklog.updated_at));
    let ids: Vec<i64> = sorted.iter().map(|w| w.id).collect();
    let issues: Vec<i64> = sorted.iter().map(|w| w.issue_id).collect();
    let authors: Vec<Option<&str>> = sorted.iter().map(|w| w.author.as_deref()).collect();
    let editors: Vec<Option<&str>> = sorted.iter().map(|w| w.update_author.as_deref()).collect();
    let comments: Vec<Option<&str>> = sorted.iter().map(|w| w.comment.as_deref()).collect();
    let started: Vec<DateTime<Utc>> = sorted.iter().map(|w| w.started_at).collect();
    let seconds: Vec<i32> = sorted.iter().map(|w| w.time_spent_seconds).collect();
    let created: Vec<DateTime<Utc>> = sorted.iter().map(|w| w.created_at).collect();
    let updated: Vec<DateTime<Utc>> = sorted.iter().map(|w| w.updated_at).collect();
    let hashes: Vec<&[u8]> = sorted.iter().map(|w| w.content_hash.as_slice()).collect();
    let (restrictions, restricted_to) = restriction_columns(sorted.iter().map(|w| w.restriction.as_ref()));
    let (version_ids, version_times) = Version::columns(versions);
    let row = sqlx::query!(
        r#"
        WITH input AS MATERIALIZED (
            SELECT * FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::int4[],
                                 $9::timestamptz[], $10::timestamptz[], $11::bytea[], $16::text[], $17::text[])
                AS n (id, issue_id, author, editor, comment, started_at, seconds, created_at, updated_at, content_hash, restriction, restricted_to)
        ), current AS (
            -- One look-up by key for each row, whatever the statistics: before the first ANALYZE a join reads the whole site.
            SELECT v.id FROM unnest($14::int8[], $15::timestamptz[]) AS v (id, updated_at)
             CROSS JOIN LATERAL (SELECT i.updated_at, i.deleted_at FROM syncline.issue i
                                  WHERE i.site_id = $1 AND i.id = v.id LIMIT 1) i
             WHERE i.updated_at <= v.updated_at AND i.deleted_at IS NULL
        ), same AS (
            SELECT n.id FROM input n
             CROSS JOIN LATERAL (SELECT w.content_hash FROM syncline.worklog w WHERE w.site_id = $1 AND w.id = n.id LIMIT 1) w
             WHERE w.content_hash = n.content_hash
        ), written AS (
            INSERT INTO syncline.worklog AS w (site_id, id, issue_id, author_account_id, update_author_account_id, comment,
                   started_at, time_spent_seconds, created_at, updated_at, content_hash, restriction_type, restricted_to)
            SELECT $1, n.id, n.issue_id, n.author, n.editor, n.comment, n.started_at, n.seconds, n.created_at, n.updated_at, n.content_hash,
                   n.restriction, n.restricted_to
              FROM input n
             WHERE n.id NOT IN (SELECT id FROM same) AND n.issue_id IN (SELECT id FROM current)
             ORDER BY n.id
            ON CONFLICT (site_id, id) DO UPDATE
               SET issue_id = excluded.issue_id, author_account_id = excluded.author_account_id,
                   update_author_account_id = excluded.update_author_account_id, comment = excluded.comment,
                   started_at = excluded.started_at, time_spent_seconds = excluded.time_spent_seconds,
                   created_at = excluded.created_at, updated_at = excluded.updated_at, content_hash = excluded.content_hash,
                   restriction_type = excluded.restriction_type, restricted_to = excluded.restricted_to
             WHERE w.updated_at <= excluded.updated_at
            RETURNING 1
        ), removed AS (
            DELETE FROM syncline.worklog w
             WHERE w.site_id = $1 AND w.issue_id = ANY ($12) AND w.issue_id IN (SELECT id FROM current)
               AND w.id <> ALL ($2) AND w.id <> ALL ($13)
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM written) AS "written!", (SELECT count(*) FROM removed) AS "removed!"
        "#,
        site_id,
        &ids,
        &issues,
        &authors as &[Option<&str>],
        &editors as &[Option<&str>],
        &comments as &[Option<&str>],
        &started,
        &seconds,
        &created,
        &updated,
        &hashes as &[&[u8]],
        complete,
        also_seen,
        &version_ids,
        &version_times,
        &restrictions as &[Option<&str>],
        &restricted_to as &[Option<&str>],
    )
    .fetch_one(conn)
    .instrument(trace::batch("INSERT", "syncline.worklog", ids.len()))
    .await?;
    Ok(Applied { written: row.written, removed: row.removed })
}

/// Who sees each row: the kinds and the names.
fn restriction_columns<'a>(
    restrictions: impl Iterator<Item = Option<&'a Restriction>>,
) -> (Vec<Option<&'a str>>, Vec<Option<&'a str>>) {
    restrictions.map(|restriction| restriction.map(|r| (r.kind.as_str(), r.name.as_str())).unzip()).unzip()
}
