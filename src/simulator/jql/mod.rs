//! The part of JQL that synchronisers use: read, checked against the site, evaluated.
//!
//! [`parser`] knows the grammar and nothing of the site, [`bind`] resolves names to the site's projects, people and times, and
//! [`query`] tests issues. A query outside the subset is refused in Jira's words, never half understood.

mod bind;
mod lexer;
mod parser;
mod query;

pub(super) use bind::{Scope, bind};
pub(super) use parser::parse;
pub(super) use query::{Bounds, Order, Query, Sort};

/// Why a query is refused: the text that Jira puts into `errorMessages`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Error(pub(super) String);
