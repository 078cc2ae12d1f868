//! How fast a site may be asked, learnt from what it says: one rule for every kind of limiter.
//!
//! Jira tells a limit, what is left of it and sometimes when it is refilled, but not how it counts: by a bucket that is
//! refilled all the time, or by windows that begin anew. Both are steered by the same rule. What is left is a *level*: where
//! it falls, we ask faster than it is refilled, where it rises, slower; the rate follows the slope, and the level is brought
//! to a small reserve. A bucket then settles exactly at its refill; a window settles where the reserve is left at its end.
//! Without a word of what is left, the rate rises until it is refused and then stays just below that: the next attempt at
//! more is minutes away, so that probing costs next to no refusals.
//!
//! What must hold: pure; a rate stays within bounds whatever a header says.

use std::time::Duration;

/// The lowest and the highest rate that is ever learnt, per second.
pub const RATES: (f64, f64) = (0.05, 100_000.0);
/// What may be asked at once after a rest: this many seconds' worth.
const BURST_SECONDS: f64 = 0.1;
/// The rate is adapted at most so often, over the whole fleet.
pub const ADAPT_EVERY: Duration = Duration::from_secs(1);

/// How much of the level's slope is answered at once. With [`DRAW_SECONDS`] this is well damped for buckets and windows.
const SLOPE_GAIN: f64 = 0.5;
/// In how many seconds the level is brought to the reserve.
const DRAW_SECONDS: f64 = 10.0;
/// The reserve of a window and of a bucket, as a share of the limit.
const WINDOW_RESERVE: f64 = 0.03;
const BUCKET_RESERVE: f64 = 0.25;
/// The largest steps up and down of one adaptation.
const LARGEST_RISE: f64 = 0.10;
const LARGEST_FALL: f64 = 0.30;

/// A larger limit is no burst's but a quota's, whose level falls by the hour and counts other things than requests.
const LARGEST_BURST: f64 = 5_000.0;

/// After a refusal: the share of the refused rate at which to go on, and the same when it is refused again at once.
const CUT: f64 = 0.9;
const DEEP_CUT: f64 = 0.7;
/// Two refusals within this time, with the pause in between, say that the rate is far off.
const AGAIN_SOON: Duration = Duration::from_secs(4);
/// Up to this share of a rate that was refused, the rate rises quickly; above it, by a hundredth a minute.
const KNOWN_GOOD: f64 = 0.96;
const RISE_PER_SECOND: f64 = 0.02;
const PROBE_PER_SECOND: f64 = 0.01 / 60.0;

/// After a pause requests return by degrees: from this share of the rate, in as long as the pause was, since as much has piled
/// up, but in no more than [`RETURN_SECONDS`]. Then the first second sees a third of the rate.
pub const RETURN_FROM: f64 = 0.2;
/// See [`RETURN_FROM`].
pub const RETURN_SECONDS: f64 = 3.0;
/// After a pause of no time at all, this counts as its length.
pub const RETURN_LEAST_SECONDS: f64 = 0.2;
/// A rate of no more than so many requests per second returns at once: nobody storms with it.
pub const RETURN_LEAST: f64 = 2.0;

/// In what time requests return after a pause.
pub fn return_time(pause: Duration) -> Duration {
    Duration::from_secs_f64(pause.as_secs_f64().clamp(RETURN_LEAST_SECONDS, RETURN_SECONDS))
}

/// How the share of the rate rises, so that it is all of it after `within` seconds.
fn rise(within: f64) -> f64 {
    (1.0 - RETURN_FROM) / (2.0 * within)
}

/// When the request of this number (from 0) goes out after a `pause`, counted from its end, where `asked` were asked for per
/// second before it.
pub fn returns_after(number: u32, asked: f64, pause: Duration) -> Duration {
    let within = return_time(pause).as_secs_f64();
    let rise = rise(within);
    let wanted = f64::from(number) / asked.max(RATES.0);
    let in_return = within * f64::midpoint(RETURN_FROM, 1.0);
    let seconds = if wanted >= in_return {
        within + wanted - in_return
    } else {
        // What has gone out after x seconds is from·x + rise·x².
        ((RETURN_FROM.powi(2) + 4.0 * rise * wanted).sqrt() - RETURN_FROM) / (2.0 * rise)
    };
    Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0))
}

/// How many requests have gone out so long after the end of a `pause`, within [`return_time`].
pub fn returned_after(since: Duration, asked: f64, pause: Duration) -> f64 {
    let within = return_time(pause).as_secs_f64();
    let seconds = since.as_secs_f64().min(within);
    asked * (RETURN_FROM + rise(within) * seconds) * seconds
}

/// What Jira says of a limit in an answer; nothing where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// Requests of the window, or of a full bucket.
    pub limit: Option<f64>,
    /// Of them, what is left.
    pub remaining: Option<f64>,
    /// When it is full again.
    pub reset_in: Option<Duration>,
    /// Requests that come back per second (Data Center: `X-RateLimit-FillRate` per `X-RateLimit-Interval-Seconds`).
    pub refill_per_second: Option<f64>,
    /// After how many days accounts are to be reported again (`Cycle-Period`).
    pub cycle_days: Option<i64>,
}

/// What the answers of a while said of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The limit.
    pub limit: f64,
    /// The least that was left.
    pub low: f64,
    /// The most that was left.
    pub high: f64,
    /// When it is refilled as a whole, where the last answer told.
    pub reset_in: Option<Duration>,
}

impl Level {
    /// Of one answer, if it tells enough.
    pub fn of(told: &Told) -> Option<Self> {
        let limit = told.limit.filter(|limit| (1.0..=LARGEST_BURST).contains(limit))?;
        let left = told.remaining.filter(|left| left.is_finite())?.clamp(0.0, limit);
        Some(Self { limit, low: left, high: left, reset_in: told.reset_in })
    }

    /// Of several answers.
    pub fn and(self, later: Self) -> Self {
        Self { low: self.low.min(later.low), high: self.high.max(later.high), ..later }
    }

    /// Whether the limit is near: a share of less than a third is left.
    pub fn is_felt(&self) -> bool {
        self.low < self.limit / 3.0
    }
}

/// What the fleet knows of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// The rate, per second.
    pub rate: f64,
    /// The rate at which Jira last refused.
    pub ceiling: Option<f64>,
    /// What was left when the rate was last adapted.
    pub remaining: Option<f64>,
    /// How long ago that was.
    pub age: Duration,
}

/// What may be asked at once after a rest, at this rate.
pub fn burst(rate: f64) -> f64 {
    (rate * BURST_SECONDS).max(1.0)
}

/// The rate to begin with when a limit is first felt. `asked` is what the fleet has asked for per second, about.
pub fn first_guess(told: &Told, asked: f64) -> f64 {
    let until_reset = told.reset_in.map(|wait| wait.as_secs_f64()).filter(|seconds| *seconds > 2.0);
    let guess = match (told.refill_per_second, told.limit, told.remaining, until_reset) {
        (Some(refill), ..) => refill,
        // Enough is left of a long window to say how fast it may be used up.
        (None, Some(limit), Some(left), Some(seconds)) if left > limit / 10.0 => left / seconds,
        // Jira's limits on bursts are requests per second.
        (None, Some(limit), ..) if limit <= asked.max(1.0) => limit * CUT,
        _ => asked * DEEP_CUT,
    };
    clamped(guess)
}

/// The rate after a refusal; `since_last` is the time since the one before, which is another pause's.
pub fn after_refusal(rate: f64, told: &Told, since_last: Option<Duration>) -> f64 {
    if let Some(refill) = told.refill_per_second {
        return clamped(refill.min(rate) * KNOWN_GOOD);
    }
    let soon = since_last.is_some_and(|since| since < AGAIN_SOON);
    clamped(rate * if soon { DEEP_CUT } else { CUT })
}

/// The rate for the next while; `busy` says that requests waited for their turn, so that the rate was really used.
pub fn adapt(known: &Learned, level: Option<&Level>, busy: bool) -> f64 {
    let seconds = known.age.as_secs_f64().clamp(ADAPT_EVERY.as_secs_f64(), 5.0);
    let change = match level {
        Some(level) => by_level(known, level, seconds),
        None => by_ceiling(known, seconds),
    };
    let change = change.clamp(-LARGEST_FALL * known.rate, LARGEST_RISE * known.rate);
    // A rate that is not used tells nothing about more.
    let change = if busy { change } else { change.min(0.0) };
    let rate = known.rate + change;
    // While much is left, a refusal of the past was about something else.
    let near = level.filter(|level| level.low < level.limit / 2.0).and(known.ceiling);
    let cap = near.map_or(RATES.1, |ceiling| (ceiling * 0.98).max(known.rate));
    clamped(rate.min(cap))
}

fn by_level(known: &Learned, level: &Level, seconds: f64) -> f64 {
    // A window shows itself by beginning anew: from nearly all that is left to little.
    let window = level.high > 0.85 * level.limit && level.low < 0.6 * level.limit;
    let reserve = level.limit * if window { WINDOW_RESERVE } else { BUCKET_RESERVE };
    let until_reset = level.reset_in.map_or(0.0, |wait| wait.as_secs_f64());
    let draw = (level.low - reserve) / DRAW_SECONDS.max(until_reset) * seconds.min(2.0);
    // An old level says nothing about a slope, and a window's is that of the rate itself.
    let before = known.remaining.filter(|_| !window && known.age < Duration::from_secs(5));
    let slope = before.map(|then| (level.low - then) / seconds);
    SLOPE_GAIN * slope.unwrap_or(0.0) + draw
}

fn by_ceiling(known: &Learned, seconds: f64) -> f64 {
    match known.ceiling {
        Some(ceiling) if known.rate >= ceiling * KNOWN_GOOD => known.rate * PROBE_PER_SECOND * seconds,
        Some(ceiling) => (known.rate * RISE_PER_SECOND * seconds).min(ceiling * KNOWN_GOOD - known.rate),
        None => known.rate * RISE_PER_SECOND * seconds,
    }
}

fn clamped(rate: f64) -> f64 {
    if rate.is_finite() { rate.clamp(RATES.0, RATES.1) } else { RATES.0 }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
