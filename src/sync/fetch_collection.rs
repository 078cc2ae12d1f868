//! `fetch_collection`: the comments or worklogs of one issue, in full, because Jira inlined only some of them.
//!
//! What must hold: what disappeared is removed only after the whole list was read, and only if nothing of the issue was
//! written meanwhile that was asked for later (whose own steps see to it then).

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::workshop::{self, Workshop};
use super::{report, workshop::Job};
use crate::domain::forgotten::Forgotten;
use crate::domain::queue::Queue;
use crate::domain::record::{CommentRecord, WorklogRecord};
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::normalise::{self, ParsedCollection, ParsedIssue};
use crate::jira::withheld::{LOOKS_BEFORE_WITHHELD, is_withheld};
use crate::store::page::PageId;
use crate::store::replica::{self, Version};
use crate::store::{bundle, capability, clock, people};

pub(super) struct FetchCollection(pub Arc<Workshop>);

const KIND: &str = "fetch_collection";
/// Pages that one step reads before it writes and goes on in a successor: bounds what is in memory.
const PAGES_PER_STEP: u32 = 10;
/// Said of a list that was not asked for.
const STILL: &str = "it was hidden recently and is not yet due for another request";
const COMMENTS_PER_PAGE: u32 = 100;
const WORKLOGS_PER_PAGE: u32 = 5000;
/// Far more than an issue has.
const MOST_RECORDS: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Collection {
    Comment,
    Worklog,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Walk {
    collection: Collection,
    issue_id: i64,
    version: DateTime<Utc>,
    /// The page that waits for this collection; none for a repair.
    page: Option<(i32, i32)>,
    start_at: u64,
    /// When the first step of this walk asked, by the database's clock.
    #[serde(default)]
    asked_at: Option<DateTime<Utc>>,
    /// The ids read by earlier steps of this walk.
    seen: Vec<i64>,
    /// Search leaves the list out, of this issue and so of many.
    #[serde(default)]
    left_out: bool,
}

impl Walk {
    /// The entity, which is also the name of its endpoint.
    fn entity(&self) -> &'static str {
        match self.collection {
            Collection::Comment => "comment",
            Collection::Worklog => "worklog",
        }
    }

    /// What it is called among the site's capabilities.
    fn feature(&self) -> &'static str {
        match self.collection {
            Collection::Comment => "comments",
            Collection::Worklog => "worklogs",
        }
    }
}

/// The fetch of all comments of an issue.
pub(super) fn comments(job: &Job, page: PageId, issue: &ParsedIssue, priority: i16) -> NewStep {
    step(
        job,
        &Walk { left_out: !issue.left_out.shows("comment"), ..first(Some(page), named(issue), Collection::Comment) },
        priority,
    )
}

/// The fetch of all worklogs of an issue.
pub(super) fn worklogs(job: &Job, page: PageId, issue: &ParsedIssue, priority: i16) -> NewStep {
    step(
        job,
        &Walk { left_out: !issue.left_out.shows("worklog"), ..first(Some(page), named(issue), Collection::Worklog) },
        priority,
    )
}

/// The same of an issue that is known by its id and version.
pub(super) fn worklogs_of(job: &Job, page: PageId, issue: (i64, DateTime<Utc>), priority: i16) -> NewStep {
    step(job, &first(Some(page), issue, Collection::Worklog), priority)
}

/// Both as far as they are short, with no page that waits for them.
pub(super) fn for_repair(
    job: &Job,
    comments: &[&ParsedIssue],
    worklogs: &[&ParsedIssue],
    priority: i16,
) -> Vec<NewStep> {
    let of = |issue: &&ParsedIssue, which| step(job, &first(None, named(issue), which), priority);
    let comments = comments.iter().map(|issue| of(issue, Collection::Comment));
    comments.chain(worklogs.iter().map(|issue| of(issue, Collection::Worklog))).collect()
}

/// The issue's id, and the version of it that was read.
fn named(issue: &ParsedIssue) -> (i64, DateTime<Utc>) {
    (issue.issue.id, issue.issue.updated_at)
}

fn first(page: Option<PageId>, (issue_id, version): (i64, DateTime<Utc>), collection: Collection) -> Walk {
    let page = page.map(|page| (page.partition, page.seq));
    Walk { collection, issue_id, version, page, start_at: 0, asked_at: None, seen: Vec::new(), left_out: false }
}

fn step(job: &Job, walk: &Walk, priority: i16) -> NewStep {
    let name = walk.entity();
    // An issue may be on two pages of a run: it was updated in between, or Jira repeats it. Each page waits for its own.
    let page = walk.page.map_or_else(|| "repair".to_owned(), |(partition, seq)| format!("{partition}.{seq}"));
    let key = format!("{name}/{}/{}/{page}/{}", walk.issue_id, walk.version.timestamp_millis(), walk.start_at);
    NewStep::new(Queue::Jira, KIND, key).with(walk).behind(&job.gates(name)).priority(priority)
}

/// What was read of the collection, either kind.
#[derive(Default)]
struct Read {
    comments: Vec<CommentRecord>,
    worklogs: Vec<WorklogRecord>,
    people: Vec<crate::domain::record::UserRecord>,
    mentions: Vec<(String, String)>,
    rejected: Vec<normalise::RecordError>,
    drifts: Vec<normalise::Drift>,
    next_start: Option<u64>,
}

impl Read {
    /// Takes out what names people who are forgotten.
    fn forget(&mut self, mut people: Forgotten) {
        people.mentioned_as(self.mentions.iter().map(|(id, text)| (id.as_str(), text.as_str())));
        for comment in &mut self.comments {
            people.comment(comment);
        }
        for worklog in &mut self.worklogs {
            people.worklog(worklog);
        }
    }

    /// Ends a walk over pages that go on bringing what they brought, or more than any issue has: the list is not complete
    /// then, so that nothing is removed, and the rest of the run goes on.
    fn end_of_endless(&mut self, walk: &Walk) {
        let ids =
            || self.comments.iter().map(|comment| comment.id).chain(self.worklogs.iter().map(|worklog| worklog.id));
        let seen: HashSet<i64> = walk.seen.iter().copied().collect();
        let new = ids().filter(|id| !seen.contains(id)).count();
        let what = match self.next_start {
            Some(_) if new == 0 && !walk.seen.is_empty() => "repeat earlier entries",
            Some(_) if walk.seen.len() + new > MOST_RECORDS => "contain more entries than an issue can have",
            _ => return,
        };
        self.next_start = None;
        let problem = format!("never ends: its pages {what} ({} so far)", walk.seen.len() + new);
        let field = walk.entity().to_owned();
        self.rejected.push(normalise::RecordError {
            issue_id: Some(walk.issue_id),
            record_id: None,
            key: None,
            field,
            problem,
        });
    }

    /// Takes over a page; true when another one follows.
    fn add<T>(&mut self, page: ParsedCollection<T>, into: fn(&mut Self) -> &mut Vec<T>) -> bool {
        let end = page.start_at.saturating_add(page.received);
        let more = page.received > 0 && end < page.total;
        self.next_start = more.then_some(u64::try_from(end).unwrap_or(0));
        into(self).extend(page.records);
        self.people.extend(page.users);
        self.mentions.extend(page.mentions);
        self.rejected.extend(page.rejected);
        self.drifts.extend(page.drifts);
        more
    }
}

impl Step for FetchCollection {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.fetch(context))
    }
}

impl FetchCollection {
    async fn fetch(&self, context: &StepContext) -> Result<Commit, StepError> {
        let mut walk: Walk = context.payload()?;
        let job = self.0.job(context).await?;
        let run_id = workshop::run_id(context)?;
        let asked_at = match walk.asked_at {
            Some(asked_at) => asked_at,
            None => context.hear(clock::now(&context.pool)).await?,
        };
        walk.asked_at = Some(asked_at);
        // A list that no issue shows, and whose end point refuses: not for each of a thousand issues anew.
        let still = walk.left_out
            && context.hear(capability::is_withheld(&context.pool, job.work.site_id, walk.feature())).await?;
        let mut answer = if still { Ok(None) } else { read(&job, &walk).await };
        for _ in 0..LOOKS_BEFORE_WITHHELD {
            match &answer {
                Err(StepError::Failed(failure)) if is_withheld(&job.jira, failure).await? => {
                    answer = read(&job, &walk).await;
                }
                _ => break,
            }
        }
        let (read, withheld) = match answer {
            Ok(read) => (read, None),
            Err(StepError::Failed(failure)) if is_withheld(&job.jira, &failure).await? => (None, Some(failure.message)),
            Err(error) => return Err(error),
        };
        let read = read.map(|mut read| {
            read.end_of_endless(&walk);
            read
        });
        let withheld = withheld.or_else(|| still.then(|| STILL.to_owned()));
        let Some(mut read) = read else {
            // The issue is gone, which is for the reconciliation to see, or the site keeps the list to itself. This
            // collection has nothing more to wait for.
            return Ok(Commit::effects(move |conn| {
                Box::pin(async move {
                    if let Some(reason) = &withheld {
                        let site_id = job.work.site_id;
                        if reason != STILL {
                            capability::set(conn, site_id, &[(walk.feature(), "absent", Some(reason.as_str()))])
                                .await?;
                        }
                        let run = (run_id, job.work.project_id, site_id);
                        capability::passed_over(conn, run, walk.entity(), &[walk.issue_id]).await?;
                    }
                    done(conn, run_id, &walk, 0, 0).await?;
                    Ok(Vec::new())
                })
            }));
        };
        let priority = context.step.priority;
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                let mut applied = replica::Applied::default();
                let site_id = job.work.site_id;
                // A record that could not be read is not gone: without it the list is not complete.
                let last = read.next_start.is_none() && read.rejected.is_empty();
                let complete = if last { vec![walk.issue_id] } else { Vec::new() };
                read.forget(people::held(conn, site_id).await?);
                replica::plan_afresh(conn).await?;
                replica::upsert_users(conn, site_id, &read.people).await?;
                if replica::lock_if_current(conn, site_id, walk.issue_id, asked_at).await? {
                    let version = [Version { issue_id: walk.issue_id, asked_at }];
                    let comments: Vec<_> = read.comments.iter().collect();
                    let worklogs: Vec<_> = read.worklogs.iter().collect();
                    applied = match walk.collection {
                        Collection::Comment => {
                            replica::apply_comments(conn, site_id, &comments, &version, &complete, &walk.seen).await?
                        }
                        Collection::Worklog => {
                            replica::apply_worklogs(conn, site_id, &worklogs, &version, &complete, &walk.seen).await?
                        }
                    };
                }
                report::records(conn, &job, KIND, &read.rejected, &read.drifts).await?;
                capability::is_back(conn, site_id, walk.feature()).await?;
                let Some(start_at) = read.next_start else {
                    done(conn, run_id, &walk, applied.written, applied.removed).await?;
                    return Ok(Vec::new());
                };
                walk.seen.extend(read.comments.iter().map(|c| c.id).chain(read.worklogs.iter().map(|w| w.id)));
                walk.start_at = start_at;
                Ok(vec![step(&job, &walk, priority)])
            })
        }))
    }
}

async fn read(job: &Job, walk: &Walk) -> Result<Option<Read>, StepError> {
    let mut read = Read::default();
    let mut start_at = walk.start_at;
    for _ in 0..PAGES_PER_STEP {
        let more = match walk.collection {
            Collection::Comment => {
                let Some(page) = job.jira.comments(walk.issue_id, start_at, COMMENTS_PER_PAGE).await? else {
                    return Ok(None);
                };
                read.add(normalise::parse_comments(&page.body, walk.issue_id)?, |read| &mut read.comments)
            }
            Collection::Worklog => {
                let Some(page) = job.jira.worklogs(walk.issue_id, start_at, WORKLOGS_PER_PAGE).await? else {
                    return Ok(None);
                };
                read.add(normalise::parse_worklogs(&page.body, walk.issue_id)?, |read| &mut read.worklogs)
            }
        };
        if !more {
            break;
        }
        start_at = read.next_start.unwrap_or(start_at);
    }
    Ok(Some(read))
}

async fn done(
    conn: &mut sqlx::PgConnection,
    run_id: uuid::Uuid,
    walk: &Walk,
    written: i64,
    removed: i64,
) -> Result<(), StepError> {
    if let Some((partition, seq)) = walk.page {
        let page = PageId { run_id, partition, seq };
        bundle::collection_done(conn, page, walk.collection == Collection::Comment, written, removed).await?;
    }
    Ok(())
}
