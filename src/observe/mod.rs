//! What operators see: metrics, traces, logs, health.
//!
//! What must hold: metric names are constants here and nowhere else; no label comes from Jira, a user or a message; nothing
//! here holds up work or makes it fail.

pub mod catalog;
pub mod events;
mod exporter;
mod gauges;
pub mod health;
pub mod labels;
mod lines;
pub mod logs;
pub mod metrics;
pub mod requests;
pub mod trace;

use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, Registry, reload};

pub use self::logs::{LogFormat, LogOptions};

/// How long the last spans may take to leave.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Why logs or traces cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum Error {
    #[error(transparent)]
    Filter(#[from] logs::FilterError),
    #[error(transparent)]
    Trace(#[from] trace::TraceError),
    #[error("logging has been started already in this process")]
    Twice(#[source] TryInitError),
}

/// Keeps traces going; dropping it sends what is left, for at most three seconds. Drop it within the runtime, after the work
/// has ended; from within a task prefer [`Guard::flush`].
#[derive(Debug)]
#[must_use = "dropping it ends the export of traces"]
pub struct Guard(Option<SdkTracerProvider>);

/// Starts logs, and traces when the environment names a collector. Call it once, within the runtime.
///
/// The logs' filter may be changed later by [`logs::set_filter`].
///
/// # Errors
/// When the filter or the collector's description cannot be read, or when it was called before.
pub fn init(options: &LogOptions) -> Result<Guard, Error> {
    let (filter, handle) = reload::Layer::new(logs::filter(&options.filter)?);
    let provider = trace::provider()?;
    let mut layers = vec![logs::layer::<Registry>(options.format).with_filter(filter).boxed()];
    layers.extend(provider.as_ref().map(|provider| trace::layer(provider).boxed()));
    let wanted = logs::Wanted { filter: handle.clone(), exported: provider.is_some() };
    tracing_subscriber::registry().with(layers).with(wanted).try_init().map_err(Error::Twice)?;
    logs::keep(handle);
    if let Some(provider) = &provider {
        // For the spans that are sent for others: of runs, and of attempts whose process was lost.
        opentelemetry::global::set_tracer_provider(provider.clone());
    }
    logs::log_panics();
    Ok(Guard(provider))
}

impl Guard {
    /// Sends what is left without blocking the runtime's threads.
    pub async fn flush(mut self) {
        if let Some(provider) = self.0.take() {
            // A collector that cannot be reached at the end has been reported by the exporter itself.
            let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_LIMIT)).await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take() {
            let _ = provider.shutdown_with_timeout(FLUSH_LIMIT);
        }
    }
}
