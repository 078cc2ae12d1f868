#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tracing_subscriber::prelude::*;

use opentelemetry::trace::SpanId;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter as Export};
use uuid::Uuid;

use super::context::parse;
use super::export::{OnRuntime, QUEUE_LIMIT, provider_of};
use super::sampler::RunSampler;
use super::*;
use crate::clock::Clock;

fn attempt(attempt: i32) -> StepSpan {
    let (step_id, run_id) = (Uuid::nil(), Some(Uuid::from_u128(1)));
    StepSpan { step: "fetch_page", step_id, run_id, attempt, waited_seconds: 0.25, rescues: 0 }
}

fn provider_to(exporter: impl Export + 'static) -> SdkTracerProvider {
    provider_of(exporter, RunSampler::parse(None, None).unwrap())
}

fn traceparent(seed: u64) -> String {
    new_traceparent(&Clock::virtual_at(chrono::DateTime::UNIX_EPOCH, seed).0)
}

#[test]
fn a_new_context_reads_back_and_follows_the_clocks_seed() {
    let made = traceparent(7);
    let read = parse(&made).unwrap();
    assert!(read.is_sampled() && made.contains(&read.trace_id().to_string()));
    assert_eq!(made, traceparent(7));
    assert_ne!(made, traceparent(8));
}

#[test]
fn a_context_that_cannot_be_read_is_left_out() {
    let zeros = "00-00000000000000000000000000000000-0000000000000000-01";
    for bad in ["", "00", zeros, "01-x-y-01", "00-ABCDEF00000000000000000000000000-0000000000000001-01"] {
        assert!(parse(bad).is_none(), "{bad}");
    }
    assert!(current_traceparent().is_none());
    let _ = step(Some("nonsense"), &attempt(1));
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl Export for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[test]
fn spans_of_two_processes_join_one_trace() {
    let run = traceparent(7);
    let exporter = Kept::default();
    let mut carried = None;
    // Two subscribers stand for two processes: only the text on the row connects them.
    for number in 1..=2 {
        let provider = provider_to(exporter.clone());
        let subscriber = tracing_subscriber::registry().with(layer(&provider));
        tracing::subscriber::with_default(subscriber, || {
            let span = step(carried.as_deref().or(Some(run.as_str())), &attempt(number));
            carried = span.in_scope(current_traceparent);
        });
        provider.force_flush().unwrap();
    }
    let spans = exporter.0.lock().unwrap();
    let root = parse(&run).unwrap();
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| span.span_context.trace_id() == root.trace_id() && span.name == "fetch_page"));
    assert_eq!(spans[0].parent_span_id, root.span_id());
    assert_eq!(spans[1].parent_span_id, spans[0].span_context.span_id());
}

#[derive(Debug)]
struct Stuck(Mutex<mpsc::Receiver<()>>);

impl Export for Stuck {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let _ = self.0.lock().unwrap().recv(); // until the test ends
        Ok(())
    }
}

#[test]
fn a_collector_that_hangs_does_not_hold_up_work() {
    let (release, stuck) = mpsc::channel();
    let provider = provider_to(Stuck(Mutex::new(stuck)));
    let subscriber = tracing_subscriber::registry().with(layer(&provider));
    let started = Instant::now();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..4 * QUEUE_LIMIT {
            step(None, &attempt(1)).in_scope(|| {});
        }
    });
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(release);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_run_on_the_runtime() {
    #[derive(Debug)]
    struct NeedsRuntime(tokio::sync::mpsc::UnboundedSender<usize>);
    impl Export for NeedsRuntime {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            tokio::time::sleep(Duration::from_millis(1)).await; // panics without a runtime
            self.0.send(batch.len()).map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
        }
    }
    let (sender, mut exported) = tokio::sync::mpsc::unbounded_channel();
    let exporter = OnRuntime::new(NeedsRuntime(sender), tokio::runtime::Handle::current());
    let provider = provider_to(exporter);
    let subscriber = tracing_subscriber::registry().with(layer(&provider));
    tracing::subscriber::with_default(subscriber, || drop(step(None, &attempt(1))));
    tokio::task::spawn_blocking(move || provider.shutdown()).await.unwrap().unwrap();
    assert_eq!(exported.recv().await, Some(1));
}

#[test]
fn an_attempt_links_to_the_previous_one_and_has_its_requests() {
    let run = traceparent(7);
    let exporter = Kept::default();
    let provider = provider_to(exporter.clone());
    let subscriber = tracing_subscriber::registry().with(layer(&provider));
    tracing::subscriber::with_default(subscriber, || {
        for number in 1..=2 {
            step(Some(&run), &attempt(number)).in_scope(|| {
                let asked = http_request(&HttpRequest {
                    method: "GET",
                    template: "/rest/api/3/issue/{id}",
                    scheme: "https",
                    host: "acme.example.com",
                    port: 443,
                    resend_count: 1,
                });
                http_answered(&asked, 503);
                failed(&asked, "SERVER_ERROR", "the gateway fails");
                drop(asked);
                drop(batch("INSERT", "syncline.issue", 60));
                drop(commit());
                outcome("failed");
            });
        }
    });
    provider.force_flush().unwrap();
    let spans = exporter.0.lock().unwrap();
    let [http, batch, commit, first, .., second] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(second.links.links[0].span_context.span_id(), first.span_context.span_id());
    let parents = [http, batch, commit].map(|span| span.parent_span_id);
    assert_eq!(parents, [first.span_context.span_id(); 3], "nothing but an attempt has spans below it");
    let of = |span: &SpanData, key: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
        found.map_or_else(String::new, |attribute| attribute.value.to_string())
    };
    assert_eq!((http.name.as_ref(), batch.name.as_ref()), ("GET /rest/api/3/issue/{id}", "INSERT syncline.issue"));
    for (span, key, value) in [
        (http, "http.request.method", "GET"),
        (http, "url.template", "/rest/api/3/issue/{id}"),
        (http, "server.address", "acme.example.com"),
        (http, "server.port", "443"),
        (http, "http.response.status_code", "503"),
        (http, "http.request.resend_count", "1"),
        (http, "error.type", "SERVER_ERROR"),
        (batch, "db.system.name", "postgresql"),
        (batch, "db.collection.name", "syncline.issue"),
        (batch, "db.operation.batch.size", "60"),
        (first, "syncline.waited_seconds", "0.25"),
        (first, "syncline.outcome", "failed"),
    ] {
        assert_eq!(of(span, key), value, "{key} of {span:?}");
    }
    assert!(matches!(http.status, opentelemetry::trace::Status::Error { .. }));
}

#[test]
fn the_process_that_takes_a_step_over_sends_its_lost_span() {
    let run = traceparent(7);
    let exporter = Kept::default();
    let provider = provider_to(exporter.clone());
    let tracer = opentelemetry::trace::TracerProvider::tracer(&provider, "syncline");
    let began = chrono::DateTime::UNIX_EPOCH;
    let (step_id, run_id) = (Uuid::nil(), Uuid::from_u128(1));
    let lost = LostAttempt {
        traceparent: Some(&run),
        step: "fetch_page",
        step_id,
        run_id: Some(run_id),
        attempt: 1,
        claimed_at: began,
    };
    span::attempt_lost_to(&tracer, &lost);
    let ended = RunSpan {
        traceparent: Some(&run),
        run_id,
        project: "acme/SHOP",
        kind: "full",
        trigger: "manual",
        state: "failed",
        requested_at: began,
        finished_at: began + chrono::TimeDelta::seconds(3),
        issues: 7,
        rescues: 1,
        error_code: Some("AUTH_INVALID"),
    };
    span::run_ended_to(&tracer, &ended);
    let subscriber = tracing_subscriber::registry().with(layer(&provider));
    tracing::subscriber::with_default(subscriber, || drop(step(Some(&run), &attempt(2))));
    provider.force_flush().unwrap();
    let spans = exporter.0.lock().unwrap();
    let [lost, root, again] = spans.as_slice() else { panic!("{spans:?}") };
    let context = parse(&run).unwrap();
    assert_eq!((root.span_context.span_id(), root.parent_span_id), (context.span_id(), SpanId::INVALID));
    assert_eq!(root.span_context.trace_id(), context.trace_id());
    assert_eq!(root.end_time.duration_since(root.start_time).unwrap(), Duration::from_secs(3));
    assert_eq!([lost.parent_span_id, again.parent_span_id], [context.span_id(); 2]);
    assert_eq!(again.links.links[0].span_context.span_id(), lost.span_context.span_id());
    assert_ne!(lost.span_context.span_id(), again.span_context.span_id());
}
