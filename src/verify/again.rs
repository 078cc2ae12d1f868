//! The second look: what seems to differ is read directly, by every way of asking, and compared with fresh rows.
//!
//! What must hold: an issue is extra only where no way shows it; what one way shows and another leaves out is counted; a
//! record that Jira shows on two issues is right on either.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::patience::patiently;
use super::report::{Extra, OneWay, Reason, Report, Stale, Unreadable};
use super::{Error, Look};
use crate::jira::client::BULK_FETCH_LIMIT;
use crate::jira::every_way::Shown;
use crate::jira::normalise::{self, RecordError};
use crate::store::patience::LONGEST;
use crate::store::verify as rows;
use crate::store::verify_parts::{self as parts, Kind};
use crate::store::within;

/// So many issues that are marked as gone are looked up together.
const MARKED: i64 = 1_000;
/// And so many alone.
const MARKED_ALONE: i64 = 100;

/// Which records Jira shows on which issues.
type Claims = HashSet<(Kind, i64, i64)>;

impl Look<'_> {
    /// Reads the suspects directly and writes into the report what differs. `unmet` are those that the walk did not meet.
    pub(super) async fn look_again(
        &self,
        suspects: &BTreeSet<i64>,
        unmet: &BTreeSet<i64>,
        report: &mut Report,
    ) -> Result<(), Error> {
        report.clear();
        let mut claims = Claims::new();
        let suspects: Vec<i64> = suspects.iter().copied().collect();
        for ids in suspects.chunks(BULK_FETCH_LIMIT) {
            self.look_at(ids, unmet, report, &mut claims).await?;
        }
        let owners = self.owners(&report.stale).await?;
        // Where a record is stored on another issue, that one is looked at as well: Jira may show it there too.
        let looked_at: BTreeSet<i64> = suspects.iter().copied().collect();
        let others: BTreeSet<i64> = owners.values().copied().filter(|issue| !looked_at.contains(issue)).collect();
        let others: Vec<i64> = others.into_iter().collect();
        for ids in others.chunks(BULK_FETCH_LIMIT) {
            self.look_at(ids, unmet, report, &mut claims).await?;
        }
        report.doubled = leave_out_doubled(&mut report.stale, &owners, &claims);
        let missing: Vec<i64> = report.missing.iter().map(|missing| missing.id).collect();
        let marked = within(LONGEST, rows::marked_gone(self.pool, self.scope.site_id, &missing)).await?;
        for missing in &mut report.missing {
            missing.marked = marked.iter().find(|(id, _)| *id == missing.id).map(|(_, reason)| reason.clone());
        }
        Ok(())
    }

    /// Of the issues that were marked as gone last, those that a look-up by id shows: search may leave them out.
    pub(super) async fn marked_and_shown(&self) -> Result<BTreeSet<i64>, Error> {
        let mut shown = BTreeSet::new();
        // Data Center's answer about many is search's: there each of them is looked up alone.
        let alone = self.jira.tells_hidden();
        let most = if alone { MARKED_ALONE } else { MARKED };
        let marked = rows::marked_last(self.pool, self.scope.project_id, most).await?;
        for ids in marked.chunks(BULK_FETCH_LIMIT) {
            let page = match alone {
                true => self.jira.by_every_way(ids, &self.wanted, &self.fields, None).await.map(|shown| shown.page),
                false => {
                    let raw = self.jira.bulk_fetch(ids, &self.wanted).await;
                    raw.and_then(|raw| normalise::parse_page(&raw.body, &self.fields))
                }
            };
            // Where look-ups are refused, those that the walk met are looked at anyhow.
            let Ok(page) = page else { break };
            let here = page.issues.iter().filter(|issue| issue.issue.project_id == self.project.id);
            shown.extend(here.map(|issue| issue.issue.id));
        }
        Ok(shown)
    }

    async fn look_at(
        &self,
        ids: &[i64],
        unmet: &BTreeSet<i64>,
        report: &mut Report,
        claims: &mut Claims,
    ) -> Result<(), Error> {
        let key = Some(self.project.key.as_str());
        let mut shown = patiently(|| self.jira.by_every_way(ids, &self.wanted, &self.fields, key)).await?;
        let mut moved = Vec::new();
        for issue in shown.page.issues.iter().filter(|issue| issue.issue.project_id != self.project.id) {
            let (id, key) = (issue.issue.project_id, &issue.issue.project_key);
            let tracked = within(LONGEST, rows::is_tracked(self.pool, self.scope.site_id, id, key)).await?;
            moved.push((issue.issue.id, Reason::Moved { to: key.clone(), tracked }));
        }
        shown.page.forget(self.forgotten().await?);
        let met = shown.met();
        shown.page.issues.retain(|issue| issue.issue.project_id == self.project.id);
        let found = self.compare(&shown.page).await?;
        claims.extend(found.claims);
        report.missing.extend(found.missing);
        report.stale.extend(found.stale);
        for person in found.people {
            if report.users.iter().all(|known| known.account_id != person.account_id) {
                report.users.push(person);
            }
        }
        // A comment that cannot be read stands in its issue and in a list of its own: it is one.
        let mut once = BTreeSet::new();
        let is_new = |error: &&RecordError| {
            error.record_id.is_none_or(|record| once.insert((error.entity(), error.issue_id, record)))
        };
        let unreadable = shown.page.rejected.iter().chain(&found.unreadable).filter(is_new).map(Unreadable::from);
        report.unreadable.extend(unreadable);
        self.find_one_way(&shown, unmet, report).await?;
        self.find_extra(ids, &shown, &met, moved, report).await
    }

    /// What one way shows and another does not.
    async fn find_one_way(&self, shown: &Shown, unmet: &BTreeSet<i64>, report: &mut Report) -> Result<(), Error> {
        let here = |shown_by| move |id: &i64| OneWay { id: *id, shown_by };
        report.one_way.extend(shown.by_search.iter().map(here("search")));
        report.one_way.extend(shown.unanswered.iter().map(here("none")));
        let looked_up = shown.page.issues.iter().map(|issue| issue.issue.id);
        let by_look_up: Vec<i64> = looked_up.filter(|id| unmet.contains(id) && !shown.by_search.contains(id)).collect();
        // It may have come into the index since the walk.
        let searched: HashSet<i64> = match by_look_up.is_empty() {
            true => HashSet::new(),
            false => {
                patiently(|| self.jira.shown_by_search(&by_look_up, &self.project.key)).await?.into_iter().collect()
            }
        };
        let by_look_up: BTreeSet<i64> = by_look_up.into_iter().filter(|id| !searched.contains(id)).collect();
        report.one_way.extend(by_look_up.iter().map(here("look_up")));
        let alone = shown.alone.iter().filter(|id| !by_look_up.contains(id));
        report.one_way.extend(alone.map(here("look_up_alone")));
        Ok(())
    }

    /// Of `ids`, what the replica still shows in this project although Jira does not.
    async fn find_extra(
        &self,
        ids: &[i64],
        shown: &Shown,
        met: &HashSet<i64>,
        moved: Vec<(i64, Reason)>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let is_elsewhere = |id: &i64| moved.iter().any(|(moved, _)| moved == id);
        let is_here = |id: &i64| met.contains(id) && !is_elsewhere(id) || shown.unanswered.contains(id);
        let absent: Vec<i64> = ids.iter().copied().filter(|id| !is_here(id)).collect();
        let stored = within(LONGEST, rows::issues(self.pool, self.scope.site_id, &absent)).await?;
        for issue in stored.into_iter().filter(|issue| issue.project_id == self.scope.project_id) {
            let reason = moved.iter().find(|(id, _)| *id == issue.record.id).map(|(_, reason)| reason.clone());
            let reason = reason.unwrap_or(Reason::Gone);
            report.extra.push(Extra { id: issue.record.id, key: issue.record.key, reason });
        }
        Ok(())
    }

    /// On which issues the replica has the records that seem to differ.
    async fn owners(&self, stale: &[Stale]) -> Result<HashMap<(Kind, i64), i64>, Error> {
        let mut owners = HashMap::new();
        for kind in [Kind::Comment, Kind::Worklog, Kind::Attachment] {
            let ids: Vec<i64> = stale.iter().flat_map(|stale| ids_of(stale, kind)).copied().collect();
            let rows = within(LONGEST, parts::owners(self.pool, self.scope.site_id, kind, &ids)).await?;
            owners.extend(rows.into_iter().map(|(id, issue)| ((kind, id), issue)));
        }
        Ok(owners)
    }
}

fn ids_of(stale: &Stale, kind: Kind) -> &[i64] {
    match kind {
        Kind::Comment => &stale.comments,
        Kind::Worklog => &stale.worklogs,
        Kind::Attachment => &stale.attachments,
    }
}

/// Leaves out what the replica has on another issue of which Jira shows it too; answers how many records that are.
fn leave_out_doubled(stale: &mut Vec<Stale>, owners: &HashMap<(Kind, i64), i64>, claims: &Claims) -> u64 {
    let mut doubled = 0;
    for issue in &mut *stale {
        let of = issue.id;
        let mut left = |kind: Kind, ids: &mut Vec<i64>| {
            ids.retain(|id| {
                let owner = owners.get(&(kind, *id)).filter(|owner| **owner != of);
                let is_doubled = owner
                    .is_some_and(|owner| claims.contains(&(kind, *id, *owner)) && claims.contains(&(kind, *id, of)));
                doubled += u64::from(is_doubled);
                !is_doubled
            });
        };
        left(Kind::Comment, &mut issue.comments);
        left(Kind::Worklog, &mut issue.worklogs);
        left(Kind::Attachment, &mut issue.attachments);
    }
    stale.retain(|issue| !issue.is_clean());
    doubled
}
