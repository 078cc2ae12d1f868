//! How a command fails: one line that says what is wrong, one that says what to do, and an exit code.

use std::fmt;
use std::io;

use super::output;
use crate::config;
use crate::domain::cron::CronError;
use crate::domain::display;
use crate::domain::failure::Failure;
use crate::{app, observe, postgres, store, verify};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked, and what it found is good.
    Ok = 0,
    /// It could not do what was asked, or a run that was waited for failed.
    Failure = 1,
    /// It was asked wrongly: a flag, an argument, the configuration.
    Usage = 2,
    /// It did what was asked and found something that is not well.
    Unhealthy = 3,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that failed.
#[derive(Clone, Debug)]
pub struct Error {
    /// What is wrong: one sentence, no secret.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// How the process ends.
    pub exit: Exit,
}

impl Error {
    /// It could not be done.
    pub fn failure(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, exit: Exit::Failure }
    }

    /// It was asked wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failure(message) }
    }

    /// It was done, and what was found is not well.
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unhealthy, ..Self::failure(message) }
    }

    /// The same with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Nobody reads the output any more (`syncline run list | head`): the command ends quietly.
    pub(super) fn reader_left() -> Self {
        Self { message: String::new(), help: None, exit: Exit::Ok }
    }

    /// Says it on standard error.
    pub fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        // One line each, whatever they hold: a line feed from outside must not begin another.
        output::say(&display::line(&format!("error: {}", self.message)));
        if let Some(help) = &self.help {
            output::say(&display::line(&format!("help: {help}")));
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<config::Error> for Error {
    fn from(problem: config::Error) -> Self {
        let source = match &problem {
            config::Error::Unreadable { source, .. } => format!(": {source}"),
            _ => String::new(),
        };
        Self::usage(format!("{problem}{source}")).help(problem.help())
    }
}

impl From<config::secret::Error> for Error {
    fn from(problem: config::secret::Error) -> Self {
        Self::failure(problem.to_string()).help(problem.help())
    }
}

impl From<store::Error> for Error {
    fn from(problem: store::Error) -> Self {
        match problem.refusal() {
            Some((message, hint)) => Self { help: hint, ..Self::failure(message) },
            None => Self::failure(problem.to_string()),
        }
    }
}

impl From<app::Error> for Error {
    fn from(problem: app::Error) -> Self {
        let exit = if problem.kind == app::Kind::Invalid { Exit::Usage } else { Exit::Failure };
        Self { message: problem.message, help: problem.help, exit }
    }
}

impl From<postgres::Error> for Error {
    fn from(problem: postgres::Error) -> Self {
        Self::failure(problem.to_string())
    }
}

impl From<observe::Error> for Error {
    fn from(problem: observe::Error) -> Self {
        Self::usage(problem.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::failure(failure.to_string()).help(failure.advice())
    }
}

impl From<verify::Error> for Error {
    fn from(problem: verify::Error) -> Self {
        match problem {
            verify::Error::Jira(failure) => failure.into(),
            verify::Error::Store(problem) => problem.into(),
        }
    }
}

impl From<CronError> for Error {
    fn from(problem: CronError) -> Self {
        Self::usage(problem.to_string())
    }
}

impl From<io::Error> for Error {
    fn from(problem: io::Error) -> Self {
        match problem.kind() {
            io::ErrorKind::BrokenPipe => Self::reader_left(),
            _ => Self::failure(problem.to_string()),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(problem: serde_json::Error) -> Self {
        if problem.is_io() { io::Error::from(problem).into() } else { Self::failure(problem.to_string()) }
    }
}

impl From<anyhow::Error> for Error {
    fn from(problem: anyhow::Error) -> Self {
        // Known errors keep their advice and their exit code, whoever wrapped them.
        let problem = match problem.downcast::<Self>() {
            Ok(known) => return known,
            Err(other) => other,
        };
        let problem = match problem.downcast::<store::Error>() {
            Ok(known) => return known.into(),
            Err(other) => other,
        };
        let problem = match problem.downcast::<Failure>() {
            Ok(known) => return known.into(),
            Err(other) => other,
        };
        match problem.downcast::<io::Error>() {
            Ok(known) => known.into(),
            Err(other) => Self::failure(format!("{other:#}")),
        }
    }
}
