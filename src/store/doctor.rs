//! What `syncline doctor` asks the database: its settings, its clock, and the work that does not go on.
//!
//! What must hold: nothing is changed, and no query takes longer the more issues the replica holds.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};

use crate::clock::Clock;
use crate::store::connect::session_options;
use crate::store::patience::{ANSWER, within};
use crate::store::{PoolOptions, Result, Route};

/// The server, as it is set up.
#[derive(Clone, Debug)]
pub struct Server {
    /// `15.8 (Debian 15.8-0+deb12u1)`.
    pub version: String,
    /// Whether commits reach the disk.
    pub fsync: bool,
    /// Whether pages survive a write that was torn by a crash.
    pub full_page_writes: bool,
    /// `on`, `off`, `local`, …
    pub synchronous_commit: String,
    /// The time limit of statements, as sessions have it: `1min`, or `0` for none.
    pub statement_timeout: String,
    /// Whether dead rows are removed without being asked for.
    pub autovacuum: bool,
    /// How many transactions old the oldest row may be that is not frozen; at 2,100,000,000 the server stops writing.
    pub unfrozen_transactions: i64,
    /// How the database writes texts; anything but `UTF8` does not do.
    pub encoding: String,
    /// Connections that ordinary users may open.
    pub connection_limit: i64,
    /// Connections that are open now, this one included.
    pub connections: i64,
    /// Whether writes are refused: a standby, or `default_transaction_read_only`.
    pub read_only: bool,
    /// The server's clock.
    pub now: DateTime<Utc>,
    /// The size of the database.
    pub size_bytes: i64,
    /// The age of the oldest transaction in this database that somebody left open.
    pub oldest_transaction_seconds: Option<f64>,
    /// Whose it is: process id, role, program and state.
    pub oldest_transaction: Option<String>,
}

/// A table that holds more dead rows than living ones.
#[derive(Clone, Debug)]
pub struct BloatedTable {
    /// Its name.
    pub name: String,
    /// Dead rows.
    pub dead: i64,
    /// Rows.
    pub live: i64,
}

/// The schedule of a project that should be followed.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// SITE/KEY.
    pub project: String,
    /// The cron expression.
    pub cron: String,
    /// Its time zone.
    pub time_zone: String,
    /// Whether it is paused while its project is not.
    pub paused: bool,
    /// Why, if the scheduler paused it.
    pub reason: Option<String>,
    /// How long its run is overdue; negative when it is still to come.
    pub overdue_seconds: f64,
}

/// A project whose last run failed, or which has never been synchronised.
#[derive(Clone, Debug)]
pub struct TroubledProject {
    /// SITE/KEY.
    pub project: String,
    /// Why the last run failed; none when none failed.
    pub error_code: Option<String>,
    /// Who must do what.
    pub error_advice: Option<String>,
}

/// Asks for the server's settings.
pub async fn server(pool: &PgPool) -> Result<Server> {
    let server = sqlx::query_as!(
        Server,
        r#"SELECT current_setting('server_version') AS "version!", current_setting('fsync')::bool AS "fsync!",
                  current_setting('full_page_writes')::bool AS "full_page_writes!",
                  current_setting('synchronous_commit') AS "synchronous_commit!",
                  current_setting('statement_timeout') AS "statement_timeout!",
                  current_setting('server_encoding') AS "encoding!", current_setting('autovacuum')::bool AS "autovacuum!",
                  (SELECT age(datfrozenxid)::int8 FROM pg_database WHERE datname = current_database()) AS "unfrozen_transactions!",
                  current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8
                      AS "connection_limit!",
                  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS "connections!",
                  pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS "read_only!",
                  clock_timestamp() AS "now!", pg_database_size(current_database()) AS "size_bytes!",
                  (SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::float8 FROM pg_stat_activity
                    WHERE datname = current_database() AND backend_type = 'client backend') AS oldest_transaction_seconds,
                  (SELECT format('pid %s of %s (%s, %s)', pid, coalesce(usename, '?'), coalesce(nullif(application_name, ''), 'no name'), coalesce(state, '?'))
                     FROM pg_stat_activity
                    WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS NOT NULL
                    ORDER BY xact_start LIMIT 1) AS oldest_transaction"#
    )
    .fetch_one(pool)
    .await?;
    Ok(server)
}

/// What sessions should find where nobody sets anything: name, the values that are well, why others are not.
const USUAL: &[(&str, &[&str], &str)] = &[
    ("default_transaction_isolation", &["read committed"], "conflicting transactions fail and must be repeated"),
    ("default_transaction_deferrable", &["off"], "transactions may wait before they begin"),
    ("search_path", &["\"$user\", public", "public", ""], "names may refer to the wrong objects"),
    ("IntervalStyle", &["postgres"], "intervals have another format"),
    ("bytea_output", &["hex"], "bytes have another format"),
    ("standard_conforming_strings", &["on"], "backslashes in strings have another meaning"),
    ("transform_null_equals", &["off"], "comparisons with NULL give other results"),
];

/// Time limits below this end work that is merely long.
const SHORT_MILLIS: i64 = 5_000;

/// A setting that a role or the database gives to every session, other than programs expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddSetting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it does.
    pub effect: &'static str,
}

/// What sessions are given by the role, the database or the server's configuration that they should not be given. Asked by a
/// session that sets nothing of its own.
///
/// # Errors
/// When the database cannot be asked.
pub async fn odd_settings(url: &SecretString) -> Result<Vec<OddSetting>> {
    let plain = PoolOptions { route: Route::Pooler, ..PoolOptions::default() };
    let options = session_options(url, &plain)?;
    within(ANSWER, async {
        let mut connection = options.connect().await?;
        let limits =
            ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"];
        let names: Vec<String> = USUAL.iter().map(|(name, ..)| *name).chain(limits).map(str::to_owned).collect();
        let found = sqlx::query!(
            r#"SELECT name AS "name!", coalesce(setting, '') AS "value!", coalesce(unit = 'ms', false) AS "is_limit!"
                 FROM pg_catalog.pg_settings WHERE name = ANY ($1)"#,
            &names
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(found.into_iter().filter_map(|row| odd(row.name, row.value, row.is_limit)).collect())
    })
    .await
}

fn odd(name: String, value: String, is_limit: bool) -> Option<OddSetting> {
    if is_limit {
        let is_short = value.parse::<i64>().is_ok_and(|millis| millis > 0 && millis < SHORT_MILLIS);
        let effect = "slow work is ended";
        return is_short.then(|| OddSetting { name, value: format!("{value} ms"), effect });
    }
    let (_, usual, effect) = USUAL.iter().find(|(known, ..)| *known == name)?;
    (!usual.contains(&value.as_str())).then_some(OddSetting { name, value, effect })
}

/// How long a notification takes from here to here. `direct_url` is the way around a pooler, where there is one. None when
/// nothing arrived within `limit`.
pub async fn notify_round_trip(
    pool: &PgPool,
    direct_url: Option<&SecretString>,
    clock: &Clock,
    limit: Duration,
) -> Result<Option<Duration>> {
    const CHANNEL: &str = "syncline_doctor";
    let own_pool = match direct_url {
        Some(url) => Some(PgPoolOptions::new().max_connections(1).connect(url.expose_secret()).await?),
        None => None,
    };
    let mut listener = PgListener::connect_with(own_pool.as_ref().unwrap_or(pool)).await?;
    listener.listen(CHANNEL).await?;
    let word = clock.new_id().to_string();
    let sent = Instant::now();
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, word).fetch_one(pool).await?;
    let heard = tokio::time::timeout(limit, async {
        // Another doctor may be listening to the same channel.
        while listener.recv().await?.payload() != word {}
        Ok(sent.elapsed())
    });
    heard.await.ok().transpose()
}

/// Tables that hold many dead rows.
pub async fn bloated_tables(pool: &PgPool) -> Result<Vec<BloatedTable>> {
    let tables = sqlx::query_as!(
        BloatedTable,
        r#"SELECT relname::text AS "name!", n_dead_tup AS "dead!", n_live_tup AS "live!" FROM pg_stat_user_tables
            WHERE schemaname = 'syncline' AND n_dead_tup > 100000 AND n_dead_tup > n_live_tup
            ORDER BY n_dead_tup DESC"#
    )
    .fetch_all(pool)
    .await?;
    Ok(tables)
}

/// The schedules of active projects.
pub async fn schedules(pool: &PgPool) -> Result<Vec<Schedule>> {
    let schedules = sqlx::query_as!(
        Schedule,
        r#"SELECT s.name || '/' || p.key AS "project!", c.cron, c.time_zone, c.state = 'paused' AS "paused!",
                  CASE WHEN c.state = 'paused' THEN
                      (SELECT l.message FROM syncline.sync_log l
                        WHERE l.project_id = p.id AND l.event = 'schedule_paused' ORDER BY l.id DESC LIMIT 1)
                  END AS reason,
                  extract(epoch FROM clock_timestamp() - c.next_run_at)::float8 AS "overdue_seconds!"
             FROM syncline.schedule c
             JOIN syncline.project p ON p.id = c.project_id AND p.state = 'active'
             JOIN syncline.site s ON s.id = p.site_id
            ORDER BY 1"#
    )
    .fetch_all(pool)
    .await?;
    Ok(schedules)
}

/// Active projects whose last run failed, and those that no run has brought here yet.
pub async fn troubled_projects(pool: &PgPool) -> Result<Vec<TroubledProject>> {
    let projects = sqlx::query_as!(
        TroubledProject,
        r#"SELECT s.name || '/' || p.key AS "project!", CASE WHEN r.state = 'failed' THEN r.error_code END AS error_code,
                  CASE WHEN r.state = 'failed' THEN r.error_advice END AS error_advice
             FROM syncline.project p
             JOIN syncline.site s ON s.id = p.site_id
             LEFT JOIN LATERAL (
                  SELECT t.state, t.error_code, t.error_advice FROM syncline.sync_run t
                   WHERE t.project_id = p.id AND t.state IN ('succeeded', 'failed')
                   ORDER BY t.created_at DESC LIMIT 1) r ON true
            WHERE p.state = 'active'
              AND (r.state = 'failed'
                   OR NOT EXISTS (SELECT 1 FROM syncline.sync_state e
                                   WHERE e.project_id = p.id AND e.last_sync_time IS NOT NULL))
            ORDER BY 1"#
    )
    .fetch_all(pool)
    .await?;
    Ok(projects)
}
