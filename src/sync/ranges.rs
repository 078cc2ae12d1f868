//! The ranges of `updated` that a run walks side by side.

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};

use super::tracked;
use super::workshop::{Job, Options};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::window::{self, Window};
use crate::engine::StepError;
use crate::jira::{SearchRequest, jql, normalise};
use crate::store::plan::{ListedUser, Part, Progress};

/// So many issues at either end are looked at for one that says when it was updated.
const EDGE_ISSUES: u32 = 20;
/// A part of the time range that holds far more than its share is counted in so many smaller ones.
const FINER: usize = 4;

/// What the run looks at; nothing when it repairs single issues.
#[derive(Default)]
pub(super) struct Planned {
    pub window: Window,
    pub estimate: u64,
    pub partitions: Vec<Part>,
}

/// Finds the ranges of one project.
pub(super) struct Ranges<'a> {
    pub job: &'a Job,
    pub options: &'a Options,
    /// The project's key, as Jira shows it now.
    pub project: &'a str,
}

/// How much there is in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    window: Window,
    estimate: u64,
}

impl Ranges<'_> {
    /// The window of the run.
    pub fn window(&self, progress: &Progress) -> Window {
        match self.job.work.kind.as_str() {
            "full" => Window::FULL,
            _ => {
                let window = window::incremental(&progress.cursors, self.options.overlap);
                let owed = progress.owed_from.filter(|owed| window.from.is_some_and(|from| *owed < from));
                Window { from: owed.or(window.from), ..window }
            }
        }
    }

    /// Asks how much there is.
    pub async fn extent(&self, window: Window) -> Result<Extent, StepError> {
        let query = jql::clauses(self.project, window.from, window.to);
        let estimate = self.job.jira.approximate_count(&query).await?.unwrap_or_default();
        Ok(Extent { window, estimate })
    }

    /// The ranges that are walked side by side. `users` are the listed users of a project that is read for them only;
    /// `known` is the extent where it was asked for before.
    pub async fn plan(
        &self,
        window: Window,
        users: Option<&[ListedUser]>,
        known: Option<Extent>,
    ) -> Result<Planned, StepError> {
        if let Some(users) = users {
            return Ok(Planned { window, estimate: 0, partitions: tracked::parts(users, window) });
        }
        let extent = match known.filter(|known| known.window == window) {
            Some(known) => known,
            None => self.extent(window).await?,
        };
        let estimate = extent.estimate;
        let partitions = if window.is_full() && estimate > 2 * self.options.partition_target_issues {
            self.divide(estimate).await?
        } else {
            vec![part(window, i64::try_from(estimate).ok())]
        };
        Ok(Planned { window, estimate, partitions })
    }

    /// Divides everything into ranges of `updated` that hold about the same number of issues each.
    async fn divide(&self, estimate: u64) -> Result<Vec<Part>, StepError> {
        let limit = usize::try_from(self.job.work.max_concurrency).unwrap_or(1).max(1);
        let wanted =
            usize::try_from(estimate.div_ceil(self.options.partition_target_issues)).unwrap_or(limit).clamp(1, limit);
        if wanted == 1 {
            return Ok(vec![part(Window::FULL, i64::try_from(estimate).ok())]);
        }
        let (oldest, newest) = futures::try_join!(self.edge("ASC"), self.edge("DESC"))?;
        let (Some(oldest), Some(newest)) = (oldest, newest) else {
            return Ok(vec![part(Window::FULL, i64::try_from(estimate).ok())]);
        };
        // One clock that is wrong must not make all other ranges empty; the last one is open anyway.
        let newest = newest.min(self.job.jira.clock().now() + TimeDelta::days(1));
        if oldest >= newest {
            // All at one time, or a server that does not sort: there is nothing to divide by.
            return Ok(vec![part(Window::FULL, i64::try_from(estimate).ok())]);
        }
        let all: Vec<usize> = (0..wanted).collect();
        let mut counts = self.counts((oldest, newest), wanted, &all, limit).await?;
        // Where much happened in little time, the count is not fine enough: quarters of those parts are counted too.
        let crowded = |count: u64| u128::from(count) * 2 * wanted as u128 > u128::from(estimate) * 3;
        let parts: Vec<usize> = (0..wanted).filter(|part| crowded(counts[*part])).collect();
        if !parts.is_empty() {
            let quarters: Vec<usize> = parts.iter().flat_map(|part| part * FINER..(part + 1) * FINER).collect();
            let fine = self.counts((oldest, newest), wanted * FINER, &quarters, limit).await?;
            counts = counts.iter().flat_map(|count| [count / FINER as u64; FINER]).collect();
            quarters.iter().zip(fine).for_each(|(quarter, count)| counts[*quarter] = count);
        }
        let windows = window::split(oldest, newest, &counts, wanted);
        let each = i64::try_from(estimate / windows.len().max(1) as u64).ok();
        Ok(windows.into_iter().map(|window| part(window, each)).collect())
    }

    /// The number of issues in some of the `of` parts that [`window::part_start`] makes of a time.
    async fn counts(
        &self,
        (oldest, newest): (DateTime<Utc>, DateTime<Utc>),
        of: usize,
        parts: &[usize],
        at_once: usize,
    ) -> Result<Vec<u64>, StepError> {
        let bound = |part| window::part_start(oldest, newest, part, of);
        let counts = stream::iter(parts.to_vec()).map(|part| {
            let until = (part + 1 < of).then(|| bound(part + 1));
            let query = jql::clauses(self.project, Some(bound(part)), until);
            async move { Ok::<_, Failure>(self.job.jira.approximate_count(&query).await?.unwrap_or_default()) }
        });
        Ok(counts.buffered(at_once).try_collect().await?)
    }

    /// The `updated` of the project's first or last issue that has one. `None` where none of the first issues has: then
    /// nothing is divided, and whatever is wrong with them is for the walk to say.
    async fn edge(&self, direction: &str) -> Result<Option<DateTime<Utc>>, StepError> {
        let query = format!("{} ORDER BY updated {direction}", jql::clauses(self.project, None, None));
        let fields = ["updated".to_owned()];
        let request = SearchRequest { jql: &query, fields: &fields, page_size: EDGE_ISSUES, next_page_token: None };
        match self.job.jira.search(&request).await {
            Ok(page) => Ok(normalise::updated_times(&page.body).into_iter().next()),
            Err(failure) if failure.code == FailureCode::SchemaChanged => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn part(window: Window, estimated_issues: Option<i64>) -> Part {
    Part { window, estimated_issues, ..Part::default() }
}
