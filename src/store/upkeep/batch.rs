//! One batch of each kind: a statement that looks at a bounded number of rows and removes those that need not stay.
//!
//! Rows to be removed are named as an array, so that they are found by their key whatever the planner thinks of a limit that
//! it does not know; times are `statement_timestamp()`, which an index may be asked for (`clock_timestamp()` may not).

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Kind, Retention, of_others, of_runs};
use crate::store::Result;

/// Where the next batch of a round begins: behind this row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub(super) at: DateTime<Utc>,
    pub(super) id: Uuid,
}

/// What one batch did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch {
    /// Whether this process may remove just now; if not, nothing was done.
    pub is_mine: bool,
    /// Whether there may be more; if not, the kind has been gone through.
    pub is_full: bool,
    /// Rows that were removed.
    pub removed: i64,
    /// Where to go on.
    pub next: Position,
    /// How old the rows are that were reached; none where a kind has no order of time.
    pub reached: Option<DateTime<Utc>>,
}

/// What a statement answers: whether it was this process's turn, how many rows it looked at and removed, and the last one.
#[derive(Default)]
pub(super) struct Row {
    pub mine: bool,
    pub seen: i64,
    pub removed: i64,
    pub last_at: Option<DateTime<Utc>>,
    pub last_id: Option<Uuid>,
}

/// Removes up to `limit` rows of a kind that are to be kept no longer, behind `from`. Whatever hangs on a run or an episode goes
/// with it; of these, fewer are taken at once.
pub async fn batch(pool: &PgPool, kind: Kind, retention: &Retention, from: Position, limit: i64) -> Result<Batch> {
    let kept = kind.kept(retention).as_secs_f64();
    let few = (limit / 20).max(1);
    let (row, limit) = match kind {
        Kind::Steps => (of_runs::steps(pool, kept, from, limit).await?, limit),
        Kind::DeadSteps => (of_runs::dead_steps(pool, kept, from, limit).await?, limit),
        Kind::Runs => (of_runs::runs(pool, kept, from, few, limit).await?, few),
        Kind::Pages => (of_runs::pages(pool, kept, limit).await?, limit),
        Kind::Verifications => (of_others::verifications(pool, kept, limit).await?, limit),
        Kind::Logs => (of_others::logs(pool, kept, limit).await?, limit),
        Kind::Drift => (of_others::drift(pool, kept, limit).await?, limit),
        Kind::Alerts => (of_others::alerts(pool, kept, few).await?, few),
        Kind::Reminders => (of_others::reminders(pool, kept, limit).await?, limit),
        Kind::Silences => (of_others::silences(pool, kept, limit).await?, limit),
        Kind::Workers => (of_others::workers(pool, kept, limit).await?, limit),
        Kind::Gates => (of_others::gates(pool, kept, limit).await?, limit),
        Kind::Audit => (of_others::audit(pool, kept, limit).await?, limit),
        Kind::Summaries => (of_others::summaries(pool, kept, limit).await?, limit),
        Kind::Webhooks => (of_others::webhooks(pool, kept, limit).await?, limit),
    };
    let next = Position { at: row.last_at.unwrap_or(from.at), id: row.last_id.unwrap_or(from.id) };
    let reached = row.last_at.or_else(|| row.last_id.and_then(made_at));
    Ok(Batch { is_mine: row.mine, is_full: row.seen >= limit, removed: row.removed, next, reached })
}

/// When an id was made: the first 48 bits of a UUIDv7.
fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(id.as_u128() >> 80).ok()?)
}
