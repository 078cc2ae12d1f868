//! From a database URL to a pool, or to an error that says which part of the URL is wrong.
//!
//! What must hold: the first connection is made here, so that a wrong URL, a dead server or a wrong password is found
//! before any work starts; what passes (a server that starts, a connection that is cut off, a name that cannot be looked up
//! yet) is waited for, and what does not (a wrong password) is told at once; every session is set up as [`super::session`]
//! says; behind a pooler in transaction mode nothing is sent at start-up that PgBouncer refuses.

use std::str::FromStr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use url::Url;

use super::error::{code, may_be_read_only};
use super::{Error, parameters, session};
use crate::observe::events;

/// The oldest PostgreSQL that is supported, as the server counts: major version times 10,000.
pub const MINIMUM_SERVER_VERSION: u32 = 140_000;

/// What lies between this program and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Route {
    /// The server itself: sessions are ours, `LISTEN` and session settings work.
    #[default]
    Direct,
    /// A pooler in transaction mode. Needs PgBouncer 1.21 or newer with `max_prepared_statements` above 0. Sessions cannot be
    /// set up from here; give the settings to the role instead (`ALTER ROLE … SET statement_timeout = '60s'`).
    Pooler,
}

/// How large a pool is and how its sessions behave.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// The most connections that are open at a time.
    pub max_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// How long to wait for the first connection, while the server refuses it in a way that passes.
    pub first_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// A statement that takes longer is ended by the server.
    pub statement_timeout: Duration,
    /// A session that does nothing for longer inside a transaction is ended by the server.
    pub idle_in_transaction: Duration,
    /// What lies between.
    pub route: Route,
    /// A statement that takes longer is logged, where anybody reads logs.
    pub slow_statement: Option<Duration>,
    /// Whether to set what only servers on some systems know. Found out by [`connect`].
    pub of_all_systems: bool,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            first_timeout: Duration::from_secs(10),
            application_name: "syncline".to_owned(),
            statement_timeout: Duration::from_secs(60),
            idle_in_transaction: Duration::from_secs(60),
            route: Route::Direct,
            slow_statement: None,
            of_all_systems: true,
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
            tracing::info!(
                event = events::POOLER_FOUND,
                "there is a connection pooler: the role determines the time \
                limits of sessions"
            );
            connect_by(url, &PoolOptions { route: Route::Pooler, ..options.clone() }).await
        }
        // invalid_parameter_value, undefined_object: a server on a system that cannot look whether its clients are there.
        Err(Error::Unreachable { source, .. })
            if options.of_all_systems && matches!(code(&source).as_deref(), Some("22023" | "42704")) =>
        {
            connect_by(url, &PoolOptions { of_all_systems: false, ..options.clone() }).await
        }
        connected => connected,
    }
}

/// Whether a pool's sessions belong to a pooler in transaction mode.
pub fn is_pooled(pool: &PgPool) -> bool {
    pool.connect_options().get_options().is_none()
}

/// PgBouncer answers to settings that it does not keep per session: "unsupported startup parameter", a protocol violation;
/// others that they do not support them.
fn refuses_settings(source: &sqlx::Error) -> bool {
    matches!(code(source).as_deref(), Some("08P01" | "0A000"))
}

async fn connect_by(url: &SecretString, options: &PoolOptions) -> Result<PgPool, Error> {
    let mut session = session_options(url, options)?;
    let server = server_name(&session);
    let connection = first_connection(&session, &server, options.first_timeout).await?;
    // A pooler announces the version of the server behind it.
    if let Some(found) = connection.server_version_num().filter(|found| *found < MINIMUM_SERVER_VERSION) {
        return Err(Error::TooOld { server, found: found / 10_000 });
    }
    if options.route == Route::Direct && connection.server_version_num() >= Some(170_000) {
        session = session.options([("transaction_timeout", "0")]);
    }
    // Whoever is at the other end need not hear of it.
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(options.acquire_timeout)
        .acquire_slow_threshold(options.slow_statement.unwrap_or(Duration::MAX))
        // A ping before every use would double the round trips of a busy worker; a connection that was used a moment ago
        // needs none, one that has slept may belong to a server that has restarted since.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if may_be_read_only(meta.age) {
                    return Ok(false);
                }
                // One that is silent is replaced by another without a word more.
                Ok(meta.idle_for <= Duration::from_secs(1) || session::lives(connection).await.is_ok())
            })
        })
        // What was broken off in the middle may hang for ever: it must not keep its place for as long.
        .after_release(|connection, _| Box::pin(async move { session::lives(connection).await.map(|()| true) }))
        .connect_lazy_with(session))
}

/// Attempts at the first connection that may be under way at once.
const ATTEMPTS: usize = 4;
/// How long one attempt is waited for before another one is made beside it.
const STAGGER: Duration = Duration::from_millis(2_500);
/// The wait after the first refusal; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait after a refusal.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long it is waited without a word: for a server that refuses, and for one that is slow to answer; and how often it is
/// said after that.
const SAY_AFTER: Duration = Duration::from_secs(1);
const SAY_SLOW_AFTER: Duration = Duration::from_secs(4);
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Connects within `limit`. Now and then the start of a session stands still on a busy server: another attempt beside the
/// first costs little. A refusal that passes is waited for, and said.
async fn first_connection(session: &PgConnectOptions, server: &str, limit: Duration) -> Result<PgConnection, Error> {
    let began = tokio::time::Instant::now();
    let mut under_way = FuturesUnordered::new();
    let mut refused: Option<sqlx::Error> = None;
    let mut say_at = began + SAY_AFTER;
    let ended = tokio::time::timeout(limit, async {
        let mut wait = FIRST_WAIT;
        loop {
            if under_way.len() < ATTEMPTS {
                under_way.push(session.connect());
            }
            let mut next = std::pin::pin!(tokio::time::sleep(STAGGER.min(limit / 4)));
            loop {
                tokio::select! {
                    () = &mut next => break,
                    () = tokio::time::sleep_until(say_at) => {
                        if refused.is_none() && began.elapsed() < SAY_SLOW_AFTER {
                            say_at = began + SAY_SLOW_AFTER;
                            continue;
                        }
                        say_at = tokio::time::Instant::now() + SAY_EVERY;
                        let reason = refused.as_ref().map_or_else(|| "no answer yet".to_owned(), ToString::to_string);
                        let left = limit.saturating_sub(began.elapsed()).as_secs();
                        tracing::warn!(event = events::DATABASE_AWAITED, server, reason, "waiting for PostgreSQL for up to {left} s more");
                    }
                    Some(answer) = under_way.next() => match answer {
                        Err(source) if is_passing(session, &source) => {
                            refused = Some(source);
                            next.as_mut().reset(tokio::time::Instant::now() + wait);
                            wait = (wait * 2).min(LONGEST_WAIT);
                        }
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

/// Whether a server that refuses a session may take it in a moment: it is starting or stopping, all its places are taken, or
/// the network cuts the conversation off. What is decided (a password, a name, a certificate) does not pass.
fn is_passing(session: &PgConnectOptions, source: &sqlx::Error) -> bool {
    match source {
        // A pooler says with one code that it does not know what was asked for, and that its server is away.
        sqlx::Error::Database(_) if session.get_options().is_none() && code(source).as_deref() == Some("08P01") => true,
        sqlx::Error::Database(_) => code(source).is_some_and(|code| {
            // admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections; a pooler whose server is away
            matches!(code.as_str(), "57P01" | "57P02" | "57P03" | "53300" | "08006" | "08001" | "08004")
        }),
        // A socket that is not there yet, rather than a certificate's file that is not there at all.
        sqlx::Error::Io(source) if source.kind() == std::io::ErrorKind::NotFound => {
            session.get_socket().is_some() || session.get_host().starts_with('/')
        }
        sqlx::Error::Io(source) => is_of_network(source),
        sqlx::Error::Tls(source) => is_cut_off(source.as_ref()),
        _ => false,
    }
}

/// Refused, reset, cut off, no route, no such name yet, no socket there yet: rather than what TLS refuses (invalid data), or
/// the system.
fn is_of_network(source: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, PermissionDenied, Unsupported};
    !matches!(source.kind(), InvalidData | InvalidInput | PermissionDenied | Unsupported)
}

/// Whether a hand-shake was cut off, rather than a certificate refused.
fn is_cut_off(source: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(source), |cause| cause.source());
    causes.any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_of_network))
}

/// The options of one session, for connections that must live outside a pool (`LISTEN`, advisory locks).
///
/// # Errors
/// [`Error::BadUrl`].
pub fn session_options(url: &SecretString, options: &PoolOptions) -> Result<PgConnectOptions, Error> {
    let session = parse(url.expose_secret())?.application_name(&options.application_name);
    let session = match (options.slow_statement, "warn".parse(), "off".parse()) {
        (Some(limit), Ok(warn), _) => session.log_slow_statements(warn, limit),
        (None, _, Ok(off)) => session.log_slow_statements(off, Duration::MAX),
        _ => session,
    };
    Ok(match options.route {
        Route::Direct => session.options(session::settings(options)),
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
        return Err(bad("port 0 is not a port to connect to".to_owned()));
    }
    if url.path().trim_start_matches('/').contains('/') {
        return Err(bad("the path must be one name, the database's".to_owned()));
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

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        use std::io::ErrorKind::{
            ConnectionRefused, ConnectionReset, InvalidData, NotFound, Other, PermissionDenied, TimedOut, UnexpectedEof,
        };
        let by_name = parse("postgres://u@h/db").unwrap();
        let by_socket = parse("postgres://u@%2Frun%2Fpostgresql/db").unwrap();
        let io = |kind: std::io::ErrorKind| sqlx::Error::Io(kind.into());
        for kind in [ConnectionRefused, ConnectionReset, UnexpectedEof, TimedOut, Other] {
            assert!(is_passing(&by_name, &io(kind)), "{kind}");
            let tls = sqlx::Error::Tls(Box::new(std::io::Error::from(kind)));
            assert!(is_passing(&by_name, &tls), "a hand-shake: {kind}");
        }
        // What TLS refuses, what the system refuses, a certificate's file that is not there.
        for kind in [InvalidData, PermissionDenied, NotFound] {
            assert!(!is_passing(&by_name, &io(kind)), "{kind}");
        }
        assert!(is_passing(&by_socket, &io(NotFound)), "a server that is starting");
        assert!(!is_passing(&by_name, &sqlx::Error::Tls("the server does not support TLS".into())));
        assert!(!is_passing(&by_name, &sqlx::Error::Protocol("strange".into())));
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named() {
        let url = SecretString::from("postgres://u:hunter2@127.0.0.1:1/db");
        let options = PoolOptions { first_timeout: Duration::from_millis(300), ..PoolOptions::default() };
        let error = connect(&url, &options).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
