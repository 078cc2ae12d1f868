//! `/search` of Data Center: `startAt`, `maxResults` and `total`, and pages that shift while issues change.
//!
//! Nothing holds a place here. Whoever pages by `startAt` while issues change misses some and sees others twice, as on a
//! real site.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::auth::Caller;
use super::faults::FaultKind;
use super::fields::Fields;
use super::issue::Issue;
use super::json::Json;
use super::query::{either, known};
use super::render::Renderer;
use super::reply::{self, Reply};
use super::search;
use super::search_api::{invented, query, refused, shown, write_issues};
use super::site::Site;

/// Issues in one answer at most: `jira.search.views.default.max`.
const MOST: i64 = 1_000;

/// The body of `POST /search`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Body {
    jql: Option<String>,
    start_at: Option<i64>,
    max_results: Option<i64>,
    fields: Option<Vec<String>>,
    /// A list, or a comma list.
    expand: Option<Value>,
    #[serde(rename = "validateQuery")]
    _validate_query: Option<Value>,
}

pub(super) async fn search_post(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    fault: Option<Extension<FaultKind>>,
    body: Bytes,
) -> Reply {
    match serde_json::from_slice::<Body>(&body) {
        Ok(body) => either(run(&site, &caller, &body, fault.map(|fault| fault.0))),
        Err(error) => reply::bad_request(&format!("Unexpected JSON: {error}")),
    }
}

pub(super) async fn search_get(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    fault: Option<Extension<FaultKind>>,
    RawQuery(query): RawQuery,
) -> Reply {
    let mut body = Body::default();
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let number = || value.parse().map(Some);
        let read = match name.as_ref() {
            "startAt" => number().map(|number| body.start_at = number),
            "maxResults" => number().map(|number| body.max_results = number),
            name => {
                match name {
                    "jql" => body.jql = Some(value.into_owned()),
                    "fields" => body.fields.get_or_insert_default().extend(value.split(',').map(str::to_owned)),
                    "expand" => body.expand = Some(value.into_owned().into()),
                    _ => {}
                }
                continue;
            }
        };
        // A path parameter of the wrong type is no resource at all.
        if read.is_err() {
            return super::endpoints::nothing_here().await;
        }
    }
    either(run(&site, &caller, &body, fault.map(|fault| fault.0)))
}

fn run(site: &Site, caller: &Caller, body: &Body, fault: Option<FaultKind>) -> Result<Reply, Box<Reply>> {
    let start_at = body.start_at.unwrap_or(0);
    let asked = body.max_results.unwrap_or(50);
    if start_at < 0 {
        return Err(refused("The value for startAt must not be negative."));
    }
    // A negative number asks for as many as there may be.
    let limit = if asked < 0 { MOST } else { asked.min(MOST) };
    let Caller::Known(viewer) = caller else {
        // Whoever is not signed in sees no project: naming one is an error, naming none finds nothing.
        return match body.jql.as_deref().unwrap_or_default().to_lowercase().contains("project") {
            true => Err(refused("The value of the query does not exist for the field 'project'.")),
            false => Ok(reply::ok(br#"{"startAt":0,"maxResults":50,"total":0,"issues":[]}"#.to_vec())),
        };
    };
    let names = body.fields.as_deref().unwrap_or_default();
    let fields = Fields::parse(names.iter().map(String::as_str), Fields::navigable());
    let (found, total) = {
        let store = site.world.read();
        let query = query(site, &store, viewer, body.jql.as_deref().unwrap_or_default())?;
        let visible = |issue: &Issue| viewer.may_find(issue);
        let total = search::count(&store, &query, &visible);
        let (skipped, limit) = (start_at as usize, limit as usize);
        let page = if skipped < total && limit > 0 {
            search::page(&store, &query, &visible, None, skipped + limit).issues
        } else {
            Vec::new()
        };
        let mut found: Vec<_> = page.into_iter().skip(skipped).map(|issue| shown(&store, viewer, issue)).collect();
        let endless = matches!(fault, Some(FaultKind::Endless | FaultKind::EndlessInvented)) && limit > 0 && total > 0;
        if endless && skipped + limit > total {
            // What stands in the place of the rows after the last.
            let again = skipped.max(total)..skipped + limit;
            let all = search::page(&store, &query, &visible, None, total).issues;
            found.extend(again.filter_map(|row| all.get(row % total)).map(|issue| {
                let issue = if fault == Some(FaultKind::Endless) { issue.clone() } else { invented(site, issue) };
                shown(&store, viewer, issue)
            }));
        }
        // There are always more.
        (found, if endless { total.max(skipped + 2 * limit) } else { total })
    };
    site.count_issues(found.len());
    let expand = match &body.expand {
        Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    let mut json = Json::with_capacity(found.len() * 9_000 + 512);
    json.open('{').text("expand", "schema,names").number("startAt", start_at).number("maxResults", limit);
    json.number("total", total as i64).key("issues").open('[');
    let renderer = Renderer::new(site, viewer).expanding(Some(&expand));
    write_issues(&renderer, &mut json, &found, fields, true);
    json.close(']').close('}');
    Ok(reply::holding(reply::ok(json.into_bytes()), found.len()))
}

/// `/user`: one person by name or key.
pub(super) async fn user(Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Reply {
    let query = super::query::Query::parse(query);
    either(known(&caller).and_then(|viewer| {
        let people = &viewer.catalogue.people;
        let asked = (query.get("username"), query.get("key"));
        let found = people.iter().find(|person| asked.0 == Some(&person.name) || asked.1 == Some(&person.key));
        found.map(|person| reply::ok(person.json.clone().into_bytes())).ok_or_else(|| {
            let message = format!("The user named '{}' does not exist", asked.0.or(asked.1).unwrap_or_default());
            Box::new(reply::refuse(axum::http::StatusCode::NOT_FOUND, &message))
        })
    }))
}
