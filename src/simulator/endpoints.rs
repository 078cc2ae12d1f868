//! The endpoints that answer about one thing or list a collection.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use chrono::SecondsFormat;
use chrono::TimeZone as _;
use chrono_tz::Tz;

use super::auth::{Caller, Viewer, unauthenticated};
use super::fields::{Fields, NAMES};
use super::issue::Issue;
use super::json::Json;
use super::render::Renderer;
use super::reply::{self, Reply};
use super::search_api::with_parent;
use super::site::Site;
use super::store::Store;
use super::threads;

/// Comments in one answer at most.
const COMMENT_PAGE: usize = 100;
/// Worklogs in one answer at most.
const WORKLOG_PAGE: usize = 5_000;
const PROJECT_PAGE: usize = 100;
const USER_PAGE: usize = 1_000;

/// The query string of a collection.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: Option<String>) -> Self {
        Self(url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).flat_map(|(_, value)| value.split(','))
    }

    /// `startAt` and `maxResults`; more than `most` is cut down, as Jira does in collections.
    fn window(&self, default: usize, most: usize) -> Result<(usize, usize), Box<Reply>> {
        let number = |name: &str, default: usize| match self.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Box::new(reply::bad_request(&format!("{name} must be a number, not '{text}'.")))),
        };
        Ok((number("startAt", 0)?, number("maxResults", default)?.min(most)))
    }
}

fn known(caller: &Caller) -> Result<&Viewer, Box<Reply>> {
    match caller {
        Caller::Known(viewer) => Ok(viewer),
        Caller::Anonymous => Err(Box::new(unauthenticated("OUT"))),
    }
}

/// Either way it is an answer.
fn either(result: Result<Reply, Box<Reply>>) -> Reply {
    result.unwrap_or_else(|refusal| *refusal)
}

pub(super) async fn myself(State(site): State<Arc<Site>>, Extension(caller): Extension<Caller>) -> Reply {
    either(known(&caller).map(|viewer| {
        let own = &site.world.catalogue.people[usize::from(viewer.person)].own_json;
        let more = r#","locale":"en_US","groups":{"size":1,"items":[]},"applicationRoles":{"size":1,"items":[]}}"#;
        reply::ok([own.trim_end_matches('}'), more].concat().into_bytes())
    }))
}

pub(super) async fn server_info(State(site): State<Arc<Site>>) -> Reply {
    let now = Tz::UTC.timestamp_millis_opt(site.world.now_ms()).single();
    let now = now.map(|now| now.to_rfc3339_opts(SecondsFormat::Millis, false).replace("+00:00", "+0000"));
    let info = serde_json::json!({
        "baseUrl": site.world.catalogue.base_url,
        "version": "1001.0.0-SNAPSHOT",
        "versionNumbers": [1001, 0, 0],
        "deploymentType": "Cloud",
        "buildNumber": 100_290,
        "buildDate": "2025-01-01T00:00:00.000+0000",
        "serverTime": now,
        "scmInfo": "simulated",
        "serverTitle": "Simulated Jira",
        "defaultLocale": { "locale": "en_US" },
    });
    reply::ok(info.to_string().into_bytes())
}

/// The issue as last written, when the caller may see it.
fn visible(site: &Site, store: &Store, caller: &Caller, named: &str) -> Result<(Viewer, Arc<Issue>), Box<Reply>> {
    let Caller::Known(viewer) = caller else { return Err(Box::new(reply::no_issue())) };
    let found = site.world.find(store, named).filter(|issue| viewer.may_browse(issue.project));
    found.map(|issue| (viewer.clone(), issue)).ok_or_else(|| Box::new(reply::no_issue()))
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
            Ok((viewer, issue)) => (viewer, with_parent(&store, issue)),
            Err(refusal) => return *refusal,
        }
    };
    let mut json = Json::with_capacity(12_000);
    let renderer = Renderer { catalogue: &site.world.catalogue, zone: viewer.zone };
    renderer.issue(&mut json, &shown, Fields::parse(query.all("fields"), Fields::ALL));
    reply::ok(json.into_bytes())
}

pub(super) async fn comments(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    thread(&site, &caller, &named, &query, COMMENT_PAGE, |renderer, json, issue, (start_at, max_results)| {
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
    thread(&site, &caller, &named, &query, WORKLOG_PAGE, |renderer, json, issue, (start_at, max_results)| {
        threads::worklog_page(renderer, json, issue, start_at, max_results);
    })
}

fn thread(
    site: &Site,
    caller: &Caller,
    named: &str,
    query: &Query,
    most: usize,
    write: impl FnOnce(&Renderer<'_>, &mut Json, &Issue, (usize, usize)),
) -> Reply {
    let found = visible(site, &site.world.read(), caller, named);
    either(found.and_then(|(viewer, issue)| {
        let window = query.window(most, most)?;
        let mut json = Json::with_capacity(16_000);
        write(&Renderer { catalogue: &site.world.catalogue, zone: viewer.zone }, &mut json, &issue, window);
        Ok(reply::ok(json.into_bytes()))
    }))
}

pub(super) async fn projects(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    let visible = |index: usize| match &caller {
        Caller::Known(viewer) => u16::try_from(index).is_ok_and(|index| viewer.may_browse(index)),
        Caller::Anonymous => false,
    };
    either(query.window(50, PROJECT_PAGE).map(|(start_at, max_results)| {
        let all = site.world.catalogue.projects.iter().enumerate();
        let found: Vec<_> = all.filter(|(index, _)| visible(*index)).map(|(_, project)| project).collect();
        let page: Vec<_> = found.iter().skip(start_at).take(max_results).collect();
        let mut json = Json::with_capacity(page.len() * 400 + 256);
        json.open('{').text("self", &format!("{}/rest/api/3/project/search", site.world.catalogue.base_url));
        json.number("maxResults", max_results as i64)
            .number("startAt", start_at as i64)
            .number("total", found.len() as i64);
        json.member("isLast", if start_at + page.len() >= found.len() { "true" } else { "false" })
            .key("values")
            .open('[');
        for project in page {
            json.item().raw(&project.full_json);
        }
        json.close(']').close('}');
        reply::ok(json.into_bytes())
    }))
}

pub(super) async fn project(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
) -> Reply {
    let catalogue = &site.world.catalogue;
    let found = match &caller {
        Caller::Known(viewer) => catalogue.project(&named).filter(|project| viewer.may_browse(*project)),
        Caller::Anonymous => None,
    };
    match found {
        Some(project) => reply::ok(catalogue.projects[usize::from(project)].full_json.clone().into_bytes()),
        None => reply::refuse(StatusCode::NOT_FOUND, &format!("No project could be found with key '{named}'.")),
    }
}

pub(super) async fn fields(Extension(caller): Extension<Caller>) -> Reply {
    either(known(&caller).map(|_| {
        let mut json = Json::with_capacity(4_096);
        json.open('[');
        for (id, name, navigable) in NAMES {
            let custom = id.starts_with("customfield_");
            json.item().open('{').text("id", id).text("key", id).text("name", name);
            json.member("custom", if custom { "true" } else { "false" }).member("orderable", "true");
            json.member("navigable", if navigable { "true" } else { "false" }).member("searchable", "true");
            json.key("clauseNames").open('[').item().string(if custom { name } else { id }).close(']');
            json.member("schema", schema(id)).close('}');
        }
        json.close(']');
        reply::ok(json.into_bytes())
    }))
}

fn schema(id: &str) -> &'static str {
    match id {
        "customfield_10016" => {
            r#"{"type":"number","custom":"com.pyxis.greenhopper.jira:jsw-story-points","customId":10016}"#
        }
        "customfield_10020" => {
            r#"{"type":"array","items":"json","custom":"com.pyxis.greenhopper.jira:gh-sprint","customId":10020}"#
        }
        "assignee" | "reporter" | "creator" => r#"{"type":"user"}"#,
        "created" | "updated" | "resolutiondate" => r#"{"type":"datetime"}"#,
        "duedate" => r#"{"type":"date"}"#,
        "labels" => r#"{"type":"array","items":"string"}"#,
        "components" => r#"{"type":"array","items":"component"}"#,
        "fixVersions" => r#"{"type":"array","items":"version"}"#,
        "timespent" | "timeoriginalestimate" => r#"{"type":"number"}"#,
        "comment" => r#"{"type":"comments-page"}"#,
        "worklog" => r#"{"type":"array","items":"worklog"}"#,
        _ => r#"{"type":"string"}"#,
    }
}

pub(super) async fn users(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    either(known(&caller).and_then(|viewer| {
        if !viewer.may_list_users() {
            let refusal = reply::refuse(StatusCode::FORBIDDEN, "You do not have permission to browse users.");
            return Err(Box::new(refusal));
        }
        let (start_at, max_results) = query.window(50, USER_PAGE)?;
        let mut json = Json::with_capacity(32_000);
        json.open('[');
        for person in site.world.catalogue.people.iter().skip(start_at).take(max_results) {
            json.item().raw(&person.json);
        }
        json.close(']');
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
