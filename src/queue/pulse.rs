//! Once a second: renew the lease, rescue, start timers. A process that could not renew in time stops its steps.
//!
//! What must hold: one connection that has died without a word does not cost the lease: while there is time left, another one
//! is tried beside it; rows that a frozen process holds do not stop the pulse of those who live.

use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, PgConnection};
use uuid::Uuid;

use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::Engine;
use crate::observe::health::Heartbeat;
use crate::observe::{events, metrics, trace};
use crate::store::step::{self, PulseReport, Rescued};
use crate::store::{self, Result};

/// The longest that one pulse is waited for: a third of the silence after which a process counts as wedged.
const LONGEST_PULSE: Duration = Duration::from_secs(10);
/// A pulse that looked for steps of the dead and for ready ones may have been dear: so many times its cost passes before the
/// next look. Feeders look for ready steps by themselves meanwhile, at less cost.
const REST: u32 = 10;
/// How long the counting of rescues may wait for a run that somebody else holds.
const LOCK_TIMEOUT_MILLIS: u64 = 500;
/// Rescues that wait to be counted at most.
const MOST_UNCOUNTED: usize = 1_000;
/// The shortest sleep between two pulses, however close the timers are.
const SHORTEST_SLEEP: Duration = Duration::from_millis(10);

/// How to pulse.
pub(super) struct Beat {
    /// The name of this machine, for operators.
    pub host: String,
    /// The time between two pulses.
    pub every: Duration,
    /// How long others wait before they take over.
    pub lease: Duration,
    /// Says that this loop turns.
    pub heartbeat: Heartbeat,
}

/// Pulses until `stopped`.
pub(super) async fn beat(engine: Engine, options: Beat, stopped: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stopped => {}
        () = pulse_on(engine, options) => {}
    }
}

/// Says once that the database is lost, and once that it is back.
fn tell_of_database(engine: &Engine, problem: Option<&str>, lost: &mut Option<Instant>) {
    engine.set_database_lost(problem.is_some());
    match (problem, *lost) {
        (Some(error), None) => {
            *lost = Some(Instant::now());
            tracing::error!(event = events::DATABASE_LOST, error, "reconnecting until PostgreSQL answers");
        }
        (None, Some(since)) => {
            *lost = None;
            tracing::info!(event = events::DATABASE_BACK, seconds = since.elapsed().as_secs_f64());
        }
        _ => {}
    }
}

async fn pulse_on(engine: Engine, options: Beat) {
    let Beat { host, every, lease, heartbeat } = options;
    // When the lease began to run; none while nothing can have been claimed under it.
    let mut renewed: Option<Instant> = None;
    let mut next = Duration::ZERO;
    let mut connection = None;
    let mut looked: Option<(Instant, Duration)> = None;
    let mut uncounted = Vec::new();
    let mut lost: Option<Instant> = None;
    loop {
        tokio::time::sleep(next).await;
        heartbeat.beat();
        let started = Instant::now();
        let epoch = engine.epoch();
        // A pulse that hangs must outlive neither the lease that it should renew nor the patience of who watches this loop.
        let remaining = renewed.map_or(LONGEST_PULSE, |renewed| lease.saturating_sub(renewed.elapsed()).max(every));
        let patience = remaining.min(LONGEST_PULSE);
        next = every;
        let look = looked.is_none_or(|(at, cost)| at.elapsed() >= cost * REST);
        let question = Question { owner: epoch.owner, host: &host, lease, look };
        match tokio::time::timeout(patience, pulse(&engine, connection.take(), patience / 2, question)).await {
            Ok(Ok(Pulsed { asked, report, connection: alive })) => {
                renewed = Some(asked);
                if look {
                    looked = Some((Instant::now(), asked.elapsed()));
                } else {
                    Queue::ALL.into_iter().for_each(|queue| engine.slots().wake(queue));
                }
                tell_of_database(&engine, None, &mut lost);
                for queue in report.ready {
                    engine.slots().wake(queue);
                }
                if let Some(timer) = report.next_timer {
                    next = timer.clamp(SHORTEST_SLEEP, every);
                }
                tell_of(&engine, &report.rescued);
                uncounted.extend(report.rescued);
                let left = patience.saturating_sub(started.elapsed());
                connection = count(alive, &mut uncounted, left.max(Duration::from_secs(1))).await;
            }
            Ok(Err(error)) => {
                let error_text = sanitise(&error.to_string());
                tracing::warn!(event = events::PULSE_FAILED, error = %error_text);
                if !error.is_contention() {
                    tell_of_database(&engine, Some(&error_text), &mut lost);
                }
            }
            Err(_) => {
                tracing::warn!(event = events::PULSE_FAILED, error = "no answer in time");
                tell_of_database(&engine, Some("no answer in time"), &mut lost);
            }
        }
        if renewed.is_some_and(|renewed| renewed.elapsed() >= lease) {
            tracing::error!(event = events::LEASE_LOST, owner = %epoch.owner, "the lease could not be renewed: running steps stop, other workers take them over");
            engine.renew_epoch();
            renewed = None;
            next = every.min(Duration::from_millis(100));
        }
    }
}

/// What a pulse says.
#[derive(Clone, Copy)]
struct Question<'a> {
    owner: Uuid,
    host: &'a str,
    lease: Duration,
    /// Whether it looks for steps of the dead and for ready ones.
    look: bool,
}

/// A pulse that was heard.
struct Pulsed {
    /// When it was sent, and the lease began at the earliest: a connection that took long to make costs nothing of it.
    asked: Instant,
    report: PulseReport,
    connection: PgConnection,
}

/// One pulse over a connection of its own: neither steps that hold all of the pool's nor a dead one that was pooled may cost
/// the lease. When nothing was heard on the kept connection for half of the time, a fresh one is tried beside it.
async fn pulse(engine: &Engine, kept: Option<PgConnection>, half: Duration, question: Question<'_>) -> Result<Pulsed> {
    let Some(kept) = kept else {
        return pulse_by(engine, connect(engine).await?, question).await;
    };
    let mut first = std::pin::pin!(pulse_by(engine, kept, question));
    if let Ok(answer) = tokio::time::timeout(half, &mut first).await {
        return answer;
    }
    let second = async { pulse_by(engine, connect(engine).await?, question).await };
    tokio::select! {
        answer = &mut first => answer,
        answer = second => match answer {
            Ok(pulsed) => Ok(pulsed),
            Err(_) => first.await,
        }
    }
}

async fn connect(engine: &Engine) -> Result<PgConnection> {
    let pool = engine.pool();
    let options = (*pool.connect_options()).clone();
    let options = match store::is_pooled(&pool) {
        true => options,
        false => options.options([("lock_timeout", LOCK_TIMEOUT_MILLIS)]),
    };
    Ok(options.connect().await?)
}

async fn pulse_by(engine: &Engine, mut connection: PgConnection, question: Question<'_>) -> Result<Pulsed> {
    let in_flight = engine.in_flight();
    let asked = Instant::now();
    let Question { owner, host, lease, look } = question;
    let version = env!("CARGO_PKG_VERSION");
    let report = step::pulse_looking(&mut connection, owner, host, version, lease, &in_flight, look).await?;
    Ok(Pulsed { asked, report, connection })
}

fn tell_of(engine: &Engine, rescued: &[Rescued]) {
    for rescued in rescued {
        let step = engine.kind_label(&rescued.kind);
        metrics::step_rescued(step);
        trace::attempt_lost(&trace::LostAttempt {
            traceparent: rescued.trace_context.as_deref(),
            step,
            step_id: rescued.id,
            run_id: rescued.run_id,
            attempt: rescued.attempt,
            claimed_at: rescued.claimed_at,
        });
        tracing::warn!(
            event = events::STEP_RESCUED, step_id = %rescued.id, kind = rescued.kind,
            run_id = rescued.run_id.map(tracing::field::display), attempt = rescued.attempt,
            trace_id = rescued.trace_context.as_deref().and_then(trace::trace_id),
            "rescued from a process that stopped responding"
        );
    }
}

/// Counts rescues on their runs, now or at a later pulse: the process that fell silent may still hold the run. Answers the
/// connection, unless it has become useless.
async fn count(mut connection: PgConnection, uncounted: &mut Vec<Rescued>, limit: Duration) -> Option<PgConnection> {
    if uncounted.is_empty() {
        return Some(connection);
    }
    let counted = store::within(limit, step::record_rescues(&mut connection, events::STEP_RESCUED, uncounted)).await;
    let Err(error) = counted else {
        uncounted.clear();
        return Some(connection);
    };
    if error.is_contention() && uncounted.len() < MOST_UNCOUNTED {
        return Some(connection);
    }
    // The steps are safe; only the count is short.
    tracing::warn!(event = events::OUTCOME_NOT_RECORDED, error = %sanitise(&error.to_string()));
    uncounted.clear();
    None
}
