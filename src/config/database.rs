//! Where the state lives: a PostgreSQL server, or a private one that this program starts itself.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__DATABASE__URL`, `DATABASE_URL`, `--database-url` | – | the server; without it a private one is started |
//! | `SYNCLINE__DATABASE__DIRECT_URL` | the same | a way around a connection pooler, for LISTEN |
//! | `SYNCLINE__DATABASE__MAX_CONNECTIONS` | 20 | connections of one process |
//! | `SYNCLINE__DATABASE__DATA_DIR` | `.syncline/pg` | the data folder of the private server |
//!
//! Both URLs are secrets: they may be given as `…_FILE`.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::key::{Key, Kind, not_empty};

/// Where the state lives.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// The server; none means the private one under `data_dir`.
    pub url: Option<SecretString>,
    /// The same server without a pooler in between, for LISTEN.
    pub direct_url: Option<SecretString>,
    /// How many connections one process holds at most.
    pub max_connections: u32,
    /// The data folder of the private server.
    pub data_dir: PathBuf,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, direct_url: None, max_connections: 20, data_dir: PathBuf::from(".syncline/pg") }
    }
}

const URL: &str = "a URL like postgres://USER:PASSWORD@HOST:5432/NAME";

pub(super) const KEYS: &[Key] = &[
    Key { path: "database.url", default: "", kind: Kind::Secret(postgres_url), expects: URL },
    Key { path: "database.direct_url", default: "", kind: Kind::Secret(postgres_url), expects: URL },
    Key {
        path: "database.max_connections",
        default: "20",
        kind: Kind::Integer(2, 1_000),
        expects: "a number of connections",
    },
    Key { path: "database.data_dir", default: ".syncline/pg", kind: Kind::Text(not_empty), expects: "a folder" },
];

/// Says what is wrong with a PostgreSQL URL without repeating it, because it may hold a password.
fn postgres_url(text: &str) -> Result<(), String> {
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(_) if text.contains("host=") || text.contains("dbname=") => {
            return Err("is a list of keyword=value pairs instead of a URL".into());
        }
        Err(problem) => return Err(format!("is not a URL: {problem} ({} characters)", text.chars().count())),
    };
    match url.scheme() {
        "postgres" | "postgresql" => Ok(()),
        other => Err(format!("has the scheme {other:?} instead of postgres")),
    }
}
