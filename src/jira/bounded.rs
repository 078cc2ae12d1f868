//! Answers that are too large, or that no mending makes readable: asked for in smaller parts, down to one record.
//!
//! What must hold: no page stops a walk for its size. A page that is too large is asked for with half as many rows from the same
//! place, down to one; an issue that is too large alone is read without the lists that Jira inlines (they have endpoints of
//! their own); what is too large even so is left out of the answer, in a form that its reader rejects by name. What cannot be
//! asked for in parts stays a failure, whose message names the limit to raise.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::cell::OnceCell;

use super::answers::{RawPage, SearchRequest};
use super::by_id::page_of;
use super::client::{Api, JiraClient};
use super::endpoint::Endpoint;
use super::loose::{Id, Loose, Text};
use super::repair;
use super::search::ID_PAGE_SIZE;
use super::transport::Refused;
use crate::domain::failure::Failure;

/// The lists that stand inside an issue and can be read by themselves.
const INLINED: [&str; 4] = ["comment", "worklog", "attachment", "issuelinks"];
/// Of those, the ones that are asked for as a field of the issue; the others have lists with pages.
const FIELDS: [&str; 2] = ["attachment", "issuelinks"];

/// A failure of whoever read `body`; more than can be read at once where no mending makes JSON of it.
pub(super) fn of_body(failure: Failure, body: &[u8]) -> Refused {
    Refused { too_large: repair::is_broken(body), ..failure.into() }
}

impl JiraClient {
    /// A page of issues. `BAD_QUERY` is also the answer to an expired token and to a project that does not exist: ask
    /// [`JiraClient::project`] to tell.
    pub async fn search(&self, request: &SearchRequest<'_>) -> Result<RawPage, Failure> {
        let asked = request.page_size.clamp(1, ID_PAGE_SIZE);
        let mut rows = asked;
        loop {
            match self.search_rows(request, rows).await {
                Ok(page) => return Ok(RawPage { rows: (rows < asked).then_some(rows), ..page }),
                Err(refused) if refused.too_large && rows > 1 => {
                    rows /= 2;
                    tracing::debug!(rows, failure = %refused.failure, "asked for fewer issues");
                }
                Err(refused) if refused.too_large => return self.search_slim(request).await,
                Err(refused) => return Err(refused.failure),
            }
        }
    }

    /// A page of one issue that is too large as it is.
    async fn search_slim(&self, request: &SearchRequest<'_>) -> Result<RawPage, Failure> {
        #[derive(Deserialize)]
        struct Page {
            issues: Vec<Loose<Named>>,
        }
        let fields = ["updated".to_owned()];
        let next_page_token = request.next_page_token.clone();
        let lean = SearchRequest { jql: request.jql, fields: &fields, page_size: 1, next_page_token };
        let page = self.search_rows(&lean, 1).await.map_err(|refused| refused.failure)?;
        let head = page.head()?;
        let found: Page = repair::read_owned(&page.body)
            .map_err(|error| repair::unreadable("a page of search results", &page.body, &error))?;
        let issues = match found.issues.into_iter().next() {
            Some(Loose::Good(Named { id: Some(id), key })) => {
                self.slim_issue(id, key.as_deref(), request.fields).await?.into_iter().collect()
            }
            // What has no id cannot be asked for: it is rejected as it is.
            Some(_) => vec![left_out(0, None, "too large to read, and without an id")],
            None => Vec::new(),
        };
        Ok(RawPage { body: page_of(&issues).body, head: Some(head), rows: Some(1) })
    }

    /// An issue without what Jira inlines, or, where even that is too much, a note that it was left out; `None` where it is
    /// gone or hidden. Its comments and worklogs are marked as short, so that they are asked for in pages.
    pub(super) async fn slim_issue(
        &self,
        id: i64,
        key: Option<&str>,
        fields: &[String],
    ) -> Result<Option<Bytes>, Failure> {
        let mut without = fields.to_vec();
        without.extend(INLINED.iter().map(|list| format!("-{list}")));
        let body = match self.single_issue(&id.to_string(), &without).await {
            Ok(body) if !repair::is_broken(&body) => body,
            Ok(_) => return Ok(Some(left_out(id, key, "not JSON, even by itself and without its lists"))),
            Err(refused) if refused.too_large => {
                return Ok(Some(left_out(id, key, "too large to read, even by itself and without its lists")));
            }
            Err(refused) if refused.is_gone() || refused.is_hidden() => return Ok(None),
            Err(refused) => return Err(refused.failure),
        };
        let mut members = vec![
            r#""comment":{"comments":[],"startAt":0,"total":1}"#.to_owned(),
            r#""worklog":{"worklogs":[],"startAt":0,"total":1}"#.to_owned(),
        ];
        for list in FIELDS {
            match self.single_issue(&id.to_string(), &[list.to_owned()]).await {
                Ok(body) => members.extend(field(&body, list).map(|raw| format!("\"{list}\":{raw}"))),
                // What an answer does not name is unknown, and what is stored of it stays.
                Err(refused) if refused.too_large => {}
                Err(refused) => return Err(refused.failure),
            }
        }
        Ok(Some(joined(&body, &members).unwrap_or_else(|| left_out(id, key, "not an issue, even by itself"))))
    }

    /// A page of a list of one issue, from `start_at`. A list that is cut by pages is asked for in ever smaller ones; an
    /// element that is too large alone is left out, in a form that is rejected.
    pub(super) async fn part_of_list(
        &self,
        (endpoint, path, list): (Endpoint, &str, &'static str),
        start_at: u64,
        max: u32,
        query: impl Fn(u64, u32) -> Vec<(&'static str, String)>,
    ) -> Result<Bytes, Refused> {
        let in_pages = query(0, 1) != query(1, 2);
        let mut rows = max;
        loop {
            let refused = match self.try_get(endpoint, Api::Platform, path, &query(start_at, rows)).await {
                Ok(body) if !repair::is_broken(&body) => return Ok(body),
                Ok(body) => of_body(broken(list), &body),
                Err(refused) => refused,
            };
            if !refused.too_large {
                return Err(refused);
            }
            if in_pages && rows > 1 {
                rows /= 2;
                continue;
            }
            let next = start_at + 1;
            let after = match in_pages {
                true => self.try_get(endpoint, Api::Platform, path, &query(next, 1)).await.ok(),
                false => None,
            };
            let total =
                after.and_then(|body| repair::read_owned::<serde_json::Value>(&body).ok()?.get("total")?.as_u64());
            let total = total.unwrap_or(if in_pages { next + 1 } else { next });
            let body = json!({ "startAt": start_at, "maxResults": 1, "total": total, list: ["too large to read"] });
            return Ok(Bytes::from(body.to_string()));
        }
    }
}

fn broken(list: &str) -> Failure {
    Failure::new(crate::domain::failure::FailureCode::SchemaChanged, format!("a page of {list} is not JSON"))
}

/// An issue by its names.
struct Named {
    id: Option<i64>,
    key: Option<String>,
}

impl<'de> super::loose::FromJson<'de> for Named {
    const EXPECTED: &'static str = "issue";
    fn map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(default)]
            id: Loose<Id>,
            #[serde(borrow, default)]
            key: Loose<Text<'a>>,
        }
        let Members { id, key } = Members::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Some(Self {
            id: if let Loose::Good(Id(id)) = id { Some(id) } else { None },
            key: if let Loose::Good(Text(key)) = key { Some(key.into_owned()) } else { None },
        }))
    }
}

/// The note that stands for an issue; see [`super::wire::Issue::left_out`].
fn left_out(id: i64, key: Option<&str>, why: &str) -> Bytes {
    let id = (id != 0).then(|| id.to_string());
    Bytes::from(json!({ "id": id, "key": key, "syncline:left_out": why }).to_string())
}

#[derive(Deserialize)]
struct Issue<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fields: Option<&'a RawValue>,
}

/// One field of an issue, as it came.
fn field(body: &[u8], name: &str) -> Option<String> {
    let (text, mended) = (repair::text(body), OnceCell::new());
    let issue: Issue<'_> = repair::read(&text, &mended).ok()?;
    let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(issue.fields?.get()).ok()?;
    Some((*fields.get(name)?).get().to_owned())
}

/// The issue with more members among its fields.
fn joined(body: &[u8], members: &[String]) -> Option<Bytes> {
    let (text, mended) = (repair::text(body), OnceCell::new());
    let issue: Issue<'_> = repair::read(&text, &mended).ok()?;
    let inside = issue.fields?.get().trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let comma = if inside.is_empty() { "" } else { "," };
    let raw = |value: Option<&RawValue>| value.map_or("null", RawValue::get).to_owned();
    let joined = format!(
        r#"{{"id":{},"key":{},"fields":{{{inside}{comma}{}}}}}"#,
        raw(issue.id),
        raw(issue.key),
        members.join(",")
    );
    Some(Bytes::from(joined))
}

#[cfg(test)]
#[path = "bounded_tests.rs"]
mod tests;
