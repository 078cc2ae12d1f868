//! `syncline completions`: lets a shell complete commands and flags.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Error, Output};

/// Print a script that lets a shell complete commands and flags
///
/// For example `syncline completions bash > /etc/bash_completion.d/syncline`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, output: Output) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "syncline", &mut script);
    output.print(String::from_utf8_lossy(&script).trim_end())
}
