//! Health and schedules, as operators see them.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// One project's health.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the names are the columns'
pub struct HealthRow {
    pub project_id: Uuid,
    pub site: String,
    pub key: String,
    pub project_state: String,
    pub last_success_at: Option<DateTime<Utc>>,
    pub last_failure_at: Option<DateTime<Utc>>,
    pub success_streak: i32,
    pub failure_streak: i32,
    pub class_streak: i32,
    pub slow_streak: i32,
    pub code: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub alerting: Vec<String>,
    pub rejected: serde_json::Value,
    pub rung: i16,
    pub hold: Option<String>,
    pub next_run_at: Option<DateTime<Utc>>,
    pub site_cause: Option<String>,
    pub site_since: Option<DateTime<Utc>>,
}

/// The health of one project, or of all that are not removed, the sick ones first.
pub async fn health_rows(pool: &PgPool, project_id: Option<Uuid>) -> Result<Vec<HealthRow>> {
    let rows = sqlx::query_as!(
        HealthRow,
        r#"SELECT p.id AS project_id, t.name AS site, p.key, p.state AS project_state, h.last_success_at AS "last_success_at?",
                  h.last_failure_at AS "last_failure_at?", coalesce(h.success_streak, 0) AS "success_streak!",
                  coalesce(h.failure_streak, 0) AS "failure_streak!", coalesce(h.class_streak, 0) AS "class_streak!",
                  coalesce(h.slow_streak, 0) AS "slow_streak!", h.code AS "code?", h.failing_since AS "failing_since?",
                  h.last_error AS "last_error?", coalesce(h.alerting, '{}') AS "alerting!",
                  coalesce(h.rejected, '{}') AS "rejected!", coalesce(s.rung, 0::smallint) AS "rung!",
                  s.hold AS "hold?", s.next_run_at AS "next_run_at?",
                  CASE WHEN g.incident_since IS NOT NULL THEN g.cause END AS "site_cause?", g.incident_since AS "site_since?"
             FROM syncline.project p JOIN syncline.site t ON t.id = p.site_id
             LEFT JOIN syncline.project_health h ON h.project_id = p.id
             LEFT JOIN syncline.schedule s ON s.project_id = p.id
             LEFT JOIN syncline.site_health g ON g.site_id = p.site_id
            WHERE p.state <> 'removed' AND ($1::uuid IS NULL OR p.id = $1)
            ORDER BY (g.incident_since IS NULL), coalesce(h.failure_streak, 0) DESC, t.name, p.key"#,
        project_id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// A schedule with everything that explains its next start.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ScheduleView {
    pub project_id: Uuid,
    pub site: String,
    pub key: String,
    pub project_state: String,
    pub state: String,
    pub cron: String,
    pub time_zone: String,
    pub next_slot_at: DateTime<Utc>,
    pub next_run_at: DateTime<Utc>,
    pub last_slot_at: Option<DateTime<Utc>>,
    pub missed_total: i64,
    pub rung: i16,
    pub hold: Option<String>,
    pub hold_code: Option<String>,
    pub held_since: Option<DateTime<Utc>>,
    pub hold_until: Option<DateTime<Utc>>,
    pub failure_streak: i32,
    pub code: Option<String>,
    pub site_code: Option<String>,
    pub site_since: Option<DateTime<Utc>>,
    pub site_failures: Option<i32>,
    pub probe: Option<String>,
    pub next_probe_at: Option<DateTime<Utc>>,
    pub gate_until: Option<DateTime<Utc>>,
    pub gate_reason: Option<String>,
    pub active_run: Option<Uuid>,
}

/// The schedules of one project, or of all that are not removed, by their next start.
pub async fn schedule_view(pool: &PgPool, project_id: Option<Uuid>) -> Result<Vec<ScheduleView>> {
    let rows = sqlx::query_as!(
        ScheduleView,
        r#"SELECT s.project_id, t.name AS site, p.key, p.state AS project_state, s.state, s.cron, s.time_zone, s.next_slot_at,
                  s.next_run_at, s.last_slot_at, s.missed_total, s.rung, s.hold, s.hold_code, s.held_since, s.hold_until,
                  coalesce(h.failure_streak, 0) AS "failure_streak!", h.code AS "code?",
                  CASE WHEN g.incident_since IS NOT NULL THEN g.told END AS "site_code?", g.incident_since AS "site_since?",
                  g.failures AS "site_failures?", b.key AS "probe?", g.next_probe_at AS "next_probe_at?",
                  r.paused_until AS "gate_until?", r.reason AS "gate_reason?",
                  (SELECT a.id FROM syncline.sync_run a WHERE a.project_id = p.id AND a.state = 'running') AS active_run
             FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id JOIN syncline.site t ON t.id = p.site_id
             LEFT JOIN syncline.project_health h ON h.project_id = p.id
             LEFT JOIN syncline.site_health g ON g.site_id = p.site_id
             LEFT JOIN syncline.project b ON b.id = g.probe
             LEFT JOIN syncline.rate_gate r ON r.key = 'site:' || p.site_id AND r.paused_until > clock_timestamp()
            WHERE p.state <> 'removed' AND ($1::uuid IS NULL OR p.id = $1)
            ORDER BY s.next_run_at"#,
        project_id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
