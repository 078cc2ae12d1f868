//! What is set by hand for a project, over what the process is configured with.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::Options;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::setting::{self, Settings};

/// `options` with what is set over them.
pub(super) fn over(options: &Options, set: &Settings) -> Options {
    let seconds = |key| set.whole(key).map(|seconds| Duration::from_secs(u64::from(seconds)));
    Options {
        page_size: set.whole(&setting::PAGE_SIZE).unwrap_or(options.page_size),
        overlap: set.whole(&setting::OVERLAP).map_or(options.overlap, |seconds| TimeDelta::seconds(i64::from(seconds))),
        pages_in_flight: set
            .whole(&setting::PAGES_IN_FLIGHT)
            .and_then(|pages| i32::try_from(pages).ok())
            .unwrap_or(options.pages_in_flight),
        partition_target_issues: set
            .whole(&setting::PARTITION_TARGET)
            .map_or(options.partition_target_issues, u64::from),
        request_timeout: seconds(&setting::REQUEST_TIMEOUT).unwrap_or(options.request_timeout),
    }
}

/// How long a run may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// None: as long as it takes.
    limit: Option<Duration>,
    /// How long it had been under way when it was loaded.
    before: Duration,
    loaded: Instant,
}

impl Limit {
    /// The limit that is set, for a run that has been under way for so long.
    pub fn new(set: &Settings, running_seconds: Option<f64>) -> Self {
        let seconds = set.number(&setting::PROJECT_TIMEOUT).unwrap_or(setting::PROJECT_TIMEOUT.default);
        Self {
            limit: Some(Duration::from_secs_f64(seconds)).filter(|limit| !limit.is_zero()),
            before: Duration::try_from_secs_f64(running_seconds.unwrap_or(0.0)).unwrap_or_default(),
            loaded: Instant::now(),
        }
    }

    /// Fails a run that has taken too long.
    pub fn check(&self) -> Result<(), Failure> {
        let taken = self.before + self.loaded.elapsed();
        match self.limit {
            Some(limit) if taken > limit => Err(Failure::new(
                FailureCode::RunTimeout,
                format!(
                    "the run took {} s, more than project_timeout_seconds allows ({} s): raise it with `syncline \
                        config set`, or find the slow part with `syncline run show`",
                    taken.as_secs(),
                    limit.as_secs()
                ),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_set_counts_and_what_is_not_stays_as_configured() {
        let configured = Options { page_size: 70, ..Options::default() };
        let set =
            Settings::new(&json!({ "overlap_seconds": [60], "pages_in_flight": [9], "request_timeout_seconds": [5] }));
        let options = over(&configured, &set);
        assert_eq!((options.page_size, options.pages_in_flight), (70, 9));
        assert_eq!((options.overlap, options.request_timeout), (TimeDelta::seconds(60), Duration::from_secs(5)));
        assert_eq!(options.partition_target_issues, configured.partition_target_issues);
    }

    #[test]
    fn a_run_fails_after_its_time_and_not_before() {
        let set = Settings::new(&json!({ "project_timeout_seconds": [60] }));
        assert!(Limit::new(&set, Some(59.0)).check().is_ok() && Limit::new(&set, None).check().is_ok());
        let failure = Limit::new(&set, Some(61.0)).check();
        assert!(failure.is_err_and(|failure| failure.code == FailureCode::RunTimeout));
        assert!(Limit::new(&Settings::default(), Some(86_000.0)).check().is_ok());
        assert!(Limit::new(&Settings::default(), Some(86_401.0)).check().is_err(), "a day, unless told otherwise");
        let unlimited = Settings::new(&json!({ "project_timeout_seconds": [0] }));
        assert!(Limit::new(&unlimited, Some(1e9)).check().is_ok());
    }
}
