//! What operators see: metrics, traces, logs, health.
//!
//! What must hold: metric names are constants here and nowhere else; no label comes from Jira, a user or a message.

pub mod metrics;
