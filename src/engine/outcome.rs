//! Recording that a step did not succeed: what becomes of it, of its run, and of everyone behind the same gate.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::FINAL_STEP;
use super::executor::{Engine, Epoch};
use super::retry::{Disposition, backoff, contention_wait, decide, outage_wait};
use crate::domain::failure::{Failure, FailureCode, PauseScope, sanitise};
use crate::observe::{events, metrics};
use crate::store::patience::COMMIT;
use crate::store::session::BEGIN_STEP;
use crate::store::step::{self, ClaimedStep, Entry, Level};
use crate::store::{self, Result, within};

/// What is recorded of a step that was not done.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    /// Again after a while, for a reason that is not the step's: no attempt is spent. The reason stays on the step, where
    /// there is one to be told.
    PutOff(Duration, Option<&'a Failure>),
    /// It failed.
    Failed(Disposition, &'a Failure),
}

impl Engine {
    /// Decides what becomes of a failed step and records it.
    pub(super) async fn settle(&self, step: &ClaimedStep, epoch: &Epoch, failure: &Failure) {
        let jitter = self.0.clock.jitter();
        let retry = &self.tuning().retry;
        let disposition = match decide(failure, step.failures, step.max_attempts, step.attempt, jitter, retry) {
            // A run must end: its last step is tried until it succeeds, whatever went wrong.
            Disposition::FailRun | Disposition::StopSite if step.kind == FINAL_STEP => {
                Disposition::Retry(backoff(i32::from(step.failures), jitter, retry))
            }
            disposition => disposition,
        };
        self.record(step, epoch, Outcome::Failed(disposition, failure)).await;
    }

    /// The same for what the database answered. One that is away, silent, full or read-only is no step's fault, and neither
    /// is another transaction that was in the way: the step waits and spends nothing, so that no run fails for it, however
    /// long it lasts.
    pub(super) async fn settle_store(&self, step: &ClaimedStep, epoch: &Epoch, error: &store::Error) {
        let failure = Failure::new(FailureCode::Database, error.to_string());
        let jitter = self.0.clock.jitter();
        let wait = match error {
            error if error.is_outage() => outage_wait(step.attempt, jitter, &self.tuning().retry),
            // Somebody else was in the way: what this step wanted to write was right.
            error if error.is_contention() => contention_wait(step.attempt, jitter),
            _ => return self.settle(step, epoch, &failure).await,
        };
        tracing::warn!(event = events::STEP_PUT_OFF, wait_seconds = wait.as_secs_f64(), "{}", failure.message);
        self.record(step, epoch, Outcome::PutOff(wait, Some(&failure))).await;
    }

    /// Records it, trying again while the lease holds. If it cannot be recorded, the step is still claimed but no longer
    /// known to be in flight, and a later pulse takes it back.
    pub(super) async fn record(&self, step: &ClaimedStep, epoch: &Epoch, outcome: Outcome<'_>) {
        for wait_ms in [50, 200, 1000] {
            let written = tokio::select! {
                biased;
                () = epoch.lost.cancelled() => return,
                written = self.write(step, epoch, outcome) => written,
            };
            let Err(error) = written else { return };
            let error = sanitise(&error.to_string());
            tracing::warn!(event = events::OUTCOME_NOT_RECORDED, step_id = %step.id, error);
            tokio::select! {
                () = epoch.lost.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    async fn write(&self, step: &ClaimedStep, epoch: &Epoch, outcome: Outcome<'_>) -> Result<()> {
        let mut connection = store::acquire(&self.pool()).await?;
        let written = within(COMMIT, self.write_by(&mut connection, step, epoch, outcome)).await;
        if written.is_ok() {
            connection.give_back();
        }
        written
    }

    async fn write_by(
        &self,
        connection: &mut PgConnection,
        step: &ClaimedStep,
        epoch: &Epoch,
        outcome: Outcome<'_>,
    ) -> Result<()> {
        let mut tx = connection.begin_with(BEGIN_STEP).await?;
        let (clock, owner) = (&self.0.clock, epoch.owner);
        let details = |delay: Duration, gate: Option<&String>| json!({"step": step.kind, "key": step.key, "attempt": step.attempt, "delay_seconds": delay.as_secs_f64(), "gate": gate});
        match outcome {
            Outcome::PutOff(delay, reason) => {
                step::retry_later(&mut tx, clock, owner, step, delay, reason, false).await?;
            }
            Outcome::Failed(Disposition::Retry(delay), failure) => {
                if step::retry_later(&mut tx, clock, owner, step, delay, Some(failure), true).await? {
                    metrics::step_retried(self.kind_label(&step.kind), failure.code);
                    tracing::warn!(event = events::STEP_RETRIED, code = %failure.code, wait_seconds = delay.as_secs_f64(), "{}", failure.message);
                    let entry = Entry::failure(Level::Warn, events::STEP_RETRIED, failure).with(details(delay, None));
                    step::journal(&mut *tx, step.run_id, &step.kind, &[entry]).await?;
                }
            }
            Outcome::Failed(Disposition::Wait(delay), failure) => {
                // The gate that the failure is about is shut for the whole fleet; the step waits and spends nothing.
                let gate = match failure.scope {
                    PauseScope::Site => step.gates.first(),
                    PauseScope::Endpoint => step.gates.last(),
                };
                if step::retry_later(&mut tx, clock, owner, step, delay, Some(failure), false).await? {
                    tracing::info!(event = events::GATE_SHUT, code = %failure.code, gate, wait_seconds = delay.as_secs_f64(), "{}", failure.message);
                    if let Some(gate) = gate {
                        step::shut_gate(&mut tx, gate, delay, failure.code.as_str()).await?;
                    }
                    let entry = Entry::failure(Level::Info, events::GATE_SHUT, failure).with(details(delay, gate));
                    step::journal(&mut *tx, step.run_id, &step.kind, &[entry]).await?;
                }
            }
            Outcome::Failed(disposition @ (Disposition::FailRun | Disposition::StopSite), failure) => {
                let gate = step.gates.first().filter(|_| disposition == Disposition::StopSite);
                if let Some(gate) = gate {
                    step::take_turn(&mut tx, gate).await?;
                }
                if !step::fail_run(&mut tx, clock, owner, step, failure).await? {
                    return Ok(());
                }
                metrics::step_dead(self.kind_label(&step.kind), failure.code);
                tracing::error!(event = events::STEP_DEAD, step_id = %step.id, code = %failure.code, "{}", failure.message);
                let entry =
                    Entry::failure(Level::Error, events::STEP_DEAD, failure).with(details(Duration::ZERO, None));
                step::journal(&mut *tx, step.run_id, &step.kind, &[entry]).await?;
                if let Some(gate) = gate {
                    let (code, advice) = (failure.code, failure.code.advice());
                    tracing::error!(event = events::SITE_STOPPED, gate, %code, advice, "no retry until somebody acts");
                    for run_id in step::stop_gate(&mut tx, clock, gate, failure).await? {
                        tracing::error!(event = events::RUN_STOPPED, %run_id, code = %failure.code, "{}", failure.message);
                        let entry =
                            Entry::failure(Level::Error, events::RUN_STOPPED, failure).with(json!({"gate": gate}));
                        step::journal(&mut *tx, Some(run_id), &step.kind, &[entry]).await?;
                    }
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
