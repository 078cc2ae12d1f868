//! The journal of runs and steps, as operators read it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::Result;

/// One entry.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogEntry {
    /// Its number; grows with time.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// SITE/KEY.
    pub project: Option<String>,
    /// The run that it is about.
    pub run_id: Option<Uuid>,
    /// The kind of step that it is about.
    pub step_kind: Option<String>,
    /// What happened, as a stable name.
    pub event: String,
    /// The canonical failure code.
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
    /// Who must do what.
    pub advice: Option<String>,
    /// More, for machines.
    pub details: Option<serde_json::Value>,
}

/// Which entries to list; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// About this run.
    pub run_id: Option<Uuid>,
    /// About this project.
    pub project_id: Option<Uuid>,
    /// As loud as one of these.
    pub levels: Vec<String>,
    /// The newest so many.
    pub limit: i64,
    /// The oldest so many, not the newest.
    pub oldest: bool,
    /// Only those of a larger number.
    pub after: i64,
    /// Only those of a smaller number.
    pub before: Option<i64>,
    /// With this text in message, event or code, whatever its case.
    pub text: Option<String>,
    /// About this kind of record: `issue`, `comment`, `worklog` and so on.
    pub entity: Option<String>,
}

/// The newest entries that match, oldest first.
pub async fn list(pool: &PgPool, filter: &LogFilter) -> Result<Vec<LogEntry>> {
    let mut entries = sqlx::query_as!(
        LogEntry,
        r#"SELECT l.id, l.at, l.level, s.name || '/' || p.key AS project, l.run_id, l.step_kind, l.event, l.code, l.message,
                  l.advice, l.details
             FROM syncline.sync_log l
             LEFT JOIN syncline.project p ON p.id = l.project_id
             LEFT JOIN syncline.site s ON s.id = p.site_id
            WHERE ($1::uuid IS NULL OR l.run_id = $1) AND ($2::uuid IS NULL OR l.project_id = $2)
              AND l.level = ANY($3::text[]) AND l.id > $5 AND ($6::int8 IS NULL OR l.id < $6)
              AND ($7::text IS NULL OR position(lower($7) IN lower(concat_ws(' ', l.message, l.event, l.code))) > 0)
              AND ($8::text IS NULL OR l.details ->> 'entity' = $8)
            ORDER BY CASE WHEN $9 THEN l.id END, l.id DESC
            LIMIT $4"#,
        filter.run_id,
        filter.project_id,
        &filter.levels,
        filter.limit,
        filter.after,
        filter.before,
        filter.text,
        filter.entity,
        filter.oldest
    )
    .fetch_all(pool)
    .await?;
    if !filter.oldest {
        entries.reverse();
    }
    Ok(entries)
}
