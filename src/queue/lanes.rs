//! What a feeder remembers of the lanes of its queue, so that claims stay cheap where rows that ended cannot be removed.
//!
//! A claim looks for every lane anew, which costs next to nothing as long as vacuum comes round. Under an old snapshot the
//! index keeps an entry for each step that was ever ready since, and each look would read all of them. A feeder that finds
//! its claims dear therefore claims from the lanes that it knows, from where their steps began, and looks for others only
//! as often as that takes a small part of the time.
//!
//! What must hold: a step that became ready is found by the next look for lanes at the latest, and one look follows the other
//! for as long as the process lives.

use std::time::{Duration, Instant};

use crate::store::step::{Claims, Lane, Look, MOST_LANES};

/// A look for lanes that took no longer is made with each claim.
const CHEAP: Duration = Duration::from_millis(4);
/// After a dear one so many times its cost passes before the next.
const REST: u32 = 20;
/// Lanes that are remembered; which are forgotten costs a look, no step.
const MOST_KNOWN: usize = 256;

/// The lanes of one queue.
#[derive(Debug)]
pub(super) struct Lanes {
    known: Vec<Lane>,
    /// Where the next look for lanes begins: after the lane of this number.
    after: i64,
    /// When the last look for lanes ended, and what it cost.
    looked: Option<(Instant, Duration)>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { known: Vec::new(), after: i64::MIN, looked: None }
    }
}

impl Lanes {
    /// Where to look now.
    pub fn look(&self, now: Instant) -> Look<'_> {
        match self.looked {
            Some((at, cost))
                if cost > CHEAP && now.saturating_duration_since(at) < cost * REST && !self.known.is_empty() =>
            {
                Look::At(&self.known)
            }
            _ => Look::After(self.after),
        }
    }

    /// Takes note of what was found; answers whether there are lanes that nobody has looked at yet.
    pub fn learn(&mut self, was_for_all: bool, claims: &Claims, now: Instant) -> bool {
        for lane in &claims.lanes {
            match self.known.iter_mut().find(|known| (known.number, known.priority) == (lane.number, lane.priority)) {
                Some(known) => known.since = lane.since,
                None => self.known.push(lane.clone()),
            }
        }
        // The oldest first: what is in use is met again.
        let surplus = self.known.len().saturating_sub(MOST_KNOWN);
        self.known.drain(..surplus);
        if !was_for_all {
            return false;
        }
        let cut = claims.lanes.len() >= usize::try_from(MOST_LANES).unwrap_or(usize::MAX);
        // The last lane once more: it may have been cut between two levels.
        self.after = claims.lanes.last().filter(|_| cut).map_or(i64::MIN, |last| last.number.saturating_sub(1));
        self.looked = Some((now, Duration::try_from_secs_f64(claims.took_seconds).unwrap_or_default()));
        cut
    }

    /// The answer did not come: what was known may be wrong.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn claims(numbers: std::ops::Range<i64>, took_ms: f64) -> Claims {
        let since = chrono::DateTime::UNIX_EPOCH;
        let lanes = numbers.map(|number| Lane { number, priority: 0, gates: Vec::new(), since }).collect();
        Claims { lanes, took_seconds: took_ms / 1000.0, ..Claims::default() }
    }

    #[test]
    fn cheap_looks_are_made_with_each_claim() {
        let (mut lanes, now) = (Lanes::default(), Instant::now());
        assert!(!lanes.learn(true, &claims(0..3, 1.0), now));
        assert!(matches!(lanes.look(now), Look::After(i64::MIN)));
    }

    #[test]
    fn a_dear_look_is_made_again_after_a_rest() {
        let (mut lanes, now) = (Lanes::default(), Instant::now());
        lanes.learn(true, &claims(0..3, 30.0), now);
        assert!(matches!(lanes.look(now), Look::At(known) if known.len() == 3));
        assert!(matches!(lanes.look(now + Duration::from_millis(599)), Look::At(_)));
        assert!(matches!(lanes.look(now + Duration::from_millis(601)), Look::After(_)));
        lanes.learn(false, &claims(0..3, 0.1), now + Duration::from_millis(100));
        assert!(matches!(lanes.look(now + Duration::from_millis(601)), Look::After(_)), "a claim is no look for lanes");
    }

    #[test]
    fn more_lanes_than_one_search_are_seen_part_by_part() {
        let (mut lanes, now) = (Lanes::default(), Instant::now());
        assert!(lanes.learn(true, &claims(0..i64::from(MOST_LANES), 1.0), now), "there are more");
        assert!(matches!(lanes.look(now), Look::After(after) if after == i64::from(MOST_LANES) - 2));
        assert!(!lanes.learn(true, &claims(100..103, 1.0), now), "these were the last");
        assert!(matches!(lanes.look(now), Look::After(i64::MIN)));
    }
}
