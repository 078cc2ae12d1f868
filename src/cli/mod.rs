//! The commands.

pub mod confirm;
pub mod context;
mod error;
pub mod migrate;
pub mod output;

pub use context::{Context, Globals};
pub use error::{Error, Exit};
