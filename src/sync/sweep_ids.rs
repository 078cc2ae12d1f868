//! `sweep_ids`: notes the id of every issue that Jira shows in the project, for `mark_gone` to compare.
//!
//! What must hold: ids go to the database page by page, so that a million of them take no more memory than a few pages; a
//! sweep that does not reach its end marks nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::workshop::{Job, Workshop};
use super::{mark_gone, report};
use crate::domain::failure::FailureCode;
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::jql;
use crate::jira::page::{Next, TokenGuard};
use crate::observe::events;
use crate::store::reconcile;

pub(super) struct SweepIds(pub Arc<Workshop>);

const KIND: &str = "sweep_ids";
const ENDPOINT: &str = "search";
/// Pages of up to 5000 ids that one step reads before it writes: bounds what is in memory and what a crash costs.
const PAGES_PER_STEP: u32 = 8;
/// As for the pages of issues: a token that Jira no longer takes costs a new walk, so often.
const MAX_RESTARTS: u32 = 3;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Walk {
    /// Jira's id of the project.
    project: i64,
    /// When the sweep began.
    began: DateTime<Utc>,
    pages: u32,
    token: Option<String>,
    guard: TokenGuard,
    restarts: u32,
}

/// The first step of a sweep.
pub(super) fn first(job: &Job, project: i64, context: &StepContext) -> NewStep {
    let guard = TokenGuard::new(TokenGuard::ALLOWED_EMPTY_PAGES);
    let walk = Walk { project, began: context.clock.now(), pages: 0, token: None, guard, restarts: 0 };
    step(job, &walk, context.step.priority)
}

fn step(job: &Job, walk: &Walk, priority: i16) -> NewStep {
    NewStep::new(Queue::Jira, KIND, format!("{}/{}", walk.restarts, walk.pages))
        .with(walk)
        .behind(&job.gates(ENDPOINT))
        .priority(priority)
}

impl Step for SweepIds {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.sweep(context))
    }
}

impl SweepIds {
    async fn sweep(&self, context: &StepContext) -> Result<Commit, StepError> {
        let mut walk: Walk = context.payload()?;
        let job = self.0.job(context).await?;
        let priority = context.step.priority;
        // Whole, also for a project that is read for some users only: an issue that concerns them no longer is not gone.
        let query = jql::clauses(&job.work.project_key, None, None) + " ORDER BY key ASC";
        let mut ids: Vec<i64> = Vec::new();
        let (mut ended, mut missing) = (false, 0);
        for _ in 0..PAGES_PER_STEP {
            let page = match job.jira.search_ids(&query, walk.token.clone()).await {
                Ok(page) => page,
                Err(failure) => {
                    self.0.forget(job.work.run_id);
                    if failure.code == FailureCode::BadQuery && walk.token.is_some() && walk.restarts < MAX_RESTARTS {
                        tracing::warn!(event = events::WALK_RESTARTED, pages = walk.pages, "{}", failure.message);
                        let guard = TokenGuard::new(TokenGuard::ALLOWED_EMPTY_PAGES);
                        let anew = Walk { pages: 0, token: None, guard, restarts: walk.restarts + 1, ..walk };
                        return Ok(Commit::next(vec![step(&job, &anew, priority)]));
                    }
                    return Err(failure.into());
                }
            };
            walk.pages += 1;
            ids.extend(&page.ids);
            match walk.guard.next(&page.head)? {
                Next::Page(token) => {
                    let brought = &mut walk.guard.brought;
                    brought.page(&page.ids)?;
                    if brought.is_beyond(None) {
                        let clauses = jql::clauses(&job.work.project_key, None, None);
                        brought.recount(job.jira.approximate_count(&clauses).await?)?;
                    }
                    walk.token = Some(token);
                }
                Next::End => {
                    (ended, missing) = (true, page.head.missing);
                    break;
                }
            }
        }
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                reconcile::saw(conn, job.work.run_id, &ids).await?;
                report::missing(conn, &job, KIND, missing).await?;
                let next = if ended {
                    mark_gone::first(&job, walk.project, walk.began, priority)
                } else {
                    step(&job, &walk, priority)
                };
                Ok(vec![next])
            })
        }))
    }
}
