//! Projects as operators see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{self, Who};
use crate::store::Result;

/// A project with its schedule and how far it has been synchronised.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Project {
    /// Its id here.
    pub id: Uuid,
    /// The name of its site.
    pub site: String,
    /// Its key.
    pub key: String,
    /// Its name in Jira; empty until it is known.
    pub name: String,
    /// Jira's id, once it is known.
    pub jira_id: Option<i64>,
    /// `active`, `paused` or `removed`.
    pub state: String,
    /// The cron expression; none once it was removed.
    pub cron: Option<String>,
    /// The time zone in which the expression is read.
    pub time_zone: Option<String>,
    /// When the next run starts by itself.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Slots that passed without a run of their own.
    pub missed_total: i64,
    /// How the last sync went: `never`, `running`, `succeeded`, `failed`, `cancelled`.
    pub status: String,
    /// Everything that Jira showed as updated before this is in the replica.
    pub cursor_at: Option<DateTime<Utc>>,
    /// When that was established.
    pub last_sync_time: Option<DateTime<Utc>>,
    /// When a run last succeeded.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When the issue that was changed last in Jira was changed, of those in the replica.
    pub newest_change_at: Option<DateTime<Utc>>,
    /// The run that is under way.
    pub active_run: Option<Uuid>,
}

/// Counts of the replica's rows of one project.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReplicaCounts {
    /// Issues that exist in Jira.
    pub issues: i64,
    /// Comments on issues.
    pub comments: i64,
    /// Worklogs of issues.
    pub worklogs: i64,
}

/// A project to be added, with its schedule.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Made by the caller.
    pub id: Uuid,
    /// Its key.
    pub key: String,
    /// Jira's id, if Jira was asked.
    pub jira_id: Option<i64>,
    /// Its name, if Jira was asked.
    pub name: String,
    /// When its next slot is.
    pub next_slot_at: DateTime<Utc>,
    /// When it starts in that slot.
    pub next_run_at: DateTime<Utc>,
}

/// Which projects to list; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct ProjectFilter {
    /// Of this site.
    pub site: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// Removed ones too.
    pub removed: bool,
}

/// Projects in the order of site and key.
pub async fn list(pool: &PgPool, filter: &ProjectFilter) -> Result<Vec<Project>> {
    let projects = sqlx::query_as!(
        Project,
        r#"SELECT p.id, s.name AS site, p.key, p.name, p.jira_id, p.state,
                  c.cron AS "cron?", c.time_zone AS "time_zone?",
                  CASE WHEN c.state = 'active' THEN c.next_run_at END AS next_run_at,
                  coalesce(c.missed_total, 0) AS "missed_total!",
                  -- The worst entity speaks for the project; its cursor is the one that is furthest behind.
                  coalesce(e.status, 'never') AS "status!", e.cursor_at, e.last_sync_time,
                  -- Telemetry reads the ends of runs a little later than they are; the newest run says it at once.
                  greatest(h.last_success_at, (SELECT r.finished_at FROM syncline.sync_run r
                    WHERE r.project_id = p.id AND r.state = 'succeeded' ORDER BY r.created_at DESC LIMIT 1)) AS last_success_at,
                  (SELECT max(i.updated_at) FROM syncline.issue i WHERE i.project_id = p.id) AS newest_change_at,
                  (SELECT r.id FROM syncline.sync_run r WHERE r.project_id = p.id AND r.state = 'running') AS active_run
             FROM syncline.project p
             JOIN syncline.site s ON s.id = p.site_id
             LEFT JOIN syncline.schedule c ON c.project_id = p.id
             LEFT JOIN syncline.project_health h ON h.project_id = p.id
             LEFT JOIN LATERAL (
                  SELECT (array_agg(t.status ORDER BY array_position(
                             ARRAY['failed', 'running', 'cancelled', 'never', 'succeeded'], t.status)))[1] AS status,
                         -- Nothing is fresh until a time that has not come; the next run puts such a cursor back.
                         CASE WHEN bool_and(t.cursor_at IS NOT NULL) THEN least(min(t.cursor_at), clock_timestamp()) END AS cursor_at,
                         min(t.last_sync_time) AS last_sync_time
                    FROM syncline.sync_state t WHERE t.project_id = p.id) e ON true
            WHERE ($1::text IS NULL OR s.name = $1) AND ($2::text IS NULL OR p.key = $2)
              AND ($3 OR p.state <> 'removed')
            ORDER BY s.name, p.key"#,
        filter.site,
        filter.key,
        filter.removed
    )
    .fetch_all(pool)
    .await?;
    Ok(projects)
}

/// How far one kind of record of a project has been read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SyncState {
    /// The project.
    pub project_id: Uuid,
    /// `issue`, `comment`, `worklog` or `changelog`.
    pub entity: String,
    /// Everything that Jira showed as updated before this is in the replica.
    pub cursor_at: Option<DateTime<Utc>>,
    /// When that was established.
    pub last_sync_time: Option<DateTime<Utc>>,
    /// How the last sync went: `never`, `running`, `succeeded`, `failed`, `cancelled`.
    pub status: String,
    /// From when on the next run reads again what it could not read.
    pub owed_from: Option<DateTime<Utc>>,
}

/// How far projects have been read, by entity.
pub async fn states(pool: &PgPool, projects: &[Uuid]) -> Result<Vec<SyncState>> {
    let states = sqlx::query_as!(
        SyncState,
        "SELECT project_id, entity, cursor_at, last_sync_time, status, owed_from FROM syncline.sync_state
          WHERE project_id = ANY ($1)
          ORDER BY project_id, array_position(ARRAY['issue', 'comment', 'worklog', 'changelog'], entity)",
        projects
    )
    .fetch_all(pool)
    .await?;
    Ok(states)
}

/// The last verification of each project: when it ended, what it compared, what differed.
pub async fn verifications(pool: &PgPool, projects: &[Uuid]) -> Result<Vec<(Uuid, serde_json::Value)>> {
    let rows = sqlx::query!(
        r#"SELECT project_id, jsonb_build_object('finishedAt', finished_at, 'mode', mode, 'compared', compared,
                  'differences', differences, 'byEntity', by_entity) AS "verification!"
             FROM syncline.verification WHERE project_id = ANY ($1)"#,
        projects
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.project_id, row.verification)).collect())
}

/// How much of a project the replica holds.
pub async fn count_replica(pool: &PgPool, project_id: Uuid) -> Result<ReplicaCounts> {
    let counts = sqlx::query_as!(
        ReplicaCounts,
        r#"WITH mine AS (
               SELECT site_id, id FROM syncline.issue WHERE project_id = $1 AND deleted_at IS NULL
           )
           SELECT (SELECT count(*) FROM mine) AS "issues!",
                  (SELECT count(*) FROM syncline.comment c JOIN mine ON mine.site_id = c.site_id AND mine.id = c.issue_id) AS "comments!",
                  (SELECT count(*) FROM syncline.worklog w JOIN mine ON mine.site_id = w.site_id AND mine.id = w.issue_id) AS "worklogs!""#,
        project_id
    )
    .fetch_one(pool)
    .await?;
    Ok(counts)
}

/// A project that was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// Its key.
    pub key: String,
    /// Its first run, where one was asked for.
    pub run_id: Option<Uuid>,
}

/// Adds projects with their schedules, in one transaction; one that was removed comes back. With `first_sync` their first
/// runs are requested in it too, whatever their schedules say. Answers those that were added: the others exist already.
pub async fn add(
    pool: &PgPool,
    site_id: Uuid,
    projects: &[NewProject],
    (cron, time_zone): (&str, &str),
    first_sync: bool,
    who: &Who<'_>,
) -> Result<Vec<Added>> {
    let mut transaction = pool.begin().await?;
    audit::speak_for(&mut transaction, who).await?;
    let actor = who.name;
    let ids: Vec<Uuid> = projects.iter().map(|project| project.id).collect();
    let keys: Vec<String> = projects.iter().map(|project| project.key.clone()).collect();
    let jira_ids: Vec<Option<i64>> = projects.iter().map(|project| project.jira_id).collect();
    let names: Vec<String> = projects.iter().map(|project| project.name.clone()).collect();
    let slots: Vec<DateTime<Utc>> = projects.iter().map(|project| project.next_slot_at).collect();
    let starts: Vec<DateTime<Utc>> = projects.iter().map(|project| project.next_run_at).collect();
    let added = sqlx::query_scalar!(
        r#"INSERT INTO syncline.project AS p (id, site_id, key, jira_id, name)
           SELECT n.id, $1, n.key, n.jira_id, n.name
             FROM unnest($2::uuid[], $3::text[], $4::int8[], $5::text[]) AS n (id, key, jira_id, name)
           ON CONFLICT (site_id, key) DO UPDATE
              SET state = 'active', jira_id = coalesce(excluded.jira_id, p.jira_id),
                  name = coalesce(nullif(excluded.name, ''), p.name), updated_at = clock_timestamp()
            WHERE p.state = 'removed'
           RETURNING key"#,
        site_id,
        &ids,
        &keys,
        &jira_ids as &[Option<i64>],
        &names
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!(
        r#"INSERT INTO syncline.schedule AS c (project_id, cron, time_zone, next_slot_at, next_run_at)
           SELECT p.id, $3, $4, n.slot, n.start
             FROM unnest($2::text[], $5::timestamptz[], $6::timestamptz[]) AS n (key, slot, start)
             JOIN syncline.project p ON p.site_id = $1 AND p.key = n.key
            WHERE p.key = ANY($7::text[])
           ON CONFLICT (project_id) DO UPDATE
              SET cron = excluded.cron, time_zone = excluded.time_zone, state = 'active',
                  next_slot_at = excluded.next_slot_at, next_run_at = excluded.next_run_at, updated_at = clock_timestamp()"#,
        site_id,
        &keys,
        cron,
        time_zone,
        &slots,
        &starts,
        &added
    )
    .execute(&mut *transaction)
    .await?;
    let started = sqlx::query!(
        r#"SELECT p.key, CASE WHEN $3 THEN syncline.request_run(p.id, 'incremental', 'manual', $4) END AS run
             FROM syncline.project p WHERE p.site_id = $1 AND p.key = ANY($2) ORDER BY p.key"#,
        site_id,
        &added,
        first_sync,
        actor
    )
    .fetch_all(&mut *transaction)
    .await?;
    audit::record(&mut *transaction, actor, "project.add", &added).await?;
    super::schedule_admin::wake_scheduler(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(started.into_iter().map(|row| Added { key: row.key, run_id: row.run }).collect())
}

/// Stops synchronising a project and keeps what the replica holds: a run that is under way is cancelled.
pub async fn remove(pool: &PgPool, project_id: Uuid, subject: &str, who: &Who<'_>) -> Result<()> {
    let mut transaction = pool.begin().await?;
    audit::speak_for(&mut transaction, who).await?;
    sqlx::query!(
        "UPDATE syncline.project SET state = 'removed', updated_at = clock_timestamp() WHERE id = $1",
        project_id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM syncline.schedule WHERE project_id = $1", project_id).execute(&mut *transaction).await?;
    // The kept run first: the end of the active one would otherwise make it active.
    sqlx::query!(
        r#"SELECT syncline.cancel_run(r.id) AS state
             FROM (SELECT id FROM syncline.sync_run WHERE project_id = $1 AND state IN ('queued', 'running')
                    ORDER BY state) r"#,
        project_id
    )
    .fetch_all(&mut *transaction)
    .await?;
    audit::record(&mut *transaction, who.name, "project.remove", &[subject.to_owned()]).await?;
    transaction.commit().await?;
    Ok(())
}

/// Removes a project with everything that the replica holds of it, and its runs. A step that is being committed is
/// waited for; one that comes later finds its claim gone and commits nothing.
pub async fn purge(pool: &PgPool, project_id: Uuid, subject: &str, actor: &str) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("SELECT id FROM syncline.project WHERE id = $1 FOR UPDATE", project_id)
        .fetch_optional(&mut *transaction)
        .await?;
    sqlx::query!(
        r#"DELETE FROM syncline.sync_step t USING syncline.sync_run r WHERE r.project_id = $1 AND t.run_id = r.id"#,
        project_id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        r#"DELETE FROM syncline.comment c USING syncline.issue i
            WHERE i.project_id = $1 AND c.site_id = i.site_id AND c.issue_id = i.id"#,
        project_id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        r#"DELETE FROM syncline.worklog w USING syncline.issue i
            WHERE i.project_id = $1 AND w.site_id = i.site_id AND w.issue_id = i.id"#,
        project_id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        r#"WITH mine AS (SELECT site_id, id FROM syncline.issue WHERE project_id = $1),
                change AS (DELETE FROM syncline.changelog c USING mine WHERE c.site_id = mine.site_id AND c.issue_id = mine.id),
                link AS (DELETE FROM syncline.issue_link l USING mine WHERE l.site_id = mine.site_id AND l.issue_id = mine.id),
                setting AS (DELETE FROM syncline.setting WHERE scope = 'project' AND scope_id = $1)
           DELETE FROM syncline.attachment a USING mine WHERE a.site_id = mine.site_id AND a.issue_id = mine.id"#,
        project_id
    )
    .execute(&mut *transaction)
    .await?;
    let issues = sqlx::query!("DELETE FROM syncline.issue WHERE project_id = $1", project_id)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    sqlx::query!("DELETE FROM syncline.sync_log WHERE project_id = $1", project_id).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM syncline.project WHERE id = $1", project_id).execute(&mut *transaction).await?;
    audit::record(&mut *transaction, actor, "project.purge", &[subject.to_owned()]).await?;
    transaction.commit().await?;
    Ok(issues)
}
