//! GraphQL at `/graphql`: the schema of `docs/schema.graphql`, over the same use cases as REST.
//!
//! One request runs one document. Answers come at once, or, for a client that accepts `text/event-stream`, as events: `next`
//! for each answer, `complete` at the end.
//!
//! What must hold: what a document may cost is bounded before it runs ([`limits`]) and while it runs ([`asker::ROWS`], five
//! seconds for a query); a refusal says its code, field and advice in `extensions`; nothing internal leaves.

mod asker;
mod cursor;
mod limits;
mod loaders;
mod mutation;
mod query;
mod schema;
mod subscription;
mod types;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response, ServerError, Variables};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response as HttpResponse};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::timeout;

use self::asker::Asker;
use self::loaders::loaders;
use super::access::Caller;
use super::problem::Problem;
use super::shared::Shared;
use crate::app::{Error, Kind, Result};
use crate::observe::events;

pub use schema::{Api, schema, sdl};

/// The longest that a query may take.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest that a mutation may take: it may ask Jira, and is not cut off in the middle of a list.
const LONGEST_CHANGE: Duration = Duration::from_secs(60);
/// How often a silent stream says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Value>,
    /// Nothing is read from it; clients send it.
    #[serde(default, rename = "extensions")]
    _extensions: Option<serde_json::Value>,
}

/// Runs a document.
pub(super) async fn post(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    body: std::result::Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> HttpResponse {
    let body = match body {
        Ok(body) => body,
        Err(problem) => return too_large(problem.status()),
    };
    let request = match read(&headers, &body) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let asker = Arc::new(Asker::new(shared.app.clone(), actor, shared.live.clone(), shared.feed.clone()));
    let prepared = match prepare(request, &asker) {
        Ok(prepared) => prepared,
        Err(error) => return Json(refused(error)).into_response(),
    };
    let streams = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    match (prepared.subscribes, streams) {
        (true, false) => {
            let error = Error::invalid("query", "a subscription is answered as a stream of events")
                .help("send the header `Accept: text/event-stream`");
            Json(refused(error)).into_response()
        }
        (true, true) => {
            let answers = shared.schema.execute_stream(prepared.request).map(told);
            events_of(&shared, answers)
        }
        (false, true) => {
            let answer = answer(&shared, prepared).await;
            events_of(&shared, stream::once(async { answer }))
        }
        (false, false) => Json(answer(&shared, prepared).await).into_response(),
    }
}

/// The answer to what is no subscription, in bounded time.
async fn answer(shared: &Shared, prepared: Prepared) -> Response {
    let longest = if prepared.changes { LONGEST_CHANGE } else { LONGEST };
    match timeout(longest, shared.schema.execute(prepared.request)).await {
        Ok(answer) => told(answer),
        Err(_) => refused(slow(longest)),
    }
}

fn slow(longest: Duration) -> Error {
    Error::unavailable(format!("the request took longer than {} s", longest.as_secs()))
        .help("ask for less at once, or narrow the filter")
}

fn too_large(status: StatusCode) -> HttpResponse {
    Problem::of_body(status, "the body is larger than 65536 bytes, or was cut", "send a shorter document")
        .into_response()
}

#[allow(clippy::result_large_err)] // the refusal is the answer
fn read(headers: &HeaderMap, body: &[u8]) -> std::result::Result<Sent, HttpResponse> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
    if !is_json {
        let problem = Problem::of_body(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is not declared as JSON",
            "send the header `Content-Type: application/json`",
        );
        return Err(problem.into_response());
    }
    serde_json::from_slice(body).map_err(|problem| {
        let message = match body.first() {
            Some(b'[') => "a list of documents is not taken: send one document in one request".to_owned(),
            _ => problem.to_string().chars().take(300).collect(),
        };
        Error::invalid("body", message)
            .help("{\"query\": \"…\", \"operationName\": \"…\", \"variables\": {…}}")
            .into_response()
    })
}

struct Prepared {
    request: Request,
    subscribes: bool,
    changes: bool,
}

/// Parses and weighs a document.
fn prepare(sent: Sent, asker: &Arc<Asker>) -> Result<Prepared> {
    limits::check_text(&sent.query)?;
    let document = parse_query(&sent.query).map_err(|problem| {
        let message: String = problem.to_string().chars().take(300).collect();
        Error::invalid("query", format!("the document cannot be read: {message}"))
            .help("docs/schema.graphql is the schema")
    })?;
    limits::check(&document)?;
    let chosen = document.operations.iter().filter(|(name, _)| {
        sent.operation_name.is_none() || name.map(async_graphql::Name::as_str) == sent.operation_name.as_deref()
    });
    let kinds: Vec<OperationType> = chosen.map(|(_, operation)| operation.node.ty).collect();
    let (subscribes, changes) =
        (kinds.contains(&OperationType::Subscription), kinds.contains(&OperationType::Mutation));
    let variables = match sent.variables {
        None | Some(serde_json::Value::Null) => Variables::default(),
        Some(value @ serde_json::Value::Object(_)) => Variables::from_json(value),
        Some(_) => return Err(Error::invalid("variables", "variables is no object").help("{\"name\": value}")),
    };
    let mut request = Request::new(sent.query).variables(variables).data(asker.clone()).data(loaders(asker.clone()));
    request.set_parsed_query(document);
    if let Some(name) = sent.operation_name {
        request = request.operation_name(name);
    }
    Ok(Prepared { request, subscribes, changes })
}

/// An answer whose errors say what callers need, and nothing internal.
fn told(mut answer: Response) -> Response {
    for error in &mut answer.errors {
        let of_ours = error.source::<Error>().or_else(|| error.source::<Arc<Error>>().map(AsRef::as_ref)).cloned();
        match of_ours {
            Some(ours) => tell(error, ours),
            None => error.extensions.get_or_insert_default().set("code", "INVALID"),
        }
    }
    answer
}

fn tell(error: &mut ServerError, ours: Error) {
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", ours.kind.code());
    if let Some(field) = ours.field {
        extensions.set("field", field);
    }
    if let Some(advice) = ours.help {
        extensions.set("advice", advice);
    }
    error.message = match ours.kind {
        Kind::Internal => {
            tracing::error!(event = events::API_FAILED, error = %ours.message, "a request failed");
            "the request failed; the log of the process says why".to_owned()
        }
        _ => ours.message,
    };
}

fn refused(error: Error) -> Response {
    let mut told = ServerError::new(error.message.clone(), None);
    tell(&mut told, error);
    Response::from_errors(vec![told])
}

fn events_of(shared: &Shared, answers: impl Stream<Item = Response> + Send + 'static) -> HttpResponse {
    let stop = shared.stop.clone();
    let next = |answer: Response| Event::default().event("next").json_data(answer).unwrap_or_default();
    let end = stream::once(async { Event::default().event("complete").data("") });
    let all = answers.map(next).take_until(stop.cancelled_owned()).chain(end).map(Ok);
    let mut response = Sse::new(boxed(all)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn boxed(
    events: impl Stream<Item = std::result::Result<Event, Infallible>> + Send + 'static,
) -> impl Stream<Item = std::result::Result<Event, Infallible>> {
    events.boxed()
}
