//! What is usual for a project's runs, and whether one of them is not.
//!
//! Median and median absolute deviation (MAD): one odd run among the samples moves neither. What must hold: a run is never
//! called slow on few samples, nor for a difference that nobody would notice.

/// Samples below which nothing is judged.
pub const MIN_SAMPLES: usize = 8;
/// A run must be this many times as long as the median, whatever the MAD says: histories of equal runs have a MAD of 0.
const RATIO: f64 = 2.5;
/// Deviations, in units of the normal distribution's standard deviation.
const DEVIATIONS: f64 = 6.0;
/// MAD times this estimates the standard deviation of a normal distribution.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Seconds that a run must be over the median to be worth a word.
const NOTICEABLE_SECONDS: f64 = 30.0;
/// Runs of fewer issues tell nothing of throughput: their time is the plan's, not the pages'. The query for a run's like
/// has the same number.
const THROUGHPUT_MIN_ISSUES: i64 = 500;

/// The middle of a distribution and how far its values lie from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The median of the distances from it.
    pub mad: f64,
}

impl Spread {
    /// Of samples in any order; `None` for too few.
    pub fn of(samples: &[f64]) -> Option<Self> {
        if samples.len() < MIN_SAMPLES {
            return None;
        }
        let median = middle(samples.to_vec());
        let mad = middle(samples.iter().map(|sample| (sample - median).abs()).collect());
        Some(Self { median, mad })
    }

    fn sigma(&self) -> f64 {
        self.mad * MAD_TO_SIGMA
    }
}

/// The seconds above which a run of this history is slow.
pub fn slow_above(history: &Spread) -> f64 {
    let by_spread = history.median + DEVIATIONS * history.sigma();
    by_spread.max(history.median * RATIO).max(history.median + NOTICEABLE_SECONDS)
}

/// The issues per second below which a run of this history is sluggish, for a run of `issues`; `None` where a run of that
/// size tells nothing.
pub fn sluggish_below(history: &Spread, issues: i64) -> Option<f64> {
    let bound = (history.median - DEVIATIONS * history.sigma()).min(history.median / RATIO).max(history.median / 10.0);
    (issues >= THROUGHPUT_MIN_ISSUES).then_some(bound)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match (values.get(n / 2), n.checked_sub(1).and_then(|last| values.get(last / 2))) {
        (Some(high), Some(low)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_run_does_not_move_what_is_usual() {
        let mut samples = vec![60.0, 62.0, 58.0, 61.0, 59.0, 60.0, 63.0, 57.0, 60.0];
        let before = Spread::of(&samples).unwrap();
        samples.push(4_000.0);
        let after = Spread::of(&samples).unwrap();
        assert!((before.median - after.median).abs() < 1.0 && (before.mad - after.mad).abs() < 1.0);
    }

    #[test]
    fn a_difference_that_nobody_would_notice_is_not_slow() {
        let history = Spread::of(&[2.0; 20]).unwrap();
        assert!(slow_above(&history) >= 32.0);
        let long = Spread::of(&[600.0; 20]).unwrap();
        assert!(slow_above(&long) > 1_400.0);
    }

    #[test]
    fn few_samples_judge_nothing() {
        assert_eq!(Spread::of(&[1.0; 7]), None);
    }

    #[test]
    fn small_runs_tell_nothing_of_throughput() {
        let history = Spread::of(&[3_000.0; 10]).unwrap();
        assert_eq!(sluggish_below(&history, 20), None);
        assert_eq!(sluggish_below(&history, 5_000).map(f64::round), Some(1_200.0));
    }

    #[test]
    fn an_even_number_of_samples_has_its_middle_between_two() {
        assert!((middle(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
