//! The promises of [`super`], against a server whose issues are large.

use serde_json::{Value, json};

use super::*;
use crate::domain::site_kind::SiteKind;
use crate::jira::normalise;
use crate::jira::test_server::{Asked, access, pool, server};
use crate::jira::{Auth, FieldMap};

const LIMIT: usize = 4_000;

fn client(url: &str, kind: SiteKind) -> JiraClient {
    let pool = pool().with_answer_limit(LIMIT);
    JiraClient::new(&pool, access(url, kind, Auth::Anonymous)).unwrap()
}

/// Issue `n`, as far as `asked` asks for it: the third has comments of 5000 bytes, the sixth a summary of as many.
fn issue(n: u64, asked: &str) -> Value {
    let all = asked.contains("*all");
    let has = |field: &str| asked.split(',').any(|name| name == field) || all && !asked.contains(&format!("-{field}"));
    let mut fields = serde_json::Map::new();
    let large = "x".repeat(5_000);
    let time = "2025-01-01T10:00:00.000+0000";
    if all {
        fields.insert("summary".into(), if n == 6 { large.clone().into() } else { format!("Issue {n}").into() });
        fields.insert("created".into(), time.into());
        fields.insert("project".into(), json!({"id": "10", "key": "A"}));
    }
    if has("updated") {
        fields.insert("updated".into(), time.into());
    }
    if has("comment") {
        let body = if n == 3 { large.as_str() } else { "c" };
        fields.insert("comment".into(), json!({"comments": [{"id": "1", "body": body, "created": time}], "total": 1}));
    }
    if has("attachment") {
        fields.insert("attachment".into(), json!([{"id": "7", "filename": "f", "created": time}]));
    }
    json!({ "id": n.to_string(), "key": format!("A-{n}"), "fields": fields })
}

const ISSUES: u64 = 8;

fn answer(asked: &Asked) -> (u16, String) {
    let list = |fields: &Value| {
        fields.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
    };
    let rows = asked.body["maxResults"].as_u64().unwrap_or(50);
    if asked.line.starts_with("POST") && asked.line.contains("/search") {
        let by_token = asked.line.contains("/jql");
        let from = match by_token {
            true => asked.body["nextPageToken"].as_str().map_or(1, |token| token.parse().unwrap()),
            false => 1 + asked.body["startAt"].as_u64().unwrap_or(0),
        };
        let to = (from + rows - 1).min(ISSUES);
        let issues: Vec<Value> = (from..=to).map(|n| issue(n, &list(&asked.body["fields"]))).collect();
        let mut page = json!({ "issues": issues });
        match by_token {
            true if to < ISSUES => page["nextPageToken"] = (to + 1).to_string().into(),
            true => page["isLast"] = true.into(),
            false => {
                page["total"] = ISSUES.into();
                page["startAt"] = (from - 1).into();
                page["maxResults"] = rows.into();
            }
        }
        return (200, page.to_string());
    }
    if asked.line.contains("/issue/bulkfetch") {
        let ids = asked.body["issueIdsOrKeys"].as_array().unwrap().clone();
        let ids = ids.iter().map(|id| id.as_str().unwrap().parse().unwrap());
        let issues: Vec<Value> = ids.map(|n| issue(n, &list(&asked.body["fields"]))).collect();
        return (200, json!({ "issues": issues }).to_string());
    }
    let query: std::collections::HashMap<String, String> = asked
        .line
        .split_once('?')
        .map(|(_, query)| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
        .unwrap_or_default();
    let number = |name: &str, default: u64| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    if asked.line.contains("/comment") {
        let (from, rows) = (number("startAt", 0), number("maxResults", 100));
        let comments: Vec<Value> = (from..(from + rows).min(5))
            .map(|n| {
                let body = if n == 2 { "y".repeat(5_000) } else { "z".repeat(1_500) };
                json!({"id": n.to_string(), "body": body, "created": "2025-01-01T10:00:00.000+0000"})
            })
            .collect();
        return (200, json!({"comments": comments, "startAt": from, "maxResults": rows, "total": 5}).to_string());
    }
    let id = asked.line.split("/issue/").nth(1).and_then(|rest| rest.split('?').next()?.parse().ok());
    match id {
        Some(id) => (200, issue(id, query.get("fields").map_or("", String::as_str)).to_string()),
        None => (404, "{}".to_owned()),
    }
}

/// What was read and rejected by a walk over all issues, and the largest page that was asked for at its end.
async fn walk(kind: SiteKind) -> (Vec<i64>, Vec<(Option<i64>, Option<String>)>) {
    let (url, _) = server(answer).await;
    let jira = client(&url, kind);
    let fields = ["*all".to_owned()];
    let (mut read, mut rejected, mut token) = (Vec::new(), Vec::new(), None);
    loop {
        let request = SearchRequest { jql: "project = A", fields: &fields, page_size: 50, next_page_token: token };
        let raw = jira.search(&request).await.unwrap();
        let page = normalise::parse_page(&raw.body, &FieldMap::default()).unwrap();
        for issue in &page.issues {
            read.push(issue.issue.id);
            assert_eq!(issue.comments_total, 1, "what was left out is asked for");
            assert_eq!(issue.attachments.len(), 1, "files have come by themselves");
        }
        rejected.extend(page.rejected.into_iter().map(|error| (error.issue_id, error.key)));
        token = raw.head().unwrap().next_page_token;
        if token.is_none() {
            read.dedup();
            rejected.dedup();
            return (read, rejected);
        }
    }
}

#[tokio::test]
async fn a_page_too_large_is_read_in_parts_and_one_issue_left_out() {
    for kind in [SiteKind::Cloud, SiteKind::DataCenter] {
        let (read, rejected) = walk(kind).await;
        assert_eq!(read, [1, 2, 3, 4, 5, 7, 8], "{kind:?}");
        assert_eq!(rejected, [(Some(6), Some("A-6".to_owned()))], "{kind:?}");
    }
}

#[tokio::test]
async fn issues_by_id_are_halved_down_to_the_one_that_is_too_large() {
    let (url, _) = server(answer).await;
    let jira = client(&url, SiteKind::Cloud);
    let raw = jira.bulk_fetch(&[1, 2, 3, 4, 5, 6, 7, 8], &["*all".to_owned()]).await.unwrap();
    let page = normalise::parse_page(&raw.body, &FieldMap::default()).unwrap();
    let ids: Vec<i64> = page.issues.iter().map(|issue| issue.issue.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 7, 8]);
    assert_eq!(page.rejected.len(), 1);
}

#[tokio::test]
async fn one_comment_too_large_costs_no_other() {
    let (url, _) = server(answer).await;
    let jira = client(&url, SiteKind::Cloud);
    let (mut read, mut rejected, mut start) = (Vec::new(), 0, 0);
    loop {
        let raw = jira.comments(1, start, 100).await.unwrap().unwrap();
        let page = normalise::parse_comments(&raw.body, 1).unwrap();
        rejected += page.rejected.len();
        read.extend(page.records.iter().map(|comment| comment.id));
        start = u64::try_from(page.start_at + page.received).unwrap();
        if page.start_at + page.received >= page.total {
            break;
        }
    }
    assert_eq!((read, rejected), (vec![0, 1, 3, 4], 1));
}
