//! `syncline up`: everything in one process, for a laptop and small installations.
//!
//! What must hold: it migrates before it works, so that it runs on an empty database; it says where things are only once
//! they answer.

use super::{Context, Error, Parts, Served, Work, migrate_by_the_direct_way};
use crate::cli::migrate::MigrateArgs;

/// Migrate the database, then follow schedules and execute runs until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub struct UpArgs {}

/// Executes the command.
///
/// # Errors
/// When the database cannot be migrated, or the worker cannot start.
pub(super) async fn run(_args: &UpArgs, context: &Context, work: Work) -> Result<(), Error> {
    let (migrated, said) = migrate_by_the_direct_way(&MigrateArgs { check: false }, context).await;
    // Who starts everything is told the outcome; each migration is told by `syncline migrate`.
    if let Some(outcome) = said.lines().last() {
        context.output.note(outcome);
    }
    migrated?;
    context.check_schema().await?;
    work(context, Parts::All, Box::new(|served| announce(context, served))).await?;
    Ok(())
}

fn announce(context: &Context, served: Served) {
    let output = &context.output;
    output.note("");
    output.note("Syncline is up: it follows schedules and executes runs until Ctrl-C.");
    match context.is_private() {
        true => output.note(&format!(
            "  database    the private server in {}  (read it: syncline psql)",
            context.config.database.private_folder().display()
        )),
        false => output.note("  database    the one of DATABASE_URL  (read it: syncline psql)"),
    }
    if let Some(address) = served.api {
        let base = &context.config.serve.base_path;
        output.note(&format!("  console     http://{address}{base}/"));
        output.note(&format!("  API         http://{address}{base}/api  (a token for it: syncline token create NAME)"));
    }
    if let Some(address) = served.admin {
        output.note(&format!("  metrics     http://{address}/metrics  (health: /healthz, /readyz)"));
    }
    output.note("  next        in another terminal: syncline site add, syncline project add, syncline run list");
}
