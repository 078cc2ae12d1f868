//! The W3C context of a run, as it is kept on rows.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::clock::Clock;

/// A new trace, as kept on the row of a run.
pub fn new_traceparent(clock: &Clock) -> String {
    let mut bytes = [0u8; 24];
    clock.fill_random(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (trace, span) = hex.split_at(32);
    format!("00-{trace}-{span}-01")
}

/// The context of the span this is called in, to be kept on rows made within it. `None` when spans are not exported: keep
/// the context of the row at hand then.
pub fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// The trace id of a context, for log lines; `None` when it cannot be read.
pub fn trace_id(traceparent: &str) -> Option<String> {
    parse(traceparent).map(|context| context.trace_id().to_string())
}

/// Reads a W3C context, version 00.
pub(super) fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, digits| text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if version != "00" || parts.next().is_some() || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default())).filter(SpanContext::is_valid)
}

/// A context whose span is the given one, as a parent.
pub(super) fn below(parent: SpanContext) -> Context {
    Context::new().with_remote_span_context(parent)
}
