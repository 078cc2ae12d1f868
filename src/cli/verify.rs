//! `syncline verify`.

use super::Error;

/// Compare the replica with Jira itself; print what is missing, stale or extra
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The project, as KEY or SITE/KEY [default: all]
    pub project: Option<String>,
    /// Request what is needed to make the replica equal again
    #[arg(long)]
    pub repair: bool,
}

/// Executes the command.
///
/// # Errors
/// Always, in this version.
pub async fn run(_args: VerifyArgs, _context: &super::Context) -> Result<(), Error> {
    Err(Error::failure("`syncline verify` is not built into this version yet"))
}
