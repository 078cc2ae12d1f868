//! The replica as the API reads it: issues with what hangs on them, many at once.
//!
//! What must hold: the number of statements does not depend on the number of rows; what Jira shows to some people only is left
//! out unless it is asked for; nothing is read without a bound.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// An issue, without its long texts.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the names are the columns'
pub struct Issue {
    pub site_id: Uuid,
    pub site: String,
    pub id: i64,
    pub project_id: Uuid,
    pub key: String,
    pub summary: String,
    pub issue_type: String,
    pub status: String,
    pub status_category: String,
    pub priority: Option<String>,
    pub assignee_account_id: Option<String>,
    pub reporter_account_id: Option<String>,
    pub labels: Vec<String>,
    pub story_points: Option<f64>,
    pub has_sprint: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Names an issue: its site and Jira's id.
pub type IssueId = (Uuid, i64);

/// Where a list of issues goes on: after the issue that was updated then, of this project, with this id.
pub type IssuePosition = (DateTime<Utc>, Uuid, i64);

/// Which issues; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct IssueFilter {
    /// Of these projects.
    pub projects: Vec<Uuid>,
    /// With one of these statuses, by name.
    pub statuses: Option<Vec<String>>,
    /// Assigned to one of these accounts.
    pub assignees: Option<Vec<String>>,
    /// Updated at this time or later.
    pub updated_since: Option<DateTime<Utc>>,
    /// With this text in key or summary, whatever the case.
    pub text: Option<String>,
    /// Those too that are gone from Jira.
    pub deleted: bool,
    /// Where the list goes on.
    pub after: Option<IssuePosition>,
    /// At most so many.
    pub limit: i64,
}

/// Issues, those first that were updated last. Each project is read along its own index, so that a page costs as many rows per
/// project at most.
pub async fn issues(pool: &PgPool, filter: &IssueFilter) -> Result<Vec<Issue>> {
    let issues = sqlx::query_as!(
        Issue,
        r#"SELECT i.site_id, s.name AS site, i.id, i.project_id, i.key, i.summary, i.issue_type, i.status, i.status_category,
                  i.priority, i.assignee_account_id, i.reporter_account_id, i.labels, i.story_points,
                  i.sprint_ids <> '{}' AS "has_sprint!", i.created_at, i.updated_at, i.resolved_at, i.deleted_at
             FROM unnest($1::uuid[]) AS p (id)
            CROSS JOIN LATERAL (
                  SELECT * FROM syncline.issue i
                   WHERE i.project_id = p.id AND ($2 OR i.deleted_at IS NULL)
                     AND ($3::text[] IS NULL OR i.status = ANY ($3)) AND ($4::text[] IS NULL OR i.assignee_account_id = ANY ($4))
                     AND ($5::timestamptz IS NULL OR i.updated_at >= $5)
                     AND ($6::text IS NULL OR position(lower($6) IN lower(i.key || ' ' || i.summary)) > 0)
                     AND ($7::timestamptz IS NULL OR i.updated_at <= $7 AND (i.updated_at, i.project_id, i.id) < ($7, $8::uuid, $9::int8))
                   ORDER BY i.updated_at DESC, i.id DESC LIMIT $10) i
             JOIN syncline.site s ON s.id = i.site_id
            ORDER BY i.updated_at DESC, i.project_id DESC, i.id DESC LIMIT $10"#,
        &filter.projects,
        filter.deleted,
        filter.statuses.as_deref(),
        filter.assignees.as_deref(),
        filter.updated_since,
        filter.text,
        filter.after.map(|(at, _, _)| at),
        filter.after.map(|(_, project, _)| project),
        filter.after.map(|(_, _, id)| id),
        filter.limit
    )
    .fetch_all(pool)
    .await?;
    Ok(issues)
}

/// How many issues match, counted up to one more than `most`.
pub async fn count(pool: &PgPool, filter: &IssueFilter, most: i64) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT 1 FROM syncline.issue i
                WHERE i.project_id = ANY ($1) AND ($2 OR i.deleted_at IS NULL)
                  AND ($3::text[] IS NULL OR i.status = ANY ($3)) AND ($4::text[] IS NULL OR i.assignee_account_id = ANY ($4))
                  AND ($5::timestamptz IS NULL OR i.updated_at >= $5)
                  AND ($6::text IS NULL OR position(lower($6) IN lower(i.key || ' ' || i.summary)) > 0)
                LIMIT $7::int8 + 1) matching"#,
        &filter.projects,
        filter.deleted,
        filter.statuses.as_deref(),
        filter.assignees.as_deref(),
        filter.updated_since,
        filter.text,
        most
    )
    .fetch_one(pool)
    .await?;
    Ok(count)
}

/// The issues with this key, or with this id, of one site or of all: as many as there are sites, at most 100.
pub async fn find(pool: &PgPool, site: Option<&str>, id: Option<i64>, key: Option<&str>) -> Result<Vec<Issue>> {
    let issues = sqlx::query_as!(
        Issue,
        r#"SELECT i.site_id, s.name AS site, i.id, i.project_id, i.key, i.summary, i.issue_type, i.status, i.status_category,
                  i.priority, i.assignee_account_id, i.reporter_account_id, i.labels, i.story_points,
                  i.sprint_ids <> '{}' AS "has_sprint!", i.created_at, i.updated_at, i.resolved_at, i.deleted_at
             FROM syncline.site s
             JOIN syncline.issue i ON i.site_id = s.id
            WHERE ($1::text IS NULL OR s.name = $1) AND ($2::int8 IS NULL OR i.id = $2) AND ($3::text IS NULL OR i.key = $3)
              AND ($2 IS NOT NULL OR $3 IS NOT NULL)
            ORDER BY i.deleted_at IS NOT NULL, s.name LIMIT 100"#,
        site,
        id,
        key
    )
    .fetch_all(pool)
    .await?;
    Ok(issues)
}

/// The long texts of an issue.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Body {
    pub site_id: Uuid,
    pub issue_id: i64,
    pub description: Option<String>,
    pub fields: Value,
}

fn split(ids: &[IssueId]) -> (Vec<Uuid>, Vec<i64>) {
    ids.iter().copied().unzip()
}

/// The long texts of issues.
pub async fn bodies(pool: &PgPool, ids: &[IssueId]) -> Result<Vec<Body>> {
    let (sites, issues) = split(ids);
    let bodies = sqlx::query_as!(
        Body,
        r#"SELECT i.site_id, i.id AS issue_id, i.description, i.fields
             FROM unnest($1::uuid[], $2::int8[]) AS w (site_id, id)
             JOIN syncline.issue i ON i.site_id = w.site_id AND i.id = w.id"#,
        &sites,
        &issues
    )
    .fetch_all(pool)
    .await?;
    Ok(bodies)
}

/// A comment.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Comment {
    pub site_id: Uuid,
    pub issue_id: i64,
    pub id: i64,
    pub author_account_id: Option<String>,
    pub body: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub restricted_to: Option<String>,
    pub is_internal: bool,
}

/// What is read of things that hang on issues.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Also what Jira shows to some people only.
    pub restricted: bool,
    /// After the one with this time and id.
    pub after: Option<(DateTime<Utc>, i64)>,
    /// At most so many of each issue.
    pub each: i64,
    /// At most so many in all.
    pub most: i64,
}

/// Comments of issues, the oldest first.
pub async fn comments(pool: &PgPool, ids: &[IssueId], part: Part) -> Result<Vec<Comment>> {
    let (sites, issues) = split(ids);
    let comments = sqlx::query_as!(
        Comment,
        r#"SELECT c.site_id, c.issue_id, c.id, c.author_account_id, c.body, c.created_at, c.updated_at,
                  coalesce(c.restricted_to, c.restriction_type) AS restricted_to, c.is_internal
             FROM unnest($1::uuid[], $2::int8[]) AS w (site_id, issue_id)
            CROSS JOIN LATERAL (
                  SELECT * FROM syncline.comment c
                   WHERE c.site_id = w.site_id AND c.issue_id = w.issue_id
                     AND ($3 OR c.restricted_to IS NULL AND c.restriction_type IS NULL AND NOT c.is_internal)
                     AND ($4::timestamptz IS NULL OR (c.created_at, c.id) > ($4, $5::int8))
                   ORDER BY c.created_at, c.id LIMIT $6) c
            LIMIT $7"#,
        &sites,
        &issues,
        part.restricted,
        part.after.map(|(at, _)| at),
        part.after.map(|(_, id)| id),
        part.each,
        part.most
    )
    .fetch_all(pool)
    .await?;
    Ok(comments)
}

/// A worklog.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Worklog {
    pub site_id: Uuid,
    pub issue_id: i64,
    pub id: i64,
    pub author_account_id: Option<String>,
    pub comment: Option<String>,
    pub time_spent_seconds: i32,
    pub started_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub restricted_to: Option<String>,
}

/// Worklogs of issues, the earliest work first.
pub async fn worklogs(pool: &PgPool, ids: &[IssueId], part: Part) -> Result<Vec<Worklog>> {
    let (sites, issues) = split(ids);
    let worklogs = sqlx::query_as!(
        Worklog,
        r#"SELECT c.site_id, c.issue_id, c.id, c.author_account_id, c.comment, c.time_spent_seconds, c.started_at, c.updated_at,
                  coalesce(c.restricted_to, c.restriction_type) AS restricted_to
             FROM unnest($1::uuid[], $2::int8[]) AS w (site_id, issue_id)
            CROSS JOIN LATERAL (
                  SELECT * FROM syncline.worklog c
                   WHERE c.site_id = w.site_id AND c.issue_id = w.issue_id
                     AND ($3 OR c.restricted_to IS NULL AND c.restriction_type IS NULL)
                     AND ($4::timestamptz IS NULL OR (c.started_at, c.id) > ($4, $5::int8))
                   ORDER BY c.started_at, c.id LIMIT $6) c
            LIMIT $7"#,
        &sites,
        &issues,
        part.restricted,
        part.after.map(|(at, _)| at),
        part.after.map(|(_, id)| id),
        part.each,
        part.most
    )
    .fetch_all(pool)
    .await?;
    Ok(worklogs)
}

/// A change of one field.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Change {
    pub site_id: Uuid,
    pub issue_id: i64,
    pub id: i64,
    pub item: i16,
    pub author_account_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub field: String,
    pub from_text: Option<String>,
    pub to_text: Option<String>,
}

/// Where a history goes on: after the change with this time, id and place within it.
pub type ChangePosition = (DateTime<Utc>, i64, i64);

/// The history of issues, the oldest change first.
pub async fn changes(
    pool: &PgPool,
    ids: &[IssueId],
    after: Option<ChangePosition>,
    each: i64,
    most: i64,
) -> Result<Vec<Change>> {
    let (sites, issues) = split(ids);
    let changes = sqlx::query_as!(
        Change,
        r#"SELECT c.site_id, c.issue_id, c.id, c.item, c.author_account_id, c.created_at, c.field,
                  coalesce(c.from_text, c.from_value) AS from_text, coalesce(c.to_text, c.to_value) AS to_text
             FROM unnest($1::uuid[], $2::int8[]) AS w (site_id, issue_id)
            CROSS JOIN LATERAL (
                  SELECT * FROM syncline.changelog c
                   WHERE c.site_id = w.site_id AND c.issue_id = w.issue_id
                     AND ($3::timestamptz IS NULL OR (c.created_at, c.id, c.item::int8) > ($3, $4::int8, $5::int8))
                   ORDER BY c.created_at, c.id, c.item LIMIT $6) c
            LIMIT $7"#,
        &sites,
        &issues,
        after.map(|(at, _, _)| at),
        after.map(|(_, id, _)| id),
        after.map(|(_, _, item)| item),
        each,
        most
    )
    .fetch_all(pool)
    .await?;
    Ok(changes)
}

/// A user of a site.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct User {
    pub site_id: Uuid,
    pub account_id: String,
    pub display_name: String,
    pub email: Option<String>,
    pub active: bool,
}

/// Users by site and account id.
pub async fn users(pool: &PgPool, keys: &[(Uuid, String)]) -> Result<Vec<User>> {
    let (sites, accounts): (Vec<Uuid>, Vec<String>) = keys.iter().cloned().unzip();
    let users = sqlx::query_as!(
        User,
        r#"SELECT u.site_id, u.account_id, u.display_name, u.email, u.active
             FROM unnest($1::uuid[], $2::text[]) AS w (site_id, account_id)
             JOIN syncline.jira_user u ON u.site_id = w.site_id AND u.account_id = w.account_id"#,
        &sites,
        &accounts
    )
    .fetch_all(pool)
    .await?;
    Ok(users)
}

/// The sprint of an issue.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Sprint {
    pub site_id: Uuid,
    pub issue_id: i64,
    pub id: i64,
    pub name: String,
    pub state: String,
    pub started_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
}

/// The sprint of each issue: the active one, else the next, else the last that was closed.
pub async fn sprints(pool: &PgPool, ids: &[IssueId]) -> Result<Vec<Sprint>> {
    let (sites, issues) = split(ids);
    let sprints = sqlx::query_as!(
        Sprint,
        r#"SELECT i.site_id, i.id AS issue_id, n.id, n.name, n.state, n.started_at, n.ends_at
             FROM unnest($1::uuid[], $2::int8[]) AS w (site_id, id)
             JOIN syncline.issue i ON i.site_id = w.site_id AND i.id = w.id
            CROSS JOIN LATERAL (
                  SELECT * FROM syncline.sprint n
                   WHERE n.site_id = i.site_id AND n.id = ANY (i.sprint_ids) AND n.deleted_at IS NULL
                   ORDER BY array_position(ARRAY['active', 'future', 'closed'], n.state), n.started_at DESC NULLS LAST, n.id DESC
                   LIMIT 1) n"#,
        &sites,
        &issues
    )
    .fetch_all(pool)
    .await?;
    Ok(sprints)
}
