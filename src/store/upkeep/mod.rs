//! Keeps tables from growing with time: rows that are older than they are to be kept are removed in small batches.
//!
//! What must hold: a batch is one short statement that finds its rows by an index, looks at no more rows than it may remove,
//! and goes on where the last one ended, so that rows that must stay are not looked at again and again; one process removes at
//! a time (a turn that it holds for a minute, and a lock of each transaction, which a pooler keeps); every kind is written
//! down with what was removed and since when it is behind, so that a janitor that does not work is seen.

mod batch;
mod of_others;
mod of_runs;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::setting::{self, Key, Settings};
use crate::store::Result;

pub use batch::{Batch, Position, batch};

/// How long ended things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Steps that are done or cancelled.
    pub steps: Duration,
    /// Runs that ended, with their dead steps. The newest run of a project stays.
    pub runs: Duration,
    /// Log entries of runs, and drift that was not seen again.
    pub logs: Duration,
    /// Alerts that are over, with their history and their messages; silences that have ended.
    pub alerts: Duration,
    /// Who changed what by hand.
    pub audit: Duration,
    /// What the runs of a day add up to, and sizes of tables.
    pub summaries: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self::of(&Settings::default())
    }
}

impl Retention {
    /// As the settings for all say.
    pub fn of(settings: &Settings) -> Self {
        let seconds =
            |key: &Key, unit: f64| Duration::from_secs_f64(settings.number(key).unwrap_or(key.default) * unit);
        let (hour, day) = (3_600.0, 86_400.0);
        Self {
            steps: seconds(&setting::RETENTION_STEPS, hour),
            runs: seconds(&setting::RETENTION_RUNS, day),
            logs: seconds(&setting::RETENTION_LOGS, day),
            alerts: seconds(&setting::RETENTION_ALERTS, day),
            audit: seconds(&setting::RETENTION_AUDIT, day),
            summaries: seconds(&setting::RETENTION_SUMMARIES, day),
        }
    }
}

/// A kind of rows that grows with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Steps that are done or cancelled.
    Steps,
    /// Dead steps that belong to no run.
    DeadSteps,
    /// Runs, with the steps that are left of them.
    Runs,
    /// What runs that ended left over: staged pages, partitions, ids that were met.
    Pages,
    /// Ids that a verification met which did not end.
    Verifications,
    /// Log entries of runs.
    Logs,
    /// Drift that was not seen again.
    Drift,
    /// Episodes that are over.
    Alerts,
    /// Reminders of episodes that go on.
    Reminders,
    /// Silences and maintenance windows that have ended.
    Silences,
    /// Processes that are gone.
    Workers,
    /// Gates that opened long ago, and limits that were not felt again.
    Gates,
    /// Who changed what by hand.
    Audit,
    /// What the runs of a day add up to, and sizes of tables.
    Summaries,
    /// Webhooks that came, and how many were refused.
    Webhooks,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Steps,
        Self::DeadSteps,
        Self::Runs,
        Self::Pages,
        Self::Verifications,
        Self::Logs,
        Self::Drift,
        Self::Alerts,
        Self::Reminders,
        Self::Silences,
        Self::Workers,
        Self::Gates,
        Self::Audit,
        Self::Summaries,
        Self::Webhooks,
    ];

    /// Its name, as stored and as metrics show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::DeadSteps => "dead_steps",
            Self::Runs => "runs",
            Self::Pages => "pages",
            Self::Verifications => "verifications",
            Self::Logs => "logs",
            Self::Drift => "drift",
            Self::Alerts => "alerts",
            Self::Reminders => "reminders",
            Self::Silences => "silences",
            Self::Workers => "workers",
            Self::Gates => "gates",
            Self::Audit => "audit",
            Self::Summaries => "summaries",
            Self::Webhooks => "webhooks",
        }
    }

    /// How long its rows are kept.
    pub const fn kept(self, retention: &Retention) -> Duration {
        const HOUR: u64 = 3_600;
        match self {
            Self::Steps => retention.steps,
            Self::DeadSteps | Self::Runs => retention.runs,
            Self::Logs | Self::Drift => retention.logs,
            Self::Alerts | Self::Reminders | Self::Silences => retention.alerts,
            Self::Audit => retention.audit,
            Self::Summaries => retention.summaries,
            Self::Pages | Self::Workers => Duration::from_secs(HOUR),
            Self::Verifications | Self::Gates => Duration::from_secs(24 * HOUR),
            Self::Webhooks => Duration::from_secs(7 * 24 * HOUR),
        }
    }
}

/// How long a turn lasts when it is not renewed.
pub const TURN: Duration = Duration::from_secs(60);
/// What was gone through so lately is not gone through again, unless it is behind.
const FRESH: Duration = Duration::from_secs(300);
/// What was not gone through for so long is behind.
const LATE: Duration = Duration::from_secs(900);

/// Whether something is to be done: a kind is behind, or was not gone through lately.
pub async fn is_due(pool: &PgPool) -> Result<bool> {
    let due = sqlx::query_scalar!(
        r#"SELECT count(*) < $1 OR bool_or(behind_since IS NOT NULL) OR min(swept_at) < clock_timestamp() - make_interval(secs => $2)
                  AS "due!"
             FROM syncline.upkeep"#,
        i64::try_from(Kind::ALL.len()).unwrap_or(0),
        FRESH.as_secs_f64()
    )
    .fetch_one(pool)
    .await?;
    Ok(due)
}

/// Takes or renews the turn. False while another process has it.
pub async fn take_turn(pool: &PgPool, holder: Uuid) -> Result<bool> {
    let taken = sqlx::query_scalar!(
        r#"INSERT INTO syncline.upkeep_turn AS t (holder, held_until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
           ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
            WHERE t.holder = excluded.holder OR t.held_until < clock_timestamp()
           RETURNING true AS "taken!""#,
        holder,
        TURN.as_secs_f64()
    )
    .fetch_optional(pool)
    .await?;
    Ok(taken.is_some())
}

/// Gives the turn back, so that another process need not wait.
pub async fn give_turn_back(pool: &PgPool, holder: Uuid) -> Result<()> {
    sqlx::query!("UPDATE syncline.upkeep_turn SET held_until = clock_timestamp() WHERE holder = $1", holder)
        .execute(pool)
        .await?;
    Ok(())
}

/// Writes down what was removed of a kind, and since when it is behind; none when it was gone through to its end.
pub async fn record(pool: &PgPool, kind: Kind, removed: i64, behind_since: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO syncline.upkeep AS u (kind, removed, behind_since) VALUES ($1, $2, $3)
           ON CONFLICT (kind) DO UPDATE
              SET removed = u.removed + excluded.removed, behind_since = excluded.behind_since,
                  swept_at = CASE WHEN excluded.behind_since IS NULL THEN clock_timestamp() ELSE u.swept_at END"#,
        kind.as_str(),
        removed,
        behind_since
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// For each kind, for how many seconds its oldest row has been there longer than it should; also counted where nobody has
/// looked for a quarter of an hour.
pub async fn lags(pool: &PgPool) -> Result<Vec<(String, f64)>> {
    let rows = sqlx::query!(
        r#"SELECT kind, greatest(extract(epoch FROM clock_timestamp()
                                    - coalesce(behind_since, swept_at + make_interval(secs => $1)))::float8, 0) AS "seconds!"
             FROM syncline.upkeep ORDER BY kind"#,
        LATE.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.seconds)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_label_and_a_time() {
        assert_eq!(Kind::ALL.map(Kind::as_str).as_slice(), crate::observe::labels::UPKEEP_KINDS);
        let retention = Retention::default();
        let hours = Kind::ALL.map(|kind| kind.kept(&retention).as_secs() / 3_600);
        assert_eq!(hours, [24, 2160, 2160, 1, 24, 2160, 2160, 2160, 2160, 2160, 1, 24, 9600, 9600, 168]);
    }
}
