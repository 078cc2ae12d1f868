//! Histories, comments and worklogs of issues: of one, of many at once, and of all since a time.
//!
//! What must hold: a walk over the pages of a list ends, also on a server that gives the same page wherever one shall
//! begin. Where that page is full and the list longer, the rest cannot be had, which is a failure; where it is not, the list
//! is what it holds.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;
use serde_json::{Value, json};

use super::answers::{Offered, RawPage, WorklogFeed};
use super::client::{Api, JiraClient, decode, offered};
use super::endpoint::Endpoint;
use super::loose::{FromJson, Id, Loose, Moment};
use super::normalise::{self, ParsedBulk, ParsedCollection};
use super::repair;
use crate::domain::entity::ChangeRecord;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::record::WorklogRecord;
use crate::domain::site_kind::SiteKind;

/// The most issues that `/changelog/bulkfetch` takes.
pub const CHANGELOG_BULK_LIMIT: usize = 1000;
/// The most ids that `/worklog/list` takes.
pub const WORKLOG_LIST_LIMIT: usize = 1000;
/// The most entries of a page of the bulk changelog; asking for fewer costs requests.
const CHANGELOG_BULK_PAGE: u32 = 10_000;
const CHANGELOG_PAGE: u32 = 100;

impl JiraClient {
    /// A page of an issue's comments, oldest first (at most 100); `None` when the issue is gone or hidden.
    pub async fn comments(&self, issue_id: i64, start_at: u64, max: u32) -> Result<Option<RawPage>, Failure> {
        let path = format!("issue/{issue_id}/comment");
        let query = |start: u64, rows: u32| {
            vec![("startAt", start.to_string()), ("maxResults", rows.to_string()), ("orderBy", "created".to_owned())]
        };
        self.page_of_issue((Endpoint::Comments, &path, "comments"), start_at, max, query).await
    }

    /// A page of an issue's worklogs, oldest first (at most 5000); `None` when the issue is gone or hidden. Data Center
    /// gives them all, wherever the page begins.
    pub async fn worklogs(&self, issue_id: i64, start_at: u64, max: u32) -> Result<Option<RawPage>, Failure> {
        let path = format!("issue/{issue_id}/worklog");
        let query = |start: u64, rows: u32| match self.kind {
            SiteKind::Cloud => vec![("startAt", start.to_string()), ("maxResults", rows.to_string())],
            SiteKind::DataCenter => Vec::new(),
        };
        self.page_of_issue((Endpoint::Worklogs, &path, "worklogs"), start_at, max, query).await
    }

    /// A page of a list of one issue; `None` when the issue is gone or hidden.
    async fn page_of_issue(
        &self,
        list: (Endpoint, &str, &'static str),
        start_at: u64,
        max: u32,
        query: impl Fn(u64, u32) -> Vec<(&'static str, String)>,
    ) -> Result<Option<RawPage>, Failure> {
        match self.part_of_list(list, start_at, max, query).await {
            Ok(body) => Ok(Some(RawPage::new(going_on(body, list.2, start_at, max)?))),
            Err(refused) if refused.is_gone() => Ok(None),
            Err(refused) => Err(refused.failure),
        }
    }

    /// A page of an issue's history, oldest first; `None` when the issue is gone or hidden. Data Center gives it whole,
    /// inside the issue.
    pub async fn changelog(
        &self,
        issue_id: i64,
        start_at: u64,
    ) -> Result<Option<ParsedCollection<ChangeRecord>>, Failure> {
        if self.kind == SiteKind::Cloud {
            let path = format!("issue/{issue_id}/changelog");
            let query = |start: u64, rows: u32| vec![("startAt", start.to_string()), ("maxResults", rows.to_string())];
            let list = (Endpoint::Changelog, path.as_str(), "values");
            match self.part_of_list(list, start_at, CHANGELOG_PAGE, query).await {
                Ok(body) => {
                    let body = going_on(body, "values", start_at, CHANGELOG_PAGE)?;
                    return normalise::parse_changelog(&body, issue_id).map(Some);
                }
                Err(refused) if refused.is_gone() => return Ok(None),
                Err(refused) if refused.is_absent() => {}
                Err(refused) => return Err(refused.failure),
            }
        }
        let query = [("fields", "updated".to_owned()), ("expand", "changelog".to_owned())];
        match self.try_get(Endpoint::Issue, Api::Platform, &format!("issue/{issue_id}"), &query).await {
            Ok(body) => normalise::parse_issue_changelog(&body, issue_id).map(Some),
            Err(refused) if refused.is_gone() => Ok(None),
            // There is no part of it to be had.
            Err(refused) if refused.too_large => {
                let body = br#"{"startAt":0,"total":1,"histories":["too large to read"]}"#;
                normalise::parse_changelog(body, issue_id).map(Some)
            }
            Err(refused) => Err(refused.failure),
        }
    }

    /// A page of the histories of up to [`CHANGELOG_BULK_LIMIT`] issues. An issue that is gone or hidden is left out in
    /// silence; a page may end in the middle of an issue's history.
    pub async fn changelog_bulk(
        &self,
        ids: &[i64],
        next_page_token: Option<&str>,
    ) -> Result<Offered<ParsedBulk<ChangeRecord>>, Failure> {
        if self.kind == SiteKind::DataCenter {
            return Ok(Offered::Absent(
                "Data Center has no bulk changelog: it returns histories with the \
                issues"
                    .to_owned(),
            ));
        }
        bounded(ids, CHANGELOG_BULK_LIMIT)?;
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        let mut body = json!({ "issueIdsOrKeys": ids, "maxResults": CHANGELOG_BULK_PAGE });
        if let Some(token) = next_page_token {
            body["nextPageToken"] = token.into();
        }
        let mut rows = CHANGELOG_BULK_PAGE;
        let answer = loop {
            match self.try_post(Endpoint::ChangelogBulk, Api::Platform, "changelog/bulkfetch", &body).await {
                Err(refused) if refused.too_large && rows > 1 => {
                    rows /= 2;
                    body["maxResults"] = rows.into();
                }
                // One entry alone: issue by issue, that one can be left out.
                Err(refused) if refused.too_large => return Ok(Offered::Absent(refused.failure.message)),
                answer => break answer,
            }
        };
        let read = match offered(answer)? {
            Offered::Available(body) => normalise::parse_changelog_bulk(&body)?,
            Offered::Absent(reason) => return Ok(Offered::Absent(reason)),
            Offered::Forbidden(reason) => return Ok(Offered::Forbidden(reason)),
        };
        if read.next_page_token.is_some() && read.next_page_token.as_deref() == next_page_token {
            let problem = "the bulk changelog returned the same page token again: the pages would never end";
            return Err(Failure::new(FailureCode::SchemaChanged, problem));
        }
        Ok(Offered::Available(read))
    }

    /// A part of what was logged or edited on the whole site since a time.
    pub async fn worklogs_updated(&self, since: DateTime<Utc>) -> Result<Offered<WorklogFeed>, Failure> {
        self.worklog_feed(Endpoint::WorklogsUpdated, "worklog/updated", since).await
    }

    /// A part of what was removed on the whole site since a time.
    pub async fn worklogs_deleted(&self, since: DateTime<Utc>) -> Result<Offered<WorklogFeed>, Failure> {
        self.worklog_feed(Endpoint::WorklogsDeleted, "worklog/deleted", since).await
    }

    async fn worklog_feed(
        &self,
        endpoint: Endpoint,
        path: &str,
        since: DateTime<Utc>,
    ) -> Result<Offered<WorklogFeed>, Failure> {
        let query = [("since", since.timestamp_millis().to_string())];
        Ok(match offered(self.try_get(endpoint, Api::Platform, path, &query).await)? {
            Offered::Available(body) => Offered::Available(feed(&self.named(endpoint), &body, since)?),
            Offered::Absent(reason) => Offered::Absent(reason),
            Offered::Forbidden(reason) => Offered::Forbidden(reason),
        })
    }

    /// Up to [`WORKLOG_LIST_LIMIT`] worklogs by id; what is gone or hidden is left out in silence.
    pub async fn worklog_list(&self, ids: &[i64]) -> Result<Offered<ParsedBulk<WorklogRecord>>, Failure> {
        bounded(ids, WORKLOG_LIST_LIMIT)?;
        let (mut parts, mut whole) = (vec![ids], None::<ParsedBulk<WorklogRecord>>);
        while let Some(part) = parts.pop() {
            let answer =
                self.try_post(Endpoint::WorklogList, Api::Platform, "worklog/list", &json!({ "ids": part })).await;
            let body = match answer {
                Err(refused) if refused.too_large && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                    continue;
                }
                // Whose it is is not known: an issue whose list does not count right is read by itself.
                Err(refused) if refused.too_large => Bytes::from_static(br#"["too large to read"]"#),
                answer => match offered(answer)? {
                    Offered::Available(body) => body,
                    Offered::Absent(reason) => return Ok(Offered::Absent(reason)),
                    Offered::Forbidden(reason) => return Ok(Offered::Forbidden(reason)),
                },
            };
            let page = normalise::parse_worklog_list(&body)?;
            match &mut whole {
                None => whole = Some(page),
                Some(whole) => whole.append(page),
            }
        }
        whole.map(Offered::Available).ok_or_else(|| Failure::new(FailureCode::Internal, "no worklogs were asked for"))
    }
}

fn bounded(ids: &[i64], limit: usize) -> Result<(), Failure> {
    if ids.len() <= limit {
        return Ok(());
    }
    Err(Failure::new(FailureCode::Internal, format!("{} ids requested at once; Jira accepts {limit}", ids.len())))
}

/// The page of a list that was asked for from `start_at`. One that begins before it is the first one again: an end, or a
/// failure where it is as full as a page can be.
fn going_on(body: Bytes, list: &str, start_at: u64, asked: u32) -> Result<Bytes, Failure> {
    if start_at == 0 {
        return Ok(body);
    }
    // What cannot be read is for whoever reads the elements.
    let Ok(page) = repair::read_owned::<serde_json::Map<String, Value>>(&body) else { return Ok(body) };
    let number = |name: &str| page.get(name).and_then(Value::as_u64);
    let held = page.get(list).and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let (begins, total) = (number("startAt").unwrap_or(start_at), number("total").unwrap_or_default());
    if begins >= start_at || held == 0 {
        return Ok(body);
    }
    let limit = number("maxResults").filter(|limit| *limit > 0).unwrap_or(u64::from(asked));
    if held >= limit && held < total {
        let problem = format!("the site returns the same {held} {list} for every page, and reports a total of {total}");
        return Err(Failure::new(FailureCode::SchemaChanged, problem));
    }
    Ok(Bytes::from(json!({ "startAt": start_at, "total": total, list: [] }).to_string()))
}

/// Reads a page of a feed.
fn feed(asked: &str, body: &[u8], since: DateTime<Utc>) -> Result<WorklogFeed, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        values: Vec<Loose<Change>>,
        #[serde(default)]
        until: Loose<Moment>,
        #[serde(default)]
        last_page: Option<bool>,
        #[serde(default)]
        next_page: Option<Value>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Change {
        #[serde(default)]
        worklog_id: Loose<Id>,
        #[serde(default)]
        updated_time: Loose<Moment>,
    }
    impl<'de> FromJson<'de> for Change {
        const EXPECTED: &'static str = "change of a worklog";
        fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
            Self::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    let page: Page = decode(asked, body)?;
    let mut unreadable = 0;
    let mut changes: Vec<(i64, DateTime<Utc>)> = Vec::with_capacity(page.values.len());
    for change in page.values {
        match change {
            // Without its time it is a change all the same.
            Loose::Good(Change { worklog_id: Loose::Good(Id(id)), updated_time }) => {
                changes.push((id, if let Loose::Good(Moment(at)) = updated_time { at } else { since }));
            }
            _ => unreadable += 1,
        }
    }
    let until = if let Loose::Good(Moment(until)) = page.until { Some(until) } else { None };
    let more = !page.last_page.unwrap_or(page.next_page.is_none()) && !changes.is_empty();
    // A page that ends where it began has more changes in one millisecond than fit: the walk would never end.
    let newest = until.or_else(|| changes.iter().map(|(_, at)| *at).max());
    let next_since = newest.filter(|newest| more && *newest > since);
    Ok(WorklogFeed { changes, unreadable, next_since, until })
}
