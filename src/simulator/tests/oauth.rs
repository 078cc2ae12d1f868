//! OAuth 2.0 (3LO): consent, tokens that rotate and end, and the address they are good for.

use std::time::Duration;

use chrono::TimeDelta;

use super::*;

fn site() -> Rehearsal {
    let mut site = Rehearsal::new(|options| options.oauth.access_token_lifetime = Duration::from_secs(600));
    site.authorization = None;
    site
}

async fn exchange(site: &Rehearsal, more: Value) -> (StatusCode, Value) {
    let mut body = json!({"client_id": "simulator-client", "client_secret": "simulator-secret"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    site.send(Method::POST, "/oauth/token", Some(body)).await
}

async fn consent(site: &Rehearsal) -> Value {
    let path = "/authorize?audience=api.atlassian.com&client_id=simulator-client&scope=read&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback&state=s1&response_type=code&prompt=consent";
    let (status, headers, _) = site.reply(Method::GET, path, None).await;
    assert_eq!(status, StatusCode::FOUND);
    let target = url::Url::parse(headers["location"].to_str().unwrap()).unwrap();
    let pairs: std::collections::HashMap<_, _> = target.query_pairs().into_owned().collect();
    assert_eq!((target.port(), pairs["state"].as_str()), (Some(9), "s1"));
    let grant = json!({"grant_type": "authorization_code", "code": pairs["code"], "redirect_uri": "http://127.0.0.1:9/callback"});
    let (status, tokens) = exchange(site, grant.clone()).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(exchange(site, grant).await.0, StatusCode::FORBIDDEN, "a code is good once");
    tokens
}

async fn refresh(site: &Rehearsal, tokens: &Value) -> (StatusCode, Value) {
    exchange(site, json!({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})).await
}

#[tokio::test]
async fn a_token_opens_the_site_at_the_gateway_until_it_ends() {
    let mut site = site();
    let tokens = consent(&site).await;
    site.authorization = Some(format!("Bearer {}", text(&tokens["access_token"])));
    let (_, resources) = site.send(Method::GET, "/oauth/token/accessible-resources", None).await;
    let gateway = format!("/ex/jira/{}/rest/api/3/myself", text(&resources[0]["id"]));
    let (status, me) = site.send(Method::GET, &gateway, None).await;
    assert_eq!((status, &me["emailAddress"]), (StatusCode::OK, &json!(DEFAULT_EMAIL)));
    assert_eq!(site.get("/myself").await.0, StatusCode::FORBIDDEN, "the site's own address takes no bearer");
    site.hands.advance(TimeDelta::seconds(601));
    assert_eq!(site.send(Method::GET, &gateway, None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(site.control.stats().by_endpoint["/myself"], 3, "the gateway is counted as the site");
}

#[tokio::test]
async fn a_refresh_token_is_reusable_only_within_the_leeway() {
    let site = site();
    let first = consent(&site).await;
    let (status, second) = refresh(&site, &first).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    site.hands.advance(TimeDelta::seconds(599));
    let (status, again) = refresh(&site, &first).await;
    assert_eq!(status, StatusCode::OK, "whoever lost the answer gets another one");
    assert_ne!(again["refresh_token"], second["refresh_token"]);
    site.hands.advance(TimeDelta::seconds(1));
    let (status, refused) = refresh(&site, &first).await;
    assert_eq!((status, &refused["error"]), (StatusCode::FORBIDDEN, &json!("invalid_grant")));
    let stats = site.control.stats().oauth;
    assert_eq!((stats.grants, stats.refreshes, stats.repeated_refresh_tokens), (1, 1, 1));
    assert_eq!(stats.reused_refresh_tokens, 1);
    assert_eq!(refresh(&site, &again).await.0, StatusCode::FORBIDDEN, "the whole consent is over");
    let wrong = json!({"grant_type": "refresh_token", "client_secret": "guess", "refresh_token": "x"});
    assert_eq!(exchange(&site, wrong).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_withdrawn_consent_ends_every_token() {
    let site = site();
    let tokens = consent(&site).await;
    site.control.revoke_consent();
    assert_eq!(refresh(&site, &tokens).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_tokens_of_service_accounts_open_the_gateway() {
    let mut site = site();
    site.authorization = Some(format!("Bearer {DEFAULT_TOKEN}"));
    let gateway = format!("/ex/jira/{}/rest/api/3/myself", site.control.cloud_id());
    assert_eq!(site.send(Method::GET, &gateway, None).await.0, StatusCode::OK);
    site.authorization = basic(DEFAULT_EMAIL, DEFAULT_TOKEN);
    assert_eq!(site.send(Method::GET, &gateway, None).await.0, StatusCode::OK);
}
