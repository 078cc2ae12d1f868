//! What is known about one key: its name, its default, the values it takes.
//!
//! The tables of keys are what unknown names, wrong values and `syncline config show` are judged by; a test keeps their
//! defaults equal to the sections' `Default`.

/// One key of the configuration.
#[derive(Debug)]
pub(super) struct Key {
    /// `section.key`, as in the file.
    pub path: &'static str,
    /// The built-in value as text; empty when there is none.
    pub default: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// What to write, completing the sentence "write …".
    pub expects: &'static str,
}

/// Which values a key takes.
#[derive(Debug)]
pub(super) enum Kind {
    /// A whole number in an inclusive range.
    Integer(i64, i64),
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Text that a function accepts or explains what is wrong with.
    Text(Check),
    /// The same, never shown, and also readable from the file that `…_FILE` names.
    Secret(Check),
}

/// Says what is wrong with a text, without repeating it.
pub(super) type Check = fn(&str) -> Result<(), String>;

impl Key {
    /// The environment variable that sets the key.
    pub fn variable(&self) -> String {
        format!("SYNCLINE__{}", self.path.to_ascii_uppercase().replace('.', "__"))
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret(_))
    }

    /// What to write instead of a wrong value.
    pub fn remedy(&self) -> String {
        let range = match self.kind {
            Kind::Integer(min, max) => format!(" from {min} to {max}"),
            Kind::Choice(words) => format!(": one of {}", words.join(", ")),
            Kind::Text(_) | Kind::Secret(_) => String::new(),
        };
        let default = if self.default.is_empty() { String::new() } else { format!(" (default: {})", self.default) };
        format!("write {}{range} for {} or {}{default}", self.expects, self.path, self.variable())
    }
}

/// Former names of keys, each with the one that counts: the same word as the setting that stands before it.
pub(super) const FORMER: [(&str, &str); 2] =
    [("queue.jira_concurrency", "queue.workers"), ("queue.backoff_cap_seconds", "queue.backoff_max_seconds")];

/// The candidate that `name` is most likely a slip for, if any is near.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase();
    candidates
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Accepts any text that is not empty.
pub(super) fn not_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(()) }
}
