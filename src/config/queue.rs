//! How steps are claimed, kept alive and retried.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__QUEUE__WORKERS` | 8 | concurrent steps of this process that send requests to Jira |
//! | `SYNCLINE__QUEUE__STORE_CONCURRENCY` | 2 | concurrent steps of this process that write |
//! | `SYNCLINE__QUEUE__CONTROL_CONCURRENCY` | 2 | concurrent housekeeping steps of this process |
//! | `SYNCLINE__QUEUE__LEASE_SECONDS` | 3 | a worker without a heartbeat for this time loses its steps |
//! | `SYNCLINE__QUEUE__PULSE_SECONDS` | 1 | the interval at which a worker renews its lease |
//! | `SYNCLINE__QUEUE__MAX_ATTEMPTS` | 5 | failures after which a step is dead |
//! | `SYNCLINE__QUEUE__BACKOFF_BASE_SECONDS` | 2 | the wait after the first failure; it doubles with each further one |
//! | `SYNCLINE__QUEUE__BACKOFF_MAX_SECONDS` | 300 | the longest such wait |
//! | `SYNCLINE__QUEUE__GRACE_SECONDS` | 25 | the time for running steps to end after SIGTERM |
//!
//! Former names are understood, and told by `syncline config show`: see [`super::key::FORMER`].

use serde::Deserialize;

use super::key::{Key, Kind};

/// How steps are claimed, kept alive and retried.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Steps of this process that talk to Jira at once.
    pub workers: u32,
    /// Steps of this process that write at once.
    pub store_concurrency: u32,
    /// Housekeeping steps of this process at once.
    pub control_concurrency: u32,
    /// A worker that is silent for this long has lost its steps.
    pub lease_seconds: u32,
    /// How often a worker renews its lease; less than half of `lease_seconds`.
    pub pulse_seconds: u32,
    /// Failures after which a step is dead.
    pub max_attempts: u32,
    /// The wait after the first failure; it doubles with each.
    pub backoff_base_seconds: u32,
    /// The longest wait after a failure.
    pub backoff_max_seconds: u32,
    /// How long running steps may take to end after SIGTERM.
    pub grace_seconds: u32,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            workers: 8,
            store_concurrency: 2,
            control_concurrency: 2,
            lease_seconds: 3,
            pulse_seconds: 1,
            max_attempts: 5,
            backoff_base_seconds: 2,
            backoff_max_seconds: 300,
            grace_seconds: 25,
        }
    }
}

impl QueueConfig {
    /// What one key alone cannot tell: (key, problem, remedy).
    pub(super) fn contradiction(&self) -> Option<(&'static str, String, String)> {
        if self.pulse_seconds.saturating_mul(2) >= self.lease_seconds {
            let problem = format!("is {}, too slow for a lease of {} seconds", self.pulse_seconds, self.lease_seconds);
            let remedy = "set queue.pulse_seconds to less than half of queue.lease_seconds, preferably a third";
            return Some(("queue.pulse_seconds", problem, remedy.into()));
        }
        if self.backoff_base_seconds > self.backoff_max_seconds {
            let problem = format!(
                "is {}, more than queue.backoff_max_seconds, {}",
                self.backoff_base_seconds, self.backoff_max_seconds
            );
            let remedy = "set queue.backoff_base_seconds to at most queue.backoff_max_seconds";
            return Some(("queue.backoff_base_seconds", problem, remedy.into()));
        }
        None
    }
}

pub(super) const KEYS: &[Key] = &[
    steps("queue.workers", "8"),
    steps("queue.store_concurrency", "2"),
    steps("queue.control_concurrency", "2"),
    seconds("queue.lease_seconds", "3", 3, 3_600),
    seconds("queue.pulse_seconds", "1", 1, 1_200),
    Key { path: "queue.max_attempts", default: "5", kind: Kind::Integer(1, 100), expects: "a number of attempts" },
    seconds("queue.backoff_base_seconds", "2", 1, 3_600),
    seconds("queue.backoff_max_seconds", "300", 1, 86_400),
    seconds("queue.grace_seconds", "25", 0, 3_600),
];

const fn steps(path: &'static str, default: &'static str) -> Key {
    Key { path, default, kind: Kind::Integer(1, 256), expects: "a number of steps" }
}

const fn seconds(path: &'static str, default: &'static str, min: i64, max: i64) -> Key {
    Key { path, default, kind: Kind::Integer(min, max), expects: "a number of seconds" }
}
