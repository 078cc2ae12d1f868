//! The spans: their names and attributes, by OpenTelemetry's semantic conventions for HTTP, databases and messaging where
//! these have a word, and under `syncline.` where they do not.

use chrono::{DateTime, Utc};
use opentelemetry::trace::{Span as _, SpanContext, SpanKind, Status, TraceState, Tracer};
use opentelemetry::{Context, KeyValue, global};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use super::context::{below, parse};
use super::{EXPORT_ONLY, ids};

/// What is known of a step when its span begins.
#[derive(Clone, Copy, Debug)]
pub struct StepSpan {
    /// The step's name; also the span's.
    pub step: &'static str,
    /// The step's id.
    pub step_id: Uuid,
    /// The run it belongs to.
    pub run_id: Option<Uuid>,
    /// The number of the attempt.
    pub attempt: i32,
    /// How long it was ready before it was claimed; 0 when it was handed over by the step before it.
    pub waited_seconds: f64,
    /// How often it was taken over from a process that fell silent.
    pub rescues: i16,
}

/// The span of an attempt at a step, joined to the trace kept on its row. A context that cannot be read starts a new trace:
/// it must not cost the step.
pub fn step(traceparent: Option<&str>, step: &StepSpan) -> Span {
    let parent = traceparent.and_then(parse);
    let trace_id = parent.as_ref().map(|parent| display(parent.trace_id()));
    let span = tracing::info_span!(
        "step", otel.name = step.step, step = step.step, step_id = %step.step_id, run_id = step.run_id.map(display),
        attempt = step.attempt, trace_id, otel.status_code = Empty, otel.status_description = Empty, "error.type" = Empty,
        syncline.outcome = Empty,
    );
    // These are not fields: they would be on every log line of the step.
    span.set_attribute("syncline.waited_seconds", step.waited_seconds);
    span.set_attribute("syncline.rescues", i64::from(step.rescues));
    if let Some(parent) = parent {
        if step.attempt > 1 {
            let before = SpanContext::new(
                parent.trace_id(),
                ids::of_attempt(step.step_id, step.attempt - 1),
                parent.trace_flags(),
                true,
                TraceState::default(),
            );
            span.add_link_with_attributes(before, vec![KeyValue::new("syncline.link", "previous attempt")]);
        }
        // Fails only where spans are not exported, and then there is nothing to join.
        let _ = span.set_parent(below(parent));
    }
    // Asking for its context starts the span.
    ids::with(ids::of_attempt(step.step_id, step.attempt), None, || span.context());
    span
}

/// Says how the attempt at a step ended that this is called in: `done`, `failed`, `put_off`, `handed_back`, `lease_lost`.
pub fn outcome(outcome: &'static str) {
    Span::current().record("syncline.outcome", outcome);
}

/// Marks the span of a step or a request as failed; `code` is from an enumeration, the message is for people.
pub fn failed(span: &Span, code: &str, message: &str) {
    span.record("error.type", code);
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", message);
}

/// A step that was taken from its queue.
#[derive(Clone, Copy, Debug)]
pub struct ClaimSpan<'a> {
    /// The context kept on the step's row.
    pub traceparent: Option<&'a str>,
    /// The queue.
    pub queue: &'static str,
    /// The step's id.
    pub step_id: Uuid,
    /// When it was asked for steps.
    pub asked_at: DateTime<Utc>,
    /// When they were there.
    pub claimed_at: DateTime<Utc>,
    /// How many the same statement claimed.
    pub batch: usize,
}

/// Sends the span of a claim: one below each run that the statement took a step of, since a span has one parent.
pub fn claimed(claim: &ClaimSpan<'_>) {
    claimed_to(&global::tracer("syncline"), claim);
}

pub(super) fn claimed_to(tracer: &impl Tracer, claim: &ClaimSpan<'_>) {
    let Some(parent) = claim.traceparent.and_then(parse) else { return };
    let mut attributes = vec![
        KeyValue::new("messaging.system", "postgresql"),
        KeyValue::new("messaging.operation.type", "receive"),
        KeyValue::new("messaging.operation.name", "claim"),
        KeyValue::new("messaging.destination.name", claim.queue),
        KeyValue::new("messaging.message.id", claim.step_id.to_string()),
    ];
    if claim.batch != 1 {
        attributes.push(KeyValue::new("messaging.batch.message_count", i64::try_from(claim.batch).unwrap_or(i64::MAX)));
    }
    let builder = tracer
        .span_builder(format!("claim {}", claim.queue))
        .with_kind(SpanKind::Consumer)
        .with_start_time(claim.asked_at)
        .with_attributes(attributes);
    let mut span = tracer.build_with_context(builder, &below(parent));
    span.end_with_timestamp(claim.claimed_at.into());
}

/// An attempt that a process fell silent in.
#[derive(Clone, Copy, Debug)]
pub struct LostAttempt<'a> {
    /// The context kept on the step's row.
    pub traceparent: Option<&'a str>,
    /// The step's name.
    pub step: &'static str,
    /// The step's id.
    pub step_id: Uuid,
    /// The run it belongs to.
    pub run_id: Option<Uuid>,
    /// The number of the attempt.
    pub attempt: i32,
    /// When it began.
    pub claimed_at: DateTime<Utc>,
}

/// Sends the span of an attempt whose process can no longer do so.
pub fn attempt_lost(lost: &LostAttempt<'_>) {
    attempt_lost_to(&global::tracer("syncline"), lost);
}

pub(super) fn attempt_lost_to(tracer: &impl Tracer, lost: &LostAttempt<'_>) {
    let Some(parent) = lost.traceparent.and_then(parse) else { return };
    let mut attributes = vec![
        KeyValue::new("step", lost.step),
        KeyValue::new("step_id", lost.step_id.to_string()),
        KeyValue::new("attempt", i64::from(lost.attempt)),
        KeyValue::new("syncline.outcome", "lost"),
        KeyValue::new("error.type", "WORKER_LOST"),
    ];
    attributes.extend(lost.run_id.map(|run| KeyValue::new("run_id", run.to_string())));
    let builder = tracer.span_builder(lost.step).with_start_time(lost.claimed_at).with_attributes(attributes);
    let id = ids::of_attempt(lost.step_id, lost.attempt);
    let mut span = ids::with(id, None, || tracer.build_with_context(builder, &below(parent)));
    span.set_status(Status::error("the process that ran it fell silent; it is executed again"));
    span.end();
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct RunSpan<'a> {
    /// The context kept on its row.
    pub traceparent: Option<&'a str>,
    /// The run.
    pub run_id: Uuid,
    /// SITE/KEY.
    pub project: &'a str,
    /// `incremental` or `full`.
    pub kind: &'a str,
    /// What asked for it.
    pub trigger: &'a str,
    /// `succeeded`, `failed` or `cancelled`.
    pub state: &'a str,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Issues seen.
    pub issues: i64,
    /// Steps that were taken over from processes that fell silent.
    pub rescues: i32,
    /// Why it failed.
    pub error_code: Option<&'a str>,
}

/// Sends the span of a run, which all of its steps have for their parent. To be called once, after its end is committed.
pub fn run_ended(run: &RunSpan<'_>) {
    run_ended_to(&global::tracer("syncline"), run);
}

pub(super) fn run_ended_to(tracer: &impl Tracer, run: &RunSpan<'_>) {
    let Some(own) = run.traceparent.and_then(parse) else { return };
    let mut attributes = vec![
        KeyValue::new("run_id", run.run_id.to_string()),
        KeyValue::new("syncline.project", run.project.to_owned()),
        KeyValue::new("syncline.run.kind", run.kind.to_owned()),
        KeyValue::new("syncline.run.trigger", run.trigger.to_owned()),
        KeyValue::new("syncline.run.issues", run.issues),
        KeyValue::new("syncline.outcome", run.state.to_owned()),
        KeyValue::new("syncline.rescues", i64::from(run.rescues)),
    ];
    attributes.extend(run.error_code.map(|code| KeyValue::new("error.type", code.to_owned())));
    let name = format!("sync {}", run.kind);
    let builder = tracer.span_builder(name).with_start_time(run.requested_at).with_attributes(attributes);
    let mut span =
        ids::with(own.span_id(), Some(own.trace_id()), || tracer.build_with_context(builder, &Context::new()));
    if run.state == "failed" {
        span.set_status(Status::error(run.error_code.unwrap_or_default().to_owned()));
    }
    span.end_with_timestamp(run.finished_at.into());
}

/// A request that is about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path with its parameters left open.
    pub template: &'static str,
    /// `https` or `http`.
    pub scheme: &'a str,
    /// The host asked.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// How often the same was sent before.
    pub resend_count: u32,
}

/// The span of one HTTP request. The URL itself is not in it: its path may hold a key and its query a search.
pub fn http_request(request: &HttpRequest<'_>) -> Span {
    tracing::info_span!(
        target: EXPORT_ONLY, "http", otel.name = %format_args!("{} {}", request.method, request.template),
        otel.kind = "client", http.request.method = request.method, url.template = request.template,
        url.scheme = request.scheme, server.address = request.host, server.port = request.port,
        http.request.resend_count = (request.resend_count > 0).then_some(request.resend_count),
        http.response.status_code = Empty, http.response.body.size = Empty, "error.type" = Empty,
        otel.status_code = Empty, otel.status_description = Empty,
    )
}

/// Adds the status of the answer, which comes first.
pub fn http_answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
}

/// Adds how much of the answer's body was read, after decompression.
pub fn http_read(span: &Span, body_bytes: usize) {
    span.record("http.response.body.size", body_bytes);
}

/// The span of the commit of a step's transaction. Not of the whole transaction: a span that others are in would leave them
/// without a parent when its process is killed, and only an attempt's span can be sent by somebody else.
pub fn commit() -> Span {
    tracing::info_span!(
        target: EXPORT_ONLY, "commit", otel.name = "COMMIT", otel.kind = "client", db.system.name = "postgresql",
        db.operation.name = "COMMIT",
    )
}

/// The span of one statement that writes or reads `rows` rows of `table` at once; `operation` is SQL's word for it.
pub fn batch(operation: &'static str, table: &'static str, rows: usize) -> Span {
    tracing::info_span!(
        target: EXPORT_ONLY, "batch", otel.name = %format_args!("{operation} {table}"), otel.kind = "client",
        db.system.name = "postgresql", db.operation.name = operation, db.collection.name = table,
        // The convention: only what really is a batch has a size.
        db.operation.batch.size = (rows != 1).then_some(rows),
    )
}

/// The span of one delivery of an alert: `kind` is the channel's, `channel` its configured name.
pub fn delivery(kind: &'static str, channel: &str, delivery_id: Uuid, alert_id: Uuid) -> Span {
    tracing::info_span!(
        target: EXPORT_ONLY, "delivery", otel.name = %format_args!("send {kind}"), otel.kind = "producer",
        messaging.system = kind, "messaging.operation.type" = "send", messaging.operation.name = "send",
        messaging.destination.name = channel, messaging.message.id = %delivery_id, syncline.alert_id = %alert_id,
        "error.type" = Empty, otel.status_code = Empty, otel.status_description = Empty,
    )
}
