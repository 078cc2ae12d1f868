//! The shapes of Jira's answers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};

use super::limits::Objects;

/// An answer.
pub(super) type Reply = Response<Body>;

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Body::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// 200 with JSON.
pub(super) fn ok(body: Vec<u8>) -> Reply {
    answer(StatusCode::OK, "application/json;charset=UTF-8", body)
}

/// JSON with another status.
pub(super) fn json(status: StatusCode, body: impl Into<String>) -> Reply {
    answer(status, "application/json;charset=UTF-8", body.into().into_bytes())
}

/// A page for people, as gateways and sign-in pages answer.
pub(super) fn html(status: StatusCode, title: &str) -> Reply {
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1><p>Simulated.</p></body></html>\n"
    );
    answer(status, "text/html;charset=UTF-8", page.into_bytes())
}

/// Plain text.
pub(super) fn text(status: StatusCode, body: &str) -> Reply {
    answer(status, "text/plain;charset=UTF-8", body.as_bytes().to_vec())
}

/// Jira's usual error: `{"errorMessages": [...], "errors": {}}`.
pub(super) fn refuse(status: StatusCode, message: &str) -> Reply {
    json(status, serde_json::json!({ "errorMessages": [message], "errors": {} }).to_string())
}

/// 400 in that shape.
pub(super) fn bad_request(message: &str) -> Reply {
    refuse(StatusCode::BAD_REQUEST, message)
}

/// What Jira says to a body that it cannot read or that has properties it does not know.
pub(super) fn bad_payload() -> Reply {
    bad_request("Invalid request payload. Refer to the REST API documentation and try again.")
}

/// 403 for an issue that is hidden, on Data Center.
pub(super) fn hidden_issue() -> Reply {
    refuse(StatusCode::FORBIDDEN, "You do not have the permission to see the specified issue.")
}

/// 404 for an issue that is gone or hidden: the two look the same.
pub(super) fn no_issue() -> Reply {
    refuse(StatusCode::NOT_FOUND, "Issue does not exist or you do not have permission to see it.")
}

/// Adds a header; a value that is no header value is left out.
pub(super) fn with(mut reply: Reply, name: &'static str, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}

/// Says how many objects an answer holds, for the quota.
pub(super) fn holding(mut reply: Reply, objects: usize) -> Reply {
    reply.extensions_mut().insert(Objects(objects as u64));
    reply
}
