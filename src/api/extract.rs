//! What a request says, read strictly: an unknown field, a wrong type or a body of another kind is refused by name.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::app::{Error, Result};

/// The query of a request.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(found)) => Ok(Self(found)),
            Err(problem) => Err(named("query", &problem.body_text())),
        }
    }
}

/// The JSON body of a request.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, Response> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(found)) => Ok(Self(found)),
            Err(problem) => Err(match problem {
                JsonRejection::MissingJsonContentType(_) => Problem::of_body(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "the body is not declared as JSON",
                    "send the header `Content-Type: application/json`",
                )
                .into_response(),
                other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => Problem::of_body(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is larger than 65536 bytes",
                    "ask for less at once",
                )
                .into_response(),
                other => named("body", &other.body_text()).into_response(),
            }),
        }
    }
}

/// The refusal of a reader, with the field that it names.
fn named(whole: &str, text: &str) -> Error {
    let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
    let field = match (text.split_once('`'), text.split_once(':')) {
        (Some((before, rest)), _) if before.ends_with("field ") => rest.split('`').next().unwrap_or(whole),
        (_, Some((name, _))) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => name,
        _ => whole,
    };
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    Error::invalid(field, text).help("/api/openapi.json names every field and its type")
}

/// Reads a time as RFC 3339 has it, or a day, which begins at midnight UTC.
pub fn time(field: &'static str, text: Option<&str>) -> Result<Option<DateTime<Utc>>> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(at.to_utc()));
    }
    let day = text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|at| at.and_utc());
    match day {
        Some(day) => Ok(Some(day)),
        None => Err(Error::invalid(field, format!("{field} is not a time"))
            .help("a time such as 2026-11-28T07:30:00Z, or a day such as 2026-11-28 (from midnight UTC)")),
    }
}

/// Reads a list: parts between commas.
pub fn list(text: Option<&str>) -> Option<Vec<String>> {
    text.map(|text| text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
}
