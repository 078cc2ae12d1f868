//! What can go wrong with a run, in canonical terms: a code, who must act, and what the engine does about it.
//!
//! What must hold: a code decides everything (category, severity, policy, advice); texts from outside never do. A message
//! kept here has been sanitised: no secret, no control character, bounded length.

mod code;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use code::{Category, FailureCode, RetryPolicy, Severity};

/// One failure, ready to be stored and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The canonical code.
    pub code: FailureCode,
    /// What happened, sanitised and at most [`MESSAGE_LIMIT`] characters.
    pub message: String,
    /// How long the other side asked to be left alone, where it did.
    pub retry_after: Option<Duration>,
    /// What a wait pauses: see [`PauseScope`].
    pub scope: PauseScope,
}

/// The part of a site that a pause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PauseScope {
    /// Everything on the site.
    #[default]
    Site,
    /// Only the endpoint that answered.
    Endpoint,
}

/// The longest message that is kept, in characters.
pub const MESSAGE_LIMIT: usize = 500;

impl Failure {
    /// A failure of `code`; `message` is sanitised here, so callers may pass what they were sent.
    pub fn new(code: FailureCode, message: impl AsRef<str>) -> Self {
        Self { code, message: sanitise(message.as_ref()), retry_after: None, scope: PauseScope::Site }
    }

    /// The same with a wait that was asked for.
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same for a part of the site only.
    pub fn scoped(mut self, scope: PauseScope) -> Self {
        self.scope = scope;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// Makes text from outside fit for a log line, a table and a mail: white space folded, control characters dropped,
/// what looks like a credential replaced, length bounded.
pub fn sanitise(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MESSAGE_LIMIT));
    let mut hide_next = 0usize;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        let lower = word.to_ascii_lowercase();
        if hide_next > 0 && !matches!(lower.as_str(), "basic" | "bearer") {
            out.push_str("[hidden]");
            hide_next -= 1;
        } else if lower.starts_with("atatt") || lower.contains("://") && lower.contains('@') {
            out.push_str("[hidden]");
        } else {
            out.push_str(word);
            if matches!(lower.trim_end_matches([':', '=']), "bearer" | "basic" | "authorization" | "password" | "token")
                && lower.len() > 4
            {
                hide_next = usize::from(lower.ends_with([':', '=']) || matches!(lower.as_str(), "bearer" | "basic"));
            }
        }
        if out.chars().count() > MESSAGE_LIMIT {
            let cut: String = out.chars().take(MESSAGE_LIMIT - 1).collect();
            return cut + "…";
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_stored_text() {
        for code in FailureCode::ALL {
            assert_eq!(FailureCode::parse(code.as_str()), Some(code));
            assert!(code.advice().len() > 20, "{code} has no advice");
        }
        assert_eq!(FailureCode::parse("NO_SUCH"), None);
    }

    #[test]
    fn a_message_keeps_no_secret_and_no_control_character() {
        let message = sanitise(
            "GET failed\r\n\x1b[31mAuthorization: Basic dXNlcjpwYXNz at postgres://u:p@h/db token ATATT3xSecret",
        );
        assert!(
            !message.contains("dXNlcjpwYXNz") && !message.contains("u:p@h") && !message.contains("3xSecret"),
            "{message}"
        );
        assert!(!message.chars().any(char::is_control));
        assert!(message.starts_with("GET failed"));
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = sanitise(&"word ".repeat(1000));
        assert_eq!(message.chars().count(), MESSAGE_LIMIT);
        assert!(message.ends_with('…'));
    }
}
