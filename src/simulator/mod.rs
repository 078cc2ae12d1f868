//! A Jira site, Cloud or Data Center, that lives in this binary, for rehearsal.
//!
//! Operators use it to see how a deployment behaves before it meets a real site, and tests use it as the other side of every
//! promise. It invents a site from a seed, serves it over the REST and the agile interface as Jira does (limits, truncation,
//! lag, error shapes and all) and lets the site change and fail on demand. `docs/simulator.md` tells how to use it and what
//! it leaves out.
//!
//! A request passes [`gate`] (counting, latency, faults, credentials, [`limits`]), then an endpoint ([`routes`] knows them
//! all), which reads the [`store`] and the [`catalogue`] and writes its answer with [`render`] and [`changelog`]. [`mutate`]
//! changes the issues, [`mutate_site`] what they have in common; [`server`] starts and steers all of it.
//!
//! What must hold: the same options and the same calls give the same site, byte for byte; memory is a small fixed amount per
//! issue, because texts are made from the seed when they are asked for; no answer is built under the lock.

mod admin;
mod agile;
mod attributes;
mod auth;
mod catalogue;
mod changelog;
mod connection;
mod custom;
mod dc_search;
mod endpoints;
mod faults;
mod feeds;
mod fields;
mod gate;
mod generate;
mod history;
mod issue;
mod jql;
mod json;
mod language;
mod limits;
mod links;
mod lists;
mod mangle;
mod mutate;
mod mutate_site;
mod mutation;
mod oauth;
mod options;
pub mod past;
mod people;
mod personal_tokens;
mod poorer;
mod projects_api;
mod query;
mod render;
mod reply;
mod routes;
mod search;
mod search_api;
mod seed;
mod server;
mod site;
mod store;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod threads;
mod token;
mod webhook;
mod webhook_body;
mod wiki;
mod world;

pub use faults::{FaultKind, FaultPlan, FaultRule};
pub use language::Language;
pub use limits::{Bucket, LimitShape, LimitStats, Limits};
pub use mutation::{Change, Error as MutationError, Mutation, Term};
pub use oauth::{OAuthApp, OAuthStats};
pub use options::{Account, Amount, DEFAULT_EMAIL, DEFAULT_TOKEN, Kind, Options, ProjectSpec};
pub use personal_tokens::PersonalToken;
pub use routes::router;
pub use server::{Control, Error, Handle, Simulator};
pub use site::{Stats, Totals};
pub use webhook::{WebhookStats, Webhooks};
