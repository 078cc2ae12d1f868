//! The schema's version: applying the embedded migrations, and refusing to work on a schema of another version.
//!
//! What must hold: two processes that migrate at once apply each migration once (a session-level advisory lock, held by a
//! connection of its own and therefore released whatever happens); a history that differs from this program's is refused
//! before anything is changed. The connection must be a direct one: a pooler in transaction mode cannot hold that lock.

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{ConnectOptions, Connection};

use super::Error;
use super::connect::is_pooled;
use super::error::code;

/// Where the books are kept.
const TABLE: &str = "syncline.schema_migration";
const SCHEMA: &str = "syncline";

static MIGRATOR: Migrator = sqlx::migrate!();

/// What a call of [`migrate`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The migrations that this call applied, oldest first; empty when the schema was current.
    pub applied: Vec<Applied>,
    /// The schema's version now.
    pub version: i64,
}

/// A migration that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub description: String,
    /// How long it took.
    pub took: std::time::Duration,
}

/// The newest migration of this program; 0 when it has none.
pub fn expected_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Identifies the schema that this program makes: changes when any migration does. 16 hexadecimal digits.
pub fn fingerprint() -> String {
    let mut hasher = blake3::Hasher::new();
    for migration in MIGRATOR.iter() {
        hasher.update(&migration.version.to_be_bytes()).update(&migration.checksum);
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}

/// Applies the migrations that are missing, each in a transaction of its own, waiting for another process that does so.
///
/// # Errors
/// [`Error::PooledMigration`], [`Error::SchemaTooNew`], [`Error::SchemaDirty`] and [`Error::SchemaDiffers`] before anything
/// is changed;
/// [`Error::MigrationFailed`] after the failing one was rolled back, with the earlier ones in place.
pub async fn migrate(pool: &PgPool) -> Result<Report, Error> {
    if is_pooled(pool) {
        return Err(Error::PooledMigration);
    }
    // No time limit: building an index may take long, and so may waiting for another process that builds it.
    let unlimited = [("statement_timeout", "0"), ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0")];
    let options = pool.connect_options().as_ref().clone().options(unlimited);
    let mut connection = options.connect().await?;
    let result = locked_migrate(&mut connection).await;
    // Closing releases the lock, also when the server has stopped listening.
    connection.close().await.ok();
    result
}

async fn locked_migrate(connection: &mut PgConnection) -> Result<Report, Error> {
    connection.lock().await.map_err(from_migrate)?;
    connection.create_schema_if_not_exists(SCHEMA).await.map_err(from_migrate)?;
    connection.ensure_migrations_table(TABLE).await.map_err(from_migrate)?;
    let known = history(connection).await?.unwrap_or_default();
    check_history(&known)?;
    let mut applied = Vec::new();
    let newest = known.iter().map(|migration| migration.version).max().unwrap_or(0);
    for migration in MIGRATOR.iter().filter(|migration| migration.version > newest) {
        let took = connection.apply(TABLE, migration).await.map_err(|error| match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => Error::MigrationFailed {
                version: migration.version,
                description: migration.description.to_string(),
                source,
            },
            other => from_migrate(other),
        })?;
        tracing::info!(version = migration.version, description = %migration.description, "migration applied");
        applied.push(Applied { version: migration.version, description: migration.description.to_string(), took });
    }
    connection.unlock().await.map_err(from_migrate)?;
    Ok(Report { applied, version: expected_version() })
}

/// Refuses a schema that this program was not built for; workers call it before they claim anything.
///
/// # Errors
/// [`Error::SchemaTooOld`], [`Error::SchemaTooNew`], [`Error::SchemaDirty`], [`Error::SchemaDiffers`].
pub async fn check_version(pool: &PgPool) -> Result<(), Error> {
    let mut connection = pool.acquire().await?;
    let expected = expected_version();
    let known = history(&mut connection).await?.ok_or(Error::SchemaTooOld { found: 0, expected })?;
    check_history(&known)?;
    match known.iter().map(|migration| migration.version).max().unwrap_or(0) {
        found if found < expected => Err(Error::SchemaTooOld { found, expected }),
        _ => Ok(()),
    }
}

/// What has been applied, or nothing where there are no books yet.
async fn history(connection: &mut PgConnection) -> Result<Option<Vec<AppliedMigration>>, Error> {
    match connection.dirty_version(TABLE).await {
        Ok(Some(version)) => return Err(Error::SchemaDirty { version }),
        Ok(None) => {}
        // undefined_table, invalid_schema_name
        Err(MigrateError::Execute(source)) if matches!(code(&source).as_deref(), Some("42P01" | "3F000")) => {
            return Ok(None);
        }
        Err(error) => return Err(from_migrate(error)),
    }
    connection.list_applied_migrations(TABLE).await.map(Some).map_err(from_migrate)
}

fn check_history(known: &[AppliedMigration]) -> Result<(), Error> {
    let expected = expected_version();
    if let Some(found) = known.iter().map(|migration| migration.version).max().filter(|found| *found > expected) {
        return Err(Error::SchemaTooNew { found, expected });
    }
    for migration in MIGRATOR.iter() {
        let newest = known.last().map_or(0, |last| last.version);
        match known.iter().find(|applied| applied.version == migration.version) {
            Some(applied) if applied.checksum != migration.checksum => {
                return Err(Error::SchemaDiffers { version: migration.version });
            }
            // A gap: the database went past this number without it.
            None if migration.version < newest => return Err(Error::SchemaDiffers { version: migration.version }),
            _ => {}
        }
    }
    match known.iter().find(|applied| !MIGRATOR.version_exists(applied.version)) {
        Some(stranger) => Err(Error::SchemaDiffers { version: stranger.version }),
        None => Ok(()),
    }
}

fn from_migrate(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
        MigrateError::Dirty(version) => Error::SchemaDirty { version },
        MigrateError::VersionMismatch(version) => Error::SchemaDiffers { version },
        other => Error::Database(sqlx::Error::Migrate(Box::new(other))),
    }
}
