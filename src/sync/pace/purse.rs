//! The turns of one bucket that this process holds: taken in bundles, handed out in order, given back when not used.
//!
//! What must hold: one statement at a time asks for turns, for everyone here who waits; no turn is used long after its time,
//! because a site that counts by windows would see two in one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::rate::{self, Learned, Level, Told};
use crate::store::patience::ANSWER;
use crate::store::rate::{self as buckets, Ask, Change, Turns};
use crate::store::within;

/// How far ahead turns are taken: long enough for a few statements a second, short enough to stop soon in a pause.
const HORIZON: Duration = Duration::from_millis(300);
/// A turn that was not used so long after its time is given back.
const KEPT: Duration = Duration::from_millis(150);
/// A bundle is at most what the whole fleet may ask in this time.
const BUNDLE_SECONDS: f64 = 0.2;
/// Where fewer turns were given than wanted, the next bundle is asked for after about so long, or when there can be one:
/// well within [`HORIZON`], so that no turn of the schedule is left to nobody.
const ASK_AGAIN: Duration = Duration::from_millis(120);
/// Nobody sleeps longer than this without asking: the rate may have risen.
const ASK_AT_LEAST: Duration = Duration::from_secs(1);

/// One bucket, as this process uses it.
pub(super) struct Purse {
    /// The bucket's key.
    pub key: String,
    gates: Vec<String>,
    waiting: AtomicU32,
    hand: tokio::sync::Mutex<Hand>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Hand {
    turns: VecDeque<Instant>,
    returned: u32,
    known: Option<(Turns, Instant)>,
    /// Before this time there is nothing to be had.
    not_before: Option<Instant>,
    /// Whether somebody had to wait since the rate was last adapted.
    busy: bool,
    /// When the next one may go out that the database knows nothing of.
    next_share: Option<Instant>,
    /// Turns used since then, for the size of bundles.
    used: u32,
    used_since: Option<Instant>,
}

/// What good answers said since the rate was last adapted.
#[derive(Default)]
struct Seen {
    answers: u32,
    level: Option<Level>,
}

/// What became of waiting for a turn.
pub(super) enum Turn {
    /// Ask at this time.
    At(Instant),
    /// Everyone pauses for so long.
    Paused(Duration),
    /// The limit has been forgotten: ask as you like.
    Free,
}

impl Purse {
    pub(super) fn new(key: &str, gates: Vec<String>) -> Self {
        Self {
            key: key.to_owned(),
            gates,
            waiting: AtomicU32::new(0),
            hand: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// A turn, when there is one. Everyone waits in the order in which they came. Where the database gives none, the rate that
    /// was known last is kept, as this process's share among `workers`; an error where none was.
    pub(super) async fn turn(&self, pool: &PgPool, clock: &Clock, workers: i64) -> Result<Turn, crate::store::Error> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        let mut hand = self.hand.lock().await;
        loop {
            if let Some(at) = hand.next(Instant::now()) {
                return Ok(Turn::At(at));
            }
            if let Some(time) = hand.not_before.take() {
                tokio::time::sleep_until(time).await;
            }
            let change = self.change(&mut hand);
            let wanted = hand.bundle(self.waiting.load(Ordering::Relaxed));
            let ask = Ask {
                key: &self.key,
                gates: &self.gates,
                wanted,
                returned: f64::from(std::mem::take(&mut hand.returned)),
                horizon: HORIZON,
                change,
            };
            let turns = match within(ANSWER, buckets::take(pool, ask)).await {
                Ok(Some(turns)) => turns,
                Ok(None) => return Ok(Turn::Free),
                Err(error) => return hand.share(workers).map(Turn::At).ok_or(error),
            };
            let now = Instant::now();
            hand.known = Some((turns, now));
            if let Some(pause) = turns.paused_for {
                hand.turns.clear();
                return Ok(Turn::Paused(pause));
            }
            // While requests return after a pause, the rate is not used, whoever waits.
            hand.busy |= turns.pace >= turns.rate && (turns.given == 0 || !turns.first_in.is_zero());
            let distance = 1.0 / turns.pace;
            hand.turns.extend(
                (0..turns.given).map(|n| now + turns.first_in + Duration::from_secs_f64(f64::from(n) * distance)),
            );
            if turns.given < wanted {
                let pause = ASK_AGAIN.mul_f64(0.75 + clock.jitter() / 2.0);
                let until_any = if turns.given == 0 { turns.first_in.min(ASK_AT_LEAST) } else { Duration::ZERO };
                hand.not_before = Some(now + pause.max(until_any));
            }
        }
    }

    /// Drops what is in hand: a pause has begun, and its turns are over.
    pub(super) async fn forfeit(&self) {
        self.hand.lock().await.turns.clear();
    }

    /// Takes note of what a good answer said.
    pub(super) fn saw(&self, told: &Told) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.answers = seen.answers.saturating_add(1);
        seen.level = match (seen.level, Level::of(told)) {
            (Some(before), Some(now)) => Some(before.and(now)),
            (before, now) => now.or(before),
        };
    }

    /// Whether answers of late said that there is much left: a refusal is then not this limit's.
    pub(super) fn is_roomy(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.level.is_some_and(|level| level.low > level.limit / 2.0)
    }

    /// A new rate, when one is due.
    fn change(&self, hand: &mut Hand) -> Option<Change> {
        let (known, at) = hand.known?;
        let age = known.age + at.elapsed();
        if age < rate::ADAPT_EVERY {
            return None;
        }
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        if seen.answers == 0 {
            return None;
        }
        let busy = std::mem::take(&mut hand.busy);
        let learned = Learned { rate: known.rate, ceiling: known.ceiling, remaining: known.remaining, age };
        let rate = rate::adapt(&learned, seen.level.as_ref(), busy);
        Some(Change {
            known_at: known.adapted_at,
            rate,
            burst: rate::burst(rate),
            remaining: seen.level.map(|level| level.low),
            felt: busy || seen.level.is_some_and(|level| level.is_felt()),
        })
    }
}

impl Hand {
    /// The next turn that is not over yet.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        while let Some(at) = self.turns.pop_front() {
            if at + KEPT >= now {
                self.used += 1;
                return Some(at);
            }
            self.returned += 1;
        }
        None
    }

    /// A turn of this process's share of the rate.
    fn share(&mut self, workers: i64) -> Option<Instant> {
        let (known, _) = self.known?;
        let now = Instant::now();
        let at = self.next_share.map_or(now, |next| next.max(now));
        self.next_share = Some(at + Duration::from_secs_f64(workers.max(1) as f64 / known.pace));
        Some(at)
    }

    /// How many turns to take: for those who wait, or for as many as came in such a time lately.
    fn bundle(&mut self, waiting: u32) -> i32 {
        let now = Instant::now();
        let since = *self.used_since.get_or_insert(now);
        let seconds = (now - since).as_secs_f64();
        let lately = f64::from(self.used) / seconds.max(BUNDLE_SECONDS) * BUNDLE_SECONDS;
        if seconds > 2.0 {
            (self.used, self.used_since) = (self.used / 2, Some(now - Duration::from_secs(1)));
        }
        let most = self.known.map_or(1.0, |(turns, _)| turns.pace * BUNDLE_SECONDS).max(1.0);
        f64::from(waiting).max(lately).clamp(1.0, most) as i32
    }
}

/// Counts one who waits, until it does no more.
struct Waits<'a>(&'a AtomicU32);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
