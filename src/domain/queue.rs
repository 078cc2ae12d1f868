//! The queues, by what a step uses; each has its own concurrency in every process.

use std::fmt;

/// Where a step waits for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Steps that wait for the network.
    Jira,
    /// Steps that load the database.
    Store,
    /// Telemetry, alerts, upkeep: small, and never behind the other two.
    Control,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Self; 3] = [Self::Jira, Self::Store, Self::Control];

    /// The name as stored in `sync_step.queue` and used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jira => "jira",
            Self::Store => "store",
            Self::Control => "control",
        }
    }

    /// The queue stored as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.as_str() == text)
    }

    /// The place of the queue in arrays that hold one entry for each.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
