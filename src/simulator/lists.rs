//! What holds for the whole site: fields, statuses, priorities, issue types, resolutions, and its people.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;

use super::auth::{Caller, Viewer};
use super::catalogue::{Catalogue, Named};
use super::fields::{FIELDS, Field, SPRINT, STORY_POINTS};
use super::json::Json;
use super::options::Kind;
use super::people::Person;
use super::query::{Query, either, known};
use super::reply::{self, Reply};
use super::site::Site;

const USER_PAGE: usize = 1_000;

fn array(write: impl FnOnce(&mut Json)) -> Reply {
    let mut json = Json::with_capacity(8_192);
    json.open('[');
    write(&mut json);
    json.close(']');
    reply::ok(json.into_bytes())
}

/// The entries of a list, and on Cloud one more of a team-managed project.
fn terms(caller: &Caller, of: fn(&Catalogue) -> &[Named], team: Option<(&str, &str, &str)>) -> Reply {
    either(known(caller).map(|viewer| {
        array(|json| {
            for named in of(&viewer.catalogue) {
                json.item().raw(&named.listed);
            }
            if let Some((id, name, more)) = team.filter(|_| viewer.catalogue.kind == Kind::Cloud) {
                let project = viewer.catalogue.projects.first().map_or(0, |project| project.id);
                json.item().raw(&Named::of_project(id, name, project, more));
            }
        })
    }))
}

pub(super) async fn statuses(Extension(caller): Extension<Caller>) -> Reply {
    let more = r#","statusCategory":{"id":2,"key":"new","colorName":"blue-gray","name":"To Do"}"#;
    terms(&caller, |catalogue| &catalogue.statuses, Some(("10005", "Ideas", more)))
}

pub(super) async fn priorities(Extension(caller): Extension<Caller>) -> Reply {
    terms(&caller, |catalogue| &catalogue.priorities, None)
}

pub(super) async fn issue_types(Extension(caller): Extension<Caller>) -> Reply {
    let more = r#","subtask":false,"hierarchyLevel":0"#;
    terms(&caller, |catalogue| &catalogue.types, Some(("10005", "Idea", more)))
}

pub(super) async fn resolutions(Extension(caller): Extension<Caller>) -> Reply {
    terms(&caller, |catalogue| &catalogue.resolutions, None)
}

pub(super) async fn fields(Extension(caller): Extension<Caller>) -> Reply {
    either(known(&caller).map(|viewer| {
        let kind = viewer.catalogue.kind;
        let present = FIELDS.iter().filter(|field| kind == Kind::Cloud || !field.cloud_only);
        let project = viewer.catalogue.projects.first().map_or(0, |project| project.id);
        array(|json| {
            present.for_each(|field| write_field(json, kind, field));
            if kind == Kind::Cloud {
                write_field_of_team(json, project);
            }
        })
    }))
}

fn write_field(json: &mut Json, kind: Kind, field: &Field) {
    let custom_id = field.id.strip_prefix("customfield_");
    let (mut name, (mut value_type, mut items, mut custom)) = (field.name, field.schema);
    if kind == Kind::DataCenter && field.id == STORY_POINTS {
        (name, custom) = ("Story Points", "com.atlassian.jira.plugin.system.customfieldtypes:float");
    }
    if kind == Kind::DataCenter && field.id == SPRINT {
        (value_type, items) = ("array", "string");
    }
    json.item().open('{').text("id", field.id);
    if kind == Kind::Cloud {
        json.text("key", field.id);
    }
    json.text("name", name);
    if kind == Kind::Cloud && custom_id.is_some() {
        json.text("untranslatedName", name);
    }
    json.member("custom", if custom_id.is_some() { "true" } else { "false" });
    json.member("orderable", "true").member("navigable", if field.navigable { "true" } else { "false" });
    json.member("searchable", "true").key("clauseNames").open('[');
    match custom_id {
        Some(id) => json.item().string(&format!("cf[{id}]")).item().string(name),
        None => json.item().string(field.id),
    };
    json.close(']');
    // The parent has no schema on a real site either.
    if !value_type.is_empty() {
        json.key("schema").open('{').text("type", value_type);
        if !items.is_empty() {
            json.text("items", items);
        }
        match custom_id {
            Some(id) => json.text("custom", custom).member("customId", id),
            None => json.text("system", field.id),
        };
        json.close('}');
    }
    json.close('}');
}

/// A field of a team-managed project, which no issue here has.
fn write_field_of_team(json: &mut Json, project: u64) {
    let name = "Team mood";
    json.item().open('{').text("id", "customfield_10090").text("key", "customfield_10090").text("name", name);
    json.text("untranslatedName", name).member("custom", "true").member("orderable", "true");
    json.member("navigable", "true").member("searchable", "true").key("clauseNames").open('[');
    json.item().string("cf[10090]").item().string(name).close(']');
    json.key("scope").open('{').text("type", "PROJECT").key("project").open('{').id("id", project);
    json.close('}').close('}').key("schema").open('{').text("type", "string");
    json.text("custom", "com.atlassian.jira.plugin.system.customfieldtypes:textfield").member("customId", "10090");
    json.close('}').close('}');
}

fn people<'a>(page: impl Iterator<Item = &'a Person>) -> Reply {
    array(|json| {
        for person in page {
            json.item().raw(&person.json);
        }
    })
}

fn may_list(caller: &Caller) -> Result<&Viewer, Box<Reply>> {
    let viewer = known(caller)?;
    match viewer.is_unrestricted() {
        true => Ok(viewer),
        false => Err(Box::new(reply::refuse(StatusCode::FORBIDDEN, "You do not have permission to browse users."))),
    }
}

/// `/users/search` of Cloud: everybody, in pages.
pub(super) async fn users(Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Reply {
    let query = Query::parse(query);
    either(may_list(&caller).and_then(|viewer| {
        let (start_at, max_results) = query.window(50, USER_PAGE)?;
        let page = viewer.catalogue.people.iter().skip(start_at).take(max_results);
        Ok(people(page))
    }))
}

/// `/user/search`: by `query` on Cloud, by `username` on Data Center, where `.` means everybody.
pub(super) async fn find_users(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    either(may_list(&caller).and_then(|viewer| {
        let (start_at, max_results) = query.window(50, USER_PAGE)?;
        let (name, text) = match site.kind {
            Kind::Cloud => ("query", query.get("query").or(query.get("accountId"))),
            Kind::DataCenter => ("username", query.get("username")),
        };
        let Some(text) = text.map(str::to_lowercase) else {
            return Err(Box::new(reply::bad_request(&format!("The {name} query parameter was not provided"))));
        };
        let everybody = site.kind == Kind::DataCenter && (text == "." || text == "%");
        let matches = |field: &str| field.to_lowercase().starts_with(&text);
        let found = viewer.catalogue.people.iter().filter(|person| {
            let by_word = person.display_name.split(' ').any(matches);
            let by_name = site.kind == Kind::DataCenter && matches(&person.name);
            // A hidden address is not found by either.
            let by_email = person.shows_email && matches(&person.email);
            everybody || by_word || by_name || by_email || person.account_id == text
        });
        let page = found.skip(start_at).take(max_results);
        Ok(people(page))
    }))
}
