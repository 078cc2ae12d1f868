//! From a claimed step to its commit, or to its recorded failure.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::outcome::Outcome;
use super::retry::{Disposition, RetryOptions};
use super::slots::{Claimed, Slots};
use super::{FINAL_STEP, Step, StepContext, StepError};
use crate::clock::Clock;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::queue::Queue;
use crate::observe::{events, metrics, requests, trace};
use crate::store::patience::{COMMIT, LONGEST};
use crate::store::step::{self, ClaimedStep};
use crate::store::{self, Connections};

/// How often a step may lose its process before it is held responsible.
const MAX_RESCUES: i16 = 10;
/// Slow steps that are remembered at most; a forgotten one is waited for as at first.
const MOST_SLOW: usize = 1_000;
/// How long a step may take to be handed back: whoever stops waits for it.
const HAND_BACK: Duration = Duration::from_secs(1);
/// How long a step of an unknown kind is left to processes of another version.
const UNKNOWN_KIND_DELAY: Duration = Duration::from_secs(5);

/// How this process executes steps.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Places for each queue, in the order of [`Queue::ALL`].
    pub concurrency: [usize; 3],
    /// The shape of back-off.
    pub retry: RetryOptions,
    /// The least time between two wake-ups of other processes for one queue.
    pub notify_interval: Duration,
    /// How many failures make a step dead, where its kind does not say otherwise.
    pub max_attempts: i16,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            concurrency: [8, 2, 2],
            retry: RetryOptions::default(),
            notify_interval: Duration::from_millis(20),
            max_attempts: 5,
        }
    }
}

/// What may be changed while the engine runs.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// The shape of back-off.
    pub retry: RetryOptions,
    /// How many failures make a step dead; counts for steps that are enqueued from now on.
    pub max_attempts: i16,
}

/// One lease of this process: its owner id, and the word that it was lost.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// The owner that claims name.
    pub owner: Uuid,
    /// Cancelled when the lease could not be renewed in time: whatever runs under it must stop.
    pub lost: CancellationToken,
}

/// Executes steps; cheap to clone.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) connections: Connections,
    pub(super) clock: Clock,
    steps: HashMap<&'static str, Arc<dyn Step>>,
    pub(super) options: EngineOptions,
    tuning: RwLock<Tuning>,
    pub(super) slots: Slots,
    epoch: RwLock<Epoch>,
    /// By id and claim number: the same step may be claimed again while an older claim's task is still ending.
    in_flight: Mutex<HashMap<(Uuid, i32), Arc<ClaimedStep>>>,
    /// Steps whose database work took longer than it was waited for, and how long it is waited for the next time.
    slow: Mutex<HashMap<Uuid, Duration>>,
    pub(super) notified: Mutex<[Option<Instant>; 3]>,
    pub(super) draining: CancellationToken,
    out_of_grace: CancellationToken,
    database_lost: AtomicBool,
}

impl Engine {
    /// An engine for the given kinds of steps.
    pub fn new(
        connections: impl Into<Connections>,
        clock: Clock,
        steps: Vec<Arc<dyn Step>>,
        options: EngineOptions,
    ) -> Self {
        let epoch = Epoch { owner: clock.new_id(), lost: CancellationToken::new() };
        Self(Arc::new(Inner {
            steps: steps.into_iter().map(|step| (step.kind(), step)).collect(),
            slots: Slots::new(options.concurrency),
            connections: connections.into(),
            clock,
            tuning: RwLock::new(Tuning { retry: options.retry, max_attempts: options.max_attempts }),
            options,
            epoch: RwLock::new(epoch),
            in_flight: Mutex::default(),
            slow: Mutex::default(),
            notified: Mutex::default(),
            draining: CancellationToken::new(),
            out_of_grace: CancellationToken::new(),
            database_lost: AtomicBool::new(false),
        }))
    }

    /// The database, as many connections of it as are allowed now.
    pub fn pool(&self) -> PgPool {
        self.0.connections.now()
    }

    /// The process' clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The places of this process.
    pub fn slots(&self) -> &Slots {
        &self.0.slots
    }

    /// The lease under which steps are claimed now.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How failures are dealt with now.
    pub fn tuning(&self) -> Tuning {
        *self.0.tuning.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how failures are dealt with, and how many steps this process executes at once. Steps that run go on.
    pub fn tune(&self, tuning: Tuning, concurrency: [usize; 3]) {
        *self.0.tuning.write().unwrap_or_else(PoisonError::into_inner) = tuning;
        for (queue, places) in Queue::ALL.into_iter().zip(concurrency) {
            self.0.slots.resize(queue, places);
        }
    }

    /// Gives up the lease: its steps stop, and later claims are made under a new owner.
    pub fn renew_epoch(&self) {
        let fresh = Epoch { owner: self.0.clock.new_id(), lost: CancellationToken::new() };
        let old = {
            let mut epoch = self.0.epoch.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *epoch, fresh)
        };
        old.lost.cancel();
    }

    /// Cancelled once the process should claim nothing more.
    pub fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    /// Cancelled once steps that still run must be handed back.
    pub fn out_of_grace(&self) -> &CancellationToken {
        &self.0.out_of_grace
    }

    /// Whether the last pulse found no database.
    pub fn database_lost(&self) -> bool {
        self.0.database_lost.load(Ordering::Relaxed)
    }

    /// Says whether the database was found.
    pub fn set_database_lost(&self, lost: bool) {
        self.0.database_lost.store(lost, Ordering::Relaxed);
    }

    /// The name of a kind as a metric's label: only kinds that this engine knows.
    pub fn kind_label(&self, kind: &str) -> &'static str {
        self.0.steps.get_key_value(kind).map_or("other", |(known, _)| *known)
    }

    /// Steps of a queue that are being executed, in places for other sites too.
    fn busy(&self, queue: Queue) -> usize {
        let in_flight = self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.values().filter(|step| step.queue == queue).count()
    }

    /// Records how many places are busy.
    pub fn report_slots(&self) {
        for queue in Queue::ALL {
            let (free, busy) = (self.0.slots.free(queue), self.busy(queue));
            metrics::worker_slots(queue.as_str(), busy, free);
        }
    }

    /// The steps that this process is executing.
    pub fn in_flight(&self) -> Vec<Uuid> {
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).keys().map(|(id, _)| *id).collect()
    }

    /// How many steps of each site this process is executing; of those of no site nothing is said.
    pub fn held(&self, queue: Queue) -> Vec<(String, i32)> {
        let in_flight = self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held: BTreeMap<&String, i32> = BTreeMap::new();
        for site in in_flight.values().filter(|step| step.queue == queue).filter_map(|step| step.gates.first()) {
            *held.entry(site).or_default() += 1;
        }
        held.into_iter().map(|(site, steps)| (site.clone(), steps)).collect()
    }

    /// How long the database is waited for by this step. An answer that does not come is a dead connection much more often
    /// than a slow database; which of them it was is seen the next time.
    pub(super) fn patience(&self, step: Uuid) -> Duration {
        self.0.slow.lock().unwrap_or_else(PoisonError::into_inner).get(&step).copied().unwrap_or(COMMIT)
    }

    /// Passes `outcome` on, and waits longer the next time where no answer came.
    pub(super) fn judge_patience<T>(&self, step: Uuid, outcome: Result<T, StepError>) -> Result<T, StepError> {
        let mut slow = self.0.slow.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Err(StepError::Store(store::Error::Silent { .. })) => {
                if slow.len() >= MOST_SLOW {
                    slow.clear();
                }
                let longer = slow.get(&step).map_or(COMMIT, |now| *now) * 2;
                slow.insert(step, longer.min(LONGEST));
            }
            _ => drop(slow.remove(&step)),
        }
        outcome
    }

    /// Takes note of a claimed step and sends it to its place.
    pub fn dispatch(&self, claimed: Claimed) {
        let claim = (claimed.step.id, claimed.step.attempt);
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).insert(claim, Arc::clone(&claimed.step));
        if !self.0.slots.send(claimed) {
            self.forget(claim);
        }
    }

    fn forget(&self, claim: (Uuid, i32)) {
        let ended = self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&claim);
        if let Some(step) = ended {
            self.0.slots.wake_for_others(step.queue);
        }
    }

    /// Executes a step to its end. Never fails and never panics: what goes wrong is recorded on the step.
    pub async fn execute(&self, claimed: Claimed) {
        let step = Arc::clone(&claimed.step);
        let epoch = claimed.epoch.clone();
        let label = self.kind_label(&step.kind);
        let span = trace::step(
            step.trace_context.as_deref(),
            &trace::StepSpan {
                step: label,
                step_id: step.id,
                run_id: step.run_id,
                attempt: step.attempt,
                waited_seconds: step.waited_seconds,
                rescues: step.rescues,
            },
        );
        let engine = self.clone();
        let run = async move { engine.run_and_commit(claimed).await }.instrument(span.clone());
        // On a task of its own: all handlers of an apalis worker share one, and a panic must end only this step.
        let task = AbortOnDropHandle::new(tokio::spawn(run));
        if let Err(error) = task.await
            && error.is_panic()
        {
            let payload = error.into_panic();
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            let failure = Failure::new(FailureCode::Internal, format!("panic in step {}: {text}", step.kind));
            trace::failed(&span, failure.code.as_str(), &failure.message);
            self.settle(&step, &epoch, &failure).instrument(span).await;
        }
        self.forget((step.id, step.attempt));
    }

    async fn run_and_commit(&self, claimed: Claimed) {
        let step = Arc::clone(&claimed.step);
        let epoch = claimed.epoch.clone();
        if step.stopping {
            // Its run was cancelled, or failed, while nobody held the step: putting it back ends it.
            trace::outcome("cancelled");
            return self.record(&step, &epoch, Outcome::PutOff(Duration::ZERO, None)).await;
        }
        if step.rescues > MAX_RESCUES && step.kind != FINAL_STEP {
            let failure = Failure::new(
                FailureCode::WorkerLost,
                format!(
                    "{} processes died while running this \
                    step",
                    step.rescues
                ),
            );
            trace::failed(&Span::current(), failure.code.as_str(), &failure.message);
            return self.record(&step, &epoch, Outcome::Failed(Disposition::FailRun, &failure)).await;
        }
        let Some(handler) = self.0.steps.get(step.kind.as_str()).cloned() else {
            // A newer version may have enqueued it: leave it to one that knows it.
            tracing::warn!(event = events::STEP_UNKNOWN, kind = %step.kind, "unknown kind of step: left to another \
                version");
            trace::outcome("put_off");
            return self.record(&step, &epoch, Outcome::PutOff(UNKNOWN_KIND_DELAY, None)).await;
        };
        let began = Instant::now();
        let context = StepContext {
            step: Arc::clone(&step),
            pool: self.pool(),
            clock: self.0.clock.clone(),
            patience: self.patience(step.id),
        };
        let outcome = tokio::select! {
            biased;
            () = epoch.lost.cancelled() => return trace::outcome("lease_lost"),
            () = self.0.out_of_grace.cancelled() => {
                trace::outcome("handed_back");
                let _ = store::within(HAND_BACK, step::hand_back(&self.pool(), epoch.owner, &step)).await;
                return;
            }
            outcome = tokio::time::timeout(handler.time_limit(), requests::counted(handler.run(&context))) => outcome,
        };
        let result = match outcome {
            // Without the lease a commit may as well be given up: whether it arrived or not, the row knows.
            Ok((Ok(commit), sent)) => tokio::select! {
                biased;
                () = epoch.lost.cancelled() => return trace::outcome("lease_lost"),
                result = self.commit(claimed, commit, sent) => result,
            },
            Ok((Err(error), _)) => self.judge_patience(step.id, Err(error)),
            Err(_) => {
                let limit = handler.time_limit().as_secs();
                Err(Failure::new(FailureCode::StepTimeout, format!("step {} took longer than {limit} s", step.kind))
                    .into())
            }
        };
        let outcome = if result.is_ok() { "succeeded" } else { "failed" };
        metrics::step_finished(self.kind_label(&step.kind), outcome, began.elapsed());
        trace::outcome(outcome);
        match result {
            Ok(()) => {}
            Err(StepError::Failed(failure)) => {
                trace::failed(&Span::current(), failure.code.as_str(), &failure.message);
                self.settle(&step, &epoch, &failure).await;
            }
            Err(StepError::Store(error)) => {
                trace::failed(&Span::current(), FailureCode::Database.as_str(), &error.to_string());
                self.settle_store(&step, &epoch, &error).await;
            }
        }
    }
}
