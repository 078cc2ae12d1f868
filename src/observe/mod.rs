//! What operators see: metrics, traces, logs, health.
//!
//! What must hold: metric names are constants here and nowhere else; no label comes from Jira, a user or a message; nothing
//! here holds up work or makes it fail.

pub mod catalog;
mod exporter;
mod gauges;
pub mod labels;
pub mod metrics;
