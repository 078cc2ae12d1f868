//! An episode as a row, and the way back into it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::episode::{Episode, Phase, Told};
use crate::domain::failure::Severity;
use crate::store::{Error, Result};

/// The columns that an [`Episode`] is made of.
#[derive(Clone, Debug, Serialize)]
pub struct AlertRow {
    /// The episode's id.
    pub id: Uuid,
    /// What it is about and its class, as one text.
    pub key: String,
    /// Its phase.
    pub state: String,
    /// How bad it is.
    pub severity: String,
    /// The rung of the back-off ladder.
    pub rung: i16,
    /// Since when the condition holds.
    pub held_since: DateTime<Utc>,
    /// When it ended.
    pub cleared_at: Option<DateTime<Utc>>,
    /// When the episode ended.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Until when a return belongs to it.
    pub damped_until: Option<DateTime<Utc>>,
    /// How often it came back.
    pub flaps: i32,
    /// Whether people believe that it goes on.
    pub told_open: bool,
    /// When they were told last.
    pub told_at: Option<DateTime<Utc>>,
    /// When they were told that it began.
    pub told_opened_at: Option<DateTime<Utc>>,
    /// The worst that they were told.
    pub told_severity: Option<String>,
    /// The highest rung that they were told.
    pub told_rung: i16,
    /// The highest age that they were told.
    pub told_age_seconds: i64,
    /// When somebody took it on.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// The number of its last event.
    pub last_seq: i32,
    /// When to look again.
    pub next_action_at: Option<DateTime<Utc>>,
}

impl AlertRow {
    /// The episode.
    ///
    /// # Errors
    /// When the row holds words that this version does not know.
    pub fn episode(&self) -> Result<Episode> {
        let severity = |text: &str| Severity::parse(text).ok_or_else(|| unknown("severity", text));
        Ok(Episode {
            phase: Phase::parse(&self.state).ok_or_else(|| unknown("state", &self.state))?,
            severity: severity(&self.severity)?,
            rung: self.rung,
            held_since: self.held_since,
            cleared_at: self.cleared_at,
            resolved_at: self.resolved_at,
            damped_until: self.damped_until,
            flaps: self.flaps,
            told: Told {
                open: self.told_open,
                at: self.told_at,
                opened_at: self.told_opened_at,
                severity: self.told_severity.as_deref().map(severity).transpose()?,
                rung: self.told_rung,
                age: TimeDelta::try_seconds(self.told_age_seconds).unwrap_or_default(),
            },
            acknowledged_at: self.acknowledged_at,
            next_action_at: self.next_action_at,
        })
    }

    /// The same row with another episode.
    pub fn with(mut self, episode: &Episode) -> Self {
        self.state = episode.phase.as_str().to_owned();
        self.severity = episode.severity.as_str().to_owned();
        self.rung = episode.rung;
        self.held_since = episode.held_since;
        self.cleared_at = episode.cleared_at;
        self.resolved_at = episode.resolved_at;
        self.damped_until = episode.damped_until;
        self.flaps = episode.flaps;
        self.told_open = episode.told.open;
        self.told_at = episode.told.at;
        self.told_opened_at = episode.told.opened_at;
        self.told_severity = episode.told.severity.map(|severity| severity.as_str().to_owned());
        self.told_rung = episode.told.rung;
        self.told_age_seconds = episode.told.age.num_seconds();
        self.acknowledged_at = episode.acknowledged_at;
        self.next_action_at = episode.next_action_at;
        self
    }
}

fn unknown(column: &'static str, found: &str) -> Error {
    Error::BadValue {
        table: "syncline.alert",
        column,
        found: format!("a word of {} characters", found.chars().count()),
        expected: "one of the words of this version",
    }
}

/// A row to be written back, with a new description where there is one.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The episode's columns.
    #[serde(flatten)]
    pub row: AlertRow,
    /// How telemetry describes it now.
    pub details: Option<Value>,
    /// Its category now.
    pub category: Option<String>,
    /// When it was seen last.
    pub seen_at: Option<DateTime<Utc>>,
}

impl From<AlertRow> for Change {
    fn from(row: AlertRow) -> Self {
        Self { row, details: None, category: None, seen_at: None }
    }
}

/// Writes rows back, which the caller has locked; whoever sleeps is woken when one is due by
/// `wake_for`.
pub(super) async fn write(conn: &mut PgConnection, changes: &[Change], wake_for: Option<DateTime<Utc>>) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    // One document instead of twenty arrays: the columns are named once.
    let rows = serde_json::to_value(changes).map_err(|error| Error::Database(sqlx::Error::Encode(error.into())))?;
    sqlx::query!(
        r#"
        WITH changed AS (
            UPDATE syncline.alert a
               SET state = n.state, severity = n.severity, held_since = n.held_since, cleared_at = n.cleared_at,
                   resolved_at = n.resolved_at, damped_until = n.damped_until, flaps = n.flaps, told_open = n.told_open,
                   told_at = n.told_at, told_opened_at = n.told_opened_at, told_severity = n.told_severity,
                   told_rung = n.told_rung, told_age_seconds = n.told_age_seconds, acknowledged_at = n.acknowledged_at,
                   acknowledged_by = CASE WHEN n.acknowledged_at IS NOT NULL THEN a.acknowledged_by END,
                   last_seq = n.last_seq, next_action_at = n.next_action_at,
                   details = coalesce(n.details, a.details), category = coalesce(n.category, a.category),
                   seen_at = coalesce(n.seen_at, a.seen_at)
              FROM jsonb_to_recordset($1::jsonb) AS n (
                       id uuid, state text, severity text, held_since timestamptz, cleared_at timestamptz,
                       resolved_at timestamptz, damped_until timestamptz, flaps integer, told_open boolean,
                       told_at timestamptz, told_opened_at timestamptz, told_severity text, told_rung smallint,
                       told_age_seconds bigint, acknowledged_at timestamptz, last_seq integer,
                       next_action_at timestamptz, details jsonb, category text, seen_at timestamptz)
             WHERE a.id = n.id
            RETURNING a.next_action_at
        )
        SELECT count(pg_notify('syncline_alert', '')) AS "n!" FROM (SELECT 1 FROM changed WHERE next_action_at <= $2 LIMIT 1) due
        "#,
        rows,
        wake_for,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}
