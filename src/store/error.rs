//! What the database can refuse, in the words of the person who has to act.
//!
//! What must hold: an error never shows a password or a whole URL; `From<sqlx::Error>` is the only place where a driver's
//! error becomes ours, so that a full disk or a read-only server is recognised wherever it strikes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection URL cannot be used.
    #[error("the database URL is wrong: {reason}; it should look like postgres://user:password@host:5432/database")]
    BadUrl {
        /// What is wrong, without the URL itself.
        reason: String,
    },
    /// No conversation with a server came about.
    #[error("cannot reach PostgreSQL at {server}: {source}; check that it runs and accepts connections there")]
    Unreachable {
        /// `host:port` or the socket's folder.
        server: String,
        /// What the network or the server answered.
        source: sqlx::Error,
    },
    /// The server answered and refused the user.
    #[error("PostgreSQL at {server} refused user \"{user}\": {source}; check user and password in the database URL")]
    LoginRefused {
        /// `host:port` or the socket's folder.
        server: String,
        /// The user of the URL.
        user: String,
        /// What the server answered.
        source: sqlx::Error,
    },
    /// The server has no such database.
    #[error(
        "PostgreSQL at {server} has no database \"{database}\"; create it (createdb {database}) or correct the URL"
    )]
    DatabaseMissing {
        /// `host:port` or the socket's folder.
        server: String,
        /// The database of the URL.
        database: String,
    },
    /// The server's version is below [`MINIMUM_SERVER_VERSION`](super::connect::MINIMUM_SERVER_VERSION).
    #[error("PostgreSQL at {server} is version {found}; Syncline needs 14 or newer: upgrade the server")]
    TooOld {
        /// `host:port` or the socket's folder.
        server: String,
        /// The server's major version.
        found: u32,
    },
    /// Migrating holds a lock of its session, which a pooler in transaction mode does not give.
    #[error("migrations cannot go through a connection pooler: set database.direct_url to the server itself")]
    PooledMigration,
    /// The schema belongs to another role, of which this user is no member.
    #[error(
        "user \"{user}\" may not change the schema, which belongs to \"{owner}\": migrate as a member of that role \
         (GRANT \"{owner}\" TO …)"
    )]
    NotOwner {
        /// Who asked.
        user: String,
        /// Whose the schema is.
        owner: String,
    },
    /// The schema misses migrations that this program has; `found` is 0 when there is no schema at all.
    #[error("the database's schema is at version {found}, this program needs {expected}: run `syncline migrate`")]
    SchemaTooOld {
        /// The newest migration applied.
        found: i64,
        /// The newest migration of this program.
        expected: i64,
    },
    /// The schema has migrations that this program does not know, and that are not declared fit for it.
    #[error(
        "this program is older than the database: its schema is at version {found}, this program knows {expected}, and \
         nothing declares that it may work on it; upgrade the program"
    )]
    SchemaTooNew {
        /// The newest migration applied.
        found: i64,
        /// The newest migration of this program.
        expected: i64,
    },
    /// A migration was left half-way.
    #[error(
        "migration {version} was left half-way: repair what it changed by hand (migrations/{version:04}_*.sql says what it \
         does), then run `DELETE FROM syncline.schema_migration WHERE version = {version}` and `syncline migrate`"
    )]
    SchemaDirty {
        /// The migration.
        version: i64,
    },
    /// A migration applied earlier has another text in this program.
    #[error(
        "migration {version} was applied with different content: it was edited after its release, or the database \
            belongs to another build; use the build that created the database, or a new database"
    )]
    SchemaDiffers {
        /// The migration.
        version: i64,
    },
    /// A migration failed and was rolled back.
    #[error("migration {version} ({description}) failed and was rolled back: {source}")]
    MigrationFailed {
        /// The migration.
        version: i64,
        /// Its name.
        description: String,
        /// What the server answered.
        source: sqlx::Error,
    },
    /// The server takes no writes: a standby, or `default_transaction_read_only`.
    #[error("the database is read-only: {0}; point the database URL at the primary")]
    ReadOnly(#[source] sqlx::Error),
    /// The server's disk is full.
    #[error("the database's disk is full: {0}; free space on the server, work resumes by itself")]
    DiskFull(#[source] sqlx::Error),
    /// No connection of the pool became free in time.
    #[error("no database connection became free in time; raise the pool's size or lower the number of workers")]
    PoolExhausted,
    /// No answer came in time: the connection has died silently, or the server is overloaded.
    #[error("the database did not answer within {seconds} s; the connection is replaced")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The database holds another encoding than UTF-8, and cannot keep every text of Jira.
    #[error(
        "the database \"{database}\" has the encoding {encoding}, but UTF8 is needed: create another one with \
            `createdb -E UTF8 -T template0 NAME` and set the database URL to it"
    )]
    WrongEncoding {
        /// The database.
        database: String,
        /// Its encoding, as PostgreSQL names it.
        encoding: String,
    },
    /// The connection broke, or the server is stopping or starting.
    #[error("the connection to the database was lost: {0}")]
    ConnectionLost(#[source] sqlx::Error),
    /// A stored value cannot be read as what it should be.
    #[error("{table}.{column} holds {found}, which this program cannot read: expected {expected}")]
    BadValue {
        /// The table, schema-qualified.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The shape of what was found, not its content.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Anything else the server refused.
    #[error("the database refused a statement: {0}")]
    Database(#[source] sqlx::Error),
}

impl Error {
    /// Whether the same statement may succeed later without anybody changing the program or its configuration.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::PoolExhausted | Self::ConnectionLost(_) | Self::Silent { .. } => true,
            // A fail-over ends the one, an operator the other; until then every step has to wait, not to fail.
            Self::ReadOnly(_) | Self::DiskFull(_) => true,
            Self::Database(source) | Self::MigrationFailed { source, .. } => {
                code(source).is_some_and(|code| is_transient_code(&code))
            }
            _ => false,
        }
    }

    /// Whether a prepared statement was not where it had been prepared: a pooler that cannot keep them across transactions.
    pub fn lost_prepared_statement(&self) -> bool {
        matches!(self, Self::Database(source) if matches!(code(source).as_deref(), Some("26000" | "42P05")))
    }

    /// Whether the whole database cannot be used for now, whoever asks: it is away, takes no writes, or is full.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::PoolExhausted
                | Self::ConnectionLost(_)
                | Self::Silent { .. }
                | Self::ReadOnly(_)
                | Self::DiskFull(_)
        )
    }

    /// Whether others were in the way: a serialisation failure, a deadlock, a lock that was not given in time. The transaction
    /// was undone, and the same may succeed in a moment.
    pub fn is_contention(&self) -> bool {
        match self {
            Self::Database(source) | Self::MigrationFailed { source, .. } => {
                matches!(code(source).as_deref(), Some("40001" | "40P01" | "55P03"))
            }
            _ => false,
        }
    }

    /// The server's SQLSTATE, five characters, where the server raised the error.
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } | Self::LoginRefused { source, .. } => code(source),
            Self::MigrationFailed { source, .. } => code(source),
            Self::ReadOnly(source) | Self::DiskFull(source) | Self::ConnectionLost(source) | Self::Database(source) => {
                code(source)
            }
            _ => None,
        }
    }

    /// What a function of the schema answered to a request that it refused: its message, and its hint. None for every other
    /// error.
    pub fn refusal(&self) -> Option<(String, Option<String>)> {
        let Self::Database(source) = self else { return None };
        let raised = source.as_database_error()?.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
        // no_data_found, ambiguous_parameter, invalid_parameter_value, object_not_in_prerequisite_state
        let is_refusal = matches!(raised.code(), "P0002" | "42P08" | "22023" | "55000") && raised.hint().is_some();
        is_refusal.then(|| (raised.message().to_owned(), raised.hint().map(str::to_owned)))
    }

    /// The name of the constraint that the statement violated, where it did.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(source) => source.as_database_error().and_then(DatabaseError::constraint),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::PoolTimedOut => Self::PoolExhausted,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::ConnectionLost(source)
            }
            sqlx::Error::Database(_) => match code(&source).as_deref() {
                Some("25006") => {
                    *LAST_REFUSAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    Self::ReadOnly(source)
                }
                Some("53100") => Self::DiskFull(source),
                // 57P0x: the server is stopping, has crashed, or is not ready yet, or the session was idle for too long; 25P0x:
                // it was so within a transaction, or that took too long; class 08: connection exceptions.
                Some("57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04") => Self::ConnectionLost(source),
                Some(code) if code.starts_with("08") => Self::ConnectionLost(source),
                _ => Self::Database(source),
            },
            _ => Self::Database(source),
        }
    }
}

/// When a session of this process was last refused a write. A session keeps what it was told when it began (its server's
/// role, `default_transaction_read_only`), so that those which are older must not be used again.
static LAST_REFUSAL: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether a session that began so long ago may still take it that the database is read-only.
pub(super) fn may_be_read_only(age: Duration) -> bool {
    LAST_REFUSAL.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|refused| age >= refused.elapsed())
}

pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(DatabaseError::code).map(std::borrow::Cow::into_owned)
}

/// Serialisation failures, deadlocks, lock and statement time-outs, and a server short of resources.
fn is_transient_code(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03" | "57014") || code.starts_with("53")
}
