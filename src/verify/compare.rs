//! One page of Jira's answers against the rows of the replica.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::patience::patiently;
use super::report::{Missing, Person, Report, Stale};
use super::{Error, Look};
use crate::domain::entity::{AttachmentRecord, ChangeRecord, IssueDetails, LinkRecord};
use crate::domain::record::{CommentRecord, IssueRecord, WorklogRecord};
use crate::domain::twice::newest_of_each;
use crate::jira::normalise::{self, LeftOut, ParsedIssue, ParsedPage, RecordError};
use crate::jira::{FieldMap, histories};
use crate::store::patience::LONGEST;
use crate::store::verify as rows;
use crate::store::verify_parts::{self as parts, Kind};
use crate::store::within;

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
    /// How many changed fields of histories were compared.
    pub changes: u64,
    /// How many links were compared.
    pub links: u64,
    /// How many attachments were compared.
    pub attachments: u64,
    /// People who differ.
    pub people: Vec<Person>,
    /// Of lists that were asked for by themselves, what cannot be read.
    pub unreadable: Vec<RecordError>,
    /// See [`Report::left_out`].
    pub left_out: BTreeMap<&'static str, u64>,
    /// See [`Report::changes_only_here`].
    pub changes_only_here: u64,
    /// Comments, worklogs and attachments as Jira shows them: kind, id and issue.
    pub claims: Vec<(Kind, i64, i64)>,
}

impl Found {
    /// The issues that are to be looked at again.
    pub fn suspects(&self) -> impl Iterator<Item = i64> {
        let missing = self.missing.iter().map(|missing| missing.id);
        let stale = self.stale.iter().map(|stale| stale.id);
        let unreadable = self.unreadable.iter().filter_map(|error| error.issue_id);
        missing.chain(stale).chain(self.people.iter().map(|person| person.issue_id)).chain(unreadable)
    }
}

impl Found {
    /// Counts the issues whose lists are left out.
    fn count_left_out(&mut self, issues: &[ParsedIssue], tracks_no_time: bool) {
        for field in ["comment", "worklog"] {
            let lacking = issues.iter().filter(|issue| !issue.left_out.shows(field)).count();
            if lacking > 0 && !(field == "worklog" && tracks_no_time) {
                self.left_out.insert(field, count(lacking));
            }
        }
    }

    /// Notes which records Jira shows on an issue.
    fn claim(&mut self, whole: &Whole<'_>) {
        let id = whole.issue.id;
        self.claims.extend(whole.comments.iter().map(|comment| (Kind::Comment, comment.id, id)));
        self.claims.extend(whole.worklogs.iter().map(|worklog| (Kind::Worklog, worklog.id, id)));
        self.claims.extend(whole.attachments.iter().map(|file| (Kind::Attachment, file.id, id)));
    }
}

impl Report {
    /// Counts what a page held.
    pub(super) fn compared(&mut self, page: &ParsedPage, found: &Found) {
        self.checked_issues += count(page.issues.len());
        self.checked_comments += found.comments;
        self.checked_worklogs += found.worklogs;
        self.checked_changes += found.changes;
        self.checked_links += found.links;
        self.checked_attachments += found.attachments;
        self.checked_users += count(page.users.len());
        self.changes_only_here += found.changes_only_here;
        for (what, issues) in &found.left_out {
            *self.left_out.entry(what).or_default() += issues;
        }
    }
}

/// An issue with all that belongs to it, each in the order of ids; the history stands elsewhere.
struct Whole<'a> {
    issue: &'a IssueRecord,
    left_out: &'a LeftOut,
    comments: Vec<CommentRecord>,
    worklogs: Vec<WorklogRecord>,
    links: Vec<LinkRecord>,
    attachments: Vec<AttachmentRecord>,
    unreadable: Vec<RecordError>,
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
        let ((jira, unreadable), issues, comments, worklogs, changes, links, attachments) = futures::try_join!(
            self.history(&page.issues),
            stored(rows::issues(self.pool, site_id, &ids)),
            stored(rows::comments(self.pool, site_id, &ids)),
            stored(rows::worklogs(self.pool, site_id, &ids)),
            stored(parts::changes(self.pool, site_id, &ids)),
            stored(parts::links(self.pool, site_id, &ids)),
            stored(parts::attachments(self.pool, site_id, &ids)),
        )?;
        let issues: HashMap<i64, _> = issues.iter().map(|issue| (issue.record.id, issue)).collect();
        let comments = by_issue(comments, |comment| comment.issue_id);
        let worklogs = by_issue(worklogs, |worklog| worklog.issue_id);
        let changes = by_issue(changes, |change| change.issue_id);
        let links = by_issue(links, |link| link.issue_id);
        let attachments = by_issue(attachments, |attachment| attachment.issue_id);

        let mut found = Found { people: self.compare_people(page).await?, unreadable, ..Found::default() };
        found.count_left_out(&page.issues, self.fields.tracks_no_time);
        for mut whole in wholes {
            found.unreadable.append(&mut whole.unreadable);
            let (id, key) = (whole.issue.id, whole.issue.key.clone());
            let history = jira.get(&id).map(Vec::as_slice);
            found.comments += count(whole.comments.len());
            found.worklogs += count(whole.worklogs.len());
            found.changes += count(history.map_or(0, <[_]>::len));
            found.links += count(whole.links.len());
            found.attachments += count(whole.attachments.len());
            found.claim(&whole);
            let Some(stored) = issues.get(&id).filter(|stored| stored.project_id == self.scope.project_id) else {
                found.missing.push(Missing { id, key, marked: None });
                continue;
            };
            let here = changes.get(&id);
            let mut changed =
                history.map(|history| differing(history, here, |change| (change.id, change.item))).unwrap_or_default();
            // History is not edited: what is not shown any more, or by one way only, was so all the same.
            let all = changed.len();
            let is_shown =
                |of: &(i64, i16)| history.is_some_and(|history| history.iter().any(|it| (it.id, it.item) == *of));
            changed.retain(is_shown);
            found.changes_only_here += count(all - changed.len());
            changed.dedup_by_key(|(id, _)| *id);
            let (mut links_here, mut attachments_here) = (links.get(&id), attachments.get(&id));
            for (field, here) in [("issuelinks", links_here.is_some()), ("attachment", attachments_here.is_some())] {
                if here && !whole.left_out.shows(field) {
                    *found.left_out.entry(field).or_default() += 1;
                }
            }
            links_here = links_here.filter(|_| whole.left_out.shows("issuelinks"));
            attachments_here = attachments_here.filter(|_| whole.left_out.shows("attachment"));
            let mut record = whole.issue.clone();
            let kept = whole.left_out.keep(&mut record, &stored.record, true, &self.fields, |id| self.is_field(id));
            if kept > 0 {
                record = record.sealed();
                *found.left_out.entry("values").or_default() += 1;
            }
            let stale = Stale {
                id,
                key,
                fields: differing_fields(&record, &stored.record, &self.fields),
                comments: differing(&whole.comments, comments.get(&id), |comment| comment.id),
                worklogs: differing(&whole.worklogs, worklogs.get(&id), |worklog| worklog.id),
                changes: changed.into_iter().map(|(id, _)| id).collect(),
                links: differing(&whole.links, links_here, |link| link.id),
                attachments: differing(&whole.attachments, attachments_here, |attachment| attachment.id),
            };
            if !stale.is_clean() {
                found.stale.push(stale);
            }
        }
        Ok(found)
    }

    /// The history of the issues, each in the order of entries; of an issue that is not in it, nothing is known. A site that
    /// does not show history is not compared by it.
    async fn history(
        &self,
        issues: &[ParsedIssue],
    ) -> Result<(HashMap<i64, Vec<ChangeRecord>>, Vec<RecordError>), Error> {
        let entries =
            |issue: &ParsedIssue| issue.changes.iter().map(|change| change.id).collect::<BTreeSet<i64>>().len();
        let (whole, short): (Vec<&ParsedIssue>, Vec<&ParsedIssue>) = issues.iter().partition(|issue| {
            issue.changes_total.is_some_and(|total| total <= i64::try_from(entries(issue)).unwrap_or(0))
        });
        let mut histories: HashMap<i64, Vec<ChangeRecord>> =
            whole.iter().map(|issue| (issue.issue.id, issue.changes.clone())).collect();
        let ids: Vec<i64> = short.iter().map(|issue| issue.issue.id).collect();
        let mut at = (!ids.is_empty()).then(histories::Position::default);
        let mut read: HashMap<i64, Vec<ChangeRecord>> = HashMap::new();
        let mut shown = true;
        let mut unreadable = Vec::new();
        while let Some(position) = at.take() {
            let page = patiently(|| histories::read(self.jira, &ids, position.clone())).await?;
            shown &= page.withheld.is_none();
            unreadable.extend(page.rejected);
            for change in page.changes {
                read.entry(change.issue_id).or_default().push(change);
            }
            at = page.next;
        }
        if shown {
            histories.extend(ids.iter().map(|id| (*id, read.remove(id).unwrap_or_default())));
        }
        let people = self.forgotten().await?;
        for history in histories.values_mut() {
            people.history(history);
            history.sort_unstable_by_key(|change| (change.id, change.item));
            history.dedup_by_key(|change| (change.id, change.item));
        }
        Ok((histories, unreadable))
    }

    /// The issue with what Jira did not inline.
    async fn whole<'i>(&self, issue: &'i ParsedIssue) -> Result<Whole<'i>, Error> {
        let is_whole = |total: i64, inlined: usize| usize::try_from(total).is_ok_and(|total| total <= inlined);
        let id = issue.issue.id;
        let mut unreadable = Vec::new();
        let mut comments = issue.comments.clone();
        if !is_whole(issue.comments_total, comments.len()) {
            comments.clear();
            let mut start_at = Some(0);
            while let Some(start) = start_at.take() {
                let Some(raw) = patiently(|| self.jira.comments(id, start, COMMENTS_PER_PAGE)).await? else { break };
                let mut page = normalise::parse_comments(&raw.body, id)?;
                page.forget(self.forgotten().await?);
                start_at = following(page.start_at, page.received, page.total);
                comments.extend(page.records);
                unreadable.extend(page.rejected);
            }
        }
        let mut worklogs = issue.worklogs.clone();
        if !is_whole(issue.worklogs_total, worklogs.len()) {
            worklogs.clear();
            let mut start_at = Some(0);
            while let Some(start) = start_at.take() {
                let Some(raw) = patiently(|| self.jira.worklogs(id, start, WORKLOGS_PER_PAGE)).await? else { break };
                let mut page = normalise::parse_worklogs(&raw.body, id)?;
                page.forget(self.forgotten().await?);
                start_at = following(page.start_at, page.received, page.total);
                worklogs.extend(page.records);
                unreadable.extend(page.rejected);
            }
        }
        newest_of_each(&mut comments, |comment| (comment.id, comment.updated_at));
        newest_of_each(&mut worklogs, |worklog| (worklog.id, worklog.updated_at));
        let mut links = issue.links.clone();
        links.sort_unstable_by_key(|link| link.id);
        links.dedup_by_key(|link| link.id);
        let mut attachments = issue.attachments.clone();
        attachments.sort_unstable_by_key(|attachment| attachment.id);
        attachments.dedup_by_key(|attachment| attachment.id);
        let left_out = &issue.left_out;
        Ok(Whole { issue: &issue.issue, left_out, comments, worklogs, links, attachments, unreadable })
    }
}

async fn stored<T>(rows: impl Future<Output = crate::store::Result<T>>) -> Result<T, Error> {
    Ok(within(LONGEST, rows).await?)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
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
fn differing<T: PartialEq, K: Ord>(jira: &[T], replica: Option<&Vec<T>>, id: fn(&T) -> K) -> Vec<K> {
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

/// The names of the columns of an issue that differ. The hash is none of them: it says what a page showed when it was written,
/// before names and keys in it were mended.
fn differing_fields(jira: &IssueRecord, stored: &IssueRecord, map: &FieldMap) -> Vec<&'static str> {
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
        due_date
    );
    let mut differing: Vec<&'static str> = same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect();
    differing.extend(differing_details(&jira.details, &stored.details, map));
    differing
}

/// The same of the details. Votes, watchers and what is kept beside move without the issue's `updated`, and are not compared.
fn differing_details(jira: &IssueDetails, stored: &IssueDetails, map: &FieldMap) -> Vec<&'static str> {
    macro_rules! compare {
        ($($field:ident),+) => { [$((stringify!($field), jira.$field == stored.$field)),+] };
    }
    let same = compare!(
        issue_type_id,
        is_subtask,
        status_id,
        priority_id,
        resolution_id,
        environment,
        security_level,
        status_category_changed_at,
        original_estimate_seconds,
        remaining_estimate_seconds,
        time_spent_seconds,
        component_ids,
        fix_version_ids,
        affects_version_ids,
        sprint_ids
    );
    let kept = stored.fields.iter().filter(|(id, _)| !map.is_beside(id));
    let fields = kept.clone().count() == jira.fields.len()
        && jira.fields.iter().zip(kept).all(|(a, b)| a.0 == b.0 && is_same(a.1, b.1));
    same.into_iter().chain([("fields", fields)]).filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

/// PostgreSQL writes numbers in its own way: 1e2 is 100 there.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_same(a, b)))
        }
        _ => a == b,
    }
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
