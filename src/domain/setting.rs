//! The parameters of a sync that may be changed while workers run: one table of keys, and the values in force.
//!
//! The narrowest scope wins: project, site, all, then the configuration of the process (flag, environment, file, default).
//!
//! What must hold: a value that was stored by other means and that the table would refuse counts as absent, so that no row
//! can stop a run; a key says where it takes effect and from when.

use std::fmt;

use serde_json::{Map, Value};

/// For whom a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Scope {
    All,
    Site,
    Project,
}

impl Scope {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Site => "site",
            Self::Project => "project",
        }
    }
}

/// From when a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// With each run that starts, and with each step of runs that other processes take up.
    NextRun,
    /// In all processes within some seconds.
    Soon,
}

/// One parameter.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// Whether only whole numbers make sense.
    pub whole: bool,
    /// What holds where nothing is set and nothing configured.
    pub default: f64,
    /// For whom it may be set.
    pub scopes: &'static [Scope],
    /// From when it counts.
    pub effect: Effect,
    /// The key of the configuration that it stands before.
    pub configured: Option<&'static str>,
    /// What it does.
    pub meaning: &'static str,
}

const EVERYWHERE: &[Scope] = &[Scope::All, Scope::Site, Scope::Project];
const FLEET: &[Scope] = &[Scope::All];

/// Issues per page of a search; Jira Cloud gives at most 100 with fields, whatever is asked for.
pub const PAGE_SIZE: Key = Key {
    name: "page_size",
    unit: "issues",
    configured: Some("sync.page_size"),
    meaning: "issues per page of a search; Jira Cloud returns at most 100 with fields",
    ..run(100.0, 1.0, 5_000.0)
};
/// Places for steps that talk to Jira.
pub const WORKERS: Key = Key {
    name: "workers",
    unit: "steps",
    configured: Some("queue.workers"),
    meaning: "concurrent steps of each process that send requests to Jira",
    ..fleet(8.0, 1.0, 256.0)
};
/// Pages fetched but not written yet.
pub const PAGES_IN_FLIGHT: Key = Key {
    name: "pages_in_flight",
    unit: "pages",
    configured: Some("sync.pages_in_flight"),
    meaning: "pages of a partition that are fetched but not written yet",
    ..run(4.0, 1.0, 64.0)
};
/// The longest run.
pub const PROJECT_TIMEOUT: Key = Key {
    name: "project_timeout_seconds",
    unit: "seconds",
    meaning: "time limit of a run, after which it fails; 0: no limit",
    ..run(86_400.0, 0.0, 604_800.0)
};
/// The longest request.
pub const REQUEST_TIMEOUT: Key = Key {
    name: "request_timeout_seconds",
    unit: "seconds",
    configured: Some("sync.request_timeout_seconds"),
    meaning: "time limit of one request to Jira",
    ..run(30.0, 1.0, 600.0)
};
/// The least wait after a limit without a time.
pub const RATE_PAUSE: Key = Key {
    name: "rate_pause_seconds",
    unit: "seconds",
    meaning: "the shortest pause of all processes after a 429 without a time; 0: that of the back-off",
    ..fleet(0.0, 0.0, 3_600.0)
};
/// Retries.
pub const MAX_ATTEMPTS: Key = Key {
    name: "max_attempts",
    unit: "attempts",
    configured: Some("queue.max_attempts"),
    meaning: "failures after which a step is dead and its run has failed",
    ..fleet(5.0, 1.0, 100.0)
};
/// The first wait.
pub const BACKOFF_BASE: Key = Key {
    name: "backoff_base_seconds",
    unit: "seconds",
    configured: Some("queue.backoff_base_seconds"),
    meaning: "the wait after the first failure",
    ..fleet(2.0, 1.0, 3_600.0)
};
/// How the wait grows.
pub const BACKOFF_FACTOR: Key = Key {
    name: "backoff_factor",
    unit: "times",
    whole: false,
    meaning: "the factor by which each wait exceeds the previous one",
    ..fleet(2.0, 1.0, 10.0)
};
/// The longest wait.
pub const BACKOFF_MAX: Key = Key {
    name: "backoff_max_seconds",
    unit: "seconds",
    configured: Some("queue.backoff_max_seconds"),
    meaning: "the longest wait after a failure",
    ..fleet(300.0, 1.0, 86_400.0)
};
/// Behind the cursor.
pub const OVERLAP: Key = Key {
    name: "overlap_seconds",
    unit: "seconds",
    configured: Some("sync.overlap_seconds"),
    meaning: "how far an incremental run reaches back behind its cursor",
    ..run(300.0, 0.0, 86_400.0)
};
/// The size of partitions.
pub const PARTITION_TARGET: Key = Key {
    name: "partition_target_issues",
    unit: "issues",
    configured: Some("sync.partition_target_issues"),
    meaning: "a full run is split into parts of about this size",
    ..run(500.0, 100.0, 1_000_000.0)
};
/// The guard of reconciliation.
pub const RECONCILE_MAX_SHARE: Key = Key {
    name: "reconcile_max_share",
    unit: "share",
    whole: false,
    meaning: "a reconciliation that would mark more than this share of a project's issues as gone fails and marks none",
    ..run(0.2, 0.0, 1.0)
};
/// What a run may fail to read.
pub const REJECTED_SHARE_MAX: Key = Key {
    name: "rejected_share_max",
    unit: "share",
    whole: false,
    meaning: "a run of at least ten issues fails if it cannot read more than this share of them; a run that can read none always fails",
    ..run(0.5, 0.0, 1.0)
};
/// Requests under way.
pub const MAX_CONCURRENCY: Key = Key {
    name: "max_concurrency",
    unit: "requests",
    scopes: &[Scope::Site],
    meaning: "concurrent requests of each worker process to the site",
    ..run(8.0, 1.0, 64.0)
};
/// Connections to the database.
pub const CONNECTION_POOL: Key = Key {
    name: "connection_pool",
    unit: "connections",
    configured: Some("database.max_connections"),
    meaning: "connections of each worker process to the database, besides the two for notifications and the lease",
    ..fleet(20.0, 2.0, 1_000.0)
};

/// How long steps are kept.
pub const RETENTION_STEPS: Key = Key {
    name: "retention_steps_hours",
    unit: "hours",
    meaning: "retention of done and cancelled steps, from their creation",
    ..fleet(24.0, 1.0, 2_160.0)
};
/// How long runs are kept.
pub const RETENTION_RUNS: Key = Key {
    name: "retention_runs_days",
    unit: "days",
    meaning: "retention of runs with their dead steps, from their end; the newest run of a project stays",
    ..fleet(90.0, 1.0, 3_650.0)
};
/// How long log entries are kept.
pub const RETENTION_LOGS: Key = Key {
    name: "retention_logs_days",
    unit: "days",
    meaning: "retention of entries of `syncline log`, and of drift that does not occur again",
    ..fleet(90.0, 1.0, 3_650.0)
};
/// How long alerts are kept.
pub const RETENTION_ALERTS: Key = Key {
    name: "retention_alerts_days",
    unit: "days",
    meaning: "retention of alerts with their messages, from their end; and of old reminders of open alerts",
    ..fleet(90.0, 1.0, 3_650.0)
};
/// How long the audit is kept.
pub const RETENTION_AUDIT: Key = Key {
    name: "retention_audit_days",
    unit: "days",
    meaning: "retention of audit entries (manual changes and requests for runs)",
    ..fleet(400.0, 30.0, 36_500.0)
};
/// How long summaries are kept.
pub const RETENTION_SUMMARIES: Key = Key {
    name: "retention_summaries_days",
    unit: "days",
    meaning: "retention of what the runs of a day add up to, and of the sizes of tables",
    ..fleet(400.0, 30.0, 36_500.0)
};

/// Every key, in the order of the documentation.
pub const KEYS: [&Key; 22] = [
    &PAGE_SIZE,
    &WORKERS,
    &PAGES_IN_FLIGHT,
    &PROJECT_TIMEOUT,
    &REQUEST_TIMEOUT,
    &RATE_PAUSE,
    &MAX_ATTEMPTS,
    &BACKOFF_BASE,
    &BACKOFF_FACTOR,
    &BACKOFF_MAX,
    &OVERLAP,
    &PARTITION_TARGET,
    &RECONCILE_MAX_SHARE,
    &REJECTED_SHARE_MAX,
    &MAX_CONCURRENCY,
    &CONNECTION_POOL,
    &RETENTION_STEPS,
    &RETENTION_RUNS,
    &RETENTION_LOGS,
    &RETENTION_ALERTS,
    &RETENTION_AUDIT,
    &RETENTION_SUMMARIES,
];

const fn run(default: f64, min: f64, max: f64) -> Key {
    let (name, unit, meaning) = ("", "", "");
    let effect = Effect::NextRun;
    Key { name, unit, min, max, whole: true, default, scopes: EVERYWHERE, effect, configured: None, meaning }
}

const fn fleet(default: f64, min: f64, max: f64) -> Key {
    Key { scopes: FLEET, effect: Effect::Soon, ..run(default, min, max) }
}

/// A value that a key does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct Refused {
    /// The key.
    pub key: &'static str,
    /// What is wrong with what was found.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

impl Key {
    /// The key of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.into_iter().find(|key| key.name == name)
    }

    /// What to write, completing the sentence "write …".
    pub fn expects(&self) -> String {
        let number = if self.whole { "a whole number" } else { "a number" };
        format!("{number} of {} from {} to {}", self.unit, self.min, self.max)
    }

    /// The value that a text stands for.
    ///
    /// # Errors
    /// When it is not a number, not a whole one, or out of bounds.
    pub fn parse(&self, text: &str) -> Result<f64, Refused> {
        let refused =
            |problem: String| Err(Refused { key: self.name, problem, remedy: format!("write {}", self.expects()) });
        match text.trim().parse::<f64>() {
            Err(_) => refused(format!("is {} characters that are not a number", text.chars().count())),
            Ok(value) if !self.takes(value) => refused(format!("is {text}, which is out of range")),
            Ok(value) => Ok(value),
        }
    }

    /// The value as it is stored and shown: a whole number without a fraction.
    pub fn stored(&self, value: f64) -> Value {
        #[allow(clippy::cast_possible_truncation)] // within bounds, and whole
        if self.whole { Value::from(value as i64) } else { Value::from(value) }
    }

    /// Whether a number is a value of the key.
    pub fn takes(&self, value: f64) -> bool {
        value.is_finite() && value >= self.min && value <= self.max && (!self.whole || value.fract() == 0.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The values that are set for a scope: for each key, from the widest to the narrowest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(Map<String, Value>);

impl Settings {
    /// From `{"key": [value, …]}` as the database has it; anything else is nothing.
    pub fn new(stored: &Value) -> Self {
        Self(stored.as_object().cloned().unwrap_or_default())
    }

    /// The same with one value for a key.
    pub fn with(mut self, key: &Key, value: f64) -> Self {
        self.0.insert(key.name.to_owned(), Value::Array(vec![key.stored(value)]));
        self
    }

    /// The value of a key: the narrowest one that it takes.
    pub fn number(&self, key: &Key) -> Option<f64> {
        let given = self.0.get(key.name)?.as_array()?;
        given.iter().rev().filter_map(Value::as_f64).find(|value| key.takes(*value))
    }

    /// The same for keys of whole numbers that are never negative.
    pub fn whole(&self, key: &Key) -> Option<u32> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the key's bounds
        self.number(key).filter(|_| key.whole).map(|value| value as u32)
    }
}

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
