//! Issues by id, by every way of asking: together, alone, and by search.
//!
//! What must hold: an issue is gone only where every way answers and none shows it. A way that does not answer says nothing;
//! where one way shows what another leaves out, both are told, and what is shown is taken.

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt, stream};

use super::answers::{RawPage, SearchRequest};
use super::client::JiraClient;
use super::fields::FieldMap;
use super::jql;
use super::normalise::{self, ParsedPage};
use super::page::{Next, TokenGuard};
use super::presence::Presence;
use super::withheld::is_withheld;
use crate::domain::failure::{Failure, FailureCode};

/// Single issues that are asked for at once.
const SINGLE_READS: usize = 4;

/// What Jira showed, by all ways together.
#[derive(Debug, Default)]
pub struct Shown {
    /// The issues, each as the first way that shows it does.
    pub page: ParsedPage,
    /// Those that are there and hidden from the account, where the site tells.
    pub hidden: HashSet<i64>,
    /// Shown by a look-up of the issue alone, and left out of the answer about many.
    pub alone: BTreeSet<i64>,
    /// Shown by search, and by no look-up by id.
    pub by_search: BTreeSet<i64>,
    /// Not shown, while a way did not answer: nobody knows.
    pub unanswered: BTreeSet<i64>,
}

impl Shown {
    /// The issues that are shown, also those that cannot be read.
    pub fn met(&self) -> HashSet<i64> {
        let rejected = self.page.rejected.iter().filter_map(|error| error.issue_id);
        self.page
            .issues
            .iter()
            .map(|issue| issue.issue.id)
            .chain(rejected)
            .chain(self.by_search.iter().copied())
            .collect()
    }

    /// Whether nothing is known of an issue that is not shown, or one way shows what another does not.
    pub fn contradicts(&self) -> bool {
        !self.alone.is_empty() || !self.by_search.is_empty() || !self.unanswered.is_empty()
    }

    fn rest(&self, ids: &[i64]) -> Vec<i64> {
        let met = self.met();
        ids.iter().copied().filter(|id| !met.contains(id) && !self.hidden.contains(id)).collect()
    }
}

impl JiraClient {
    /// Up to [`super::client::BULK_FETCH_LIMIT`] issues of a project. Search is asked only where `project_key` is given: who
    /// has just walked it knows what it shows.
    pub async fn by_every_way(
        &self,
        ids: &[i64],
        fields: &[String],
        map: &FieldMap,
        project_key: Option<&str>,
    ) -> Result<Shown, Failure> {
        let mut shown = Shown::default();
        let together = match self.bulk_fetch(ids, fields).await {
            Ok(raw) => Some(normalise::parse_page(&raw.body, map)?),
            Err(failure) if is_withheld(self, &failure).await? => None,
            Err(failure) => return Err(failure),
        };
        let refused = together.is_none();
        shown.page = together.unwrap_or_default();
        self.alone(ids, fields, map, &mut shown).await?;
        if refused {
            // The answer about many says nothing of those that it would have left out.
            shown.alone.clear();
            shown.unanswered.extend(shown.rest(ids));
        }
        let rest = shown.rest(ids);
        if let Some(project_key) = project_key.filter(|_| !rest.is_empty()) {
            self.searched(&rest, fields, map, project_key, &mut shown).await?;
        }
        Ok(shown)
    }

    /// Those that the answer about many left out, one by one. Data Center's answer about many is search's.
    async fn alone(&self, ids: &[i64], fields: &[String], map: &FieldMap, shown: &mut Shown) -> Result<(), Failure> {
        let rest = shown.rest(ids);
        let mut answers = stream::iter(rest.clone())
            .map(|id| async move { (id, self.presence(id, fields).await) })
            .buffered(SINGLE_READS);
        let mut asked = HashSet::new();
        while let Some((id, presence)) = answers.next().await {
            match presence {
                Ok(Presence::There(raw)) => {
                    shown.page.append(normalise::parse_single(&raw.body, map)?);
                    shown.alone.insert(id);
                }
                Ok(Presence::Hidden) => drop(shown.hidden.insert(id)),
                Ok(Presence::Gone) => {}
                Err(failure) if is_withheld(self, &failure).await? => break,
                Err(failure) => return Err(failure),
            }
            asked.insert(id);
        }
        shown.unanswered.extend(rest.into_iter().filter(|id| !asked.contains(id)));
        Ok(())
    }

    /// Those that no look-up by id shows, by search.
    async fn searched(
        &self,
        rest: &[i64],
        fields: &[String],
        map: &FieldMap,
        project_key: &str,
        shown: &mut Shown,
    ) -> Result<(), Failure> {
        let mut found = match self.search_by_id(rest, fields).await {
            // Jira may refuse a query that names an issue which does not exist: then the project is walked.
            Err(failure) if failure.code == FailureCode::BadQuery => {
                let walked = self.walk_for(rest, project_key).await?;
                shown.by_search.extend(&walked);
                match walked.is_empty() {
                    true => Vec::new(),
                    false => self.search_by_id(&walked, fields).await.or_else(|failure| match failure.code {
                        FailureCode::BadQuery => Ok(Vec::new()),
                        _ => Err(failure),
                    })?,
                }
            }
            answer => answer?,
        };
        for raw in found.drain(..) {
            let page = normalise::parse_page(&raw.body, map)?;
            let rejected = page.rejected.iter().filter_map(|error| error.issue_id);
            shown.by_search.extend(page.issues.iter().map(|issue| issue.issue.id).chain(rejected));
            shown.page.append(page);
        }
        let by_search = &shown.by_search;
        shown.unanswered.retain(|id| !by_search.contains(id));
        Ok(())
    }

    /// Which of these issues search shows.
    ///
    /// # Errors
    /// What Jira refuses.
    pub async fn shown_by_search(&self, ids: &[i64], project_key: &str) -> Result<Vec<i64>, Failure> {
        let list: Vec<String> = ids.iter().map(i64::to_string).collect();
        let jql = format!("id in ({}) ORDER BY key ASC", list.join(","));
        match self.search_ids(&jql, None).await {
            Err(failure) if failure.code == FailureCode::BadQuery => self.walk_for(ids, project_key).await,
            answer => Ok(answer?.ids),
        }
    }

    /// Pages of a search for these issues.
    async fn search_by_id(&self, ids: &[i64], fields: &[String]) -> Result<Vec<RawPage>, Failure> {
        let list: Vec<String> = ids.iter().map(i64::to_string).collect();
        let jql = format!("id in ({}) ORDER BY key ASC", list.join(","));
        let (mut pages, mut token, mut guard) = (Vec::new(), None, TokenGuard::default());
        loop {
            let request = SearchRequest { jql: &jql, fields, page_size: 100, next_page_token: token };
            let raw = self.search(&request).await?;
            let next = guard.next(&raw.head()?)?;
            pages.push(raw);
            match next {
                Next::Page(following) => token = Some(following),
                Next::End => return Ok(pages),
            }
        }
    }

    /// Which of these issues a walk over the project meets.
    async fn walk_for(&self, ids: &[i64], project_key: &str) -> Result<Vec<i64>, Failure> {
        let query = jql::clauses(project_key, None, None) + " ORDER BY key ASC";
        let wanted: HashSet<i64> = ids.iter().copied().collect();
        let (mut met, mut token, mut guard) = (BTreeSet::new(), None, TokenGuard::default());
        loop {
            let page = self.search_ids(&query, token).await?;
            met.extend(page.ids.iter().copied().filter(|id| wanted.contains(id)));
            match guard.next(&page.head)? {
                Next::Page(following) if met.len() < wanted.len() => token = Some(following),
                Next::Page(_) | Next::End => return Ok(met.into_iter().collect()),
            }
        }
    }
}
