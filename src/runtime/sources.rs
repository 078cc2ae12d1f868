//! What the admin port shows: metrics of this process, gauges of the database, readiness and heartbeats.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::config::Config;
use crate::http::admin;
use crate::observe::health::{Heartbeats, Readiness};
use crate::observe::metrics;
use crate::store::Connections;
use crate::store::gauges::{self, GaugeOptions};

/// The sources of a process.
pub(super) fn sources(
    options: GaugeOptions,
    connections: &Connections,
    readiness: &Readiness,
    heartbeats: &Heartbeats,
) -> anyhow::Result<admin::Sources> {
    let recorder = metrics::install().context("cannot install the metrics recorder")?;
    let connections = connections.clone();
    Ok(admin::Sources {
        recorder,
        gauges: Arc::new(move || {
            let pool = connections.now();
            Box::pin(async move {
                let gauges = gauges::read(&pool, &options).await.ok()?;
                gauges.sites.iter().for_each(|site| metrics::site_known(site));
                Some(gauges)
            })
        }),
        readiness: readiness.clone(),
        heartbeats: heartbeats.clone(),
    })
}

/// What a scrape reads from the database.
pub(super) fn gauge_options(config: &Config) -> GaugeOptions {
    GaugeOptions {
        project_limit: config.http.metrics_project_limit,
        freshness_objective: Duration::from_secs(u64::from(config.sync.freshness_objective_seconds)),
    }
}
