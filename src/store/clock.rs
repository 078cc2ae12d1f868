//! The clock that all processes share: the database's.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::Result;

/// A machine whose clock is further off the database's than this says so.
pub const SKEW_LIMIT: TimeDelta = TimeDelta::seconds(5);

/// Has `clock` follow the database's; answers how far this machine's own is ahead of it. `None` for a virtual clock.
pub async fn follow(pool: &PgPool, clock: &Clock) -> Result<Option<TimeDelta>> {
    if !clock.follows() {
        return Ok(None);
    }
    // A connection that has to be made, or waited for, is no part of the reading.
    let mut connection = super::acquire(pool).await?;
    let asked = Instant::now();
    let theirs = now(&mut *connection).await?;
    connection.give_back();
    clock.follow(theirs, asked);
    Ok(Some(clock.own() - clock.now()))
}

/// Keeps with the worker `owner` how far its machine's clock is ahead, where that has changed visibly.
pub async fn keep(pool: &PgPool, owner: Uuid, ahead: TimeDelta) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.worker SET clock_ahead_seconds = $2
            WHERE id = $1 AND abs(coalesce(clock_ahead_seconds, 0) - $2) > 1"#,
        owner,
        ahead.as_seconds_f64(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The time now.
pub async fn now(executor: impl PgExecutor<'_>) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(executor).await?)
}
