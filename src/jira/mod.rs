//! Jira Cloud, as a client has to take it: requests, paging, the meaning of its failures, and its answers made records.
//!
//! * [`client`] asks, over [`transport`]'s one connection pool, with three attempts per request;
//! * [`classify`] says what a refusal means, by status, headers and shape, never by text;
//! * [`page`] reads what a page says of its successor and guards against walks that never end;
//! * [`normalise`] makes records of issues, comments, worklogs and users, with [`adf`] for their texts;
//! * [`jql`] writes the query of a window.
//!
//! What must hold: nothing here touches the database; nothing Jira sends can panic, be lost without being counted, or
//! take unbounded memory; the API token appears in one header and nowhere else.

pub mod adf;
pub mod answers;
pub mod catalogue;
pub mod classify;
pub mod client;
#[cfg(test)]
mod client_tests;
pub mod concurrency;
pub mod endpoint;
pub mod fields;
pub mod histories;
pub mod jql;
mod loose;
pub mod normalise;
pub mod pacer;
pub mod page;
mod repair;
mod shape;
mod sprint;
pub mod time;
pub mod transport;
mod wire;

pub use answers::{IdPage, Myself, Project, ProjectPage, RawPage, SearchRequest, ServerInfo};
pub use client::{JiraClient, SiteAccess};
pub use endpoint::Endpoint;
pub use fields::{FieldMap, search_fields};
pub use transport::HttpPool;
