#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, mpsc};
use std::time::Instant;

use tracing_subscriber::prelude::*;

use super::*;

fn step() -> StepSpan {
    StepSpan { step: "fetch_page", step_id: Uuid::nil(), run_id: Some(Uuid::from_u128(1)), attempt: 1 }
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
    let _ = span_from_traceparent(Some("nonsense"), &step());
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
    for _ in 0..2 {
        let provider = provider_of(exporter.clone());
        let subscriber = tracing_subscriber::registry().with(layer(&provider));
        tracing::subscriber::with_default(subscriber, || {
            let span = span_from_traceparent(carried.as_deref().or(Some(run.as_str())), &step());
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
    let provider = provider_of(Stuck(Mutex::new(stuck)));
    let subscriber = tracing_subscriber::registry().with(layer(&provider));
    let started = Instant::now();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..4 * QUEUE_LIMIT {
            span_from_traceparent(None, &step()).in_scope(|| {});
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
    let exporter = OnRuntime { exporter: Arc::new(NeedsRuntime(sender)), runtime: tokio::runtime::Handle::current() };
    let provider = provider_of(exporter);
    let subscriber = tracing_subscriber::registry().with(layer(&provider));
    tracing::subscriber::with_default(subscriber, || drop(span_from_traceparent(None, &step())));
    tokio::task::spawn_blocking(move || provider.shutdown()).await.unwrap().unwrap();
    assert_eq!(exported.recv().await, Some(1));
}
