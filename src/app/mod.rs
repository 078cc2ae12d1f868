//! The use cases: one function per verb, called by the command line, the API and whatever comes beside them.
//!
//! Each function takes an [`Actor`], checks that it may, does the work, writes the audit in the same transaction where it
//! changes something, and answers a typed result or an [`Error`].
//!
//! What must hold: whoever stands above (commands, routes) decides nothing of its own: what one way may do, every way may do;
//! a change without an entry in the audit does not exist; an actor that is limited to projects learns nothing of others.

pub mod account;
mod actor;
pub mod alert;
pub mod audit;
mod connect;
pub mod cursor;
mod error;
pub mod export;
pub mod feed;
pub mod follow;
pub mod health;
pub mod insight;
pub mod issue;
pub mod live;
pub mod oidc;
mod password;
pub mod project;
pub mod queue;
mod role;
pub mod run;
pub mod schedule;
mod scope;
pub mod session;
pub mod setting;
pub mod site;
pub mod stats;
pub mod token;
pub mod tracking;
pub mod webhook;

pub use actor::{Actor, Verb, Way};
pub use error::{Error, Kind};
pub use role::Role;
pub use scope::{Scope, Scopes};

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Config;
use crate::store::Connections;

/// The outcome of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// What the use cases work with; cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) connections: Connections,
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
}

impl App {
    /// Use cases on a database, with the configuration's defaults.
    pub fn new(connections: Connections, clock: Clock) -> Self {
        Self { connections, clock, config: Arc::default() }
    }

    /// The same as this process is configured.
    pub fn configured(self, config: &Config) -> Self {
        Self { config: Arc::new(config.clone()), ..self }
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The cron expression and the time zone of a project that has none of its own.
    pub fn default_schedule(&self) -> (String, String) {
        (self.config.sync.default_cron.clone(), self.config.sync.time_zone.clone())
    }

    fn pool(&self) -> sqlx::PgPool {
        self.connections.now()
    }
}

/// Part of a long list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, in the order that was asked for.
    pub items: Vec<T>,
    /// Leads to the next part; none at the end.
    pub next_cursor: Option<String>,
    /// How many there are in all, counted up to [`COUNTED`].
    pub total: i64,
}

/// Totals are counted up to this; what is larger is told as "more than".
pub const COUNTED: i64 = 10_000;

impl<T> Page<T> {
    /// Whether [`Page::total`] is the number, and not where counting stopped.
    pub fn total_is_exact(&self) -> bool {
        self.total <= COUNTED
    }
}

/// Reads an id as a person or a program writes it.
///
/// # Errors
/// When it is no UUID.
pub fn id(field: &'static str, text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| {
        Error::invalid(field, format!("{field} is not an id"))
            .help("an id is a UUID, such as 0197c1a0-7d3e-7c52-9a55-2f8e3b1d4c60")
    })
}
