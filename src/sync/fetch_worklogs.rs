//! `fetch_worklogs`: the changed worklogs of several issues of a page, from the site's feeds.
//!
//! An issue with hundreds of worklogs is inlined short each time that it changes. Where several of a page are, three requests
//! to the feeds (what was logged or edited, these worklogs, what was removed) stand for one or more per issue.
//!
//! What must hold: the feeds leave out the last minute and are cut by time, so their word counts only for issues that did not
//! change before or after what they cover (by no clock later than when they were asked for), that were stored whole before, and whose number of worklogs is right afterwards. Every
//! other issue is read in full, by a step of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::workshop::{self, Job, Workshop};
use super::{fetch_collection, report};
use crate::domain::cursor;
use crate::domain::failure::{Failure, RetryPolicy};
use crate::domain::queue::Queue;
use crate::domain::record::{UserRecord, WorklogRecord};
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::answers::{Offered, WorklogFeed};
use crate::jira::history::WORKLOG_LIST_LIMIT;
use crate::jira::normalise::{Drift, ParsedIssue, RecordError};
use crate::store::page::PageId;
use crate::store::replica::{self, Version};
use crate::store::{bundle, capability, clock, people};

pub(super) struct FetchWorklogs(pub Arc<Workshop>);

const KIND: &str = "fetch_worklogs";
/// What the feeds are called among the site's capabilities.
const FEATURE: &str = "worklog_feeds";
/// Fewer issues are cheaper to read one by one.
const WORTHWHILE: usize = 4;
/// Pages of a thousand changes: on a busier site the issues are cheaper to read one by one.
const MAX_FEED_PAGES: usize = 3;

/// An issue whose worklogs were inlined short.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Short {
    id: i64,
    version: DateTime<Utc>,
    total: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Which {
    partition: i32,
    seq: i32,
    since: DateTime<Utc>,
    issues: Vec<Short>,
}

/// The steps that fetch the worklogs of issues of a page that were inlined short, and how many there are. `known` are the
/// issues that were stored before.
pub(super) fn steps(
    job: &Job,
    page: PageId,
    short: &[&ParsedIssue],
    known: impl Fn(i64) -> bool,
    priority: i16,
) -> Vec<NewStep> {
    // What the feeds tell is checked against the number of worklogs, which must be known.
    let (fed, single): (Vec<&ParsedIssue>, Vec<&ParsedIssue>) =
        short.iter().partition(|issue| known(issue.issue.id) && issue.left_out.shows("worklog"));
    let since = job.work.collections_from.filter(|_| job.work.kind == "incremental");
    let one_by_one = |issues: &[&ParsedIssue]| -> Vec<NewStep> {
        issues.iter().map(|issue| fetch_collection::worklogs(job, page, issue, priority)).collect()
    };
    let Some(since) = since.filter(|_| fed.len() >= WORTHWHILE) else { return one_by_one(short) };
    let issues = fed
        .iter()
        .map(|issue| Short { id: issue.issue.id, version: issue.issue.updated_at, total: issue.worklogs_total })
        .collect();
    let which = Which { partition: page.partition, seq: page.seq, since, issues };
    let mut steps = one_by_one(&single);
    steps.push(
        NewStep::new(Queue::Jira, KIND, format!("{}/{}", page.partition, page.seq))
            .with(&which)
            .behind(&job.gates("worklog"))
            .priority(priority),
    );
    steps
}

impl Step for FetchWorklogs {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.fetch(context))
    }
}

impl FetchWorklogs {
    async fn fetch(&self, context: &StepContext) -> Result<Commit, StepError> {
        let which: Which = context.payload()?;
        let job = self.0.job(context).await?;
        let page = PageId { run_id: workshop::run_id(context)?, partition: which.partition, seq: which.seq };
        let since = which.since - job.options.overlap;
        let withheld = context.hear(capability::is_withheld(&context.pool, job.work.site_id, FEATURE)).await?;
        let (asked_at, asked) = (context.hear(clock::now(&context.pool)).await?, Instant::now());
        let mut fed = if withheld { Fed::default() } else { Fed::read(&job, since).await? };
        // A feed tells of nothing that came after it was asked for, whatever it says.
        let bound = cursor::bound(asked_at, job.jira.site_clock().lowest(asked));
        let until = fed.until.map(|until| until.min(bound));
        let priority = context.step.priority;
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                let site_id = job.work.site_id;
                let mut people = people::held(conn, site_id).await?;
                people.mentioned_as(fed.mentions.iter().map(|(id, text)| (id.as_str(), text.as_str())));
                for worklog in &mut fed.worklogs {
                    people.worklog(worklog);
                }
                let (covered, rest): (Vec<Short>, Vec<Short>) = which
                    .issues
                    .iter()
                    .copied()
                    .partition(|issue| issue.version >= since && until.is_some_and(|until| issue.version < until));
                let versions: Vec<Version> =
                    covered.iter().map(|issue| Version { issue_id: issue.id, asked_at }).collect();
                let ids: BTreeSet<i64> = covered.iter().map(|issue| issue.id).collect();
                let records: Vec<&WorklogRecord> =
                    fed.worklogs.iter().filter(|worklog| ids.contains(&worklog.issue_id)).collect();
                replica::plan_afresh(conn).await?;
                replica::upsert_users(conn, site_id, &fed.users).await?;
                let applied = replica::apply_worklogs(conn, site_id, &records, &versions, &[], &[]).await?;
                let removed = replica::remove_worklogs(conn, site_id, &fed.removed, &versions).await?;
                let totals: Vec<(i64, i64)> = covered.iter().map(|issue| (issue.id, issue.total)).collect();
                let wrong = replica::worklogs_not_counting(conn, site_id, &totals).await?;
                if let Some((state, reason)) = &fed.withheld {
                    capability::set(conn, site_id, &[(FEATURE, state, Some(reason.as_str()))]).await?;
                }
                report::records(conn, &job, KIND, &fed.rejected, &fed.drifts).await?;
                let again: Vec<NewStep> = covered
                    .iter()
                    .filter(|issue| wrong.contains(&issue.id))
                    .chain(&rest)
                    .map(|issue| fetch_collection::worklogs_of(&job, page, (issue.id, issue.version), priority))
                    .collect();
                // The partition before the page, as everybody locks them.
                bundle::collection_done(conn, page, false, applied.written, removed).await?;
                bundle::worklogs_expected(conn, page, i32::try_from(again.len()).unwrap_or(i32::MAX)).await?;
                Ok(again)
            })
        }))
    }
}

/// What the feeds told.
#[derive(Default)]
struct Fed {
    worklogs: Vec<WorklogRecord>,
    users: Vec<UserRecord>,
    mentions: Vec<(String, String)>,
    rejected: Vec<RecordError>,
    drifts: Vec<Drift>,
    removed: Vec<i64>,
    /// Everything before this instant was told; nothing where it is `None`.
    until: Option<DateTime<Utc>>,
    /// State and reason, where the site does not offer the feeds.
    withheld: Option<(&'static str, String)>,
}

impl Fed {
    async fn read(job: &Job, since: DateTime<Utc>) -> Result<Self, Failure> {
        let mut fed = Self::default();
        let updated = fed.walk(since, |since| job.jira.worklogs_updated(since)).await?;
        let Some((updated, updated_until)) = updated else { return Ok(fed) };
        let removed = fed.walk(since, |since| job.jira.worklogs_deleted(since)).await?;
        let Some((removed, removed_until)) = removed else { return Ok(fed) };
        for ids in updated.chunks(WORKLOG_LIST_LIMIT) {
            let list = job.jira.worklog_list(ids).await;
            let Some(page) = fed.offered(list)? else { return Ok(Self { worklogs: Vec::new(), ..fed }) };
            // A worklog that could not be read is one that is missing: its issue does not count right and is read again.
            fed.worklogs.extend(page.records);
            fed.users.extend(page.users);
            fed.mentions.extend(page.mentions);
            fed.rejected.extend(page.rejected);
            fed.drifts.extend(page.drifts);
        }
        fed.removed = removed;
        fed.until = Some(updated_until.min(removed_until));
        Ok(fed)
    }

    /// The ids of a feed, and through when it tells; none where it is not offered or too long.
    async fn walk<F>(
        &mut self,
        since: DateTime<Utc>,
        ask: impl Fn(DateTime<Utc>) -> F,
    ) -> Result<Option<(Vec<i64>, DateTime<Utc>)>, Failure>
    where
        F: Future<Output = Result<Offered<WorklogFeed>, Failure>>,
    {
        let mut ids = Vec::new();
        let mut from = since;
        for _ in 0..MAX_FEED_PAGES {
            let Some(page) = self.offered(ask(from).await)? else { return Ok(None) };
            ids.extend(page.changes.iter().map(|(id, _)| *id));
            // Whose worklog it is cannot be told: each issue whose list does not count right is read by itself.
            self.rejected.extend((0..page.unreadable).map(|_| RecordError {
                issue_id: None,
                key: None,
                record_id: None,
                field: "worklog.worklogId".to_owned(),
                problem: "a change of a worklog names none".to_owned(),
            }));
            match (page.next_since, page.until) {
                (Some(next), _) => from = next,
                (None, Some(until)) => {
                    ids.sort_unstable();
                    ids.dedup();
                    return Ok(Some((ids, until)));
                }
                (None, None) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn offered<T>(&mut self, answer: Result<Offered<T>, Failure>) -> Result<Option<T>, Failure> {
        let answer = match answer {
            Err(failure) if failure.code.policy() == RetryPolicy::FailRun => Offered::Absent(failure.message),
            answer => answer?,
        };
        self.withheld = answer.reason().map(|reason| (answer.state(), reason.to_owned()));
        Ok(answer.available())
    }
}
