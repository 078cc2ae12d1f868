//! `repair_batch`: single issues, by id, because `verify` found them missing, stale or extra.
//!
//! What must hold: an issue is marked deleted only if Jira, asked for it by every way with credentials that were just checked,
//! leaves it out while answering. What search alone shows is written as search shows it.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::asked::{self, OneWay};
use super::by_id::{KIND, RepairBatch};
use super::workshop::Workshop;
use super::{fetch_changes, fetch_collection, left_out, report, upsert_batch};
use crate::engine::{Commit, Step, StepContext, StepError};
use crate::store::replica::{self, Look};
use crate::store::{clock, page, people, webhook};

pub(super) struct Repair(pub Arc<Workshop>);

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
        let asked_at = context.hear(clock::now(&context.pool)).await?;
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
        let moved: HashMap<i64, i64> = elsewhere.map(|issue| (issue.issue.id, issue.issue.project_id)).collect();
        let mut page = std::mem::take(&mut shown.page);
        page.issues.retain(|issue| issue.issue.project_id == project.id);
        let is_gone = |id: &i64| moved.contains_key(id) || !met.contains(id) && !shown.unanswered.contains(id);
        // What went away while contents are compared is the next reconciliation's, with its guard.
        let gone: Vec<i64> = batch.ids.iter().copied().filter(|id| !batch.compare && is_gone(id)).collect();
        let hidden = shown.hidden;
        // What search alone shows may be older than what is stored: its index is behind.
        let look = Look { asked_at, by_id: shown.by_search.is_empty() };
        let updated =
            |id: &i64| page.issues.iter().filter(|one| one.issue.id == *id).map(|one| one.issue.updated_at).max();
        // What search alone shows, or nothing at all, may be behind: the webhook's hint stays.
        let is_read = |id: &&i64| !shown.by_search.contains(*id) && !shown.unanswered.contains(*id);
        let reads = batch.ids.iter().filter(is_read).map(|id| webhook::Read {
            id: *id,
            updated_at: updated(id),
            elsewhere: moved.get(id).copied(),
        });
        let reads: Vec<webhook::Read> = reads.collect();
        let (priority, cause) = (context.step.priority, context.step.key.clone());
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                page.forget(people::held(conn, job.work.site_id).await?);
                if !batch.compare {
                    replica::distrust(conn, job.work.site_id, &batch.ids).await?;
                }
                let written = upsert_batch::write_page(conn, &job, &page, look, true).await?;
                let reason = |id| match tells_hidden && !hidden.contains(id) {
                    _ if moved.contains_key(id) => "moved",
                    true => "deleted",
                    false => "not_visible",
                };
                let reasons: Vec<&str> = gone.iter().map(reason).collect();
                replica::mark_deleted(conn, job.work.site_id, job.work.project_id, &gone, &reasons, asked_at).await?;
                if !batch.left_out {
                    // Else the page that left something out has counted and told it.
                    page::written_by_id(conn, job.work.run_id, &written.counts).await?;
                    report::page(conn, &job, KIND, &page).await?;
                    asked::tell(conn, &job, KIND, &one_way).await?;
                }
                webhook::settle(conn, (job.work.site_id, job.work.project_id), &reads, asked_at).await?;
                left_out::note(conn, &job, KIND, &page.issues, written.kept, false).await?;
                let mut next = written.followed(conn, &job, &cause, priority).await?;
                if batch.left_out {
                    // Their lists and histories are read because of the page that left something out.
                    left_out::looked_up(conn, &job, &page.issues).await?;
                    return Ok(next);
                }
                let (comments, worklogs) = (&written.short_comments, &written.short_worklogs);
                next.extend(fetch_collection::for_repair(&job, comments, worklogs, priority));
                next.extend(fetch_changes::for_repair(&job, &written.short_changes, priority));
                Ok(next)
            })
        }))
    }
}
