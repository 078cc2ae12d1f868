//! What traces cost: a full sync by a worker process that sends its spans to a collector, against one that sends none.

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use syncline::simulator::{Handle, ProjectSpec};

use crate::stack::{self, Database};
use crate::summary::median;

const ISSUES: u32 = 20_000;
const ROUNDS: usize = 5;

pub async fn overhead() -> Vec<(&'static str, f64)> {
    let rounds = std::env::var("SYNCLINE_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let (jira, projects) = stack::jira(ISSUES, Duration::ZERO).await;
    let (endpoint, received) = collector().await;
    let (mut with, mut without) = (vec![], vec![]);
    for round in 0..rounds {
        // Who goes first changes: the machine is not the same at the end of a round.
        for traced in [round % 2 == 0, round % 2 != 0] {
            let environment = traced.then_some(("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()));
            let rate = issues_per_second(&jira, &projects[0], environment).await;
            if traced { &mut with } else { &mut without }.push(rate);
        }
    }
    jira.stop().await;
    assert!(received.load(Ordering::Relaxed) > 0, "nothing was sent to the collector");
    let (with, without) = (median(&mut with), median(&mut without));
    vec![("traced_sync_issues_per_second", with), ("tracing_overhead_ratio", with / without)]
}

async fn issues_per_second(jira: &Handle, project: &ProjectSpec, environment: Option<(&str, &str)>) -> f64 {
    let database = Database::new().await;
    database.register(jira, std::slice::from_ref(project)).await;
    let worker = Killed(stack::worker_process_with(&database.url, environment));
    stack::alive(&database, 1).await;
    let started = Instant::now();
    let run = database.enqueue(&project.key, "full").await;
    database.succeeded(run).await;
    let rate = f64::from(ISSUES) / started.elapsed().as_secs_f64();
    drop(worker);
    rate
}

/// Takes spans and throws them away: what a collector costs is not what is measured.
async fn collector() -> (String, Arc<AtomicUsize>) {
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    let take = move |body: Bytes| async move {
        counted.fetch_add(body.len(), Ordering::Relaxed);
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", post(take))).await });
    (endpoint, received)
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
