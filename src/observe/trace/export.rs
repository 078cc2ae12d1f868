//! From the environment to an exporter: the `OTEL_*` variables of the OpenTelemetry specification (docs/traces.md lists
//! them), a bounded queue, and one word when the collector cannot be reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter as Export,
};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, filter};

use super::EXPORT_ONLY;
use super::ids::Ids;
use super::sampler::RunSampler;
use crate::clock::Clock;
use crate::domain::failure::sanitise;
use crate::observe::events;
use crate::tls;

/// Spans that wait for export at most, about 1 KiB each, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise.
pub(super) const QUEUE_LIMIT: usize = 4_096;
/// How long a span waits for others to be sent with, unless `OTEL_BSP_SCHEDULE_DELAY` says otherwise.
const DELAY: Duration = Duration::from_secs(2);

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The variables do not describe an exporter.
    #[error("cannot export traces: check OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL variables")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The protocol is not one of those built in.
    #[error(
        "OTEL_EXPORTER_OTLP_PROTOCOL is {found:?}; use http/protobuf, which collectors accept on port 4318 (4317 is \
            for gRPC)"
    )]
    Protocol {
        /// What it is.
        found: String,
    },
    /// The sampler is not one of those built in.
    #[error(
        "OTEL_TRACES_SAMPLER is {found:?}; use always_on, always_off or traceidratio, or one of these after \
            parentbased_, such as parentbased_traceidratio"
    )]
    Sampler {
        /// What it is.
        found: String,
    },
    /// The share of traces is not one.
    #[error("OTEL_TRACES_SAMPLER_ARG is {found:?}; use a number from 0 to 1")]
    SamplerArgument {
        /// What it is.
        found: String,
    },
    /// There is no runtime to export on.
    #[error("traces can only be exported from within a Tokio runtime")]
    Runtime(#[source] tokio::runtime::TryCurrentError),
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The exporter that the environment asks for, if any. Must be called within the runtime.
pub(in crate::observe) fn provider() -> Result<Option<SdkTracerProvider>, TraceError> {
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
    if disabled || endpoint.is_none() {
        return Ok(None);
    }
    let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(found) = protocol.filter(|protocol| protocol != "http/protobuf") {
        return Err(TraceError::Protocol { found });
    }
    tls::install();
    let exporter = SpanExporter::builder().with_http().build().map_err(TraceError::Exporter)?;
    let (sampler, argument) = (variable("OTEL_TRACES_SAMPLER"), variable("OTEL_TRACES_SAMPLER_ARG"));
    let sampler = RunSampler::parse(sampler.as_deref(), argument.as_deref())?;
    let runtime = tokio::runtime::Handle::try_current().map_err(TraceError::Runtime)?;
    Ok(Some(provider_of(OnRuntime::new(exporter, runtime), sampler)))
}

pub(super) fn provider_of(exporter: impl Export + 'static, sampler: RunSampler) -> SdkTracerProvider {
    // The builder reads the variables; what is set on it wins over them.
    let mut batch = BatchConfigBuilder::default();
    if variable("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
        batch = batch.with_max_queue_size(QUEUE_LIMIT);
    }
    if variable("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        batch = batch.with_scheduled_delay(DELAY);
    }
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch.build()).build();
    SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(resource())
        .with_sampler(sampler)
        .with_id_generator(Ids::default())
        .build()
}

/// Who sends: the environment's name and attributes, and what tells this process from others.
fn resource() -> Resource {
    let detected = Resource::builder().build();
    let given = |key: &'static str| detected.get(&Key::from_static_str(key)).map(|value| value.to_string());
    let mut own = vec![
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    if given("service.instance.id").is_none() {
        own.push(KeyValue::new("service.instance.id", Clock::system().new_id().to_string()));
    }
    // Detection answers something of its own where nothing was given.
    if given("service.name").is_none_or(|name| name.starts_with("unknown_service")) {
        own.push(KeyValue::new("service.name", "syncline"));
    }
    Resource::builder().with_attributes(own).build()
}

/// Whether spans and events of this kind are exported: this program's, from INFO on.
pub(in crate::observe) fn is_exported(metadata: &Metadata<'_>) -> bool {
    let own = metadata.target() == EXPORT_ONLY || metadata.target().split("::").next() == Some("syncline");
    own && *metadata.level() <= tracing::Level::INFO
}

/// The layer that turns this program's spans into exported ones, whatever the logs' filter is.
pub(in crate::observe) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("syncline"))
        // What costs time for every span and tells an operator nothing.
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(
            filter::FilterFn::new(is_exported as fn(&Metadata<'_>) -> bool).with_max_level_hint(LevelFilter::INFO),
        )
}

/// Runs exports on the Tokio runtime, because the batch processor's own thread has none and the HTTP client needs one; says
/// once that the collector cannot be reached, and once that it can be again.
#[derive(Debug)]
pub(super) struct OnRuntime<E> {
    exporter: Arc<E>,
    runtime: tokio::runtime::Handle,
    failing: AtomicBool,
}

impl<E> OnRuntime<E> {
    pub(super) fn new(exporter: E, runtime: tokio::runtime::Handle) -> Self {
        Self { exporter: Arc::new(exporter), runtime, failing: AtomicBool::new(false) }
    }

    fn note(&self, outcome: &OTelSdkResult) {
        let failing = outcome.is_err();
        if self.failing.swap(failing, Ordering::Relaxed) == failing {
            return;
        }
        match outcome {
            Ok(()) => tracing::info!(event = events::TRACE_EXPORT_BACK, "the collector accepts spans again"),
            Err(error) => tracing::warn!(
                event = events::TRACE_EXPORT_FAILED, error = %sanitise(&error.to_string()),
                "spans are dropped until the collector accepts them; work continues"
            ),
        }
    }
}

impl<E: Export + 'static> Export for OnRuntime<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let export = self.runtime.spawn(async move { exporter.export(batch).await });
        let outcome = export.await.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        self.note(&outcome);
        outcome
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
