//! What alerts are about: observations that telemetry makes, and the words for what happens to an episode.
//!
//! An *observation* says that a condition holds or has ended; whether anybody hears of it is decided by the episode it
//! belongs to. What must hold: two observations of the same scope and class are about the same episode.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::Severity;

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Scope {
    /// A whole site: its account, its bill, its reachability.
    Site {
        /// The site.
        site_id: Uuid,
    },
    /// One project.
    Project {
        /// Its site.
        site_id: Uuid,
        /// The project.
        project_id: Uuid,
    },
    /// An alert channel, by its name.
    Channel {
        /// The channel's name.
        name: String,
    },
    /// Syncline itself.
    System,
}

impl Scope {
    /// The scope as part of a key: `site:UUID`, `project:UUID`, `channel:NAME`, `system`.
    pub fn key(&self) -> String {
        match self {
            Self::Site { site_id } => format!("site:{site_id}"),
            Self::Project { project_id, .. } => format!("project:{project_id}"),
            Self::Channel { name } => format!("channel:{name}"),
            Self::System => "system".to_owned(),
        }
    }
}

/// Conditions that are no failure of a run; the class of those is their failure code. Records that single runs reject while
/// they succeed have the class of runs that fail for it, `RECORDS_REJECTED`: it is one trouble.
pub mod class {
    /// Runs take far longer than this project's runs do.
    pub const SLOW_RUNS: &str = "SLOW_RUNS";
    /// Runs read far fewer issues per second than this project's runs do.
    pub const LOW_THROUGHPUT: &str = "LOW_THROUGHPUT";
    /// The cursor falls behind although runs succeed.
    pub const WATERMARK_LAG: &str = "WATERMARK_LAG";
    /// No run has succeeded for too long, whether any was tried or not.
    pub const NO_RECENT_SUCCESS: &str = "NO_RECENT_SUCCESS";
    /// A site's token ends soon.
    pub const TOKEN_ENDS: &str = "TOKEN_ENDS";
    /// Jira dates an issue ahead of the clock, or a cursor stood there.
    pub const DATED_AHEAD: &str = "DATED_AHEAD";
    /// An alert channel does not take messages.
    pub const CHANNEL_FAILING: &str = "CHANNEL_FAILING";
}

/// The categories that alerts add to those of failures; routes choose by them.
pub mod category {
    /// Runs succeed, slowly.
    pub const LATENCY: &str = "latency";
    /// The replica grows old.
    pub const FRESHNESS: &str = "freshness";
    /// Alerts themselves do not arrive.
    pub const DELIVERY: &str = "delivery";
}

/// A condition that holds, or has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What it is about.
    pub scope: Scope,
    /// What kind of condition: a failure code, or one of [`class`].
    pub class: String,
    /// Whether it holds.
    pub signal: Signal,
}

/// Whether a condition holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// It holds, so far as is described here.
    Firing(Box<Details>),
    /// It has ended at this time.
    Cleared(DateTime<Utc>),
    /// It has become part of a wider condition, which is told instead: nobody hears that this one is over.
    Absorbed(DateTime<Utc>),
}

/// What is known of a condition that holds. Texts are sanitised already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// How bad it is.
    pub severity: Severity,
    /// Who or what it is about: a failure's category, or one of [`category`].
    pub category: String,
    /// Since when it holds.
    pub since: DateTime<Utc>,
    /// How often it was times in a row.
    pub count: i64,
    /// What is wrong, in one sentence that starts with a capital and has no full stop.
    pub summary: String,
    /// Who must do what.
    pub advice: String,
    /// The last error, as Jira or the network gave it.
    pub last_error: Option<String>,
    /// The run that showed it last.
    pub run_id: Option<Uuid>,
    /// Rungs climbed on the back-off ladder; 0 at the base cadence.
    pub rung: i16,
    /// When it is tried next.
    pub next_try_at: Option<DateTime<Utc>>,
    /// The projects that are affected, as `SITE/KEY`; for a site's alert.
    pub projects: Vec<String>,
    /// Anything else worth a line: name and value.
    pub facts: Vec<(String, String)>,
}

/// What a message tells of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It has begun.
    Opened,
    /// It has become worse, or nobody has acknowledged it in time.
    Escalated,
    /// It goes on.
    Reminder,
    /// It is over.
    Resolved,
    /// A message that somebody asked for, to see whether it arrives.
    Test,
}

impl Event {
    /// The event as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}
