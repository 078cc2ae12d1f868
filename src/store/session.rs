//! Sessions: what is set in each, and how long each may be silent.
//!
//! What a role or a database sets by default (another isolation, a search path, time limits, ways of writing values) is made
//! for other programs. So each session is given what this one is written for. Behind a pooler in transaction mode no session
//! is ours: there, transactions say what they need when they begin ([`BEGIN_STEP`]), and the rest is the role's.
//!
//! What must hold: nobody is kept waiting by a session whose process has vanished or was frozen: its transaction ends within
//! seconds, by the server's own limits; a connection whose conversation was broken off is not used again. Whether the
//! database accepts writes is left as it is: somebody who sets `default_transaction_read_only` means it.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, PgExecutor, Postgres};

use super::{Error, PoolOptions};
use crate::observe::metrics;

/// How a step's transaction begins: it waits a short time for locks, and a process that falls silent in the middle of it keeps
/// its locks for no longer than others take to see that its lease has ended.
pub const BEGIN_STEP: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; \
                              SET LOCAL idle_in_transaction_session_timeout = '3s'";

/// How a transaction begins that has no limits of its own.
pub const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// How long a connection that rests may take to show that it lives.
const PING: Duration = Duration::from_secs(2);

/// What every session is given, where it is this program's own.
const SETTINGS: &[(&str, &str)] = &[
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("search_path", "public"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("idle_session_timeout", "0"),
    // A client that has vanished: the server notices, and lets its locks go.
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// What servers on some systems do not know.
const SETTINGS_OF_SOME_SYSTEMS: &[(&str, &str)] =
    &[("tcp_user_timeout", "20000"), ("client_connection_check_interval", "2000")];

/// What to set in sessions with these options.
pub(super) fn settings(options: &PoolOptions) -> Vec<(&'static str, String)> {
    let millis = |limit: Duration| limit.as_millis().to_string();
    let mut settings = vec![
        ("statement_timeout", millis(options.statement_timeout)),
        ("lock_timeout", millis(Duration::from_secs(30).min(options.statement_timeout))),
        ("idle_in_transaction_session_timeout", millis(options.idle_in_transaction)),
    ];
    let given = |known: &'static [(&str, &str)]| known.iter().map(|(name, value)| (*name, (*value).to_owned()));
    settings.extend(given(SETTINGS));
    if options.of_all_systems {
        settings.extend(given(SETTINGS_OF_SOME_SYSTEMS));
    }
    settings
}

/// Asks the least that can be asked: whether the other end is there.
///
/// # Errors
/// When it is not.
pub async fn is_there(executor: impl PgExecutor<'_>) -> Result<(), Error> {
    sqlx::query("SELECT").execute(executor).await?;
    Ok(())
}

/// Whether a connection that rested still lives; one that does not answer in time does not.
pub(super) async fn lives(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match tokio::time::timeout(PING, connection.ping()).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the connection is silent"))),
    }
}

/// A connection of the pool for one piece of work. Unless it is [given back](Held::give_back) it is closed when dropped: what
/// was broken off in the middle may hang for ever, and would keep its place in the pool for as long.
#[derive(Debug)]
pub struct Held {
    connection: PoolConnection<Postgres>,
    is_done: bool,
}

/// Takes a connection out of the pool, and records how long that took.
///
/// # Errors
/// When none is free, or the server not there, within the pool's limit.
pub async fn acquire(pool: &PgPool) -> Result<Held, Error> {
    let asked = Instant::now();
    let connection = pool.acquire().await;
    metrics::db_pool_acquired(asked.elapsed());
    Ok(Held { connection: connection?, is_done: false })
}

impl Held {
    /// Says that the conversation has come to its end, well or not: another piece of work may have the connection.
    pub fn give_back(mut self) {
        self.is_done = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_done {
            // For no longer than some seconds, whatever the other side does.
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
