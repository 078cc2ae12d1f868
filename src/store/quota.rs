//! The plan of an hour's points, of sites that have a quota: one row per site, shared by all processes.
//!
//! What must hold: what is given in an hour, and what may be spent at once, together never exceed the quota.

use std::time::Duration;

use sqlx::PgPool;

use super::Result;
use super::rate::seconds;

/// The share of an hour's points that may be spent at once after a rest.
const QUOTA_BURST: f64 = 0.05;

/// What an hour's plan answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Points {
    /// Points given, at most as many as were wanted.
    pub given: f64,
    /// How long until they may be spent, or until it is worth asking again when none were given.
    pub ready_in: Duration,
}

/// Takes points from the hour's plan: what is left is spread evenly over what is left of the hour, and a little may be
/// spent at once. `correction` is what earlier requests cost more, or less, than was taken for them.
pub async fn spend(
    pool: &PgPool,
    key: &str,
    points_per_hour: f64,
    wanted: f64,
    correction: f64,
    horizon: Duration,
) -> Result<Points> {
    let row = sqlx::query!(
        r#"
        WITH made AS (
            INSERT INTO syncline.rate_quota (key, points_per_hour, tokens, resets_at)
            VALUES ($1, $2::float8, $2::float8 * $6::float8, date_trunc('hour', clock_timestamp(), 'UTC') + interval '1 hour')
            ON CONFLICT (key) DO NOTHING RETURNING 1
        ), held AS MATERIALIZED (
            SELECT * FROM syncline.rate_quota WHERE key = $1 FOR UPDATE
        ), hour AS MATERIALIZED (
            -- Each hour begins as the first one does: a little may be spent at once.
            SELECT clock_timestamp() AS at, h.refilled_at,
                   CASE WHEN h.resets_at > clock_timestamp() THEN h.tokens ELSE greatest(h.tokens, $2::float8 * $6::float8) END AS tokens,
                   CASE WHEN h.resets_at > clock_timestamp() THEN h.spent ELSE 0 END AS spent,
                   CASE WHEN h.resets_at > clock_timestamp() THEN h.resets_at
                        ELSE date_trunc('hour', clock_timestamp(), 'UTC') + interval '1 hour' END AS resets_at
              FROM held h
        ), plan AS MATERIALIZED (
            -- What may be spent at once is part of the quota, so that both together never exceed it.
            SELECT h.*, greatest($2::float8 - h.spent - greatest(h.tokens, 0), 0)
                        / greatest(extract(epoch FROM h.resets_at - h.at)::float8, 1) AS rate,
                   extract(epoch FROM h.resets_at - h.at)::float8 AS until_reset
              FROM hour h
        ), filled AS MATERIALIZED (
            SELECT p.*, least($2::float8 * $6::float8, $2::float8 - p.spent,
                              p.tokens - $4::float8 + p.rate * greatest(extract(epoch FROM p.at - p.refilled_at)::float8, 0)) AS level
              FROM plan p
        ), given AS MATERIALIZED (
            -- A request that costs more than may be spent at once is given when all of that is there; it is paid back after.
            SELECT f.*, CASE WHEN f.level + f.rate * $5::float8 >= least($3::float8, $2::float8 * $6::float8) AND f.used + $3::float8 <= $2::float8 THEN $3::float8 ELSE 0 END AS n
              FROM (SELECT l.*, -- Of an hour that is spent nothing comes back, also not what was taken for too dear.
                           CASE WHEN l.spent >= $2::float8 THEN greatest(l.spent + $4::float8, $2::float8) ELSE l.spent + $4::float8 END AS used
                      FROM filled l) f
        )
        UPDATE syncline.rate_quota q
           SET points_per_hour = $2::float8, spent = g.used + g.n, tokens = g.level - g.n, refilled_at = g.at,
               resets_at = g.resets_at
          FROM given g
         WHERE q.key = $1
        RETURNING g.n AS "given!", g.level AS "level!", g.rate AS "rate!", g.until_reset AS "until_reset!"
        "#,
        key,
        points_per_hour,
        wanted,
        correction,
        horizon.as_secs_f64(),
        QUOTA_BURST,
    )
    .fetch_optional(pool)
    .await?;
    // The row was made by this very statement, which cannot see it yet.
    let Some(row) = row else { return Ok(Points { given: 0.0, ready_in: Duration::ZERO }) };
    let needed = wanted.min(points_per_hour * QUOTA_BURST);
    let wait = if row.rate > 0.0 { (needed - row.level) / row.rate } else { row.until_reset };
    let ready_in =
        if row.given > 0.0 { wait } else { (wait - horizon.as_secs_f64()).clamp(0.05, row.until_reset.max(0.05)) };
    Ok(Points { given: row.given, ready_in: seconds(ready_in) })
}

/// Jira says that the hour's quota is spent, also by others: nothing is given before it is refilled.
pub async fn spend_all(pool: &PgPool, key: &str) -> Result<()> {
    sqlx::query!("UPDATE syncline.rate_quota SET spent = points_per_hour, tokens = 0 WHERE key = $1", key)
        .execute(pool)
        .await?;
    Ok(())
}
