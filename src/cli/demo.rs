//! `syncline demo`.

use super::Error;
use crate::config::Config;

/// Show it all on a simulated Jira: sync, changes, a killed worker, verification
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Keep everything running until Ctrl-C
    #[arg(long)]
    pub stay: bool,
}

/// Executes the command.
///
/// # Errors
/// Always, in this version.
pub async fn run(_args: DemoArgs, _config: Config, _output: super::Output) -> Result<(), Error> {
    Err(Error::failure("`syncline demo` is not built into this version yet"))
}
