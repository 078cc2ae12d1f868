//! Chance that repeats: every generated value is a function of the seed and of what it is for.
//!
//! Nothing is drawn from one long stream, so that an issue's text can be made again at any time, in any order, without
//! being kept in memory.

/// What a stream of chance is for; two purposes never share numbers.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Purpose {
    Person = 1,
    Issue,
    Summary,
    Description,
    Attributes,
    Comment,
    Worklog,
    Mutation,
    Fault,
    Latency,
    Token,
    History,
    Security,
    Attachment,
    Link,
    Webhook,
}

/// A small generator (SplitMix64, Steele et al. 2014): fast, seedable, good enough for rehearsal data.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Dice {
    /// The numbers that belong to `purpose` of the thing `of` (an id, a request number) in its version `version`.
    pub(super) fn new(seed: u64, purpose: Purpose, of: u64, version: u64) -> Self {
        let start = scramble(seed ^ (purpose as u64).wrapping_mul(STEP));
        let start = scramble(start ^ of.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self(scramble(start ^ version.wrapping_mul(0xCA5A_8263_9512_1157)))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        scramble(self.0)
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        // Multiply-shift maps 64 bits onto 0..n without a division; the bias is below 2^-40 for the sizes used here.
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// The same for an index.
    pub(super) fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A number in `0.0..1.0`.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.fraction() < p
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_depend_on_their_purpose() {
        let draw = |purpose, of| Dice::new(7, purpose, of, 0).next();
        assert_eq!(draw(Purpose::Comment, 10), draw(Purpose::Comment, 10));
        assert_ne!(draw(Purpose::Comment, 10), draw(Purpose::Worklog, 10));
        assert_ne!(draw(Purpose::Comment, 10), draw(Purpose::Comment, 11));
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut dice = Dice::new(1, Purpose::Issue, 1, 1);
        assert!((0..1_000).all(|_| dice.below(7) < 7));
        assert_eq!(dice.below(0), 0);
    }
}
