//! `/search/jql`, `/search/approximate-count` and `/issue/bulkfetch`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;

use super::auth::{Caller, Viewer};
use super::catalogue::kind;
use super::faults::FaultKind;
use super::fields::Fields;
use super::issue::Issue;
use super::jql;
use super::json::Json;
use super::links::{Linked, link};
use super::render::{Renderer, Shown};
use super::reply::{self, Reply};
use super::search;
use super::site::Site;
use super::store::Store;
use super::token::{self, Refusal};

/// A page holds at most this many issues when more than ids and keys are asked for.
const FULL_PAGE: usize = 100;
const ID_PAGE: usize = 5_000;
const BULK_LIMIT: usize = 100;

/// The body of `POST /search/jql`: what Jira knows, and nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SearchBody {
    jql: Option<String>,
    next_page_token: Option<String>,
    max_results: Option<i64>,
    fields: Option<Vec<String>>,
    expand: Option<String>,
    #[serde(rename = "properties")]
    _properties: Option<Vec<String>>,
    #[serde(rename = "fieldsByKeys")]
    _fields_by_keys: Option<bool>,
    #[serde(rename = "failFast")]
    _fail_fast: Option<bool>,
    reconcile_issues: Option<Vec<u64>>,
}

pub(super) async fn search_post(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    fault: Option<Extension<FaultKind>>,
    body: Bytes,
) -> Reply {
    match serde_json::from_slice::<SearchBody>(&body) {
        Ok(body) => run(&site, &caller, &body, fault.map(|fault| fault.0)).unwrap_or_else(|refusal| *refusal),
        Err(_) => reply::bad_payload(),
    }
}

pub(super) async fn search_get(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    fault: Option<Extension<FaultKind>>,
    RawQuery(query): RawQuery,
) -> Reply {
    let mut body = SearchBody::default();
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "jql" => body.jql = Some(value.into_owned()),
            "nextPageToken" => body.next_page_token = Some(value.into_owned()),
            "maxResults" => match value.parse() {
                Ok(number) => body.max_results = Some(number),
                Err(_) => return reply::bad_request("maxResults must be a number."),
            },
            "fields" => body.fields.get_or_insert_default().extend(value.split(',').map(str::to_owned)),
            "expand" => body.expand = Some(value.into_owned()),
            // Jira ignores query parameters that it does not know.
            _ => {}
        }
    }
    run(&site, &caller, &body, fault.map(|fault| fault.0)).unwrap_or_else(|refusal| *refusal)
}

pub(super) fn refused(message: &str) -> Box<Reply> {
    Box::new(reply::bad_request(message))
}

/// Reads and resolves JQL for a viewer.
pub(super) fn query(site: &Site, store: &Store, viewer: &Viewer, text: &str) -> Result<jql::Query, Box<Reply>> {
    if site.jql_limit.is_some_and(|most| text.len() > most) {
        return Err(refused("The JQL query is too long. Please shorten it and try again."));
    }
    let scope = jql::Scope {
        catalogue: &viewer.catalogue,
        may_browse: &|project| viewer.may_search(project),
        exists: &|id| store.shown(id).is_some_and(|issue| viewer.may_find(issue)),
        id_of_key: &|key| store.id_of(key),
        caller: viewer.person,
        zone: viewer.zone,
        now_ms: site.world.now_ms(),
    };
    let query = jql::parse(text).and_then(|parsed| jql::bind(&parsed, &scope));
    query.map_err(|error| refused(&error.to_string()))
}

fn run(site: &Site, caller: &Caller, body: &SearchBody, fault: Option<FaultKind>) -> Result<Reply, Box<Reply>> {
    let Caller::Known(viewer) = caller else {
        // Lost credentials look like "no changes".
        return Ok(reply::ok(br#"{"issues":[],"isLast":true}"#.to_vec()));
    };
    let text = body.jql.as_deref().unwrap_or_default();
    let asked = body.max_results.unwrap_or(50);
    if !(1..=ID_PAGE as i64).contains(&asked) {
        return Err(refused(&format!("maxResults must be between 1 and {ID_PAGE}.")));
    }
    if body.reconcile_issues.as_ref().is_some_and(|ids| ids.len() > 50) {
        return Err(refused("reconcileIssues must not hold more than 50 ids."));
    }
    let names = body.fields.as_deref().unwrap_or_default();
    let fields = Fields::parse(names.iter().map(String::as_str), Fields::NONE);
    let limit = (asked as usize).min(if fields.is_empty() { ID_PAGE } else { FULL_PAGE });
    let now_ms = site.world.now_ms();
    let after = match &body.next_page_token {
        None => None,
        Some(given) => match token::decode(site.seed, text, given, now_ms, site.token_lifetime_ms) {
            Ok(place) => Some(place),
            Err(Refusal::Undecodable) => return Err(refused("The provided next page token is invalid.")),
            Err(Refusal::Expired) => return Err(refused("The provided next page token has expired.")),
        },
    };
    let (found, next) = {
        let store = site.world.read();
        let query = query(site, &store, viewer, text)?;
        if fault == Some(FaultKind::EmptyPage) {
            (Vec::new(), Some(after.unwrap_or([i64::MIN; token::WIDTH])))
        } else {
            let visible = |issue: &Issue| viewer.may_find(issue);
            let page = search::page(&store, &query, &visible, after, limit);
            (page.issues.into_iter().map(|issue| shown(&store, viewer, issue)).collect(), page.next)
        }
    };
    site.count_issues(found.len());
    let mut json = Json::with_capacity(found.len() * if fields.is_empty() { 128 } else { 9_000 } + 512);
    json.open('{').key("issues").open('[');
    let renderer = Renderer::new(site, viewer).expanding(body.expand.as_deref());
    write_issues(&renderer, &mut json, &found, fields, names.iter().any(|name| name == "key"));
    json.close(']');
    let next = next.map(|place| token::encode(site.seed, text, &place, now_ms));
    let next = match (fault, &body.next_page_token) {
        (Some(FaultKind::RepeatedToken), Some(given)) => Some(given.clone()),
        _ => next,
    };
    if let Some(next) = &next {
        json.text("nextPageToken", next);
    }
    if !site.omit_is_last.load(Ordering::Relaxed) {
        json.member("isLast", if next.is_none() { "true" } else { "false" });
    }
    json.close('}');
    Ok(reply::holding(reply::ok(json.into_bytes()), found.len()))
}

/// The issue with the others that its fields describe, as far as the caller may see them.
pub(super) fn shown(store: &Store, viewer: &Viewer, issue: Arc<Issue>) -> Shown {
    let subtask =
        |id: &u64| store.live(*id).filter(|child| child.kind == kind::SUBTASK && viewer.may_see(child)).cloned();
    let linked = link(viewer.catalogue.seed, issue.id).and_then(|link| {
        let other = store.live(link.other).filter(|other| viewer.may_see(other))?;
        Some(Linked { link, other: other.clone() })
    });
    Shown {
        parent: issue.parent.and_then(|parent| store.live(parent)).cloned(),
        subtasks: store.children(issue.id).iter().filter_map(subtask).collect(),
        linked,
        issue,
    }
}

pub(super) fn write_issues(renderer: &Renderer<'_>, json: &mut Json, found: &[Shown], fields: Fields, with_key: bool) {
    for shown in found {
        match fields.is_empty() {
            true => renderer.reference(json, &shown.issue, with_key),
            false => renderer.issue(json, shown, fields),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountBody {
    jql: String,
}

pub(super) async fn approximate_count(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Reply {
    let Ok(body) = serde_json::from_slice::<CountBody>(&body) else { return reply::bad_payload() };
    let Caller::Known(viewer) = caller else { return reply::ok(br#"{"count":0}"#.to_vec()) };
    let store = site.world.read();
    match query(&site, &store, &viewer, &body.jql) {
        Ok(query) => {
            let count = search::count(&store, &query, &|issue| viewer.may_find(issue));
            reply::ok(format!(r#"{{"count":{count}}}"#).into_bytes())
        }
        Err(refusal) => *refusal,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BulkBody {
    #[serde(deserialize_with = "super::query::texts")]
    issue_ids_or_keys: Vec<String>,
    fields: Option<Vec<String>>,
    expand: Option<Vec<String>>,
    #[serde(rename = "properties")]
    _properties: Option<Vec<String>>,
    #[serde(rename = "fieldsByKeys")]
    _fields_by_keys: Option<bool>,
}

pub(super) async fn bulk_fetch(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Reply {
    let Ok(body) = serde_json::from_slice::<BulkBody>(&body) else { return reply::bad_payload() };
    if body.issue_ids_or_keys.is_empty() || body.issue_ids_or_keys.len() > BULK_LIMIT {
        return reply::bad_request(&format!("issueIdsOrKeys must hold 1 to {BULK_LIMIT} ids or keys."));
    }
    let Caller::Known(viewer) = caller else {
        return reply::refuse(StatusCode::UNAUTHORIZED, "You are not authenticated.");
    };
    let found: Vec<Shown> = {
        let store = site.world.read();
        let found = body.issue_ids_or_keys.iter().filter_map(|named| site.world.find(&store, named));
        let mut found: Vec<_> = found.filter(|issue| viewer.may_see(issue)).collect();
        found.sort_unstable_by_key(|issue| issue.id);
        found.dedup_by_key(|issue| issue.id);
        found.into_iter().map(|issue| shown(&store, &viewer, issue)).collect()
    };
    site.count_issues(found.len());
    let names = body.fields.as_deref().unwrap_or_default();
    let fields = Fields::parse(names.iter().map(String::as_str), Fields::navigable());
    let mut json = Json::with_capacity(found.len() * 9_000 + 64);
    json.raw(r#"{"issueErrors":[],"issues":["#);
    let expand = body.expand.as_ref().map(|expand| expand.join(","));
    let renderer = Renderer::new(&site, &viewer).expanding(expand.as_deref());
    write_issues(&renderer, &mut json, &found, fields, true);
    json.raw("]}");
    reply::holding(reply::ok(json.into_bytes()), found.len())
}
