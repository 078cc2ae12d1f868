//! The client's requests and its small answers, typed. Pages of issues stay raw: they are staged before they are read.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::members::Members;
use super::page::PageHead;
use crate::domain::failure::Failure;
use crate::domain::record::UserRecord;
use crate::domain::site_kind::SiteKind;

/// One search.
#[derive(Clone, Debug)]
pub struct SearchRequest<'a> {
    /// The query; Jira refuses one without a bound (see [`super::jql`]).
    pub jql: &'a str,
    /// The fields to answer, by id; see [`super::search_fields`].
    pub fields: &'a [String],
    /// At most 5000; Jira gives fewer when more than ids are asked for.
    pub page_size: u32,
    /// From the head of the page before; absent for the first.
    pub next_page_token: Option<String>,
}

/// A page as Jira sent it: a JSON object, decompressed and bounded in size, otherwise not looked at.
#[derive(Clone, Debug)]
pub struct RawPage {
    /// The JSON text.
    pub body: Bytes,
    /// What the client found out of a page that has no token of Jira's.
    pub(super) head: Option<PageHead>,
    /// See [`RawPage::rows`].
    pub(super) rows: Option<u32>,
}

impl RawPage {
    pub(super) const fn new(body: Bytes) -> Self {
        Self { body, head: None, rows: None }
    }

    /// Of a page that was too large as it was asked for: how many rows it was asked for with in the end.
    pub const fn rows(&self) -> Option<u32> {
        self.rows
    }

    /// What the page says of its successor. A page of Data Center says it together with the one before, and so only here.
    ///
    /// # Errors
    /// As [`super::page::page_head`].
    pub fn head(&self) -> Result<PageHead, Failure> {
        self.head.clone().map_or_else(|| super::page::page_head(&self.body), Ok)
    }

    /// The ids of the issues, as far as they can be read.
    pub fn ids(&self) -> Vec<i64> {
        super::frame::ids(&self.body)
    }
}

/// What a site gives that not every site or account is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered<T> {
    /// Here it is.
    Available(T),
    /// The site has no such endpoint; with what it answered.
    Absent(String),
    /// The account may not; with what Jira answered.
    Forbidden(String),
}

impl<T> Offered<T> {
    /// The same of something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Offered<U> {
        match self {
            Self::Available(value) => Offered::Available(f(value)),
            Self::Absent(reason) => Offered::Absent(reason),
            Self::Forbidden(reason) => Offered::Forbidden(reason),
        }
    }

    /// What is there, if it is.
    pub fn available(self) -> Option<T> {
        if let Self::Available(value) = self { Some(value) } else { None }
    }

    /// `available`, `absent` or `forbidden`, as stored.
    pub const fn state(&self) -> &'static str {
        match self {
            Self::Available(_) => "available",
            Self::Absent(_) => "absent",
            Self::Forbidden(_) => "forbidden",
        }
    }

    /// Why it is not there.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Available(_) => None,
            Self::Absent(reason) | Self::Forbidden(reason) => Some(reason),
        }
    }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Myself {
    /// Atlassian's account id; the user key on Data Center.
    pub account_id: String,
    /// The name shown.
    pub display_name: String,
    /// Where the account may see its own.
    pub email: Option<String>,
    /// An IANA name: quoted JQL dates are read in this zone.
    pub time_zone: Option<String>,
    /// Whether the account may log in.
    pub active: bool,
}

impl Myself {
    /// The account on a server that has none.
    pub(super) fn unknown() -> Self {
        let display_name = "unknown: the server has no /myself".to_owned();
        Self { account_id: String::new(), display_name, email: None, time_zone: None, active: true }
    }
}

/// What the site says of itself. A value of another type than expected counts as not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct ServerInfo {
    /// `Cloud`, `Server` or `Data Center`; empty where the site does not tell.
    pub deployment_type: String,
    /// The site's own address.
    pub base_url: Option<String>,
    /// For example `1001.0.0-SNAPSHOT`.
    pub version: Option<String>,
    /// The same in numbers.
    pub version_numbers: Vec<i64>,
    /// The site's clock, where it tells: for measuring the skew of ours.
    pub server_time: Option<DateTime<Utc>>,
    /// The site's name.
    pub server_title: Option<String>,
}

impl TryFrom<Value> for ServerInfo {
    type Error = &'static str;

    fn try_from(answer: Value) -> Result<Self, Self::Error> {
        let members = Members::new(answer.as_object().ok_or("it is no object")?);
        let numbers = answer.get("versionNumbers").and_then(Value::as_array);
        Ok(Self {
            deployment_type: members.text("deploymentType").unwrap_or_default(),
            base_url: members.text("baseUrl"),
            version: members.text("version"),
            version_numbers: numbers.into_iter().flatten().map_while(Value::as_i64).collect(),
            server_time: members.moment("serverTime"),
            server_title: members.text("serverTitle"),
        })
    }
}

impl ServerInfo {
    /// What kind of site it is. One that does not say it tells by its version: Cloud counts from 1001.
    pub fn kind(&self) -> SiteKind {
        let of_version = || {
            let written = self.version.as_deref().and_then(|version| version.split('.').next()?.parse().ok());
            self.version_numbers.first().copied().or(written).is_none_or(|major| major >= 1000)
        };
        let cloud = match self.deployment_type.as_str() {
            "" => of_version(),
            kind => kind.eq_ignore_ascii_case("cloud"),
        };
        if cloud { SiteKind::Cloud } else { SiteKind::DataCenter }
    }
}

/// A part of one of the feeds of worklogs: what was written, or removed, since a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorklogFeed {
    /// The ids with the time of the change, oldest first.
    pub changes: Vec<(i64, DateTime<Utc>)>,
    /// How many changes name no worklog that can be read.
    pub unreadable: usize,
    /// From where to ask on; absent on the last page.
    pub next_since: Option<DateTime<Utc>>,
    /// Up to when the feed is complete, which is a minute ago: newer changes come later.
    pub until: Option<DateTime<Utc>>,
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
