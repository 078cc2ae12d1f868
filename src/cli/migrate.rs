//! `syncline migrate`: brings the database's schema to this program's version.

use std::io::Write;

use sqlx::PgPool;

use crate::observe::events;
use crate::store;

/// Migrate the database's schema to this program's version
///
/// Safe to run at any time and by several processes at once.
#[derive(Debug, clap::Args)]
pub struct MigrateArgs {
    /// Change nothing; fail if this program cannot work on the schema
    #[arg(long)]
    pub check: bool,
}

/// Migrates the database behind `pool` and writes what was applied to `out`.
///
/// # Errors
/// Those of [`store::migrate()`] and [`store::check_version`], and a closed `out`.
pub async fn run(args: &MigrateArgs, pool: &PgPool, out: &mut impl Write) -> anyhow::Result<()> {
    let expected = store::migrate::expected_version();
    if args.check {
        match store::check_version(pool).await? {
            found if found > expected => writeln!(out, "{}", newer(found, expected))?,
            found => writeln!(out, "schema is current: version {found}")?,
        }
        return Ok(());
    }
    let report = store::migrate(pool).await?;
    if !report.applied.is_empty() {
        let (applied, version) = (report.applied.len(), report.version);
        tracing::info!(event = events::MIGRATED, applied, version, "the schema is at version {version} now");
    }
    for applied in &report.applied {
        writeln!(out, "applied {:04} {} ({} ms)", applied.version, applied.description, applied.took.as_millis())?;
    }
    match report.applied.len() {
        0 if report.version > expected => writeln!(out, "nothing to do: {}", newer(report.version, expected))?,
        0 => writeln!(out, "nothing to do: schema is at version {}", report.version)?,
        count => writeln!(out, "{count} applied: schema is at version {}", report.version)?,
    }
    Ok(())
}

fn newer(found: i64, expected: i64) -> String {
    format!("schema is at version {found}, newer than this program's {expected}, and declared fit for it")
}
