//! `repair_batch`: single issues, by id, because `verify` found them missing, stale or extra.
//!
//! What must hold: an issue is marked deleted only if Jira, asked for it by id with credentials that were just checked,
//! leaves it out while answering.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::asked::{self, Asked};
use super::workshop::Workshop;
use super::{fetch_changes, fetch_collection, report, upsert_batch};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::client::BULK_FETCH_LIMIT;
use crate::store::{names, replica};

pub(super) struct Repair(pub Arc<Workshop>);

const KIND: &str = "repair_batch";

/// The issues of one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RepairBatch {
    /// Jira's ids, at most 100.
    pub ids: Vec<i64>,
    /// The stored hashes are believed: only what differs from them is written.
    #[serde(default)]
    pub compare: bool,
}

/// The steps that repair `ids` on a site.
pub fn repair_steps(site_id: uuid::Uuid, ids: &[i64]) -> Vec<NewStep> {
    repair_steps_named(site_id, "asked", ids)
}

/// The same; `cause` keeps the steps of one cause apart from those of another.
pub(super) fn repair_steps_named(site_id: uuid::Uuid, cause: &str, ids: &[i64]) -> Vec<NewStep> {
    steps(site_id, cause, ids, false)
}

/// The steps that read `ids` and write those whose content is another than is stored.
pub(super) fn compare_steps(site_id: uuid::Uuid, ids: &[i64]) -> Vec<NewStep> {
    steps(site_id, "content", ids, true)
}

fn steps(site_id: uuid::Uuid, cause: &str, ids: &[i64], compare: bool) -> Vec<NewStep> {
    let gates = [format!("site:{site_id}"), format!("site:{site_id}/bulkfetch")];
    ids.chunks(BULK_FETCH_LIMIT)
        .map(|ids| {
            let first = ids.first().copied().unwrap_or_default();
            NewStep::new(Queue::Jira, KIND, format!("{cause}/{first}"))
                .with(&RepairBatch { ids: ids.to_vec(), compare })
                .behind(&gates)
                .priority(if compare { 0 } else { 10 })
        })
        .collect()
}

impl Step for Repair {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.repair(context))
    }
}

impl Repair {
    async fn repair(&self, context: &StepContext) -> Result<Commit, StepError> {
        let batch: RepairBatch = context.payload()?;
        let job = self.0.job(context).await?;
        job.jira.myself().await?;
        let project = job.jira.project(&job.work.project_key).await?;
        let Asked { mut page, hidden } = asked::ask(&job, &batch.ids, &crate::jira::search_fields(&job.fields)).await?;
        // An answer without issues is worth nothing from an account that has just been shut out.
        job.jira.myself().await?;
        let tells_hidden = job.jira.tells_hidden();
        // An issue that moved to another project is none of this project's any more.
        let answered: HashSet<i64> = page.rejected.iter().filter_map(|error| error.issue_id).collect();
        let moved: HashSet<i64> = asked::met(&page).collect();
        page.issues.retain(|issue| issue.issue.project_id == project.id);
        let here: HashSet<i64> = page.issues.iter().map(|issue| issue.issue.id).chain(answered).collect();
        // What went away while contents are compared is the next reconciliation's, with its guard.
        let gone = batch.ids.iter().copied().filter(|id| !batch.compare && !here.contains(id)).collect::<Vec<i64>>();
        let (priority, cause) = (context.step.priority, context.step.key.clone());
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                names::hold(conn, job.work.site_id).await?;
                if !batch.compare {
                    replica::distrust(conn, job.work.site_id, &batch.ids).await?;
                }
                let written = upsert_batch::write_page(conn, &job, &page, true).await?;
                let reason = |id| match tells_hidden && !hidden.contains(id) {
                    _ if moved.contains(id) => "moved",
                    true => "deleted",
                    false => "not_visible",
                };
                let reasons: Vec<&str> = gone.iter().map(reason).collect();
                replica::mark_deleted(conn, job.work.site_id, job.work.project_id, &gone, &reasons).await?;
                report::page(conn, &job, KIND, &page).await?;
                let mut next = written.followed(conn, &job, &cause, priority).await?;
                let (comments, worklogs) = (&written.short_comments, &written.short_worklogs);
                next.extend(fetch_collection::for_repair(&job, comments, worklogs, priority));
                next.extend(fetch_changes::for_repair(&job, &written.short_changes, priority));
                Ok(next)
            })
        }))
    }
}
