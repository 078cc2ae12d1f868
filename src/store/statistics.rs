//! What the runs of some days add up to.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::Result;

/// The runs of one day, or of all days that were asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sum {
    /// When the day begins (UTC); null for the sum of all.
    pub day: Option<DateTime<Utc>>,
    /// Runs that were asked for.
    pub runs: i64,
    /// Of those, ended well.
    pub succeeded: i64,
    /// Of those, failed.
    pub failed: i64,
    /// Of those, cancelled.
    pub cancelled: i64,
    /// Of those, not over.
    pub active: i64,
    /// Issues that were read.
    pub issues: i64,
    /// Of those, new or changed.
    pub issues_changed: i64,
    /// Requests to Jira.
    pub requests: i64,
    /// The mean of the durations of those that succeeded.
    pub average_seconds: Option<f64>,
    /// Projects that runs were asked for.
    pub projects: i64,
}

/// The runs of the last `days` days, day by day and then in all; of these projects, if some are given.
pub async fn summary(pool: &PgPool, days: i32, projects: Option<&[Uuid]>) -> Result<Vec<Sum>> {
    let sums = sqlx::query_as!(
        Sum,
        r#"SELECT d.day AS "day?", count(*) AS "runs!", count(*) FILTER (WHERE r.state = 'succeeded') AS "succeeded!",
                  count(*) FILTER (WHERE r.state = 'failed') AS "failed!",
                  count(*) FILTER (WHERE r.state = 'cancelled') AS "cancelled!",
                  count(*) FILTER (WHERE r.state IN ('queued', 'running')) AS "active!",
                  coalesce(sum(r.issues_seen), 0)::int8 AS "issues!",
                  coalesce(sum(r.issues_created + r.issues_updated), 0)::int8 AS "issues_changed!",
                  coalesce(sum(r.requests), 0)::int8 AS "requests!",
                  avg(extract(epoch FROM r.finished_at - r.started_at)) FILTER (WHERE r.state = 'succeeded')::float8 AS average_seconds,
                  count(DISTINCT r.project_id) AS "projects!"
             FROM syncline.sync_run r
            CROSS JOIN LATERAL (SELECT date_trunc('day', r.created_at, 'UTC') AS day) d
            WHERE r.created_at >= clock_timestamp() - make_interval(days => $1)
              AND ($2::uuid[] IS NULL OR r.project_id = ANY ($2))
            GROUP BY GROUPING SETS ((d.day), ()) ORDER BY d.day NULLS LAST"#,
        days,
        projects
    )
    .fetch_all(pool)
    .await?;
    Ok(sums)
}
