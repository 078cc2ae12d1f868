//! Reading the history of many issues: in bulk where the site can, issue by issue where it cannot.
//!
//! What must hold: what is read ends where [`Read::next`] says, so that a caller with little memory stores it and goes on
//! from there, in another process if need be; an issue whose history could not be read to its end is not passed over; a
//! walk ends.

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::JiraClient;
use super::answers::Offered;
use super::history::CHANGELOG_BULK_LIMIT;
use super::normalise::{Drift, RecordError};
use super::withheld::{LOOKS_BEFORE_WITHHELD, is_withheld};
use crate::domain::entity::ChangeRecord;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::record::UserRecord;

/// Issues that are read one by one before the caller is given what there is.
const SINGLE_ISSUES_AT_ONCE: usize = 40;
/// Of those issues, requests under way.
const REQUESTS_AT_ONCE: usize = 4;
/// More pages than the history of a thousand issues has: each may hold 10,000 entries.
const MAX_BULK_PAGES: u32 = 1_000;
/// The same of one issue: a page holds a hundred.
const MAX_SINGLE_PAGES: u32 = 1_000;

/// Where in a list of issues the reading stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// How many pages were read.
    pub pages: u32,
    /// The issues before this one are done.
    pub issue: usize,
    /// Within the issues from there on: Jira's word for the next page.
    pub token: Option<String>,
    /// The site has no bulk endpoint.
    #[serde(default)]
    pub single: bool,
}

/// What was read.
#[derive(Default)]
pub struct Read {
    /// The changes, in no order.
    pub changes: Vec<ChangeRecord>,
    /// Who made them.
    pub users: Vec<UserRecord>,
    /// What could not be read.
    pub rejected: Vec<RecordError>,
    /// Unexpected shapes.
    pub drifts: Vec<Drift>,
    /// Where the account is shown no history: `absent` or `forbidden`, and why.
    pub withheld: Option<(&'static str, String)>,
    /// Where to go on; none at the end.
    pub next: Option<Position>,
}

impl Read {
    fn add(
        &mut self,
        changes: Vec<ChangeRecord>,
        users: Vec<UserRecord>,
        rejected: Vec<RecordError>,
        drifts: Vec<Drift>,
    ) {
        self.changes.extend(changes);
        self.users.extend(users);
        self.rejected.extend(rejected);
        self.drifts.extend(drifts);
    }
}

/// Reads on from `at`.
///
/// # Errors
/// What Jira refuses; `SCHEMA_CHANGED` where pages follow each other for ever.
pub async fn read(jira: &JiraClient, ids: &[i64], at: Position) -> Result<Read, Failure> {
    let mut read = Read::default();
    let rest = ids.get(at.issue..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(read);
    }
    if at.single {
        return read_singly(jira, rest, at).await;
    }
    let chunk = rest.get(..CHANGELOG_BULK_LIMIT).unwrap_or(rest);
    match jira.changelog_bulk(chunk, at.token.as_deref()).await? {
        Offered::Available(page) => {
            if at.pages >= MAX_BULK_PAGES {
                let problem = format!("the history of {} issues has no end", chunk.len());
                return Err(Failure::new(FailureCode::EndlessPages, problem));
            }
            let done = at.issue + chunk.len();
            read.next = match page.next_page_token {
                Some(token) => Some(Position { pages: at.pages + 1, token: Some(token), ..at }),
                None if done < ids.len() => {
                    Some(Position { pages: at.pages + 1, issue: done, token: None, single: false })
                }
                None => None,
            };
            read.add(page.records, page.users, page.rejected, page.drifts);
            Ok(read)
        }
        // A refusal of the bulk endpoint alone, for good or for a moment, must not cost the histories.
        Offered::Absent(_) | Offered::Forbidden(_) => {
            read_singly(jira, rest, Position { single: true, token: None, ..at }).await
        }
    }
}

async fn read_singly(jira: &JiraClient, rest: &[i64], at: Position) -> Result<Read, Failure> {
    let some: Vec<i64> = rest.iter().copied().take(SINGLE_ISSUES_AT_ONCE).collect();
    let (count, more) = (some.len(), rest.len() > some.len());
    let answers: Result<Vec<Read>, Failure> =
        stream::iter(some).map(|id| one(jira, id)).buffered(REQUESTS_AT_ONCE).try_collect().await;
    let mut read = Read::default();
    let histories = match answers {
        Ok(histories) => histories,
        Err(failure) if is_withheld(jira, &failure).await? => {
            if !stays_refused(jira, rest).await? {
                return Err(failure);
            }
            read.withheld = Some(("absent", failure.message));
            return Ok(read);
        }
        Err(failure) => return Err(failure),
    };
    for history in histories {
        read.add(history.changes, history.users, history.rejected, history.drifts);
    }
    read.next = more.then(|| Position { pages: at.pages + 1, issue: at.issue + count, ..at });
    Ok(read)
}

/// Whether a site that refused a history goes on refusing, in the same way: lost credentials or a broken connection are no
/// word about histories.
async fn stays_refused(jira: &JiraClient, ids: &[i64]) -> Result<bool, Failure> {
    for &id in ids.iter().cycle().take(LOOKS_BEFORE_WITHHELD) {
        match one(jira, id).await {
            Ok(_) => return Ok(false),
            Err(failure) if is_withheld(jira, &failure).await? => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(true)
}

/// The whole history of one issue; nothing of one that is gone.
async fn one(jira: &JiraClient, id: i64) -> Result<Read, Failure> {
    let mut read = Read::default();
    let mut start = 0;
    for _ in 0..MAX_SINGLE_PAGES {
        let Some(page) = jira.changelog(id, start).await? else { return Ok(read) };
        let end = page.start_at.saturating_add(page.received);
        let end = u64::try_from(end).unwrap_or(0);
        // A server that ignores `startAt` gives its first page again.
        let more = page.received > 0 && end > start && end < u64::try_from(page.total).unwrap_or(0);
        read.add(page.records, page.users, page.rejected, page.drifts);
        if !more {
            return Ok(read);
        }
        start = end;
    }
    // One such history is no reason to have none.
    let problem = format!("never ends: {MAX_SINGLE_PAGES} pages, and the site reports more");
    read.rejected.push(RecordError {
        issue_id: Some(id),
        record_id: None,
        key: None,
        field: "changelog".to_owned(),
        problem,
    });
    Ok(read)
}
