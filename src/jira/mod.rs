//! Jira, as a client has to take it: requests, paging, the meaning of its failures, and its answers made records.
//!
//! * [`client`] asks, over [`transport`]'s one connection pool, with three attempts per request and the account's [`auth`];
//! * [`search`] finds issues in each of the ways that sites know, with [`walk`] for those that page by places and
//!   [`manners`] for those that understand a part of the query language;
//! * [`bounded`] asks for less where an answer is too large, and leaves out what is too large alone;
//! * [`lists`] and [`history`] have the methods for everything else, [`presence`] those that tell gone from hidden;
//! * [`classify`] says what a refusal means, by status, headers and shape, never by text;
//! * [`page`] reads what a page says of its successor and guards against walks that never end;
//! * [`normalise`] makes records of issues and what belongs to them, with [`adf`] for their texts, [`sprint`] for their
//!   sprints and [`repair`] for what cannot be read; [`catalogue`] makes those of lists;
//! * [`mod@landing`] finds where an address leads that is not Jira's;
//! * [`jql`] writes the query of a window; [`site_clock`] knows what time it is on a site;
//! * [`oauth`] is the dance that ends in an access token; [`personal_token`] says how long Data Center's live.
//!
//! What must hold: nothing here touches the database; nothing Jira sends can panic, be lost without being counted, or
//! take unbounded memory; a secret appears in one header and nowhere else. What differs between Cloud and Data Center is
//! decided here, so that the rest of the program asks one client.

pub mod adf;
pub mod answers;
#[cfg(test)]
mod asked_tests;
pub mod auth;
mod bounded;
pub mod brought;
mod by_id;
mod carried;
pub mod catalogue;
pub mod classify;
pub mod client;
#[cfg(test)]
mod client_tests;
pub mod concurrency;
pub mod endpoint;
mod envelope;
pub mod every_way;
pub mod fields;
#[cfg(test)]
mod flavour_tests;
mod frame;
pub mod histories;
pub mod history;
pub mod jql;
mod landing;
mod lists;
mod loose;
mod manners;
#[cfg(test)]
mod manners_tests;
mod members;
mod no_answer;
pub mod normalise;
pub mod oauth;
#[cfg(test)]
mod oauth_tests;
pub mod pacer;
pub mod page;
pub mod personal_token;
pub mod presence;
mod repair;
pub mod report_accounts;
mod search;
mod shape;
pub mod site_clock;
mod sprint;
#[cfg(test)]
mod test_server;
pub mod time;
pub mod transport;
mod walk;
mod wire;
pub mod withheld;

pub use answers::{IdPage, Myself, Offered, Project, ProjectPage, RawPage, SearchRequest, ServerInfo, WorklogFeed};
pub use auth::{Auth, TokenSource};
pub use catalogue::Listed;
pub use client::{JiraClient, SiteAccess, detect};
pub use endpoint::Endpoint;
pub use fields::{FieldMap, search_fields};
pub use landing::landing;
pub use transport::HttpPool;
