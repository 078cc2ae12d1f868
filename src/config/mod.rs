//! What a process is told before it starts: addresses, limits, the key for credentials.
//!
//! Later wins: built-in defaults, the TOML file (`--config FILE`, else `SYNCLINE_CONFIG`, else `syncline.toml` in the
//! working directory if it exists), environment variables `SYNCLINE__SECTION__KEY` (and `DATABASE_URL`), flags. A secret
//! may come from a file: `SYNCLINE__SECRETS__KEY_FILE=/run/secrets/key`. Each section's module lists its variables.
//!
//! What must hold:
//! * a key that nobody reads is refused, with the nearest known name, in the file as in the environment;
//! * a value that cannot be used is refused before anything starts: the error names the key, where it came from, the
//!   shape of what was found and what to write instead;
//! * no secret is printed: not by `Debug`, not by an error, not by `syncline config show`.

mod alerts;
mod database;
mod error;
mod file;
mod http;
mod key;
mod load;
mod log;
mod network;
mod oidc;
mod queue;
#[cfg(test)]
mod reference;
pub mod secret;
mod secrets;
mod serve;
mod sync;
mod telemetry;
pub mod written;

pub use alerts::AlertsConfig;
pub use database::DatabaseConfig;
pub use error::Error;
pub use http::HttpConfig;
pub use load::{Loaded, Origin, Setting, Sources, load};
pub use log::{LogConfig, LogFormat};
pub use oidc::OidcConfig;
pub use queue::QueueConfig;
pub use secrets::SecretsConfig;
pub use serve::{ForwardedBy, ServeAuth, ServeConfig};
pub use sync::SyncConfig;
pub use telemetry::TelemetryConfig;

use serde::Deserialize;

/// The whole configuration, checked. Plain data: `Config::default()` is what an empty environment gives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the state lives.
    pub database: DatabaseConfig,
    /// How Syncline reads projects from Jira.
    pub sync: SyncConfig,
    /// How steps are claimed and tried again.
    pub queue: QueueConfig,
    /// Streaks, the back-off ladder and what is told.
    pub telemetry: TelemetryConfig,
    /// The admin address.
    pub http: HttpConfig,
    /// The API.
    pub serve: ServeConfig,
    /// Signing in by an OpenID provider.
    pub oidc: OidcConfig,
    /// Log lines.
    pub log: LogConfig,
    /// When people hear of alerts.
    pub alerts: AlertsConfig,
    /// The key that protects stored credentials.
    pub secrets: SecretsConfig,
}

/// Every key of every section, in the order of the sections.
fn keys() -> impl Iterator<Item = &'static key::Key> {
    [
        database::KEYS,
        sync::KEYS,
        queue::KEYS,
        telemetry::KEYS,
        http::KEYS,
        serve::KEYS,
        oidc::KEYS,
        log::KEYS,
        alerts::KEYS,
        secrets::KEYS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests;
