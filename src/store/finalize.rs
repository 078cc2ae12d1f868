//! The end of a run: its outcome, its totals, and the run that was kept to come next.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::Result;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// `incremental` or `full`.
    pub kind: String,
    /// What asked for it.
    pub trigger: String,
    /// SITE/KEY of its project.
    pub project: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Its W3C trace context.
    pub trace_context: Option<String>,
    /// Steps that were taken over from processes that fell silent.
    pub rescues: i32,
    /// From start to end.
    pub duration_seconds: f64,
    /// Issues seen.
    pub issues_seen: i64,
    /// Of those, new.
    pub issues_created: i64,
    /// Of those, changed.
    pub issues_updated: i64,
    /// Of those, as they were.
    pub issues_unchanged: i64,
    /// Could not be read.
    pub issues_rejected: i64,
    /// Records that could not be read, by entity.
    pub rejected: serde_json::Value,
    /// Marked as gone.
    pub issues_deleted: i64,
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
    /// Why it failed.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
    /// The run that was kept and is active now.
    pub next_run: Option<Uuid>,
}

/// Ends the run, removes its staged pages and partitions, and activates the run that was kept for the project, if any.
pub async fn finalize(
    conn: &mut PgConnection,
    run_id: Uuid,
    project_id: Uuid,
    last_sync_time: DateTime<Utc>,
) -> Result<Outcome> {
    // Requests for this project and its end see each other in turn (request_run takes the same lock).
    let project_state =
        sqlx::query_scalar!("SELECT state FROM syncline.project WHERE id = $1 FOR NO KEY UPDATE", project_id)
            .fetch_one(&mut *conn)
            .await?;
    let row = sqlx::query!(
        r#"
        WITH totals AS (
            SELECT coalesce(sum(pages_applied), 0)::int AS pages, coalesce(sum(issues_seen), 0)::int8 AS issues_seen,
                   coalesce(sum(issues_created), 0)::int8 AS issues_created, coalesce(sum(issues_updated), 0)::int8 AS issues_updated,
                   coalesce(sum(issues_unchanged), 0)::int8 AS issues_unchanged,
                   -- Pages overlap, and each counts what it met: what is told are the records.
                   (SELECT count(*) FROM syncline.sync_rejected WHERE run_id = $1 AND entity = 'issue') AS issues_rejected,
                   (SELECT coalesce(jsonb_object_agg(e.entity, e.records), '{}')
                      FROM (SELECT entity, count(*) AS records FROM syncline.sync_rejected WHERE run_id = $1 GROUP BY entity) e) AS rejected,
                   coalesce(sum(comments_written), 0)::int8 AS comments_written, coalesce(sum(comments_removed), 0)::int8 AS comments_removed,
                   coalesce(sum(worklogs_written), 0)::int8 AS worklogs_written, coalesce(sum(worklogs_removed), 0)::int8 AS worklogs_removed,
                   coalesce(sum(changes_written), 0)::int8 AS changes_written
              FROM syncline.sync_partition WHERE run_id = $1
        )
        UPDATE syncline.sync_run r
           SET state = CASE WHEN r.error_code IS NOT NULL THEN 'failed' WHEN r.cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE 'succeeded' END,
               finished_at = clock_timestamp(), pages = t.pages, issues_seen = t.issues_seen, issues_created = t.issues_created,
               issues_updated = t.issues_updated, issues_unchanged = t.issues_unchanged, issues_rejected = t.issues_rejected, rejected = t.rejected,
               comments_written = t.comments_written, comments_removed = t.comments_removed,
               worklogs_written = t.worklogs_written, worklogs_removed = t.worklogs_removed,
               changes_written = t.changes_written
          FROM totals t
         WHERE r.id = $1 AND r.state = 'running'
        RETURNING r.state, r.kind, r.trigger, r.issues_seen, r.issues_created, r.issues_updated, r.issues_unchanged, r.issues_rejected, r.rejected, r.issues_deleted,
                  r.comments_written, r.comments_removed, r.worklogs_written, r.worklogs_removed, r.changes_written, r.error_code, r.error_message,
                  r.created_at, r.finished_at AS "finished_at!", r.trace_context, r.rescues,
                  (SELECT s.name || '/' || p.key FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id
                    WHERE p.id = r.project_id) AS "project!",
                  extract(epoch FROM r.finished_at - coalesce(r.started_at, r.created_at))::float8 AS "duration_seconds!"
        "#,
        run_id
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        WITH pages AS (DELETE FROM syncline.sync_page WHERE run_id = $1),
        seen AS (DELETE FROM syncline.reconcile_seen WHERE run_id = $1),
        rejected AS (DELETE FROM syncline.sync_rejected WHERE run_id = $1),
        backfilled AS (
            UPDATE syncline.tracked_user u SET backfilled_at = clock_timestamp(), unknown_since = NULL
             WHERE u.project_id = $2 AND (u.backfilled_at IS NULL OR u.unknown_since IS NOT NULL) AND $3 = 'succeeded'
               AND EXISTS (SELECT 1 FROM syncline.sync_partition q
                            WHERE q.run_id = $1 AND q.window_from IS NULL AND q.window_to IS NULL AND u.account_id = ANY (q.account_ids))
        ), partitions AS (DELETE FROM syncline.sync_partition WHERE run_id = $1)
        UPDATE syncline.sync_state s
           SET status = $3, last_run_id = $1, last_sync_time = CASE WHEN $3 = 'succeeded' THEN $4 ELSE s.last_sync_time END,
               -- What was owed is paid by a run that looked there and passed nothing over.
               owed_from = CASE WHEN $3 = 'succeeded' AND s.owed_run_id IS DISTINCT FROM $1
                                     AND (SELECT r.collections_from FROM syncline.sync_run r WHERE r.id = $1) <= s.owed_from
                                THEN NULL ELSE s.owed_from END
         WHERE s.project_id = $2 AND NOT $5
        "#,
        run_id,
        project_id,
        row.state,
        last_sync_time,
        row.trigger == "repair", // it looked at some issues only
    )
    .execute(&mut *conn)
    .await?;
    let kept = sqlx::query_scalar!(
        "SELECT id FROM syncline.sync_run WHERE project_id = $1 AND state = 'queued' FOR UPDATE",
        project_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    let next_run = match kept {
        Some(kept) if project_state == "active" => {
            sqlx::query!("SELECT syncline.activate_run($1)", kept).fetch_one(&mut *conn).await?;
            Some(kept)
        }
        Some(kept) => {
            // Every acknowledged request ends visibly, also when its project was paused meanwhile.
            sqlx::query!(
                r#"UPDATE syncline.sync_run
                      SET state = 'cancelled', finished_at = clock_timestamp(), cancel_requested_at = clock_timestamp(),
                          error_message = 'the project was ' || $2 || ' while the run waited'
                    WHERE id = $1"#,
                kept,
                project_state,
            )
            .execute(&mut *conn)
            .await?;
            None
        }
        None => None,
    };
    Ok(Outcome {
        state: row.state,
        kind: row.kind,
        trigger: row.trigger,
        project: row.project,
        created_at: row.created_at,
        finished_at: row.finished_at,
        trace_context: row.trace_context,
        rescues: row.rescues,
        duration_seconds: row.duration_seconds,
        issues_seen: row.issues_seen,
        issues_created: row.issues_created,
        issues_updated: row.issues_updated,
        issues_unchanged: row.issues_unchanged,
        issues_rejected: row.issues_rejected,
        rejected: row.rejected,
        issues_deleted: row.issues_deleted,
        comments_written: row.comments_written,
        comments_removed: row.comments_removed,
        worklogs_written: row.worklogs_written,
        worklogs_removed: row.worklogs_removed,
        changes_written: row.changes_written,
        error_code: row.error_code,
        error_message: row.error_message,
        next_run,
    })
}
