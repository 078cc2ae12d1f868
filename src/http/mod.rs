//! HTTP servers of the process.
//!
//! What must hold: what is served here reads shared state or calls what it was handed; it decides nothing about work.

pub mod admin;
pub(crate) mod connections;
pub(crate) mod listen;
mod log_level;
