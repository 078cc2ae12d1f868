//! Pages of other sites that may ask with a token: those of `serve.cors_origins`, which is empty unless somebody fills it.
//!
//! What must hold: such a page asks with a token that it holds itself, never with what a browser keeps for this host.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::shared::Shared;

/// Tells browsers which other sites' pages may ask.
pub async fn allow(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .filter(|value| value.to_str().is_ok_and(|origin| shared.config.allows_origin(origin)));
    let Some(origin) = origin.cloned() else { return next.run(request).await };
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks_first {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    say(response.headers_mut(), origin, asks_first);
    response
}

fn say(headers: &mut HeaderMap, origin: HeaderValue, asks_first: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let (name, value) = match asks_first {
        true => {
            let allowed = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID";
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE")
        }
        false => (header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag, Location, Retry-After"),
    };
    headers.insert(name, HeaderValue::from_static(value));
}
