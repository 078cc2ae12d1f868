//! The client on servers that know a part of Jira's query language.

use serde_json::{Value, json};

use super::SearchRequest;
use super::test_server::{Asked, client, server};
use crate::domain::failure::FailureCode;
use crate::domain::site_kind::SiteKind;

const WINDOW: &str = r#"project = "A" AND updated >= 1700000000000 ORDER BY updated ASC, key ASC"#;

/// What a server does not understand.
#[derive(Clone, Copy, Default)]
struct Limits {
    /// Answers nothing to a second order, instead of refusing it.
    second_order_finds_nothing: bool,
    refuses_second_order: bool,
    refuses_bounds: bool,
    refuses_long_pages: bool,
    /// Takes the name of a field that shall be left out for one that it does not have.
    has_no_left_out_fields: bool,
}

const REFUSED: &str = r#"{"errorMessages":["I do not understand."],"errors":{}}"#;

fn answer(asked: &Asked, limits: Limits, total: u64) -> (u16, String) {
    let jql = asked.body["jql"].as_str().unwrap_or_default();
    let number = |name: &str| asked.body[name].as_u64().unwrap_or_default();
    let second_order = jql.contains(',');
    if (limits.refuses_bounds && jql.contains("updated >="))
        || (limits.refuses_second_order && second_order)
        || (limits.refuses_long_pages && number("maxResults") > 100)
    {
        return (400, REFUSED.into());
    }
    let total = if limits.second_order_finds_nothing && second_order { 0 } else { total };
    let leaves_out = asked.body["fields"].as_array().is_some_and(|names| names.iter().any(|name| name == "-votes"));
    let fields = if limits.has_no_left_out_fields && leaves_out { json!({}) } else { json!({"summary": "S"}) };
    let (start, size) = (number("startAt"), number("maxResults"));
    let issues: Vec<Value> =
        (start..(start + size).min(total)).map(|at| json!({"id": (at + 1).to_string(), "fields": fields})).collect();
    (200, json!({"startAt": start, "maxResults": size, "total": total, "issues": issues}).to_string())
}

/// How many issues a walk meets with fields, and how many requests it and another one after it took.
async fn walk(limits: Limits, total: u64, jql: &str, page_size: u32) -> (usize, usize, usize) {
    let (url, log) = server(move |asked| answer(asked, limits, total)).await;
    let client = client(&url, SiteKind::DataCenter);
    let fields = ["*all".to_owned(), "-votes".to_owned()];
    let mut requests = Vec::new();
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let before = log.lock().unwrap().len();
        let mut token = None;
        loop {
            let request = SearchRequest { jql, fields: &fields, page_size, next_page_token: token };
            let page = client.search(&request).await.unwrap();
            let value: Value = serde_json::from_slice(&page.body).unwrap();
            let whole = value["issues"].as_array().unwrap().iter().filter(|issue| issue["fields"]["summary"] == "S");
            met.extend(whole.map(|issue| issue["id"].as_str().unwrap().to_owned()));
            token = page.head().unwrap().next_page_token;
            if token.is_none() {
                break;
            }
        }
        requests.push(log.lock().unwrap().len() - before);
    }
    (met.len(), requests[0], requests[1])
}

#[tokio::test]
async fn a_server_that_knows_a_part_of_the_language_loses_no_issue() {
    let limits = Limits::default();
    for limits in [
        limits,
        Limits { second_order_finds_nothing: true, ..limits },
        Limits { refuses_second_order: true, ..limits },
        Limits { refuses_bounds: true, ..limits },
        Limits { refuses_bounds: true, second_order_finds_nothing: true, ..limits },
        Limits { refuses_long_pages: true, ..limits },
        Limits { has_no_left_out_fields: true, ..limits },
        Limits {
            refuses_second_order: true,
            refuses_bounds: true,
            refuses_long_pages: true,
            has_no_left_out_fields: true,
            ..limits
        },
    ] {
        let (met, _, again) = walk(limits, 150, WINDOW, 150).await;
        assert_eq!(met, 150);
        assert!(again <= 2, "what was learnt is kept: {again} requests");
    }
}

#[tokio::test]
async fn a_server_that_understands_is_asked_once() {
    assert_eq!(walk(Limits::default(), 20, WINDOW, 50).await, (20, 1, 1));
    // Nothing found may be a thing not understood: one look more, as long as nothing was found.
    assert_eq!(walk(Limits::default(), 0, WINDOW, 50).await, (0, 2, 2));
    assert_eq!(walk(Limits::default(), 0, r#"project = "A""#, 50).await, (0, 1, 1));
}

#[tokio::test]
async fn a_refusal_that_no_relaxation_fixes_is_the_original_one() {
    let (url, log) = server(|asked| {
        let length = asked.body["jql"].as_str().unwrap().len();
        (400, json!({"errorMessages": [length.to_string()], "errors": {}}).to_string())
    })
    .await;
    let fields = ["id".to_owned()];
    let request = SearchRequest { jql: WINDOW, fields: &fields, page_size: 50, next_page_token: None };
    let failure = client(&url, SiteKind::DataCenter).search(&request).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BadQuery);
    assert!(failure.message.ends_with(&WINDOW.len().to_string()), "{failure}");
    assert_eq!(log.lock().unwrap().len(), 3);
    // Cloud is taken at its word.
    let (url, log) = server(|_| (400, REFUSED.into())).await;
    client(&url, SiteKind::Cloud).search(&request).await.unwrap_err();
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_count_is_spared_what_a_search_is_spared() {
    let limits = Limits { refuses_bounds: true, ..Limits::default() };
    let (url, log) = server(move |asked| answer(asked, limits, 150)).await;
    let client = client(&url, SiteKind::DataCenter);
    for requests in [2, 3] {
        let count = client.approximate_count(r#"project = "A" AND updated >= 1700000000000"#).await;
        assert_eq!(count.unwrap(), Some(150));
        assert_eq!(log.lock().unwrap().len(), requests);
    }
}

#[tokio::test]
async fn an_issue_that_comes_bare_is_asked_for_with_every_field() {
    let (url, log) = server(|asked| {
        let fields = if asked.line.contains("-votes") { json!({}) } else { json!({"summary": "S"}) };
        (200, json!({"id": "7", "fields": fields}).to_string())
    })
    .await;
    let client = client(&url, SiteKind::DataCenter);
    let fields = ["*all".to_owned(), "-votes".to_owned()];
    for requests in [2, 3] {
        let issue = client.issue("7", &fields).await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&issue.body).contains("summary"));
        assert_eq!(log.lock().unwrap().len(), requests, "what was learnt is kept");
    }
}
