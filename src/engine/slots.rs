//! The free places of this process, by queue, and the way to them.
//!
//! A step takes a place before it is claimed and keeps it until it ended. A step that ends may hand its successor straight
//! to a free place (its own, or one of another queue): the successor is claimed by the same commit, which saves the claim
//! and the wake-up, and the page that was just fetched is still in memory.
//!
//! Each site (the widest gate of a step) that holds fewer than its share of the places may go on when all are taken: there are
//! some places more for that, so that one site which does not answer holds up nobody else.
//!
//! What must hold: never more steps than places, those for other sites counted apart; who waits longer in the database is not
//! starved by chains ([`MAX_CHAIN`], [`LONGEST_CHAIN`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::executor::Epoch;
use crate::domain::queue::Queue;
use crate::store::step::ClaimedStep;

/// How many steps may follow each other past the queue before one has to wait in line.
pub const MAX_CHAIN: u8 = 16;
/// And for how long, so that a place comes free soon where each step takes its time.
pub const LONGEST_CHAIN: Duration = Duration::from_millis(250);
/// For each place so many more, for sites that have less than their share.
const PLACES_FOR_OTHERS: usize = 3;

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
    /// When the first of them was claimed.
    pub since: Instant,
}

/// Places by queue.
#[derive(Debug)]
pub struct Slots {
    queues: [Lane; 3],
}

#[derive(Debug)]
struct Lane {
    capacity: AtomicUsize,
    permits: Arc<Semaphore>,
    others: Arc<Semaphore>,
    sender: UnboundedSender<Claimed>,
    receiver: Mutex<Option<UnboundedReceiver<Claimed>>>,
    wake: Notify,
    wake_others: Notify,
}

impl Slots {
    /// `capacity` places for each queue, in the order of [`Queue::ALL`].
    pub fn new(capacity: [usize; 3]) -> Self {
        Self {
            queues: capacity.map(|capacity| {
                let (sender, receiver) = unbounded_channel();
                Lane {
                    capacity: AtomicUsize::new(capacity),
                    permits: Arc::new(Semaphore::new(capacity)),
                    others: Arc::new(Semaphore::new(capacity * PLACES_FOR_OTHERS)),
                    sender,
                    receiver: Mutex::new(Some(receiver)),
                    wake: Notify::new(),
                    wake_others: Notify::new(),
                }
            }),
        }
    }

    /// The places of a queue, free or not.
    pub fn capacity(&self, queue: Queue) -> usize {
        self.queues[queue.index()].capacity.load(Ordering::Relaxed)
    }

    /// Gives a queue more places at once, or fewer as soon as those that are taken become free.
    pub fn resize(&self, queue: Queue, places: usize) {
        let lane = &self.queues[queue.index()];
        let before = lane.capacity.swap(places, Ordering::Relaxed);
        lane.permits.add_permits(places.saturating_sub(before));
        let surplus = before.saturating_sub(places);
        let busy = surplus - lane.permits.forget_permits(surplus);
        if let Ok(busy) = u32::try_from(busy)
            && busy > 0
        {
            let permits = Arc::clone(&lane.permits);
            // Who waits for a place is served in turn, so that this one gets what is set free before later ones do.
            tokio::spawn(async move {
                if let Ok(freed) = permits.acquire_many_owned(busy).await {
                    freed.forget();
                }
            });
        }
    }

    /// The free places of a queue.
    pub fn free(&self, queue: Queue) -> usize {
        self.queues[queue.index()].permits.available_permits()
    }

    /// A place, if one is free now.
    pub fn try_take(&self, queue: Queue) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queues[queue.index()].permits).try_acquire_owned().ok()
    }

    /// A place for a site that has less than its share, should one be free.
    pub fn try_take_for_others(&self, queue: Queue) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queues[queue.index()].others).try_acquire_owned().ok()
    }

    /// The sites that hold their share already; `held` says how many steps each has.
    pub fn with_their_share(&self, queue: Queue, held: &[(String, i32)]) -> Vec<String> {
        let capacity = self.capacity(queue);
        // Of all places, those beside too, as if one more site waited; and never more than one site alone would have.
        let share = (capacity * (1 + PLACES_FOR_OTHERS) / (held.len() + 1)).clamp(1, capacity.max(1));
        let share = i32::try_from(share).unwrap_or(i32::MAX);
        held.iter().filter(|(_, steps)| *steps >= share).map(|(site, _)| site.clone()).collect()
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
        let lane = &self.queues[queue.index()];
        lane.wake.notify_one();
        lane.wake_others.notify_one();
    }

    /// Says that a site may have less than its share now.
    pub fn wake_for_others(&self, queue: Queue) {
        self.queues[queue.index()].wake_others.notify_one();
    }

    /// Waits until a queue may have steps for sites that have less than their share.
    pub async fn woken_for_others(&self, queue: Queue) {
        self.queues[queue.index()].wake_others.notified().await;
    }

    /// Waits until a queue has ready steps.
    pub async fn woken(&self, queue: Queue) {
        self.queues[queue.index()].wake.notified().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_its_share_when_others_could_have_as_much() {
        let slots = Slots::new([8, 2, 2]);
        let full = |held: &[(&str, i32)]| {
            let held: Vec<(String, i32)> = held.iter().map(|(site, steps)| ((*site).to_owned(), *steps)).collect();
            slots.with_their_share(Queue::Jira, &held)
        };
        assert_eq!(full(&[("a", 8)]), ["a"], "the places of the queue are all that one site may have");
        assert!(full(&[("a", 7)]).is_empty());
        assert_eq!(full(&[("a", 8), ("b", 7)]), ["a"], "beside a site that hangs another has as many");
        assert_eq!(full(&[("a", 8), ("b", 6), ("c", 6), ("d", 5)]), ["a", "b", "c"], "32 places for five");
        let many: Vec<(String, i32)> = (0..40).map(|n| (n.to_string(), 1)).collect();
        assert_eq!(slots.with_their_share(Queue::Jira, &many).len(), 40, "one place each at most");
    }

    #[tokio::test]
    async fn places_are_added_at_once_and_taken_away_as_they_become_free() {
        let slots = Slots::new([2, 1, 1]);
        let held = [slots.try_take(Queue::Jira).unwrap(), slots.try_take(Queue::Jira).unwrap()];
        slots.resize(Queue::Jira, 3);
        assert_eq!(slots.free(Queue::Jira), 1);
        slots.resize(Queue::Jira, 1);
        assert_eq!((slots.free(Queue::Jira), slots.capacity(Queue::Jira)), (0, 1));
        tokio::task::yield_now().await; // who takes the surplus away stands in line now
        drop(held);
        // The place that is left comes only after the surplus was taken away.
        let last = slots.take(Queue::Jira).await.unwrap();
        assert_eq!(slots.free(Queue::Jira), 0);
        drop(last);
        assert_eq!(slots.free(Queue::Jira), 1);
        assert_eq!(slots.free(Queue::Store), 1, "other queues keep theirs");
    }
}
