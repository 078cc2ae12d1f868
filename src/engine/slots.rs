//! The free places of this process, by queue, and the way to them.
//!
//! A step takes a place before it is claimed and keeps it until it ended. A step that ends may hand its successor straight
//! to a free place (its own, or one of another queue): the successor is claimed by the same commit, which saves the claim
//! and the wake-up, and the page that was just fetched is still in memory.
//!
//! What must hold: never more steps than places; who waits longer in the database is not starved by chains ([`MAX_CHAIN`]).

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::executor::Epoch;
use crate::domain::queue::Queue;
use crate::store::step::ClaimedStep;

/// How many steps may follow each other past the queue before one has to wait in line.
pub const MAX_CHAIN: u8 = 16;

/// A claimed step on its way to, or in, its place.
#[derive(Debug)]
pub struct Claimed {
    /// The step.
    pub step: Arc<ClaimedStep>,
    /// Under which lease it was claimed.
    pub epoch: Epoch,
    /// Its place.
    pub permit: OwnedSemaphorePermit,
    /// How many steps before it came past the queue.
    pub chain: u8,
}

/// Places by queue.
#[derive(Debug)]
pub struct Slots {
    queues: [Lane; 3],
}

#[derive(Debug)]
struct Lane {
    capacity: usize,
    permits: Arc<Semaphore>,
    sender: UnboundedSender<Claimed>,
    receiver: Mutex<Option<UnboundedReceiver<Claimed>>>,
    wake: Notify,
}

impl Slots {
    /// `capacity` places for each queue, in the order of [`Queue::ALL`].
    pub fn new(capacity: [usize; 3]) -> Self {
        Self {
            queues: capacity.map(|capacity| {
                let (sender, receiver) = unbounded_channel();
                Lane {
                    capacity,
                    permits: Arc::new(Semaphore::new(capacity)),
                    sender,
                    receiver: Mutex::new(Some(receiver)),
                    wake: Notify::new(),
                }
            }),
        }
    }

    /// The places of a queue, free or not.
    pub fn capacity(&self, queue: Queue) -> usize {
        self.queues[queue.index()].capacity
    }

    /// The free places of a queue.
    pub fn free(&self, queue: Queue) -> usize {
        self.queues[queue.index()].permits.available_permits()
    }

    /// A place, if one is free now.
    pub fn try_take(&self, queue: Queue) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queues[queue.index()].permits).try_acquire_owned().ok()
    }

    /// A place, as soon as one is free; none when the process is stopping.
    pub async fn take(&self, queue: Queue) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queues[queue.index()].permits).acquire_owned().await.ok()
    }

    /// Sends a claimed step to its place. False when the process is stopping.
    pub fn send(&self, claimed: Claimed) -> bool {
        self.queues[claimed.step.queue.index()].sender.send(claimed).is_ok()
    }

    /// The receiving end of a queue's places; it exists once.
    pub fn receiver(&self, queue: Queue) -> Option<UnboundedReceiver<Claimed>> {
        self.queues[queue.index()].receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Says that a queue has ready steps.
    pub fn wake(&self, queue: Queue) {
        self.queues[queue.index()].wake.notify_one();
    }

    /// Waits until a queue has ready steps.
    pub async fn woken(&self, queue: Queue) {
        self.queues[queue.index()].wake.notified().await;
    }
}
