//! Whether this process lives and whether it may be given work.
//!
//! *Alive* asks the main loops, not the database: each beats a [`Heartbeat`], and a process whose loop has fallen silent is
//! wedged and should be restarted. *Ready* is what the runtime last said. A lost database makes a process not ready, never
//! dead: a restart would not bring the database back.
//!
//! What must hold: draining is final, and a beat costs one atomic store.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a process is doing, as far as sending it work is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It connects, checks the schema, starts its loops.
    Starting,
    /// It takes work.
    Ready,
    /// It was told to stop: it finishes or hands back what it has.
    Draining,
    /// The database does not answer; it tries to connect again.
    DatabaseLost,
}

impl State {
    const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Draining, Self::DatabaseLost];

    /// The state's name, as `/readyz` shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::DatabaseLost => "database_lost",
        }
    }

    /// What it means, for whoever reads the probe.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Starting => "not all loops have started yet",
            Self::Ready => "takes work",
            Self::Draining => "is stopping and takes no more work",
            Self::DatabaseLost => "the database does not answer; reconnecting",
        }
    }
}

/// The shared state behind `/readyz`; cheap to clone.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<AtomicU8>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(State::Starting as u8)))
    }
}

impl Readiness {
    /// Moves to `state`; does nothing once the process drains.
    pub fn set(&self, state: State) {
        let draining = State::Draining as u8;
        let keep = |now| (now != draining).then_some(state as u8);
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, keep);
    }

    /// The state now.
    pub fn get(&self) -> State {
        let now = self.0.load(Ordering::SeqCst);
        State::ALL.into_iter().find(|&state| state as u8 == now).unwrap_or(State::Starting)
    }
}

/// The loops of a process that must keep turning; cheap to clone.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    started: Instant,
    loops: Arc<Mutex<Vec<Arc<Loop>>>>,
}

#[derive(Debug)]
struct Loop {
    name: &'static str,
    allowed_silence: Duration,
    last_beat_millis: AtomicU64,
}

/// How often a loop that rests says so.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// The silence that is allowed to loops that ask the database: more than the longest that one turn may wait for it.
pub const ALLOWED_SILENCE: Duration = Duration::from_secs(90);

/// A loop's way to say that it turns. Dropping it takes the loop off the list: a loop that ended is not wedged.
#[derive(Debug)]
pub struct Heartbeat {
    of: Heartbeats,
    entry: Arc<Loop>,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { started: Instant::now(), loops: Arc::default() }
    }
}

impl Heartbeats {
    /// Adds a loop that must beat at least every `allowed_silence`: a multiple of its longest sleep.
    pub fn register(&self, name: &'static str, allowed_silence: Duration) -> Heartbeat {
        let entry = Arc::new(Loop { name, allowed_silence, last_beat_millis: AtomicU64::new(self.millis()) });
        self.loops.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&entry));
        Heartbeat { of: self.clone(), entry }
    }

    /// The loops that have been silent for too long, with the seconds of their silence.
    pub fn silent(&self) -> Vec<(&'static str, u64)> {
        self.silent_at(self.millis())
    }

    fn silent_at(&self, now: u64) -> Vec<(&'static str, u64)> {
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let silence =
            |entry: &Loop| Duration::from_millis(now.saturating_sub(entry.last_beat_millis.load(Ordering::Relaxed)));
        let late = loops.iter().filter(|entry| silence(entry) > entry.allowed_silence);
        late.map(|entry| (entry.name, silence(entry).as_secs())).collect()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Heartbeat {
    /// Says that the loop has turned.
    pub fn beat(&self) {
        self.entry.last_beat_millis.store(self.of.millis(), Ordering::Relaxed);
    }

    /// Waits for `rest` and says now and then that the loop is well: it sleeps, it does not hang. Work is not waited for by
    /// this.
    pub async fn rest<T>(&self, rest: impl Future<Output = T>) -> T {
        self.rest_beating(BEAT_EVERY, rest).await
    }

    async fn rest_beating<T>(&self, every: Duration, rest: impl Future<Output = T>) -> T {
        let mut rest = std::pin::pin!(rest);
        loop {
            self.beat();
            if let Ok(rested) = tokio::time::timeout(every, &mut rest).await {
                self.beat();
                return rested;
            }
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let mut loops = self.of.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|entry| !Arc::ptr_eq(entry, &self.entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_falls_silent_is_named_until_it_beats_again() {
        let heartbeats = Heartbeats::default();
        let claim = heartbeats.register("claim", Duration::from_secs(30));
        let renew = heartbeats.register("renew", Duration::from_secs(300));
        let beat =
            |loop_: &Heartbeat, second: u64| loop_.entry.last_beat_millis.store(second * 1000, Ordering::Relaxed);
        beat(&claim, 0);
        beat(&renew, 0);
        assert_eq!(heartbeats.silent_at(31_000), [("claim", 31)]);
        beat(&claim, 31);
        assert_eq!(heartbeats.silent_at(31_000), []);
        drop(claim);
        assert_eq!(heartbeats.silent_at(332_000), [("renew", 332)], "a loop that ended is not wedged");
        renew.beat();
        assert_eq!(heartbeats.silent(), []);
    }

    #[tokio::test]
    async fn a_loop_that_rests_beats_while_it_does() {
        let heartbeats = Heartbeats::default();
        let resting = heartbeats.register("resting", Duration::from_secs(30));
        let beats = || resting.entry.last_beat_millis.load(Ordering::Relaxed);
        let long_ago = || resting.entry.last_beat_millis.store(u64::MAX, Ordering::Relaxed);
        let rest = async {
            for _ in 0..3 {
                long_ago();
                // Until the loop has beaten again, which nobody else does.
                while beats() == u64::MAX {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        resting.rest_beating(Duration::from_millis(2), rest).await;
        assert_ne!(beats(), u64::MAX);
    }

    #[test]
    fn a_process_that_drains_is_never_ready_again() {
        let readiness = Readiness::default();
        assert_eq!(readiness.get(), State::Starting);
        readiness.set(State::Ready);
        readiness.set(State::DatabaseLost);
        readiness.set(State::Ready);
        assert_eq!(readiness.get(), State::Ready);
        readiness.set(State::Draining);
        readiness.set(State::Ready);
        assert_eq!(readiness.get(), State::Draining);
    }
}
