//! Under construction.

pub mod migrate;
pub mod simulate;
