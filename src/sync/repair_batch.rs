//! `repair_batch`: single issues, by id, because `verify` found them missing, stale or extra.
//!
//! What must hold: an issue is marked deleted only if Jira, asked for it by every way with credentials that were just checked,
//! leaves it out while answering. What search alone shows is written as search shows it.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::asked::{self, OneWay};
use super::workshop::Workshop;
use super::{fetch_changes, fetch_collection, left_out, report, upsert_batch};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::client::BULK_FETCH_LIMIT;
use crate::store::page::PageId;
use crate::store::replica;

pub(super) struct Repair(pub Arc<Workshop>);

const KIND: &str = "repair_batch";

/// The issues of one step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RepairBatch {
    /// Jira's ids, at most 100.
    pub ids: Vec<i64>,
    /// The stored hashes are believed: only what differs from them is written.
    #[serde(default)]
    pub compare: bool,
    /// They are read because search left something out of them.
    #[serde(default)]
    pub left_out: bool,
}

/// The steps that repair `ids` on a site.
pub fn repair_steps(site_id: uuid::Uuid, ids: &[i64]) -> Vec<NewStep> {
    repair_steps_named(site_id, "asked", ids)
}

/// The same; `cause` keeps the steps of one cause apart from those of another.
pub(super) fn repair_steps_named(site_id: uuid::Uuid, cause: &str, ids: &[i64]) -> Vec<NewStep> {
    steps(site_id, cause, ids, RepairBatch::default())
}

/// The steps that read `ids` and write those whose content is another than is stored.
pub(super) fn compare_steps(site_id: uuid::Uuid, ids: &[i64]) -> Vec<NewStep> {
    steps(site_id, "content", ids, RepairBatch { compare: true, ..RepairBatch::default() })
}

/// The steps that read `ids` by id, because the search of a page left something out of them.
pub(super) fn left_out_steps(site_id: uuid::Uuid, page: PageId, ids: &[i64]) -> Vec<NewStep> {
    let cause = format!("left-out/{}.{}", page.partition, page.seq);
    steps(site_id, &cause, ids, RepairBatch { compare: true, left_out: true, ..RepairBatch::default() })
}

fn steps(site_id: uuid::Uuid, cause: &str, ids: &[i64], how: RepairBatch) -> Vec<NewStep> {
    let gates = [format!("site:{site_id}"), format!("site:{site_id}/bulkfetch")];
    ids.chunks(BULK_FETCH_LIMIT)
        .map(|ids| {
            let first = ids.first().copied().unwrap_or_default();
            NewStep::new(Queue::Jira, KIND, format!("{cause}/{first}"))
                .with(&RepairBatch { ids: ids.to_vec(), ..how.clone() })
                .behind(&gates)
                .priority(if how.compare { 0 } else { 10 })
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
        let fields = crate::jira::search_fields(&job.fields);
        // What search leaves out is not asked of search once more.
        let key = Some(project.key.as_str()).filter(|_| !batch.left_out);
        let mut shown = job.jira.by_every_way(&batch.ids, &fields, &job.fields, key).await?;
        // An answer without issues is worth nothing from an account that has just been shut out.
        job.jira.myself().await?;
        let tells_hidden = job.jira.tells_hidden();
        // An issue that moved to another project is none of this project's any more.
        let one_way = OneWay::of(&shown);
        let met = shown.met();
        let elsewhere = shown.page.issues.iter().filter(|issue| issue.issue.project_id != project.id);
        let moved: HashSet<i64> = elsewhere.map(|issue| issue.issue.id).collect();
        let mut page = std::mem::take(&mut shown.page);
        page.issues.retain(|issue| issue.issue.project_id == project.id);
        let is_gone = |id: &i64| moved.contains(id) || !met.contains(id) && !shown.unanswered.contains(id);
        // What went away while contents are compared is the next reconciliation's, with its guard.
        let gone: Vec<i64> = batch.ids.iter().copied().filter(|id| !batch.compare && is_gone(id)).collect();
        let hidden = shown.hidden;
        let priority = context.step.priority;
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                if !batch.compare {
                    replica::distrust(conn, job.work.site_id, &batch.ids).await?;
                }
                let written = upsert_batch::write_page(conn, &job, &page).await?;
                let reason = |id| match tells_hidden && !hidden.contains(id) {
                    _ if moved.contains(id) => "moved",
                    true => "deleted",
                    false => "not_visible",
                };
                let reasons: Vec<&str> = gone.iter().map(reason).collect();
                replica::mark_deleted(conn, job.work.site_id, job.work.project_id, &gone, &reasons).await?;
                if !batch.left_out {
                    // Else the page that left something out has told it.
                    report::page(conn, &job, KIND, &page).await?;
                    asked::tell(conn, &job, KIND, &one_way).await?;
                }
                left_out::note(conn, &job, KIND, &page.issues, written.kept, false).await?;
                if batch.left_out {
                    // Their lists and histories are read because of the page that left something out.
                    left_out::looked_up(conn, &job, &page.issues).await?;
                    return Ok(Vec::new());
                }
                let mut next =
                    fetch_collection::for_repair(&job, &written.short_comments, &written.short_worklogs, priority);
                next.extend(fetch_changes::for_repair(&job, &written.short_changes, priority));
                Ok(next)
            })
        }))
    }
}
