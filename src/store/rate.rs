//! The fleet's rate gate: buckets that requests are paid from, pauses that everyone keeps, the plan of an hourly quota.
//!
//! A bucket is a schedule of turns. Whoever takes some gets times at which to ask, one after the other at the bucket's
//! rate, also when they lie in the future (then `tokens` is negative); so nobody polls, and requests of several processes
//! are spread as evenly as those of one. The rate itself is decided by [`crate::domain::rate`] and written here by
//! comparing the time of its last change, so that of many who would adapt it only one does.
//!
//! What must hold: one statement per call, no waiting inside it; times are the database's, callers are given durations; a
//! process that dies with turns in its hands costs those turns and nothing else.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::Result;
use crate::domain::rate::{RETURN_FROM, RETURN_LEAST, RETURN_LEAST_SECONDS, RETURN_SECONDS};
use crate::domain::setting::Settings;

/// A limit that has not been felt for so long is forgotten.
const FORGOTTEN_AFTER_SECONDS: f64 = 86_400.0;
/// What a site's requests are held to.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteLimits {
    /// The site's name here.
    pub name: String,
    /// How many requests a process may have under way at once.
    pub max_concurrency: i32,
    /// The hourly quota of points, where it has one.
    pub points_per_hour: Option<i32>,
}

/// What holds for the sites that were asked about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Keys of the buckets that requests must be paid from.
    pub buckets: Vec<String>,
    /// The pauses that are on, and those after which requests still return by degrees.
    pub pauses: Vec<Pause>,
    /// Of those that are on, the keys of the ones that a spent quota asked for.
    pub quotas: Vec<String>,
    /// Processes that work.
    pub workers: i64,
    /// What is set for all.
    pub settings: Settings,
}

/// A pause that Jira asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Pause {
    /// The site or the endpoint.
    pub key: String,
    /// How long it still lasts.
    pub left: Duration,
    /// How long ago it ended, where it did.
    pub ended_ago: Duration,
    /// How long it is in all, from when it was asked for last.
    pub length: Duration,
}

/// The limits of a site; `None` when it is gone.
pub async fn site_limits(pool: &PgPool, site_id: Uuid) -> Result<Option<SiteLimits>> {
    let limits = sqlx::query_as!(
        SiteLimits,
        "SELECT name, max_concurrency, points_per_hour FROM syncline.site WHERE id = $1",
        site_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(limits)
}

/// Buckets and pauses of the sites `sites` (`site:{id}` each), and of their endpoints.
pub async fn standing(pool: &PgPool, sites: &[String]) -> Result<Standing> {
    let row = sqlx::query!(
        r#"
        WITH bucket AS (
            SELECT key FROM syncline.rate_bucket
             WHERE split_part(key, '/', 1) = ANY ($1) AND limited_at > clock_timestamp() - make_interval(secs => $2)
        ), gate AS (
            SELECT key, reason, extract(epoch FROM paused_until - clock_timestamp())::float8 AS seconds,
                   extract(epoch FROM paused_until - updated_at)::float8 AS length
              FROM syncline.rate_gate
             WHERE split_part(key, '/', 1) = ANY ($1) AND paused_until > clock_timestamp() - make_interval(secs => $3)
        )
        SELECT (SELECT coalesce(array_agg(key), '{}') FROM bucket) AS "buckets!",
               (SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM gate) AS "paused!",
               (SELECT coalesce(array_agg(seconds ORDER BY key), '{}') FROM gate) AS "seconds!",
               (SELECT coalesce(array_agg(length ORDER BY key), '{}') FROM gate) AS "lengths!",
               (SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM gate WHERE reason = 'QUOTA' AND seconds > 0) AS "quotas!",
               (SELECT count(*) FROM syncline.worker WHERE lease_until > clock_timestamp()) AS "workers!",
               syncline.effective_settings(NULL, NULL) AS "settings!"
        "#,
        sites,
        FORGOTTEN_AFTER_SECONDS,
        RETURN_SECONDS
    )
    .fetch_one(pool)
    .await?;
    let paused = row.paused.into_iter().zip(row.seconds).zip(row.lengths);
    let pauses = paused
        .map(|((key, left), length)| Pause {
            key,
            left: seconds(left),
            ended_ago: seconds(-left),
            length: seconds(length),
        })
        .collect();
    Ok(Standing {
        buckets: row.buckets,
        quotas: row.quotas,
        pauses,
        workers: row.workers,
        settings: Settings::new(&row.settings),
    })
}

/// What is asked of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The bucket's key.
    pub key: &'a str,
    /// The keys of the pauses that hold for it.
    pub gates: &'a [String],
    /// Turns that are wanted.
    pub wanted: i32,
    /// Turns that were given and not used in time.
    pub returned: f64,
    /// How far ahead turns may be given, beyond the first.
    pub horizon: Duration,
    /// A new rate, where one is due.
    pub change: Option<Change>,
}

/// A new rate, decided upon what was known.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// [`Turns::adapted_at`] of what was known: the change counts only if nobody changed it since.
    pub known_at: DateTime<Utc>,
    /// Requests per second.
    pub rate: f64,
    /// What may be asked at once.
    pub burst: f64,
    /// What Jira said was left.
    pub remaining: Option<f64>,
    /// Whether the limit is near.
    pub felt: bool,
}

/// What a bucket answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turns {
    /// Turns given, at most as many as were wanted.
    pub given: i32,
    /// How long until the first of them, or until it is worth asking again when none was given.
    pub first_in: Duration,
    /// Requests per second, as learnt.
    pub rate: f64,
    /// Requests per second now: the distance of the others. Less than the rate for a while after a pause.
    pub pace: f64,
    /// How long everyone pauses; no turn is given then.
    pub paused_for: Option<Duration>,
    /// When the rate was last decided.
    pub adapted_at: DateTime<Utc>,
    /// How long ago that was.
    pub age: Duration,
    /// The rate at which Jira last refused.
    pub ceiling: Option<f64>,
    /// What Jira said was left when the rate was decided.
    pub remaining: Option<f64>,
}

/// Takes turns from a bucket; `None` where there is none: nothing is known of a limit, or no longer.
pub async fn take(pool: &PgPool, ask: Ask<'_>) -> Result<Option<Turns>> {
    let change = ask.change;
    let row = sqlx::query!(
        r#"
        WITH held AS MATERIALIZED (
            SELECT * FROM syncline.rate_bucket
             WHERE key = $1 AND limited_at > clock_timestamp() - make_interval(secs => $11) FOR UPDATE
        ), adapted AS MATERIALIZED (
            SELECT clock_timestamp() AS at, held.tokens, held.refilled_at, held.updated_at = $6 AS is_change,
                   CASE WHEN held.updated_at = $6 THEN $7 ELSE held.rate_per_second END AS rate,
                   CASE WHEN held.updated_at = $6 THEN $8 ELSE held.burst END AS burst,
                   g.pause_ends, g.returns_in
              FROM held LEFT JOIN LATERAL (
                   SELECT p.paused_until AS pause_ends,
                          least($12::float8, greatest($15::float8, extract(epoch FROM p.paused_until - p.updated_at)::float8)) AS returns_in
                     FROM syncline.rate_gate p WHERE p.key = ANY ($2) ORDER BY p.paused_until DESC LIMIT 1) g ON true
        ), paced AS MATERIALIZED (
            -- After a pause requests return by degrees, whichever process asks.
            SELECT a.*, CASE WHEN a.pause_ends > a.at THEN a.pause_ends END AS paused_until,
                   least(a.rate, greatest($14::float8, a.rate * CASE WHEN a.pause_ends IS NULL THEN 1
                       ELSE $13::float8 + (1 - $13::float8) * greatest(extract(epoch FROM a.at - a.pause_ends)::float8, 0) / a.returns_in END)) AS pace
              FROM adapted a
        ), filled AS MATERIALIZED (
            -- Nothing is due in a pause, so nothing is made up for afterwards; turns that were given before it are void, and owe nothing.
            SELECT a.*, least(a.burst, CASE WHEN a.pause_ends > a.refilled_at THEN 0 ELSE a.tokens + $4 END + a.pace * greatest(extract(epoch FROM a.at - greatest(a.refilled_at, a.pause_ends))::float8, 0)) AS level
              FROM paced a
        ), given AS MATERIALIZED (
            SELECT f.*, CASE WHEN f.paused_until IS NULL
                             -- The first one is given up to its own distance ahead, or a slow bucket would give none.
                             THEN least($3::int, greatest(floor(f.level + greatest(f.pace * $5, 1)), 0)::int)
                             ELSE 0 END AS n
              FROM filled f
        )
        UPDATE syncline.rate_bucket b
           SET tokens = g.level - g.n, refilled_at = g.at, rate_per_second = g.rate, burst = g.burst,
               remaining = CASE WHEN g.is_change THEN $9 ELSE b.remaining END,
               -- A ceiling is believed a little less every minute.
               ceiling = CASE WHEN g.is_change THEN b.ceiling * (1 + 0.01 * least(extract(epoch FROM g.at - b.updated_at)::float8, 60) / 60) ELSE b.ceiling END,
               limited_at = CASE WHEN g.is_change AND $10 THEN g.at ELSE b.limited_at END,
               updated_at = CASE WHEN g.is_change THEN g.at ELSE b.updated_at END
          FROM given g
         WHERE b.key = $1
        RETURNING g.n AS "given!", g.level AS "level!", g.rate AS "rate!", g.pace AS "pace!", b.updated_at, b.ceiling, b.remaining,
                  extract(epoch FROM g.at - b.updated_at)::float8 AS "age!",
                  extract(epoch FROM g.paused_until - g.at)::float8 AS paused_for
        "#,
        ask.key,
        ask.gates,
        ask.wanted,
        ask.returned,
        ask.horizon.as_secs_f64(),
        change.map(|change| change.known_at),
        change.map(|change| change.rate),
        change.map(|change| change.burst),
        change.and_then(|change| change.remaining),
        change.is_some_and(|change| change.felt),
        FORGOTTEN_AFTER_SECONDS,
        RETURN_SECONDS,
        RETURN_FROM,
        RETURN_LEAST,
        RETURN_LEAST_SECONDS,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        let first = (1.0 - row.level) / row.pace;
        let ahead = ask.horizon.as_secs_f64().max(1.0 / row.pace);
        Turns {
            given: row.given,
            first_in: seconds(if row.given > 0 { first } else { first - ahead }),
            rate: row.rate,
            pace: row.pace,
            paused_for: row.paused_for.map(seconds),
            adapted_at: row.updated_at,
            age: seconds(row.age),
            ceiling: row.ceiling,
            remaining: row.remaining,
        }
    }))
}

/// A limit was felt that has no bucket yet: makes one; false when another process was first.
pub async fn open_bucket(pool: &PgPool, key: &str, rate: f64, burst: f64) -> Result<bool> {
    let made = sqlx::query!(
        r#"INSERT INTO syncline.rate_bucket (key, rate_per_second, burst, tokens) VALUES ($1, $2, $3, 0)
           ON CONFLICT (key) DO UPDATE SET rate_per_second = excluded.rate_per_second, burst = excluded.burst, tokens = 0,
                  limited_at = clock_timestamp(), refused_at = NULL, ceiling = NULL, remaining = NULL,
                  updated_at = clock_timestamp()
            WHERE rate_bucket.limited_at < clock_timestamp() - make_interval(secs => $4)"#,
        key,
        rate,
        burst,
        FORGOTTEN_AFTER_SECONDS,
    )
    .execute(pool)
    .await?;
    Ok(made.rows_affected() > 0)
}

/// The rate of a bucket, and how long ago it was last refused; `None` where there is no bucket.
pub async fn refused_rate(pool: &PgPool, key: &str) -> Result<Option<(f64, Option<Duration>)>> {
    let row = sqlx::query!(
        r#"SELECT rate_per_second, extract(epoch FROM clock_timestamp() - refused_at)::float8 AS since
             FROM syncline.rate_bucket
            WHERE key = $1 AND limited_at > clock_timestamp() - make_interval(secs => $2)"#,
        key,
        FORGOTTEN_AFTER_SECONDS,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.rate_per_second, row.since.map(seconds))))
}

/// A refusal, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The key of what pauses: its gate and its bucket.
    pub key: &'a str,
    /// For how long.
    pub pause: Duration,
    /// The code of the failure.
    pub reason: &'a str,
    /// The rate to go on with.
    pub rate: f64,
    /// What may be asked at once.
    pub burst: f64,
    /// Whether the rate that was refused is to be remembered as too high.
    pub is_limit: bool,
}

/// Jira refused: everyone pauses, and the bucket goes on at another rate afterwards. Of refusals that come together only
/// the first changes the rate; false for the others.
pub async fn refuse(pool: &PgPool, refusal: Refusal<'_>) -> Result<bool> {
    let changed = sqlx::query!(
        r#"
        WITH gate AS (
            INSERT INTO syncline.rate_gate (key, paused_until, reason)
            VALUES ($1, clock_timestamp() + make_interval(secs => $2), $3)
            ON CONFLICT (key) DO UPDATE
               SET paused_until = greatest(rate_gate.paused_until, excluded.paused_until), reason = excluded.reason,
                   updated_at = clock_timestamp()
        )
        INSERT INTO syncline.rate_bucket (key, rate_per_second, burst, tokens, refused_at)
        VALUES ($1, $4, $5, 0, clock_timestamp())
        ON CONFLICT (key) DO UPDATE
           SET ceiling = CASE WHEN $6 THEN rate_bucket.rate_per_second ELSE rate_bucket.ceiling END, rate_per_second = excluded.rate_per_second, burst = excluded.burst,
               tokens = least(rate_bucket.tokens, 0), remaining = NULL, refused_at = clock_timestamp(),
               limited_at = clock_timestamp(), updated_at = clock_timestamp()
         WHERE rate_bucket.refused_at IS NULL OR rate_bucket.refused_at < clock_timestamp() - make_interval(secs => greatest($2, 1))
        "#,
        refusal.key,
        refusal.pause.as_secs_f64(),
        refusal.reason,
        refusal.rate,
        refusal.burst,
        refusal.is_limit,
    )
    .execute(pool)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Everyone behind `gate` pauses, for a reason that is no rate's.
pub async fn pause(pool: &PgPool, gate: &str, pause: Duration, reason: &str) -> Result<()> {
    let mut connection = super::acquire(pool).await?;
    super::step::shut_gate(&mut connection, gate, pause, reason).await?;
    connection.give_back();
    Ok(())
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 1e9)).unwrap_or_default()
}
