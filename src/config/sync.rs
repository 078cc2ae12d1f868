//! How Syncline reads projects from Jira.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__SYNC__DEFAULT_CRON` | `*/15 * * * *` | the default schedule of new projects |
//! | `SYNCLINE__SYNC__TIME_ZONE` | `UTC` | the time zone of the default schedule |
//! | `SYNCLINE__SYNC__PAGE_SIZE` | 100 | issues per page |
//! | `SYNCLINE__SYNC__OVERLAP_SECONDS` | 300 | how far an incremental run reaches back behind its cursor |
//! | `SYNCLINE__SYNC__PAGES_IN_FLIGHT` | 4 | pages fetched but not written yet, per partition |
//! | `SYNCLINE__SYNC__PARTITION_TARGET_ISSUES` | 500 | a full run is split into parts of about this size |
//! | `SYNCLINE__SYNC__REQUEST_TIMEOUT_SECONDS` | 30 | time limit of one request to Jira |
//! | `SYNCLINE__SYNC__ANSWER_LIMIT_MEBIBYTES` | 64 | the largest answer of Jira that is read; a larger page is requested in smaller parts |
//! | `SYNCLINE__SYNC__FRESHNESS_OBJECTIVE_SECONDS` | 3600 | a project without a success for this time (or two intervals of its schedule) is stale in metrics and alerts |

use serde::Deserialize;

use super::key::{Key, Kind};
use crate::domain::cron;

/// How Syncline reads projects from Jira.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncConfig {
    /// The cron expression of a project that is added without one.
    pub default_cron: String,
    /// The IANA time zone of that expression.
    pub time_zone: String,
    /// Issues per page of a search.
    pub page_size: u32,
    /// How far an incremental run reaches back behind its cursor: Jira's search lags behind its writes.
    pub overlap_seconds: u32,
    /// Pages of a partition that may be fetched but not written yet.
    pub pages_in_flight: u32,
    /// A full run is split into parallel parts of about this many issues.
    pub partition_target_issues: u32,
    /// The longest that one request to Jira may take.
    pub request_timeout_seconds: u32,
    /// The largest answer of Jira that is read.
    pub answer_limit_mebibytes: u32,
    /// A project that has had no success for so long is stale, unless its schedule is slower.
    pub freshness_objective_seconds: u32,
}

impl SyncConfig {
    /// The largest answer of Jira that is read, in bytes.
    pub fn answer_limit_bytes(&self) -> usize {
        usize::try_from(self.answer_limit_mebibytes).unwrap_or(usize::MAX >> 20) << 20
    }
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            default_cron: "*/15 * * * *".into(),
            time_zone: "UTC".into(),
            page_size: 100,
            overlap_seconds: 300,
            pages_in_flight: 4,
            partition_target_issues: 500,
            request_timeout_seconds: 30,
            answer_limit_mebibytes: 64,
            freshness_objective_seconds: 3600,
        }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "sync.default_cron",
        default: "*/15 * * * *",
        kind: Kind::Text(|text| {
            cron::Schedule::parse(text, "UTC").map(drop).map_err(|problem| format!("is refused: {problem}"))
        }),
        expects: "a cron expression of five fields (minute, hour, day of month, month, day of week)",
    },
    Key {
        path: "sync.time_zone",
        default: "UTC",
        kind: Kind::Text(|text| {
            cron::Schedule::parse("0 0 * * *", text).map(drop).map_err(|problem| format!("is refused: {problem}"))
        }),
        expects: "an IANA time zone such as Europe/Berlin",
    },
    Key { path: "sync.page_size", default: "100", kind: Kind::Integer(1, 5_000), expects: "a number of issues" },
    Key {
        path: "sync.overlap_seconds",
        default: "300",
        kind: Kind::Integer(0, 86_400),
        expects: "a number of seconds",
    },
    Key { path: "sync.pages_in_flight", default: "4", kind: Kind::Integer(1, 64), expects: "a number of pages" },
    Key {
        path: "sync.partition_target_issues",
        default: "500",
        kind: Kind::Integer(100, 1_000_000),
        expects: "a number of issues",
    },
    Key {
        path: "sync.request_timeout_seconds",
        default: "30",
        kind: Kind::Integer(1, 600),
        expects: "a number of seconds",
    },
    Key {
        path: "sync.answer_limit_mebibytes",
        default: "64",
        kind: Kind::Integer(1, 1_024),
        expects: "a number of mebibytes",
    },
    Key {
        path: "sync.freshness_objective_seconds",
        default: "3600",
        kind: Kind::Integer(1, 604_800),
        expects: "a number of seconds",
    },
];
