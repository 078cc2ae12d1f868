//! `fetch_page`: asks Jira for one page and stages it as it came.
//!
//! Its commit enqueues the page's writing and, within the bound on pages in flight, the fetch of the next one, so that page
//! n+1 is under way while page n is written.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::workshop::{Job, Workshop};
use super::{report, tracked, unknown_users, upsert_batch};
use crate::domain::cursor;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::page::{Next, TokenGuard};
use crate::jira::{SearchRequest, jql};
use crate::observe::events;
use crate::store::page::{self, PageId, Staged};

pub(super) struct FetchPage(pub Arc<Workshop>);

const KIND: &str = "fetch_page";
const ENDPOINT: &str = "search";

/// Which page, and how the walk has gone so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Walk {
    partition: i32,
    seq: i32,
    token: Option<String>,
    guard: TokenGuard,
    /// How often the walk began anew because Jira did not take its own token.
    #[serde(default)]
    restarts: u32,
    /// Rows of a page, while they are fewer than is set because pages were too large.
    #[serde(default)]
    rows: Option<u32>,
    /// Pages of so many rows that were not too large since.
    #[serde(default)]
    good: u32,
}

/// After so many pages that were not too large, twice as many rows are asked for again.
const GOOD_PAGES: u32 = 4;

impl Walk {
    /// Takes note of how a page came, of which `asked` rows are asked for where nothing is too large.
    fn came(&mut self, rows: Option<u32>, asked: u32) {
        if let Some(rows) = rows {
            (self.rows, self.good) = (Some(rows), 0);
        } else if let Some(rows) = self.rows {
            self.good += 1;
            if self.good >= GOOD_PAGES {
                (self.rows, self.good) = (Some(rows.saturating_mul(2)).filter(|rows| *rows < asked), 0);
            }
        }
    }
}

/// A token that Jira refuses (it expires after seven days, and a site that is moved forgets it) costs a new walk, so often.
const MAX_RESTARTS: u32 = 3;

/// The fetch of a partition's first page.
pub(super) fn first(job: &Job, partition: i32, priority: i16) -> NewStep {
    let guard = TokenGuard::new(TokenGuard::ALLOWED_EMPTY_PAGES);
    step(job, &Walk { partition, seq: 0, token: None, guard, restarts: 0, rows: None, good: 0 }, priority)
}

/// The fetch that a stalled walk goes on with.
pub(super) fn resumed(job: &Job, walk: &serde_json::Value, priority: i16) -> Result<NewStep, StepError> {
    let walk = Walk::deserialize(walk)
        .map_err(|error| Failure::new(FailureCode::Internal, format!("a stored walk cannot be read: {error}")))?;
    Ok(step(job, &walk, priority))
}

fn step(job: &Job, walk: &Walk, priority: i16) -> NewStep {
    NewStep::new(Queue::Jira, KIND, format!("{}/{}/{}", walk.partition, walk.seq, walk.restarts))
        .with(walk)
        .behind(&job.gates(ENDPOINT))
        .priority(priority)
}

/// The walk begins anew, without users whom Jira does not know.
fn without(job: Arc<Job>, walk: Walk, unknown: Vec<String>, page: PageId, priority: i16) -> Commit {
    Commit::effects(move |conn| {
        Box::pin(async move {
            unknown_users::leave_out(conn, &job, page, KIND, &unknown).await?;
            let guard = TokenGuard::new(TokenGuard::ALLOWED_EMPTY_PAGES);
            let anew = Walk { token: None, guard, restarts: walk.restarts + 1, ..walk };
            Ok(vec![step(&job, &anew, priority)])
        })
    })
}

impl Step for FetchPage {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.fetch(context))
    }
}

impl FetchPage {
    async fn fetch(&self, context: &StepContext) -> Result<Commit, StepError> {
        let mut walk: Walk = context.payload()?;
        let job = self.0.job(context).await?;
        let id = PageId { run_id: job.work.run_id, partition: walk.partition, seq: walk.seq };
        let range = context.hear(page::range(&context.pool, id.run_id, id.partition)).await?;
        let range = range
            .ok_or_else(|| Failure::new(FailureCode::Internal, format!("partition {} is not planned", id.partition)))?;
        let asked = Instant::now();
        let (from, to) = job.jira.window(range.window.from, range.window.to);
        let clauses = jql::clauses(&job.work.project_key, from, to);
        let concerning = range.users.as_deref().map(tracked::clause).unwrap_or_default();
        let query = format!("{clauses}{concerning}{}", jql::OLDEST_FIRST);
        let fields = crate::jira::search_fields(&job.fields);
        let request = SearchRequest {
            jql: &query,
            fields: &fields,
            page_size: walk.rows.unwrap_or(job.options.page_size).min(job.options.page_size),
            next_page_token: walk.token.clone(),
        };
        let raw = match job.jira.search(&request).await {
            Ok(raw) => raw,
            Err(failure) => {
                self.0.forget(id.run_id); // the credentials may have been changed: the next attempt reads them again
                if failure.code == FailureCode::BadQuery && walk.token.is_some() && walk.restarts < MAX_RESTARTS {
                    tracing::warn!(
                        event = events::WALK_RESTARTED,
                        partition = id.partition,
                        seq = id.seq,
                        "{}",
                        failure.message
                    );
                    // From the window's beginning: rows that are as they were are not written again.
                    let guard = TokenGuard::new(TokenGuard::ALLOWED_EMPTY_PAGES);
                    let anew = Walk { token: None, guard, restarts: walk.restarts + 1, ..walk };
                    return Ok(Commit::next(vec![step(&job, &anew, context.step.priority)]));
                }
                if failure.code == FailureCode::BadQuery
                    && let Some(users) = &range.users
                    && walk.restarts < MAX_RESTARTS
                {
                    let unknown = unknown_users::find(&job, users).await?;
                    if !unknown.is_empty() {
                        return Ok(without(job, walk, unknown, id, context.step.priority));
                    }
                }
                return Err(failure.into());
            }
        };
        let cursor_bound = cursor::bound(range.now, job.jira.site_clock().lowest(asked));
        let head = raw.head()?;
        walk.came(raw.rows(), job.options.page_size);
        if head.issue_count == 0 {
            // Lost credentials look like this too, and a cursor must not pass what nobody was allowed to see.
            job.jira.myself().await?;
        }
        let next = walk.guard.next(&head)?;
        if next != Next::End {
            let brought = &mut walk.guard.brought;
            brought.page(&raw.ids())?;
            if brought.is_beyond(range.estimate) {
                brought.recount(job.jira.approximate_count(&clauses).await?)?;
            }
        }
        let ahead = match next {
            Next::Page(token) => Some(Walk { seq: walk.seq + 1, token: Some(token), ..walk }),
            Next::End => None,
        };
        let body = raw.body;
        let compressed = lz4_flex::block::compress(&body);
        let body_bytes = i32::try_from(body.len())
            .map_err(|_| Failure::new(FailureCode::SchemaChanged, format!("a page of {} bytes", body.len())))?;

        let workshop = Arc::clone(&self.0);
        let priority = context.step.priority;
        let fetch = context.clock.new_id();
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                let next_fetch = ahead.map(|ahead| step(&job, &ahead, priority));
                let next_walk = next_fetch.as_ref().map(|step| &step.payload);
                let asked_at = range.now;
                let staged = Staged { body: &compressed, body_bytes, next_walk, asked_at, cursor_bound };
                let go_on = page::stage(conn, id, &staged, job.options.pages_in_flight).await?;
                let mut next = vec![upsert_batch::step(id, fetch, asked_at, priority)];
                next.extend(next_fetch.filter(|_| go_on));
                report::missing(conn, &job, KIND, head.missing).await?;
                workshop.pages.put(fetch, body);
                Ok(next)
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_asks_for_fewer_rows_and_for_more_again_later() {
        let guard = TokenGuard::default();
        let mut walk = Walk { partition: 0, seq: 0, token: None, guard, restarts: 0, rows: None, good: 0 };
        walk.came(Some(25), 100);
        let mut asked = Vec::new();
        for _ in 0..9 {
            asked.push(walk.rows);
            walk.came(None, 100);
        }
        assert_eq!(asked, [Some(25), Some(25), Some(25), Some(25), Some(50), Some(50), Some(50), Some(50), None]);
        walk.came(Some(1), 100);
        assert_eq!((walk.rows, walk.good), (Some(1), 0));
    }
}
