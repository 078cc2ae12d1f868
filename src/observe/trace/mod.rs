//! Traces: one for each run, over all the processes that work on it.
//!
//! The context of a run is kept on its row and on its steps' rows in W3C form (`00-<trace>-<span>-01`), whether or not
//! anything is exported, because log lines carry its trace id. Its span id is that of the run's own span, which is sent by
//! whoever ends the run ([`run_ended`]); until then it is the parent of spans that exist already. Everything below it:
//! an attempt at a step ([`step`]), and in it HTTP requests ([`http_request`]), the commit ([`commit`]), batches of rows
//! ([`batch`]), deliveries ([`delivery`]).
//!
//! A process that is killed sends nothing of the attempt that it was at, while requests of that attempt may have been sent
//! before. So the id of an attempt's span is made from the step's id and the attempt's number: whoever takes the step over
//! sends the span of the attempt that was lost ([`attempt_lost`]), and the next attempt links to it.
//!
//! One gap remains: a step that ended just before its process was killed, whose own span still waited to be sent while one
//! of its requests had been sent. Nobody takes over a step that is done, so that request is left without its parent.
//!
//! What must hold: the spans of a run are one tree, also of one whose process was killed in a step; export never holds up work
//! (spans wait in a bounded queue and are dropped when it is full); a collector that does not answer costs nothing but its
//! spans and one warning; no URL with a query and no text from Jira is an attribute.

mod context;
mod export;
mod ids;
mod sampler;
mod span;

pub use self::context::{current_traceparent, new_traceparent, trace_id};
pub use self::export::TraceError;
pub(super) use self::export::{is_exported, layer, provider};
pub use self::span::{
    ClaimSpan, HttpRequest, LostAttempt, RunSpan, StepSpan, attempt_lost, batch, claimed, commit, delivery, failed,
    http_answered, http_read, http_request, outcome, run_ended, step,
};

/// The target of spans that are exported but do not belong on log lines: there the step's own span must stay in front.
pub(super) const EXPORT_ONLY: &str = "trace";

#[cfg(test)]
mod tests;
