//! The durable-step machinery: what happens between a claim and a commit, for steps of any kind.
//!
//! A step runs in two phases. [`Step::run`] may await anything and has no transaction; it answers with a [`Commit`], whose
//! effects run inside one transaction together with the step's end and its successors. There is no way to hold a
//! transaction across a network call, because the phase that has the one does not have the other.
//!
//! What must hold: this module knows no Jira; a step that fails is never lost (its failure is recorded, or its lease runs
//! out and it is taken back); a panic, a time-out or a payload that cannot be read are failures of that step alone.

mod commit;
mod executor;
mod outcome;
mod retry;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, PgPool};

pub use executor::{Engine, EngineOptions, Epoch, Tuning};
pub use retry::{Disposition, RetryOptions, decide};
pub use slots::{Claimed, Slots};

use crate::clock::Clock;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::queue::Queue;
pub use crate::store::step::{ClaimedStep, FINAL_STEP, NewStep};
use crate::store::within;

/// A kind of step: how it is executed.
pub trait Step: Send + Sync + 'static {
    /// The name under which it is stored.
    fn kind(&self) -> &'static str;

    /// How long one attempt may take.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// The phase without a transaction.
    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>>;
}

/// What a step is given.
pub struct StepContext {
    /// The step itself.
    pub step: Arc<ClaimedStep>,
    /// For reading before the commit.
    pub pool: PgPool,
    /// Time and chance.
    pub clock: Clock,
    /// How long an answer of the database is waited for.
    pub patience: Duration,
}

impl StepContext {
    /// What the database answers, within this step's patience: whatever a step reads before its commit is asked for by this.
    ///
    /// # Errors
    /// Those of `work`, and [`crate::store::Error::Silent`].
    pub async fn hear<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, StepError>
    where
        StepError: From<E>,
    {
        within(self.patience, async { Ok(work.await?) }).await
    }

    /// The step's parameters as `T`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        T::deserialize(&self.step.payload).map_err(|error| {
            StepError::Failed(Failure::new(
                FailureCode::Internal,
                format!("payload of step {} cannot be read: {error}", self.step.kind),
            ))
        })
    }
}

/// Writes that commit together with the step's end; they may add successors.
pub type Effects =
    Box<dyn for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<NewStep>, StepError>> + Send + 'static>;

/// What a step that succeeded wants written.
#[derive(Default)]
pub struct Commit {
    /// Writes inside the transaction.
    pub effects: Option<Effects>,
    /// Successors that are known already.
    pub next: Vec<NewStep>,
    /// What is to be told once all of it is committed; left out when the claim was no longer ours.
    pub announce: Option<Box<dyn FnOnce() + Send + 'static>>,
}

impl Commit {
    /// Nothing to write: the step is done.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Only successors.
    pub fn next(next: Vec<NewStep>) -> Self {
        Self { next, ..Self::default() }
    }

    /// The same, and something to be told afterwards: log lines, metrics, spans. It must not block.
    pub fn announcing(mut self, announce: impl FnOnce() + Send + 'static) -> Self {
        self.announce = Some(Box::new(announce));
        self
    }

    /// Writes, which may add successors.
    pub fn effects<F>(effects: F) -> Self
    where
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<NewStep>, StepError>> + Send + 'static,
    {
        Self { effects: Some(Box::new(effects)), ..Self::default() }
    }
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// It failed; the code decides what happens next.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The database failed it.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl From<sqlx::Error> for StepError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl NewStep {
    /// Stands for the limit that the process is configured with.
    pub const DEFAULT_ATTEMPTS: i16 = 0;

    /// A step of `kind`, one of its kind by `key`, ready at once.
    pub fn new(queue: Queue, kind: &'static str, key: impl Into<String>) -> Self {
        Self {
            queue,
            kind,
            key: key.into(),
            payload: serde_json::Value::Object(serde_json::Map::new()),
            gates: Vec::new(),
            priority: 0,
            delay: Duration::ZERO,
            max_attempts: Self::DEFAULT_ATTEMPTS,
        }
    }

    /// The same with parameters. A payload that cannot be written as JSON becomes null, which its step will refuse.
    pub fn with(mut self, payload: &impl Serialize) -> Self {
        self.payload = serde_json::to_value(payload).unwrap_or_default();
        self
    }

    /// The same behind gates, the widest first.
    pub fn behind(mut self, gates: &[String]) -> Self {
        self.gates = gates.to_vec();
        self
    }

    /// The same, more or less urgent.
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// The same after a wait.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}
