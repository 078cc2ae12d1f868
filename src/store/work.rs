//! What a step needs to know of its run: the project, the site, and how far everything is applied.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::window::Window;
use crate::store::Result;

/// A run with its project and site, as its steps need them.
#[derive(Clone)]
pub struct Work {
    /// The run.
    pub run_id: Uuid,
    /// `incremental` or `full`.
    pub kind: String,
    /// What asked for it; `repair` looks at single issues only.
    pub trigger: String,
    /// The plan is written: what is known of the site and the project is fresh.
    pub planned: bool,
    /// The project.
    pub project_id: Uuid,
    /// Its key when it was last seen.
    pub project_key: String,
    /// Jira's id of the project, once it is known.
    pub jira_project_id: Option<i64>,
    /// The site.
    pub site_id: Uuid,
    /// Its name here.
    pub site_name: String,
    /// Its URL.
    pub base_url: String,
    /// The account.
    pub account_email: String,
    /// A reference to the credential, or the encrypted credential; never plain.
    pub credential: String,
    /// How many requests may be under way at once.
    pub max_concurrency: i32,
    /// Collections of issues that are as they were are fetched from here on; known once the run is planned.
    pub collections_from: Option<DateTime<Utc>>,
    /// The custom fields of the site, as far as they are known: `{"story_points": "customfield_10016"}`.
    pub field_map: Option<serde_json::Value>,
}

/// Loads it; `None` when the run no longer exists.
pub async fn load(pool: &PgPool, run_id: Uuid) -> Result<Option<Work>> {
    let work = sqlx::query_as!(
        Work,
        r#"SELECT r.id AS run_id, r.kind, r.trigger, r.started_at IS NOT NULL AS "planned!", p.id AS project_id, p.key AS project_key, p.jira_id AS jira_project_id,
                  s.id AS site_id, s.name AS site_name, s.base_url, s.account_email, s.credential, s.max_concurrency, r.collections_from, s.field_map
             FROM syncline.sync_run r
             JOIN syncline.project p ON p.id = r.project_id
             JOIN syncline.site s ON s.id = p.site_id
            WHERE r.id = $1"#,
        run_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(work)
}

/// The entities that have a cursor, in the order used everywhere.
pub const ENTITIES: [&str; 4] = ["issue", "comment", "worklog", "changelog"];

/// How far a project has been applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// For each of [`ENTITIES`].
    pub cursors: [Option<DateTime<Utc>>; 4],
    /// The last run succeeded: nothing that it began is unfinished.
    pub settled: bool,
}

impl Progress {
    /// Collections of an issue that is as it was need to be fetched only if it was updated at or after this instant: a run
    /// that did not end well may have written the issue and not its collections.
    pub fn collections_from(&self) -> DateTime<Utc> {
        let oldest = self.cursors.iter().copied().min().flatten().unwrap_or(DateTime::UNIX_EPOCH);
        let same = self.cursors.iter().all(|cursor| *cursor == self.cursors[0]);
        if self.settled && same && self.cursors[0].is_some() {
            oldest + chrono::TimeDelta::milliseconds(1)
        } else {
            oldest
        }
    }
}

/// How far each of [`ENTITIES`] has been applied.
pub async fn progress(pool: &PgPool, project_id: Uuid) -> Result<Progress> {
    let rows =
        sqlx::query!("SELECT entity, cursor_at, status FROM syncline.sync_state WHERE project_id = $1", project_id)
            .fetch_all(pool)
            .await?;
    let row = |entity: &str| rows.iter().find(|row| row.entity == entity);
    Ok(Progress {
        cursors: ENTITIES.map(|entity| row(entity).and_then(|row| row.cursor_at)),
        settled: ENTITIES.iter().all(|entity| row(entity).is_some_and(|row| row.status == "succeeded")),
    })
}

/// The issues that a run is to read again by id.
pub async fn repair_ids(pool: &PgPool, run_id: Uuid) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!("SELECT repair_ids FROM syncline.sync_run WHERE id = $1", run_id)
        .fetch_optional(pool)
        .await?;
    Ok(ids.unwrap_or_default())
}

/// What was planned for a run.
pub struct Plan<'a> {
    /// The whole of it.
    pub window: Window,
    /// How many issues to expect.
    pub estimated_issues: Option<i64>,
    /// Ranges that are walked side by side, with their estimates.
    pub partitions: &'a [(Window, Option<i64>)],
    /// See [`Progress::collections_from`].
    pub collections_from: DateTime<Utc>,
    /// What Jira says of the project.
    pub jira_project_id: i64,
    /// Its key now.
    pub project_key: &'a str,
    /// Its name.
    pub project_name: &'a str,
    /// The site's custom fields.
    pub field_map: &'a serde_json::Value,
}

/// Writes the plan: the run has started.
pub async fn write_plan(conn: &mut PgConnection, work: &Work, plan: &Plan<'_>) -> Result<()> {
    let numbers: Vec<i32> = (0..).take(plan.partitions.len()).collect();
    let froms: Vec<Option<DateTime<Utc>>> = plan.partitions.iter().map(|(window, _)| window.from).collect();
    let tos: Vec<Option<DateTime<Utc>>> = plan.partitions.iter().map(|(window, _)| window.to).collect();
    let estimates: Vec<Option<i64>> = plan.partitions.iter().map(|(_, estimate)| *estimate).collect();
    sqlx::query!(
        r#"
        WITH run AS (
            UPDATE syncline.sync_run
               SET started_at = coalesce(started_at, clock_timestamp()), window_from = $2, window_to = $3, estimated_issues = $4,
                   collections_from = $14
             WHERE id = $1
        ), site AS (
            UPDATE syncline.site SET field_map = $12 WHERE id = $11 AND field_map IS DISTINCT FROM $12
        ), project AS (
            UPDATE syncline.project SET jira_id = $9, name = $10, updated_at = clock_timestamp()
             WHERE id = $8 AND (jira_id IS DISTINCT FROM $9 OR name <> $10)
        ), state AS (
            INSERT INTO syncline.sync_state (project_id, entity, status, last_run_id)
            SELECT $8, e, 'running', $1 FROM unnest(ARRAY['issue', 'comment', 'worklog', 'changelog']) AS e
            ON CONFLICT (project_id, entity) DO UPDATE SET status = 'running', last_run_id = $1
        )
        INSERT INTO syncline.sync_partition (run_id, number, window_from, window_to, estimated_issues)
        SELECT $1, n.number, n.window_from, n.window_to, n.estimated
          FROM unnest($5::int[], $6::timestamptz[], $7::timestamptz[], $13::int8[]) AS n (number, window_from, window_to, estimated)
        "#,
        work.run_id,
        plan.window.from,
        plan.window.to,
        plan.estimated_issues,
        &numbers,
        &froms as &[Option<DateTime<Utc>>],
        &tos as &[Option<DateTime<Utc>>],
        work.project_id,
        plan.jira_project_id,
        plan.project_name,
        work.site_id,
        plan.field_map,
        &estimates as &[Option<i64>],
        plan.collections_from,
    )
    .execute(conn)
    .await?;
    Ok(())
}
