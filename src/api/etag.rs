//! Answers that a client asks for again and again: what did not change is not sent again.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::Error;

/// JSON with a mark of its content; 304 where the client has it already.
pub fn json<T: Serialize>(asked: &HeaderMap, answer: &T) -> Response {
    let Ok(body) = serde_json::to_vec(answer) else {
        return Error::conflict("the answer cannot be written as JSON").into_response();
    };
    let tag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..32]);
    let has_it = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*")
    });
    let mut response = match has_it {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}
