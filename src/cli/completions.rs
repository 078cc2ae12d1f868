//! `syncline completions`: lets a shell complete commands, flags, and names and ids out of the database.

use clap_complete::env::Shells;

use super::{Error, Output, completing};

/// Print a script that lets a shell complete commands, flags, projects, sites, runs, alerts and settings
///
/// For example `syncline completions bash > /etc/bash_completion.d/syncline`. The script asks this program, which asks the
/// database for a second at most.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Shells that there is a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)] // their names
#[allow(clippy::enum_variant_names)] // one shell is called so
pub enum Shell {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
    Zsh,
}

pub(super) fn run(args: &CompletionsArgs, output: Output) -> Result<(), Error> {
    let name = match args.shell {
        Shell::Bash => "bash",
        Shell::Elvish => "elvish",
        Shell::Fish => "fish",
        Shell::PowerShell => "powershell",
        Shell::Zsh => "zsh",
    };
    let shells = Shells::builtins();
    let shell = shells.completer(name).ok_or_else(|| Error::failure(format!("there is no script for {name}")))?;
    let mut script = Vec::new();
    shell.write_registration(completing::VARIABLE, "syncline", "syncline", "syncline", &mut script)?;
    output.print(String::from_utf8_lossy(&script).trim_end())
}
