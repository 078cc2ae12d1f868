//! `syncline doctor`.

use super::Error;
use crate::config::Config;

/// Say what is wrong and what to do: configuration, database, sites, queue
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {}

/// Executes the command.
///
/// # Errors
/// Always, in this version.
pub async fn run(_args: DoctorArgs, _config: Config, _output: super::Output) -> Result<(), Error> {
    Err(Error::failure("`syncline doctor` is not built into this version yet"))
}
