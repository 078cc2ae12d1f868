//! The admin server of a process: probes and metrics, for orchestrators and Prometheus, not for users.
//!
//! - `/healthz`: 200 while the main loops turn, else 503 with the names of the silent ones. It never asks the database: a
//!   restart of every pod is no cure for that.
//! - `/readyz`: 200 while the process takes work and its loops turn, else 503; one line of JSON says why.
//! - `/metrics`: Prometheus' text format. Gauges from the database are asked for by a callback, at most once every few
//!   seconds and for a bounded time; while it cannot answer they are left out and the rest is served.
//! - `/log-level`: what is logged, asked and, by callers on this machine, changed; see [`super::log_level`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::connections::{self, Limits};
use super::listen::{self, Error};
use super::log_level;
use crate::observe::health::{Heartbeats, Readiness, State as Ready};
use crate::observe::{events, metrics};

/// How long an answer of the database is used again.
const GAUGES_AGE_LIMIT: Duration = Duration::from_secs(5);
/// How long the database may take to answer; well below Prometheus' usual scrape timeout of 10 s.
const GAUGES_WAIT_LIMIT: Duration = Duration::from_secs(2);
/// How long open connections may take to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// The body of a request: a filter of log lines is the only one.
const BODY_BYTES: usize = 16 * 1024;

/// Reads the database gauges; `None` when the database cannot be asked.
pub type GaugeSource = Arc<dyn Fn() -> BoxFuture<'static, Option<metrics::DbGauges>> + Send + Sync>;

/// What the server shows.
#[derive(Clone)]
pub struct Sources {
    /// The recorder of this process.
    pub recorder: PrometheusHandle,
    /// Gauges from the database.
    pub gauges: GaugeSource,
    /// Whether work is taken.
    pub readiness: Readiness,
    /// The loops that must turn.
    pub heartbeats: Heartbeats,
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Listens on `wanted`, or on one of the ports after it if the address `may_move`, and serves until [`Server::stop`].
///
/// # Errors
/// When the address is taken or cannot be used.
pub async fn serve(wanted: SocketAddr, may_move: bool, sources: Sources) -> Result<Server, Error> {
    let (listener, address) = listen::open("admin", wanted, may_move).await?;
    if address != wanted && wanted.port() != 0 {
        tracing::warn!(event = events::ADMIN_MOVED, %wanted, %address, "the admin port is in use: using the next \
            free port");
    }
    let stop = CancellationToken::new();
    let recorder = sources.recorder.clone();
    let server = connections::serve(listener, router(sources), Limits::default(), stop.clone());
    let task = tokio::spawn(async move {
        tokio::select! {
            () = server => {}
            () = metrics::upkeep(recorder) => {}
        }
    });
    tracing::info!(event = events::ADMIN_LISTENING, %address, "probes and metrics are served at http://{address}");
    Ok(Server { address, stop, task })
}

impl Server {
    /// Where it listens: the real port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what has been asked, then ends; for at most two seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A client that keeps its connection busy does not keep the process; dropping `self` ends the task.
        let _ = timeout(STOP_LIMIT, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    sources: Sources,
    gauges_wait_limit: Duration,
    gauges: Mutex<Option<(Instant, Option<metrics::DbGauges>)>>,
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/log-level", get(log_level::show).put(log_level::change))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(Arc::new(Shared { sources, gauges_wait_limit: GAUGES_WAIT_LIMIT, gauges: Mutex::new(None) }))
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let silent = shared.sources.heartbeats.silent();
    if silent.is_empty() {
        return (StatusCode::OK, Json(json!({ "status": "alive" }))).into_response();
    }
    wedged(&silent)
}

/// The loops that hang, by name.
fn wedged(silent: &[(&'static str, u64)]) -> Response {
    let loops = silent.iter().map(|(name, seconds)| json!({ "loop": name, "silent_seconds": seconds }));
    let body = json!({ "status": "wedged", "loops": loops.collect::<Vec<_>>() });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let state = shared.sources.readiness.get();
    let silent = shared.sources.heartbeats.silent();
    if state == Ready::Ready && !silent.is_empty() {
        return wedged(&silent);
    }
    let status = if state == Ready::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": state.as_str(), "reason": state.reason() }))).into_response()
}

async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    let gauges = shared.gauges().await;
    let text = metrics::render(&shared.sources.recorder, gauges.as_ref());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

impl Shared {
    /// The gauges of the last few seconds. Scrapes that come together wait for one query; a failure is kept as long as an
    /// answer, so that a dead database is not asked by every scrape.
    async fn gauges(&self) -> Option<metrics::DbGauges> {
        let mut kept = self.gauges.lock().await;
        if let Some((asked, gauges)) = kept.as_ref()
            && asked.elapsed() < GAUGES_AGE_LIMIT
        {
            return gauges.clone();
        }
        let gauges = timeout(self.gauges_wait_limit, (self.sources.gauges)()).await.ok().flatten();
        *kept = Some((Instant::now(), gauges.clone()));
        gauges
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
