//! Does the replica match Jira? Asks Jira for everything and compares, field by field.
//!
//! A verification walks a project by search, in the order of keys (another order than a sync's, so that both do not share
//! a fault of Jira's), and compares page by page: issues, and their comments and worklogs, in full where Jira inlined only
//! some. What differs is only suspected then: Jira changes while one looks, its search is behind its writes, and a sync
//! may be writing. So each suspect is looked at again at the end, read directly by id and against a fresh row, until it is
//! equal or the time to settle is over. What the replica has and the walk did not meet is suspected of being extra. People
//! are compared as the pages name them, and the lists of the project and its site once.
//!
//! What must hold: nothing is reported that was not seen to differ in a direct read; nothing is called extra on the word
//! of an account that is not let in; memory grows with the number of differences, not of issues.

mod again;
mod catalogue;
mod compare;
mod patience;
mod people;
mod report;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

pub use report::{Entry, EntryId, Extra, Missing, OneWay, Person, Reason, Report, Stale, Unreadable};

use crate::clock::Clock;
use crate::domain::failure::Failure;
use crate::domain::forgotten::Forgotten;
use crate::jira::client::BULK_FETCH_LIMIT;
use crate::jira::normalise;
use crate::jira::page::{Next, TokenGuard};
use crate::jira::{FieldMap, JiraClient, Project, RawPage, SearchRequest, jql, search_fields};
use crate::store::capability;
use crate::store::patience::LONGEST;
use crate::store::people as people_here;
use crate::store::verify as rows;
pub use crate::store::verify::{Scope, scopes};
use crate::store::verify_parts as parts;
use crate::store::within;
use patience::patiently;

/// Why a project could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Jira failed it.
    #[error(transparent)]
    Jira(#[from] Failure),
    /// The database failed it.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// How to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// Issues in a page of the walk, at most 100.
    pub page_size: u32,
    /// How long differences may take to go away by themselves: a sync that is under way, Jira's lag.
    pub settle: Duration,
    /// Only so many issues of the replica, as chance has it, read directly; what is missing in the replica is not found so.
    pub sample: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { page_size: 100, settle: Duration::ZERO, sample: None }
    }
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Issues compared.
    pub issues: u64,
    /// Roughly how many there are.
    pub estimated_issues: u64,
    /// Issues that are to be looked at again.
    pub suspects: usize,
}

/// Between two looks at what differs.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Issues of the replica that are taken at once when looking for extra ones.
const UNSEEN_AT_ONCE: i64 = 5_000;

/// Compares one project with Jira.
///
/// # Errors
/// When Jira or the database cannot be asked; what was found until then is given up.
pub async fn verify(
    pool: &PgPool,
    jira: &JiraClient,
    scope: &Scope,
    options: &Options,
    clock: &Clock,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, Error> {
    // An account that is not let in sees nothing, and everything would be extra.
    patiently(|| jira.myself()).await?;
    let project = patiently(|| jira.project(&scope.project)).await?;
    let fields =
        FieldMap::discover(&patiently(|| jira.fields()).await?).with_story_points(scope.story_points_field.as_deref());
    let wanted = search_fields(&fields);
    let verification = clock.new_id();
    let known_fields = rows::field_ids(pool, scope.site_id).await?;
    let by_id_shows_more = capability::is_available(pool, scope.site_id, "values_by_id").await?;
    let look = Look { pool, jira, scope, project, fields, wanted, verification, known_fields, by_id_shows_more };
    let mut report = Report::new(&scope.site, &scope.project);
    let outcome = look.verify(options, clock, progress, &mut report).await;
    rows::forget(pool, verification).await?;
    outcome?;
    let mode = if report.sample { "sample" } else { "sweep" };
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let compared = i64::try_from(report.checked_issues).unwrap_or(i64::MAX);
    let (differences, by_entity) = (number(report.differences()), report.by_entity());
    parts::record(pool, scope.project_id, clock.now(), mode, compared, differences, &by_entity).await?;
    Ok(report)
}

/// One verification of one project.
struct Look<'a> {
    pool: &'a PgPool,
    jira: &'a JiraClient,
    scope: &'a Scope,
    project: Project,
    fields: FieldMap,
    wanted: Vec<String>,
    verification: Uuid,
    /// The fields that the site has, as runs know them; none where it does not list them.
    known_fields: HashSet<String>,
    /// Look-ups by id were seen to show what search leaves out.
    by_id_shows_more: bool,
}

impl Look<'_> {
    /// People who are forgotten here are not named in what is compared either.
    async fn forgotten(&self) -> Result<Forgotten, Error> {
        Ok(within(LONGEST, people_here::forgotten(self.pool, self.scope.site_id)).await?)
    }

    /// Whether a value that Jira leaves out is of a field that it has.
    fn is_field(&self, id: &str) -> bool {
        self.known_fields.is_empty() || self.known_fields.contains(id)
    }

    async fn verify(
        &self,
        options: &Options,
        clock: &Clock,
        progress: &(dyn Fn(Progress) + Sync),
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut suspects = match options.sample {
            Some(count) => self.sample(count, clock, progress, report).await?,
            None => self.walk(options, clock, progress, report).await?,
        };
        self.compare_catalogue(report).await?;
        patiently(|| self.jira.myself()).await?;
        let mut after = i64::MIN;
        let mut unmet = BTreeSet::new();
        while options.sample.is_none() {
            let unseen = within(
                LONGEST,
                rows::unseen(self.pool, self.verification, self.scope.project_id, after, UNSEEN_AT_ONCE),
            )
            .await?;
            let Some(last) = unseen.last() else { break };
            after = *last;
            unmet.extend(unseen);
        }
        suspects.extend(&unmet);
        if options.sample.is_none() {
            suspects.extend(self.marked_and_shown().await?);
        }
        let until = Instant::now() + options.settle;
        loop {
            self.look_again(&suspects, &unmet, report).await?;
            suspects = report.issue_ids().collect();
            if suspects.is_empty() || Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER.min(until - Instant::now())).await;
        }
    }

    /// Compares every page that search gives; answers the issues that seem to differ. The next page is fetched while one
    /// is compared.
    async fn walk(
        &self,
        options: &Options,
        clock: &Clock,
        progress: &(dyn Fn(Progress) + Sync),
        report: &mut Report,
    ) -> Result<BTreeSet<i64>, Error> {
        let clauses = jql::clauses(&self.project.key, None, None);
        let estimated_issues = patiently(|| self.jira.approximate_count(&clauses)).await?.unwrap_or_default();
        let query = clauses.clone() + " ORDER BY key ASC";
        let mut guard = TokenGuard::default();
        let mut suspects = BTreeSet::new();
        let mut fetched = Some(self.search(&query, options, None).await?);
        while let Some(raw) = fetched.take() {
            let head = raw.head()?;
            if head.issue_count == 0 {
                patiently(|| self.jira.myself()).await?;
            }
            let following = guard.next(&head)?;
            if following != Next::End {
                guard.brought.page(&raw.ids())?;
                if guard.brought.is_beyond(Some(estimated_issues)) {
                    let counted = patiently(|| self.jira.approximate_count(&clauses)).await?;
                    guard.brought.recount(counted)?;
                }
            }
            let next = async {
                match following {
                    Next::Page(token) => self.search(&query, options, Some(token)).await.map(Some),
                    Next::End => Ok(None),
                }
            };
            let here = async {
                let mut page = normalise::parse_page(&raw.body, &self.fields)?;
                page.forget(self.forgotten().await?);
                let met = page.issues.iter().map(|issue| issue.issue.id);
                let rejected = page.rejected.iter().filter_map(|error| error.issue_id);
                let seen: Vec<i64> = met.chain(rejected).collect();
                // The pages of Data Center overlap: an issue is compared, and counted, once.
                let mut new = within(LONGEST, rows::saw(self.pool, self.verification, &seen, clock.now())).await?;
                page.issues.retain(|issue| new.remove(&issue.issue.id));
                let found = self.compare(&page).await?;
                Ok::<_, Error>((page, found))
            };
            let (next, (page, found)) = futures::try_join!(next, here)?;
            fetched = next;
            report.compared(&page, &found);
            suspects.extend(found.suspects());
            let poorer = page.issues.iter().filter(|issue| self.by_id_shows_more && issue.left_out.lacks_lists());
            suspects.extend(poorer.map(|issue| issue.issue.id));
            suspects.extend(page.rejected.iter().filter_map(|error| error.issue_id));
            report.nameless.extend(page.rejected.iter().filter(|error| error.issue_id.is_none()).map(Unreadable::from));
            progress(Progress { issues: report.checked_issues, estimated_issues, suspects: suspects.len() });
        }
        Ok(suspects)
    }

    /// Compares some issues of the replica, read directly; answers those that seem to differ.
    async fn sample(
        &self,
        count: u32,
        clock: &Clock,
        progress: &(dyn Fn(Progress) + Sync),
        report: &mut Report,
    ) -> Result<BTreeSet<i64>, Error> {
        report.sample = true;
        let seed = clock.new_id().to_string();
        let ids = within(LONGEST, parts::sample(self.pool, self.scope.project_id, i64::from(count), &seed)).await?;
        let mut suspects = BTreeSet::new();
        for ids in ids.chunks(BULK_FETCH_LIMIT) {
            let raw = patiently(|| self.jira.bulk_fetch(ids, &self.wanted)).await?;
            let mut page = normalise::parse_page(&raw.body, &self.fields)?;
            page.forget(self.forgotten().await?);
            let found = self.compare(&page).await?;
            report.compared(&page, &found);
            let met: BTreeSet<i64> = page.issues.iter().map(|issue| issue.issue.id).collect();
            suspects.extend(ids.iter().copied().filter(|id| !met.contains(id)));
            suspects.extend(found.suspects());
            let estimated_issues = u64::from(count);
            progress(Progress { issues: report.checked_issues, estimated_issues, suspects: suspects.len() });
        }
        Ok(suspects)
    }

    async fn search(&self, query: &str, options: &Options, token: Option<String>) -> Result<RawPage, Error> {
        let page = patiently(|| async {
            let request = SearchRequest {
                jql: query,
                fields: &self.wanted,
                page_size: options.page_size,
                next_page_token: token.clone(),
            };
            self.jira.search(&request).await
        });
        Ok(page.await?)
    }
}

/// Asks for a run that mends what a report found; `None` when there is nothing that a run can mend.
///
/// # Errors
/// When the project is paused, or the database cannot be written.
pub async fn repair(
    pool: &PgPool,
    scope: &Scope,
    report: &Report,
    requested_by: &str,
) -> Result<Option<Uuid>, crate::store::Error> {
    let mut ids: Vec<i64> = report.repairable().collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() && report.catalogue.is_empty() {
        return Ok(None);
    }
    if !report.catalogue.is_empty() {
        let of_site = report.catalogue.iter().any(report::Entry::is_of_site);
        parts::expire_catalogue(pool, scope.project_id, of_site).await?;
    }
    rows::request_repair(pool, scope.project_id, &ids, requested_by).await.map(Some)
}
