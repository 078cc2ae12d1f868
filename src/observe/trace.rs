//! Traces: one for each run, over all the processes that work on it.
//!
//! The context of a run is kept on its row and on its steps' rows in W3C form (`00-<trace>-<span>-01`). It is made by
//! [`new_traceparent`] whether or not anything is exported, because log lines carry its trace id. With
//! `OTEL_EXPORTER_OTLP_ENDPOINT` set, spans go there by OTLP; `OTEL_EXPORTER_OTLP_PROTOCOL` is `grpc`, `http/protobuf` (the
//! default), and the other variables of the OpenTelemetry specification hold too.
//!
//! What must hold: export never holds up work. Spans wait in a bounded queue and are dropped when it is full; a collector
//! that does not answer costs nothing but its spans.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter as Export,
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, filter};
use uuid::Uuid;

use crate::clock::Clock;

/// Spans that wait for export at most; about 1 KiB each.
const QUEUE_LIMIT: usize = 4_096;

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The variables do not describe an exporter.
    #[error("traces cannot be exported: check OTEL_EXPORTER_OTLP_ENDPOINT and its companions")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The protocol is not one of those built in.
    #[error("OTEL_EXPORTER_OTLP_PROTOCOL is {found:?}; use grpc or http/protobuf")]
    Protocol {
        /// What it is.
        found: String,
    },
    /// gRPC is built without TLS.
    #[error(
        "OTLP over grpc cannot use the https:// endpoint {endpoint:?}; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    )]
    GrpcTls {
        /// The endpoint asked for.
        endpoint: String,
    },
    /// There is no runtime to export on.
    #[error("traces can only be exported from within a Tokio runtime")]
    Runtime(#[source] tokio::runtime::TryCurrentError),
}

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
}

/// The span of an attempt at a step, joined to the trace kept on its row. A context that cannot be read starts a new trace:
/// it must not cost the step.
pub fn span_from_traceparent(traceparent: Option<&str>, step: &StepSpan) -> Span {
    let parent = traceparent.and_then(parse);
    let trace_id = parent.as_ref().map(|parent| tracing::field::display(parent.trace_id()));
    let run_id = step.run_id.map(tracing::field::display);
    let (name, step_id, attempt) = (step.step, tracing::field::display(step.step_id), step.attempt);
    let span = tracing::info_span!("step", otel.name = name, step = name, step_id, run_id, attempt, trace_id);
    if let Some(parent) = parent {
        // Fails only where spans are not exported, and then there is nothing to join.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    span
}

/// Reads a W3C context, version 00.
fn parse(traceparent: &str) -> Option<SpanContext> {
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

/// The exporter that the environment asks for, if any. Must be called within the runtime.
pub(super) fn provider() -> Result<Option<SdkTracerProvider>, TraceError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let specific = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = set(specific).or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let Some(endpoint) = endpoint.filter(|_| !disabled) else {
        return Ok(None);
    };
    let protocol = set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| set("OTEL_EXPORTER_OTLP_PROTOCOL"));
    let exporter = match protocol.as_deref() {
        Some("grpc") if endpoint.starts_with("https:") => return Err(TraceError::GrpcTls { endpoint }),
        Some("grpc") => SpanExporter::builder().with_tonic().build(),
        None | Some("http/protobuf") => SpanExporter::builder().with_http().build(),
        Some(found) => return Err(TraceError::Protocol { found: found.to_owned() }),
    };
    let exporter = exporter.map_err(TraceError::Exporter)?;
    let runtime = tokio::runtime::Handle::try_current().map_err(TraceError::Runtime)?;
    Ok(Some(provider_of(OnRuntime { exporter: Arc::new(exporter), runtime })))
}

fn provider_of(exporter: impl Export + 'static) -> SdkTracerProvider {
    let batch = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_LIMIT)
        .with_max_export_batch_size(512)
        .with_scheduled_delay(Duration::from_secs(2))
        .build();
    let resource = Resource::builder()
        .with_service_name("syncline")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build()
}

/// The layer that turns this program's spans into exported ones, whatever the logs' filter is.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let own = filter::Targets::new().with_target("syncline", tracing::Level::INFO);
    tracing_opentelemetry::layer().with_tracer(provider.tracer("syncline")).with_filter(own)
}

/// Runs exports on the Tokio runtime: the batch processor's own thread has none, and the HTTP client needs one.
#[derive(Debug)]
struct OnRuntime<E> {
    exporter: Arc<E>,
    runtime: tokio::runtime::Handle,
}

impl<E: Export + 'static> Export for OnRuntime<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let export = self.runtime.spawn(async move { exporter.export(batch).await });
        export.await.map_err(|error| OTelSdkError::InternalFailure(error.to_string()))?
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Called once, before the first export: nobody else holds the exporter yet.
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
