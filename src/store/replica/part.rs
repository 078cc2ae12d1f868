//! Links and attachments: always read whole with their issue, so that what is no longer there goes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use super::Version;
use crate::domain::entity::{AttachmentRecord, LinkRecord};
use crate::observe::trace;
use crate::store::Result;

/// Makes the links of the issues in `versions` what `links` says, except of issues that are stored by now as they were
/// asked for later. Answers how many rows were written or removed.
pub async fn apply_links(
    conn: &mut PgConnection,
    site_id: Uuid,
    links: &[&LinkRecord],
    versions: &[Version],
) -> Result<i64> {
    let mut sorted: Vec<&LinkRecord> = links.to_vec();
    sorted.sort_unstable_by_key(|link| (link.issue_id, link.id));
    sorted.dedup_by_key(|link| (link.issue_id, link.id));
    let issues: Vec<i64> = sorted.iter().map(|l| l.issue_id).collect();
    let ids: Vec<i64> = sorted.iter().map(|l| l.id).collect();
    let types: Vec<&str> = sorted.iter().map(|l| l.link_type.as_str()).collect();
    let relations: Vec<&str> = sorted.iter().map(|l| l.relation.as_str()).collect();
    let directions: Vec<&str> = sorted.iter().map(|l| l.direction.as_str()).collect();
    let others: Vec<i64> = sorted.iter().map(|l| l.other_issue_id).collect();
    let keys: Vec<&str> = sorted.iter().map(|l| l.other_key.as_str()).collect();
    let (version_ids, version_times) = Version::columns(versions);
    let touched = sqlx::query_scalar!(
        r#"
        WITH current AS (
            SELECT v.id, v.asked_at FROM unnest($9::int8[], $10::timestamptz[]) AS v (id, asked_at)
             CROSS JOIN LATERAL (SELECT i.observed_at FROM syncline.issue i WHERE i.site_id = $1 AND i.id = v.id LIMIT 1) i
             WHERE (i.observed_at IS NULL OR i.observed_at <= v.asked_at OR i.observed_at > clock_timestamp())
        ), input AS (
            -- A key that was asked for after the page goes before the one on the page.
            SELECT n.issue_id, n.id, n.link_type, n.relation, n.direction, n.other_issue_id, coalesce(o.key, n.other_key) AS other_key
              FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::int8[], $8::text[])
                AS n (issue_id, id, link_type, relation, direction, other_issue_id, other_key)
              JOIN current c ON c.id = n.issue_id
              LEFT JOIN LATERAL (SELECT i.key FROM syncline.issue i
                                  WHERE i.site_id = $1 AND i.id = n.other_issue_id AND i.deleted_at IS NULL
                                    AND i.observed_at > c.asked_at AND i.observed_at <= clock_timestamp() LIMIT 1) o ON true
        ), written AS (
            INSERT INTO syncline.issue_link AS l (site_id, issue_id, id, link_type, relation, direction, other_issue_id, other_key)
            SELECT $1, n.* FROM input n ORDER BY n.issue_id, n.id
            ON CONFLICT (site_id, issue_id, id) DO UPDATE
               SET link_type = excluded.link_type, relation = excluded.relation, direction = excluded.direction,
                   other_issue_id = excluded.other_issue_id, other_key = excluded.other_key
             WHERE (l.link_type, l.relation, l.direction, l.other_issue_id, l.other_key)
                   IS DISTINCT FROM (excluded.link_type, excluded.relation, excluded.direction, excluded.other_issue_id, excluded.other_key)
            RETURNING 1
        ), removed AS (
            DELETE FROM syncline.issue_link l
             WHERE l.site_id = $1 AND l.issue_id IN (SELECT id FROM current)
               AND NOT EXISTS (SELECT 1 FROM input n WHERE n.issue_id = l.issue_id AND n.id = l.id)
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM written) + (SELECT count(*) FROM removed) AS "n!"
        "#,
        site_id,
        &issues,
        &ids,
        &types as &[&str],
        &relations as &[&str],
        &directions as &[&str],
        &others,
        &keys as &[&str],
        &version_ids,
        &version_times,
    )
    .fetch_one(conn)
    .instrument(trace::batch("INSERT", "syncline.issue_link", sorted.len()))
    .await?;
    Ok(touched)
}

/// The same for attachments.
pub async fn apply_attachments(
    conn: &mut PgConnection,
    site_id: Uuid,
    attachments: &[&AttachmentRecord],
    versions: &[Version],
) -> Result<i64> {
    let mut sorted: Vec<&AttachmentRecord> = attachments.to_vec();
    sorted.sort_unstable_by_key(|attachment| attachment.id);
    sorted.dedup_by_key(|attachment| attachment.id);
    let ids: Vec<i64> = sorted.iter().map(|a| a.id).collect();
    let issues: Vec<i64> = sorted.iter().map(|a| a.issue_id).collect();
    let names: Vec<&str> = sorted.iter().map(|a| a.file_name.as_str()).collect();
    let authors: Vec<Option<&str>> = sorted.iter().map(|a| a.author.as_deref()).collect();
    let created: Vec<DateTime<Utc>> = sorted.iter().map(|a| a.created_at).collect();
    let sizes: Vec<i64> = sorted.iter().map(|a| a.size_bytes).collect();
    let types: Vec<Option<&str>> = sorted.iter().map(|a| a.mime_type.as_deref()).collect();
    let (version_ids, version_times) = Version::columns(versions);
    let touched = sqlx::query_scalar!(
        r#"
        WITH current AS (
            SELECT v.id FROM unnest($9::int8[], $10::timestamptz[]) AS v (id, asked_at)
             CROSS JOIN LATERAL (SELECT i.observed_at FROM syncline.issue i WHERE i.site_id = $1 AND i.id = v.id LIMIT 1) i
             WHERE (i.observed_at IS NULL OR i.observed_at <= v.asked_at OR i.observed_at > clock_timestamp())
        ), input AS (
            SELECT * FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[], $6::timestamptz[], $7::int8[], $8::text[])
                AS n (id, issue_id, file_name, author, created_at, size_bytes, mime_type)
             WHERE n.issue_id IN (SELECT id FROM current)
        ), written AS (
            INSERT INTO syncline.attachment AS a (site_id, id, issue_id, file_name, author_account_id, created_at, size_bytes, mime_type)
            SELECT $1, n.* FROM input n ORDER BY n.id
            ON CONFLICT (site_id, id) DO UPDATE
               SET issue_id = excluded.issue_id, file_name = excluded.file_name, author_account_id = excluded.author_account_id,
                   created_at = excluded.created_at, size_bytes = excluded.size_bytes, mime_type = excluded.mime_type
             WHERE (a.issue_id, a.file_name, a.author_account_id, a.created_at, a.size_bytes, a.mime_type)
                   IS DISTINCT FROM (excluded.issue_id, excluded.file_name, excluded.author_account_id, excluded.created_at,
                                     excluded.size_bytes, excluded.mime_type)
            RETURNING 1
        ), removed AS (
            DELETE FROM syncline.attachment a
             WHERE a.site_id = $1 AND a.issue_id IN (SELECT id FROM current) AND a.id <> ALL ($2)
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM written) + (SELECT count(*) FROM removed) AS "n!"
        "#,
        site_id,
        &ids,
        &issues,
        &names as &[&str],
        &authors as &[Option<&str>],
        &created,
        &sizes,
        &types as &[Option<&str>],
        &version_ids,
        &version_times,
    )
    .fetch_one(conn)
    .instrument(trace::batch("INSERT", "syncline.attachment", sorted.len()))
    .await?;
    Ok(touched)
}
