//! Issues by their ids, as many at once as the site allows.
//!
//! What must hold: what is gone or hidden is left out in silence; one id that the site does not know costs no other.

use std::cell::OnceCell;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::answers::RawPage;
use super::bounded;
use super::client::{Api, BULK_FETCH_LIMIT, JiraClient};
use super::endpoint::Endpoint;
use super::frame::Frame;
use super::presence::Presence;
use super::repair;
use super::search::{OFFSET_PAGE_SIZE, Question};
use super::transport::Refused;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::site_kind::SiteKind;

/// Single issues that are asked for at a time where they cannot be had together.
const SINGLE_READS: usize = 4;

impl JiraClient {
    /// Up to [`BULK_FETCH_LIMIT`] issues by id; what is gone or hidden is left out in silence.
    pub async fn bulk_fetch(&self, ids: &[i64], fields: &[String]) -> Result<RawPage, Failure> {
        if ids.len() > BULK_FETCH_LIMIT {
            let problem = format!("{} ids requested at once; Jira accepts {BULK_FETCH_LIMIT}", ids.len());
            return Err(Failure::new(FailureCode::Internal, problem));
        }
        let (mut pages, mut parts) = (Vec::new(), vec![ids]);
        while let Some(part) = parts.pop() {
            match self.bulk_part(part, fields).await {
                Ok(page) => pages.push(page.body),
                // Both halves, the first one first.
                Err(refused) if refused.too_large && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(refused) if refused.too_large => {
                    let id = part.first().copied().unwrap_or_default();
                    pages.extend(self.slim_issue(id, None, fields).await?.map(|issue| page_of(&[issue]).body));
                }
                Err(refused) => return Err(refused.failure),
            }
        }
        join(&pages)
    }

    async fn bulk_part(&self, ids: &[i64], fields: &[String]) -> Result<RawPage, Refused> {
        if self.kind == SiteKind::Cloud {
            let texts: Vec<String> = ids.iter().map(i64::to_string).collect();
            let body = json!({ "issueIdsOrKeys": texts, "fields": fields });
            match self.try_post(Endpoint::BulkFetch, Api::Version(3), "issue/bulkfetch", &body).await {
                Ok(body) if repair::is_broken(&body) => {
                    let problem = "a page of issues is not JSON, even after repairs";
                    return Err(bounded::of_body(Failure::new(FailureCode::SchemaChanged, problem), &body));
                }
                Ok(body) => return Ok(RawPage::new(body)),
                Err(refused) if refused.is_absent() => return Ok(self.one_by_one(ids, fields).await?),
                Err(refused) => return Err(refused),
            }
        }
        self.by_query(ids, fields).await
    }

    /// By `id in (…)`. One id that does not exist may cost the whole answer, and then each issue is asked for alone.
    async fn by_query(&self, ids: &[i64], fields: &[String]) -> Result<RawPage, Refused> {
        let list: Vec<String> = ids.iter().map(i64::to_string).collect();
        let jql = format!("id in ({}) ORDER BY key ASC", list.join(","));
        let rows = u32::try_from(ids.len()).unwrap_or(OFFSET_PAGE_SIZE).max(1);
        let (mut bodies, mut begin) = (Vec::new(), 0);
        loop {
            let question = Question { jql: &jql, fields, rows, token: None, begin: Some(begin), lenient: true };
            let body = match self.ask(&question).await {
                Ok((_, body)) => body,
                Err(refused) if refused.failure.code == FailureCode::BadQuery => {
                    return Ok(self.one_by_one(ids, fields).await?);
                }
                Err(refused) => return Err(refused),
            };
            let page = Frame::rows(&body, rows).map_err(|failure| bounded::of_body(failure, &body))?;
            begin += page.ids.len() as u64;
            let more = !page.ids.is_empty() && page.total.is_some_and(|total| begin < total) && begin < u64::from(rows);
            bodies.push(body);
            if !more {
                return Ok(join(&bodies)?);
            }
        }
    }

    async fn one_by_one(&self, ids: &[i64], fields: &[String]) -> Result<RawPage, Failure> {
        let issues: Vec<Presence> = stream::iter(ids.to_vec())
            .map(|id| async move { self.presence(id, fields).await })
            .buffered(SINGLE_READS)
            .try_collect()
            .await?;
        let there = issues.iter().filter_map(|issue| match issue {
            Presence::There(issue) => Some(issue.body.as_ref()),
            Presence::Hidden | Presence::Gone => None,
        });
        Ok(page_of(&there.collect::<Vec<&[u8]>>()))
    }
}

/// The issues of several pages as one page.
fn join(bodies: &[Bytes]) -> Result<RawPage, Failure> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        issues: Vec<&'a RawValue>,
    }
    if let [body] = bodies {
        return Ok(RawPage::new(body.clone()));
    }
    let mut issues: Vec<Vec<u8>> = Vec::new();
    for body in bodies {
        let (text, mended) = (repair::text(body), OnceCell::new());
        let page: Page<'_> =
            repair::read(&text, &mended).map_err(|error| repair::unreadable("a page of issues", body, &error))?;
        issues.extend(page.issues.into_iter().map(|issue| issue.get().as_bytes().to_vec()));
    }
    Ok(page_of(&issues))
}

pub(super) fn page_of<T: AsRef<[u8]>>(issues: &[T]) -> RawPage {
    let body = [
        br#"{"issues":["#.as_slice(),
        &issues.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>().join(b",".as_slice()),
        b"]}",
    ]
    .concat();
    RawPage::new(Bytes::from(body))
}
