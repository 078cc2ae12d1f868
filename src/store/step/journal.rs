//! What happened to steps and runs, for operators: rows of `sync_log`.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::domain::failure::Failure;
use crate::store::Result;

/// How loudly an entry speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the record.
    Info,
    /// Something went wrong and is being handled.
    Warn,
    /// Something ended badly.
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One entry. Texts have been sanitised by whoever made them.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How loudly.
    pub level: Level,
    /// What happened, as a stable name: `step_retried`, `run_failed`, `record_rejected`…
    pub event: &'static str,
    /// The canonical failure code, if it is one.
    pub code: Option<&'static str>,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub advice: Option<&'static str>,
    /// More, for machines.
    pub details: Option<serde_json::Value>,
}

impl Entry {
    /// An entry about a failure.
    pub fn failure(level: Level, event: &'static str, failure: &Failure) -> Self {
        Self {
            level,
            event,
            code: Some(failure.code.as_str()),
            message: failure.message.clone(),
            advice: Some(failure.advice()),
            details: None,
        }
    }

    /// The same with details.
    pub fn with(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }
}

/// Appends entries about a run (its project is looked up) in one statement.
pub async fn journal<'e>(
    executor: impl PgExecutor<'e>,
    run_id: Option<Uuid>,
    step_kind: &str,
    entries: &[Entry],
) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let levels: Vec<String> = entries.iter().map(|e| e.level.as_str().to_owned()).collect();
    let events: Vec<String> = entries.iter().map(|e| e.event.to_owned()).collect();
    let codes: Vec<Option<String>> = entries.iter().map(|e| e.code.map(str::to_owned)).collect();
    let messages: Vec<String> = entries.iter().map(|e| e.message.clone()).collect();
    let advice: Vec<Option<String>> = entries.iter().map(|e| e.advice.map(str::to_owned)).collect();
    let details: Vec<Option<serde_json::Value>> = entries.iter().map(|e| e.details.clone()).collect();
    sqlx::query!(
        r#"INSERT INTO syncline.sync_log (run_id, project_id, step_kind, level, event, code, message, advice, details)
           SELECT $1, (SELECT project_id FROM syncline.sync_run WHERE id = $1), $2, e.level, e.event, e.code, e.message, e.advice, e.details
             FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[])
                  AS e (level, event, code, message, advice, details)"#,
        run_id,
        step_kind,
        &levels,
        &events,
        &codes as &[Option<String>],
        &messages,
        &advice as &[Option<String>],
        &details as &[Option<serde_json::Value>],
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Appends an entry unless the run has one of that event already, so that what is true of each page is told once.
pub async fn journal_once(conn: &mut PgConnection, run_id: Uuid, step_kind: &str, entry: &Entry) -> Result<()> {
    let told = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM syncline.sync_log WHERE run_id = $1 AND event = $2) AS "told!""#,
        run_id,
        entry.event
    )
    .fetch_one(&mut *conn)
    .await?;
    match told {
        true => Ok(()),
        false => journal(conn, Some(run_id), step_kind, std::slice::from_ref(entry)).await,
    }
}
