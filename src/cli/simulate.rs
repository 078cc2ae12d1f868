//! `syncline simulate`.

/// Serves a simulated Jira Cloud site for rehearsals.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {}

/// Executes the command.
///
/// # Errors
/// Always, in this version.
pub async fn run(_args: SimulateArgs) -> anyhow::Result<()> {
    anyhow::bail!("`syncline simulate` is not built into this version yet")
}
