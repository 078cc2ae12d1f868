//! Everything that is said to PostgreSQL: one file per aggregate, all SQL of the crate.
//!
//! What must hold: statements are checked at compile time, name their schema, and handle sets, never a row at a time.

pub mod step;

/// What the database, or the way to it, refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A statement failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// The outcome of a statement.
pub type Result<T> = std::result::Result<T, Error>;
