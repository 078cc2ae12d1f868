//! Runs as operators see them, and what they ask of runs.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{self, Who};
use crate::store::Result;

/// A run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// The id of its project here.
    pub project_id: Uuid,
    /// SITE/KEY.
    pub project: String,
    /// `incremental` or `full`.
    pub kind: String,
    /// `schedule`, `manual`, `retry` or `repair`.
    pub trigger: String,
    /// `queued`, `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Who asked for it.
    pub requested_by: String,
    /// The slot that it serves.
    pub slot_at: Option<DateTime<Utc>>,
    /// The run that it repeats.
    pub retry_of: Option<Uuid>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its first step ran.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// It reads what was updated since; none for everything.
    pub window_from: Option<DateTime<Utc>>,
    /// It reads what was updated before.
    pub window_to: Option<DateTime<Utc>>,
    /// How many issues were expected.
    pub estimated_issues: Option<i64>,
    /// Pages written.
    pub pages: i64,
    /// Issues read.
    pub issues_seen: i64,
    /// Of those, new.
    pub issues_created: i64,
    /// Of those, changed.
    pub issues_updated: i64,
    /// Of those, as they were.
    pub issues_unchanged: i64,
    /// Issues that could not be read.
    pub issues_rejected: i64,
    /// Everything that could not be read, by entity: `{"issue": 1, "changelog": 993}`.
    pub rejected: serde_json::Value,
    /// Comments written.
    pub comments_written: i64,
    /// Comments that had disappeared.
    pub comments_removed: i64,
    /// Worklogs written.
    pub worklogs_written: i64,
    /// Worklogs that had disappeared.
    pub worklogs_removed: i64,
    /// Entries of history that are new.
    pub changes_written: i64,
    /// Whether it compares the ids of all issues too.
    pub reconcile: bool,
    /// Issues that it marked as gone from Jira.
    pub issues_deleted: i64,
    /// Requests to Jira that its steps sent.
    pub requests: i64,
    /// Steps done.
    pub steps: i32,
    /// Steps that were tried again.
    pub retries: i32,
    /// Steps that were taken over from a dead worker.
    pub rescues: i32,
    /// The trace that its steps' spans and log lines belong to.
    pub trace_id: Option<String>,
    /// The canonical code of its failure.
    pub error_code: Option<String>,
    /// What happened.
    pub error_message: Option<String>,
    /// Who must do what.
    pub error_advice: Option<String>,
    /// What Jira left out, and where its answers contradict each other.
    pub noted: Option<String>,
}

/// Which runs to list; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// These.
    pub ids: Option<Vec<Uuid>>,
    /// Of these projects.
    pub projects: Option<Vec<Uuid>>,
    /// In one of these states.
    pub states: Option<Vec<String>>,
    /// Of this kind: `incremental` or `full`.
    pub kind: Option<String>,
    /// Started by one of these: `schedule`, `manual`, `retry`, `repair`.
    pub triggers: Option<Vec<String>>,
    /// Asked for by this person.
    pub requested_by: Option<String>,
    /// That failed with one of these codes.
    pub error_codes: Option<Vec<String>>,
    /// Asked for at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Asked for before this time.
    pub to: Option<DateTime<Utc>>,
    /// Older than the run with this time and id.
    pub after: Option<(DateTime<Utc>, Uuid)>,
    /// So many are passed over.
    pub offset: i64,
    /// At most so many.
    pub limit: i64,
}

/// How many runs match, counted up to one more than `most`.
pub async fn count(pool: &PgPool, filter: &RunFilter, most: i64) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT 1 FROM syncline.sync_run r
                WHERE ($1::uuid[] IS NULL OR r.project_id = ANY ($1)) AND ($2::text[] IS NULL OR r.state = ANY ($2))
                  AND ($3::text IS NULL OR r.kind = $3) AND ($4::text[] IS NULL OR r.trigger = ANY ($4))
                  AND ($5::text IS NULL OR r.requested_by = $5) AND ($6::text[] IS NULL OR r.error_code = ANY ($6))
                  AND ($7::timestamptz IS NULL OR r.created_at >= $7) AND ($8::timestamptz IS NULL OR r.created_at < $8)
                LIMIT $9::int8 + 1) matching"#,
        filter.projects.as_deref(),
        filter.states.as_deref(),
        filter.kind,
        filter.triggers.as_deref(),
        filter.requested_by,
        filter.error_codes.as_deref(),
        filter.from,
        filter.to,
        most
    )
    .fetch_one(pool)
    .await?;
    Ok(count)
}

/// Runs, newest first.
pub async fn list(pool: &PgPool, filter: &RunFilter) -> Result<Vec<Run>> {
    let runs = sqlx::query_as!(
        Run,
        r#"SELECT r.id, r.project_id, s.name || '/' || p.key AS "project!", r.kind, r.trigger,
                  CASE WHEN r.state = 'running' AND r.cancel_requested_at IS NOT NULL THEN 'cancelling' ELSE r.state END AS "state!",
                  r.requested_by, r.slot_at, r.retry_of, r.created_at, r.started_at, r.finished_at,
                  r.window_from, r.window_to, r.estimated_issues,
                  -- While a run goes on, its ranges count; at its end the totals are kept on the run.
                  greatest(r.pages, t.pages) AS "pages!", greatest(r.issues_seen, t.issues_seen) AS "issues_seen!",
                  greatest(r.issues_created, t.issues_created) AS "issues_created!",
                  greatest(r.issues_updated, t.issues_updated) AS "issues_updated!",
                  greatest(r.issues_unchanged, t.issues_unchanged) AS "issues_unchanged!",
                  greatest(r.issues_rejected, (j.rejected ->> 'issue')::int8, 0) AS "issues_rejected!",
                  r.rejected || coalesce(j.rejected, '{}') AS "rejected!",
                  greatest(r.comments_written, t.comments_written) AS "comments_written!",
                  greatest(r.comments_removed, t.comments_removed) AS "comments_removed!",
                  greatest(r.worklogs_written, t.worklogs_written) AS "worklogs_written!",
                  greatest(r.worklogs_removed, t.worklogs_removed) AS "worklogs_removed!",
                  r.changes_written, r.reconcile, r.issues_deleted, r.requests,
                  r.steps, r.retries, r.rescues, split_part(r.trace_context, '-', 2) AS trace_id, r.error_code, r.error_message, r.error_advice,
                  (SELECT string_agg(DISTINCT l.message, '; ') FROM syncline.sync_log l
                    WHERE l.run_id = r.id AND l.event IN ('lists_left_out', 'values_left_out', 'ways_contradict')) AS noted
             FROM (SELECT * FROM syncline.sync_run r
                    WHERE ($1::uuid[] IS NULL OR r.id = ANY ($1)) AND ($2::uuid[] IS NULL OR r.project_id = ANY ($2))
                      AND ($3::text[] IS NULL OR r.state = ANY ($3))
                      AND ($5::text IS NULL OR r.kind = $5) AND ($6::text[] IS NULL OR r.trigger = ANY ($6))
                      AND ($7::text IS NULL OR r.requested_by = $7) AND ($8::text[] IS NULL OR r.error_code = ANY ($8))
                      AND ($9::timestamptz IS NULL OR r.created_at >= $9) AND ($10::timestamptz IS NULL OR r.created_at < $10)
                      AND ($11::timestamptz IS NULL OR (r.created_at, r.id) < ($11, $12::uuid))
                    ORDER BY r.created_at DESC, r.id DESC LIMIT $4 OFFSET $13) r
             JOIN syncline.project p ON p.id = r.project_id
             JOIN syncline.site s ON s.id = p.site_id
             LEFT JOIN LATERAL (
                  SELECT coalesce(sum(pages_applied), 0)::int8 AS pages, coalesce(sum(issues_seen), 0)::int8 AS issues_seen,
                         coalesce(sum(issues_created), 0)::int8 AS issues_created,
                         coalesce(sum(issues_updated), 0)::int8 AS issues_updated,
                         coalesce(sum(issues_unchanged), 0)::int8 AS issues_unchanged,
                         coalesce(sum(comments_written), 0)::int8 AS comments_written,
                         coalesce(sum(comments_removed), 0)::int8 AS comments_removed,
                         coalesce(sum(worklogs_written), 0)::int8 AS worklogs_written,
                         coalesce(sum(worklogs_removed), 0)::int8 AS worklogs_removed
                    FROM syncline.sync_partition WHERE run_id = r.id) t ON true
             LEFT JOIN LATERAL (
                  SELECT jsonb_object_agg(e.entity, e.records) AS rejected
                    FROM (SELECT entity, count(*) AS records FROM syncline.sync_rejected
                           WHERE run_id = r.id AND r.finished_at IS NULL GROUP BY entity) e) j ON true
            ORDER BY r.created_at DESC, r.id DESC"#,
        filter.ids.as_deref(),
        filter.projects.as_deref(),
        filter.states.as_deref(),
        filter.limit,
        filter.kind,
        filter.triggers.as_deref(),
        filter.requested_by,
        filter.error_codes.as_deref(),
        filter.from,
        filter.to,
        filter.after.map(|(at, _)| at),
        filter.after.map(|(_, id)| id),
        filter.offset
    )
    .fetch_all(pool)
    .await?;
    Ok(runs)
}

/// The newest run of each project.
pub async fn newest_of(pool: &PgPool, projects: &[Uuid]) -> Result<Vec<Uuid>> {
    let runs = sqlx::query_scalar!(
        "SELECT r.id FROM unnest($1::uuid[]) AS p (id)
          CROSS JOIN LATERAL (SELECT id FROM syncline.sync_run r WHERE r.project_id = p.id ORDER BY r.created_at DESC LIMIT 1) r",
        projects
    )
    .fetch_all(pool)
    .await?;
    Ok(runs)
}

/// How far a run has come, for those who watch it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunProgress {
    /// The run.
    pub run_id: Uuid,
    /// SITE/KEY.
    pub project: String,
    /// `queued`, `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Since when it runs, in seconds of the server's clock; until its end once it has ended.
    pub elapsed_seconds: f64,
    /// Pages read from Jira.
    pub pages_fetched: i64,
    /// Of those, written.
    pub pages_applied: i64,
    /// Issues written or found unchanged.
    pub issues_done: i64,
    /// How many there will be about; none until the run is planned.
    pub issues_total_estimate: Option<i64>,
    /// Comments written.
    pub comments: i64,
    /// Worklogs written.
    pub worklogs: i64,
    /// Steps that were tried again.
    pub retries: i32,
    /// Until when Jira asked to be left alone, if it did.
    pub paused_until: Option<DateTime<Utc>>,
    /// Why it did.
    pub pause_reason: Option<String>,
    /// Worker processes that are alive.
    pub workers: i64,
    /// The canonical code of its failure.
    pub error_code: Option<String>,
    /// What happened.
    pub error_message: Option<String>,
    /// Who must do what.
    pub error_advice: Option<String>,
}

impl RunProgress {
    /// Whether nothing will change any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled")
    }
}

/// A snapshot of a run's progress; `None` when there is no such run.
pub async fn progress(pool: &PgPool, run_id: Uuid) -> Result<Option<RunProgress>> {
    let progress = sqlx::query_as!(
        RunProgress,
        r#"SELECT r.id AS run_id, s.name || '/' || p.key AS "project!",
                  CASE WHEN r.state = 'running' AND r.cancel_requested_at IS NOT NULL THEN 'cancelling' ELSE r.state END AS "state!",
                  coalesce(extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - coalesce(r.started_at, r.created_at)), 0)::float8
                      AS "elapsed_seconds!",
                  greatest(r.pages, t.pages_fetched) AS "pages_fetched!", greatest(r.pages, t.pages_applied) AS "pages_applied!",
                  greatest(r.issues_seen, t.issues_seen) AS "issues_done!",
                  r.estimated_issues AS issues_total_estimate,
                  greatest(r.comments_written, t.comments_written) AS "comments!",
                  greatest(r.worklogs_written, t.worklogs_written) AS "worklogs!",
                  r.retries, g.paused_until AS "paused_until?", g.reason AS "pause_reason?",
                  (SELECT count(*) FROM syncline.worker w WHERE w.lease_until > clock_timestamp()) AS "workers!",
                  r.error_code, r.error_message, r.error_advice
             FROM syncline.sync_run r
             JOIN syncline.project p ON p.id = r.project_id
             JOIN syncline.site s ON s.id = p.site_id
             LEFT JOIN LATERAL (
                  SELECT coalesce(sum(pages_fetched), 0)::int8 AS pages_fetched,
                         coalesce(sum(pages_applied), 0)::int8 AS pages_applied,
                         coalesce(sum(issues_seen), 0)::int8 AS issues_seen,
                         coalesce(sum(comments_written), 0)::int8 AS comments_written,
                         coalesce(sum(worklogs_written), 0)::int8 AS worklogs_written
                    FROM syncline.sync_partition WHERE run_id = r.id) t ON true
             LEFT JOIN LATERAL (
                  SELECT paused_until, reason FROM syncline.rate_gate
                   WHERE key LIKE 'site:' || s.id || '%' AND paused_until > clock_timestamp()
                   ORDER BY paused_until DESC LIMIT 1) g ON true
            WHERE r.id = $1"#,
        run_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(progress)
}

/// Requests a sync of KEY or SITE/KEY; answers the run that serves the request. What it refuses is a
/// [`refusal`](crate::store::Error::refusal). With `reconcile` the run compares the ids of all issues too.
pub async fn request(pool: &PgPool, project: &str, kind: &str, reconcile: bool, who: &Who<'_>) -> Result<Uuid> {
    let run = sqlx::query_scalar!(
        r#"SELECT CASE WHEN $4 THEN syncline.request_reconcile($1, kind => $2, requested_by => $3)
                       ELSE syncline.enqueue_sync($1, kind => $2, requested_by => $3) END AS "run!"
             FROM (SELECT set_config('syncline.way', $5, true), set_config('syncline.address', coalesce($6, ''), true) OFFSET 0) who"#,
        project,
        kind,
        who.name,
        reconcile,
        who.way,
        who.address
    )
    .fetch_one(pool)
    .await?;
    Ok(run)
}

/// Asks a run to stop; answers its state now: `cancelled`, `cancelling`, or how it had ended before. The audit says so where
/// that changes something; `project` is SITE/KEY.
pub async fn cancel(pool: &PgPool, run_id: Uuid, project: &str, who: &Who<'_>) -> Result<String> {
    let mut transaction = pool.begin().await?;
    let state = sqlx::query_scalar!(r#"SELECT syncline.cancel_run($1) AS "state!""#, run_id)
        .fetch_one(&mut *transaction)
        .await?;
    if matches!(state.as_str(), "cancelled" | "cancelling") {
        let details = serde_json::json!({ "run": run_id, "state": state });
        audit::record_by(&mut *transaction, who, "run.cancel", project, &details).await?;
    }
    transaction.commit().await?;
    Ok(state)
}

/// Deletes a run that is over, with its steps and what it logged; `details` stay in the audit. False when there is no such
/// run.
pub async fn delete(pool: &PgPool, run_id: Uuid, details: &serde_json::Value, who: &Who<'_>) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let gone = sqlx::query!(
        r#"WITH run AS (
               DELETE FROM syncline.sync_run WHERE id = $1 AND state IN ('succeeded', 'failed', 'cancelled') RETURNING id
           ), steps AS (
               DELETE FROM syncline.sync_step WHERE run_id IN (SELECT id FROM run)
           ), logs AS (
               DELETE FROM syncline.sync_log WHERE run_id IN (SELECT id FROM run)
           )
           SELECT id FROM run"#,
        run_id
    )
    .fetch_optional(&mut *transaction)
    .await?
    .is_some();
    if gone {
        audit::record_by(&mut *transaction, who, "run.delete", &run_id.to_string(), details).await?;
    }
    transaction.commit().await?;
    Ok(gone)
}

/// Requests a run with the parameters of one that has ended; it goes on from the project's cursor. `None` when that run
/// has not ended or its project is not active. The audit says so; `project` is SITE/KEY.
pub async fn retry(pool: &PgPool, run_id: Uuid, project: &str, who: &Who<'_>) -> Result<Option<Uuid>> {
    let mut transaction = pool.begin().await?;
    let run = sqlx::query_scalar!(
        r#"SELECT syncline.request_run(r.project_id, r.kind, 'retry', $2, retried => r.id) AS "run!"
             FROM syncline.sync_run r
             JOIN syncline.project p ON p.id = r.project_id
            WHERE r.id = $1 AND r.state IN ('succeeded', 'failed', 'cancelled') AND p.state = 'active'"#,
        run_id,
        who.name
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(run) = run {
        let details = serde_json::json!({ "run": run, "retry_of": run_id });
        audit::record_by(&mut *transaction, who, "run.retry", project, &details).await?;
    }
    transaction.commit().await?;
    Ok(run)
}
