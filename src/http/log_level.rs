//! `/log-level`: what this process logs, asked and changed while it runs.
//!
//! `GET` answers the filter in force; `PUT` takes a level (`debug`) or directives (`warn,syncline::sync=debug`) as its body.
//! It lasts until the process ends.
//!
//! What must hold: only this machine (or pod) may change it, wherever the admin address listens: a flood of lines costs
//! disk and money. So `PUT` is answered to callers on the loopback interface alone, as `kubectl exec` and `kubectl
//! port-forward` are.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::observe::logs;

pub(super) async fn show() -> Response {
    Json(json!({ "filter": logs::current_filter() })).into_response()
}

pub(super) async fn change(ConnectInfo(caller): ConnectInfo<SocketAddr>, filter: String) -> Response {
    if !caller.ip().to_canonical().is_loopback() {
        let problem = "only callers on this machine may change it: use kubectl port-forward, or a shell on this \
            machine";
        return (StatusCode::FORBIDDEN, Json(json!({ "error": problem }))).into_response();
    }
    match logs::set_filter(&filter) {
        Ok(filter) => Json(json!({ "filter": filter })).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, Json(json!({ "error": problem.to_string() }))).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_this_machine_may_change_what_is_logged() {
        for (caller, status) in [
            ("10.0.0.7:41000", StatusCode::FORBIDDEN),
            ("[2001:db8::1]:41000", StatusCode::FORBIDDEN),
            ("127.0.0.1:41000", StatusCode::BAD_REQUEST),
            ("[::1]:41000", StatusCode::BAD_REQUEST),
            ("[::ffff:127.0.0.1]:41000", StatusCode::BAD_REQUEST),
        ] {
            let answer = change(ConnectInfo(caller.parse().unwrap()), "syncline=loud".to_owned()).await;
            assert_eq!(answer.status(), status, "{caller}");
        }
    }
}
