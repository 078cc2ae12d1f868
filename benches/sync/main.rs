//! The figures of the project, measured on this machine: `make bench`, or `cargo bench --bench sync -- NAME…` for some.
//!
//! Speed is given as ratios to baselines of the same run, and as medians of several rounds. PostgreSQL runs with fsync and
//! synchronous_commit on. What is written to `target/bench/summary.json` is what was measured, nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, clippy::disallowed_methods)]

mod alert_latency;
mod alert_year;
mod analyst;
mod bare;
mod dashboards;
mod entities;
mod fairness;
mod fleet;
mod full_sync;
mod idle;
mod janitor;
mod limits;
mod memory;
mod noop;
mod reconcile;
#[path = "../../tests/rehearsal/mod.rs"]
#[allow(dead_code)] // the tests use all of it
mod rehearsal;
mod rescue;
mod scrape;
mod silence;
mod stack;
mod stock;
mod summary;
#[path = "../../tests/support/mod.rs"]
#[allow(unused_imports)] // the tests use all of it
mod support;
mod tracing;
mod trigger;

use summary::Summary;

type Measure = fn() -> futures::future::LocalBoxFuture<'static, Vec<(&'static str, f64)>>;

/// Names that can be given on the command line, in the order in which they run.
const MEASURES: &[(&str, Measure)] = &[
    ("full_sync", || Box::pin(full_sync::throughput())),
    ("latency", || Box::pin(full_sync::with_latency())),
    ("entities", || Box::pin(entities::measure())),
    ("reconcile", || Box::pin(reconcile::measure())),
    ("noop", || Box::pin(noop::measure())),
    ("trigger", || Box::pin(trigger::measure())),
    ("idle", || Box::pin(idle::measure())),
    ("janitor", || Box::pin(janitor::measure())),
    ("rescue", || Box::pin(rescue::measure())),
    ("silence", || Box::pin(silence::measure())),
    ("scrape", || Box::pin(scrape::measure())),
    ("analyst", || Box::pin(analyst::measure())),
    ("dashboards", || Box::pin(dashboards::measure())),
    ("tracing", || Box::pin(tracing::overhead())),
    ("fleet", || Box::pin(fleet::measure())),
    ("memory", || Box::pin(memory::measure())),
    ("fairness", || Box::pin(fairness::beside_a_long_run())),
    ("second_site", || Box::pin(fairness::beside_a_site_that_hangs())),
    ("snapshot", || Box::pin(fairness::under_an_old_snapshot())),
    ("limits", || Box::pin(limits::measure())),
    ("alert_latency", || Box::pin(alert_latency::measure())),
    ("pictures", || Box::pin(dashboards::pictures())), // only when asked for
    ("alert_year", || Box::pin(alert_year::measure())),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut summary = Summary::load();
    for &(name, measure) in MEASURES {
        if wanted.is_empty() && name != "pictures" || wanted.iter().any(|wanted| wanted == name) {
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
