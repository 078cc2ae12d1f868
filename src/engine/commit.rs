//! The commit of a step: effects, end and successors in one transaction, and the way of the successors to their places.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection;
use tracing::Instrument;
use uuid::Uuid;

use super::executor::{Engine, Epoch};
use super::slots::{Claimed, LONGEST_CHAIN, MAX_CHAIN, Slots};
use super::{Commit, StepError};
use crate::domain::queue::Queue;
use crate::observe::{events, metrics, trace};
use crate::store::session::BEGIN_STEP;
use crate::store::step::{self, ClaimedStep, End, Ended, NewStep, Placement};
use crate::store::{self, within};

impl Engine {
    /// Effects, end and successors: one transaction (one statement when there are no effects).
    ///
    /// `requests` is how many the step has sent to Jira.
    pub(super) async fn commit(&self, claimed: Claimed, commit: Commit, requests: u32) -> Result<(), StepError> {
        let Claimed { step, epoch, permit, chain, since } = claimed;
        let inner = &self.0;
        let Commit { effects, mut next, announce } = commit;
        let mut places = Places { own: Some((step.queue, permit)), taken: Vec::new() };
        let chained = chain < MAX_CHAIN
            && since.elapsed() < LONGEST_CHAIN
            && !inner.draining.is_cancelled()
            && !epoch.lost.is_cancelled();
        for new in &mut next {
            self.fit(new);
        }
        let started = Instant::now();
        let mut connection = store::acquire(&inner.connections.now()).await?;
        let written = within(self.patience(step.id), async {
            let Some(effects) = effects else {
                let (placed, last) = places.assign(&inner.slots, next, chained);
                let end = End { next: &placed, last, notify: self.may_notify(&placed), requests };
                let ended = step::finish(&mut *connection, &inner.clock, epoch.owner, &step, &end).await?;
                return Ok((ended, placed));
            };
            let mut transaction = connection.begin_with(BEGIN_STEP).await?;
            next.extend(effects(&mut transaction).await?.into_iter().map(|mut new| {
                self.fit(&mut new);
                new
            }));
            let (placed, last) = places.assign(&inner.slots, next, chained);
            let end = End { next: &placed, last, notify: self.may_notify(&placed), requests };
            let ended = step::finish(&mut *transaction, &inner.clock, epoch.owner, &step, &end).await?;
            if ended == Ended::Fenced {
                transaction.rollback().await?;
            } else {
                transaction.commit().instrument(trace::commit()).await?;
            }
            Ok::<_, StepError>((ended, placed))
        })
        .await;
        let (ended, next) = self.judge_patience(step.id, written)?;
        connection.give_back();
        match ended {
            Ended::Fenced => {
                metrics::step_replayed(self.kind_label(&step.kind));
                tracing::warn!(event = events::STEP_FENCED, step_id = %step.id, "the step was taken over: nothing \
                    was written");
            }
            Ended::Done { next: stored, last } => {
                metrics::checkpoint_committed(started.elapsed());
                if let Some(announce) = announce {
                    announce();
                }
                self.dispatch_successors(&step, &epoch, places, next, stored, last, (chain, since));
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
        (chain, since): (u8, Instant),
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
            stopping: false,
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
                metrics::step_claimed(self.kind_label(&step.kind), Duration::ZERO);
                self.dispatch(Claimed { step, epoch: epoch.clone(), permit, chain: chain + 1, since });
            } else if !enqueued.claimed {
                // This process may have a place for it by now; other processes hear of it by the notification.
                self.0.slots.wake(new.queue);
            }
        }
    }

    /// Gives a successor this process' limits, where its kind has none of its own.
    fn fit(&self, new: &mut NewStep) {
        if new.max_attempts == NewStep::DEFAULT_ATTEMPTS {
            new.max_attempts = self.tuning().max_attempts;
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
