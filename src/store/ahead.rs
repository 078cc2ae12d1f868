//! What is ahead of the clock: cursors that stand there, and are put back, and issues that Jira has dated so.
//!
//! What must hold: a cursor is put back only to where everything before it was applied; what is ahead is told, whatever the
//! reason.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::store::Result;

/// When the last run began that has read all that was new: it succeeded, and did not look from a time that had not come yet.
/// Everything that was updated before is applied. `None` where no such run is remembered.
pub async fn applied_since(pool: &PgPool, project_id: Uuid) -> Result<Option<DateTime<Utc>>> {
    let began = sqlx::query_scalar!(
        r#"SELECT started_at AS "started_at!" FROM syncline.sync_run
            WHERE project_id = $1 AND state = 'succeeded' AND trigger <> 'repair' AND pages > 0 AND started_at IS NOT NULL
              AND (window_from IS NULL OR window_from <= started_at)
            ORDER BY created_at DESC LIMIT 1"#,
        project_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(began)
}

/// A cursor that stood ahead of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutBack {
    /// Where it stood.
    pub stood_at: DateTime<Utc>,
    /// Cursors beyond this are ahead.
    pub limit: DateTime<Utc>,
    /// Where they are put; `None`: to the beginning.
    pub to: Option<DateTime<Utc>>,
}

/// Puts the cursors of a project back that are ahead, and keeps that it was done.
pub async fn put_back(conn: &mut PgConnection, project_id: Uuid, it: &PutBack) -> Result<()> {
    sqlx::query!(
        r#"WITH cursors AS (UPDATE syncline.sync_state SET cursor_at = $3 WHERE project_id = $1 AND cursor_at > $2)
           UPDATE syncline.project
              SET cursor_stood_at = $4, cursor_put_back_at = clock_timestamp(), cursor_put_back_to = $3 WHERE id = $1"#,
        project_id,
        it.limit,
        it.to,
        it.stood_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A project with something ahead of the clock.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// The project.
    pub project_id: Uuid,
    /// Its site.
    pub site_id: Uuid,
    /// `SITE/KEY`.
    pub name: String,
    /// The issue that is dated furthest ahead.
    pub issue_key: Option<String>,
    /// Its `updated`.
    pub dated_at: Option<DateTime<Utc>>,
    /// Where a cursor stood that was put back lately, or stands that has not been put back yet.
    pub cursor_stood_at: Option<DateTime<Utc>>,
    /// When it was put back.
    pub put_back_at: Option<DateTime<Utc>>,
    /// Where it was put.
    pub put_back_to: Option<DateTime<Utc>>,
    /// An open alert says so.
    pub told: bool,
}

impl Ahead {
    /// Whether anything is ahead at all.
    pub fn is_any(&self) -> bool {
        self.dated_at.is_some() || self.cursor_stood_at.is_some()
    }

    /// What it is, in one sentence without a full stop; empty where there is nothing.
    pub fn sentence(&self) -> String {
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        let mut parts = Vec::new();
        if let Some((key, at)) = self.issue_key.as_ref().zip(self.dated_at) {
            parts.push(format!("Jira dates {key} {}, which is ahead of the clock", time(at)));
        }
        match (self.cursor_stood_at, self.put_back_at, self.put_back_to) {
            (Some(stood), Some(_), Some(to)) => {
                parts.push(format!(
                    "its cursor was at {}, ahead of the clock, and was put back to {}",
                    time(stood),
                    time(to)
                ));
            }
            (Some(stood), Some(_), None) => {
                parts.push(format!(
                    "its cursor was at {}, ahead of the clock, and was put back to the beginning",
                    time(stood)
                ));
            }
            (Some(stood), None, _) => {
                parts.push(format!("its cursor is at {}, ahead of the clock; the next run puts it back", time(stood)));
            }
            (None, ..) => {}
        }
        parts.join("; ")
    }
}

/// Issues further ahead of the database's clock than this are told of, in seconds: less is what clocks differ by.
pub const TOLD_FROM_SECONDS: f64 = 300.0;
/// That a cursor was put back is told for so long.
pub const TOLD_FOR_SECONDS: f64 = 3_600.0;

/// Active projects that have something ahead of the database's clock, or of which an open alert says so.
pub async fn list(executor: impl PgExecutor<'_>, project_id: Option<Uuid>) -> Result<Vec<Ahead>> {
    let rows = sqlx::query_as!(
        Ahead,
        r#"SELECT p.id AS project_id, p.site_id, s.name || '/' || p.key AS "name!", i.key AS "issue_key?", i.updated_at AS "dated_at?",
                  coalesce(c.stands_at, CASE WHEN b.lately THEN p.cursor_stood_at END) AS "cursor_stood_at?",
                  CASE WHEN c.stands_at IS NULL AND b.lately THEN p.cursor_put_back_at END AS "put_back_at?",
                  CASE WHEN c.stands_at IS NULL AND b.lately THEN p.cursor_put_back_to END AS "put_back_to?",
                  a.id IS NOT NULL AS "told!"
             FROM syncline.project p
             JOIN syncline.site s ON s.id = p.site_id
            CROSS JOIN LATERAL (SELECT coalesce(p.cursor_put_back_at > clock_timestamp() - make_interval(secs => $3), false) AS lately) b
             -- By the index on project and time: one look for each project.
             LEFT JOIN LATERAL (SELECT i.key, i.updated_at FROM syncline.issue i
                                 WHERE i.project_id = p.id AND i.updated_at > clock_timestamp() + make_interval(secs => $2)
                                   AND i.deleted_at IS NULL
                                 ORDER BY i.updated_at DESC LIMIT 1) i ON true
             LEFT JOIN LATERAL (SELECT max(t.cursor_at) AS stands_at FROM syncline.sync_state t
                                 WHERE t.project_id = p.id AND t.cursor_at > clock_timestamp() + make_interval(secs => $2)) c ON true
             LEFT JOIN syncline.alert a ON a.project_id = p.id AND a.class = 'DATED_AHEAD' AND a.state <> 'resolved' AND a.cleared_at IS NULL
            WHERE p.state = 'active' AND ($1::uuid IS NULL OR p.id = $1)
              AND (i.key IS NOT NULL OR c.stands_at IS NOT NULL OR b.lately OR a.id IS NOT NULL)
            ORDER BY s.name, p.key"#,
        project_id,
        TOLD_FROM_SECONDS,
        TOLD_FOR_SECONDS,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows)
}
