//! What the client does on Data Center, on servers that have only a part of Jira, and with tokens that expire.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use chrono::DateTime;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::oauth::{OAuthClient, resource_of};
use super::page::{Next, TokenGuard};
use super::{Auth, HttpPool, JiraClient, Offered, SearchRequest, SiteAccess, TokenSource, detect};
use crate::clock::Clock;
use crate::domain::entity::TermKind;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::site_kind::SiteKind;

/// What was asked: method, path with query, authorization, body.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    authorization: String,
    body: Value,
}

type Log = Arc<Mutex<Vec<Asked>>>;

/// A server that answers as `answer` says: with a status and a body.
async fn server(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> (String, Log) {
    let log = Log::default();
    let (seen, answer) = (log.clone(), Arc::new(answer));
    let app = Router::new().fallback(move |request: Request<Body>| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let asked = Asked {
                line: format!("{} {}", parts.method, parts.uri),
                authorization: header.to_owned(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            let (status, body) = answer(&asked);
            seen.lock().unwrap().push(asked);
            Response::builder().status(status).body(Body::from(body)).unwrap()
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    (url, log)
}

fn pool() -> HttpPool {
    let (clock, _) = Clock::virtual_at(DateTime::UNIX_EPOCH, 1);
    HttpPool::new(clock).unwrap().with_limits(Duration::from_millis(1), 1 << 20)
}

fn access(url: &str, kind: SiteKind, auth: Auth) -> SiteAccess {
    let base_url = url.parse().unwrap();
    SiteAccess { name: "acme".into(), base_url, kind, auth, request_timeout: Duration::from_secs(5) }
}

fn client(url: &str, kind: SiteKind) -> JiraClient {
    let auth = Auth::Bearer { token: SecretString::from("pat") };
    JiraClient::new(&pool(), access(url, kind, auth)).unwrap()
}

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
async fn data_center_is_walked_under_its_context_path_with_overlap_and_histories() {
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
async fn a_history_comes_with_the_issue_where_it_has_no_place_of_its_own() {
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
        let auth = Auth::Bearer { token: SecretString::from("pat") };
        let found = detect(&pool(), access(&url, SiteKind::Cloud, auth)).await.unwrap();
        assert_eq!(found.kind(), kind, "{info}");
        assert_eq!(log.lock().unwrap()[0].line, "GET /rest/api/2/serverInfo");
    }
}

#[tokio::test]
async fn an_account_of_data_center_is_known_by_its_key() {
    let (url, _) =
        server(|_| (200, r#"{"name":"ana","key":"JIRAUSER1","displayName":"Ana","timeZone":"UTC"}"#.into())).await;
    let me = client(&url, SiteKind::DataCenter).myself().await.unwrap();
    assert_eq!((me.account_id.as_str(), me.display_name.as_str()), ("JIRAUSER1", "Ana"));
}

/// Gives `t1`, `t2`, … and counts.
#[derive(Default)]
struct Tokens(AtomicUsize);

impl TokenSource for Tokens {
    fn token(&self, refused: Option<SecretString>) -> BoxFuture<'_, Result<SecretString, Failure>> {
        let number = self.0.load(Ordering::SeqCst);
        let number = if refused.is_some() { self.0.fetch_add(1, Ordering::SeqCst) + 1 } else { number };
        Box::pin(async move { Ok(SecretString::from(format!("t{number}"))) })
    }
}

#[tokio::test]
async fn an_access_token_that_counts_no_more_is_replaced_once() {
    let (url, log) = server(|asked| match asked.authorization.as_str() {
        "Bearer t1" => (200, r#"{"accountId":"5b1","displayName":"Ana"}"#.into()),
        _ => (401, r#"{"code":401,"message":"Unauthorized"}"#.into()),
    })
    .await;
    let source = Arc::new(Tokens::default());
    let of = |source: &Arc<Tokens>| {
        JiraClient::new(&pool(), access(&url, SiteKind::Cloud, Auth::OAuth(source.clone()))).unwrap()
    };
    assert_eq!(of(&source).myself().await.unwrap().account_id, "5b1");
    assert_eq!((log.lock().unwrap().len(), source.0.load(Ordering::SeqCst)), (2, 1));
    source.0.store(7, Ordering::SeqCst);
    assert!(of(&source).myself().await.is_err());
    assert_eq!((log.lock().unwrap().len(), source.0.load(Ordering::SeqCst)), (4, 8), "and not again and again");
}

fn app(url: &str) -> OAuthClient {
    OAuthClient {
        auth_url: url.parse().unwrap(),
        api_url: url.parse().unwrap(),
        client_id: "app".into(),
        client_secret: SecretString::from("s3cret"),
        request_timeout: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn a_code_and_a_refresh_token_become_pairs() {
    let (url, log) = server(|asked| match asked.line.as_str() {
        "POST /oauth/token" => {
            (200, r#"{"access_token":"a1","refresh_token":"r1","expires_in":3600,"token_type":"Bearer","scope":"read:jira-work"}"#.into())
        }
        _ => (200, r#"[{"id":"c-1","url":"https://acme.atlassian.net","name":"acme","scopes":[],"avatarUrl":"x"}]"#.into()),
    })
    .await;
    let (app, pool) = (app(&url), pool());
    let consent = app.authorize_url("http://localhost:8080/", "read:jira-work offline_access", "st4te", Some("ch"));
    let query: std::collections::HashMap<_, _> = consent.query_pairs().into_owned().collect();
    assert_eq!(
        (consent.path(), query["audience"].as_str(), query["state"].as_str()),
        ("/authorize", "api.atlassian.com", "st4te")
    );
    assert_eq!(
        (query["code_challenge_method"].as_str(), query["scope"].as_str()),
        ("S256", "read:jira-work offline_access")
    );
    let tokens = app.exchange(&pool, &SecretString::from("c0de"), "http://localhost:8080/", None).await.unwrap();
    assert_eq!((tokens.access_token.expose_secret(), tokens.lives_for), ("a1", Duration::from_secs(3600)));
    let next = app.refresh(&pool, &tokens.refresh_token.unwrap()).await.unwrap();
    assert!(!format!("{next:?} {app:?}").contains("a1") && !format!("{app:?}").contains("s3cret"));
    assert_eq!(log.lock().unwrap()[1].body["grant_type"], "refresh_token");
    let sites = app.resources(&pool, &next.access_token).await.unwrap();
    let site = resource_of(&sites, &"https://acme.atlassian.net/jira".parse().unwrap()).unwrap();
    assert!(app.site_url(&site.id).as_str().ends_with("/ex/jira/c-1"));
}

#[tokio::test]
async fn a_spent_refresh_token_is_final_and_a_broken_server_is_not() {
    for (status, body, code) in [
        (
            403,
            r#"{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}"#,
            FailureCode::AuthExpired,
        ),
        (400, r#"{"error":"invalid_grant"}"#, FailureCode::AuthExpired),
        (401, r#"{"error":"invalid_client"}"#, FailureCode::AuthInvalid),
        (401, r#"{"error":"access_denied","error_description":"Unauthorized"}"#, FailureCode::AuthInvalid),
        (400, r#"{"error":"invalid_request"}"#, FailureCode::AuthInvalid),
        (500, "{}", FailureCode::ServerError),
        (429, "", FailureCode::RateLimit),
    ] {
        let (url, log) = server(move |_| (status, body.into())).await;
        let failure = app(&url).refresh(&pool(), &SecretString::from("r3fresh")).await.unwrap_err();
        assert_eq!(failure.code, code, "{status} {body}: {failure}");
        assert_eq!(log.lock().unwrap().len(), 1, "a refresh is never sent twice");
        assert!(!failure.to_string().contains("r3fresh"));
    }
    assert_eq!(Offered::<()>::Absent("x".into()).available(), None);
}
