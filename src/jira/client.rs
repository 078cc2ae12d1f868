//! The client of one site: its credentials, its paths, and what every run asks. [`super::search`], [`super::lists`] and
//! [`super::history`] add the methods for the rest.
//!
//! What must hold: a method gives what was asked for or a [`Failure`] whose code decides what the engine does; the token
//! is in the `Authorization` header, marked sensitive, and in no log, error or `Debug`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::answers::{Myself, Offered, Project, RawPage, ServerInfo};
use super::auth::{Auth, Authorization};
use super::catalogue;
use super::endpoint::Endpoint;
use super::frame::is_bare;
use super::manners::{Manners, Spared, leaves_out};
use super::members::Members;
use super::pacer::Pacer;
use super::repair;
use super::site_clock::SiteClock;
use super::transport::{HttpPool, Refused};
use crate::clock::Clock;
use crate::domain::entity::FieldRecord;
use crate::domain::failure::{Failure, FailureCode, Means};
use crate::domain::site_kind::SiteKind;
use crate::observe::metrics;

/// Where a site is and how to be let in.
#[derive(Clone)]
pub struct SiteAccess {
    /// The site's name here, for metrics.
    pub name: String,
    /// For example `https://acme.atlassian.net`, `https://api.atlassian.com/ex/jira/{cloudId}` for scoped tokens, or
    /// `https://jira.example.com/jira`, with the context path where there is one.
    pub base_url: Url,
    /// Cloud or Data Center: which paths and which ways of paging.
    pub kind: SiteKind,
    /// The account's credentials.
    pub auth: Auth,
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
    pub(super) kind: SiteKind,
    /// What advice about refused credentials depends on.
    means: Means,
    authorization: Authorization,
    request_timeout: Duration,
    /// Which of several ways of searching the site knows; see [`super::search`].
    pub(super) search_way: Arc<AtomicU8>,
    /// What the site is spared when it is searched.
    pub(super) manners: Arc<Manners>,
    site_clock: Arc<SiteClock>,
}

impl fmt::Debug for JiraClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JiraClient").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The most ids that `/issue/bulkfetch` takes.
pub const BULK_FETCH_LIMIT: usize = 100;

/// A family of paths.
#[derive(Clone, Copy, Debug)]
pub(super) enum Api {
    /// The platform's, in the site's own version.
    Platform,
    /// The platform's, in this version.
    Version(u8),
    /// Boards and sprints.
    Agile,
    /// The account's own personal access tokens (Data Center).
    PersonalTokens,
}

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
        Ok(Self {
            pool: pool.clone(),
            pacer: None,
            site: access.name,
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            kind: access.kind,
            means: access.auth.means(access.kind),
            authorization: Authorization::new(access.auth)?,
            request_timeout: access.request_timeout,
            search_way: Arc::default(),
            manners: Arc::default(),
            site_clock: Arc::default(),
        })
    }

    /// What kind of site it is taken for.
    pub const fn kind(&self) -> SiteKind {
        self.kind
    }

    /// A window of `updated` as the site can be asked for it: not smaller, in whole seconds on Data Center.
    pub fn window(
        &self,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        match self.kind {
            SiteKind::Cloud => (since, until),
            SiteKind::DataCenter => super::jql::whole_seconds(since, until),
        }
    }

    /// The same, keeping the site's limits together with all who ask it.
    pub fn paced(mut self, pacer: Arc<dyn Pacer>) -> Self {
        self.pacer = Some(pacer);
        self
    }

    /// The same, reading the site's clock together with other clients of the site.
    pub fn reading(mut self, site_clock: Arc<SiteClock>) -> Self {
        self.site_clock = site_clock;
        self
    }

    /// The clock of the pool.
    pub fn clock(&self) -> &Clock {
        self.pool.clock()
    }

    /// What time it is on the site, as the answers to this client show it.
    pub fn site_clock(&self) -> &SiteClock {
        &self.site_clock
    }

    /// The account. An answer without one is `AUTH_INVALID`: without it, searches would answer that there is nothing.
    pub async fn myself(&self) -> Result<Myself, Failure> {
        let body = match self.try_get(Endpoint::Myself, Api::Platform, "myself", &[]).await {
            Ok(body) => body,
            // A server that stands in for Jira may have no accounts at all; one that is away answers nothing else either.
            Err(refused) if refused.is_absent() && self.server_info().await.is_ok() => return Ok(Myself::unknown()),
            Err(refused) => return Err(refused.failure),
        };
        let value: serde_json::Value = decode(&self.named(Endpoint::Myself), &body)?;
        let user = value.as_object().and_then(|members| Members::new(members).user());
        user.map(|user| Myself {
            account_id: user.account_id,
            display_name: user.display_name,
            email: user.email,
            time_zone: user.time_zone,
            active: user.active,
        })
        .ok_or_else(|| {
            let problem = "the site answers as to an anonymous visitor: it ignores the credentials";
            Failure::new(FailureCode::AuthInvalid, problem).by(self.means)
        })
    }

    /// The site's kind, version and clock.
    pub async fn server_info(&self) -> Result<ServerInfo, Failure> {
        decode(&self.named(Endpoint::ServerInfo), &self.get(Endpoint::ServerInfo, "serverInfo", &[]).await?)
    }

    /// A project by key or id; `NOT_FOUND_PROJECT` where there is none or it is hidden.
    pub async fn project(&self, key: &str) -> Result<Project, Failure> {
        let path = format!("project/{}", segment(key));
        match self.try_get(Endpoint::Project, Api::Platform, &path, &[]).await {
            Ok(body) => catalogue::parse_project(&body),
            Err(refused) if refused.is_absent() && refused.failure.code != FailureCode::NotFoundProject => {
                let listed = self.project_of_list(key).await;
                listed.unwrap_or_default().ok_or(refused.failure)
            }
            Err(refused) => Err(refused.failure),
        }
    }

    /// One issue; `None` when it is gone or hidden, which look the same.
    pub async fn issue(&self, id_or_key: &str, fields: &[String]) -> Result<Option<RawPage>, Failure> {
        match self.single_issue(id_or_key, fields).await {
            Ok(body) => Ok(Some(RawPage::new(body))),
            Err(refused) if refused.is_gone() => Ok(None),
            Err(refused) => Err(refused.failure),
        }
    }

    /// One issue, with its fields: as with a search, some servers take a field that shall be left out for one that they do
    /// not have.
    pub(super) async fn single_issue(&self, id_or_key: &str, fields: &[String]) -> Result<Bytes, Refused> {
        let path = format!("issue/{}", segment(id_or_key));
        let asked = self.manners.spared().fields(fields);
        let body = self.try_get(Endpoint::Issue, Api::Platform, &path, &[("fields", asked.join(","))]).await?;
        if !leaves_out(&asked) || !is_bare(&body) {
            return Ok(body);
        }
        let less = Spared { left_out_fields: true, ..Spared::default() };
        let query = [("fields", less.fields(fields).join(","))];
        let again = self.try_get(Endpoint::Issue, Api::Platform, &path, &query).await?;
        if !is_bare(&again) {
            self.manners.learn(less);
        }
        Ok(again)
    }

    /// Every field that the account may see, for [`super::FieldMap::discover`]; none where the site does not list them.
    pub async fn fields(&self) -> Result<Vec<FieldRecord>, Failure> {
        Ok(self.field_catalogue().await?.available().map_or_else(Vec::new, |listed| listed.records))
    }

    /// The endpoint as this site has it, for messages.
    pub(super) fn named(&self, endpoint: Endpoint) -> Cow<'static, str> {
        endpoint.in_version(if self.kind == SiteKind::Cloud { "3" } else { "2" })
    }

    async fn get(&self, endpoint: Endpoint, path: &str, query: &[(&str, String)]) -> Result<Bytes, Failure> {
        self.try_get(endpoint, Api::Platform, path, query).await.map_err(|refused| refused.failure)
    }

    pub(super) async fn try_get(
        &self,
        endpoint: Endpoint,
        api: Api,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Bytes, Refused> {
        let mut path = path.to_owned();
        if !query.is_empty() {
            path.push('?');
            path.push_str(&url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish());
        }
        self.send(endpoint, || self.request(Method::GET, api, &path)).await
    }

    pub(super) async fn try_post(
        &self,
        endpoint: Endpoint,
        api: Api,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Bytes, Refused> {
        self.send(endpoint, || self.request(Method::POST, api, path).json(body)).await
    }

    /// Sends with the account's credentials; an access token that does not count any more is replaced once.
    async fn send(&self, endpoint: Endpoint, request: impl Fn() -> RequestBuilder) -> Result<Bytes, Refused> {
        self.send_by_ticket(endpoint, request).await.map_err(|refused| {
            let failure = refused.failure.by(self.means);
            Refused { failure, ..refused }
        })
    }

    async fn send_by_ticket(&self, endpoint: Endpoint, request: impl Fn() -> RequestBuilder) -> Result<Bytes, Refused> {
        let nothing = || Failure::new(FailureCode::AuthInvalid, "there are no credentials");
        let ticket = self.authorization.ticket(None).await?.ok_or_else(nothing)?;
        let sent = self.send_with(ticket.header.as_ref(), endpoint, &request).await;
        let refused = match (&sent, ticket.token) {
            (Err(refused), Some(token)) if refused.is_about_the_token() => token,
            _ => return sent,
        };
        match self.authorization.ticket(Some(refused)).await? {
            Some(another) => self.send_with(another.header.as_ref(), endpoint, &request).await,
            None => sent,
        }
    }

    async fn send_with(
        &self,
        authorization: Option<&HeaderValue>,
        endpoint: Endpoint,
        request: &impl Fn() -> RequestBuilder,
    ) -> Result<Bytes, Refused> {
        let pacer = self.pacer.as_deref();
        let with_ticket = || match authorization {
            Some(header) => request().header(AUTHORIZATION, header.clone()),
            None => request(),
        };
        let sent = self.pool.send(endpoint, pacer, Some(&self.site_clock), with_ticket).await;
        if let Err(Refused { failure, limit: Some(reason), .. }) = &sent {
            metrics::jira_rate_limited(&self.site, reason, failure.retry_after.unwrap_or_default());
        }
        sent
    }

    fn request(&self, method: Method, api: Api, path: &str) -> RequestBuilder {
        let family = match (api, self.kind) {
            (Api::Agile, _) => "agile/1.0",
            (Api::PersonalTokens, _) => "pat/latest",
            (Api::Version(2), _) | (Api::Platform, SiteKind::DataCenter) => "api/2",
            (Api::Version(_), _) | (Api::Platform, SiteKind::Cloud) => "api/3",
        };
        let url = format!("{}/rest/{family}/{path}", self.base_url);
        self.pool.client().request(method, url).timeout(self.request_timeout)
    }
}

/// What is optional: an endpoint that the site lacks, or that the account may not use, fails nothing.
pub(super) fn offered<T>(answer: Result<T, Refused>) -> Result<Offered<T>, Failure> {
    match answer {
        Ok(value) => Ok(Offered::Available(value)),
        // The project itself is gone: that is no word about the endpoint.
        Err(refused) if refused.failure.code == FailureCode::NotFoundProject => Err(refused.failure),
        Err(refused) if refused.is_absent() => Ok(Offered::Absent(refused.failure.message)),
        Err(refused) if refused.is_forbidden() => Ok(Offered::Forbidden(refused.failure.message)),
        Err(refused) => Err(refused.failure),
    }
}

/// Asks a site what it is ([`ServerInfo::kind`]), before its kind is known: `access.kind` is a guess, which says how to ask
/// first. [`Auth::Anonymous`] will do, since Jira tells it to anybody.
///
/// # Errors
/// As of any request; `SCHEMA_CHANGED` where what answers is no Jira.
pub async fn detect(pool: &HttpPool, access: SiteAccess) -> Result<ServerInfo, Failure> {
    // Cloud answers under both versions, and its document knows 3 only; Data Center knows no 3.
    let client = JiraClient::new(pool, access)?;
    let answer = client.server_info().await;
    let other = match client.kind {
        SiteKind::Cloud => SiteKind::DataCenter,
        SiteKind::DataCenter => SiteKind::Cloud,
    };
    use FailureCode::{ApiRemoved, Permission, SchemaChanged, SiteUnavailable};
    match &answer {
        Err(failure) if matches!(failure.code, ApiRemoved | SiteUnavailable | Permission | SchemaChanged) => {
            JiraClient { kind: other, ..client }.server_info().await.or(answer)
        }
        _ => answer,
    }
}

/// `text` as one segment of a path, whatever it holds.
pub(super) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

pub(super) fn decode<T: DeserializeOwned>(asked: &str, body: &[u8]) -> Result<T, Failure> {
    repair::read_owned(body).map_err(|error| repair::unreadable(&format!("the answer of {asked}"), body, &error))
}
