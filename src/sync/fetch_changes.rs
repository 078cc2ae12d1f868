//! `fetch_changes`: the history of many issues at once.
//!
//! Pages gather the issues whose history was not inlined; a bundle of them is asked for together, so that a thousand issues
//! cost two or three requests. A site without the bulk endpoint is asked issue by issue.
//!
//! What must hold: a page's history counts as read only when every issue of its bundle was answered for, or is owed because
//! the site withholds it; what was read is stored on the way, so that a crash late in a long bundle costs little.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::report;
use super::workshop::{self, Job, Workshop};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::histories;
use crate::store::bundle;
use crate::store::capability;
use crate::store::page::PageId;
use crate::store::people;
use crate::store::replica;

pub(super) struct FetchChanges(pub Arc<Workshop>);

const KIND: &str = "fetch_changes";
/// What histories are called among the entities and among the site's capabilities.
const FEATURE: &str = "changelog";
/// Said of a bundle that was not asked for.
const STILL: &str = "it was hidden recently and is not yet due for another request";
/// A bundle of at least so many issues is asked for; with the page that fills it, it stays under the 1000 that Jira takes.
pub(super) const BUNDLE_SIZE: i32 = 500;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Walk {
    /// The page that names the bundle; none for a repair.
    page: Option<(i32, i32)>,
    /// The issues of a repair.
    #[serde(default)]
    ids: Vec<i64>,
    #[serde(default)]
    at: histories::Position,
}

/// The fetch of a bundle, named by the page that made it full.
pub(super) fn bundle(job: &Job, page: PageId, priority: i16) -> NewStep {
    step(
        job,
        &Walk { page: Some((page.partition, page.seq)), ids: Vec::new(), at: histories::Position::default() },
        priority,
    )
}

/// The same for single issues, for which no page waits.
pub(super) fn for_repair(job: &Job, ids: &[i64], priority: i16) -> Option<NewStep> {
    let walk = Walk { page: None, ids: ids.to_vec(), at: histories::Position::default() };
    (!ids.is_empty()).then(|| step(job, &walk, priority))
}

fn step(job: &Job, walk: &Walk, priority: i16) -> NewStep {
    let name = match (walk.page, walk.ids.first()) {
        (Some((partition, seq)), _) => format!("{partition}/{seq}"),
        (None, first) => format!("repair/{}", first.copied().unwrap_or_default()),
    };
    NewStep::new(Queue::Jira, KIND, format!("{name}/{}", walk.at.pages))
        .with(walk)
        .behind(&job.gates(FEATURE))
        .priority(priority)
}

impl Step for FetchChanges {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.fetch(context))
    }
}

impl FetchChanges {
    async fn fetch(&self, context: &StepContext) -> Result<Commit, StepError> {
        let mut walk: Walk = context.payload()?;
        let job = self.0.job(context).await?;
        let run_id = workshop::run_id(context)?;
        let page = walk.page.map(|(partition, seq)| PageId { run_id, partition, seq });
        let ids = match page {
            Some(page) => context.hear(bundle::issues(&context.pool, page)).await?,
            None => walk.ids.clone(),
        };
        let site_id = job.work.site_id;
        let mut read = match context.hear(capability::is_withheld(&context.pool, site_id, FEATURE)).await? {
            true => histories::Read { withheld: Some(("absent", STILL.to_owned())), ..histories::Read::default() },
            false => histories::read(&job.jira, &ids, walk.at.clone()).await?,
        };
        if read.withheld.is_none() && read.changes.is_empty() && !ids.is_empty() {
            // Lost credentials look like this too: issues that may not be seen are left out in silence.
            job.jira.myself().await?;
        }
        let priority = context.step.priority;
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                let people = people::held(conn, site_id).await?;
                people.history(&mut read.changes);
                replica::plan_afresh(conn).await?;
                replica::upsert_users(conn, site_id, &read.users).await?;
                let records: Vec<_> = read.changes.iter().collect();
                let written = replica::insert_changes(conn, site_id, &records, true).await?;
                report::records(conn, &job, KIND, &read.rejected, &read.drifts).await?;
                match &read.withheld {
                    None => capability::is_back(conn, site_id, FEATURE).await?,
                    Some((state, reason)) => {
                        if reason != STILL {
                            capability::set(conn, site_id, &[(FEATURE, *state, Some(reason.as_str()))]).await?;
                        }
                        let rest = ids.get(walk.at.issue..).unwrap_or_default();
                        capability::passed_over(conn, (run_id, job.work.project_id, site_id), FEATURE, rest).await?;
                    }
                }
                if let Some(page) = page.filter(|_| written > 0) {
                    bundle::changes_written(conn, page, written).await?;
                }
                if let Some(at) = read.next {
                    walk.at = at;
                    return Ok(vec![step(&job, &walk, priority)]);
                }
                if let Some(page) = page {
                    bundle::changes_done(conn, page).await?;
                }
                Ok(Vec::new())
            })
        }))
    }
}
