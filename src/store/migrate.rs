//! The schema's version: applying the embedded migrations, and refusing to work on a schema of another version.
//!
//! What must hold: two processes that migrate at once apply each migration once (a session-level advisory lock, held by a
//! connection of its own and therefore released whatever happens); a history that differs from this program's is refused
//! before anything is changed. The connection must be a direct one: a pooler in transaction mode cannot hold that lock.
//!
//! A schema that is newer than the program is refused, unless each migration that the program does not know declares that
//! it may stay: this is what lets a worker of the previous version start again in the middle of an upgrade, and what makes
//! a rollback possible without touching the database. A migration declares it in a line of its own,
//! `-- oldest-program: N`: programs whose newest migration is N or later may work on the schema that it makes. Migrating
//! copies these lines to `syncline.schema_compatibility`, where the older program finds them.

use std::collections::BTreeMap;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{ConnectOptions, Connection};

use super::Error;
use super::connect::is_pooled;
use super::error::code;
use super::patience::{LONGEST, again, within};
use super::role;

/// Between two short waits for another process that migrates.
const BETWEEN_TRIES: std::time::Duration = std::time::Duration::from_millis(100);
/// Where the books are kept.
const TABLE: &str = "syncline.schema_migration";
const SCHEMA: &str = "syncline";
/// How a migration declares which older programs may work on the schema that it makes.
const DECLARATION: &str = "-- oldest-program:";

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
    newest(MIGRATOR.iter().map(|migration| migration.version))
}

/// Identifies the schema that this program makes: changes when any migration does. 16 hexadecimal digits.
pub fn fingerprint() -> String {
    let mut hasher = blake3::Hasher::new();
    for migration in MIGRATOR.iter() {
        hasher.update(&migration.version.to_be_bytes()).update(&migration.checksum);
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}

/// Applies the migrations that are missing, each in a transaction of its own, waiting for another process that does so. A
/// newer schema that this program may work on is left as it is.
///
/// # Errors
/// [`Error::PooledMigration`], [`Error::WrongEncoding`], [`Error::SchemaTooNew`], [`Error::SchemaDirty`] and [`Error::SchemaDiffers`] before anything
/// is changed;
/// [`Error::MigrationFailed`] after the failing one was rolled back, with the earlier ones in place.
pub async fn migrate(pool: &PgPool) -> Result<Report, Error> {
    migrate_with(pool, &MIGRATOR).await
}

/// The same with the migrations of another program: how upgrades are rehearsed.
///
/// # Errors
/// Those of [`migrate()`].
pub async fn migrate_with(pool: &PgPool, migrator: &Migrator) -> Result<Report, Error> {
    if is_pooled(pool) {
        return Err(Error::PooledMigration);
    }
    // No time limit: building an index may take long, and so may waiting for another process that builds it.
    let unlimited = [("statement_timeout", "0"), ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0")];
    let options = pool.connect_options().as_ref().clone().options(unlimited);
    let mut connection = within(LONGEST, async { Ok::<_, Error>(options.connect().await?) }).await?;
    let result = locked_migrate(&mut connection, migrator).await;
    // Closing releases the lock, also when the server has stopped listening.
    connection.close().await.ok();
    result
}

async fn locked_migrate(connection: &mut PgConnection, migrator: &Migrator) -> Result<Report, Error> {
    check_encoding(connection).await?;
    role::act_as_owner(connection).await?;
    wait_for_lock(connection).await?;
    connection.create_schema_if_not_exists(SCHEMA).await.map_err(from_migrate)?;
    connection.ensure_migrations_table(TABLE).await.map_err(from_migrate)?;
    let known = history(connection).await?.unwrap_or_default();
    let found = check_history(&known, &declared(connection).await?, migrator)?;
    // Before the first migration, so that an older worker that starts meanwhile is not turned away.
    declare(connection, migrator).await?;
    let mut applied = Vec::new();
    for migration in migrator.iter().filter(|migration| migration.version > found) {
        let took = connection.apply(TABLE, migration).await.map_err(|error| match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => Error::MigrationFailed {
                version: migration.version,
                description: migration.description.to_string(),
                source,
            },
            other => from_migrate(other),
        })?;
        tracing::debug!(version = migration.version, description = %migration.description, "migration applied");
        applied.push(Applied { version: migration.version, description: migration.description.to_string(), took });
    }
    let version = applied.last().map_or(found, |last| last.version);
    if !applied.is_empty() {
        // What was made just now belongs to nobody but its owner, and its functions to everybody.
        let statements = role::regrant(connection).await?;
        role::execute(connection, &statements, None).await?;
    }
    connection.unlock().await.map_err(from_migrate)?;
    Ok(Report { applied, version })
}

/// Jira writes every script there is. A database of another encoding refuses most of it, or (SQL_ASCII) counts its characters
/// wrongly; and the encoding of a database cannot be changed later.
async fn check_encoding(connection: &mut PgConnection) -> Result<(), Error> {
    let (database, encoding): (String, String) =
        sqlx::query_as("SELECT current_database()::text, current_setting('server_encoding')")
            .fetch_one(connection)
            .await?;
    if encoding == "UTF8" { Ok(()) } else { Err(Error::WrongEncoding { database, encoding }) }
}

/// Takes the lock of those who migrate. Whoever waits for it in one statement holds a snapshot, for which an index that another
/// one builds concurrently would wait for ever: so it waits in short ones.
async fn wait_for_lock(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SET lock_timeout = '200ms'").execute(&mut *connection).await?;
    loop {
        match connection.lock().await.map_err(from_migrate) {
            Ok(()) => break,
            Err(error) if error.sqlstate().as_deref() == Some("55P03") => tokio::time::sleep(BETWEEN_TRIES).await,
            Err(error) => return Err(error),
        }
    }
    sqlx::query("SET lock_timeout = 0").execute(connection).await?;
    Ok(())
}

/// The schema's version. Refuses a schema that this program cannot work on; workers call it before they claim anything.
///
/// # Errors
/// [`Error::SchemaTooOld`], [`Error::SchemaTooNew`], [`Error::SchemaDirty`], [`Error::SchemaDiffers`].
pub async fn check_version(pool: &PgPool) -> Result<i64, Error> {
    again(|| within(LONGEST, version(pool))).await
}

async fn version(pool: &PgPool) -> Result<i64, Error> {
    let mut connection = pool.acquire().await?;
    let expected = expected_version();
    let known = history(&mut connection).await?.ok_or(Error::SchemaTooOld { found: 0, expected })?;
    match check_history(&known, &declared(&mut connection).await?, &MIGRATOR)? {
        found if found < expected => Err(Error::SchemaTooOld { found, expected }),
        found => Ok(found),
    }
}

/// What has been applied, or nothing where there are no books yet.
async fn history(connection: &mut PgConnection) -> Result<Option<Vec<AppliedMigration>>, Error> {
    match connection.dirty_version(TABLE).await {
        Ok(Some(version)) => return Err(Error::SchemaDirty { version }),
        Ok(None) => {}
        Err(MigrateError::Execute(source)) if is_missing(&source) => return Ok(None),
        Err(error) => return Err(from_migrate(error)),
    }
    connection.list_applied_migrations(TABLE).await.map(Some).map_err(from_migrate)
}

/// By migration, the oldest program that may work on the schema after it. Not checked at compile time: like the books of
/// migrations, this table is older than any migration.
async fn declared(connection: &mut PgConnection) -> Result<BTreeMap<i64, i64>, Error> {
    let rows = sqlx::query_as("SELECT version, oldest_program FROM syncline.schema_compatibility");
    match rows.fetch_all(connection).await {
        Ok(rows) => Ok(rows.into_iter().collect()),
        Err(source) if is_missing(&source) => Ok(BTreeMap::new()),
        Err(source) => Err(source.into()),
    }
}

/// Writes down what the migrations declare, for programs that do not have them.
async fn declare(connection: &mut PgConnection, migrator: &Migrator) -> Result<(), Error> {
    let declared =
        migrator.iter().filter_map(|migration| Some((migration.version, oldest_program(migration.sql.as_str())?)));
    let (versions, oldest): (Vec<i64>, Vec<i64>) = declared.unzip();
    if versions.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS syncline.schema_compatibility (
             version bigint PRIMARY KEY,
             oldest_program bigint NOT NULL
         )",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO syncline.schema_compatibility (version, oldest_program)
         SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT (version) DO NOTHING",
    )
    .bind(versions)
    .bind(oldest)
    .execute(connection)
    .await?;
    Ok(())
}

/// What a migration declares: the number of its line `-- oldest-program: N`.
fn oldest_program(sql: &str) -> Option<i64> {
    sql.lines().find_map(|line| line.strip_prefix(DECLARATION)?.trim().parse().ok())
}

/// The version of a schema with this history, when a program with these migrations may work on it or bring it up to date.
fn check_history(known: &[AppliedMigration], declared: &BTreeMap<i64, i64>, migrator: &Migrator) -> Result<i64, Error> {
    let expected = newest(migrator.iter().map(|migration| migration.version));
    let found = newest(known.iter().map(|migration| migration.version));
    let (ours, later): (Vec<_>, Vec<_>) = known.iter().partition(|applied| applied.version <= expected);
    let may_stay = |version| declared.get(version).is_some_and(|oldest| *oldest <= expected);
    if !later.iter().all(|applied| may_stay(&applied.version)) {
        return Err(Error::SchemaTooNew { found, expected });
    }
    for migration in migrator.iter() {
        match ours.iter().find(|applied| applied.version == migration.version) {
            Some(applied) if applied.checksum != migration.checksum => {
                return Err(Error::SchemaDiffers { version: migration.version });
            }
            // A gap: the database went past this number without it.
            None if migration.version < found => return Err(Error::SchemaDiffers { version: migration.version }),
            _ => {}
        }
    }
    match ours.iter().find(|applied| !migrator.version_exists(applied.version)) {
        Some(stranger) => Err(Error::SchemaDiffers { version: stranger.version }),
        None => Ok(found),
    }
}

fn newest(versions: impl Iterator<Item = i64>) -> i64 {
    versions.max().unwrap_or(0)
}

/// undefined_table, invalid_schema_name
fn is_missing(source: &sqlx::Error) -> bool {
    matches!(code(source).as_deref(), Some("42P01" | "3F000"))
}

fn from_migrate(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source.into(),
        MigrateError::Dirty(version) => Error::SchemaDirty { version },
        MigrateError::VersionMismatch(version) => Error::SchemaDiffers { version },
        other => Error::Database(sqlx::Error::Migrate(Box::new(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What takes something away from programs that still use it; all words of an entry in one line.
    const CONTRACTIONS: &[&[&str]] = &[
        &["DROP TABLE"],
        &["DROP COLUMN"],
        &["RENAME TO"],
        &["RENAME COLUMN"],
        &["SET NOT NULL"],
        &["ALTER COLUMN", " TYPE "],
    ];

    /// What is wrong with a migration's declaration.
    fn problem(version: i64, sql: &str) -> Option<String> {
        let mut statements =
            sql.lines().filter(|line| !line.trim_start().starts_with("--")).map(str::to_ascii_uppercase);
        let takes_away = statements
            .find(|line| CONTRACTIONS.iter().any(|contraction| contraction.iter().all(|words| line.contains(words))));
        match (oldest_program(sql), takes_away) {
            (None, _) => Some(format!("lacks the line `{DECLARATION} N` (its own number when no older program fits)")),
            (Some(oldest), _) if oldest < 1 || oldest > version => Some(format!("declares the impossible {oldest}")),
            (Some(1), Some(statement)) => Some(format!("not every program survives {statement}")),
            _ => None,
        }
    }

    /// The last migration of the first release: until then there is no older program.
    const FIRST_RELEASE: i64 = 3;

    #[test]
    fn every_migration_says_which_programs_survive_it() {
        for migration in MIGRATOR.iter().filter(|migration| migration.version > FIRST_RELEASE) {
            assert_eq!(problem(migration.version, migration.sql.as_str()), None, "migration {}", migration.version);
        }
    }

    #[test]
    fn a_declaration_that_cannot_be_true_is_found() {
        for (sql, words) in [
            ("ALTER TABLE syncline.issue ADD COLUMN colour text;", "lacks the line"),
            ("-- oldest-program: soon\n", "lacks the line"),
            ("-- oldest-program: 8\n", "impossible"),
            ("-- oldest-program: 0\n", "impossible"),
            ("-- oldest-program: 1\nALTER TABLE syncline.issue DROP COLUMN summary;", "DROP COLUMN"),
            ("-- oldest-program: 1\nalter table syncline.issue rename to ticket;", "RENAME"),
            ("-- oldest-program: 1\nDROP TABLE syncline.issue;", "DROP TABLE"),
        ] {
            let problem = problem(7, sql).unwrap_or_default();
            assert!(problem.contains(words), "{sql}: {problem}");
        }
        for sql in [
            "-- oldest-program: 1\n-- Not yet: DROP COLUMN summary\nALTER TABLE syncline.issue ADD COLUMN colour text;",
            "-- Why.\n-- oldest-program: 6\nALTER TABLE syncline.issue DROP COLUMN summary;",
        ] {
            assert_eq!(problem(7, sql), None, "{sql}");
        }
    }
}
