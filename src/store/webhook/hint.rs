//! Hints: from a webhook to the read of its issue.
//!
//! What must hold: a hint stays until the issue was read by a question that was asked after the webhook had come; one that a
//! run has taken comes back when that run does not read it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;

/// Who asks for the runs, as the history shows.
const ASKER: &str = "webhook";
/// Hints that are taken at once: more than may wait of one site.
const BATCH: i64 = 2_000;
/// After so many seconds a hint that a run has taken, and not read, is taken again.
const TAKEN_FOR: f64 = 600.0;

/// In how many seconds the next hint is due, 0 where one is; none where none waits.
pub async fn due_in(pool: &PgPool) -> Result<Option<f64>> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT greatest(extract(epoch FROM due_at - clock_timestamp()), 0)::float8 AS "seconds!"
             FROM syncline.webhook_hint ORDER BY due_at LIMIT 1"#
    )
    .fetch_optional(pool)
    .await?;
    Ok(seconds)
}

/// Turns hints that are due into runs: one per project, which reads the issues by id, or reads all that is new. Answers how many
/// hints were taken.
pub async fn request(pool: &PgPool) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    let taken = sqlx::query!(
        r#"
        WITH due AS MATERIALIZED (
            SELECT h.site_id, h.project_id, h.issue_id FROM syncline.webhook_hint h
             WHERE h.due_at <= clock_timestamp() ORDER BY h.due_at LIMIT $1
               FOR UPDATE OF h SKIP LOCKED
        ), taken AS (
            UPDATE syncline.webhook_hint h SET due_at = clock_timestamp() + make_interval(secs => $2)
              FROM due WHERE h.site_id = due.site_id AND h.project_id = due.project_id AND h.issue_id = due.issue_id
            RETURNING h.project_id, h.issue_id
        )
        SELECT t.project_id AS "project_id!", p.state AS "state!", bool_or(t.issue_id = 0) AS "is_whole!",
               coalesce(array_agg(t.issue_id) FILTER (WHERE t.issue_id <> 0), '{}') AS "ids!"
          FROM taken t JOIN syncline.project p ON p.id = t.project_id
         GROUP BY t.project_id, p.state ORDER BY t.project_id
        "#,
        BATCH,
        TAKEN_FOR
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut hints = 0;
    for project in &taken {
        hints += u64::try_from(project.ids.len()).unwrap_or(u64::MAX) + u64::from(project.is_whole);
        match project.state.as_str() {
            "active" if project.is_whole => {
                sqlx::query!(
                    "SELECT syncline.request_run($1, 'incremental', 'manual', $2, repair => $3) AS run",
                    project.project_id,
                    ASKER,
                    &project.ids
                )
                .fetch_one(&mut *transaction)
                .await?;
            }
            "active" => {
                sqlx::query!(
                    "SELECT syncline.request_repair($1, $2, $3) AS run",
                    project.project_id,
                    &project.ids,
                    ASKER
                )
                .fetch_one(&mut *transaction)
                .await?;
            }
            _ => {}
        }
        // What asks for all that is new is done with; a project that rests hears of what it missed by its next run.
        sqlx::query!(
            "DELETE FROM syncline.webhook_hint WHERE project_id = $1 AND (issue_id = 0 AND $2 OR issue_id = ANY ($3) AND $4)",
            project.project_id,
            project.is_whole,
            &project.ids,
            project.state != "active"
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(hints)
}

/// An issue as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// The issue.
    pub id: i64,
    /// When it was last changed, as Jira shows it; none where Jira shows it no more.
    pub updated_at: Option<DateTime<Utc>>,
    /// The project that it is in now by Jira's id, where that is another one.
    pub elsewhere: Option<i64>,
}

/// Settles the hints of issues that a question asked at `asked_at` has read: done, or to be read again in 2, 8 and 30 seconds where
/// Jira showed the issue older than the webhook had said.
pub async fn settle(
    conn: &mut PgConnection,
    (site_id, project_id): (Uuid, Uuid),
    reads: &[Read],
    asked_at: DateTime<Utc>,
) -> Result<()> {
    let ids: Vec<i64> = reads.iter().map(|read| read.id).collect();
    let elsewhere: Vec<Option<i64>> = reads.iter().map(|read| read.elsewhere).collect();
    let updated: Vec<Option<DateTime<Utc>>> = reads.iter().map(|read| read.updated_at).collect();
    sqlx::query!(
        r#"
        WITH read AS MATERIALIZED (
            SELECT h.issue_id, r.elsewhere,
                   h.tries < 3 AND h.changed_at IS NOT NULL AND r.updated_at < h.changed_at AS is_older
              FROM unnest($3::int8[], $4::timestamptz[], $6::int8[]) AS r (id, updated_at, elsewhere)
              JOIN syncline.webhook_hint h ON h.site_id = $1 AND h.project_id = $2 AND h.issue_id = r.id
             WHERE h.hinted_at <= $5
             ORDER BY h.issue_id
               FOR UPDATE OF h
        ), again AS (
            UPDATE syncline.webhook_hint h
               SET tries = h.tries + 1,
                   due_at = clock_timestamp() + make_interval(secs => (ARRAY[2.0, 8.0, 30.0])[h.tries + 1])
              FROM read WHERE h.site_id = $1 AND h.project_id = $2 AND h.issue_id = read.issue_id AND read.is_older
        ), moved AS (
            -- It may have been read there before it was marked here as moved away: it is read there once more.
            INSERT INTO syncline.webhook_hint AS h (site_id, project_id, issue_id, due_at)
            SELECT $1, p.id, read.issue_id, clock_timestamp() + interval '2 seconds'
              FROM read JOIN syncline.project p
                ON p.site_id = $1 AND p.jira_id = read.elsewhere AND p.id <> $2 AND p.state = 'active' AND p.tracking = 'all'
            ON CONFLICT (site_id, project_id, issue_id) DO UPDATE
               SET hinted_at = excluded.hinted_at, due_at = least(h.due_at, excluded.due_at), tries = 0
        ), done AS (
            DELETE FROM syncline.webhook_hint h USING read
             WHERE h.site_id = $1 AND h.project_id = $2 AND h.issue_id = read.issue_id AND read.is_older IS NOT TRUE
            RETURNING h.issue_id
        )
        UPDATE syncline.webhook_event e SET outcome = 'read', read_at = clock_timestamp()
          FROM done WHERE e.site_id = $1 AND e.issue_id = done.issue_id AND e.outcome = 'hinted' AND e.received_at <= $5
        "#,
        site_id,
        project_id,
        &ids,
        &updated as &[Option<DateTime<Utc>>],
        asked_at,
        &elsewhere as &[Option<i64>]
    )
    .execute(conn)
    .await?;
    Ok(())
}
