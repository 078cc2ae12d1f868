//! Why a use case did not happen, in the words of the person who asked.

use std::fmt;

use crate::domain::failure::sanitise;
use crate::store;

/// What kind of refusal it is; decides exit codes and HTTP statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was asked wrongly.
    Invalid,
    /// Nobody knows who asks.
    Unauthenticated,
    /// Who asks may not.
    Forbidden,
    /// There is no such thing, or not within reach.
    NotFound,
    /// The state of things does not allow it.
    Conflict,
    /// It was asked too often.
    Limited,
    /// The database cannot be asked now.
    Unavailable,
    /// A fault of this program.
    Internal,
}

impl Kind {
    /// A stable code, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::Limited => "LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// Why a use case did not happen.
#[derive(Clone, Debug)]
pub struct Error {
    /// What kind of refusal.
    pub kind: Kind,
    /// The field of the input that is wrong.
    pub field: Option<String>,
    /// What is wrong: one sentence, no secret.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// After how many seconds it may be asked again.
    pub retry_after: Option<u64>,
}

impl Error {
    fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, field: None, message: message.into(), help: None, retry_after: None }
    }

    /// A field of the input is wrong.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::of(Kind::Invalid, message) }
    }

    /// Nobody knows who asks.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::of(Kind::Unauthenticated, message)
    }

    /// Who asks may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::of(Kind::Forbidden, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::of(Kind::NotFound, message)
    }

    /// The state of things does not allow it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::of(Kind::Conflict, message)
    }

    /// It was asked too often; it may be asked again after so many seconds.
    pub fn limited(message: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::of(Kind::Limited, message) }
    }

    /// What is needed cannot be had now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::of(Kind::Unavailable, message)
    }

    /// The same with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(problem: store::Error) -> Self {
        if let Some((message, help)) = problem.refusal() {
            let kind = if message.starts_with("unknown") { Kind::NotFound } else { Kind::Conflict };
            return Self { help, ..Self::of(kind, message) };
        }
        let kind = if problem.is_transient() { Kind::Unavailable } else { Kind::Internal };
        Self::of(kind, sanitise(&problem.to_string()))
    }
}
