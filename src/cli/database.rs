//! `syncline database`: where it is, its backups, its version.
//!
//! What must hold: a backup that was interrupted leaves no file that looks whole; a restore happens in one transaction and
//! only while no worker works on the database.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Subcommand;
use secrecy::ExposeSecret;

use super::confirm::confirm;
use super::psql::client;
use super::{Context, Error, upgrade};
use crate::store::totals;

/// Print the database's URL; back up, restore or upgrade the database
#[derive(Debug, clap::Args)]
pub struct DatabaseArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the database's URL, with its password, for other programs
    ///
    /// The private server runs while a command, a worker or `syncline up` uses it: keep one of them running.
    Url,
    /// Write all data to one file with pg_dump; workers can keep running
    Backup {
        /// The file to write
        file: PathBuf,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
    },
    /// Replace all data with those of a backup, with pg_restore
    Restore {
        /// A file that `syncline database backup` has written
        file: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Move the private server's data to the newest installed PostgreSQL; the old data stay in a separate folder
    #[command(after_long_help = "\
First install the newer version beside the old one, e.g. postgresql-17 beside postgresql-15, and stop all processes
that use the server. The command copies the data, compares them, and then swaps the folders; after an interruption,
either the old or the new data are complete.

Examples:
  syncline database upgrade
  syncline database upgrade --remove-old")]
    Upgrade(upgrade::UpgradeArgs),
}

impl DatabaseArgs {
    /// What must be done while nobody uses the database.
    pub(super) fn upgrade(self) -> Result<upgrade::UpgradeArgs, Self> {
        match self.verb {
            Verb::Upgrade(args) => Ok(args),
            verb => Err(Self { verb }),
        }
    }
}

/// Executes the command.
///
/// # Errors
/// When a program of PostgreSQL is missing or fails, or the answer is no.
pub(super) async fn run(args: DatabaseArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Url => context.output.print(context.database_url.expose_secret()),
        Verb::Backup { file, force } => backup(&file, force, context).await,
        Verb::Restore { file, yes } => restore(&file, yes, context).await,
        // Handled before the server was started.
        Verb::Upgrade(_) => Ok(()),
    }
}

async fn backup(file: &Path, force: bool, context: &Context) -> Result<(), Error> {
    if file.exists() && !force {
        return Err(
            Error::failure(format!("{} exists already", file.display())).help("choose another name, or --force")
        );
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    let draft = PathBuf::from(name);
    let mut dump = client("pg_dump", context)?;
    dump.args(["--format=custom", "--no-owner", "--no-privileges", "--schema=syncline", "--schema=jira", "--file"])
        .arg(&draft);
    let outcome = finish(dump).await.and_then(|()| Ok(std::fs::rename(&draft, file)?));
    if outcome.is_err() {
        // Half a backup is useless.
        std::fs::remove_file(&draft).ok();
    }
    outcome?;
    let bytes = std::fs::metadata(file)?.len();
    context.output.note(&format!("wrote {} ({:.1} MB)", file.display(), bytes as f64 / 1e6));
    Ok(())
}

async fn restore(file: &Path, yes: bool, context: &Context) -> Result<(), Error> {
    if !file.is_file() {
        return Err(Error::failure(format!("there is no file {}", file.display())));
    }
    // A database without the schema has no workers.
    let workers = totals::living_workers(&context.pool).await.unwrap_or(0);
    if workers > 0 {
        return Err(Error::failure(format!("{workers} worker processes use the database"))
            .help("stop them, wait 15 s, and repeat the command"));
    }
    confirm(&format!("replace the schema syncline with the one in {}", file.display()), yes)?;
    let mut restore = client("pg_restore", context)?;
    restore.args([
        "--clean",
        "--if-exists",
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
    ]);
    restore.arg(file);
    finish(restore).await?;
    context.output.note("restored; for a backup of an older version, run `syncline migrate`");
    Ok(())
}

async fn finish(command: Command) -> Result<(), Error> {
    let name = PathBuf::from(command.get_program());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let status = tokio::process::Command::from(command).kill_on_drop(true).status().await?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::failure(format!("{name} ended with {status}; see its message above"))),
    }
}
