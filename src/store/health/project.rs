//! The health of a project.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::domain::failure::{FailureCode, Means};
use crate::domain::health::{Health, Streak};
use crate::store::Result;
use crate::store::rejected;

/// A project as telemetry speaks of it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The project.
    pub project_id: Uuid,
    /// Its site.
    pub site_id: Uuid,
    /// The site's name.
    pub site: String,
    /// The project's key.
    pub key: String,
    /// Projects of the site that are active.
    pub active_projects: i64,
    /// `basic`, `bearer` or `oauth`.
    pub auth: String,
    /// `cloud` or `data_center`.
    pub kind: String,
}

impl Subject {
    /// How the site's account is let in.
    pub fn means(&self) -> Means {
        Means::of(&self.auth, &self.kind)
    }

    /// `SITE/KEY`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.site, self.key)
    }
}

/// Finds out whose run it was.
pub async fn subject(executor: impl PgExecutor<'_>, project_id: Uuid) -> Result<Option<Subject>> {
    let subject = sqlx::query_as!(
        Subject,
        r#"SELECT p.id AS project_id, p.site_id, s.name AS site, p.key, s.auth, s.kind,
                  (SELECT count(*) FROM syncline.project o WHERE o.site_id = p.site_id AND o.state = 'active') AS "active_projects!"
             FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id WHERE p.id = $1"#,
        project_id
    )
    .fetch_optional(executor)
    .await?;
    Ok(subject)
}

/// Locks what is known of a project until the transaction ends.
pub async fn load(conn: &mut PgConnection, project_id: Uuid) -> Result<Health> {
    let row = sqlx::query!(
        r#"INSERT INTO syncline.project_health AS h (project_id) VALUES ($1)
           ON CONFLICT (project_id) DO UPDATE SET project_id = excluded.project_id
           RETURNING last_run_id, last_run_at, last_success_at, last_success_started_at, success_streak, failure_streak,
                     class_streak, code, failing_since, last_failure_at, last_error, slow_streak, slow_since,
                     sluggish_streak, sluggish_since, lag_streak, lag_since, guard_streak, guard_since, guard_error, alerting,
                     rejected, rejected_since"#,
        project_id
    )
    .fetch_one(conn)
    .await?;
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let streak = |n: i32, since| Streak { count: count(n), since };
    Ok(Health {
        last_run_id: row.last_run_id,
        last_run_at: row.last_run_at,
        last_success_at: row.last_success_at,
        last_success_started_at: row.last_success_started_at,
        success_streak: count(row.success_streak),
        failure_streak: count(row.failure_streak),
        class_streak: count(row.class_streak),
        code: row.code.as_deref().and_then(FailureCode::parse),
        failing_since: row.failing_since,
        last_failure_at: row.last_failure_at,
        last_error: row.last_error,
        slow: streak(row.slow_streak, row.slow_since),
        sluggish: streak(row.sluggish_streak, row.sluggish_since),
        lag: streak(row.lag_streak, row.lag_since),
        guard: streak(row.guard_streak, row.guard_since),
        guard_error: row.guard_error,
        alerting: row.alerting,
        rejected: rejected::counts(&row.rejected),
        rejected_since: row.rejected_since,
    })
}

/// Keeps what is known of it now.
pub async fn save(conn: &mut PgConnection, project_id: Uuid, health: &Health) -> Result<()> {
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    sqlx::query!(
        r#"UPDATE syncline.project_health
              SET last_run_id = $2, last_run_at = $3, last_success_at = $4, last_success_started_at = $5, success_streak = $6,
                  failure_streak = $7, class_streak = $8, code = $9, failing_since = $10, last_failure_at = $11, last_error = $12,
                  slow_streak = $13, slow_since = $14, sluggish_streak = $15, sluggish_since = $16, lag_streak = $17,
                  lag_since = $18, alerting = $19, guard_streak = $20, guard_since = $21, guard_error = $22,
                  rejected = $23, rejected_since = $24
            WHERE project_id = $1"#,
        project_id,
        health.last_run_id,
        health.last_run_at,
        health.last_success_at,
        health.last_success_started_at,
        count(health.success_streak),
        count(health.failure_streak),
        count(health.class_streak),
        health.code.map(FailureCode::as_str),
        health.failing_since,
        health.last_failure_at,
        health.last_error,
        count(health.slow.count),
        health.slow.since,
        count(health.sluggish.count),
        health.sluggish.since,
        count(health.lag.count),
        health.lag.since,
        &health.alerting,
        count(health.guard.count),
        health.guard.since,
        health.guard_error,
        serde_json::json!(health.rejected),
        health.rejected_since,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A project of which nothing good was heard for long.
#[derive(Clone, Debug)]
pub struct Silent {
    /// The project.
    pub project_id: Uuid,
    /// Its site.
    pub site_id: Uuid,
    /// `SITE/KEY`.
    pub name: String,
    /// Its cron expression.
    pub cron: String,
    /// The expression's zone.
    pub time_zone: String,
    /// The newest of: its last success, its beginning, its last change of schedule, the end of its site's last trouble.
    pub quiet_since: DateTime<Utc>,
    /// Its last success.
    pub last_success_at: Option<DateTime<Utc>>,
}

/// Projects whose schedule is active, of which nothing was heard for `limit` and nothing is told yet: neither that they
/// fail nor that they are silent, nor that their site is in trouble. Whoever asks locks them until its transaction ends.
pub async fn silent(conn: &mut PgConnection, now: DateTime<Utc>, limit: TimeDelta) -> Result<Vec<Silent>> {
    let silent = sqlx::query_as!(
        Silent,
        r#"SELECT p.id AS project_id, p.site_id, t.name || '/' || p.key AS "name!", s.cron, s.time_zone,
                  greatest(h.last_success_at, p.created_at, s.updated_at, g.resolved_at) AS "quiet_since!", h.last_success_at AS "last_success_at?"
             FROM syncline.schedule s
             JOIN syncline.project p ON p.id = s.project_id
             JOIN syncline.site t ON t.id = p.site_id
             LEFT JOIN syncline.project_health h ON h.project_id = p.id
             LEFT JOIN syncline.site_health g ON g.site_id = p.site_id
            WHERE s.state = 'active' AND p.state = 'active' AND g.incident_since IS NULL
              AND greatest(h.last_success_at, p.created_at, s.updated_at, g.resolved_at) < $1
              -- What the guard of a reconciliation found says nothing of runs, nor what single records of them are.
              AND coalesce(cardinality(array_remove(array_remove(h.alerting, 'RECONCILE_GUARD'), 'RECORDS_REJECTED')), 0) = 0
            ORDER BY p.id LIMIT 500
              FOR UPDATE OF s SKIP LOCKED"#,
        now - limit
    )
    .fetch_all(conn)
    .await?;
    Ok(silent)
}

/// Keeps that these projects are told to be silent.
pub async fn mark_silent(conn: &mut PgConnection, projects: &[Uuid], class: &str) -> Result<()> {
    if projects.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"INSERT INTO syncline.project_health AS h (project_id, alerting) SELECT p, ARRAY[$2] FROM unnest($1::uuid[]) AS p
           ON CONFLICT (project_id) DO UPDATE SET alerting = h.alerting || $2"#,
        projects,
        class
    )
    .execute(conn)
    .await?;
    Ok(())
}
