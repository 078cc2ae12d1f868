//! The client of one site: one method per endpoint.
//!
//! What must hold: a method gives what was asked for or a [`Failure`] whose code decides what the engine does; the token
//! is in the `Authorization` header, marked sensitive, and in no log, error or `Debug`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::answers::{IdPage, Myself, Project, ProjectPage, RawPage, SearchRequest, ServerInfo};
use super::catalogue;
use super::endpoint::Endpoint;
use super::pacer::Pacer;
use super::page;
use super::transport::{HttpPool, Refused};
use crate::clock::Clock;
use crate::domain::entity::FieldRecord;
use crate::domain::failure::{Failure, FailureCode};
use crate::observe::metrics;

/// Where a site is and how to be let in.
#[derive(Clone)]
pub struct SiteAccess {
    /// The site's name here, for metrics.
    pub name: String,
    /// For example `https://acme.atlassian.net`, or `https://api.atlassian.com/ex/jira/{cloudId}` for scoped tokens.
    pub base_url: Url,
    /// The account's e-mail address.
    pub email: String,
    /// The account's API token.
    pub token: SecretString,
    /// For one attempt, from connecting to the last byte.
    pub request_timeout: Duration,
}

impl fmt::Debug for SiteAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteAccess").field("base_url", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

/// A client of one site; cheap to clone.
#[derive(Clone)]
pub struct JiraClient {
    pool: HttpPool,
    pacer: Option<Arc<dyn Pacer>>,
    site: String,
    /// Without a slash at its end.
    base_url: String,
    authorization: HeaderValue,
    request_timeout: Duration,
}

impl fmt::Debug for JiraClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JiraClient").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The most ids that `/issue/bulkfetch` takes.
pub const BULK_FETCH_LIMIT: usize = 100;
/// The most ids in a page of an id-only search.
pub const ID_PAGE_SIZE: u32 = 5000;
const PROJECT_PAGE_SIZE: u32 = 100;

impl JiraClient {
    /// A client over the process' connections.
    ///
    /// # Errors
    /// `CONFIG` where the URL or the token cannot be used.
    pub fn new(pool: &HttpPool, access: SiteAccess) -> Result<Self, Failure> {
        let refuse = |problem: &str| Err(Failure::new(FailureCode::Config, problem));
        let url = &access.base_url;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return refuse("the site's URL must begin with https:// and a host name");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return refuse("the site's URL must hold no credentials, no query and no fragment");
        }
        if access.email.is_empty() || access.email.contains(':') {
            return refuse("the site's e-mail address is empty or holds a colon");
        }
        let pair = format!("{}:{}", access.email, access.token.expose_secret().trim());
        let Ok(mut authorization) = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))) else {
            return refuse("the site's token cannot be put into a header");
        };
        authorization.set_sensitive(true);
        Ok(Self {
            pool: pool.clone(),
            pacer: None,
            site: access.name,
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            authorization,
            request_timeout: access.request_timeout,
        })
    }

    /// The same, keeping the site's limits together with all who ask it.
    pub fn paced(mut self, pacer: Arc<dyn Pacer>) -> Self {
        self.pacer = Some(pacer);
        self
    }

    /// The clock of the pool.
    pub fn clock(&self) -> &Clock {
        self.pool.clock()
    }

    /// The account. An answer without one is `AUTH_INVALID`: without it, searches would answer that there is nothing.
    pub async fn myself(&self) -> Result<Myself, Failure> {
        let body = self.get(Endpoint::Myself, "myself", &[]).await?;
        let is_somebody = |me: &Myself| !me.account_id.is_empty();
        serde_json::from_slice(&body).ok().filter(is_somebody).ok_or_else(|| {
            Failure::new(
                FailureCode::AuthInvalid,
                "the site answers as to an anonymous visitor: the credentials do not count",
            )
        })
    }

    /// The site's kind, version and clock.
    pub async fn server_info(&self) -> Result<ServerInfo, Failure> {
        decode(Endpoint::ServerInfo, &self.get(Endpoint::ServerInfo, "serverInfo", &[]).await?)
    }

    /// A project by key or id; `NOT_FOUND_PROJECT` where there is none or it is hidden.
    pub async fn project(&self, key: &str) -> Result<Project, Failure> {
        let path = format!("project/{}", segment(key));
        catalogue::parse_project(&self.get(Endpoint::Project, &path, &[]).await?)
    }

    /// A page of the projects that the account may see.
    pub async fn projects(&self, start_at: u64) -> Result<ProjectPage, Failure> {
        let query = [
            ("startAt", start_at.to_string()),
            ("maxResults", PROJECT_PAGE_SIZE.to_string()),
            ("orderBy", "key".into()),
        ];
        let body = self.get(Endpoint::ProjectSearch, "project/search", &query).await?;
        let page = catalogue::ListPage::read(&body, "projects")?;
        let values = page.listed("project", |_, members| catalogue::project(members)).records;
        let total = page.total.unwrap_or(start_at + values.len() as u64);
        Ok(ProjectPage { values, start_at: page.start_at.unwrap_or(start_at), total, is_last: page.is_last })
    }

    /// How many issues match, roughly: for progress and the sizes of partitions, never for a decision.
    pub async fn approximate_count(&self, jql: &str) -> Result<u64, Failure> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        let body = json!({ "jql": jql });
        let body = self.post(Endpoint::ApproximateCount, "search/approximate-count", &body).await?;
        decode::<Count>(Endpoint::ApproximateCount, &body).map(|answer| answer.count)
    }

    /// A page of issues. `BAD_QUERY` is also the answer to an expired token and to a project that does not exist: ask
    /// [`JiraClient::project`] to tell.
    pub async fn search(&self, request: &SearchRequest<'_>) -> Result<RawPage, Failure> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            jql: &'a str,
            fields: &'a [String],
            max_results: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            next_page_token: Option<&'a str>,
        }
        let wire = Wire {
            jql: request.jql,
            fields: request.fields,
            max_results: request.page_size.clamp(1, ID_PAGE_SIZE),
            next_page_token: request.next_page_token.as_deref(),
        };
        Ok(RawPage { body: self.post(Endpoint::Search, "search/jql", &wire).await? })
    }

    /// A page of up to 5000 issue ids: for comparing the replica with Jira.
    pub async fn search_ids(&self, jql: &str, next_page_token: Option<String>) -> Result<IdPage, Failure> {
        #[derive(Deserialize)]
        struct Id {
            #[serde(deserialize_with = "super::loose::id")]
            id: i64,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            issues: Vec<Id>,
            next_page_token: Option<String>,
            is_last: Option<bool>,
        }
        let fields = ["id".to_owned()];
        let raw =
            self.search(&SearchRequest { jql, fields: &fields, page_size: ID_PAGE_SIZE, next_page_token }).await?;
        let page: Page = decode(Endpoint::Search, &raw.body)?;
        let head = page::frame(page.issues.len(), page.next_page_token, page.is_last)?;
        Ok(IdPage { ids: page.issues.into_iter().map(|issue| issue.id).collect(), head })
    }

    /// A page of an issue's comments, oldest first (at most 100); `None` when the issue is gone or hidden.
    pub async fn comments(&self, issue_id: i64, start_at: u64, max: u32) -> Result<Option<RawPage>, Failure> {
        let query = [("startAt", start_at.to_string()), ("maxResults", max.to_string()), ("orderBy", "created".into())];
        self.get_if_there(Endpoint::Comments, &format!("issue/{issue_id}/comment"), &query).await
    }

    /// A page of an issue's worklogs, oldest first (at most 5000); `None` when the issue is gone or hidden.
    pub async fn worklogs(&self, issue_id: i64, start_at: u64, max: u32) -> Result<Option<RawPage>, Failure> {
        let query = [("startAt", start_at.to_string()), ("maxResults", max.to_string())];
        self.get_if_there(Endpoint::Worklogs, &format!("issue/{issue_id}/worklog"), &query).await
    }

    /// One issue; `None` when it is gone or hidden, which look the same.
    pub async fn issue(&self, id_or_key: &str, fields: &[String]) -> Result<Option<RawPage>, Failure> {
        let query = [("fields", fields.join(","))];
        self.get_if_there(Endpoint::Issue, &format!("issue/{}", segment(id_or_key)), &query).await
    }

    /// Up to [`BULK_FETCH_LIMIT`] issues by id, in ascending order; what is gone or hidden is left out in silence.
    pub async fn bulk_fetch(&self, ids: &[i64], fields: &[String]) -> Result<RawPage, Failure> {
        if ids.len() > BULK_FETCH_LIMIT {
            let problem = format!("{} ids asked for at once; Jira takes {BULK_FETCH_LIMIT}", ids.len());
            return Err(Failure::new(FailureCode::Internal, problem));
        }
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        let body = json!({ "issueIdsOrKeys": ids, "fields": fields });
        Ok(RawPage { body: self.post(Endpoint::BulkFetch, "issue/bulkfetch", &body).await? })
    }

    /// Every field that the account may see; see [`super::FieldMap::discover`].
    pub async fn fields(&self) -> Result<Vec<FieldRecord>, Failure> {
        Ok(catalogue::parse_fields(&self.get(Endpoint::Fields, "field", &[]).await?)?.records)
    }

    async fn get(&self, endpoint: Endpoint, path: &str, query: &[(&str, String)]) -> Result<Bytes, Failure> {
        self.try_get(endpoint, path, query).await.map_err(|refused| refused.failure)
    }

    async fn get_if_there(
        &self,
        endpoint: Endpoint,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Option<RawPage>, Failure> {
        match self.try_get(endpoint, path, query).await {
            Ok(body) => Ok(Some(RawPage { body })),
            Err(refused) if refused.is_gone() => Ok(None),
            Err(refused) => Err(refused.failure),
        }
    }

    async fn try_get(&self, endpoint: Endpoint, path: &str, query: &[(&str, String)]) -> Result<Bytes, Refused> {
        let mut path = path.to_owned();
        if !query.is_empty() {
            path.push('?');
            path.push_str(&url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish());
        }
        self.send(endpoint, || self.request(Method::GET, &path)).await
    }

    async fn send(&self, endpoint: Endpoint, request: impl Fn() -> RequestBuilder) -> Result<Bytes, Refused> {
        let sent = self.pool.send(endpoint, self.pacer.as_deref(), request).await;
        if let Err(Refused { failure, limit: Some(reason), .. }) = &sent {
            metrics::jira_rate_limited(&self.site, reason, failure.retry_after.unwrap_or_default());
        }
        sent
    }

    async fn post(&self, endpoint: Endpoint, path: &str, body: &impl Serialize) -> Result<Bytes, Failure> {
        let sent = self.send(endpoint, || self.request(Method::POST, path).json(body)).await;
        sent.map_err(|refused| refused.failure)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/rest/api/3/{path}", self.base_url);
        let request = self.pool.client().request(method, url).timeout(self.request_timeout);
        request.header(AUTHORIZATION, self.authorization.clone())
    }
}

/// `text` as one segment of a path, whatever it holds.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn decode<T: DeserializeOwned>(endpoint: Endpoint, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let problem = format!("the answer of {} ({} bytes) cannot be read: {error}", endpoint.template(), body.len());
        Failure::new(FailureCode::SchemaChanged, problem)
    })
}
