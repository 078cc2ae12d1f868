//! The apalis backend of one queue: claimed steps, as they come from the feeder or from a commit in this process.

use std::convert::Infallible;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use tokio::sync::mpsc::UnboundedReceiver;
use tower::layer::util::Identity;

use crate::engine::Claimed;

/// Steps that were claimed for this process. Nothing is decoded and nothing acknowledged here: the row is the task, and
/// ending it is part of the step's own transaction.
pub(super) struct StepBackend {
    receiver: UnboundedReceiver<Claimed>,
}

impl StepBackend {
    pub(super) fn new(receiver: UnboundedReceiver<Claimed>) -> Self {
        Self { receiver }
    }
}

impl Backend for StepBackend {
    type Task = Task<Claimed>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.receiver.poll_recv(cx).map(|claimed| {
            claimed.map(|claimed| {
                let id = TaskId::from_string(claimed.step.id.to_string());
                Ok(TaskBuilder::new(claimed).task_id(id).build())
            })
        })
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for StepBackend {
    type Args = Claimed;
    type Id = uuid::Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
