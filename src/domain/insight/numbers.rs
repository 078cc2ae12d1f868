//! Robust statistics: one odd value among many moves none of them.

/// The value below which the share `q` of the others lies, between neighbours by distance; none of nothing.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    of_sorted(&sorted, q)
}

fn of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[allow(clippy::cast_precision_loss)] // samples
    let place = q.clamp(0.0, 1.0) * last as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and `last`
    let below = place.floor() as usize;
    let low = *sorted.get(below)?;
    let high = *sorted.get(below + 1).unwrap_or(&low);
    Some(low + (high - low) * place.fract())
}

/// The middle; none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The standard deviation of a normal distribution whose median distance from its middle is that of these values from
/// `centre`.
pub(super) fn sigma(values: &[f64], centre: f64) -> Option<f64> {
    let away: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    Some(median(&away)? * 1.4826)
}

/// The line `y = a + b·x` through points, by the medians of slopes and of intercepts (Theil and Sen); none where all `x`
/// are the same.
pub(super) fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (at, one) in points.iter().enumerate() {
        for other in points.iter().skip(at + 1) {
            let run = other.0 - one.0;
            if run.abs() > f64::EPSILON {
                slopes.push((other.1 - one.1) / run);
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    let slope = of_sorted(&slopes, 0.5)?;
    let starts: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    Some((median(&starts)?, slope))
}

/// The natural logarithm of `n!`, by Stirling's series above a table's end.
fn ln_factorial(n: u64) -> f64 {
    if n < 32 {
        #[allow(clippy::cast_precision_loss)] // small
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    #[allow(clippy::cast_precision_loss)] // counts
    let x = n as f64 + 1.0;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// How likely at least `hits` of `drawn` are marked by chance, where `marked` of `all` are (the upper tail of the
/// hypergeometric distribution: Fisher's exact test).
pub(super) fn by_chance(all: u64, marked: u64, drawn: u64, hits: u64) -> f64 {
    let most = marked.min(drawn);
    let least = (marked + drawn).saturating_sub(all);
    if hits <= least {
        return 1.0;
    }
    let total = ln_choose(all, drawn);
    let share = |k: u64| (ln_choose(marked, k) + ln_choose(all - marked, drawn - k) - total).exp();
    (hits..=most).map(share).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
        assert_eq!(
            (quantile(&[1.0, 2.0], 1.0), quantile(&[7.0], 0.9), quantile(&[], 0.5)),
            (Some(2.0), Some(7.0), None)
        );
        assert!((sigma(&[1.0, 2.0, 3.0, 400.0], 2.0).unwrap() - 1.4826).abs() < 1e-9);
    }

    #[test]
    fn a_line_does_not_turn_for_one_odd_point() {
        let mut points: Vec<(f64, f64)> = (0..20).map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x))).collect();
        points[7].1 = 9_000.0;
        let (start, slope) = line(&points).unwrap();
        assert!((start - 3.0).abs() < 1e-9 && (slope - 2.0).abs() < 1e-9);
        assert_eq!(line(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn chance_is_what_fisher_found() {
        // The lady who tastes tea: all 4 of 4 cups, of 8.
        assert!((by_chance(8, 4, 4, 4) - 1.0 / 70.0).abs() < 1e-12);
        assert!((by_chance(8, 4, 4, 3) - 17.0 / 70.0).abs() < 1e-12);
        assert!((by_chance(8, 4, 4, 0) - 1.0).abs() < 1e-12);
        assert!((ln_factorial(31) + 32.0f64.ln() - ln_factorial(32)).abs() < 1e-9, "the series meets the table");
    }
}
