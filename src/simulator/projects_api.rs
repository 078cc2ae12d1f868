//! Projects, and the versions and components of each.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;

use super::auth::{Caller, Viewer};
use super::catalogue::{COMPONENTS, ProjectState, VERSIONS, Wanted};
use super::json::Json;
use super::query::{Query, either, known, values};
use super::reply::{self, Reply};
use super::site::Site;

/// Projects in one answer at most.
const PAGE: usize = 100;

/// The project, when the caller may browse it.
fn found(caller: &Caller, named: &str) -> Result<(Viewer, u16), Box<Reply>> {
    let visible = match caller {
        Caller::Known(viewer) => viewer.catalogue.project(named).map(|project| (viewer.clone(), project)),
        Caller::Anonymous(_) => None,
    };
    visible.filter(|(viewer, project)| viewer.may_browse(*project)).ok_or_else(|| {
        Box::new(reply::refuse(StatusCode::NOT_FOUND, &format!("No project could be found with key '{named}'.")))
    })
}

/// Number of issues and last change of one project.
fn insight(site: &Site, project: u16) -> (u64, Option<i64>) {
    let store = site.world.read();
    let index = store.by_updated(Some(project));
    (index.len() as u64, index.last().map(|(updated_ms, _)| *updated_ms))
}

/// `/project/search` of Cloud.
pub(super) async fn search(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    either(query.window(50, PAGE).and_then(|window| {
        let Caller::Known(viewer) = &caller else { return Ok(values::<u16>(None, window, &[], |_, _| {})) };
        let catalogue = &viewer.catalogue;
        let mut states: Vec<ProjectState> = Vec::new();
        for status in query.all("status").filter(|status| !status.is_empty()) {
            states.push(match status {
                "live" => ProjectState::Live,
                "archived" => ProjectState::Archived,
                "deleted" => ProjectState::Deleted,
                other => return Err(Box::new(reply::bad_request(&format!("'{other}' is not a project status.")))),
            });
        }
        if states.is_empty() {
            states.push(ProjectState::Live);
        }
        let text = query.get("query").unwrap_or_default().to_lowercase();
        let all: Vec<u16> = (0u16..)
            .zip(&catalogue.projects)
            .filter(|(index, project)| {
                // The trash shows what was deleted to those who could browse it before.
                let may =
                    viewer.may_browse(*index) || project.state == ProjectState::Deleted && viewer.is_unrestricted();
                let named = project.key.to_lowercase().contains(&text) || project.name.to_lowercase().contains(&text);
                may && states.contains(&project.state) && named
            })
            .map(|(index, _)| index)
            .collect();
        let own = format!("{}/project/search", catalogue.api);
        Ok(values(Some(&own), window, &all, |json, index| {
            let wanted = Wanted {
                lead: query.lists("expand", "lead"),
                insight: query.lists("expand", "insight").then(|| insight(&site, *index)),
            };
            catalogue.write_project(json, &catalogue.projects[usize::from(*index)], wanted);
        }))
    }))
}

/// `/project` of Data Center: everything at once, archived projects on request.
pub(super) async fn all(Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Reply {
    let query = Query::parse(query);
    let mut json = Json::with_capacity(4_096);
    json.open('[');
    if let Caller::Known(viewer) = &caller {
        for (index, project) in (0u16..).zip(&viewer.catalogue.projects) {
            let archived = project.state == ProjectState::Archived && query.get("includeArchived") != Some("true");
            if viewer.may_browse(index) && !archived {
                let wanted = Wanted { lead: query.lists("expand", "lead"), insight: None };
                viewer.catalogue.write_project(&mut json, project, wanted);
            }
        }
    }
    json.close(']');
    reply::ok(json.into_bytes())
}

/// `/project/{project}`.
pub(super) async fn one(Extension(caller): Extension<Caller>, Path(named): Path<String>) -> Reply {
    either(found(&caller, &named).map(|(viewer, project)| {
        let mut json = Json::with_capacity(1_024);
        let wanted = Wanted { lead: true, insight: None };
        viewer.catalogue.write_project(&mut json, &viewer.catalogue.projects[usize::from(project)], wanted);
        reply::ok(json.into_bytes())
    }))
}

/// Whether an issue of the project has a security level.
fn has_levels(site: &Site, project: u16) -> bool {
    site.world.read().all_live().any(|issue| issue.project == project && issue.secured)
}

fn level() -> serde_json::Value {
    serde_json::json!({"id": "10000", "name": "Internal", "description": "Not for the public"})
}

/// `/project/{project}/issuesecuritylevelscheme`: shown to those who administer the project.
pub(super) async fn security_scheme(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
) -> Reply {
    either(found(&caller, &named).and_then(|(viewer, project)| {
        if !viewer.is_unrestricted() {
            return Err(Box::new(reply::refuse(StatusCode::FORBIDDEN, "You cannot edit this project.")));
        }
        if !has_levels(&site, project) {
            return Err(Box::new(reply::refuse(StatusCode::NOT_FOUND, "The project has no issue security scheme.")));
        }
        let scheme =
            serde_json::json!({"id": 10000, "name": "Levels", "defaultSecurityLevelId": null, "levels": [level()]});
        Ok(reply::ok(scheme.to_string().into_bytes()))
    }))
}

/// `/project/{project}/securitylevel`: the levels whose issues the caller may see.
pub(super) async fn security_levels(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
) -> Reply {
    either(found(&caller, &named).map(|(viewer, project)| {
        let shown = viewer.sees_levels() && has_levels(&site, project);
        let levels = if shown { vec![level()] } else { Vec::new() };
        reply::ok(serde_json::json!({"levels": levels}).to_string().into_bytes())
    }))
}

async fn parts(caller: Caller, named: String, count: usize, of_versions: bool) -> Reply {
    either(found(&caller, &named).map(|(viewer, project)| {
        let catalogue = &viewer.catalogue;
        let project = &catalogue.projects[usize::from(project)];
        let mut json = Json::with_capacity(4_096);
        json.open('[');
        for at in 0..count {
            match of_versions {
                true => catalogue.write_version(&mut json, project, at, true),
                false => catalogue.write_component(&mut json, project, at, true),
            }
        }
        json.close(']');
        reply::ok(json.into_bytes())
    }))
}

pub(super) async fn versions(Extension(caller): Extension<Caller>, Path(named): Path<String>) -> Reply {
    parts(caller, named, VERSIONS.len(), true).await
}

pub(super) async fn components(Extension(caller): Extension<Caller>, Path(named): Path<String>) -> Reply {
    parts(caller, named, COMPONENTS.len(), false).await
}

/// The same in pages, as `/project/{project}/version` and `/project/{project}/component` of Cloud.
pub(super) async fn version_page(
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    either(paged(&caller, &named, query, VERSIONS.len(), true))
}

pub(super) async fn component_page(
    Extension(caller): Extension<Caller>,
    Path(named): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    either(paged(&caller, &named, query, COMPONENTS.len(), false))
}

fn paged(
    caller: &Caller,
    named: &str,
    query: Option<String>,
    count: usize,
    of_versions: bool,
) -> Result<Reply, Box<Reply>> {
    known(caller)?;
    let (viewer, project) = found(caller, named)?;
    let project = &viewer.catalogue.projects[usize::from(project)];
    let all: Vec<usize> = (0..count).collect();
    let window = Query::parse(query).window(50, 50)?;
    Ok(values(None, window, &all, |json, at| match of_versions {
        true => viewer.catalogue.write_version(json, project, *at, true),
        false => viewer.catalogue.write_component(json, project, *at, true),
    }))
}
