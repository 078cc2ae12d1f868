//! What belongs to issues, as a verification reads it: history, links, attachments; and the outcome that it leaves.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::entity::{AttachmentRecord, ChangeRecord, LinkDirection, LinkRecord};
use crate::store::Result;

/// The history of issues, in the order of entries.
pub async fn changes(pool: &PgPool, site_id: Uuid, issue_ids: &[i64]) -> Result<Vec<ChangeRecord>> {
    let rows = sqlx::query_as!(
        ChangeRecord,
        r#"SELECT id, item, issue_id, author_account_id AS author, created_at, field, field_id, field_type, from_value, from_text,
                  to_value, to_text
             FROM syncline.changelog WHERE site_id = $1 AND issue_id = ANY ($2) ORDER BY id, item"#,
        site_id,
        issue_ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// The links of issues, in the order of their ids.
pub async fn links(pool: &PgPool, site_id: Uuid, issue_ids: &[i64]) -> Result<Vec<LinkRecord>> {
    let rows = sqlx::query!(
        r#"SELECT id, issue_id, link_type, relation, direction, other_issue_id, other_key
             FROM syncline.issue_link WHERE site_id = $1 AND issue_id = ANY ($2) ORDER BY id, issue_id"#,
        site_id,
        issue_ids
    )
    .fetch_all(pool)
    .await?;
    let links = rows.into_iter().map(|row| LinkRecord {
        id: row.id,
        issue_id: row.issue_id,
        link_type: row.link_type,
        relation: row.relation,
        direction: if row.direction == "inward" { LinkDirection::Inward } else { LinkDirection::Outward },
        other_issue_id: row.other_issue_id,
        other_key: row.other_key,
    });
    Ok(links.collect())
}

/// The attachments of issues, in the order of their ids.
pub async fn attachments(pool: &PgPool, site_id: Uuid, issue_ids: &[i64]) -> Result<Vec<AttachmentRecord>> {
    let rows = sqlx::query_as!(
        AttachmentRecord,
        r#"SELECT id, issue_id, file_name, author_account_id AS author, created_at, size_bytes, mime_type
             FROM syncline.attachment WHERE site_id = $1 AND issue_id = ANY ($2) ORDER BY id"#,
        site_id,
        issue_ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// What belongs to one issue by an id of its own that is unique in the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Comment,
    Worklog,
    Attachment,
}

/// On which issues records are stored: id and issue.
pub async fn owners(pool: &PgPool, site_id: Uuid, kind: Kind, ids: &[i64]) -> Result<Vec<(i64, i64)>> {
    let kind = match kind {
        Kind::Comment => "comment",
        Kind::Worklog => "worklog",
        Kind::Attachment => "attachment",
    };
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", issue_id AS "issue_id!" FROM syncline.comment WHERE $3 = 'comment' AND site_id = $1 AND id = ANY ($2)
           UNION ALL
           SELECT id, issue_id FROM syncline.worklog WHERE $3 = 'worklog' AND site_id = $1 AND id = ANY ($2)
           UNION ALL
           SELECT id, issue_id FROM syncline.attachment WHERE $3 = 'attachment' AND site_id = $1 AND id = ANY ($2)"#,
        site_id,
        ids,
        kind
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.issue_id)).collect())
}

/// Up to `count` issues of the project, as chance has it: `seed` is the chance.
pub async fn sample(pool: &PgPool, project_id: Uuid, count: i64, seed: &str) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT id FROM syncline.issue WHERE project_id = $1 AND deleted_at IS NULL ORDER BY md5(id::text || $2) LIMIT $3"#,
        project_id,
        seed,
        count
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// Makes the project's lists due, and those of its site where `of_site` says so: the next run reads them.
pub async fn expire_catalogue(pool: &PgPool, project_id: Uuid, of_site: bool) -> Result<()> {
    sqlx::query!(
        r#"WITH site AS (
               UPDATE syncline.site SET catalogue_synced_at = NULL
                WHERE $2 AND id = (SELECT site_id FROM syncline.project WHERE id = $1))
           UPDATE syncline.project SET catalogue_synced_at = NULL WHERE id = $1"#,
        project_id,
        of_site
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Somebody as they are stored.
#[derive(Clone, Debug)]
pub struct StoredPerson {
    /// Atlassian's account id.
    pub account_id: String,
    /// The name shown.
    pub display_name: String,
    /// Where it was shown.
    pub email: Option<String>,
    /// Whether they may log in.
    pub active: bool,
}

/// Those of the accounts that the replica knows.
pub async fn people(pool: &PgPool, site_id: Uuid, account_ids: &[String]) -> Result<Vec<StoredPerson>> {
    let people = sqlx::query_as!(
        StoredPerson,
        r#"SELECT account_id, display_name, email, active FROM syncline.jira_user
            WHERE site_id = $1 AND account_id = ANY ($2)"#,
        site_id,
        account_ids
    )
    .fetch_all(pool)
    .await?;
    Ok(people)
}

/// Keeps the outcome of a verification: the last one of each project counts.
pub async fn record(
    pool: &PgPool,
    project_id: Uuid,
    finished_at: DateTime<Utc>,
    mode: &str,
    compared: i64,
    differences: i64,
    by_entity: &serde_json::Value,
) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO syncline.verification (project_id, finished_at, mode, compared, differences, by_entity)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (project_id) DO UPDATE
              SET finished_at = excluded.finished_at, mode = excluded.mode, compared = excluded.compared,
                  differences = excluded.differences, by_entity = excluded.by_entity"#,
        project_id,
        finished_at,
        mode,
        compared,
        differences,
        by_entity
    )
    .execute(pool)
    .await?;
    Ok(())
}
