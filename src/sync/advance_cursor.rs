//! `advance_cursor`: what is applied without a hole from the beginning of the window moves the cursors.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use super::workshop::Workshop;
use crate::domain::cursor::{self, Chain, Page, Partition};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::store::page::{self, PageId, PageState};
use crate::store::plan::BACKFILL;

pub(super) struct AdvanceCursor(pub Arc<Workshop>);

const KIND: &str = "advance_cursor";
/// A long walk moves its cursors each so many pages, so that a run that fails late keeps what it has done.
const EVERY_PAGES: i32 = 8;

/// The step that follows a written page, if it is time for one. The end of the last partition needs none: finalize_run
/// moves the cursors too.
pub(super) fn step_after(page: PageId, complete: bool) -> Option<NewStep> {
    let due = complete || page.seq % EVERY_PAGES == EVERY_PAGES - 1;
    due.then(|| NewStep::new(Queue::Control, KIND, format!("{}/{}", page.partition, page.seq)))
}

impl Step for AdvanceCursor {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let job = self.0.job(context).await?;
            Ok(Commit::effects(move |conn| {
                Box::pin(async move {
                    advance(conn, job.work.run_id, job.work.project_id, Rejects::Hold).await?;
                    Ok(Vec::new())
                })
            }))
        })
    }
}

/// Whether a page with issues that could not be read holds the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejects {
    /// It does: the run may still fail for them, and then they are to be read again.
    Hold,
    /// It does not: the run ends well without them. They are told, and would else be read with all that follows for ever.
    Pass,
}

/// Moves the cursors of the run's project over what is applied. A run that repairs single issues walks nothing and moves
/// nothing.
pub(super) async fn advance(
    conn: &mut PgConnection,
    run_id: Uuid,
    project_id: Uuid,
    rejects: Rejects,
) -> Result<(), StepError> {
    let mut states = page::states(&mut *conn, run_id).await?;
    for state in states.iter_mut().filter(|state| rejects == Rejects::Hold && state.issues_rejected > 0) {
        state.applied = Some(false);
    }
    let through = [
        through(&states, |_| true),
        through(&states, |state| state.comments_pending == 0),
        through(&states, |state| state.worklogs_pending == 0),
        through(&states, |state| state.changes_pending == 0),
    ];
    page::advance_cursors(conn, project_id, run_id, through).await?;
    Ok(())
}

/// Through which time every chain of partitions is applied. The history of users who were just listed says nothing of it.
fn through(states: &[PageState], collected: fn(&PageState) -> bool) -> Option<DateTime<Utc>> {
    let chains: Vec<Chain> = states
        .chunk_by(|a, b| a.chain == b.chain)
        .filter(|states| states.first().is_some_and(|state| state.chain != BACKFILL))
        .map(|states| Chain {
            partitions: partitions(states, collected),
            last_asked: states.iter().filter_map(|state| state.bound).max(),
        })
        .collect();
    cursor::applied_by_all(&chains)
}

fn partitions(states: &[PageState], collected: fn(&PageState) -> bool) -> Vec<Partition> {
    states
        .chunk_by(|a, b| a.partition == b.partition)
        .map(|pages| Partition {
            complete: pages.iter().all(|page| page.fetched_all),
            pages: pages
                .iter()
                .filter_map(|page| {
                    let (applied, bound) = page.applied.zip(page.bound)?;
                    Some(Page { applied: applied && collected(page), newest: page.newest, bound })
                })
                .collect(),
        })
        .collect()
}
