//! Log lines, on standard error.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__LOG__FORMAT` | `auto` | `text`, `json`, or `auto`: one sentence per line on a terminal, JSON otherwise |
//! | `SYNCLINE__LOG__SLOW_STATEMENT_SECONDS` | 5 | a statement of a worker that takes longer is logged as a warning; 0: never |
//! | `SYNCLINE__LOG__LEVEL` | `info` | `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,sqlx=warn` |

use std::time::Duration;

use serde::Deserialize;

use super::key::{Key, Kind};

/// Log lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// What is let through: a level, or a filter of `target=level` pairs.
    pub level: String,
    /// A statement that takes longer is a warning; 0: none is.
    pub slow_statement_seconds: u32,
}

impl LogConfig {
    /// How long a statement may take before it is told of.
    pub fn slow_statement(&self) -> Option<Duration> {
        (self.slow_statement_seconds > 0).then(|| Duration::from_secs(self.slow_statement_seconds.into()))
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".into(), slow_statement_seconds: 5 }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

pub(super) const KEYS: &[Key] = &[
    Key { path: "log.format", default: "auto", kind: Kind::Choice(&["auto", "text", "json"]), expects: "a log format" },
    Key {
        path: "log.level",
        default: "info",
        kind: Kind::Text(level),
        expects: "error, warn, info, debug, trace, or a filter such as info,sqlx=warn",
    },
    Key {
        path: "log.slow_statement_seconds",
        default: "5",
        kind: Kind::Integer(0, 3_600),
        expects: "a number of seconds",
    },
];

fn level(text: &str) -> Result<(), String> {
    // A bare word that is no level would be taken for the name of a target, and silence everything else.
    let word = !text.contains(['=', ',', ':']);
    let known = matches!(text.to_ascii_lowercase().as_str(), "off" | "error" | "warn" | "info" | "debug" | "trace");
    if word && !known {
        return Err(format!("is {text:?}, which is not a level"));
    }
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(()),
        Err(problem) => Err(format!("is {text:?}, which is not a filter: {problem}")),
    }
}
