//! The API.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__SERVE__ADDRESS` | `127.0.0.1:8080` | the address of the API. If the default port is in use, the next free port is taken; a configured address is fixed |
//! | `SYNCLINE__SERVE__BASE_PATH` | | the path under which a reverse proxy serves the API, such as `/syncline` |
//! | `SYNCLINE__SERVE__AUTH` | `token` | `token`: callers need a token; `none`: callers on this machine need none |

use std::net::SocketAddr;

use serde::Deserialize;

use super::key::{Key, Kind};

/// Who gets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServeAuth {
    /// Bearers of a token.
    #[default]
    Token,
    /// Whoever is on this machine; the address must be this machine's own.
    None,
}

/// The API.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// Where it listens. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether the next free port may be taken instead: nobody has asked for this one.
    #[serde(skip)]
    pub may_move: bool,
    /// The path below which it is served: empty, or `/` and more.
    pub base_path: String,
    /// Who gets in.
    pub auth: ServeAuth,
}

impl ServeConfig {
    /// Refuses to serve everybody without a token.
    ///
    /// # Errors
    /// When no token is asked for at an address that others reach.
    pub fn check(&self) -> Result<(), String> {
        match self.auth == ServeAuth::None && !self.address.ip().is_loopback() {
            true => Err(format!(
                "serve.auth is none and serve.address is {}, which other machines can reach: use a local address \
                    such as 127.0.0.1:8080, or set serve.auth to token",
                self.address
            )),
            false => Ok(()),
        }
    }
}

impl Default for ServeConfig {
    fn default() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self { address, may_move: true, base_path: String::new(), auth: ServeAuth::Token }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "serve.address",
        default: "127.0.0.1:8080",
        kind: Kind::Text(address),
        expects: "an IP address with a port",
    },
    Key {
        path: "serve.base_path",
        default: "",
        kind: Kind::Text(path),
        expects: "a path such as /syncline, or nothing,",
    },
    Key { path: "serve.auth", default: "token", kind: Kind::Choice(&["token", "none"]), expects: "who gets in" },
];

fn address(text: &str) -> Result<(), String> {
    let parsed = text.parse::<SocketAddr>();
    parsed.map(drop).map_err(|_| format!("is {text:?}, which is not an IP address with a port"))
}

fn path(text: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let good = text.is_empty()
        || (text.starts_with('/') && !text.ends_with('/') && !text.contains("//") && text.chars().all(is_plain));
    if good { Ok(()) } else { Err(format!("is {text:?}, which is not a path such as /syncline")) }
}
