//! `syncline worker`.

use super::Error;

/// Execute steps and follow schedules until SIGTERM; start as many as you like
#[derive(Debug, clap::Args)]
pub struct WorkerArgs {}

/// Executes the command.
///
/// # Errors
/// Always, in this version.
pub async fn run(_args: WorkerArgs, _context: &super::Context) -> Result<(), Error> {
    Err(Error::failure("`syncline worker` is not built into this version yet"))
}
