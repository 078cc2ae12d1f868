//! Under construction.

pub mod migrate;
