//! When a failing project runs less often, and when alerts open.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__TELEMETRY__THRESHOLD` | 3 | failures of one class in a row after which a project backs off and an alert opens |
//! | `SYNCLINE__TELEMETRY__THRESHOLDS` | | the same for single classes, such as `TIMEOUT=5,DNS=2` |
//! | `SYNCLINE__TELEMETRY__RUNGS` | `2,4,8,16,32,96` | the ladder: each rung's wait as a multiple of the base cadence |
//! | `SYNCLINE__TELEMETRY__CAP_SECONDS` | 86400 | the longest wait of the ladder |
//! | `SYNCLINE__TELEMETRY__SLOW_THRESHOLD` | 3 | slow runs in a row after which later runs are staggered and an alert opens |
//! | `SYNCLINE__TELEMETRY__LAG_CADENCES` | 4 | the age of a replica at its refresh, in base cadences, from which an alert opens |
//! | `SYNCLINE__TELEMETRY__NO_SUCCESS_SECONDS` | 21600 | the time without a successful run after which an alert opens; at least six base cadences |
//! | `SYNCLINE__TELEMETRY__REHEARSAL_CADENCE_SECONDS` | 0 | for rehearsals: rungs are multiples of this instead of the base cadence; 0 is off |

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::key::{Key, Kind};
use crate::domain::failure::FailureCode;
use crate::domain::health::Rules;
use crate::domain::ladder::LadderRules;

/// When a failing project runs less often, and when alerts open.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Failures of one class in a row after which a project backs off and an alert opens.
    pub threshold: u32,
    /// The same for single classes.
    pub thresholds: String,
    /// Each rung's wait as a multiple of the base cadence.
    pub rungs: String,
    /// The longest wait of the ladder.
    pub cap_seconds: u32,
    /// Slow runs in a row that matter.
    pub slow_threshold: u32,
    /// How many base cadences old a replica may be when it is refreshed.
    pub lag_cadences: u32,
    /// No successful run for this long is told of.
    pub no_success_seconds: u32,
    /// Rungs count from this instead of the base cadence, so that a ladder can be watched; 0 is off.
    pub rehearsal_cadence_seconds: u32,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            threshold: 3,
            thresholds: String::new(),
            rungs: "2,4,8,16,32,96".into(),
            cap_seconds: 86_400,
            slow_threshold: 3,
            lag_cadences: 4,
            no_success_seconds: 21_600,
            rehearsal_cadence_seconds: 0,
        }
    }
}

impl TelemetryConfig {
    /// The rules that this configuration makes. Its texts were checked when it was loaded.
    pub fn rules(&self) -> Rules {
        let ladder = LadderRules {
            threshold: self.threshold,
            thresholds: parse_thresholds(&self.thresholds).unwrap_or_default(),
            rungs: parse_rungs(&self.rungs).unwrap_or_default(),
            cap: Duration::from_secs(u64::from(self.cap_seconds)),
            rehearsal: (self.rehearsal_cadence_seconds > 0)
                .then(|| Duration::from_secs(u64::from(self.rehearsal_cadence_seconds))),
            ..LadderRules::default()
        };
        Rules {
            ladder,
            slow_threshold: self.slow_threshold,
            lag_cadences: self.lag_cadences,
            no_success_after: Duration::from_secs(u64::from(self.no_success_seconds)),
        }
    }
}

fn parse_thresholds(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (code, count) =
                pair.split_once('=').ok_or_else(|| format!("has {pair:?}, which is not CODE=NUMBER"))?;
            let code = FailureCode::parse(code.trim())
                .ok_or_else(|| format!("has {:?}, which is not a failure code", code.trim()))?;
            let count = count.trim().parse().ok().filter(|count| (1..=100).contains(count));
            let count = count.ok_or_else(|| format!("has no number from 1 to 100 for {code}"))?;
            Ok((code.as_str().to_owned(), count))
        })
        .collect()
}

fn parse_rungs(text: &str) -> Result<Vec<u32>, String> {
    let mut rungs: Vec<u32> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let rung = part.parse().ok().filter(|rung| (1..=10_000).contains(rung));
        let rung = rung.ok_or_else(|| format!("has {part:?}, which is not a number from 1 to 10000"))?;
        if rungs.last().is_some_and(|last| *last > rung) {
            return Err(format!("falls at {rung}"));
        }
        rungs.push(rung);
    }
    Ok(rungs)
}

pub(super) const KEYS: &[Key] = &[
    Key { path: "telemetry.threshold", default: "3", kind: Kind::Integer(1, 100), expects: "a number of failures" },
    Key {
        path: "telemetry.thresholds",
        default: "",
        kind: Kind::Text(|text| parse_thresholds(text).map(drop)),
        expects: "failure codes with numbers, such as TIMEOUT=5,DNS=2",
    },
    Key {
        path: "telemetry.rungs",
        default: "2,4,8,16,32,96",
        kind: Kind::Text(|text| parse_rungs(text).map(drop)),
        expects: "non-decreasing multiples of the base cadence, such as 2,4,8,16,32,96",
    },
    Key {
        path: "telemetry.cap_seconds",
        default: "86400",
        kind: Kind::Integer(1, 2_592_000),
        expects: "a number of seconds",
    },
    Key { path: "telemetry.slow_threshold", default: "3", kind: Kind::Integer(1, 100), expects: "a number of runs" },
    Key {
        path: "telemetry.lag_cadences",
        default: "4",
        kind: Kind::Integer(2, 1_000),
        expects: "a number of base cadences",
    },
    Key {
        path: "telemetry.no_success_seconds",
        default: "21600",
        kind: Kind::Integer(60, 31_536_000),
        expects: "a number of seconds",
    },
    Key {
        path: "telemetry.rehearsal_cadence_seconds",
        default: "0",
        kind: Kind::Integer(0, 86_400),
        expects: "a number of seconds",
    },
];
