//! The promises of the simulator, over its routes and over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod changes;
mod data_center;
mod entities;
mod http;
mod limits;
mod manners;
mod oauth;
mod withheld;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine as _;
use bytes::Bytes;
use chrono::DateTime;
use serde_json::{Value, json};
use tower::Service as _;

use super::{Account, Amount, Control, DEFAULT_EMAIL, DEFAULT_TOKEN, Options, router};
use crate::clock::{Clock, VirtualClock};

/// 2026-01-05T12:00:30Z.
const NOW_MS: i64 = 1_767_614_430_000;

/// A site without sockets, whose time stands still until moved.
struct Rehearsal {
    control: Control,
    hands: VirtualClock,
    authorization: Option<String>,
    api: String,
}

fn basic(email: &str, token: &str) -> Option<String> {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{email}:{token}"));
    Some(format!("Basic {pair}"))
}

impl Rehearsal {
    fn new(adjust: impl FnOnce(&mut Options)) -> Self {
        let (clock, hands) = Clock::virtual_at(DateTime::from_timestamp_millis(NOW_MS).unwrap(), 1);
        let mut options = Options::new(clock);
        options.issues = 600;
        let limited: Account = "limited@example.com:limited:Asia/Tokyo:ACME".parse().unwrap();
        options.accounts.push(limited);
        adjust(&mut options);
        let control = Control::new(&options, format!("http://jira.test{}", options.context_path));
        let api = format!("{}{}", options.context_path, options.kind.api_path());
        Self { control, hands, authorization: basic(DEFAULT_EMAIL, DEFAULT_TOKEN), api }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (status, _, bytes) = self.reply(method, path, body).await;
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn reply(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let reply = router(self.control.clone()).call(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = reply.into_parts();
        (parts.status, parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, &format!("{}{path}", self.api), None).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, &format!("{}{path}", self.api), Some(body)).await
    }

    fn apply(&self, mutation: super::Mutation) -> super::Change {
        self.control.apply(mutation).unwrap()
    }

    async fn search(&self, body: Value) -> Value {
        let (status, page) = self.post("/search/jql", body).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page
    }

    /// The ids of all pages of a query.
    async fn walk(&self, jql: &str, page_size: u32) -> Vec<String> {
        let mut ids = Vec::new();
        let mut token = Value::Null;
        loop {
            let page = self.search(json!({"jql": jql, "maxResults": page_size, "nextPageToken": token})).await;
            ids.extend(page["issues"].as_array().unwrap().iter().map(|issue| issue["id"].as_str().unwrap().to_owned()));
            token = page["nextPageToken"].clone();
            assert_eq!(page["isLast"], token.is_null());
            if token.is_null() {
                return ids;
            }
        }
    }
}

fn length(value: &Value) -> usize {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).len()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn exactly(comments: u16, worklogs: u16) -> impl FnOnce(&mut Options) {
    move |options| {
        options.comments = Amount::Exactly(comments);
        options.worklogs = Amount::Exactly(worklogs);
        options.long_threads = 0.0;
    }
}
