//! How large something will be: the line through its last days, by medians, with the spread of what lay beside it.

use super::numbers::{line, quantile};

/// Days below which nothing is said.
const MIN_DAYS: usize = 7;

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// A day.
    pub per_day: f64,
    /// In so many days.
    pub expected: f64,
    /// It is less in one of twenty cases, if it goes on as it did.
    pub low: f64,
    /// It is more in one of twenty cases.
    pub high: f64,
}

/// From (day, size), oldest first, to `ahead` days after the last; none where too little is known.
pub fn grow(sizes: &[(f64, f64)], ahead: f64) -> Option<Growth> {
    if sizes.len() < MIN_DAYS {
        return None;
    }
    let recent = sizes.get(sizes.len().saturating_sub(90)..)?;
    let (start, slope) = line(recent)?;
    let last = recent.last()?;
    let beside: Vec<f64> = recent.iter().map(|(day, size)| size - start - slope * day).collect();
    let expected = (last.1 + slope * ahead).max(0.0);
    let low = (expected + quantile(&beside, 0.05)?).max(0.0);
    Some(Growth { per_day: slope, expected, low, high: expected + quantile(&beside, 0.95)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_evenly_is_foretold() {
        let sizes: Vec<(f64, f64)> = (0..40).map(|day| (f64::from(day), 100.0 + 5.0 * f64::from(day))).collect();
        let growth = grow(&sizes, 30.0).unwrap();
        assert!((growth.per_day - 5.0).abs() < 1e-9 && (growth.expected - 445.0).abs() < 1e-9);
        assert_eq!(grow(&sizes[..5], 30.0), None, "a few days say nothing");
        let cleared: Vec<(f64, f64)> = (0..40).map(|day| (f64::from(day), 400.0 - 10.0 * f64::from(day))).collect();
        assert_eq!(grow(&cleared, 90.0).unwrap().expected, 0.0, "nothing is smaller than nothing");
    }
}
