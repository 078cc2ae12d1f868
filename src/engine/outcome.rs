//! Recording that a step did not succeed: what becomes of it, of its run, and of everyone behind the same gate.

use std::time::Duration;

use serde_json::json;

use super::executor::{Engine, Epoch};
use super::retry::{Disposition, decide, outage_wait};
use crate::domain::failure::{Failure, FailureCode, PauseScope, sanitise};
use crate::observe::metrics;
use crate::store::step::{self, ClaimedStep, Entry, Level};
use crate::store::{self, Result};

impl Engine {
    /// Decides what becomes of a failed step and records it.
    pub(super) async fn settle(&self, step: &ClaimedStep, epoch: &Epoch, failure: &Failure) {
        let jitter = self.0.clock.jitter();
        let disposition =
            decide(failure, step.failures, step.max_attempts, step.attempt, jitter, &self.0.options.retry);
        self.record(step, epoch, disposition, failure).await;
    }

    /// The same for what the database answered. One that is away, full or read-only is no step's fault: the step waits
    /// for it and spends nothing, so that no run fails for it, however long it lasts.
    pub(super) async fn settle_store(&self, step: &ClaimedStep, epoch: &Epoch, error: &store::Error) {
        let failure = Failure::new(FailureCode::Database, error.to_string());
        if !error.is_outage() {
            return self.settle(step, epoch, &failure).await;
        }
        let wait = outage_wait(step.attempt, self.0.clock.jitter(), &self.0.options.retry);
        tracing::warn!(event = "database_unusable", delay_seconds = wait.as_secs_f64(), "{}", failure.message);
        self.record(step, epoch, Disposition::NotYet(wait), &failure).await;
    }

    /// Records it, trying again while the lease holds. If it cannot be recorded, the step is still claimed but no longer
    /// known to be in flight, and a later pulse takes it back.
    pub(super) async fn record(&self, step: &ClaimedStep, epoch: &Epoch, disposition: Disposition, failure: &Failure) {
        for wait_ms in [50, 200, 1000] {
            match self.write(step, epoch, disposition, failure).await {
                Ok(()) => return,
                Err(error) => {
                    let error = sanitise(&error.to_string());
                    tracing::warn!(event = "outcome_not_recorded", step_id = %step.id, error);
                }
            }
            tokio::select! {
                () = epoch.lost.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    async fn write(
        &self,
        step: &ClaimedStep,
        epoch: &Epoch,
        disposition: Disposition,
        failure: &Failure,
    ) -> Result<()> {
        let mut tx = self.0.pool.begin().await?;
        let owner = epoch.owner;
        let details = |delay: Duration, gate: Option<&String>| json!({"step": step.kind, "key": step.key, "attempt": step.attempt, "delay_seconds": delay.as_secs_f64(), "gate": gate});
        match disposition {
            Disposition::NotYet(delay) => {
                step::retry_later(&mut tx, owner, step, delay, false, failure).await?;
            }
            Disposition::Retry(delay) => {
                if step::retry_later(&mut tx, owner, step, delay, true, failure).await? {
                    metrics::step_retried(self.kind_label(&step.kind), failure.code);
                    tracing::warn!(event = "step_retried", code = %failure.code, delay_seconds = delay.as_secs_f64(), "{}", failure.message);
                    let entry = Entry::failure(Level::Warn, "step_retried", failure).with(details(delay, None));
                    step::journal(&mut *tx, step.run_id, &step.kind, &[entry]).await?;
                }
            }
            Disposition::Wait(delay) => {
                // The gate that the failure is about is shut for the whole fleet; the step waits and spends nothing.
                let gate = match failure.scope {
                    PauseScope::Site => step.gates.first(),
                    PauseScope::Endpoint => step.gates.last(),
                };
                if step::retry_later(&mut tx, owner, step, delay, false, failure).await? {
                    tracing::info!(event = "gate_shut", code = %failure.code, gate, delay_seconds = delay.as_secs_f64(), "{}", failure.message);
                    if let Some(gate) = gate {
                        step::shut_gate(&mut tx, gate, delay, failure.code.as_str()).await?;
                    }
                    let entry = Entry::failure(Level::Info, "gate_shut", failure).with(details(delay, gate));
                    step::journal(&mut *tx, step.run_id, &step.kind, &[entry]).await?;
                }
            }
            Disposition::FailRun | Disposition::StopSite => {
                if !step::fail_run(&mut tx, &self.0.clock, owner, step, failure).await? {
                    return Ok(());
                }
                metrics::step_dead(self.kind_label(&step.kind), failure.code);
                tracing::error!(event = "step_dead", code = %failure.code, "{}", failure.message);
                let entry = Entry::failure(Level::Error, "step_dead", failure).with(details(Duration::ZERO, None));
                step::journal(&mut *tx, step.run_id, &step.kind, &[entry]).await?;
                if disposition == Disposition::StopSite
                    && let Some(gate) = step.gates.first()
                {
                    for run_id in step::stop_gate(&mut tx, &self.0.clock, gate, failure).await? {
                        tracing::error!(event = "run_stopped", %run_id, code = %failure.code, "{}", failure.message);
                        let entry = Entry::failure(Level::Error, "run_stopped", failure).with(json!({"gate": gate}));
                        step::journal(&mut *tx, Some(run_id), &step.kind, &[entry]).await?;
                    }
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
