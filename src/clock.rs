//! Time and randomness, injected.
//!
//! Everything that decides by time or chance takes a [`Clock`]; nothing else in the crate may ask the operating system
//! (`.clippy.toml` refuses it). Tests move a [`VirtualClock`] by hand and get the same ids and the same jitter each time.
//!
//! Two clocks exist on purpose. *This* one decides schedules, windows and waits. *Leases and ready times of steps* are
//! compared by the database's own clock, because the clocks of pods differ (`docs/decisions/0002-two-clocks.md`).

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use uuid::Uuid;

/// A source of time, ids and randomness; cheap to clone, shared by everything in a process.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    rng: Mutex<StdRng>,
}

#[derive(Debug)]
enum Source {
    System,
    Virtual(VirtualClock),
}

/// The hands of a clock that only tests and rehearsals move.
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    /// Moves time forward.
    pub fn advance(&self, by: TimeDelta) {
        let millis = u64::try_from(by.num_milliseconds()).unwrap_or(0);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the time, also backwards: a clock that jumps.
    pub fn set(&self, to: DateTime<Utc>) {
        let millis = u64::try_from(to.timestamp_millis()).unwrap_or(0);
        self.0.store(millis, Ordering::SeqCst);
    }

    fn now(&self) -> DateTime<Utc> {
        let millis = i64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(i64::MAX);
        DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl Clock {
    /// The machine's clock and a generator seeded by the operating system.
    #[allow(clippy::disallowed_methods)] // the one place that may
    pub fn system() -> Self {
        Self(Arc::new(Inner { source: Source::System, rng: Mutex::new(StdRng::from_os_rng()) }))
    }

    /// A clock that stands still until moved, with a generator that repeats for the same `seed`.
    pub fn virtual_at(start: DateTime<Utc>, seed: u64) -> (Self, VirtualClock) {
        let hands = VirtualClock(Arc::new(AtomicU64::new(0)));
        hands.set(start);
        let inner = Inner { source: Source::Virtual(hands.clone()), rng: Mutex::new(StdRng::seed_from_u64(seed)) };
        (Self(Arc::new(inner)), hands)
    }

    /// The time now, UTC, in whole microseconds: PostgreSQL keeps no more, and a time must read back as it was written.
    #[allow(clippy::disallowed_methods)] // the one place that may
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0.source {
            Source::System => Utc::now().trunc_subsecs(6),
            Source::Virtual(hands) => hands.now(),
        }
    }

    /// A UUIDv7 of this instant: sorts by the time it was made.
    pub fn new_id(&self) -> Uuid {
        let millis = u64::try_from(self.now().timestamp_millis()).unwrap_or(0);
        let mut bytes = [0u8; 10];
        self.with_rng(|rng| rng.fill_bytes(&mut bytes));
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    /// A number in `0.0..1.0`, for jitter.
    pub fn jitter(&self) -> f64 {
        self.with_rng(|rng| rng.random::<f64>())
    }

    /// Fills `bytes` with randomness (keys, nonces, passwords).
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.with_rng(|rng| rng.fill_bytes(bytes));
    }

    fn with_rng<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        let mut rng = self.0.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        f(&mut rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let (a, _) = Clock::virtual_at(start, 7);
        let (b, _) = Clock::virtual_at(start, 7);
        let (other, _) = Clock::virtual_at(start, 8);
        let id = a.new_id();
        assert_eq!(id, b.new_id());
        assert_ne!(id, other.new_id());
        assert_eq!(id.get_version_num(), 7);
    }

    #[test]
    fn virtual_time_moves_only_by_hand() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let (clock, hands) = Clock::virtual_at(start, 1);
        assert_eq!(clock.now(), start);
        hands.advance(TimeDelta::minutes(15));
        assert_eq!(clock.now(), start + TimeDelta::minutes(15));
        hands.set(start - TimeDelta::hours(1));
        assert_eq!(clock.now(), start - TimeDelta::hours(1));
    }
}
