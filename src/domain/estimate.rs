//! What other settings would cost: requests, time and points of a run, from the runs that were.
//!
//! A run costs a fixed part (credentials, plan, collections that Jira inlined short) and its pages. Other settings change
//! the number of pages (page size, look-back) and how many are fetched side by side (partitions); the time of one request is
//! taken to stay as it was. Points are Atlassian's: one per request and one per object
//! (<https://developer.atlassian.com/cloud/jira/platform/rate-limiting/>).

use serde::Serialize;

/// The average of past runs of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// Issues read.
    pub issues: f64,
    /// Pages read.
    pub pages: f64,
    /// Requests sent, at least the pages.
    pub requests: f64,
    /// From start to end.
    pub seconds: f64,
    /// The length of the window; none for full runs.
    pub window_seconds: Option<f64>,
}

/// The settings that matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Issues per page.
    pub page_size: f64,
    /// Behind the cursor.
    pub overlap_seconds: f64,
    /// The size of partitions of a full run.
    pub partition_target_issues: f64,
    /// What may be under way at once: the site's concurrency, or the workers' places.
    pub lanes: f64,
}

/// What one run costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Issues read.
    pub issues: f64,
    /// Requests sent.
    pub requests: f64,
    /// From start to end.
    pub seconds: f64,
    /// Atlassian's points.
    pub points: f64,
}

/// More than this Jira Cloud does not give in one page with fields, whatever is asked for.
const LARGEST_PAGE: f64 = 100.0;

impl Past {
    /// What these runs cost.
    pub fn cost(&self) -> Cost {
        Cost {
            issues: self.issues,
            requests: self.requests,
            seconds: self.seconds,
            points: self.requests + self.issues,
        }
    }

    /// What they would have cost with `then` instead of `now`.
    pub fn with(&self, now: &Parameters, then: &Parameters) -> Cost {
        let share = match self.window_seconds {
            // Changes are taken to come evenly, so that a longer look-back reads the more of them.
            Some(window) if window > 0.0 => ((window + then.overlap_seconds - now.overlap_seconds) / window).max(0.0),
            _ => 1.0,
        };
        let issues = self.issues * share;
        let page = |parameters: &Parameters| parameters.page_size.clamp(1.0, LARGEST_PAGE);
        // Pages that are not full cost a request all the same: what was read beyond the full ones stays.
        let full = |issues: f64, parameters: &Parameters| (issues / page(parameters)).ceil();
        let pages = (self.pages + full(issues, then) - full(self.issues, now)).max(self.pages.min(1.0));
        let requests = (self.requests - self.pages).max(0.0) + pages;
        let pace = if self.requests > 0.0 { self.seconds / self.requests } else { 0.0 };
        let seconds = requests * pace * self.lanes(now) / self.lanes(then);
        Cost { issues, requests, seconds, points: requests + issues }
    }

    /// How many requests are under way at once: a full run has a chain of pages for each partition.
    fn lanes(&self, parameters: &Parameters) -> f64 {
        let chains = match self.window_seconds {
            Some(_) => 1.0,
            None => (self.issues / parameters.partition_target_issues.max(1.0)).ceil(),
        };
        chains.clamp(1.0, parameters.lanes.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Parameters =
        Parameters { page_size: 100.0, overlap_seconds: 300.0, partition_target_issues: 500.0, lanes: 4.0 };
    const FULL: Past = Past { issues: 1_000.0, pages: 10.0, requests: 15.0, seconds: 30.0, window_seconds: None };

    #[test]
    fn the_same_settings_cost_what_the_runs_did() {
        assert_eq!(FULL.with(&NOW, &NOW), FULL.cost());
        assert_eq!(FULL.cost().points, 1_015.0);
    }

    #[test]
    fn smaller_pages_cost_more_requests_and_time() {
        let cost = FULL.with(&NOW, &Parameters { page_size: 50.0, ..NOW });
        assert_eq!((cost.requests, cost.seconds, cost.issues), (25.0, 50.0, 1_000.0));
    }

    #[test]
    fn a_run_of_few_issues_has_one_page_of_whatever_size() {
        let past = Past { issues: 3.0, pages: 1.0, requests: 5.0, seconds: 0.5, window_seconds: Some(900.0) };
        assert_eq!(past.with(&NOW, &Parameters { page_size: 10.0, ..NOW }), past.cost());
        assert_eq!(past.with(&NOW, &Parameters { page_size: 2.0, ..NOW }).requests, 6.0);
    }

    #[test]
    fn pages_beyond_what_jira_gives_change_nothing() {
        assert_eq!(FULL.with(&NOW, &Parameters { page_size: 1_000.0, ..NOW }), FULL.cost());
    }

    #[test]
    fn a_longer_overlap_reads_more_in_incremental_runs_only() {
        let then = Parameters { overlap_seconds: 1_200.0, ..NOW };
        let past = Past { issues: 40.0, pages: 1.0, requests: 3.0, seconds: 1.5, window_seconds: Some(900.0) };
        assert_eq!(past.with(&NOW, &then).issues, 80.0);
        assert_eq!(FULL.with(&NOW, &then), FULL.cost());
    }

    #[test]
    fn smaller_partitions_are_read_in_parallel_up_to_the_lanes() {
        let then = Parameters { partition_target_issues: 100.0, ..NOW };
        assert_eq!(FULL.with(&NOW, &then).seconds, 15.0, "two chains become four, not ten");
    }
}
