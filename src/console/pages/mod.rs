//! The pages, one file each: read the address or the form, call use cases, draw.

pub(super) mod access;
pub(super) mod alerts;
pub(super) mod audit;
pub(super) mod failed;
pub(super) mod history;
pub(super) mod insights;
pub(super) mod issues;
pub(super) mod overview;
pub(super) mod project;
pub(super) mod projects;
pub(super) mod queue;
pub(super) mod run;
pub(super) mod search;
pub(super) mod settings;
pub(super) mod sign_in;
pub(super) mod sites;
pub(super) mod start;
pub(super) mod webhooks;
