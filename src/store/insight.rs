//! What insights read: runs that ended, what is known of projects beside them, hours of sites, sizes of tables.
//!
//! What must hold: each is one statement, bounded by days and by runs for each project.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::insight::{End, Run, Work};
use crate::store::Result;

/// The runs of these projects that ended in the last `days` days, at most `most` of each, with their project; oldest first.
pub async fn runs(pool: &PgPool, projects: &[Uuid], days: i32, most: i64) -> Result<Vec<(Uuid, Run)>> {
    let rows = sqlx::query!(
        r#"SELECT n.project_id AS "project_id!", r.id, coalesce(r.started_at, r.created_at) AS "started_at!",
                  r.finished_at AS "finished_at!", r.kind = 'full' AS "full!", r.reconcile, r.state, r.error_code,
                  r.issues_seen, r.issues_created + r.issues_updated AS "changed!", r.requests
             FROM unnest($1::uuid[]) AS n (project_id)
            CROSS JOIN LATERAL (SELECT * FROM syncline.sync_run q
                                 WHERE q.project_id = n.project_id AND q.trigger <> 'repair' AND q.finished_at IS NOT NULL
                                   AND q.created_at >= clock_timestamp() - make_interval(days => $2)
                                 ORDER BY q.created_at DESC LIMIT $3) r
            ORDER BY n.project_id, r.created_at"#,
        projects,
        days,
        most
    )
    .fetch_all(pool)
    .await?;
    #[allow(clippy::cast_precision_loss)] // counts
    let run = |row: (Uuid, DateTime<Utc>, DateTime<Utc>, Work, End, [i64; 3])| Run {
        id: row.0,
        started_at: row.1,
        finished_at: row.2,
        work: row.3,
        end: row.4,
        issues: row.5[0] as f64,
        changed: row.5[1] as f64,
        requests: row.5[2] as f64,
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            let end = match row.state.as_str() {
                "succeeded" => End::Succeeded,
                "failed" => End::Failed(row.error_code.unwrap_or_else(|| "UNKNOWN".to_owned())),
                _ => End::Cancelled,
            };
            let counts = [row.issues_seen, row.changed, row.requests];
            let work = Work::of(row.full, row.reconcile);
            (row.project_id, run((row.id, row.started_at, row.finished_at, work, end, counts)))
        })
        .collect())
}

/// What is known of a project beside its runs.
#[derive(Clone, Debug)]
pub struct ProjectFacts {
    /// The project.
    pub project_id: Uuid,
    /// Its site.
    pub site: String,
    /// Its key.
    pub key: String,
    /// `active`, `paused`.
    pub state: String,
    /// Its schedule.
    pub cron: Option<String>,
    /// Where that is read.
    pub time_zone: Option<String>,
    /// When a run last succeeded.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When that run began.
    pub fresh_as_of: Option<DateTime<Utc>>,
    /// Records that cannot be read.
    pub rejected: i64,
    /// Parts of issues are to be read again.
    pub is_owed: bool,
    /// An alert of the highest severity is open about it or its site.
    pub has_critical_alert: bool,
    /// What the last verification found to differ.
    pub different: i64,
    /// Issues in the replica; 0 unless something lacks.
    pub issues: i64,
}

/// The projects within `only` that were not removed, by site and key.
pub async fn facts(pool: &PgPool, only: Option<&[Uuid]>) -> Result<Vec<ProjectFacts>> {
    let facts = sqlx::query_as!(
        ProjectFacts,
        r#"SELECT p.id AS project_id, t.name AS site, p.key, p.state, s.cron AS "cron?", s.time_zone AS "time_zone?",
                  h.last_success_at AS "last_success_at?", h.last_success_started_at AS "fresh_as_of?",
                  l.rejected AS "rejected!", y.owed_from IS NOT NULL AS "is_owed!",
                  EXISTS (SELECT 1 FROM syncline.alert a
                           WHERE a.state = 'open' AND a.severity = 'critical'
                             AND (a.project_id = p.id OR a.project_id IS NULL AND a.site_id = p.site_id)) AS "has_critical_alert!",
                  coalesce(v.differences, 0) AS "different!",
                  CASE WHEN l.rejected + coalesce(v.differences, 0) > 0
                       THEN (SELECT count(*) FROM syncline.issue i WHERE i.project_id = p.id AND i.deleted_at IS NULL)
                       ELSE 0 END AS "issues!"
             FROM syncline.project p JOIN syncline.site t ON t.id = p.site_id
             LEFT JOIN syncline.schedule s ON s.project_id = p.id
             LEFT JOIN syncline.project_health h ON h.project_id = p.id
             LEFT JOIN syncline.sync_state y ON y.project_id = p.id
             LEFT JOIN syncline.verification v ON v.project_id = p.id
            CROSS JOIN LATERAL (SELECT coalesce(sum(e.value::int8), 0)::int8 AS rejected
                                  FROM jsonb_each_text(coalesce(h.rejected, '{}')) e) l
            WHERE p.state <> 'removed' AND ($1::uuid[] IS NULL OR p.id = ANY ($1))
            ORDER BY t.name, p.key"#,
        only
    )
    .fetch_all(pool)
    .await?;
    Ok(facts)
}

/// An hour of a site in which runs began.
#[derive(Clone, Debug)]
pub struct SiteHour {
    /// The site.
    pub site: String,
    /// The hour's begin.
    pub at: DateTime<Utc>,
    /// Codes of troubles that began in it.
    pub codes: Vec<String>,
    /// Settings that were changed in it or in the hour before.
    pub changed: Vec<String>,
}

/// The hours of sites with runs in the last `days` days, of projects within `only`, oldest first. A trouble is what fails
/// runs of a site that did not fail in the hour before.
pub async fn site_hours(pool: &PgPool, days: i32, only: Option<&[Uuid]>) -> Result<Vec<SiteHour>> {
    let hours = sqlx::query_as!(
        SiteHour,
        r#"WITH hour AS (
               SELECT p.site_id, date_trunc('hour', r.created_at, 'UTC') AS at,
                      coalesce(array_agg(DISTINCT coalesce(r.error_code, 'UNKNOWN')) FILTER (WHERE r.state = 'failed'), '{}') AS codes
                 FROM syncline.sync_run r JOIN syncline.project p ON p.id = r.project_id
                WHERE r.created_at >= clock_timestamp() - make_interval(days => $1)
                  AND r.state IN ('succeeded', 'failed') AND r.trigger IN ('schedule', 'manual')
                  AND ($2::uuid[] IS NULL OR r.project_id = ANY ($2))
                GROUP BY 1, 2
           ), set_at AS (
               SELECT DISTINCT date_trunc('hour', a.at, 'UTC') AS at, a.details->>'key' AS key
                 FROM syncline.audit a
                WHERE a.at >= clock_timestamp() - make_interval(days => $1) AND a.action LIKE 'config.%' AND a.details ? 'key'
           ), began AS (
               SELECT h.site_id, h.at, h.codes, lag(h.codes) OVER (PARTITION BY h.site_id ORDER BY h.at) AS before FROM hour h
           )
           SELECT s.name AS site, b.at AS "at!",
                  ARRAY(SELECT c FROM unnest(b.codes) c WHERE b.before IS NULL OR NOT c = ANY (b.before)) AS "codes!",
                  ARRAY(SELECT DISTINCT x.key FROM set_at x WHERE x.at IN (b.at, b.at - interval '1 hour')) AS "changed!"
             FROM began b JOIN syncline.site s ON s.id = b.site_id
            ORDER BY b.at, s.name"#,
        days,
        only
    )
    .fetch_all(pool)
    .await?;
    Ok(hours)
}

/// A day of one kind of runs of a project, or of all of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Daily {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// SITE/KEY.
    pub project: String,
    /// `incremental`, `full` or `reconcile`.
    pub work: String,
    /// `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// Runs.
    pub runs: i64,
    /// Issues that were read.
    pub issues: i64,
    /// Of those, new or changed.
    pub issues_changed: i64,
    /// Requests to Jira.
    pub requests: i64,
    /// Steps that were tried again.
    pub retries: i64,
    /// Seconds of all runs together.
    pub seconds: f64,
    /// Seconds of the longest run.
    pub longest_seconds: f64,
}

/// The last `days` days of projects within `only`, newest first, at most `most` rows.
pub async fn daily(pool: &PgPool, days: i32, only: Option<&[Uuid]>, most: i64) -> Result<Vec<Daily>> {
    let daily = sqlx::query_as!(
        Daily,
        r#"SELECT d.day, s.name || '/' || p.key AS "project!", d.work, d.state, d.runs, d.issues_seen AS issues,
                  d.issues_created + d.issues_updated AS "issues_changed!", d.requests, d.retries, d.seconds, d.longest_seconds
             FROM syncline.run_daily d JOIN syncline.project p ON p.id = d.project_id JOIN syncline.site s ON s.id = p.site_id
            WHERE d.day > (clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int
              AND ($2::uuid[] IS NULL OR d.project_id = ANY ($2))
            ORDER BY d.day DESC, s.name, p.key, d.work, d.state LIMIT $3"#,
        days,
        only,
        most
    )
    .fetch_all(pool)
    .await?;
    Ok(daily)
}

/// How large something was on a day.
#[derive(Clone, Debug)]
pub struct Size {
    /// The table, or `database`.
    pub name: String,
    /// The day.
    pub day: NaiveDate,
    /// Bytes.
    pub bytes: i64,
}

/// The sizes of the last 90 days, by name, oldest first.
pub async fn sizes(pool: &PgPool) -> Result<Vec<Size>> {
    let sizes = sqlx::query_as!(
        Size,
        r#"SELECT name, day, bytes FROM syncline.size_daily
            WHERE day > (clock_timestamp() AT TIME ZONE 'UTC')::date - 90 ORDER BY name, day"#
    )
    .fetch_all(pool)
    .await?;
    Ok(sizes)
}
