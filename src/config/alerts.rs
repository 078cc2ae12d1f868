//! When alerts send messages, and their appearance. Recipients are in the database: `syncline alert route`.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__ALERTS__GROUP_WAIT_SECONDS` | 30 | an alert that is over within this time sends no message |
//! | `SYNCLINE__ALERTS__REMINDER_SECONDS` | 86400 | the interval of reminders for alerts that nobody has acknowledged |
//! | `SYNCLINE__ALERTS__FLAP_WINDOW_SECONDS` | 3600 | a condition that returns within this time continues the same episode |
//! | `SYNCLINE__ALERTS__RESOLVE_WAIT_SECONDS` | 300 | the time for which a flapping condition must be absent before it counts as over |
//! | `SYNCLINE__ALERTS__RUNBOOKS_URL` | – | the address of the run books: messages link to the page of their class |
//! | `SYNCLINE__ALERTS__DASHBOARDS_URL` | – | the address of Grafana: messages link to the dashboard of their class |
//! | `SYNCLINE__ALERTS__CONSOLE_URL` | – | the address of the console: messages link to their alert |
//! | `SYNCLINE__ALERTS__TEMPLATES` | – | a folder with templates of your own (`alert.txt`, `alert.html`, `subject.txt`) |

use std::path::PathBuf;

use serde::Deserialize;

use url::Url;

use super::key::{Key, Kind, not_empty};

/// When people hear of alerts.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// What is over within this time is never told.
    pub group_wait_seconds: u32,
    /// How often people are reminded.
    pub reminder_seconds: u32,
    /// What comes back within this time is the same episode.
    pub flap_window_seconds: u32,
    /// How long what flaps must be gone before it counts as over.
    pub resolve_wait_seconds: u32,
    /// Where the run books are.
    pub runbooks_url: Option<String>,
    /// The address of Grafana.
    pub dashboards_url: Option<String>,
    /// The address of the console.
    pub console_url: Option<String>,
    /// A folder with templates.
    pub templates: Option<PathBuf>,
}

impl AlertsConfig {
    /// The bases of the pages that messages link to: run books, dashboards, console. What is no address was refused when
    /// the configuration was read.
    pub fn pages(&self) -> [Option<Url>; 3] {
        [&self.runbooks_url, &self.dashboards_url, &self.console_url]
            .map(|text| text.as_deref().and_then(|text| Url::parse(text).ok()))
    }
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            group_wait_seconds: 30,
            reminder_seconds: 86_400,
            flap_window_seconds: 3_600,
            resolve_wait_seconds: 300,
            runbooks_url: None,
            dashboards_url: None,
            console_url: None,
            templates: None,
        }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "alerts.group_wait_seconds",
        default: "30",
        kind: Kind::Integer(0, 3_600),
        expects: "a number of seconds",
    },
    Key {
        path: "alerts.reminder_seconds",
        default: "86400",
        kind: Kind::Integer(60, 2_592_000),
        expects: "a number of seconds",
    },
    Key {
        path: "alerts.flap_window_seconds",
        default: "3600",
        kind: Kind::Integer(0, 604_800),
        expects: "a number of seconds",
    },
    Key {
        path: "alerts.resolve_wait_seconds",
        default: "300",
        kind: Kind::Integer(0, 86_400),
        expects: "a number of seconds",
    },
    page("alerts.runbooks_url"),
    page("alerts.dashboards_url"),
    page("alerts.console_url"),
    Key { path: "alerts.templates", default: "", kind: Kind::Text(not_empty), expects: "a folder" },
];

const fn page(path: &'static str) -> Key {
    Key { path, default: "", kind: Kind::Text(web_address), expects: "an address that begins with https:// or http://" }
}

fn web_address(text: &str) -> Result<(), String> {
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() => {
            Err(format!("is {text:?}, which is not the address of a web page"))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("contains credentials, which would be in every message".to_owned())
        }
        Ok(_) => Ok(()),
        Err(problem) => Err(format!("is {text:?}, which is not an address: {problem}")),
    }
}
