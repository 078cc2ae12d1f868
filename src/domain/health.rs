//! A project's health: what the ends of its runs, read in order, say about it.
//!
//! What must hold: reading is a function of what was known, the run and the rules, so that reading again is the same; a
//! cancelled run says nothing; one success ends a streak of failures.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::alert::class;
use super::failure::FailureCode;
use super::ladder::LadderRules;

/// How telemetry judges.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The back-off ladder.
    pub ladder: LadderRules,
    /// Slow runs in a row after which later ones are staggered and a ticket is due.
    pub slow_threshold: u32,
    /// The replica may be this many base cadences old at a success.
    pub lag_cadences: u32,
    /// No success for this long is told, whether a run was tried or not; at least six base cadences.
    pub no_success_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ladder: LadderRules::default(),
            slow_threshold: 3,
            lag_cadences: 4,
            no_success_after: Duration::from_secs(6 * 3600),
        }
    }
}

impl Rules {
    /// After how long without a success a project of this cadence is told of.
    pub fn silence_limit(&self, base: Duration) -> Duration {
        self.no_success_after.max(base.saturating_mul(6))
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed {
        /// The first failure's code.
        code: FailureCode,
        /// Its message.
        message: String,
        /// When the other side said that it may be tried again.
        retry_at: Option<DateTime<Utc>>,
    },
    /// Somebody stopped it.
    Cancelled,
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// The run.
    pub run_id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How.
    pub end: End,
    /// Compared with its like: far longer; `None` where there is too little to compare with.
    pub slow: Option<bool>,
    /// Compared with its like: far fewer issues per second.
    pub sluggish: Option<bool>,
    /// The run compared the ids of all issues, too.
    pub reconciled: bool,
    /// The run read everything.
    pub full: bool,
    /// Somebody asked for it, and sees how it ended.
    pub manual: bool,
    /// What it could not read: numbers of records by entity.
    pub rejected: BTreeMap<String, i64>,
}

/// How a project is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// The newest run that was read.
    pub last_run_id: Option<Uuid>,
    /// When it ended.
    pub last_run_at: Option<DateTime<Utc>>,
    /// When a run last succeeded.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When that run began: the replica has all of before.
    pub last_success_started_at: Option<DateTime<Utc>>,
    /// Successes in a row.
    pub success_streak: u32,
    /// Failures in a row, of any class.
    pub failure_streak: u32,
    /// Of those, the newest that have one class.
    pub class_streak: u32,
    /// That class.
    pub code: Option<FailureCode>,
    /// When the streak began.
    pub failing_since: Option<DateTime<Utc>>,
    /// When a run last failed.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// The newest failure's message.
    pub last_error: Option<String>,
    /// Conditions of runs that succeed, each with how often in a row and since when.
    pub slow: Streak,
    /// Few issues per second.
    pub sluggish: Streak,
    /// An old replica at the time of a success.
    pub lag: Streak,
    /// Reconciliations that their guard stopped, since one went through.
    pub guard: Streak,
    /// What the guard said last.
    pub guard_error: Option<String>,
    /// What runs could not read, as the newest of them that rejected something says; nothing once everything was read.
    pub rejected: BTreeMap<String, i64>,
    /// Since when runs reject records.
    pub rejected_since: Option<DateTime<Utc>>,
    /// Classes that are observed as firing for this project.
    pub alerting: Vec<String>,
}

/// How often something was times in a row, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Streak {
    /// How often.
    pub count: u32,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

impl Streak {
    fn see(&mut self, seen: Option<bool>, at: DateTime<Utc>) {
        match seen {
            Some(true) => {
                self.count += 1;
                self.since.get_or_insert(at);
            }
            Some(false) => *self = Self::default(),
            None => {}
        }
    }
}

impl Health {
    /// Reads the end of a run over a base cadence. Answers whether it says anything about the cadence.
    pub fn read(&mut self, run: &RunEnd, base: Duration, backed_off: bool, rules: &Rules) -> bool {
        self.last_run_id = Some(run.run_id);
        self.last_run_at = Some(run.finished_at);
        self.see_rejected(run);
        match &run.end {
            End::Cancelled => return false,
            End::Succeeded => self.succeed(run, base, backed_off, rules),
            // It stands beside the streaks: the next run may read all that is new, and what the guard found is true until a
            // reconciliation goes through. Nor is anybody helped by asking less often.
            End::Failed { code: FailureCode::ReconcileGuard, message, .. } => {
                self.guard.see(Some(true), run.finished_at);
                self.guard_error = Some(message.clone());
                self.last_failure_at = Some(run.finished_at);
                return false;
            }
            End::Failed { code, message, .. } => {
                self.success_streak = 0;
                self.failure_streak += 1;
                self.class_streak = if self.code == Some(*code) { self.class_streak + 1 } else { 1 };
                self.code = Some(*code);
                self.failing_since.get_or_insert(run.finished_at);
                self.last_failure_at = Some(run.finished_at);
                self.last_error = Some(message.clone());
                // It counts for the alert. How often the project is tried by itself is decided by the tries that were made by
                // themselves: whoever mends something and tries it by hand must not make the next try later.
                return !run.manual;
            }
        }
        true
    }

    /// A run that looked at some issues and rejected none says nothing of the others: what was rejected stands until a full
    /// run read everything, or a reconciliation, which asks for each issue that is missing, found none that cannot be read.
    fn see_rejected(&mut self, run: &RunEnd) {
        if !run.rejected.is_empty() {
            self.rejected.clone_from(&run.rejected);
            self.rejected_since.get_or_insert(run.finished_at);
            return;
        }
        let issues_only = self.rejected.keys().all(|entity| entity == "issue");
        if run.end == End::Succeeded && (run.full || run.reconciled && issues_only) {
            self.rejected.clear();
            self.rejected_since = None;
        }
    }

    fn succeed(&mut self, run: &RunEnd, base: Duration, backed_off: bool, rules: &Rules) {
        // How old the replica had become when this run refreshed it. While a project is backed off, that is the ladder's
        // doing and is told by it.
        let limit =
            TimeDelta::from_std(base * rules.lag_cadences).unwrap_or(TimeDelta::MAX).max(TimeDelta::minutes(10));
        let old = self.last_success_started_at.map(|before| run.finished_at - before > limit);
        self.lag.see(if backed_off || self.failure_streak > 0 { None } else { old }, run.finished_at);
        self.slow.see(run.slow, run.finished_at);
        self.sluggish.see(run.sluggish, run.finished_at);
        if run.reconciled {
            (self.guard, self.guard_error) = (Streak::default(), None);
        }
        self.last_success_at = Some(run.finished_at);
        self.last_success_started_at = Some(run.started_at);
        self.success_streak += 1;
        self.failure_streak = 0;
        self.class_streak = 0;
        self.code = None;
        self.failing_since = None;
        self.last_error = None;
    }

    /// The class that should be observed as firing for the streak of failures; it stays with the class that was told first
    /// while the new one is of the same category, so that one trouble is one episode.
    pub fn failure_class(&self, rules: &LadderRules) -> Option<FailureCode> {
        let code = self.code?;
        // Neither of these two is the class of a streak: they stand beside it.
        let beside = |code: &FailureCode| matches!(code, FailureCode::ReconcileGuard | FailureCode::RecordsRejected);
        let mut told = self.alerting.iter().filter_map(|class| FailureCode::parse(class));
        let told = told.find(|told| !beside(told) || *told == code && code == FailureCode::RecordsRejected);
        if rules.rung(code, self.class_streak, self.failure_streak, 0) == 0 {
            return told;
        }
        Some(told.filter(|told| told.category() == code.category()).unwrap_or(code))
    }

    /// Conditions of runs that succeed: class, and whether it holds, has ended, or is undecided.
    pub fn slow_classes(&self, rules: &Rules) -> [(&'static str, Streak, bool); 3] {
        let over = |streak: Streak| streak.count >= rules.slow_threshold;
        [
            (class::SLOW_RUNS, self.slow, over(self.slow)),
            (class::LOW_THROUGHPUT, self.sluggish, over(self.sluggish)),
            (class::WATERMARK_LAG, self.lag, over(self.lag)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(900);

    fn run(minute: i64, end: End, slow: Option<bool>) -> RunEnd {
        let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        RunEnd {
            run_id: Uuid::from_u128(1),
            started_at: at,
            finished_at: at + TimeDelta::seconds(20),
            end,
            slow,
            sluggish: None,
            reconciled: false,
            full: false,
            manual: false,
            rejected: BTreeMap::new(),
        }
    }

    fn failed(code: FailureCode) -> End {
        End::Failed { code, message: "no".to_owned(), retry_at: None }
    }

    fn after(ends: &[End]) -> Health {
        let mut health = Health::default();
        for (n, end) in (0i64..).zip(ends) {
            health.read(&run(n * 15, end.clone(), None), BASE, false, &Rules::default());
        }
        health
    }

    #[test]
    fn one_success_ends_a_streak_of_failures() {
        let health = after(&[failed(FailureCode::Timeout), failed(FailureCode::Timeout), End::Succeeded]);
        assert_eq!((health.failure_streak, health.class_streak, health.code, health.success_streak), (0, 0, None, 1));
        assert!(health.last_failure_at.is_some() && health.last_success_at > health.last_failure_at);
    }

    #[test]
    fn the_guards_alert_stays_until_a_reconciliation_succeeds() {
        let guard = || failed(FailureCode::ReconcileGuard);
        let mut health = after(&[failed(FailureCode::Timeout), guard(), End::Succeeded, guard(), End::Succeeded]);
        assert_eq!((health.guard.count, health.failure_streak, health.success_streak), (2, 0, 2));
        assert_eq!(health.guard.since, Some(DateTime::UNIX_EPOCH + TimeDelta::minutes(15) + TimeDelta::seconds(20)));
        health.alerting = vec!["RECONCILE_GUARD".to_owned()];
        health.read(&run(90, failed(FailureCode::Timeout), None), BASE, false, &Rules::default());
        assert_eq!(health.failure_class(&LadderRules::default()), None, "one failure is none yet");
        let mut last = run(105, End::Succeeded, None);
        last.reconciled = true;
        health.read(&last, BASE, false, &Rules::default());
        assert_eq!((health.guard, health.guard_error), (Streak::default(), None));
    }

    #[test]
    fn what_was_rejected_stands_until_everything_was_read() {
        let mut health = Health::default();
        let mut look = |minute, full, reconciled, rejected: &[(&str, i64)]| {
            let rejected = rejected.iter().map(|(entity, count)| ((*entity).to_owned(), *count)).collect();
            let run = RunEnd { full, reconciled, rejected, ..run(minute, End::Succeeded, None) };
            health.read(&run, BASE, false, &Rules::default());
            (health.rejected.values().sum::<i64>(), health.rejected_since.is_some())
        };
        assert_eq!(look(0, false, false, &[("issue", 1), ("changelog", 993)]), (994, true));
        assert_eq!(look(15, false, false, &[]), (994, true), "it looked at other issues");
        assert_eq!(look(30, false, true, &[]), (994, true), "a reconciliation does not read histories");
        assert_eq!(look(45, true, false, &[("issue", 2)]), (2, true));
        assert_eq!(look(60, false, true, &[]), (0, false));
    }

    #[test]
    fn a_manual_run_that_fails_climbs_no_ladder() {
        let mut health = after(&[failed(FailureCode::Timeout)]);
        for minute in 15..25 {
            let manual = RunEnd { manual: true, ..run(minute, failed(FailureCode::AuthInvalid), None) };
            assert!(!health.read(&manual, BASE, false, &Rules::default()), "it decides nothing");
        }
        assert_eq!(
            (health.failure_streak, health.code),
            (11, Some(FailureCode::AuthInvalid)),
            "it counts for the alert"
        );
        let mut fresh = Health::default();
        fresh.read(
            &RunEnd { manual: true, ..run(0, failed(FailureCode::Timeout), None) },
            BASE,
            false,
            &Rules::default(),
        );
        assert_eq!((fresh.failure_streak, fresh.last_failure_at.is_some()), (1, true));
        health.read(&RunEnd { manual: true, ..run(30, End::Succeeded, None) }, BASE, false, &Rules::default());
        assert_eq!(health.failure_streak, 0, "one success ends a streak, whoever asked for it");
    }

    #[test]
    fn a_cancelled_run_says_nothing() {
        let health = after(&[failed(FailureCode::Timeout), End::Cancelled, failed(FailureCode::Timeout)]);
        assert_eq!(health.failure_streak, 2);
    }

    #[test]
    fn a_streak_fires_at_its_threshold_and_keeps_its_class() {
        let rules = LadderRules::default();
        let mut health = after(&[failed(FailureCode::Timeout), failed(FailureCode::Timeout)]);
        assert_eq!(health.failure_class(&rules), None);
        health.read(&run(60, failed(FailureCode::Timeout), None), BASE, false, &Rules::default());
        assert_eq!(health.failure_class(&rules), Some(FailureCode::Timeout));
        health.alerting = vec!["TIMEOUT".to_owned()];
        health.read(&run(75, failed(FailureCode::Dns), None), BASE, true, &Rules::default());
        assert_eq!(health.failure_class(&rules), Some(FailureCode::Timeout), "one trouble, one episode");
        for minute in [90, 105] {
            health.read(&run(minute, failed(FailureCode::AuthInvalid), None), BASE, true, &Rules::default());
        }
        assert_eq!(health.failure_class(&rules), Some(FailureCode::AuthInvalid), "another trouble");
    }

    #[test]
    fn slow_runs_count_in_a_row_past_incomparable_ones() {
        let mut health = Health::default();
        for (n, slow) in [(0, Some(true)), (1, Some(true)), (2, None), (3, Some(true))] {
            health.read(&run(n * 15, End::Succeeded, slow), BASE, false, &Rules::default());
        }
        assert_eq!(health.slow_classes(&Rules::default())[0].1.count, 3);
        assert!(health.slow_classes(&Rules::default())[0].2);
        health.read(&run(60, End::Succeeded, Some(false)), BASE, false, &Rules::default());
        assert_eq!(health.slow, Streak::default());
    }

    #[test]
    fn a_replica_that_ages_between_successes_lags_unless_held() {
        let mut health = Health::default();
        for n in 0..4 {
            health.read(&run(n * 120, End::Succeeded, None), BASE, false, &Rules::default());
        }
        assert_eq!(health.lag.count, 3);
        let mut held = Health::default();
        for n in 0..4 {
            held.read(&run(n * 120, End::Succeeded, None), BASE, true, &Rules::default());
        }
        assert_eq!(held.lag.count, 0);
    }
}
