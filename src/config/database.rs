//! Where the state lives: a PostgreSQL server, or a private one that this program starts itself.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__DATABASE__URL`, `DATABASE_URL`, `--database-url` | – | the server; without it Syncline starts a private one |
//! | `SYNCLINE__DATABASE__DIRECT_URL` | the same | a direct connection past a pooler, for LISTEN and migrations |
//! | `SYNCLINE__DATABASE__MAX_CONNECTIONS` | 20 | connections of one process |
//! | `SYNCLINE__DATABASE__DATA_DIR` | see below | the folder of the private server |
//!
//! Both URLs are secrets: they may be given as `…_FILE`.
//!
//! The private server's folder is one for each user of the machine, wherever a command is started: `/var/lib/syncline` for
//! root, else `$XDG_DATA_HOME/syncline`, else `~/.local/share/syncline`.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
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
    /// The folder of the private server; none means [`DatabaseConfig::private_folder`]'s.
    pub data_dir: Option<PathBuf>,
}

impl DatabaseConfig {
    /// The folder of the private server.
    pub fn private_folder(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| usual_folder(is_root(), |name| std::env::var_os(name)))
    }
}

fn usual_folder(root: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (root, absolute("XDG_DATA_HOME"), absolute("HOME")) {
        (true, ..) => PathBuf::from("/var/lib/syncline"),
        (false, Some(data), _) => data.join("syncline"),
        (false, None, Some(home)) => home.join(".local/share/syncline"),
        // An account without a home: where it stands.
        (false, None, None) => PathBuf::from(".syncline"),
    }
}

/// Whether this process is root's, as `/proc` tells, and where there is none, its environment.
fn is_root() -> bool {
    match std::fs::metadata("/proc/self") {
        Ok(process) => process.uid() == 0,
        Err(_) => std::env::var("USER").is_ok_and(|user| user == "root"),
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, direct_url: None, max_connections: 20, data_dir: None }
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
    Key { path: "database.data_dir", default: "", kind: Kind::Text(not_empty), expects: "a folder" },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_folder_is_the_users_own() {
        let environment = |set: &'static [(&'static str, &'static str)]| {
            move |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        let home = environment(&[("HOME", "/home/ana"), ("XDG_DATA_HOME", "")]);
        assert_eq!(usual_folder(false, home), PathBuf::from("/home/ana/.local/share/syncline"));
        let data = environment(&[("HOME", "/home/ana"), ("XDG_DATA_HOME", "/data")]);
        assert_eq!(usual_folder(false, data), PathBuf::from("/data/syncline"));
        assert_eq!(usual_folder(true, data), PathBuf::from("/var/lib/syncline"));
        assert_eq!(usual_folder(false, environment(&[])), PathBuf::from(".syncline"));
    }
}
