//! The client's requests and its small answers, typed. Pages of issues stay raw: they are staged before they are read.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::page::PageHead;
use crate::domain::record::UserRecord;

/// One search, as asked of `/search/jql`.
#[derive(Clone, Debug)]
pub struct SearchRequest<'a> {
    /// The query; Jira refuses one without a bound (see [`super::jql`]).
    pub jql: &'a str,
    /// The fields to answer, by id; see [`super::search_fields`].
    pub fields: &'a [String],
    /// At most 5000; Jira gives fewer when more than ids are asked for.
    pub page_size: u32,
    /// From the page before; absent for the first.
    pub next_page_token: Option<String>,
}

/// A page as Jira sent it: a JSON object, decompressed and bounded in size, otherwise not looked at.
#[derive(Clone, Debug)]
pub struct RawPage {
    /// The JSON text.
    pub body: Bytes,
}

/// A page of issue ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPage {
    /// Jira's ids in the query's order.
    pub ids: Vec<i64>,
    /// What the page says of its successor.
    pub head: PageHead,
}

/// The account that the credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Myself {
    /// Atlassian's account id.
    pub account_id: String,
    /// The name shown.
    #[serde(default)]
    pub display_name: String,
    /// An IANA name: quoted JQL dates are read in this zone.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Whether the account may log in.
    #[serde(default = "yes")]
    pub active: bool,
}

fn yes() -> bool {
    true
}

/// What the site says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// `Cloud`; other values are sites that this client does not speak to.
    pub deployment_type: String,
    /// The site's own address.
    #[serde(default)]
    pub base_url: Option<String>,
    /// For example `1001.0.0-SNAPSHOT`.
    #[serde(default)]
    pub version: Option<String>,
    /// The site's clock, where it tells: for measuring the skew of ours.
    #[serde(default, deserialize_with = "super::time::lenient")]
    pub server_time: Option<DateTime<Utc>>,
    /// The site's name.
    #[serde(default)]
    pub server_title: Option<String>,
}

/// One project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Jira's id: it never changes.
    pub id: i64,
    /// The key: it may be changed by an administrator, and old keys are answered with the new one.
    pub key: String,
    /// The name shown.
    pub name: String,
    /// For example `software` or `service_desk`.
    pub project_type: Option<String>,
    /// Who is responsible.
    pub lead: Option<UserRecord>,
    /// Read-only, and out of most searches.
    pub archived: bool,
    /// In the trash.
    pub deleted: bool,
    /// How many issues it has, where Jira tells.
    pub issue_count: Option<i64>,
    /// When an issue of it was updated last, where Jira tells.
    pub last_issue_update: Option<DateTime<Utc>>,
}

/// A page of projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectPage {
    /// In the order of their keys.
    pub values: Vec<Project>,
    /// The index of the first.
    pub start_at: u64,
    /// How many there are in all.
    pub total: u64,
    /// Whether the list ends here; an absent one follows from the total.
    pub is_last: Option<bool>,
}

impl ProjectPage {
    /// Where the next page starts, if there is one.
    pub fn next_start(&self) -> Option<u64> {
        let next = self.start_at + self.values.len() as u64;
        let last = self.values.is_empty() || self.is_last.unwrap_or(next >= self.total);
        (!last).then_some(next)
    }
}
