//! Asks before something is destroyed.

use std::io::{self, BufRead, IsTerminal};

use super::{Error, output};

/// Lets an act pass when `--yes` was given or somebody at the terminal agrees.
///
/// # Errors
/// Exit code 2 when nobody can be asked, 1 when the answer is no.
pub fn confirm(act: &str, yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Error::usage(format!("this would {act}, and there is no terminal for a confirmation"))
            .help("to confirm, repeat the command with --yes"));
    }
    output::ask(&format!("This will {act}. Continue? [y/N] "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::failure("nothing was changed")),
    }
}
