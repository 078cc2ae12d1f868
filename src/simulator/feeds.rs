//! What changed on the whole site: worklogs by time, worklogs by id, changelogs of many issues.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use bytes::Bytes;
use serde::Deserialize;

use super::auth::{Caller, Viewer};
use super::changelog;
use super::history::Event;
use super::issue::Issue;
use super::json::Json;
use super::query::{Query, either, known};
use super::render::Renderer;
use super::reply::{self, Reply};
use super::site::Site;
use super::threads;
use super::token;

/// Worklogs in one answer of the feeds at most.
const FEED_PAGE: usize = 1_000;
const LIST_LIMIT: usize = 1_000;
const BULK_ISSUES: usize = 1_000;
const BULK_ENTRIES: i64 = 10_000;

/// Writes a page of a feed; `found` are ids and times, oldest first, one more than a page when more follow.
fn feed_page(viewer: &Viewer, name: &str, since: i64, until: i64, mut found: Vec<(i64, u64)>) -> Reply {
    let more = found.len() > FEED_PAGE;
    found.truncate(FEED_PAGE);
    let until = if more { found.last().map_or(until, |(at, _)| *at) } else { until };
    let own = format!("{}/worklog/{name}", viewer.catalogue.api);
    let mut json = Json::with_capacity(found.len() * 64 + 256);
    json.open('{').key("values").open('[');
    for (at, id) in &found {
        json.item().open('{').number("worklogId", *id as i64).number("updatedTime", *at);
        json.key("properties").raw("[]").close('}');
    }
    json.close(']').number("since", since).number("until", until).text("self", &format!("{own}?since={since}"));
    if more {
        json.text("nextPage", &format!("{own}?since={until}"));
    }
    json.member("lastPage", if more { "false" } else { "true" }).close('}');
    reply::ok(json.into_bytes())
}

pub(super) async fn updated_worklogs(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    either(known(&caller).and_then(|viewer| {
        let since: i64 = Query::parse(query).number("since", 0)?;
        let until = site.world.now_ms() - site.feed_delay_ms;
        // The first reader has the index made; changes keep it from then on.
        if !site.world.read().has_worklog_index() {
            site.world.write().index_worklogs(&viewer.catalogue);
        }
        let store = site.world.read();
        let seen = |issue: u64| store.live(issue).is_some_and(|issue| viewer.may_see(issue));
        let found = store.worklogs_since(since, until).filter(|(_, _, issue)| seen(*issue));
        let found = found.map(|(at, id, _)| (at, id)).take(FEED_PAGE + 1).collect();
        Ok(feed_page(viewer, "updated", since, until, found))
    }))
}

pub(super) async fn deleted_worklogs(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    either(known(&caller).and_then(|viewer| {
        let since: i64 = Query::parse(query).number("since", 0)?;
        let until = site.world.now_ms() - site.feed_delay_ms;
        let store = site.world.read();
        let found = store.deleted_worklogs.iter().filter(|(at, _)| (since..=until).contains(at));
        let found = found.copied().take(FEED_PAGE + 1).collect();
        Ok(feed_page(viewer, "deleted", since, until, found))
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListBody {
    #[serde(deserialize_with = "super::query::numbers")]
    ids: Vec<u64>,
}

/// `POST /worklog/list`: worklogs by id, those that are gone or hidden left out.
pub(super) async fn list_worklogs(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Reply {
    let Ok(body) = serde_json::from_slice::<ListBody>(&body) else { return reply::bad_payload() };
    either(known(&caller).and_then(|viewer| {
        if body.ids.len() > LIST_LIMIT {
            return Err(Box::new(reply::bad_request(&format!("ids must not hold more than {LIST_LIMIT} ids."))));
        }
        if !site.world.read().has_worklog_index() {
            site.world.write().index_worklogs(&viewer.catalogue);
        }
        let found: Vec<(Arc<Issue>, u64)> = {
            let store = site.world.read();
            let issue = |id: &u64| store.live(store.issue_of_worklog(*id)?).filter(|issue| viewer.may_see(issue));
            body.ids.iter().filter_map(|id| Some((issue(id)?.clone(), *id))).collect()
        };
        let renderer = Renderer::new(&site, viewer);
        let mut json = Json::with_capacity(found.len() * 900 + 64);
        json.open('[');
        for (issue, id) in &found {
            let mut all = (0..issue.worklog_count()).map(|at| issue.worklog(&viewer.catalogue, at));
            if let Some(entry) = all.find(|entry| entry.id == *id) {
                threads::worklog(&renderer, &mut json, issue, entry);
            }
        }
        json.close(']');
        Ok(reply::holding(reply::ok(json.into_bytes()), found.len()))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BulkBody {
    #[serde(deserialize_with = "super::query::texts")]
    issue_ids_or_keys: Vec<String>,
    #[serde(rename = "fieldIds")]
    _field_ids: Option<Vec<String>>,
    max_results: Option<i64>,
    next_page_token: Option<String>,
}

/// `POST /changelog/bulkfetch`: entries of many issues, oldest first over all of them.
pub(super) async fn changelogs(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Reply {
    let Ok(body) = serde_json::from_slice::<BulkBody>(&body) else { return reply::bad_payload() };
    either(known(&caller).and_then(|viewer| {
        if body.issue_ids_or_keys.is_empty() || body.issue_ids_or_keys.len() > BULK_ISSUES {
            let message = format!("issueIdsOrKeys must hold 1 to {BULK_ISSUES} ids or keys.");
            return Err(Box::new(reply::bad_request(&message)));
        }
        let asked = body.max_results.unwrap_or(1_000);
        if !(1..=BULK_ENTRIES).contains(&asked) {
            return Err(Box::new(reply::bad_request(&format!("maxResults must be between 1 and {BULK_ENTRIES}."))));
        }
        let mut issues: Vec<Arc<Issue>> = {
            let store = site.world.read();
            let found = body.issue_ids_or_keys.iter().filter_map(|named| site.world.find(&store, named));
            found.filter(|issue| viewer.may_see(issue)).collect()
        };
        issues.sort_unstable_by_key(|issue| issue.id);
        issues.dedup_by_key(|issue| issue.id);
        let mut events: Vec<(usize, Event)> = Vec::new();
        for (at, issue) in issues.iter().enumerate() {
            events.extend(issue.history(&viewer.catalogue).into_iter().map(|event| (at, event)));
        }
        events.sort_by_key(|(at, event)| (event.created_ms, *at, event.id));
        let what = body.issue_ids_or_keys.join(",");
        let (now_ms, seed) = (site.world.now_ms(), site.seed);
        let after = match &body.next_page_token {
            None => 0,
            Some(given) => match token::decode(seed, &what, given, now_ms, site.token_lifetime_ms) {
                Ok(place) => usize::try_from(place[0]).unwrap_or(usize::MAX),
                Err(_) => return Err(Box::new(reply::bad_request("The provided next page token is invalid."))),
            },
        };
        let end = after.saturating_add(asked as usize).min(events.len());
        let mut by_issue: BTreeMap<usize, Vec<&Event>> = BTreeMap::new();
        for (at, event) in events.get(after..end).unwrap_or_default() {
            by_issue.entry(*at).or_default().push(event);
        }
        let renderer = Renderer::new(&site, viewer);
        let mut json = Json::with_capacity((end - after.min(end)) * 700 + 64);
        json.open('{').key("issueChangeLogs").open('[');
        for (at, events) in by_issue {
            let issue = &issues[at];
            json.item().open('{').id("issueId", issue.id).key("changeHistories").open('[');
            events.into_iter().for_each(|event| changelog::entry(&renderer, &mut json, issue, event, true));
            json.close(']').close('}');
        }
        json.close(']');
        if end < events.len() {
            let mut place = [0; token::WIDTH];
            place[0] = end as i64;
            json.text("nextPageToken", &token::encode(seed, &what, &place, now_ms));
        }
        json.close('}');
        Ok(reply::holding(reply::ok(json.into_bytes()), issues.len()))
    }))
}
