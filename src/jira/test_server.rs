//! A server on the loopback interface that answers as a test says and remembers what it was asked.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use chrono::DateTime;
use secrecy::SecretString;
use serde_json::Value;

use super::{Auth, HttpPool, JiraClient, SiteAccess};
use crate::clock::Clock;
use crate::domain::site_kind::SiteKind;

/// What was asked: method, path with query, authorization, body.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub line: String,
    pub authorization: String,
    pub body: Value,
}

pub(super) type Log = Arc<Mutex<Vec<Asked>>>;

/// A server that answers as `answer` says: with a status and a body.
pub(super) async fn server(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> (String, Log) {
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

pub(super) fn pool() -> HttpPool {
    let (clock, _) = Clock::virtual_at(DateTime::UNIX_EPOCH, 1);
    HttpPool::new(clock).unwrap().with_limits(Duration::from_millis(1), 1 << 20)
}

pub(super) fn access(url: &str, kind: SiteKind, auth: Auth) -> SiteAccess {
    let base_url = url.parse().unwrap();
    SiteAccess { name: "acme".into(), base_url, kind, auth, request_timeout: Duration::from_secs(5) }
}

pub(super) fn client(url: &str, kind: SiteKind) -> JiraClient {
    let auth = Auth::Bearer { token: SecretString::from("pat") };
    JiraClient::new(&pool(), access(url, kind, auth)).unwrap()
}
