//! One page of Jira's answers against the rows of the replica.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::patience::patiently;
use super::report::{Missing, Stale};
use super::{Error, Look};
use crate::domain::record::{CommentRecord, IssueRecord, WorklogRecord};
use crate::jira::normalise::{self, ParsedIssue, ParsedPage};
use crate::store::verify as rows;

/// Collections of one page that are fetched at once.
const COLLECTIONS_AT_ONCE: usize = 4;
const COMMENTS_PER_PAGE: u32 = 100;
const WORKLOGS_PER_PAGE: u32 = 5_000;

/// What a page showed.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub missing: Vec<Missing>,
    pub stale: Vec<Stale>,
    /// How many comments were compared.
    pub comments: u64,
    /// How many worklogs were compared.
    pub worklogs: u64,
}

/// An issue with all its comments and worklogs, each in the order of ids.
struct Whole<'a> {
    issue: &'a IssueRecord,
    comments: Vec<CommentRecord>,
    worklogs: Vec<WorklogRecord>,
}

impl Look<'_> {
    /// Compares a page; one statement per table. The issues are all of this project.
    pub(super) async fn compare(&self, page: &ParsedPage) -> Result<Found, Error> {
        let site_id = self.scope.site_id;
        let ids: Vec<i64> = page.issues.iter().map(|issue| issue.issue.id).collect();
        let wholes: Vec<Whole<'_>> = stream::iter(&page.issues)
            .map(|issue| self.whole(issue))
            .buffered(COLLECTIONS_AT_ONCE)
            .try_collect()
            .await?;
        let (issues, comments, worklogs) = futures::try_join!(
            rows::issues(self.pool, site_id, &ids),
            rows::comments(self.pool, site_id, &ids),
            rows::worklogs(self.pool, site_id, &ids),
        )?;
        let stored: HashMap<i64, _> = issues.iter().map(|issue| (issue.record.id, issue)).collect();
        let comments = by_issue(comments, |comment| comment.issue_id);
        let worklogs = by_issue(worklogs, |worklog| worklog.issue_id);

        let mut found = Found::default();
        for whole in wholes {
            let (id, key) = (whole.issue.id, whole.issue.key.clone());
            found.comments += u64::try_from(whole.comments.len()).unwrap_or(0);
            found.worklogs += u64::try_from(whole.worklogs.len()).unwrap_or(0);
            let Some(stored) = stored.get(&id).filter(|stored| stored.project_id == self.scope.project_id) else {
                found.missing.push(Missing { id, key });
                continue;
            };
            let stale = Stale {
                id,
                key,
                fields: differing_fields(whole.issue, &stored.record),
                comments: differing(&whole.comments, comments.get(&id), |comment| comment.id),
                worklogs: differing(&whole.worklogs, worklogs.get(&id), |worklog| worklog.id),
            };
            if !(stale.fields.is_empty() && stale.comments.is_empty() && stale.worklogs.is_empty()) {
                found.stale.push(stale);
            }
        }
        Ok(found)
    }

    /// The issue with what Jira did not inline.
    async fn whole<'i>(&self, issue: &'i ParsedIssue) -> Result<Whole<'i>, Error> {
        let is_whole = |total: i64, inlined: usize| usize::try_from(total).is_ok_and(|total| total <= inlined);
        let id = issue.issue.id;
        let mut comments = issue.comments.clone();
        if !is_whole(issue.comments_total, comments.len()) {
            comments.clear();
            let mut start_at = Some(0);
            while let Some(start) = start_at.take() {
                let Some(raw) = patiently(|| self.jira.comments(id, start, COMMENTS_PER_PAGE)).await? else { break };
                let page = normalise::parse_comments(&raw.body, id)?;
                start_at = following(page.start_at, page.received, page.total);
                comments.extend(page.records);
            }
        }
        let mut worklogs = issue.worklogs.clone();
        if !is_whole(issue.worklogs_total, worklogs.len()) {
            worklogs.clear();
            let mut start_at = Some(0);
            while let Some(start) = start_at.take() {
                let Some(raw) = patiently(|| self.jira.worklogs(id, start, WORKLOGS_PER_PAGE)).await? else { break };
                let page = normalise::parse_worklogs(&raw.body, id)?;
                start_at = following(page.start_at, page.received, page.total);
                worklogs.extend(page.records);
            }
        }
        comments.sort_unstable_by_key(|comment| comment.id);
        comments.dedup_by_key(|comment| comment.id);
        worklogs.sort_unstable_by_key(|worklog| worklog.id);
        worklogs.dedup_by_key(|worklog| worklog.id);
        Ok(Whole { issue: &issue.issue, comments, worklogs })
    }
}

/// Where the next page of a collection starts.
fn following(start_at: i64, received: i64, total: i64) -> Option<u64> {
    let end = start_at.saturating_add(received);
    (received > 0 && end < total).then(|| u64::try_from(end).unwrap_or(0))
}

fn by_issue<T>(records: Vec<T>, issue_id: fn(&T) -> i64) -> HashMap<i64, Vec<T>> {
    let mut grouped: HashMap<i64, Vec<T>> = HashMap::new();
    for record in records {
        grouped.entry(issue_id(&record)).or_default().push(record);
    }
    grouped
}

/// The ids of records that are not the same, or only on one side; both sides are in the order of their ids.
fn differing<T: PartialEq>(jira: &[T], replica: Option<&Vec<T>>, id: fn(&T) -> i64) -> Vec<i64> {
    let mut replica = replica.map(Vec::as_slice).unwrap_or_default().iter().peekable();
    let mut differing = Vec::new();
    for record in jira {
        while let Some(extra) = replica.next_if(|stored| id(stored) < id(record)) {
            differing.push(id(extra));
        }
        if replica.next_if(|stored| id(stored) == id(record)) != Some(record) {
            differing.push(id(record));
        }
    }
    differing.extend(replica.map(id));
    differing
}

/// The names of the columns of an issue that differ.
fn differing_fields(jira: &IssueRecord, stored: &IssueRecord) -> Vec<&'static str> {
    macro_rules! compare {
        ($($field:ident),+) => { [$((stringify!($field), jira.$field == stored.$field)),+] };
    }
    let same = compare!(
        key,
        summary,
        description,
        issue_type,
        status,
        status_category,
        priority,
        resolution,
        assignee,
        reporter,
        creator,
        parent_id,
        parent_key,
        labels,
        story_points,
        created_at,
        updated_at,
        resolved_at,
        due_date,
        content_hash
    );
    same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_differ_when_changed_or_on_one_side_only() {
        let differ = |jira: &[(i64, char)], replica: &[(i64, char)]| differing(jira, Some(&replica.to_vec()), |r| r.0);
        assert_eq!(differ(&[(1, 'a'), (2, 'b')], &[(1, 'a'), (2, 'b')]), Vec::<i64>::new());
        assert_eq!(differ(&[(1, 'a'), (3, 'c'), (4, 'd')], &[(0, 'x'), (1, 'a'), (2, 'y'), (3, 'z')]), [0, 2, 3, 4]);
        assert_eq!(differ(&[], &[(7, 'x')]), [7]);
        assert_eq!(differing(&[(7, 'x')], None, |r| r.0), [7]);
    }
}
