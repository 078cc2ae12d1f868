//! Alerts in the database: episodes, the outbox, and the policy.
//!
//! [`observe`] is for whoever sees a condition begin or end, inside the transaction in which it was seen; everything else is
//! for the keeper of episodes, for deliveries and for the command line.
//!
//! What must hold: time comes from the caller; an episode is changed by whoever holds its row; rows are locked in the order
//! of their keys, or skipped when somebody else holds them.

pub mod admin;
pub mod channel;
pub mod delivery;
pub mod keep;
mod observe;
pub mod route;
mod row;
pub mod silence;
pub mod view;

pub use observe::observe;
pub use row::{AlertRow, Change};

/// The channel on which episodes are announced that somebody should look at.
pub const ALERT_CHANNEL: &str = "syncline_alert";
