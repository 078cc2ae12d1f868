//! What a verification reads of the replica, and the repair it may ask for.
//!
//! What must hold: rows are read as they are, not by their hashes, so that a row which was altered behind the replica's
//! back is found too; a repair is a run like any other, one active per project.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::domain::entity::IssueDetails;
use crate::domain::record::{CommentRecord, ContentHash, IssueRecord, Restriction, WorklogRecord};
use crate::store::Result;

/// What is verified: one project of one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// The site.
    pub site_id: Uuid,
    /// Its name here.
    pub site: String,
    /// The project.
    pub project_id: Uuid,
    /// Its key.
    pub project: String,
    /// The field that holds the site's story points, where an operator named it.
    pub story_points_field: Option<String>,
}

/// The project named KEY or SITE/KEY, or all that are not removed.
///
/// # Errors
/// A refusal that says what to do, for a name that is unknown or used on several sites.
pub async fn scopes(pool: &PgPool, project: Option<&str>) -> Result<Vec<Scope>> {
    let only = match project {
        Some(name) => sqlx::query_scalar!("SELECT syncline.find_project($1)", name).fetch_one(pool).await?,
        None => None,
    };
    let scopes = sqlx::query_as!(
        Scope,
        r#"SELECT s.id AS site_id, s.name AS site, p.id AS project_id, p.key AS project, s.story_points_field
             FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id
            WHERE p.state <> 'removed' AND ($1::uuid IS NULL OR p.id = $1)
            ORDER BY s.name, p.key"#,
        only
    )
    .fetch_all(pool)
    .await?;
    Ok(scopes)
}

/// An issue as it is stored.
#[derive(Clone, Debug)]
pub struct StoredIssue {
    /// Its fields; Jira's id and key of the project are not stored, and are 0 and empty here.
    pub record: IssueRecord,
    /// The project under which it is.
    pub project_id: Uuid,
}

/// Those of `ids` that the replica shows, whatever their project.
pub async fn issues(pool: &PgPool, site_id: Uuid, ids: &[i64]) -> Result<Vec<StoredIssue>> {
    stored(pool, site_id, ids, None).await
}

/// Those of `issues` (ids and hashes) that are stored with another hash, also those that are marked as gone.
pub async fn differing(
    conn: &mut PgConnection,
    site_id: Uuid,
    issues: &[(i64, ContentHash)],
) -> Result<Vec<StoredIssue>> {
    let (ids, hashes): (Vec<i64>, Vec<Vec<u8>>) = issues.iter().map(|(id, hash)| (*id, hash.to_vec())).unzip();
    stored(conn, site_id, &ids, Some(&hashes)).await
}

async fn stored<'e>(
    executor: impl PgExecutor<'e>,
    site_id: Uuid,
    ids: &[i64],
    other_than: Option<&[Vec<u8>]>,
) -> Result<Vec<StoredIssue>> {
    let rows = sqlx::query!(
        r#"SELECT id, project_id, key, summary, description, issue_type, status, status_category, priority, resolution,
                  assignee_account_id, reporter_account_id, creator_account_id, parent_id, parent_key, labels, story_points,
                  created_at, updated_at, resolved_at, due_date, content_hash, issue_type_id, is_subtask, status_id, priority_id,
                  resolution_id, environment, security_level, status_category_changed_at, original_estimate_seconds,
                  remaining_estimate_seconds, time_spent_seconds, component_ids, fix_version_ids, affects_version_ids, sprint_ids,
                  fields, votes, watchers
             FROM syncline.issue
            WHERE site_id = $1 AND id = ANY ($2)
              AND CASE WHEN $3::bytea[] IS NULL THEN deleted_at IS NULL
                       ELSE content_hash <> ($3::bytea[])[array_position($2, id)] END
            ORDER BY id"#,
        site_id,
        ids,
        other_than as Option<&[Vec<u8>]>
    )
    .fetch_all(executor)
    .await?;
    let stored = rows.into_iter().map(|row| StoredIssue {
        project_id: row.project_id,
        record: IssueRecord {
            id: row.id,
            key: row.key,
            project_id: 0,
            project_key: String::new(),
            summary: row.summary,
            description: row.description,
            issue_type: row.issue_type,
            status: row.status,
            status_category: row.status_category,
            priority: row.priority,
            resolution: row.resolution,
            assignee: row.assignee_account_id,
            reporter: row.reporter_account_id,
            creator: row.creator_account_id,
            parent_id: row.parent_id,
            parent_key: row.parent_key,
            labels: row.labels,
            story_points: row.story_points,
            created_at: row.created_at,
            updated_at: row.updated_at,
            resolved_at: row.resolved_at,
            due_date: row.due_date,
            details: IssueDetails {
                issue_type_id: row.issue_type_id,
                is_subtask: row.is_subtask,
                status_id: row.status_id,
                priority_id: row.priority_id,
                resolution_id: row.resolution_id,
                environment: row.environment,
                security_level: row.security_level,
                status_category_changed_at: row.status_category_changed_at,
                original_estimate_seconds: row.original_estimate_seconds,
                remaining_estimate_seconds: row.remaining_estimate_seconds,
                time_spent_seconds: row.time_spent_seconds,
                component_ids: row.component_ids,
                fix_version_ids: row.fix_version_ids,
                affects_version_ids: row.affects_version_ids,
                sprint_ids: row.sprint_ids,
                fields: match row.fields {
                    serde_json::Value::Object(fields) => fields,
                    _ => serde_json::Map::new(),
                },
                beside: serde_json::Map::new(),
                votes: row.votes,
                watchers: row.watchers,
            },
            content_hash: hash(&row.content_hash),
        },
    });
    Ok(stored.collect())
}

/// The issues of a project that were marked as gone last.
pub async fn marked_last(pool: &PgPool, project_id: Uuid, limit: i64) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT id FROM syncline.issue WHERE project_id = $1 AND deleted_at IS NOT NULL
            ORDER BY deleted_at DESC, id LIMIT $2"#,
        project_id,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// Those of `ids` that are marked as gone, with the reason.
pub async fn marked_gone(pool: &PgPool, site_id: Uuid, ids: &[i64]) -> Result<Vec<(i64, String)>> {
    let rows = sqlx::query!(
        r#"SELECT id, coalesce(deleted_reason, 'deleted') AS "reason!" FROM syncline.issue
            WHERE site_id = $1 AND id = ANY ($2) AND deleted_at IS NOT NULL"#,
        site_id,
        ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.reason)).collect())
}

/// The fields that the site has; none where it does not list them.
pub async fn field_ids<'e>(executor: impl PgExecutor<'e>, site_id: Uuid) -> Result<HashSet<String>> {
    let ids = sqlx::query_scalar!("SELECT id FROM syncline.field WHERE site_id = $1 AND deleted_at IS NULL", site_id)
        .fetch_all(executor)
        .await?;
    Ok(ids.into_iter().collect())
}

/// The comments of issues, in the order of their ids.
pub async fn comments(pool: &PgPool, site_id: Uuid, issue_ids: &[i64]) -> Result<Vec<CommentRecord>> {
    let rows = sqlx::query!(
        r#"SELECT id, issue_id, author_account_id, update_author_account_id, body, created_at, updated_at, content_hash,
                  restriction_type, restricted_to, is_internal
             FROM syncline.comment WHERE site_id = $1 AND issue_id = ANY ($2) ORDER BY id"#,
        site_id,
        issue_ids
    )
    .fetch_all(pool)
    .await?;
    let stored = rows.into_iter().map(|row| CommentRecord {
        id: row.id,
        issue_id: row.issue_id,
        author: row.author_account_id,
        update_author: row.update_author_account_id,
        body: row.body,
        created_at: row.created_at,
        updated_at: row.updated_at,
        restriction: restriction(row.restriction_type, row.restricted_to),
        internal: row.is_internal,
        content_hash: hash(&row.content_hash),
    });
    Ok(stored.collect())
}

/// The worklogs of issues, in the order of their ids.
pub async fn worklogs(pool: &PgPool, site_id: Uuid, issue_ids: &[i64]) -> Result<Vec<WorklogRecord>> {
    let rows = sqlx::query!(
        r#"SELECT id, issue_id, author_account_id, update_author_account_id, comment, started_at, time_spent_seconds,
                  created_at, updated_at, content_hash, restriction_type, restricted_to
             FROM syncline.worklog WHERE site_id = $1 AND issue_id = ANY ($2) ORDER BY id"#,
        site_id,
        issue_ids
    )
    .fetch_all(pool)
    .await?;
    let stored = rows.into_iter().map(|row| WorklogRecord {
        id: row.id,
        issue_id: row.issue_id,
        author: row.author_account_id,
        update_author: row.update_author_account_id,
        comment: row.comment,
        started_at: row.started_at,
        time_spent_seconds: row.time_spent_seconds,
        created_at: row.created_at,
        updated_at: row.updated_at,
        restriction: restriction(row.restriction_type, row.restricted_to),
        content_hash: hash(&row.content_hash),
    });
    Ok(stored.collect())
}

fn restriction(kind: Option<String>, name: Option<String>) -> Option<Restriction> {
    kind.map(|kind| Restriction { kind, name: name.unwrap_or_default() })
}

/// A hash of another length is none that was ever made, and equals none.
fn hash(stored: &[u8]) -> ContentHash {
    stored.try_into().unwrap_or_default()
}

/// Notes issues that were met in Jira; answers those that had not been met before. What a verification that was cut off has
/// left for a day goes.
pub async fn saw(pool: &PgPool, verification: Uuid, ids: &[i64], now: DateTime<Utc>) -> Result<HashSet<i64>> {
    let old = oldest_id(now - chrono::TimeDelta::days(1));
    let new = sqlx::query_scalar!(
        r#"WITH old AS (DELETE FROM syncline.verify_seen WHERE verification < $3)
           INSERT INTO syncline.verify_seen (verification, issue_id) SELECT $1, unnest($2::int8[]) ON CONFLICT DO NOTHING
           RETURNING issue_id"#,
        verification,
        ids,
        old
    )
    .fetch_all(pool)
    .await?;
    Ok(new.into_iter().collect())
}

/// The least UUIDv7 of an instant.
fn oldest_id(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(u64::try_from(at.timestamp_millis()).unwrap_or(0)) << 80)
}

/// The issues of the project that were not met in Jira: the first `limit` of them with ids above `after`.
pub async fn unseen(pool: &PgPool, verification: Uuid, project_id: Uuid, after: i64, limit: i64) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT i.id FROM syncline.issue i
            WHERE i.project_id = $2 AND i.deleted_at IS NULL AND i.id > $3
              AND NOT EXISTS (SELECT 1 FROM syncline.verify_seen v WHERE v.verification = $1 AND v.issue_id = i.id)
            ORDER BY i.id LIMIT $4"#,
        verification,
        project_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// Forgets what was met.
pub async fn forget(pool: &PgPool, verification: Uuid) -> Result<()> {
    sqlx::query!("DELETE FROM syncline.verify_seen WHERE verification = $1", verification).execute(pool).await?;
    Ok(())
}

/// Whether the project of this key on Jira is synchronised too.
pub async fn is_tracked(pool: &PgPool, site_id: Uuid, jira_id: i64, key: &str) -> Result<bool> {
    let tracked = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM syncline.project
                           WHERE site_id = $1 AND state = 'active' AND (jira_id = $2 OR jira_id IS NULL AND key = $3)) AS "it!""#,
        site_id,
        jira_id,
        key
    )
    .fetch_one(pool)
    .await?;
    Ok(tracked)
}

/// Asks for a run that reads issues of a project again by id; answers the run that will do it. When another run of the
/// project is active, it is kept and runs next.
///
/// # Errors
/// A refusal that says what to do, when the project is paused or removed.
pub async fn request_repair(pool: &PgPool, project_id: Uuid, ids: &[i64], requested_by: &str) -> Result<Uuid> {
    let run =
        sqlx::query_scalar!(r#"SELECT syncline.request_repair($1, $2, $3) AS "run!""#, project_id, ids, requested_by)
            .fetch_one(pool)
            .await?;
    Ok(run)
}
