//! Ids of spans: random, except those that another process must be able to tell.
//!
//! A span's id is made by the provider's generator and cannot be given to a span otherwise, so what is wanted is left for the
//! generator on the thread that is about to start the span.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use uuid::Uuid;

thread_local! {
    static WANTED_SPAN: Cell<Option<SpanId>> = const { Cell::new(None) };
    static WANTED_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// The generator of the provider.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        WANTED_TRACE.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        WANTED_SPAN.take().unwrap_or_else(|| self.0.new_span_id())
    }
}

/// Calls `start`; the span that it starts gets this id, and this trace if it has no parent.
pub(super) fn with<T>(span: SpanId, trace: Option<TraceId>, start: impl FnOnce() -> T) -> T {
    WANTED_SPAN.set(Some(span));
    WANTED_TRACE.set(trace);
    let started = start();
    // Nothing was started where nothing is exported: the next span must not find it.
    WANTED_SPAN.set(None);
    WANTED_TRACE.set(None);
    started
}

/// The id of the span of an attempt at a step: the same in every process.
pub(super) fn of_attempt(step_id: Uuid, attempt: i32) -> SpanId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(step_id.as_bytes()).update(&attempt.to_le_bytes());
    let mut id = [0u8; 8];
    hasher.finalize_xof().fill(&mut id);
    SpanId::from_bytes(id)
}
