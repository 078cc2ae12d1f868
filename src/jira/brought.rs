//! How much a walk over pages has brought: what ends a walk whose pages never do.
//!
//! A server that gives a fresh token with each page, over the same issues again or over issues that it makes up, is noticed
//! by no single page. So a walk counts the rows that it was given and estimates how many different ones they were, in a
//! sketch of constant size (HyperLogLog) that travels with the walk.
//!
//! What must hold: a walk ends on any server. One over what is there is never ended: rows that move while they are read come
//! twice or some times more, and what is new since the count is counted again before anything fails.

use serde::{Deserialize, Serialize};

use crate::domain::failure::{Failure, FailureCode};

/// Registers of the sketch: it errs by 9 % or so.
const REGISTERS: usize = 128;
/// The first printable character that stands for a register; the sketch travels as text.
const ZERO: u8 = b'0';
/// A walk may bring each row so often. Walks by places begin anew a few times where rows move quickly, and the sketch may
/// err by a quarter.
const OFTEN: f64 = 12.0;
/// And so many rows more.
const FEW: f64 = 1_000.0;
/// A walk may bring so many times as many different rows as were counted, and [`FEW`] more.
const MANY: f64 = 2.0;

/// What a walk has brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    rows: u64,
    sketch: String,
    /// How many there were when they were counted last; `u64::MAX` where nobody can tell.
    counted: u64,
}

impl Default for Brought {
    fn default() -> Self {
        Self { rows: 0, sketch: char::from(ZERO).to_string().repeat(REGISTERS), counted: 0 }
    }
}

impl Brought {
    /// Takes note of a page.
    ///
    /// # Errors
    /// `ENDLESS_PAGES` where the pages go on bringing what they have brought.
    pub fn page(&mut self, ids: &[i64]) -> Result<(), Failure> {
        let mut registers: Vec<u8> = self.sketch.bytes().map(|byte| byte.saturating_sub(ZERO)).collect();
        registers.resize(REGISTERS, 0); // whatever was stored
        for id in ids {
            let hash = blake3::hash(&id.to_le_bytes());
            let mut word = [0; 8];
            word.copy_from_slice(&hash.as_bytes()[..8]);
            let word = u64::from_le_bytes(word);
            let rank = u8::try_from((word >> 7).trailing_zeros().min(56) + 1).unwrap_or(u8::MAX);
            if let Some(register) = usize::try_from(word % REGISTERS as u64).ok().and_then(|at| registers.get_mut(at)) {
                *register = rank.max(*register);
            }
        }
        self.sketch = registers.iter().map(|register| char::from(register.saturating_add(ZERO))).collect();
        self.rows += ids.len() as u64;
        let different = self.different();
        if self.rows as f64 > OFTEN * different + FEW {
            let problem = format!(
                "the pages of a search never end: they repeat the same issues ({} rows so far, about {different:.0} \
                    different issues)",
                self.rows
            );
            return Err(Failure::new(FailureCode::EndlessPages, problem));
        }
        Ok(())
    }

    /// Whether there was more than can be, by what was `counted`: count again, and ask [`Self::recount`].
    pub fn is_beyond(&self, counted: Option<u64>) -> bool {
        self.different() > MANY * self.counted.max(counted.unwrap_or(0)) as f64 + FEW
    }

    /// Takes note of a count; `None` where the site does not tell one.
    ///
    /// # Errors
    /// `ENDLESS_PAGES` where there was more than can be, by this count too.
    pub fn recount(&mut self, counted: Option<u64>) -> Result<(), Failure> {
        self.counted = counted.unwrap_or(u64::MAX);
        if !self.is_beyond(None) {
            return Ok(());
        }
        let problem = format!(
            "the pages of a search never end: they have returned about {:.0} different issues, but the site counts {}",
            self.different(),
            self.counted
        );
        Err(Failure::new(FailureCode::EndlessPages, problem))
    }

    /// About how many different rows there were.
    fn different(&self) -> f64 {
        let registers = self.sketch.bytes().map(|byte| i32::from(byte.saturating_sub(ZERO)));
        let of = REGISTERS as f64;
        let (sum, empty) = registers.fold((0.0, 0.0), |(sum, empty), register| {
            (sum + 0.5_f64.powi(register), empty + f64::from(u8::from(register == 0)))
        });
        let raw = 0.7213 / (1.0 + 1.079 / of) * of * of / sum;
        if raw <= 2.5 * of && empty > 0.0 { of * (of / empty).ln() } else { raw }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_sketch_knows_about_how_many_there_were() {
        for wanted in [10_i64, 100, 1_000, 150_000] {
            let mut brought = Brought::default();
            let ids: Vec<i64> = (10_000..10_000 + wanted).collect();
            ids.chunks(100).for_each(|page| brought.page(page).unwrap());
            let share = brought.different() / wanted as f64;
            assert!((0.7..1.3).contains(&share), "{wanted}: {share}");
        }
    }

    #[test]
    fn a_walk_that_brings_the_same_again_and_again_ends() {
        let (mut brought, page) = (Brought::default(), Vec::from_iter(1..=100));
        let pages = (0..).take_while(|_| brought.page(&page).is_ok()).count();
        assert!((8..30).contains(&pages), "{pages} pages");
    }

    #[test]
    fn rows_that_come_a_few_times_end_nothing() {
        let mut brought = Brought::default();
        for _ in 0..5 {
            (0..100).for_each(|page| brought.page(&Vec::from_iter(page * 100..page * 100 + 150)).unwrap());
        }
    }

    #[test]
    fn more_than_was_counted_is_counted_again_before_the_walk_ends() {
        let mut brought = Brought::default();
        brought.page(&Vec::from_iter(0..5_000)).unwrap();
        assert!(brought.is_beyond(Some(500)) && brought.is_beyond(None));
        assert!(!brought.is_beyond(Some(3_000)));
        let failure = brought.recount(Some(520)).unwrap_err();
        assert_eq!(failure.code, FailureCode::EndlessPages);
        assert!(failure.message.contains("the site counts 520"), "{failure}");
        assert!(brought.recount(Some(5_000)).is_ok() && !brought.is_beyond(None));
        assert!(brought.recount(None).is_ok(), "a site that tells no number is believed");
    }

    #[test]
    fn a_sketch_is_as_good_after_it_was_stored() {
        let mut brought = Brought::default();
        brought.page(&Vec::from_iter(0..1_000)).unwrap();
        let stored = serde_json::to_value(&brought).unwrap();
        assert_eq!(serde_json::from_value::<Brought>(stored).unwrap(), brought);
    }
}
