//! From a database URL to a pool, or to an error that says which part of the URL is wrong.
//!
//! What must hold: the first connection is made here, so that a wrong URL, a dead server or a wrong password is found
//! before any work starts; every session carries time-outs, so that a stuck one releases its locks by itself; behind a
//! pooler in transaction mode nothing is sent at start-up that PgBouncer refuses.

use std::str::FromStr;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use secrecy::{ExposeSecret, SecretString};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Postgres};
use url::Url;

use super::Error;
use super::error::{code, may_be_read_only};
use super::parameters;
use crate::observe::{events, metrics};

/// The oldest PostgreSQL that is supported, as the server counts: major version times 10,000.
pub const MINIMUM_SERVER_VERSION: u32 = 140_000;

/// What lies between this program and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Route {
    /// The server itself: sessions are ours, `LISTEN` and session settings work.
    #[default]
    Direct,
    /// A pooler in transaction mode. Needs PgBouncer 1.21 or newer with `max_prepared_statements` above 0. The session
    /// time-outs cannot be set from here; give them to the role instead (`ALTER ROLE … SET statement_timeout = '60s'`).
    Pooler,
}

/// How large a pool is and how its sessions behave.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// The most connections that are open at a time.
    pub max_connections: u32,
    /// How long to wait for the first connection, and for a free one later.
    pub acquire_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// A statement that takes longer is ended by the server.
    pub statement_timeout: Duration,
    /// What lies between.
    pub route: Route,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            application_name: "syncline".to_owned(),
            statement_timeout: Duration::from_secs(60),
            route: Route::Direct,
        }
    }
}

/// Connects to `url` and makes a pool of it. A pooler is recognised by what it refuses, and taken for [`Route::Pooler`].
///
/// # Errors
/// [`Error::BadUrl`], [`Error::Unreachable`], [`Error::LoginRefused`], [`Error::DatabaseMissing`] and [`Error::TooOld`];
/// none of them shows the password.
pub async fn connect(url: &SecretString, options: &PoolOptions) -> Result<PgPool, Error> {
    match connect_by(url, options).await {
        Err(Error::Unreachable { source, .. }) if options.route == Route::Direct && refuses_settings(&source) => {
            tracing::info!(event = events::POOLER_FOUND, "sessions are a pooler's: their time limits are the role's");
            connect_by(url, &PoolOptions { route: Route::Pooler, ..options.clone() }).await
        }
        connected => connected,
    }
}

/// Whether a pool's sessions belong to a pooler in transaction mode.
pub fn is_pooled(pool: &PgPool) -> bool {
    pool.connect_options().get_options().is_none()
}

/// PgBouncer answers to settings that it does not keep per session: "unsupported startup parameter", a protocol violation.
fn refuses_settings(source: &sqlx::Error) -> bool {
    code(source).as_deref() == Some("08P01")
}

async fn connect_by(url: &SecretString, options: &PoolOptions) -> Result<PgPool, Error> {
    let session = session_options(url, options)?;
    let server = server_name(&session);
    let connection = first_connection(&session, &server, options.acquire_timeout).await?;
    // A pooler announces the version of the server behind it.
    if let Some(found) = connection.server_version_num().filter(|found| *found < MINIMUM_SERVER_VERSION) {
        return Err(Error::TooOld { server, found: found / 10_000 });
    }
    connection.close().await?;
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(options.acquire_timeout)
        // A ping before every use would double the round trips of a busy worker; a connection that was used a moment ago
        // needs none, one that has slept may belong to a server that has restarted since.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if may_be_read_only(meta.age) {
                    return Ok(false);
                }
                if meta.idle_for > Duration::from_secs(1) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(session))
}

/// Takes a connection out of the pool, and records how long that took.
///
/// # Errors
/// When none is free, or the server not there, within the pool's limit.
pub async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>, Error> {
    let asked = Instant::now();
    let connection = pool.acquire().await;
    metrics::db_pool_acquired(asked.elapsed());
    Ok(connection?)
}

/// Attempts at the first connection that may be under way at once.
const ATTEMPTS: u32 = 4;

/// Connects within `limit`. Now and then the start of a session stands still on a busy server, and one that is starting or
/// has no place just then refuses it: another attempt beside the first costs little, and the process need not die of it.
async fn first_connection(session: &PgConnectOptions, server: &str, limit: Duration) -> Result<PgConnection, Error> {
    let stagger = limit / ATTEMPTS;
    let mut under_way = FuturesUnordered::new();
    let mut refused = None;
    let ended = tokio::time::timeout(limit, async {
        loop {
            under_way.push(session.connect());
            let next = tokio::time::sleep(stagger);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    Some(answer) = under_way.next() => match answer {
                        Err(source) if is_passing(&source) => refused = Some(source),
                        answer => return answer,
                    },
                }
            }
        }
    });
    match ended.await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(source)) => Err(explain(session, server.to_owned(), source)),
        Err(_) => {
            let message = format!("no answer within {} s", limit.as_secs());
            let silent = || sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message));
            Err(Error::Unreachable { server: server.to_owned(), source: refused.unwrap_or_else(silent) })
        }
    }
}

/// Whether a server that refuses a session may take it in a moment: it is starting, or all its places are taken.
fn is_passing(source: &sqlx::Error) -> bool {
    matches!(code(source).as_deref(), Some("57P03" | "53300"))
}

/// The options of one session, for connections that must live outside a pool (`LISTEN`, advisory locks).
///
/// # Errors
/// [`Error::BadUrl`].
pub fn session_options(url: &SecretString, options: &PoolOptions) -> Result<PgConnectOptions, Error> {
    let session = parse(url.expose_secret())?.application_name(&options.application_name);
    Ok(match options.route {
        Route::Direct => session.options([
            ("statement_timeout", options.statement_timeout.as_millis().to_string()),
            ("lock_timeout", Duration::from_secs(30).min(options.statement_timeout).as_millis().to_string()),
            ("idle_in_transaction_session_timeout", Duration::from_secs(60).as_millis().to_string()),
        ]),
        // `options` and `extra_float_digits` are start-up parameters that PgBouncer refuses unless told otherwise.
        Route::Pooler => session.extra_float_digits(None),
    })
}

fn parse(text: &str) -> Result<PgConnectOptions, Error> {
    let bad = |reason: String| Error::BadUrl { reason };
    let url = match Url::parse(text.trim()) {
        Ok(url) => url,
        Err(_) if text.trim().is_empty() => return Err(bad("it is empty".to_owned())),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return Err(bad("it does not start with postgres:// or postgresql://".to_owned()));
        }
        // An unescaped character of a password is the usual cause: it ends the authority too early.
        Err(url::ParseError::InvalidPort) => {
            let hint = "a password that contains / ? # @ or : must be percent-encoded";
            return Err(bad(format!("the port is not a number between 1 and 65535 ({hint})")));
        }
        Err(error) => return Err(bad(error.to_string())),
    };
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(bad(format!("its scheme is \"{}\" where postgres:// is needed", url.scheme())));
    }
    if url.port() == Some(0) {
        return Err(bad("port 0 cannot be connected to".to_owned()));
    }
    if url.path().trim_start_matches('/').contains('/') {
        return Err(bad("after the port there must be one name, the database's".to_owned()));
    }
    PgConnectOptions::from_str(parameters::known_only(&url).as_str()).map_err(|error| match error {
        sqlx::Error::Configuration(source) => bad(source.to_string()),
        other => Error::Database(other),
    })
}

fn server_name(session: &PgConnectOptions) -> String {
    match session.get_socket() {
        Some(folder) => format!("{} (port {})", folder.display(), session.get_port()),
        None => format!("{}:{}", session.get_host(), session.get_port()),
    }
}

fn explain(session: &PgConnectOptions, server: String, source: sqlx::Error) -> Error {
    match code(&source).as_deref() {
        Some("28P01" | "28000") => Error::LoginRefused { server, user: session.get_username().to_owned(), source },
        Some("3D000") => {
            let database = session.get_database().unwrap_or(session.get_username()).to_owned();
            Error::DatabaseMissing { server, database }
        }
        _ => Error::Unreachable { server, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(url: &str) -> String {
        parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_url_is_explained_without_its_password() {
        for (url, part) in [
            ("", "empty"),
            ("localhost/db", "does not start with postgres://"),
            ("mysql://u:hunter2@h/db", "scheme is \"mysql\""),
            ("postgres://u:hunter2@h:notaport/db", "port is not a number"),
            ("postgres://u:hunter2@h:99999/db", "port is not a number"),
            ("postgres://u:hunter2@h:0/db", "port 0"),
            ("postgres://u:hunter2@h:5432/db/more", "one name"),
            ("postgres://u:hun/ter2@h:5432/db", "port is not a number"),
            ("postgres://u:hunter2@h/db?sslmode=sometimes", "ssl_mode"),
            ("postgres://u@h/db?password=hunter2&sslmode=sometimes&sslpassword=hunter2", "ssl_mode"),
        ] {
            let reason = reason(url);
            assert!(reason.contains(part), "{url}: {reason}");
            assert!(!reason.contains("hunter2") && !reason.contains("hun/"), "{url}: {reason}");
        }
    }

    #[test]
    fn a_pooler_gets_no_startup_parameter_that_it_refuses() {
        let url = SecretString::from("postgres://u@h/db");
        let direct = session_options(&url, &PoolOptions::default()).unwrap();
        assert!(direct.get_options().is_some_and(|options| options.contains("statement_timeout=60000")));
        let pooled = session_options(&url, &PoolOptions { route: Route::Pooler, ..PoolOptions::default() }).unwrap();
        assert_eq!(pooled.get_options(), None);
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named() {
        let url = SecretString::from("postgres://u:hunter2@127.0.0.1:1/db");
        let error = connect(&url, &PoolOptions::default()).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
