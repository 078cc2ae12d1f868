//! The admin address of a worker: health, readiness, metrics.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__HTTP__ADDRESS` | `127.0.0.1:9464` | the address to serve; `none` turns it off. If the default port is in use, the next free port is taken; a configured address is fixed |
//! | `SYNCLINE__HTTP__METRICS_PROJECT_LIMIT` | 200 | projects with series of their own in metrics; the others share `other` |

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer};

use super::key::{Key, Kind};

/// The admin address of a worker.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it listens; none when it is off. Port 0 takes a free one.
    #[serde(deserialize_with = "address_or_none")]
    pub address: Option<SocketAddr>,
    /// Whether the next free port may be taken instead: nobody has asked for this one.
    #[serde(skip)]
    pub may_move: bool,
    /// How many projects metrics name, the worst off first.
    pub metrics_project_limit: u32,
}

impl Default for HttpConfig {
    fn default() -> Self {
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 9464)));
        Self { address, may_move: true, metrics_project_limit: 200 }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "http.address",
        default: "127.0.0.1:9464",
        kind: Kind::Text(|text| parse(text).map(drop)),
        expects: "an IP address with a port, or none,",
    },
    Key {
        path: "http.metrics_project_limit",
        default: "200",
        kind: Kind::Integer(0, 10_000),
        expects: "a number of projects",
    },
];

fn parse(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("is {text:?}, which is not an IP address with a port"))
}

fn address_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
