//! From a claimed step to its commit, or to its recorded failure.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use uuid::Uuid;

use super::retry::{Disposition, RetryOptions};
use super::slots::{Claimed, MAX_CHAIN, Slots};
use super::{Commit, Step, StepContext, StepError};
use crate::clock::Clock;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::queue::Queue;
use crate::observe::{metrics, trace};
use crate::store::step::{self, ClaimedStep, Ended, NewStep, Placement};

/// How often a step may lose its process before it is held responsible.
const MAX_RESCUES: i16 = 10;

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
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    steps: HashMap<&'static str, Arc<dyn Step>>,
    pub(super) options: EngineOptions,
    slots: Slots,
    epoch: RwLock<Epoch>,
    in_flight: Mutex<HashSet<Uuid>>,
    notified: Mutex<[Option<Instant>; 3]>,
    draining: CancellationToken,
    out_of_grace: CancellationToken,
    database_lost: AtomicBool,
}

impl Engine {
    /// An engine for the given kinds of steps.
    pub fn new(pool: PgPool, clock: Clock, steps: Vec<Arc<dyn Step>>, options: EngineOptions) -> Self {
        let epoch = Epoch { owner: clock.new_id(), lost: CancellationToken::new() };
        Self(Arc::new(Inner {
            steps: steps.into_iter().map(|step| (step.kind(), step)).collect(),
            slots: Slots::new(options.concurrency),
            pool,
            clock,
            options,
            epoch: RwLock::new(epoch),
            in_flight: Mutex::default(),
            notified: Mutex::default(),
            draining: CancellationToken::new(),
            out_of_grace: CancellationToken::new(),
            database_lost: AtomicBool::new(false),
        }))
    }

    /// The database.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// The places of this process.
    pub fn slots(&self) -> &Slots {
        &self.0.slots
    }

    /// The lease under which steps are claimed now.
    pub fn epoch(&self) -> Epoch {
        self.0.epoch.read().unwrap_or_else(PoisonError::into_inner).clone()
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

    /// Records how many places are busy.
    pub fn report_slots(&self) {
        for queue in Queue::ALL {
            let free = self.0.slots.free(queue);
            metrics::worker_slots(queue.as_str(), self.0.slots.capacity(queue).saturating_sub(free), free);
        }
    }

    /// The steps that this process is executing.
    pub fn in_flight(&self) -> Vec<Uuid> {
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Takes note of a claimed step and sends it to its place.
    pub fn dispatch(&self, claimed: Claimed) {
        let id = claimed.step.id;
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        if !self.0.slots.send(claimed) {
            self.forget(id);
        }
    }

    fn forget(&self, id: Uuid) {
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Executes a step to its end. Never fails and never panics: what goes wrong is recorded on the step.
    pub async fn execute(&self, claimed: Claimed) {
        let step = Arc::clone(&claimed.step);
        let epoch = claimed.epoch.clone();
        let label = self.kind_label(&step.kind);
        let span = trace::span_from_traceparent(
            step.trace_context.as_deref(),
            &trace::StepSpan { step: label, step_id: step.id, run_id: step.run_id, attempt: step.attempt },
        );
        let engine = self.clone();
        // On a task of its own: all handlers of an apalis worker share one, and a panic must end only this step.
        let task =
            AbortOnDropHandle::new(tokio::spawn(async move { engine.run_and_commit(claimed).await }.instrument(span)));
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
            self.settle(&step, &epoch, &failure).await;
        }
        self.forget(step.id);
    }

    async fn run_and_commit(&self, claimed: Claimed) {
        let step = Arc::clone(&claimed.step);
        let epoch = claimed.epoch.clone();
        if step.rescues > MAX_RESCUES {
            let failure =
                Failure::new(FailureCode::WorkerLost, format!("{} processes died with this step", step.rescues));
            return self.record(&step, &epoch, Disposition::FailRun, &failure).await;
        }
        let Some(handler) = self.0.steps.get(step.kind.as_str()).cloned() else {
            // A newer version may have enqueued it: leave it to one that knows it.
            tracing::warn!(event = "step_unknown", kind = %step.kind, "no handler for this kind of step: left for another version");
            let failure = Failure::new(FailureCode::Internal, format!("unknown kind of step: {}", step.kind));
            return self.record(&step, &epoch, Disposition::NotYet(Duration::from_secs(5)), &failure).await;
        };
        let began = Instant::now();
        let context = StepContext { step: Arc::clone(&step), pool: self.0.pool.clone(), clock: self.0.clock.clone() };
        let outcome = tokio::select! {
            biased;
            () = epoch.lost.cancelled() => return,
            () = self.0.out_of_grace.cancelled() => {
                let _ = step::hand_back(&self.0.pool, epoch.owner, &step).await;
                return;
            }
            outcome = tokio::time::timeout(handler.time_limit(), handler.run(&context)) => outcome,
        };
        let result = match outcome {
            Ok(Ok(commit)) => self.commit(claimed, commit).await,
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let limit = handler.time_limit().as_secs();
                Err(Failure::new(FailureCode::StepTimeout, format!("step {} took longer than {limit} s", step.kind))
                    .into())
            }
        };
        let outcome = if result.is_ok() { "succeeded" } else { "failed" };
        metrics::step_finished(self.kind_label(&step.kind), outcome, began.elapsed());
        match result {
            Ok(()) => {}
            Err(StepError::NotYet(delay)) => {
                let failure = Failure::new(FailureCode::Internal, "not yet");
                self.record(&step, &epoch, Disposition::NotYet(delay), &failure).await;
            }
            Err(StepError::Failed(failure)) => self.settle(&step, &epoch, &failure).await,
            Err(StepError::Store(error)) => self.settle_store(&step, &epoch, &error).await,
        }
    }

    /// Effects, end and successors: one transaction (one statement when there are no effects).
    async fn commit(&self, claimed: Claimed, commit: Commit) -> Result<(), StepError> {
        let Claimed { step, epoch, permit, chain } = claimed;
        let inner = &self.0;
        let mut next = commit.next;
        let mut places = Places { own: Some((step.queue, permit)), taken: Vec::new() };
        let chained = chain < MAX_CHAIN && !inner.draining.is_cancelled() && !epoch.lost.is_cancelled();
        for new in &mut next {
            self.fit(new);
        }
        let started = Instant::now();
        let (ended, next) = if let Some(effects) = commit.effects {
            let mut transaction = inner.pool.begin().await?;
            next.extend(effects(&mut transaction).await?.into_iter().map(|mut new| {
                self.fit(&mut new);
                new
            }));
            let (placed, last) = places.assign(&inner.slots, next, chained);
            let notify = self.may_notify(&placed);
            let ended =
                step::finish(&mut *transaction, &inner.clock, epoch.owner, &step, &placed, last, notify).await?;
            if ended == Ended::Fenced {
                transaction.rollback().await?;
            } else {
                transaction.commit().await?;
            }
            (ended, placed)
        } else {
            let (placed, last) = places.assign(&inner.slots, next, chained);
            let notify = self.may_notify(&placed);
            let ended = step::finish(&inner.pool, &inner.clock, epoch.owner, &step, &placed, last, notify).await?;
            (ended, placed)
        };
        match ended {
            Ended::Fenced => {
                metrics::step_replayed(self.kind_label(&step.kind));
                tracing::warn!(event = "step_fenced", step_id = %step.id, "the claim was taken over: nothing was written");
            }
            Ended::Done { next: stored, last } => {
                metrics::checkpoint_committed(started.elapsed());
                self.dispatch_successors(&step, &epoch, places, next, stored, last, chain);
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // private: the parts of one commit
    fn dispatch_successors(
        &self,
        step: &ClaimedStep,
        epoch: &Epoch,
        mut places: Places,
        next: Vec<(NewStep, Placement)>,
        stored: Vec<step::Enqueued>,
        last: Option<step::Enqueued>,
        chain: u8,
    ) {
        let claimed_step = |new: NewStep, id: Uuid| ClaimedStep {
            id,
            run_id: step.run_id,
            queue: new.queue,
            kind: new.kind.to_owned(),
            key: new.key,
            payload: new.payload,
            gates: new.gates,
            attempt: 1,
            failures: 0,
            rescues: 0,
            max_attempts: new.max_attempts,
            priority: new.priority,
            trace_context: step.trace_context.clone(),
            waited_seconds: 0.0,
        };
        let last = last.map(|enqueued| {
            let mut new = NewStep::new(Queue::Store, step::FINAL_STEP, "").priority(30);
            new.max_attempts = step::FINAL_STEP_ATTEMPTS;
            (new, enqueued)
        });
        let stored = next.into_iter().map(|(new, _)| new).zip(stored);
        for (new, enqueued) in stored.chain(last) {
            if enqueued.claimed
                && let Some(permit) = places.claim(new.queue)
            {
                let step = Arc::new(claimed_step(new, enqueued.id));
                self.dispatch(Claimed { step, epoch: epoch.clone(), permit, chain: chain + 1 });
            } else if !enqueued.claimed {
                // This process may have a place for it by now; other processes hear of it by the notification.
                self.0.slots.wake(new.queue);
            }
        }
    }

    /// Gives a successor this process' limits, where its kind has none of its own.
    fn fit(&self, new: &mut NewStep) {
        if new.max_attempts == NewStep::DEFAULT_ATTEMPTS {
            new.max_attempts = self.0.options.max_attempts;
        }
    }

    /// Whether the commit should wake other processes: a notification takes a lock on the whole database at commit, so it
    /// is sent for steps that go into the queue, and not more often than is useful.
    fn may_notify(&self, placed: &[(NewStep, Placement)]) -> bool {
        let mut notified = self.0.notified.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut any = false;
        for (new, placement) in placed {
            let at = &mut notified[new.queue.index()];
            if *placement == Placement::Queue && at.is_none_or(|at| now - at >= self.0.options.notify_interval) {
                *at = Some(now);
                any = true;
            }
        }
        any
    }
}

/// Places that a commit holds for its successors.
struct Places {
    own: Option<(Queue, tokio::sync::OwnedSemaphorePermit)>,
    taken: Vec<(Queue, tokio::sync::OwnedSemaphorePermit)>,
}

impl Places {
    /// Finds a place for each successor, and one for the run's final step should there be no successor.
    fn assign(&mut self, slots: &Slots, next: Vec<NewStep>, chained: bool) -> (Vec<(NewStep, Placement)>, Placement) {
        let mut placed = Vec::with_capacity(next.len());
        for new in next {
            let here = chained && new.delay.is_zero() && self.take(slots, new.queue);
            placed.push((new, if here { Placement::Here } else { Placement::Queue }));
        }
        let last_here = placed.is_empty() && chained && self.take(slots, Queue::Store);
        (placed, if last_here { Placement::Here } else { Placement::Queue })
    }

    fn take(&mut self, slots: &Slots, queue: Queue) -> bool {
        let permit = match self.own.take() {
            Some((own, permit)) if own == queue => Some(permit),
            other => {
                self.own = other;
                slots.try_take(queue)
            }
        };
        let found = permit.is_some();
        self.taken.extend(permit.map(|permit| (queue, permit)));
        found
    }

    fn claim(&mut self, queue: Queue) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let at = self.taken.iter().position(|(taken, _)| *taken == queue)?;
        Some(self.taken.swap_remove(at).1)
    }
}
