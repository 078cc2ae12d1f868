//! What the client does with tokens that expire, and how they are had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::oauth::{OAuthClient, resource_of};
use super::test_server::{access, pool, server};
use super::{Auth, JiraClient, TokenSource};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::site_kind::SiteKind;

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
        (
            403,
            r#"{"error":"unauthorized_client","error_description":"refresh_token is invalid"}"#,
            FailureCode::AuthExpired,
        ),
        (403, "<html><body>Request blocked</body></html>", FailureCode::GatewayHtml),
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
}
