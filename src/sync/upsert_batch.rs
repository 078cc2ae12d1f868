//! `upsert_batch`: a staged page becomes rows.
//!
//! What must hold: one issue that cannot be read is recorded and skipped, the page goes on; comments and worklogs are
//! applied only for issues of which nothing is stored that was asked for later; a collection that Jira inlined in part is fetched
//! in full by a step of its own, and holds the cursor of its entity back until then.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::by_id::{compare_steps, left_out_steps};
use super::mend_keys::{self, Renamed};
use super::workshop::{self, Job, Workshop};
use super::{
    advance_cursor, apply_names, fetch_catalogue, fetch_changes, fetch_collection, fetch_page, fetch_worklogs,
    left_out, report,
};
use crate::domain::entity::TermKind;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::normalise::{self, ParsedIssue, ParsedPage, RecordError};
use crate::store::keys;
use crate::store::names::{self, Met, Shown};
use crate::store::page::{self, PageCounts, PageId, Pending};
use crate::store::people;
use crate::store::replica::{self, Look, Source, Version};

pub(super) struct UpsertBatch(pub Arc<Workshop>);

const KIND: &str = "upsert_batch";

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Which {
    partition: i32,
    seq: i32,
    /// Names the body that was staged; see [`super::page_cache`].
    fetch: Uuid,
    /// When Jira was asked for it, by the database's clock; a step of an older program does not say.
    #[serde(default)]
    asked_at: Option<DateTime<Utc>>,
}

/// The writing of a staged page. More urgent than fetching: what is written no longer takes space.
pub(super) fn step(page: PageId, fetch: Uuid, asked_at: DateTime<Utc>, priority: i16) -> NewStep {
    NewStep::new(Queue::Store, KIND, format!("{}/{}", page.partition, page.seq))
        .with(&Which { partition: page.partition, seq: page.seq, fetch, asked_at: Some(asked_at) })
        .priority(priority.saturating_add(1))
}

impl Step for UpsertBatch {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.upsert(context))
    }
}

impl UpsertBatch {
    async fn upsert(&self, context: &StepContext) -> Result<Commit, StepError> {
        let which: Which = context.payload()?;
        let run_id = workshop::run_id(context)?;
        let id = PageId { run_id, partition: which.partition, seq: which.seq };
        let job = self.0.job(context).await?;
        let body = match self.0.pages.take(which.fetch) {
            Some(body) => body,
            None => staged_body(context, id).await?,
        };
        let mut page = normalise::parse_page(&body, &job.fields)?;
        drop(body);
        let asked_at = match which.asked_at {
            Some(asked_at) => asked_at,
            None => context.hear(page::fetched_at(&context.pool, id)).await?,
        };
        let look = Look { asked_at, by_id: false };
        let priority = context.step.priority;
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                page.forget(people::held(conn, job.work.site_id).await?);
                write(conn, &job, (id, &page), look, priority).await
            })
        }))
    }
}

async fn staged_body(context: &StepContext, id: PageId) -> Result<Bytes, StepError> {
    let lost = |problem: String| {
        Failure::new(FailureCode::Internal, format!("staged page {}/{}: {problem}", id.partition, id.seq))
    };
    let (compressed, length) =
        context.hear(page::body(&context.pool, id)).await?.ok_or_else(|| lost("is missing".to_owned()))?;
    let length = usize::try_from(length).unwrap_or(0);
    let body = lz4_flex::block::decompress(&compressed, length).map_err(|error| lost(error.to_string()))?;
    Ok(Bytes::from(body))
}

async fn write(
    conn: &mut PgConnection,
    job: &Job,
    (id, page): (PageId, &ParsedPage),
    look: Look,
    priority: i16,
) -> Result<Vec<NewStep>, StepError> {
    let written = write_page(conn, job, page, look, job.work.kind == "full").await?;
    let mut next = written.followed(conn, job, &format!("{}.{}", id.partition, id.seq), priority).await?;
    for issue in &written.short_comments {
        next.push(fetch_collection::comments(job, id, issue, priority));
    }
    let worklogs = fetch_worklogs::steps(job, id, &written.short_worklogs, |id| written.known.contains(&id), priority);
    let count = |issues: &[&ParsedIssue]| i32::try_from(issues.len()).unwrap_or(i32::MAX);
    let pending = Pending {
        comments: count(&written.short_comments),
        worklogs: i32::try_from(worklogs.len()).unwrap_or(i32::MAX),
        changes: written.short_changes.clone(),
    };
    next.extend(worklogs);
    let newest = page.issues.iter().map(|issue| issue.issue.updated_at).max();
    let after = page::applied(conn, id, newest, &written.counts, &pending, fetch_changes::BUNDLE_SIZE).await?;
    if let Some(walk) = &after.resume {
        next.push(fetch_page::resumed(job, walk, priority.saturating_sub(1))?);
    }
    if after.bundled {
        next.push(fetch_changes::bundle(job, id, priority));
    }
    // Nothing that waits for the page waits for these: what is stored of them is not older than what was to be written.
    next.extend(compare_steps(job.work.site_id, &format!("doubtful/{}.{}", id.partition, id.seq), &written.doubtful));
    next.extend(advance_cursor::step_after(id, after.complete));
    // What is read again in a list of its own is rejected there, if it still is.
    let ids = |issues: &[&ParsedIssue]| issues.iter().map(|issue| issue.issue.id).collect::<HashSet<i64>>();
    let (comments, worklogs) = (ids(&written.short_comments), ids(&written.short_worklogs));
    let changes: HashSet<i64> = written.short_changes.iter().copied().collect();
    let again = |error: &&RecordError| match (error.entity(), error.issue_id) {
        ("comment", Some(id)) => comments.contains(&id),
        ("worklog", Some(id)) => worklogs.contains(&id),
        ("changelog", Some(id)) => changes.contains(&id),
        _ => false,
    };
    let rejected: Vec<RecordError> = page.rejected.iter().filter(|error| !again(error)).cloned().collect();
    report::records(conn, job, KIND, &rejected, &page.drifts).await?;
    left_out::note(conn, job, KIND, &page.issues, written.kept, id.seq == 0).await?;
    let look_ups = left_out::to_look_up(conn, job, &written.wanted).await?;
    next.extend(left_out_steps(job.work.site_id, id, &look_ups));
    Ok(next)
}

/// What writing the issues of a page did, and whose collections were inlined short.
pub(super) struct Written<'a> {
    pub counts: PageCounts,
    pub short_comments: Vec<&'a ParsedIssue>,
    pub short_worklogs: Vec<&'a ParsedIssue>,
    pub short_changes: Vec<i64>,
    /// Issues that the replica showed before.
    pub known: HashSet<i64>,
    /// Issues that a direct read is to decide about.
    pub doubtful: Vec<i64>,
    /// Issues that changed, or whose parts may not have been read yet.
    pub wanted: Vec<&'a ParsedIssue>,
    /// Values that the page leaves out, and that stay as they are stored.
    pub kept: usize,
    names: Met,
    /// Issues that are called otherwise elsewhere.
    renamed: Option<Renamed>,
}

impl Written<'_> {
    /// The steps that put right what the page has shown to be called otherwise; `cause` names the page within its run.
    pub async fn followed(
        &self,
        conn: &mut PgConnection,
        job: &Job,
        cause: &str,
        priority: i16,
    ) -> Result<Vec<NewStep>, StepError> {
        let mut next = Vec::new();
        if self.names.doubtful {
            next.push(fetch_catalogue::doubt(job, cause, priority));
        }
        if self.names.changed {
            next.extend(apply_names::first(conn, job.work.site_id, cause).await?);
        }
        next.extend(self.renamed.as_ref().map(|renamed| mend_keys::step(cause, renamed)));
        Ok(next)
    }
}

/// Writes people, issues and what was inlined with them, of a page without those who are forgotten: one statement per table, and none where there is nothing. What moves
/// no `updated` of its issue is written with a change of the issue only, unless the reading is `thorough`.
pub(super) async fn write_page<'a>(
    conn: &mut PgConnection,
    job: &Job,
    page: &'a ParsedPage,
    look: Look,
    thorough: bool,
) -> Result<Written<'a>, StepError> {
    let site_id = job.work.site_id;
    let mut issues: Vec<&ParsedIssue> = page.issues.iter().collect();
    // A page that shows an issue twice shows its newest version last.
    issues.sort_by_key(|issue| (issue.issue.id, issue.issue.updated_at));
    let issues: Vec<&ParsedIssue> =
        issues.chunk_by(|a, b| a.issue.id == b.issue.id).filter_map(|versions| versions.last().copied()).collect();
    names::hold(conn, site_id).await?;
    replica::plan_afresh(conn).await?;
    replica::upsert_users(conn, site_id, &page.users).await?;
    let names = names::meet(conn, site_id, &shown(&issues)).await?;
    let project = job.work.jira_project_id;
    replica::upsert_sprints(conn, site_id, &page.sprints, &[], Source::Issues).await?;
    replica::upsert_versions(conn, site_id, project, &page.versions, Source::Issues).await?;
    replica::upsert_components(conn, site_id, project, &page.components, Source::Issues).await?;
    let kept = left_out::keep(conn, job, &issues).await?;
    let records: Vec<_> =
        issues.iter().map(|issue| kept.records.get(&issue.issue.id).unwrap_or(&issue.issue)).collect();
    let upserted = replica::upsert_issues(conn, site_id, job.work.project_id, &records, look).await?;

    let created: Vec<i64> = upserted.created_ids.iter().copied().collect();
    let moved = upserted.former_keys.iter().map(|(id, _)| *id);
    let renamed = Renamed { ids: created.into_iter().chain(moved).collect(), former: upserted.former_keys.clone() };
    let misnamed = keys::are_misnamed(conn, site_id, &renamed.ids, &renamed.former).await?;

    let current: Vec<&ParsedIssue> =
        issues.into_iter().filter(|issue| upserted.current.contains(&issue.issue.id)).collect();
    let versions: Vec<Version> =
        current.iter().map(|issue| Version { issue_id: issue.issue.id, asked_at: look.asked_at }).collect();
    let parts = Parts::of(&current);
    // Of an issue whose list is short, what was inlined is written already; the rest, and removals, come with its own step.
    let comments: Vec<_> = current.iter().flat_map(|issue| &issue.comments).collect();
    let worklogs: Vec<_> = current.iter().flat_map(|issue| &issue.worklogs).collect();
    let comments = replica::apply_comments(conn, site_id, &comments, &versions, &parts.whole_comments, &[]).await?;
    let worklogs = replica::apply_worklogs(conn, site_id, &worklogs, &versions, &parts.whole_worklogs, &[]).await?;
    if thorough {
        let same = current.iter().filter(|issue| !upserted.written.contains(&issue.issue.id));
        let same: Vec<_> = same
            .map(|issue| (kept.records.get(&issue.issue.id).unwrap_or(&issue.issue), issue.left_out.named()))
            .collect();
        if !same.is_empty() {
            replica::refresh_beside(conn, site_id, &same, look.asked_at).await?;
        }
    }
    // Links and attachments stand in the issue whole. They change with it, but for the key at the other end of a link.
    let showing = |field: &str| -> Vec<Version> {
        current.iter().zip(&versions).filter(|(issue, _)| issue.left_out.shows(field)).map(|(_, it)| *it).collect()
    };
    let links: Vec<_> = current.iter().flat_map(|issue| &issue.links).collect();
    replica::apply_links(conn, site_id, &links, &showing("issuelinks")).await?;
    if !upserted.written.is_empty() || thorough {
        let attachments: Vec<_> = current.iter().flat_map(|issue| &issue.attachments).collect();
        replica::apply_attachments(conn, site_id, &attachments, &showing("attachment")).await?;
    }
    let short: HashSet<i64> = parts.short_changes.iter().map(|issue| issue.issue.id).collect();
    let changes = current.iter().flat_map(|issue| &issue.changes);
    let (in_part, whole): (Vec<_>, Vec<_>) = changes.partition(|change| short.contains(&change.issue_id));
    let changes = replica::insert_changes(conn, site_id, &whole, true).await?
        + replica::insert_changes(conn, site_id, &in_part, false).await?;

    // An issue that is as it was has its collections already, unless the run that wrote it did not end well.
    let from = job.work.collections_from.unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    let wanted = |issue: &ParsedIssue| upserted.written.contains(&issue.issue.id) || issue.issue.updated_at >= from;
    let counts = PageCounts {
        issues_seen: i64::try_from(page.issues.len()).unwrap_or(i64::MAX),
        issues_created: upserted.created,
        issues_updated: upserted.updated,
        issues_unchanged: upserted.unchanged,
        issues_rejected: page.rejected.iter().map(|error| i64::from(error.entity() == "issue")).sum(),
        comments_written: comments.written,
        comments_removed: comments.removed,
        worklogs_written: worklogs.written,
        worklogs_removed: worklogs.removed,
        changes_written: changes,
    };
    let wanted_issues = current.iter().copied().filter(|issue| wanted(issue)).collect();
    Ok(Written {
        counts,
        wanted: wanted_issues,
        kept: kept.values,
        known: &upserted.current - &upserted.created_ids,
        doubtful: upserted.doubtful,
        names,
        renamed: misnamed.then_some(renamed),
        short_comments: parts.short_comments.into_iter().filter(|issue| wanted(issue)).collect(),
        short_worklogs: parts.short_worklogs.into_iter().filter(|issue| wanted(issue)).collect(),
        short_changes: parts.short_changes.into_iter().filter(|issue| wanted(issue)).map(|i| i.issue.id).collect(),
    })
}

/// What issues call their statuses, types, priorities and resolutions, each once.
fn shown(issues: &[&ParsedIssue]) -> Vec<Shown> {
    let all = issues.iter().flat_map(|issue| {
        let (issue, details) = (&issue.issue, &issue.issue.details);
        let category = Some(&issue.status_category).filter(|category| *category != "undefined").cloned();
        let status = details.status_id.map(|id| Shown {
            kind: None,
            id,
            name: issue.status.clone(),
            category,
            is_subtask: false,
        });
        let term = |kind, id: Option<i64>, name: &str| {
            let is_subtask = kind == TermKind::IssueType && details.is_subtask;
            Some(Shown::term(kind, id?, name, is_subtask))
        };
        let (priority, resolution) = (issue.priority.as_deref(), issue.resolution.as_deref());
        [
            status,
            term(TermKind::IssueType, details.issue_type_id, &issue.issue_type),
            term(TermKind::Priority, details.priority_id, priority.unwrap_or_default()),
            term(TermKind::Resolution, details.resolution_id, resolution.unwrap_or_default()),
        ]
    });
    let each: BTreeSet<Shown> = all.flatten().filter(|shown| !shown.name.is_empty()).collect();
    each.into_iter().collect()
}

/// Which collections of the issues were inlined whole, and which in part.
struct Parts<'a> {
    whole_comments: Vec<i64>,
    whole_worklogs: Vec<i64>,
    short_comments: Vec<&'a ParsedIssue>,
    short_worklogs: Vec<&'a ParsedIssue>,
    short_changes: Vec<&'a ParsedIssue>,
}

impl<'a> Parts<'a> {
    fn of(current: &[&'a ParsedIssue]) -> Self {
        let whole = |total: i64, inlined: usize| usize::try_from(total).is_ok_and(|total| total <= inlined);
        let ids = |issues: Vec<&ParsedIssue>| issues.iter().map(|issue| issue.issue.id).collect::<Vec<i64>>();
        let (comments, short_comments): (Vec<&ParsedIssue>, Vec<&ParsedIssue>) =
            current.iter().partition(|issue| whole(issue.comments_total, issue.comments.len()));
        let (worklogs, short_worklogs): (Vec<&ParsedIssue>, Vec<&ParsedIssue>) =
            current.iter().partition(|issue| whole(issue.worklogs_total, issue.worklogs.len()));
        // One entry of history is several records: one per field.
        let entries = |issue: &ParsedIssue| issue.changes.iter().map(|c| c.id).collect::<BTreeSet<i64>>().len();
        let short_changes = current
            .iter()
            .copied()
            .filter(|i| !i.changes_total.is_some_and(|total| whole(total, entries(i))))
            .collect();
        Self {
            whole_comments: ids(comments),
            whole_worklogs: ids(worklogs),
            short_comments,
            short_worklogs,
            short_changes,
        }
    }
}
