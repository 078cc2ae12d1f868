//! What can go wrong with a run, in canonical terms: a code, who must act, and what the engine does about it.
//!
//! What must hold: a code decides everything (category, severity, policy, advice); texts from outside never do. A message
//! kept here has been sanitised: no secret, no control character, bounded length.

mod cause;
mod code;
mod means;
#[cfg(test)]
mod reference;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::display;

pub use code::{Category, FailureCode, RetryPolicy, Severity};
pub use means::Means;

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
    /// How the account that failed is let in, where a site answered.
    pub means: Means,
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
        Self {
            code,
            message: sanitise(message.as_ref()),
            retry_after: None,
            scope: PauseScope::Site,
            means: Means::Unknown,
        }
    }

    /// The same with a wait that was asked for.
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same for an account that is let in by these means.
    pub fn by(mut self, means: Means) -> Self {
        self.means = means;
        self
    }

    /// What to do, and who has to do it.
    pub const fn advice(&self) -> &'static str {
        self.code.advice_for(self.means)
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

/// Makes text from outside fit for a log line, a table and a mail: white space folded, characters that are obeyed or not
/// seen shown as codes, what looks like a credential replaced, length bounded.
pub fn sanitise(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MESSAGE_LIMIT));
    let mut hide_next = false;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        let lower = word.to_ascii_lowercase();
        let names_scheme = matches!(lower.as_str(), "basic" | "bearer");
        if hide_next && !names_scheme {
            out.push_str("[hidden]");
            hide_next = false;
        } else if looks_secret(&lower) {
            out.push_str("[hidden]");
        } else {
            hide_next = names_scheme || hide_assigned(word, &lower, &mut out);
            if names_scheme {
                out.push_str(word);
            }
        }
        if out.chars().count() > MESSAGE_LIMIT {
            break;
        }
    }
    let out = display::line(&out);
    if out.chars().count() <= MESSAGE_LIMIT {
        return out.into_owned();
    }
    out.chars().take(MESSAGE_LIMIT - 1).collect::<String>() + "…"
}

/// Names whose values are secrets, as they end before `=` or `:`.
const SECRET_NAMES: [&str; 8] =
    ["password", "passwd", "secret", "token", "authorization", "api_key", "apikey", "code_verifier"];

/// Whether a word, in lower case, is a credential by its looks: an API token, a signed token, a URL with a password, the
/// address of a chat's hook.
pub fn looks_secret(word: &str) -> bool {
    word.starts_with("atatt")
        || word.contains("atatt3")
        || word.contains("xoxb-")
        || word.contains("hooks.slack.com/")
        || word.contains("://") && word.contains('@')
        || word.contains("eyj") && word.len() > 40 && word.matches('.').count() >= 2
}

/// Writes a word with the values of `secret=…` and `"token":"…"` hidden; true where the value is the next word.
fn hide_assigned(word: &str, lower: &str, out: &mut String) -> bool {
    let mut done = 0;
    while let Some(value) = SECRET_NAMES.iter().filter_map(|name| value_after(lower, done, name)).min() {
        out.push_str(&word[done..value]);
        if value == word.len() {
            return true;
        }
        out.push_str("[hidden]");
        done = word[value..].find(['&', ',', ';', '"', '\'', '}']).map_or(word.len(), |end| value + end);
    }
    out.push_str(&word[done..]);
    false
}

/// Where the value of `name` begins, at or behind `from`.
fn value_after(lower: &str, from: usize, name: &str) -> Option<usize> {
    let quotes = ['"', '\'', '\\'];
    let mut at = from;
    loop {
        let end = at + lower[at..].find(name)? + name.len();
        let rest = lower[end..].trim_start_matches(quotes);
        if let Some(value) = rest.strip_prefix(['=', ':']).filter(|value| !value.starts_with("//")) {
            return Some(lower.len() - value.trim_start_matches(quotes).len());
        }
        at = end;
    }
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
    fn a_value_of_a_secret_name_is_hidden_wherever_it_stands() {
        for (text, kept) in [
            ("grant_type=refresh_token&client_secret=hunter2&refresh_token=hunter2x&a=b", "grant_type=refresh_token"),
            (r#"got {"client_secret":"hunter2","scope":"read"} from"#, r#""scope":"read"} from"#),
            (r#"got {\"access_token\": \"hunter2\"} from"#, "from"),
            ("Authorization: Basic hunter2 was refused", "was refused"),
            ("bearer hunter2", "bearer"),
            ("password: hunter2 is wrong", "is wrong"),
            ("https://hooks.slack.com/services/T0/B0/hunter2 answers 404", "answers 404"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.hunter2hunter2 ended", "ended"),
            ("user:xoxb-1-hunter2 is no bot", "is no bot"),
        ] {
            let message = sanitise(text);
            assert!(!message.contains("hunter2") && message.contains(kept), "{text}: {message}");
        }
        for text in ["the token is wrong", "next page token", "secrets: none", "a token-file", "12:30 Uhr"] {
            assert_eq!(sanitise(text), text);
        }
    }

    #[test]
    fn a_message_shows_what_is_not_seen_as_codes() {
        assert_eq!(sanitise("a\u{202e}b \u{1b}]52;c\u{7} d"), "a\\u{202e}b ]52;c d");
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = sanitise(&"word ".repeat(1000));
        assert_eq!(message.chars().count(), MESSAGE_LIMIT);
        assert!(message.ends_with('…'));
    }
}
