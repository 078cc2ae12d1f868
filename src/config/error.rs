//! What can be wrong with a configuration.

use std::path::PathBuf;

/// A configuration that cannot be used. `Display` says what is wrong, [`Error::help`] what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that nobody reads.
    #[error("unknown configuration key {key} (from {origin})")]
    UnknownKey {
        /// As it was written.
        key: String,
        /// The file or variable it stands in.
        origin: String,
        /// The known name it is probably a slip for.
        nearest: Option<String>,
    },
    /// A value that its key does not take.
    #[error("{key} (from {origin}) {problem}")]
    Invalid {
        /// `section.key`.
        key: String,
        /// The file, variable or flag it came from.
        origin: String,
        /// What was found and why it does not do; never a secret.
        problem: String,
        /// What to write instead.
        remedy: String,
    },
    /// Two variables that set the same secret.
    #[error("{variable} and {variable}_FILE are both set")]
    TwoSources {
        /// The one that holds the value itself.
        variable: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {} (from {origin})", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The flag or variable that named it.
        origin: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is not TOML.
    #[error("{} is not valid TOML at line {line}, column {column}{}: {problem}", path.display(), of_key(key.as_deref()))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// `section.key` of a known key, where the line sets one.
        key: Option<&'static str>,
        /// The parser's words; nothing of the line itself, which may hold a password.
        problem: String,
    },
}

impl Error {
    /// What to do about it: one sentence for an operator.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Self::UnknownKey { .. } => "list the known keys with `syncline config show`".into(),
            Self::Invalid { remedy, .. } => remedy.clone(),
            Self::TwoSources { variable } => format!("unset {variable} or {variable}_FILE"),
            Self::Unreadable { path, .. } => {
                format!("check that {} exists and that this user may read it", path.display())
            }
            Self::Syntax { .. } => {
                "correct that line; write a section as [sync], a key as page_size = 100, and text in quotes".into()
            }
        }
    }
}

fn of_key(key: Option<&str>) -> String {
    key.map(|key| format!(" ({key})")).unwrap_or_default()
}
