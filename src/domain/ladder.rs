//! The back-off ladder: how much slower a project is tried while it keeps failing.
//!
//! What must hold: the base cadence is an argument and never a result; more failures never bring the next try nearer; a
//! rung's wait is never shorter than the base cadence nor longer than the cap, unless the base cadence itself is longer;
//! a time that the other side has named is waited for exactly.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::failure::{Category, FailureCode};

/// When to climb, and how high.
#[derive(Clone, Debug, PartialEq)]
pub struct LadderRules {
    /// Failures of one class in a row after which the first rung is climbed and an alert is opened.
    pub threshold: u32,
    /// The same for single classes, by failure code.
    pub thresholds: BTreeMap<String, u32>,
    /// Each rung's wait as a multiple of the base cadence.
    pub rungs: Vec<u32>,
    /// The longest wait.
    pub cap: Duration,
    /// Waits are spread by this share to either side.
    pub jitter: f64,
    /// Rungs count from this instead of the base cadence: a ladder that can be watched, for rehearsals.
    pub rehearsal: Option<Duration>,
}

impl Default for LadderRules {
    fn default() -> Self {
        Self {
            threshold: 3,
            thresholds: BTreeMap::new(),
            // From 15 minutes: 30 min, 1 h, 2 h, 4 h, 8 h, 24 h.
            rungs: vec![2, 4, 8, 16, 32, 96],
            cap: Duration::from_secs(24 * 3600),
            jitter: 0.1,
            rehearsal: None,
        }
    }
}

impl LadderRules {
    /// Failures in a row after which a class counts. Nobody is helped by asking again with a dead token: authentication
    /// and billing count one failure earlier.
    pub fn threshold_of(&self, code: FailureCode) -> u32 {
        let own = self.thresholds.get(code.as_str()).copied();
        own.unwrap_or_else(
            || if climbs_faster(code) { self.threshold.saturating_sub(1).max(1) } else { self.threshold },
        )
    }

    /// The rung after `class_streak` failures of `code` in a row, `failure_streak` of any class, from rung `current`. A
    /// streak of changing classes counts at twice the threshold; a rung is left by success only.
    pub fn rung(&self, code: FailureCode, class_streak: u32, failure_streak: u32, current: u32) -> u32 {
        let threshold = self.threshold_of(code);
        let of_class = (class_streak + 1).saturating_sub(threshold);
        let of_any = (failure_streak + 1).saturating_sub(2 * self.threshold);
        let steps = of_class.max(of_any);
        let climbed = if climbs_faster(code) { 2 * steps } else { steps };
        climbed.max(current).min(self.top())
    }

    /// The rung above `rung` for a site that was tried again for nothing.
    pub fn above(&self, code: FailureCode, rung: u32) -> u32 {
        (rung + if climbs_faster(code) { 2 } else { 1 }).min(self.top())
    }

    /// The highest rung.
    pub fn top(&self) -> u32 {
        u32::try_from(self.rungs.len()).unwrap_or(u32::MAX)
    }

    /// The wait on a rung over a base cadence; `chance` is in `0.0..1.0`. Rung 0 is the base cadence itself.
    pub fn wait(&self, rung: u32, base: Duration, chance: f64) -> Duration {
        if rung == 0 {
            return base;
        }
        let base = self.rehearsal.unwrap_or(base);
        let at = usize::try_from(rung.min(self.top())).unwrap_or(0);
        let factor = at.checked_sub(1).and_then(|at| self.rungs.get(at)).copied().unwrap_or(1);
        let wait = base.saturating_mul(factor).min(self.cap).max(base);
        wait.mul_f64(1.0 + self.jitter.clamp(0.0, 0.5) * (2.0 * chance - 1.0)).max(base)
    }
}

/// Whether trying again can only do harm or nothing.
pub fn climbs_faster(code: FailureCode) -> bool {
    matches!(code.category(), Category::Authentication | Category::Billing)
}

/// When a project that fails is tried next: at the time that was named, else after its rung's wait.
pub fn next_try(failed_at: DateTime<Utc>, wait: Duration, named: Option<DateTime<Utc>>) -> DateTime<Utc> {
    match named {
        Some(named) if named > failed_at => named,
        _ => failed_at + TimeDelta::from_std(wait).unwrap_or(TimeDelta::days(1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Duration = Duration::from_secs(900);

    #[test]
    fn a_project_at_fifteen_minutes_climbs_to_a_day() {
        let rules = LadderRules::default();
        let minutes: Vec<_> =
            (1..=10).map(|n| rules.wait(rules.rung(FailureCode::Timeout, n, n, 0), BASE, 0.5).as_secs() / 60).collect();
        assert_eq!(minutes, [15, 15, 30, 60, 120, 240, 480, 1440, 1440, 1440]);
    }

    #[test]
    fn authentication_and_billing_climb_faster() {
        let rules = LadderRules::default();
        let rungs: Vec<_> = (1..=5).map(|n| rules.rung(FailureCode::SuspendedPayment, n, n, 0)).collect();
        assert_eq!(rungs, [0, 2, 4, 6, 6]);
    }

    #[test]
    fn classes_that_change_with_every_failure_climb_later_but_climb() {
        let rules = LadderRules::default();
        assert_eq!(rules.rung(FailureCode::Timeout, 1, 5, 0), 0);
        assert_eq!(rules.rung(FailureCode::Dns, 1, 6, 0), 1);
    }

    #[test]
    fn a_class_may_have_a_threshold_of_its_own() {
        let rules = LadderRules { thresholds: [("TIMEOUT".to_owned(), 5)].into(), ..LadderRules::default() };
        assert_eq!(rules.rung(FailureCode::Timeout, 4, 4, 0), 0);
        assert_eq!(rules.rung(FailureCode::Timeout, 5, 5, 0), 1);
    }

    #[test]
    fn a_named_end_is_waited_for_exactly() {
        let at: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
        let reset = at + TimeDelta::minutes(7);
        assert_eq!(next_try(at, BASE, Some(reset)), reset);
        assert_eq!(next_try(at, BASE, Some(at - TimeDelta::minutes(1))), at + TimeDelta::minutes(15));
    }

    proptest! {
        #[test]
        fn more_failures_never_bring_the_next_try_nearer(
            class in 1u32..40, more in 0u32..10, current in 0u32..6, base in 1u64..200_000, chance in 0.0f64..1.0
        ) {
            let rules = LadderRules::default();
            let base = Duration::from_secs(base);
            let before = rules.rung(FailureCode::ServerError, class, class, current);
            let after = rules.rung(FailureCode::ServerError, class + more, class + more, before);
            prop_assert!(after >= before && before >= current);
            prop_assert!(rules.wait(after, base, chance) >= rules.wait(before, base, chance));
            let bound = base.max(rules.cap).mul_f64(1.1);
            prop_assert!(rules.wait(after, base, chance) <= bound + Duration::from_millis(1));
        }
    }
}
