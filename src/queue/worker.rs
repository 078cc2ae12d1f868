//! The workers of a process: one apalis worker per queue under one monitor, and what feeds them.

use std::time::Duration;

use apalis::prelude::{Data, Monitor, WorkerBuilder};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backend::StepBackend;
use super::listener::Heard;
use super::{feeder, listener, pulse};
use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::{Claimed, Engine};
use crate::observe::events;
use crate::observe::health::{ALLOWED_SILENCE, Heartbeats};
use crate::store::{self, step};

/// The silence that is allowed to the pulse.
const PULSE_SILENCE: Duration = Duration::from_secs(30);
/// How long each part of leaving the fleet may take, whatever the database does.
const FAREWELL: Duration = Duration::from_secs(2);

/// How this process takes part in the queue.
#[derive(Debug)]
pub struct QueueOptions {
    /// How long others wait before they take over this process's steps.
    pub lease: Duration,
    /// How often the lease is renewed.
    pub pulse: Duration,
    /// How long running steps may go on after a stop was asked for.
    pub grace: Duration,
    /// A server for LISTEN, where the pool's cannot do it.
    pub direct_url: Option<String>,
    /// The name of this machine, for operators.
    pub host: String,
    /// Where the loops say that they turn.
    pub heartbeats: Heartbeats,
}

/// Executes steps until `stop` is cancelled; then claims nothing more, lets running steps finish within the grace period,
/// hands back the rest, and returns. `heard` is told what other processes changed.
pub async fn run(engine: Engine, options: QueueOptions, heard: Heard, stop: CancellationToken) {
    let pulse_stopped = CancellationToken::new();
    let mut background = JoinSet::new();
    background.spawn(pulse::beat(
        engine.clone(),
        pulse::Beat {
            host: options.host.clone(),
            every: options.pulse,
            lease: options.lease,
            heartbeat: options.heartbeats.register("pulse", PULSE_SILENCE),
        },
        pulse_stopped.clone().cancelled_owned(),
    ));
    let heartbeat = options.heartbeats.register("listener", ALLOWED_SILENCE);
    background.spawn(listener::listen(engine.clone(), options.direct_url.clone(), heard, heartbeat));
    let mut feeders = JoinSet::new();
    for queue in Queue::ALL {
        let (name, others) = match queue {
            Queue::Jira => ("claim_jira", "claim_jira_others"),
            Queue::Store => ("claim_store", "claim_store_others"),
            Queue::Control => ("claim_control", "claim_control_others"),
        };
        let beats = |name| options.heartbeats.register(name, ALLOWED_SILENCE);
        feeders.spawn(feeder::feed(engine.clone(), queue, beats(name)));
        feeders.spawn(feeder::feed_others(engine.clone(), queue, beats(others)));
    }

    let mut monitor = Monitor::new().shutdown_timeout(options.grace + Duration::from_secs(2));
    for queue in Queue::ALL {
        let Some(receiver) = engine.slots().receiver(queue) else { continue };
        let receiver = std::sync::Mutex::new(Some(receiver));
        let engine = engine.clone();
        monitor = monitor.register(move |_restarts| {
            // The channel exists once; a worker that ended has nothing to be restarted with, and none ends before the stop.
            let receiver = receiver.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            let receiver = receiver.unwrap_or_else(|| tokio::sync::mpsc::unbounded_channel().1);
            WorkerBuilder::new(format!("{queue}-{}", engine.epoch().owner))
                .backend(StepBackend::new(receiver))
                .data(engine.clone())
                .build(execute)
        });
    }

    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(event = events::WORKER_STARTED, owner = %engine.epoch().owner, version, "a worker of version {version} has started");
    let draining = engine.clone();
    let grace = options.grace;
    let signal = async move {
        stop.cancelled().await;
        tracing::info!(
            event = events::WORKER_DRAINING,
            grace_seconds = grace.as_secs_f64(),
            "stopping: no more work is taken"
        );
        draining.draining().cancel();
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            draining.out_of_grace().cancel();
        });
        Ok(())
    };
    if let Err(error) = monitor.run_with_signal(signal).await {
        tracing::error!(event = events::WORKER_FAILED, error = %sanitise(&error.to_string()));
    }
    // A claim that nobody answers is left behind: what it took all the same is handed back below, or rescued.
    let _ = tokio::time::timeout(FAREWELL, feeders.join_all()).await;
    pulse_stopped.cancel();
    let _ = tokio::time::timeout(FAREWELL, background.join_all()).await;
    match store::within(FAREWELL, step::forget_worker(&engine.pool(), engine.epoch().owner)).await {
        Ok(handed_back) => tracing::info!(event = events::WORKER_STOPPED, handed_back, "the worker has stopped"),
        Err(error) => {
            tracing::warn!(event = events::WORKER_STOPPED, error = %sanitise(&error.to_string()), "other workers \
                take over when the lease expires")
        }
    }
}

async fn execute(claimed: Claimed, engine: Data<Engine>) {
    engine.execute(claimed).await;
}
