//! What the client does on Data Center, and on servers that have only a part of Jira.

use chrono::DateTime;
use serde_json::{Value, json};

use super::page::{Next, TokenGuard};
use super::test_server::{Asked, access, client, pool, server};
use super::{Auth, JiraClient, SearchRequest, detect};
use crate::domain::entity::TermKind;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::site_kind::SiteKind;

fn gone() -> (u16, String) {
    (404, r#"{"message":"null for uri: http://jira.example.com/rest/x","status-code":404}"#.into())
}

/// A page of Data Center over issues 1 to `total`.
fn rows(asked: &Asked, total: u64, cap: u64) -> (u16, String) {
    let number = |name: &str| asked.body[name].as_u64().unwrap_or_default();
    let (start, size) = (number("startAt"), number("maxResults").min(cap));
    let issues: Vec<Value> = (start..(start + size).min(total))
        .map(|at| json!({"id": (at + 1).to_string(), "key": format!("A-{at}")}))
        .collect();
    (200, json!({"startAt": start, "maxResults": size, "total": total, "issues": issues}).to_string())
}

async fn walk(client: &JiraClient, page_size: u32) -> Result<Vec<i64>, Failure> {
    let fields = ["*all".to_owned()];
    let (mut token, mut guard, mut met) = (None, TokenGuard::default(), Vec::new());
    loop {
        let request = SearchRequest { jql: "project = 1", fields: &fields, page_size, next_page_token: token };
        let page = client.search(&request).await?;
        let value: Value = serde_json::from_slice(&page.body).unwrap();
        let ids = value["issues"].as_array().unwrap().iter().map(|issue| issue["id"].as_str().unwrap().parse::<i64>());
        met.extend(ids.map(Result::unwrap));
        match guard.next(&page.head()?)? {
            Next::Page(next) => token = Some(next),
            Next::End => break,
        }
    }
    met.sort_unstable();
    met.dedup();
    Ok(met)
}

#[tokio::test]
async fn data_center_is_walked_with_context_path_and_overlap() {
    let (url, log) = server(|asked| rows(asked, 95, 40)).await;
    let client = client(&format!("{url}/jira/"), SiteKind::DataCenter);
    assert_eq!(walk(&client, 100).await.unwrap(), (1..=95).collect::<Vec<_>>());
    let log = log.lock().unwrap();
    assert!(log.iter().all(|asked| asked.line == "POST /jira/rest/api/2/search"), "{log:?}");
    assert_eq!(log[0].authorization, "Bearer pat");
    assert_eq!(log[0].body["expand"], json!(["changelog"]));
    let begins: Vec<_> = log.iter().map(|asked| asked.body["startAt"].as_u64().unwrap()).collect();
    assert_eq!(begins, [0, 30, 60]);
}

#[tokio::test]
async fn ids_and_counts_come_from_the_same_search_on_data_center() {
    let (url, log) = server(|asked| rows(asked, 1_700, 1_000)).await;
    let client = client(&url, SiteKind::DataCenter);
    assert_eq!(client.approximate_count("project = 1").await.unwrap(), Some(1_700));
    let first = client.search_ids("project = 1", None).await.unwrap();
    let second = client.search_ids("project = 1", first.head.next_page_token.clone()).await.unwrap();
    assert_eq!((first.ids.len(), *second.ids.last().unwrap(), second.head.is_last), (1_000, 1_700, true));
    let log = log.lock().unwrap();
    assert_eq!((&log[0].body["maxResults"], log[0].body.get("expand")), (&json!(0), None));
    assert_eq!(log[1].body.get("expand"), None, "ids need no histories");
}

#[tokio::test]
async fn a_server_with_only_the_old_search_is_found_out_once() {
    for (only, asked_before) in
        [("POST /rest/api/3/search", 2), ("GET /rest/api/2/search?", 5), ("GET /rest/api/3/search/jql", 1)]
    {
        let (url, log) = server(move |asked| {
            if !asked.line.starts_with(only) || (only.ends_with("/search") && asked.line != only) {
                return (405, String::new());
            }
            (200, json!({"issues": [{"id": "1"}], "total": 1}).to_string())
        })
        .await;
        let client = client(&url, SiteKind::Cloud);
        assert_eq!(walk(&client, 50).await.unwrap(), [1], "{only}");
        assert_eq!(walk(&client, 50).await.unwrap(), [1]);
        assert_eq!(log.lock().unwrap().len(), asked_before + 2, "{only}");
    }
}

#[tokio::test]
async fn a_total_without_a_token_is_walked_by_places() {
    let (url, _) = server(|asked| rows(asked, 70, 30)).await;
    assert_eq!(walk(&client(&url, SiteKind::Cloud), 50).await.unwrap().len(), 70);
    // The same page for ever: what it holds is all that can be had.
    let (url, log) = server(|_| (200, json!({"issues": [{"id": "1"}, {"id": "2"}], "total": 70}).to_string())).await;
    assert_eq!(walk(&client(&url, SiteKind::Cloud), 50).await.unwrap(), [1, 2]);
    assert!(log.lock().unwrap().len() <= 3);
}

#[tokio::test]
async fn a_refused_search_is_a_failure_and_no_other_way_is_tried() {
    let refusal = r#"{"errorMessages":["Der Wert 'X' existiert nicht für das Feld 'project'."],"errors":{}}"#;
    let (url, log) = server(move |_| (400, refusal.into())).await;
    assert_eq!(walk(&client(&url, SiteKind::Cloud), 50).await.unwrap_err().code, FailureCode::BadQuery);
    assert_eq!(log.lock().unwrap().len(), 1);
    let (url, log) = server(|_| (404, r#"{"errorMessage":"x","errorCode":"OTHER"}"#.into())).await;
    assert_eq!(walk(&client(&url, SiteKind::Cloud), 50).await.unwrap_err().code, FailureCode::SiteUnavailable);
    assert_eq!(log.lock().unwrap().len(), 1);
    let (url, _) = server(|_| gone()).await;
    assert_eq!(walk(&client(&url, SiteKind::Cloud), 50).await.unwrap_err().code, FailureCode::ApiRemoved);
}

#[tokio::test]
async fn one_missing_id_does_not_cost_the_others() {
    let (url, log) = server(|asked| match asked.line.split(['?', ' ']).nth(1).unwrap() {
        "/rest/api/2/search" => (400, r#"{"errorMessages":["no issue 2"],"errors":{}}"#.into()),
        "/rest/api/2/issue/2" => (404, r#"{"errorMessages":["x"],"errors":{}}"#.into()),
        path => (200, json!({"id": path.rsplit('/').next().unwrap()}).to_string()),
    })
    .await;
    let page = client(&url, SiteKind::DataCenter).bulk_fetch(&[1, 2, 3], &["summary".into()]).await.unwrap();
    let value: Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(value, json!({"issues": [{"id": "1"}, {"id": "3"}]}));
    assert_eq!(log.lock().unwrap()[0].body["validateQuery"], json!(false));

    let (url, _) = server(|asked| match asked.line.split(['?', ' ']).nth(1).unwrap() {
        "/rest/api/3/issue/bulkfetch" => (405, String::new()),
        path => (200, json!({"id": path.rsplit('/').next().unwrap()}).to_string()),
    })
    .await;
    let page = client(&url, SiteKind::Cloud).bulk_fetch(&[5], &[]).await.unwrap();
    assert_eq!(&page.body[..], br#"{"issues":[{"id":"5"}]}"#);
}

#[tokio::test]
async fn a_capped_answer_by_ids_is_read_to_its_end() {
    let (url, _) = server(|asked| rows(asked, 90, 40)).await;
    let ids: Vec<i64> = (1..=90).collect();
    let page = client(&url, SiteKind::DataCenter).bulk_fetch(&ids, &["summary".into()]).await.unwrap();
    let value: Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(value["issues"].as_array().unwrap().len(), 90);
}

#[tokio::test]
async fn what_a_site_lacks_or_forbids_is_an_answer_of_its_own() {
    for (status, body, state) in [
        (404, r#"{"message":"null for uri","status-code":404}"#, "absent"),
        (404, "<html>", "absent"),
        (405, "", "absent"),
        (410, "{}", "absent"),
        (501, "", "absent"),
        (403, r#"{"errorMessages":["x"],"errors":{}}"#, "forbidden"),
    ] {
        let (url, _) = server(move |_| (status, body.into())).await;
        let client = client(&url, SiteKind::Cloud);
        assert_eq!(client.statuses().await.unwrap().state(), state, "{status} {body}");
        assert_eq!(client.boards(1).await.unwrap().state(), state);
        assert_eq!(client.changelog_bulk(&[1], None).await.unwrap().state(), state);
        assert_eq!(client.worklogs_updated(DateTime::UNIX_EPOCH).await.unwrap().state(), state);
        assert_eq!(client.users().await.unwrap().state(), state);
        assert!(client.terms(TermKind::Priority).await.unwrap().reason().is_some());
        if status != 403 {
            assert_eq!(client.approximate_count("project = 1").await.unwrap(), None);
        }
    }
    let (url, _) = server(|_| (404, r#"{"errorMessage":"x","errorCode":"OTHER"}"#.into())).await;
    let failure = client(&url, SiteKind::Cloud).statuses().await.unwrap_err();
    assert_eq!(failure.code, FailureCode::SiteUnavailable, "a suspended site lacks nothing");
    let (url, _) = server(|_| (400, r#"{"errorMessages":["The board does not support sprints"]}"#.into())).await;
    assert_eq!(client(&url, SiteKind::Cloud).sprints(4).await.unwrap().available().unwrap().records, []);
    let (url, _) = server(|_| (409, "{}".into())).await;
    assert_eq!(client(&url, SiteKind::Cloud).users().await.unwrap().state(), "forbidden");
}

#[tokio::test]
async fn a_list_in_pages_is_read_to_its_end_on_any_server() {
    let (url, log) = server(|asked| {
        let start: u64 = asked.line.split("startAt=").nth(1).unwrap().parse().unwrap();
        let boards: Vec<Value> =
            (start..(start + 50).min(120)).map(|id| json!({"id": id, "name": "B", "type": "scrum"})).collect();
        (200, json!({"values": boards, "startAt": start, "isLast": start + 50 >= 120}).to_string())
    })
    .await;
    assert_eq!(client(&url, SiteKind::Cloud).boards(7).await.unwrap().available().unwrap().records.len(), 120);
    assert_eq!(log.lock().unwrap()[0].line, "GET /rest/agile/1.0/board?projectKeyOrId=7&maxResults=50&startAt=0");
    let (url, log) = server(|_| (200, r#"[{"accountId":"a","displayName":"A"}]"#.into())).await;
    assert_eq!(client(&url, SiteKind::Cloud).users().await.unwrap().available().unwrap().records.len(), 1);
    assert_eq!(log.lock().unwrap().len(), 2, "a server that ignores startAt");
}

#[tokio::test]
async fn projects_come_in_pages_or_in_one_piece() {
    let (url, log) = server(|_| {
        (200, r#"{"values":[{"id":"1","key":"B","name":"b"}],"startAt":0,"total":3,"isLast":false}"#.into())
    })
    .await;
    let page = client(&url, SiteKind::Cloud).projects_of_any_state(0).await.unwrap();
    assert_eq!((page.total, page.next_start()), (3, Some(1)));
    assert!(log.lock().unwrap()[0].line.ends_with("&status=live&status=archived&status=deleted"));
    let list =
        r#"[{"id":"1","key":"B","name":"b"},{"id":"2","key":"A","name":"a","archived":true},{"id":"3","key":"C"}]"#;
    let (url, log) = server(move |_| (200, list.into())).await;
    let page = client(&url, SiteKind::DataCenter).projects(0).await.unwrap();
    let keys: Vec<_> = page.values.iter().map(|project| project.key.as_str()).collect();
    assert_eq!((keys.as_slice(), page.total, page.next_start()), (&["B", "C"][..], 2, None));
    assert_eq!(log.lock().unwrap()[0].line, "GET /rest/api/2/project?expand=lead");
    assert_eq!(client(&url, SiteKind::DataCenter).projects_of_any_state(0).await.unwrap().total, 3);
}

#[tokio::test]
async fn a_feed_goes_on_where_it_says_and_ends() {
    let page = |last: bool| {
        json!({"values": [{"worklogId": 5, "updatedTime": 1_714_558_272_000_i64, "properties": []}], "since": 0,
               "until": 1_714_558_272_000_i64, "lastPage": last, "nextPage": "x"})
    };
    let (url, log) = server(move |asked| (200, page(asked.line.contains("deleted")).to_string())).await;
    let client = client(&url, SiteKind::DataCenter);
    let feed = client.worklogs_updated(DateTime::UNIX_EPOCH).await.unwrap().available().unwrap();
    assert_eq!((feed.changes.len(), feed.next_since), (1, feed.until));
    let again = client.worklogs_updated(feed.next_since.unwrap()).await.unwrap().available().unwrap();
    assert_eq!(again.next_since, None, "a page that ends where it began is the last");
    let removed = client.worklogs_deleted(DateTime::UNIX_EPOCH).await.unwrap().available().unwrap();
    assert_eq!(removed.next_since, None);
    assert_eq!(log.lock().unwrap()[0].line, "GET /rest/api/2/worklog/updated?since=0");
}

#[tokio::test]
async fn a_history_without_an_endpoint_comes_with_the_issue() {
    let entry =
        json!({"id": "9", "created": "2024-05-01T10:00:00.000+0000", "items": [{"field": "status", "to": "3"}]});
    let whole = json!({"id": "1", "changelog": {"total": 1, "histories": [entry.clone()]}}).to_string();
    let paged = json!({"startAt": 0, "total": 1, "values": [entry]}).to_string();
    let (url, _) = server(move |asked| match asked.line.contains("/issue/1/changelog") {
        true if asked.line.contains("/api/3/") => (200, paged.clone()),
        true => gone(),
        false => (200, whole.clone()),
    })
    .await;
    let on_cloud = client(&url, SiteKind::Cloud).changelog(1, 0).await.unwrap().unwrap();
    let on_data_center = client(&url, SiteKind::DataCenter).changelog(1, 0).await.unwrap().unwrap();
    assert_eq!(on_cloud.records, on_data_center.records);
    assert_eq!(client(&url, SiteKind::DataCenter).changelog_bulk(&[1], None).await.unwrap().state(), "absent");
}

#[tokio::test]
async fn a_site_says_what_it_is() {
    for (info, kind) in [
        (r#"{"deploymentType":"Cloud","versionNumbers":[1001,0,0]}"#, SiteKind::Cloud),
        (r#"{"deploymentType":"Server","version":"8.20.0","versionNumbers":[8,20,0]}"#, SiteKind::DataCenter),
        (r#"{"version":"7.6.1","versionNumbers":[7,6,1]}"#, SiteKind::DataCenter),
        (r#"{"version":"9.4.0"}"#, SiteKind::DataCenter),
        (r#"{"version":"1001.0.0-SNAPSHOT"}"#, SiteKind::Cloud),
    ] {
        let (url, log) = server(move |_| (200, info.into())).await;
        for (guess, line) in
            [(SiteKind::DataCenter, "GET /rest/api/2/serverInfo"), (SiteKind::Cloud, "GET /rest/api/3/serverInfo")]
        {
            let found = detect(&pool(), access(&url, guess, Auth::Anonymous)).await.unwrap();
            assert_eq!(found.kind(), kind, "{info}");
            let log = log.lock().unwrap();
            let asked = log.last().unwrap();
            assert_eq!((asked.line.as_str(), asked.authorization.as_str()), (line, ""), "the guess decides the path");
        }
        assert_eq!(log.lock().unwrap().len(), 2);
    }
    for known in ["2", "3"] {
        let (url, _) = server(move |asked| match asked.line.contains(&format!("/api/{known}/")) {
            true => (200, r#"{"deploymentType":"Server"}"#.into()),
            false => gone(),
        })
        .await;
        for guess in [SiteKind::DataCenter, SiteKind::Cloud] {
            let found = detect(&pool(), access(&url, guess, Auth::Anonymous)).await.unwrap();
            assert_eq!(found.kind(), SiteKind::DataCenter, "a wrong guess costs one request");
        }
    }
}

#[tokio::test]
async fn an_account_of_data_center_is_known_by_its_key() {
    let (url, _) =
        server(|_| (200, r#"{"name":"ana","key":"JIRAUSER1","displayName":"Ana","timeZone":"UTC"}"#.into())).await;
    let me = client(&url, SiteKind::DataCenter).myself().await.unwrap();
    assert_eq!((me.account_id.as_str(), me.display_name.as_str()), ("JIRAUSER1", "Ana"));
}

#[tokio::test]
async fn a_repeating_list_ends_or_fails_and_is_never_endless() {
    let page = |held: usize, limit: usize| {
        let elements = vec![json!({"id": "1"}); held];
        let list = json!({"comments": elements, "worklogs": elements, "values": elements, "startAt": 0, "maxResults": limit,
                          "total": 70});
        list.to_string()
    };
    // As full as it can be: the rest is there and cannot be had.
    let (url, _) = server(move |_| (200, page(50, 50))).await;
    let client_of = client(&url, SiteKind::Cloud);
    let failures = [
        client_of.comments(1, 50, 100).await.unwrap_err(),
        client_of.worklogs(1, 50, 100).await.unwrap_err(),
        client_of.changelog(1, 50).await.unwrap_err(),
    ];
    assert!(failures.iter().all(|failure| failure.code == FailureCode::SchemaChanged), "{failures:?}");
    assert!(client_of.comments(1, 0, 100).await.is_ok());
    let failure = client_of.projects(50).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::SchemaChanged, "{failure}");
    // Not full: what it holds is the list, and the total is wrong.
    let (url, _) = server(move |_| (200, page(2, 50))).await;
    let page = client(&url, SiteKind::DataCenter).comments(1, 2, 100).await.unwrap().unwrap();
    let read = super::normalise::parse_comments(&page.body, 1).unwrap();
    assert_eq!((read.received, read.start_at, read.drifts.len()), (0, 2, 1));
}

#[tokio::test]
async fn a_walk_over_boards_that_ends_before_its_total_is_a_drift() {
    let (url, _) =
        server(|_| (200, json!({"values": [{"id": 1, "name": "B", "type": "scrum"}], "total": 3}).to_string())).await;
    let boards = client(&url, SiteKind::Cloud).boards(1).await.unwrap().available().unwrap();
    assert_eq!((boards.records.len(), boards.drifts.len()), (1, 1));
}
