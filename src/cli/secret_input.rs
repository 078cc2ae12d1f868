//! A password, from whoever types it or from where it is kept; never from an argument, which every process of the machine sees.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use secrecy::{ExposeSecret as _, SecretString};

use super::{Error, Output, output};
use crate::config::written;

/// More than any password.
const LIMIT_BYTES: u64 = 4_096;

/// Where the password comes from.
#[derive(Debug, clap::Args)]
pub struct PasswordFrom {
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordFrom {
    /// The password; asks for it, twice and unseen, where nothing else is said.
    ///
    /// # Errors
    /// When it cannot be read, or the two differ.
    pub(super) fn read(&self, output: Output) -> Result<SecretString, Error> {
        if let Some(path) = &self.password_file {
            let text = written::read(path)
                .map_err(|problem| Error::usage(format!("cannot read {}: {problem}", path.display())))?;
            return Ok(first_line(&text));
        }
        if self.password_stdin {
            let mut bytes = Vec::new();
            io::stdin().lock().take(LIMIT_BYTES).read_to_end(&mut bytes)?;
            let text = written::decode(&bytes)
                .map_err(|problem| Error::usage(format!("standard input cannot be used: {problem}")))?;
            return Ok(first_line(&text));
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Error::usage("a password is needed, and there is no terminal to ask at")
                .help("pipe it to --password-stdin, or name its file by --password-file"));
        }
        let (first, again) = (ask("Password: ", output)?, ask("The same again: ", output)?);
        match first.expose_secret() == again.expose_secret() {
            true => Ok(first),
            false => Err(Error::failure("the two passwords differ; nothing was changed")),
        }
    }
}

fn first_line(text: &str) -> SecretString {
    SecretString::from(text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)))
}

/// Whether the terminal shows what is typed; it does again when this is dropped.
struct Unseen;

impl Unseen {
    fn begin() -> Result<Self, Error> {
        match stty("-echo") {
            true => Ok(Self),
            false => Err(Error::failure("this terminal cannot hide what is typed")
                .help("pipe the password to --password-stdin, or name its file by --password-file")),
        }
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(mode: &str) -> bool {
    let run =
        Command::new("stty").arg(mode).stdin(Stdio::inherit()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

fn ask(question: &str, output: Output) -> Result<SecretString, Error> {
    let unseen = Unseen::begin()?;
    output::ask(question);
    let mut line = String::new();
    io::stdin().lock().take(LIMIT_BYTES).read_line(&mut line)?;
    drop(unseen);
    output.note("");
    Ok(first_line(&line))
}
