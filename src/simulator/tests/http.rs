//! What only a real connection shows.

use std::time::Duration;

use super::super::{FaultKind, FaultPlan, FaultRule, Simulator};
use super::*;

async fn start(adjust: impl FnOnce(&mut Options)) -> super::super::Handle {
    let mut options = Options::new(Clock::system());
    options.issues = 90;
    adjust(&mut options);
    Simulator::start(options, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn client() -> reqwest::Client {
    crate::tls::client().no_proxy().timeout(Duration::from_secs(30)).build().unwrap()
}

fn get(client: &reqwest::Client, handle: &super::super::Handle, path: &str) -> reqwest::RequestBuilder {
    client.get(format!("{}{path}", handle.base_url())).basic_auth(DEFAULT_EMAIL, Some(DEFAULT_TOKEN))
}

#[tokio::test]
async fn a_site_is_served_over_http_and_counts_what_it_served() {
    let handle = start(|_| {}).await;
    let client = client();
    let search = format!("{}/rest/api/3/search/jql", handle.base_url());
    let body = json!({"jql": "project = ACME ORDER BY updated ASC", "fields": ["*all"], "maxResults": 30}).to_string();
    let request = client.post(search).basic_auth(DEFAULT_EMAIL, Some(DEFAULT_TOKEN));
    let reply = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(reply.headers()["x-ratelimit-limit"], "100");
    let page: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    assert_eq!(page["issues"].as_array().unwrap().len(), 30);
    assert!(page["issues"][0]["self"].as_str().unwrap().starts_with(handle.base_url()));
    assert_eq!(get(&client, &handle, "/rest/api/3/myself").send().await.unwrap().status(), 200);
    let stats = handle.control().stats();
    assert_eq!((stats.requests, stats.issues_served, stats.by_endpoint["/search/jql"]), (2, 30, 1));
    let told: Value =
        serde_json::from_slice(&get(&client, &handle, "/__sim/stats").send().await.unwrap().bytes().await.unwrap())
            .unwrap();
    assert_eq!(told["issues"], json!({"ACME": 30, "BETA": 30, "GAMMA": 30}));
    handle.stop().await;
}

#[tokio::test]
async fn faults_have_the_shapes_that_clients_must_tell_apart() {
    let handle = start(|_| {}).await;
    let client = client();
    for (kind, status, header) in [
        (FaultKind::RateLimit, 429, Some(("ratelimit-reason", "jira-burst-based"))),
        (FaultKind::Quota, 429, Some(("ratelimit-reason", "jira-quota-tenant-based"))),
        (FaultKind::RateLimitHtml, 429, Some(("content-type", "text/html;charset=UTF-8"))),
        (FaultKind::Maintenance, 503, Some(("retry-after", "7"))),
        (FaultKind::Problem, 500, Some(("content-type", "application/problem+json"))),
        (FaultKind::SiteUnavailable, 404, None),
        (FaultKind::SignInPage, 200, Some(("content-type", "text/html;charset=UTF-8"))),
        (FaultKind::Captcha, 401, Some(("x-seraph-loginreason", "AUTHENTICATION_DENIED"))),
        (FaultKind::PaymentRequired, 402, None),
    ] {
        let rules = vec![FaultRule::next(kind, 1)];
        handle.control().set_faults(FaultPlan { rules, retry_after_seconds: 7, ..FaultPlan::default() });
        let reply = get(&client, &handle, "/rest/api/3/myself").send().await.unwrap();
        assert_eq!(reply.status(), status, "{kind:?}");
        if let Some((name, value)) = header {
            assert_eq!(reply.headers()[name], value, "{kind:?}");
        }
        let next = get(&client, &handle, "/rest/api/3/myself").send().await.unwrap();
        assert_eq!(next.status(), 200, "{kind:?} happens once");
    }
    let bare = FaultRule::next(FaultKind::RateLimitBare, 1);
    handle.control().add_fault(bare);
    let reply = get(&client, &handle, "/rest/api/3/myself").send().await.unwrap();
    assert_eq!(reply.status(), 429);
    assert!(reply.headers().get("retry-after").is_none());
    handle.stop().await;
}

#[tokio::test]
async fn broken_connections_are_errors_and_not_short_answers() {
    let handle = start(|_| {}).await;
    let client = client();
    let whole = |reply: reqwest::Response| async move { reply.bytes().await };
    handle.control().add_fault(FaultRule::next(FaultKind::Reset, 1));
    assert!(get(&client, &handle, "/rest/api/3/field").send().await.is_err());
    handle.control().add_fault(FaultRule::next(FaultKind::Truncated, 1));
    let reply = get(&client, &handle, "/rest/api/3/field").send().await;
    assert!(match reply {
        Ok(reply) => whole(reply).await.is_err(),
        Err(_) => true,
    });
    assert!(whole(get(&client, &handle, "/rest/api/3/field").send().await.unwrap()).await.is_ok());
    handle.stop().await;
}

#[tokio::test]
async fn a_paused_site_holds_requests_until_it_is_resumed() {
    let handle = start(|_| {}).await;
    let client = client();
    handle.control().set_paused(true);
    let request = tokio::spawn(get(&client, &handle, "/rest/api/3/myself").send());
    while handle.control().stats().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!request.is_finished());
    handle.control().set_paused(false);
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    handle.stop().await;
}

#[tokio::test]
async fn a_hanging_request_does_not_keep_the_site_from_stopping() {
    let handle = start(|_| {}).await;
    let client = client();
    handle.control().add_fault(FaultRule::next(FaultKind::Hang, 1));
    let request = tokio::spawn(get(&client, &handle, "/rest/api/3/myself").send());
    while handle.control().stats().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let address = handle.base_url().to_owned();
    handle.stop().await;
    assert_eq!(request.await.unwrap().unwrap().status(), 504);
    assert!(client.get(format!("{address}/rest/api/3/myself")).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn the_admin_endpoints_change_the_site_and_refuse_nonsense() {
    let handle = start(|_| {}).await;
    let client = client();
    let post = async |path: &str, body: Value| {
        let reply =
            client.post(format!("{}/__sim/{path}", handle.base_url())).body(body.to_string()).send().await.unwrap();
        (reply.status().as_u16(), serde_json::from_slice::<Value>(&reply.bytes().await.unwrap()).unwrap())
    };
    let (status, changes) = post("mutate", json!({"count": 20})).await;
    assert_eq!((status, changes.as_array().unwrap().len()), (200, 20));
    let (status, changes) = post("mutate", json!({"action": "add_comment", "issue": "ACME-2"})).await;
    assert_eq!((status, &changes[0]["key"]), (200, &json!("ACME-2")));
    assert_eq!(post("mutate", json!({"action": "add_comment", "issue": "ACME-99999"})).await.0, 400);
    assert_eq!(post("mutate", json!({"action": "explode"})).await.0, 400);
    assert_eq!(post("faults", json!({"kind": "reset", "requests": 1, "path": "/nowhere"})).await.0, 200);
    assert_eq!(post("settings", json!({"search_lag_milliseconds": 10, "colour": "red"})).await.0, 400);
    assert_eq!(post("settings", json!({"search_lag_milliseconds": 10})).await.0, 200);
    handle.stop().await;
}

#[tokio::test]
async fn a_burst_limit_answers_429_with_a_time_to_wait() {
    let handle = start(|options| options.burst_limit_per_second = Some(3)).await;
    let client = client();
    let mut refused = 0;
    for _ in 0..20 {
        let reply = get(&client, &handle, "/rest/api/3/myself").send().await.unwrap();
        if reply.status() == 429 {
            refused += 1;
            assert_eq!(reply.headers()["retry-after"], "1");
        }
    }
    // Twenty requests may fall into two or three seconds, never into enough of them for all to pass.
    assert!(refused >= 5, "{refused}");
    handle.stop().await;
}
