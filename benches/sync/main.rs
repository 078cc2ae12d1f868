//! The figures of the project, measured on this machine: `make bench`, or `cargo bench --bench sync -- NAME…` for some.
//!
//! Speed is given as ratios to baselines of the same run, and as medians of several rounds. PostgreSQL runs with fsync and
//! synchronous_commit on. What is written to `target/bench/summary.json` is what was measured, nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, clippy::disallowed_methods)]

mod bare;
mod full_sync;
mod idle;
mod memory;
mod noop;
mod rescue;
mod stack;
mod stock;
mod summary;
mod tracing;
mod trigger;

use summary::Summary;

type Measure = fn() -> futures::future::BoxFuture<'static, Vec<(&'static str, f64)>>;

/// Names that can be given on the command line, in the order in which they run.
const MEASURES: [(&str, Measure); 8] = [
    ("full_sync", || Box::pin(full_sync::throughput())),
    ("latency", || Box::pin(full_sync::with_latency())),
    ("noop", || Box::pin(noop::measure())),
    ("trigger", || Box::pin(trigger::measure())),
    ("idle", || Box::pin(idle::measure())),
    ("rescue", || Box::pin(rescue::measure())),
    ("tracing", || Box::pin(tracing::overhead())),
    ("memory", || Box::pin(memory::measure())),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut summary = Summary::load();
    for (name, measure) in MEASURES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            eprintln!("measuring {name} …");
            for (figure, value) in runtime.block_on(measure()) {
                summary.put(figure, value);
            }
            summary.save();
        }
    }
    runtime.block_on(stack::stop());
    summary.print();
}
