//! Time and randomness, injected.
//!
//! Everything that decides by time or chance takes a [`Clock`]; nothing else in the crate may ask the operating system
//! (`.clippy.toml` refuses it). Tests move a [`VirtualClock`] by hand and get the same ids and the same jitter each time.
//!
//! The clocks of machines differ, and one of them may be wrong by years. So a process tells the time by the database's clock:
//! it is read every few seconds ([`Clock::follow`]), and between two readings this process' monotonic clock counts on. The
//! machine's own time ([`Clock::own`]) decides nothing; how far it is off is told. *Leases and ready times of steps* are
//! compared in the database itself (`docs/decisions/0020-one-clock.md`).

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    System(Followed),
    Virtual(VirtualClock),
}

/// The machine's clock until another one is followed.
#[derive(Debug)]
struct Followed {
    began: Instant,
    /// Microseconds since 1970 at `began`, by the clock that is followed.
    theirs: AtomicI64,
    /// How far this machine's clock is off by itself; for tests and rehearsals.
    off_by: TimeDelta,
}

/// No clock is followed yet.
const NOBODY: i64 = i64::MIN;

impl Followed {
    fn new(off_by: TimeDelta) -> Self {
        Self { began: Instant::now(), theirs: AtomicI64::new(NOBODY), off_by }
    }

    #[allow(clippy::disallowed_methods)] // the one place that may
    fn own(&self) -> DateTime<Utc> {
        (Utc::now() + self.off_by).trunc_subsecs(6)
    }

    fn now(&self) -> DateTime<Utc> {
        let theirs = self.theirs.load(Ordering::Relaxed);
        let micros = theirs.saturating_add(micros(self.began.elapsed()));
        let followed = DateTime::from_timestamp_micros(micros).filter(|_| theirs != NOBODY);
        followed.unwrap_or_else(|| self.own())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
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
    pub fn system() -> Self {
        Self::off_by(TimeDelta::zero())
    }

    /// The clock of a machine that is so far ahead (or, negative, behind), for tests and rehearsals.
    #[allow(clippy::disallowed_methods)] // the one place where chance comes from the operating system
    pub fn off_by(off_by: TimeDelta) -> Self {
        let source = Source::System(Followed::new(off_by));
        Self(Arc::new(Inner { source, rng: Mutex::new(StdRng::from_os_rng()) }))
    }

    /// A clock that stands still until moved, with a generator that repeats for the same `seed`.
    pub fn virtual_at(start: DateTime<Utc>, seed: u64) -> (Self, VirtualClock) {
        let hands = VirtualClock(Arc::new(AtomicU64::new(0)));
        hands.set(start);
        let inner = Inner { source: Source::Virtual(hands.clone()), rng: Mutex::new(StdRng::seed_from_u64(seed)) };
        (Self(Arc::new(inner)), hands)
    }

    /// The time now, UTC, in whole microseconds: PostgreSQL keeps no more, and a time must read back as it was written.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0.source {
            Source::System(followed) => followed.now(),
            Source::Virtual(hands) => hands.now(),
        }
    }

    /// The time by this machine's own clock, which decides nothing where another one is followed.
    pub fn own(&self) -> DateTime<Utc> {
        match &self.0.source {
            Source::System(followed) => followed.own(),
            Source::Virtual(hands) => hands.now(),
        }
    }

    /// Whether there is a clock to be followed; a virtual one is moved by hand.
    pub fn follows(&self) -> bool {
        matches!(self.0.source, Source::System(_))
    }

    /// Follows another clock from now on, which showed `theirs` somewhere between `asked` and now.
    pub fn follow(&self, theirs: DateTime<Utc>, asked: Instant) {
        let Source::System(followed) = &self.0.source else { return };
        let since = asked.saturating_duration_since(followed.began) + asked.elapsed() / 2;
        followed.theirs.store(theirs.timestamp_micros().saturating_sub(micros(since)), Ordering::Relaxed);
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
    fn a_clock_that_is_wrong_tells_the_time_of_the_one_it_follows() {
        let clock = Clock::off_by(TimeDelta::days(400));
        assert!(clock.now() > Clock::system().now() + TimeDelta::days(399), "nobody is followed yet");
        let theirs = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        clock.follow(theirs, Instant::now());
        let passed = clock.now() - theirs;
        assert!(passed >= TimeDelta::zero() && passed < TimeDelta::minutes(1), "{passed}");
        assert!(clock.own() > Clock::system().now() + TimeDelta::days(399), "its own time is known");
        let (hands, _) = Clock::virtual_at(theirs, 1);
        hands.follow(theirs + TimeDelta::days(1), Instant::now());
        assert_eq!(hands.now(), theirs, "a virtual clock is moved by hand alone");
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
