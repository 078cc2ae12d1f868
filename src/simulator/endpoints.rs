//! The endpoints that answer about the account, the site and one issue.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use chrono::SecondsFormat;
use chrono::TimeZone as _;
use chrono_tz::Tz;

use super::auth::Caller;
use super::fields::Fields;
use super::issue::Issue;
use super::json::Json;
use super::options::Kind;
use super::query::{Query, either, known, visible};
use super::render::Renderer;
use super::reply::{self, Reply};
use super::search_api::shown;
use super::site::Site;
use super::{changelog, threads};

/// Comments in one answer at most.
const COMMENT_PAGE: usize = 100;
/// Worklogs in one answer at most.
const WORKLOG_PAGE: usize = 5_000;

pub(super) async fn myself(Extension(caller): Extension<Caller>) -> Reply {
    either(known(&caller).map(|viewer| {
        let own = &viewer.catalogue.people[usize::from(viewer.person)].own_json;
        let more = r#","locale":"en_US","groups":{"size":1,"items":[]},"applicationRoles":{"size":1,"items":[]}}"#;
        reply::ok([own.strip_suffix('}').unwrap_or(own), more].concat().into_bytes())
    }))
}

pub(super) async fn server_info(State(site): State<Arc<Site>>) -> Reply {
    let catalogue = site.world.catalogue();
    let now = Tz::UTC.timestamp_millis_opt(site.world.now_ms()).single();
    let now = now.map(|now| now.to_rfc3339_opts(SecondsFormat::Millis, false).replace("+00:00", "+0000"));
    let (version, numbers, deployment, build) = match catalogue.kind {
        Kind::Cloud => ("1001.0.0-SNAPSHOT".to_owned(), vec![1001, 0, 0], "Cloud", 100_290),
        Kind::DataCenter => {
            let numbers = site.version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
            (site.version.clone(), numbers, "Server", 820_000)
        }
    };
    let info = serde_json::json!({
        "baseUrl": catalogue.base_url,
        "version": version,
        "versionNumbers": numbers,
        "deploymentType": deployment,
        "buildNumber": build,
        "buildDate": "2025-01-01T00:00:00.000+0000",
        "serverTime": now,
        "scmInfo": "simulated",
        "serverTitle": "Simulated Jira",
        "defaultLocale": { "locale": "en_US" },
    });
    reply::ok(info.to_string().into_bytes())
}

/// What the account may do, as far as a synchroniser asks.
pub(super) async fn my_permissions(Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Reply {
    let query = Query::parse(query);
    either(known(&caller).and_then(|viewer| {
        let asked: Vec<&str> = query.all("permissions").filter(|key| !key.is_empty()).collect();
        // Cloud insists on the list since 2019, Data Center gives everything.
        if asked.is_empty() && viewer.catalogue.kind == Kind::Cloud {
            return Err(Box::new(reply::bad_request("The 'permissions' query parameter is required.")));
        }
        let project = match query.get("projectKey").or(query.get("projectId")) {
            Some(named) => {
                let found = viewer.catalogue.project(named).filter(|project| viewer.may_browse(*project));
                Some(found.ok_or_else(|| {
                    let message = format!("No project could be found with key '{named}'.");
                    Box::new(reply::refuse(StatusCode::NOT_FOUND, &message))
                })?)
            }
            None => None,
        };
        let all = ["BROWSE_PROJECTS", "USER_PICKER", "ADMINISTER", "VIEW_ALL_WORKLOGS", "VIEW_DEV_TOOLS"];
        let mut json = Json::with_capacity(1_024);
        json.open('{').key("permissions").open('{');
        for key in if asked.is_empty() { &all[..] } else { &asked[..] } {
            let browses =
                project.is_some() || (0u16..).zip(&viewer.catalogue.projects).any(|(at, _)| viewer.may_search(at));
            let held = match *key {
                "BROWSE_PROJECTS" => browses,
                "ADMINISTER" | "SYSTEM_ADMIN" => false,
                _ => viewer.is_unrestricted(),
            };
            let Some(known) = all.iter().find(|known| *known == key) else {
                return Err(Box::new(reply::bad_request(&format!("Unrecognized permission: {key}"))));
            };
            json.key(known).open('{').text("id", "10").text("key", known).text("name", known).text("type", "PROJECT");
            json.text("description", "").member("havePermission", if held { "true" } else { "false" }).close('}');
        }
        json.close('}').close('}');
        Ok(reply::ok(json.into_bytes()))
    }))
}

pub(super) async fn issue(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    let (viewer, shown) = {
        let store = site.world.read();
        match visible(&site, &store, &caller, &named) {
            Ok((viewer, issue)) => (viewer, shown(&store, viewer, issue)),
            Err(refusal) => return *refusal,
        }
    };
    let mut json = Json::with_capacity(12_000);
    let renderer = Renderer::new(&site, viewer).expanding(query.get("expand"));
    renderer.issue(&mut json, &shown, Fields::parse(query.all("fields"), Fields::ALL));
    reply::ok(json.into_bytes())
}

/// Where the issue may go.
pub(super) async fn transitions(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
) -> Reply {
    either(visible(&site, &site.world.read(), &caller, &named).map(|(viewer, _)| {
        let mut json = Json::with_capacity(4_096);
        json.open('{').text("expand", "transitions");
        Renderer::new(&site, viewer).transitions(json.key("transitions"));
        json.close('}');
        reply::ok(json.into_bytes())
    }))
}

pub(super) async fn comments(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    // Data Center gives all of them unless told otherwise.
    let most = if site.kind == Kind::Cloud { COMMENT_PAGE } else { 1_048_576 };
    thread(&site, &caller, &named, &query, (most, most), |renderer, json, issue, (start_at, max_results)| {
        let newest_first = query.get("orderBy") == Some("-created");
        threads::comment_page(renderer, json, issue, start_at, max_results, newest_first);
    })
}

pub(super) async fn worklogs(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    let window = (WORKLOG_PAGE, WORKLOG_PAGE);
    thread(&site, &caller, &named, &query, window, |renderer, json, issue, (start_at, max_results)| {
        // Data Center gives all of them, whatever page is asked for.
        let (start_at, max_results) =
            if site.kind == Kind::Cloud { (start_at, max_results) } else { (0, issue.worklog_count()) };
        threads::worklog_page(renderer, json, issue, start_at, max_results);
    })
}

pub(super) async fn history(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    let window = (changelog::PAGE, changelog::PAGE);
    thread(&site, &caller, &named, &query, window, |renderer, json, issue, (start_at, max_results)| {
        changelog::page(renderer, json, issue, start_at, max_results);
    })
}

fn thread(
    site: &Site,
    caller: &Caller,
    named: &str,
    query: &Query,
    (default, most): (usize, usize),
    write: impl FnOnce(&Renderer<'_>, &mut Json, &Issue, (usize, usize)),
) -> Reply {
    let found = visible(site, &site.world.read(), caller, named);
    either(found.and_then(|(viewer, issue)| {
        let window = query.window(default, most)?;
        let mut json = Json::with_capacity(16_000);
        write(&Renderer::new(site, viewer), &mut json, &issue, window);
        Ok(reply::ok(json.into_bytes()))
    }))
}

/// The search that Atlassian removed (CHANGE-2046).
pub(super) async fn old_search() -> Reply {
    let message = "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046";
    reply::refuse(StatusCode::GONE, message)
}

pub(super) async fn nothing_here() -> Reply {
    reply::json(StatusCode::NOT_FOUND, r#"{"message":"null for uri: no such endpoint","status-code":404}"#)
}
