//! The database: connecting, the schema's version, and one file per aggregate.
//!
//! All SQL of the crate lives here, checked at compile time and schema-qualified; writes are set-based, never a statement
//! per row.
//!
//! What must hold: nothing outside this module sends SQL, and no text that leaves it (errors, logs) shows a password.

pub mod account;
pub mod ahead;
pub mod alert;
pub mod audit;
pub mod bundle;
pub mod candidates;
pub mod capability;
pub mod catalogue;
pub mod clock;
pub mod connect;
mod connections;
pub mod doctor;
pub mod drift;
pub mod due;
mod error;
pub mod feed;
pub mod finalize;
pub mod gauges;
pub mod health;
pub mod ids;
pub mod insight;
pub mod keys;
pub mod log;
pub mod migrate;
pub mod names;
pub mod oauth;
pub mod objects;
pub mod page;
mod parameters;
pub mod patience;
pub mod people;
pub mod plan;
pub mod project;
pub mod queue_view;
pub mod quota;
pub mod rate;
pub mod reconcile;
pub mod rejected;
pub mod replica;
pub mod replica_view;
pub mod role;
pub mod run_details;
pub mod run_view;
pub mod schedule_admin;
pub mod session;
pub mod setting;
pub mod sighting;
pub mod sign_in;
pub mod site;
pub mod statistics;
pub mod step;
pub mod token;
pub mod totals;
pub mod tracking;
pub mod upkeep;
pub mod verify;
pub mod verify_parts;
pub mod webhook;
pub mod work;

pub use connect::{PoolOptions, Route, connect, is_pooled};
pub use connections::Connections;
pub use error::Error;
pub use migrate::{check_version, migrate};
pub use patience::within;
pub use session::{Held, acquire, is_there};

/// The outcome of a statement.
pub type Result<T> = std::result::Result<T, Error>;
