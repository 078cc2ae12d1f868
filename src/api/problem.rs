//! Refusals as RFC 9457 has them: `application/problem+json` with a stable code and, where something can be done, advice.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{Error, Kind};

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; the page that explains it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same in words, for each code the same.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A stable code, for programs: `INVALID`, `UNAUTHENTICATED`, `FORBIDDEN`, `NOT_FOUND`, `CONFLICT`, `LIMITED`, `UNAVAILABLE`, …
    pub code: &'static str,
    /// What is wrong with this request.
    pub detail: String,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// For the header `Retry-After`.
    #[serde(skip)]
    retry_after: Option<u64>,
}

const fn status(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, "The request is not valid"),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "Nobody knows who asks"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "Who asks may not do this"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "There is no such thing"),
        Kind::Conflict => (StatusCode::CONFLICT, "The state of things does not allow it"),
        Kind::Limited => (StatusCode::TOO_MANY_REQUESTS, "It was asked too often"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "What is needed cannot be had now"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here"),
    }
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:syncline:problem:{}", code.to_lowercase()),
            title,
            status: status.as_u16(),
            code,
            detail: detail.into(),
            field: None,
            advice: None,
            retry_after: None,
        }
    }

    /// A body that is larger than is taken, or of another type.
    pub fn of_body(status: StatusCode, detail: impl Into<String>, advice: &str) -> Self {
        let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "BODY_TOO_LARGE" } else { "BODY_TYPE" };
        Self { advice: Some(advice.to_owned()), ..Self::new(status, "The body cannot be read", code, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let unavailable = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5);
        if let Some(seconds) = self.retry_after.or(unavailable) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, title) = status(error.kind);
        let detail = match error.kind {
            // What went wrong inside is for the log of whoever runs this.
            Kind::Internal => {
                tracing::error!(event = crate::observe::events::API_FAILED, error = %error.message, "a request failed");
                "the request failed; the log of the process says why".to_owned()
            }
            _ => error.message,
        };
        let retry_after = error.retry_after;
        Self {
            field: error.field,
            advice: error.help,
            retry_after,
            ..Self::new(status, title, error.kind.code(), detail)
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// No route has this path.
pub async fn no_such_path(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    Error::not_found(format!("there is nothing at {path}")).help("/api/openapi.json names every path").into_response()
}

/// The path exists, with other methods.
pub async fn no_such_method(method: Method, uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem {
        advice: Some("/api/openapi.json names the methods of every path".to_owned()),
        ..Problem::new(status, "The path has other methods", "METHOD", format!("{path} does not take {method}"))
    }
    .into_response()
}
