//! What each endpoint may be asked with, by Atlassian's published documents: the platform's version 3 of Cloud
//! (1001.0.0-SNAPSHOT), Jira Software Cloud (1001.0.0), and Jira Software Data Center (10.3).
//!
//! What must hold: no request has a parameter or a property that its endpoint does not know. A request that is not in the
//! table, a parameter that is not, and a row that nobody asks any more turn the test red: look it up, then write it down.

use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::{Value, json};

use super::SearchRequest;
use super::test_server::{Asked, client, server};
use crate::domain::entity::TermKind;
use crate::domain::site_kind::SiteKind;

/// Method, path, what the query or the body may hold.
type Row = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const CLOUD: &[Row] = &[
    ("GET", "/rest/api/3/myself", &["expand"]),
    ("GET", "/rest/api/3/serverInfo", &[]),
    ("GET", "/rest/api/3/project/{}", &["expand", "properties"]),
    ("GET", "/rest/api/3/project/search", &["startAt", "maxResults", "orderBy", "id", "keys", "query", "typeKey", "categoryId", "action", "expand", "status", "properties", "propertyQuery"]),
    ("GET", "/rest/api/3/project/{}/versions", &["expand"]),
    ("GET", "/rest/api/3/project/{}/components", &["componentSource"]),
    ("GET", "/rest/api/3/project/{}/issuesecuritylevelscheme", &[]),
    ("GET", "/rest/api/3/project/{}/securitylevel", &[]),
    ("POST", "/rest/api/3/search/jql", &["expand", "fields", "fieldsByKeys", "jql", "maxResults", "nextPageToken", "properties", "reconcileIssues"]),
    ("POST", "/rest/api/3/search/approximate-count", &["jql"]),
    ("GET", "/rest/api/3/issue/{}", &["fields", "fieldsByKeys", "expand", "properties", "updateHistory", "failFast"]),
    ("POST", "/rest/api/3/issue/bulkfetch", &["expand", "fields", "fieldsByKeys", "issueIdsOrKeys", "properties"]),
    ("GET", "/rest/api/3/issue/{}/comment", &["startAt", "maxResults", "orderBy", "expand"]),
    ("GET", "/rest/api/3/issue/{}/worklog", &["startAt", "maxResults", "startedAfter", "startedBefore", "expand"]),
    ("GET", "/rest/api/3/issue/{}/changelog", &["startAt", "maxResults"]),
    ("POST", "/rest/api/3/changelog/bulkfetch", &["fieldIds", "issueIdsOrKeys", "maxResults", "nextPageToken"]),
    ("GET", "/rest/api/3/worklog/updated", &["since", "expand"]),
    ("GET", "/rest/api/3/worklog/deleted", &["since"]),
    ("POST", "/rest/api/3/worklog/list", &["ids", "expand"]),
    ("GET", "/rest/api/3/field", &[]),
    ("GET", "/rest/api/3/status", &[]),
    ("GET", "/rest/api/3/issuetype", &[]),
    ("GET", "/rest/api/3/priority", &[]),
    ("GET", "/rest/api/3/resolution", &[]),
    ("GET", "/rest/api/3/users/search", &["startAt", "maxResults"]),
    ("GET", "/rest/api/3/user/search", &["query", "username", "accountId", "startAt", "maxResults", "property"]),
    ("GET", "/rest/api/3/mypermissions", &["projectKey", "projectId", "issueKey", "issueId", "permissions", "projectUuid", "projectConfigurationUuid", "commentId"]),
    ("GET", "/rest/agile/1.0/board", &["startAt", "maxResults", "type", "name", "projectKeyOrId", "accountIdLocation", "projectLocation", "includePrivate", "negateLocationFiltering", "orderBy", "expand", "filterId"]),
    ("GET", "/rest/agile/1.0/board/{}/sprint", &["startAt", "maxResults", "state"]),
];

#[rustfmt::skip]
const DATA_CENTER: &[Row] = &[
    ("GET", "/rest/api/2/myself", &[]),
    ("GET", "/rest/api/2/serverInfo", &[]),
    ("GET", "/rest/api/2/project/{}", &["expand"]),
    ("GET", "/rest/api/2/project", &["includeArchived", "expand", "recent", "browseArchive"]),
    ("GET", "/rest/api/2/project/{}/versions", &["expand"]),
    ("GET", "/rest/api/2/project/{}/components", &[]),
    ("GET", "/rest/api/2/project/{}/issuesecuritylevelscheme", &[]),
    ("GET", "/rest/api/2/project/{}/securitylevel", &[]),
    ("GET", "/rest/api/2/search", &["expand", "jql", "maxResults", "validateQuery", "fields", "startAt"]),
    ("POST", "/rest/api/2/search", &["expand", "fields", "jql", "maxResults", "startAt", "validateQuery"]),
    ("GET", "/rest/api/2/issue/{}", &["expand", "fields", "updateHistory", "properties"]),
    ("GET", "/rest/api/2/issue/{}/comment", &["expand", "maxResults", "orderBy", "startAt"]),
    ("GET", "/rest/api/2/issue/{}/worklog", &[]),
    ("GET", "/rest/api/2/worklog/updated", &["since"]),
    ("GET", "/rest/api/2/worklog/deleted", &["since"]),
    ("POST", "/rest/api/2/worklog/list", &["ids"]),
    ("GET", "/rest/api/2/field", &[]),
    ("GET", "/rest/api/2/status", &[]),
    ("GET", "/rest/api/2/issuetype", &[]),
    ("GET", "/rest/api/2/priority", &[]),
    ("GET", "/rest/api/2/resolution", &[]),
    ("GET", "/rest/api/2/user/search", &["includeInactive", "maxResults", "includeActive", "startAt", "username"]),
    ("GET", "/rest/api/2/mypermissions", &["issueId", "projectKey", "issueKey", "projectId"]),
    ("GET", "/rest/agile/1.0/board", &["maxResults", "name", "projectKeyOrId", "type", "startAt"]),
    ("GET", "/rest/agile/1.0/board/{}/sprint", &["maxResults", "state", "startAt"]),
];

/// The least that can be read, of whatever is asked for.
fn least(asked: &Asked) -> (u16, String) {
    let path = asked.line.split([' ', '?']).nth(1).unwrap();
    let body = match path.rsplit('/').next().unwrap() {
        "myself" => json!({"accountId": "5b1", "key": "ana", "displayName": "Ana"}),
        "project" | "list" | "field" | "status" | "issuetype" | "priority" | "resolution" | "versions"
        | "components" => {
            json!([])
        }
        "issuesecuritylevelscheme" => return (404, json!({"errorMessages": ["none"], "errors": {}}).to_string()),
        "search" if path.contains("/user") => json!([]),
        "approximate-count" => json!({"count": 0}),
        "mypermissions" => json!({"permissions": {}}),
        "bulkfetch" if path.contains("changelog") => json!({"issueChangeLogs": []}),
        "updated" | "deleted" => json!({"values": [], "lastPage": true}),
        "comment" => json!({"comments": [], "startAt": 0, "total": 0}),
        "worklog" => json!({"worklogs": [], "startAt": 0, "total": 0}),
        _ => json!({
            "id": "7", "key": "A-7", "fields": {"updated": "x"}, "issues": [], "values": [], "startAt": 0, "total": 0,
            "changelog": {"histories": [], "startAt": 0, "total": 0}
        }),
    };
    (200, body.to_string())
}

/// Asks everything that there is to ask.
async fn ask_all(kind: SiteKind) -> Vec<Asked> {
    let (url, log) = server(least).await;
    let jira = client(&url, kind);
    let fields = ["*all".to_owned(), "-lastViewed".to_owned()];
    let long_ago = DateTime::UNIX_EPOCH;
    jira.myself().await.unwrap();
    jira.server_info().await.unwrap();
    jira.project("A").await.unwrap();
    jira.projects(0).await.unwrap();
    jira.projects_of_any_state(100).await.unwrap();
    // A place of Data Center is none of Cloud's.
    let next = if kind == SiteKind::Cloud { "t1" } else { "rows-from:10/20/a/0/5" };
    for token in [None, Some(next.to_owned())] {
        let jql = r#"project = "A" AND updated >= 17 ORDER BY updated ASC, key ASC"#;
        let request = SearchRequest { jql, fields: &fields, page_size: 100, next_page_token: token };
        jira.search(&request).await.unwrap();
    }
    jira.search_ids("project = A", None).await.unwrap();
    jira.approximate_count("project = A").await.unwrap();
    jira.issue("A-7", &fields).await.unwrap();
    jira.bulk_fetch(&[7, 8], &fields).await.unwrap();
    for start_at in [0, 100] {
        jira.comments(7, start_at, 100).await.unwrap();
        jira.worklogs(7, start_at, 5_000).await.unwrap();
        jira.changelog(7, start_at).await.unwrap();
    }
    for token in [None, Some("t1")] {
        jira.changelog_bulk(&[7], token).await.unwrap();
    }
    jira.worklogs_updated(long_ago).await.unwrap();
    jira.worklogs_deleted(long_ago).await.unwrap();
    jira.worklog_list(&[5]).await.unwrap();
    jira.field_catalogue().await.unwrap();
    jira.statuses().await.unwrap();
    for kind in [TermKind::IssueType, TermKind::Priority, TermKind::Resolution] {
        jira.terms(kind).await.unwrap();
    }
    jira.versions(1).await.unwrap();
    jira.components(1).await.unwrap();
    jira.boards(1).await.unwrap();
    jira.sprints(1).await.unwrap();
    jira.users().await.unwrap();
    jira.presence(7, &fields).await.unwrap();
    // The project is there: that it has no scheme says nothing of it.
    drop(jira.hides_issues(1).await);
    if kind == SiteKind::DataCenter {
        jira.project_size("A").await.unwrap();
    }
    jira.find_users("ana").await.unwrap();
    jira.my_permissions("A", &["BROWSE_PROJECTS"]).await.unwrap();
    log.lock().unwrap().clone()
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(&path).all(|(want, is)| *want == "{}" || want == is)
}

/// Numbers are numbers and texts texts, in a body.
fn is_typed(name: &str, value: &Value) -> bool {
    match name {
        "maxResults" | "startAt" => value.is_u64(),
        "jql" | "nextPageToken" => value.is_string(),
        "validateQuery" => value.is_boolean(),
        "ids" => value.as_array().is_some_and(|list| list.iter().all(Value::is_i64)),
        "fields" | "issueIdsOrKeys" | "expand" => {
            value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
        }
        _ => false,
    }
}

#[tokio::test]
async fn no_request_has_a_parameter_that_its_endpoint_does_not_know() {
    for (kind, table) in [(SiteKind::Cloud, CLOUD), (SiteKind::DataCenter, DATA_CENTER)] {
        let mut used = BTreeSet::new();
        for asked in ask_all(kind).await {
            let (method, target) = asked.line.split_once(' ').unwrap();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            // A path in full goes before one with something left open.
            let mut rows = table.iter().filter(|row| row.0 == method && fits(row.1, path));
            let exact = rows.clone().find(|row| row.1 == path).or_else(|| rows.next());
            let (_, template, known) = exact.unwrap_or_else(|| panic!("{kind:?} has no {}", asked.line));
            used.insert((method.to_owned(), *template));
            let names = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned());
            let members = asked.body.as_object().cloned().unwrap_or_default();
            for name in names.chain(members.keys().cloned()) {
                assert!(known.contains(&name.as_str()), "{kind:?}: {template} does not know {name}");
            }
            for (name, value) in &members {
                assert!(is_typed(name, value), "{kind:?}: {template}: {name} = {value}");
            }
        }
        let unused: Vec<_> = table.iter().filter(|row| !used.contains(&(row.0.to_owned(), row.1))).collect();
        assert!(unused.is_empty(), "{kind:?}: nobody asks {unused:?}");
    }
}
