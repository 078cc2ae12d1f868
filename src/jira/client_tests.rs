//! The client against a real server on the loopback interface.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use chrono::DateTime;
use secrecy::SecretString;

use super::{Auth, HttpPool, JiraClient, SearchRequest, SiteAccess};
use crate::clock::Clock;
use crate::domain::failure::FailureCode;
use crate::domain::site_kind::SiteKind;

const TOKEN: &str = "s3cret-of-the-account";

/// What was asked of the server: method and path, headers, body.
type Asked = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

/// A server that gives its answers in turn, the last one for ever.
async fn server(answers: Vec<Response<&'static str>>) -> (String, Asked) {
    let asked = Asked::default();
    let (seen, turn) = (asked.clone(), AtomicUsize::new(0));
    let answers = Arc::new((answers, turn));
    let app = Router::new().fallback(move |request: Request<Body>| {
        let (seen, answers) = (seen.clone(), answers.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let line = format!("{} {}", parts.method, parts.uri);
            seen.lock().unwrap().push((line, parts.headers, String::from_utf8(body.to_vec()).unwrap()));
            let turn = answers.1.fetch_add(1, Ordering::SeqCst).min(answers.0.len() - 1);
            let answer = &answers.0[turn];
            let mut response = Response::new(Body::from(*answer.body()));
            (*response.status_mut(), *response.headers_mut()) = (answer.status(), answer.headers().clone());
            response
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    (url, asked)
}

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response<&'static str> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

fn client(url: &str) -> JiraClient {
    let (clock, _) = Clock::virtual_at(DateTime::UNIX_EPOCH, 1);
    let pool = HttpPool::new(clock).unwrap().with_limits(Duration::from_millis(1), 1000);
    JiraClient::new(&pool, access(url)).unwrap()
}

fn basic(user: &str, token: &str) -> Auth {
    Auth::Basic { user: user.into(), token: SecretString::from(token) }
}

fn access(url: &str) -> SiteAccess {
    SiteAccess {
        name: "acme".into(),
        base_url: url.parse().unwrap(),
        kind: SiteKind::Cloud,
        auth: basic("ana@example.com", TOKEN),
        request_timeout: Duration::from_secs(5),
    }
}

const ME: &str = r#"{"accountId":"5b10","displayName":"Ana","timeZone":"Europe/Berlin","active":true}"#;

#[tokio::test]
async fn a_request_carries_the_credentials_and_asks_for_english() {
    let (url, asked) = server(vec![answer(200, &[], ME)]).await;
    let me = client(&(url + "/")).myself().await.unwrap();
    assert_eq!((me.account_id.as_str(), me.time_zone.as_deref(), me.active), ("5b10", Some("Europe/Berlin"), true));
    let asked = asked.lock().unwrap();
    let (line, headers, _) = &asked[0];
    assert_eq!(line, "GET /rest/api/3/myself");
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("authorization"), "Basic YW5hQGV4YW1wbGUuY29tOnMzY3JldC1vZi10aGUtYWNjb3VudA==");
    assert_eq!(header("accept"), "application/json");
    assert_eq!(header("accept-language"), "en");
    assert_eq!(header("x-force-accept-language"), "true");
    assert!(header("user-agent").starts_with("syncline/"));
}

#[tokio::test]
async fn a_search_sends_what_was_asked_and_nothing_unknown() {
    let (url, asked) = server(vec![answer(200, &[], r#"{"issues":[{"id":"7"}],"nextPageToken":"t2"}"#)]).await;
    let client = client(&url);
    let fields = ["summary".to_owned()];
    let request =
        SearchRequest { jql: "project = 1", fields: &fields, page_size: 100, next_page_token: Some("t1".into()) };
    let page = client.search(&request).await.unwrap();
    assert_eq!(page.head().unwrap().next_page_token.as_deref(), Some("t2"));
    let ids = client.search_ids("project = 1", None).await.unwrap();
    assert_eq!((ids.ids, ids.head.is_last), (vec![7], false));
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0].0, "POST /rest/api/3/search/jql");
    assert_eq!(asked[0].2, r#"{"fields":["summary"],"jql":"project = 1","maxResults":100,"nextPageToken":"t1"}"#);
    assert_eq!(asked[1].2, r#"{"fields":["id"],"jql":"project = 1","maxResults":5000}"#);
}

#[tokio::test]
async fn a_wait_is_measured_from_the_clock_of_whoever_names_it() {
    // Our clock stands at the beginning of 1970, and the site's five minutes later.
    for (until, seconds) in [
        ("Thu, 01 Jan 1970 00:05:30 GMT", 30),
        ("Thursday, 01-Jan-70 00:06:00 GMT", 60),
        ("Thu Jan  1 00:06:30 1970", 90),
    ] {
        let headers = [("date", "Thu, 01 Jan 1970 00:05:00 GMT"), ("retry-after", until)];
        let (url, _) = server(vec![answer(429, &headers, "{}")]).await;
        let failure = client(&url).myself().await.unwrap_err();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(seconds)), "{until}");
    }
    // A date that is no clock's is not believed.
    let headers = [("date", "Sun, 01 Jan 2034 00:00:00 GMT"), ("retry-after", "Thu, 01 Jan 1970 00:00:45 GMT")];
    let (url, _) = server(vec![answer(429, &headers, "{}")]).await;
    assert_eq!(client(&url).myself().await.unwrap_err().retry_after, Some(Duration::from_secs(45)));
}

#[tokio::test]
async fn what_a_moment_may_heal_is_asked_three_times() {
    let (url, asked) = server(vec![answer(500, &[], "{}"), answer(502, &[], "<html>"), answer(200, &[], ME)]).await;
    assert!(client(&url).myself().await.is_ok());
    assert_eq!(asked.lock().unwrap().len(), 3);

    let (url, asked) = server(vec![answer(500, &[], "{}")]).await;
    assert_eq!(client(&url).myself().await.unwrap_err().code, FailureCode::ServerError);
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_jira_decides_and_what_names_a_wait_is_asked_once() {
    for refusal in [
        answer(400, &[], r#"{"errorMessages":["x"]}"#),
        answer(401, &[], ""),
        answer(404, &[], r#"{"errorCode":"OTHER"}"#),
        answer(429, &[], ""),
        answer(503, &[("retry-after", "30")], ""),
        answer(500, &[("retry-after", "30")], "{}"),
    ] {
        let status = refusal.status();
        let (url, asked) = server(vec![refusal]).await;
        assert!(client(&url).myself().await.is_err());
        assert_eq!(asked.lock().unwrap().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_anonymous_answer_is_no_account() {
    let (url, _) = server(vec![answer(200, &[], r#"{"displayName":"Anonymous"}"#)]).await;
    assert_eq!(client(&url).myself().await.unwrap_err().code, FailureCode::AuthInvalid);
    let failed = [("x-seraph-loginreason", "AUTHENTICATED_FAILED")];
    let (url, _) = server(vec![answer(200, &failed, r#"{"issues":[]}"#)]).await;
    assert_eq!(client(&url).search_ids("project = 1", None).await.unwrap_err().code, FailureCode::AuthInvalid);
    let fine = [("x-seraph-loginreason", "OK")];
    let (url, _) = server(vec![answer(200, &fine, r#"{"issues":[]}"#)]).await;
    assert!(client(&url).search_ids("project = 1", None).await.is_ok());
}

#[tokio::test]
async fn an_issue_is_gone_only_when_jira_itself_says_so() {
    let (url, _) = server(vec![answer(404, &[], r#"{"errorMessages":["x"],"errors":{}}"#)]).await;
    let client_of = client(&url);
    assert!(client_of.issue("ACME-1", &[]).await.unwrap().is_none());
    assert!(client_of.comments(1, 0, 100).await.unwrap().is_none());
    assert!(client_of.worklogs(1, 0, 100).await.unwrap().is_none());
    assert_eq!(client_of.project("ACME").await.unwrap_err().code, FailureCode::NotFoundProject);
    for (status, body) in
        [(404, r#"{"errorMessage":"x","errorCode":"OTHER"}"#), (404, "<html>"), (403, r#"{"errorMessages":[]}"#)]
    {
        let (url, _) = server(vec![answer(status, &[], body)]).await;
        assert!(client(&url).issue("ACME-1", &[]).await.is_err(), "{status} {body}");
    }
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused() {
    let long: &'static str = Box::leak(format!(r#"{{"issues":["{}"]}}"#, "x".repeat(100_000)).into_boxed_str());
    let (url, asked) = server(vec![answer(200, &[], long)]).await;
    let failure = client(&url).search_ids("project = 1", None).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Config);
    // For 5000 rows, for half as many and so on down to one, and for that one without its fields.
    assert_eq!(asked.lock().unwrap().len(), 14);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let (elsewhere, asked) = server(vec![answer(200, &[], ME)]).await;
    let location: &'static str = Box::leak(elsewhere.into_boxed_str());
    let (url, _) = server(vec![answer(302, &[("location", location)], "")]).await;
    assert_eq!(client(&url).myself().await.unwrap_err().code, FailureCode::GatewayHtml);
    assert!(asked.lock().unwrap().is_empty());

    let (url, asked) = server(vec![answer(302, &[("location", "/elsewhere")], ""), answer(200, &[], ME)]).await;
    assert!(client(&url).myself().await.is_ok());
    assert_eq!(asked.lock().unwrap()[1].0, "GET /elsewhere");
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_closed_connection_a_glitch() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut held = Vec::new();
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&connections);
    let silent = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            held.push(socket);
        }
    });
    let (clock, _) = Clock::virtual_at(DateTime::UNIX_EPOCH, 1);
    let pool = HttpPool::new(clock).unwrap().with_limits(Duration::from_millis(1), 1000);
    let impatient = SiteAccess { request_timeout: Duration::from_millis(30), ..access(&url) };
    let failure = JiraClient::new(&pool, impatient).unwrap().myself().await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Timeout, "{failure}");
    assert!(failure.message.ends_with("within 0.03 s"), "{failure}");
    assert_eq!(
        connections.load(std::sync::atomic::Ordering::SeqCst),
        1,
        "it took all its time: it is not asked again at once"
    );
    silent.abort();
    drop(silent.await);

    // Nobody listens any more.
    let failure = client(&url).myself().await.unwrap_err();
    assert_eq!(failure.code, FailureCode::NetworkGlitch, "{failure}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let failure = client(&format!("http://{url}")).myself().await.unwrap_err();
    assert_eq!(failure.code, FailureCode::NetworkGlitch, "{failure}");
    // It closes the connection in the middle of the handshake, or does not speak TLS at all.
    let (plain, _) = server(vec![answer(200, &[], ME)]).await;
    let failure = client(&plain.replace("http:", "https:")).myself().await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Tls, "{failure}");
}

#[tokio::test]
async fn the_token_is_in_no_debug_and_in_no_error() {
    let echo =
        r#"{"errorMessages":["refused: Authorization: Basic YW5hQGV4YW1wbGUuY29tOnMzY3JldC1vZi10aGUtYWNjb3VudA=="]}"#;
    let (url, _) = server(vec![answer(401, &[], echo)]).await;
    let client_of = client(&url);
    let refused = client_of.myself().await.unwrap_err();
    // Nobody listens on port 1.
    let unreachable = client("http://127.0.0.1:1").myself().await.unwrap_err();
    let texts = [
        format!("{client_of:?}"),
        format!("{:?}", access(&url)),
        format!("{refused} {refused:?}"),
        format!("{unreachable} {unreachable:?}"),
    ];
    for text in texts {
        assert!(!text.contains(TOKEN) && !text.contains("YW5h"), "{text}");
    }
}

#[test]
fn a_site_that_cannot_be_used_is_refused_at_once() {
    let (clock, _) = Clock::virtual_at(DateTime::UNIX_EPOCH, 1);
    let pool = HttpPool::new(clock).unwrap();
    for url in ["ftp://acme.example.com", "https://ana:x@acme.example.com", "https://acme.example.com/?a=b"] {
        assert_eq!(JiraClient::new(&pool, access(url)).unwrap_err().code, FailureCode::Config, "{url}");
    }
    let broken = SiteAccess { auth: basic("ana", "a\nb"), ..access("https://acme.example.com") };
    assert!(JiraClient::new(&pool, broken).is_ok(), "the encoding takes any byte");
    let broken = SiteAccess { auth: basic("a:b@example.com", TOKEN), ..access("https://acme.example.com") };
    assert_eq!(JiraClient::new(&pool, broken).unwrap_err().code, FailureCode::Config);
}
