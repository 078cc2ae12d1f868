//! What many rows of an answer need is read together: one statement for each kind of thing, whatever the number of rows.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::async_trait::async_trait;
use async_graphql::dataloader::{DataLoader, Loader};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::asker::Asker;
use crate::app::alert::{self, Event};
use crate::app::issue::{self, Body, Change, ChangePosition, Comment, IssueId, Of, Sprint, User, Worklog};
use crate::app::project::{self, SyncState};
use crate::app::run::{self, Run};
use crate::app::{Error, Result};

/// Reads for one request.
pub struct Read(pub Arc<Asker>);

/// The loaders of a request.
pub type Loaders = DataLoader<Read>;

/// Makes the loaders of a request. What is asked for within a millisecond is read together.
pub fn loaders(asker: Arc<Asker>) -> Loaders {
    DataLoader::new(Read(asker), tokio::spawn).max_batch_size(10_000)
}

/// Part of the comments of an issue; `None` for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommentsOf(pub IssueId, pub Option<Part>);
/// Part of the worklogs of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorklogsOf(pub IssueId, pub Option<Part>);
/// Part of the history of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChangesOf(pub IssueId, pub Option<ChangePosition>, pub i64);
/// The long texts of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BodyOf(pub IssueId);
/// The sprint of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SprintOf(pub IssueId);
/// A user of a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserOf(pub Uuid, pub String);
/// How far a project has been read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatesOf(pub Uuid);
/// The last verification of a project.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerificationOf(pub Uuid);
/// The newest run of a project.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewestRunOf(pub Uuid);
/// What happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventsOf(pub Uuid);

/// Where a page begins, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// After the one with this time and id.
    pub after: Option<(DateTime<Utc>, i64)>,
    /// At most so many.
    pub first: i64,
}

/// Rows by what they belong to; what has none gets an empty list.
fn gather<K: Clone + Eq + Hash, R>(keys: &[K], rows: Vec<(K, R)>) -> HashMap<K, Vec<R>> {
    let mut found: HashMap<K, Vec<R>> = keys.iter().map(|key| (key.clone(), Vec::new())).collect();
    for (key, row) in rows {
        found.entry(key).or_default().push(row);
    }
    found
}

/// Keys that ask for the same part of different issues.
fn by_part<K, P: Copy + Eq + Hash>(keys: &[K], of: impl Fn(&K) -> (IssueId, P)) -> HashMap<P, Vec<IssueId>> {
    let mut parts: HashMap<P, Vec<IssueId>> = HashMap::new();
    for key in keys {
        let (issue, part) = of(key);
        parts.entry(part).or_default().push(issue);
    }
    parts
}

impl Read {
    fn of<'a>(&self, issues: &'a [IssueId], part: Option<Part>) -> Of<'a> {
        let most = self.0.left() + 1;
        Of {
            issues,
            after: part.and_then(|part| part.after),
            // One more says whether there are more.
            each: part.map_or(most, |part| part.first + 1),
            most,
        }
    }
}

#[async_trait]
impl Loader<CommentsOf> for Read {
    type Value = Vec<Comment>;
    type Error = Error;

    async fn load(&self, keys: &[CommentsOf]) -> Result<HashMap<CommentsOf, Vec<Comment>>> {
        let mut rows = Vec::new();
        for (part, issues) in by_part(keys, |key| (key.0, key.1)) {
            let found = issue::comments(&self.0.app, &self.0.actor, self.of(&issues, part)).await?;
            self.0.spend(found.len())?;
            rows.extend(found.into_iter().map(|one| (CommentsOf((one.site_id, one.issue_id), part), one)));
        }
        Ok(gather(keys, rows))
    }
}

#[async_trait]
impl Loader<WorklogsOf> for Read {
    type Value = Vec<Worklog>;
    type Error = Error;

    async fn load(&self, keys: &[WorklogsOf]) -> Result<HashMap<WorklogsOf, Vec<Worklog>>> {
        let mut rows = Vec::new();
        for (part, issues) in by_part(keys, |key| (key.0, key.1)) {
            let found = issue::worklogs(&self.0.app, &self.0.actor, self.of(&issues, part)).await?;
            self.0.spend(found.len())?;
            rows.extend(found.into_iter().map(|one| (WorklogsOf((one.site_id, one.issue_id), part), one)));
        }
        Ok(gather(keys, rows))
    }
}

#[async_trait]
impl Loader<ChangesOf> for Read {
    type Value = Vec<Change>;
    type Error = Error;

    async fn load(&self, keys: &[ChangesOf]) -> Result<HashMap<ChangesOf, Vec<Change>>> {
        let mut rows = Vec::new();
        for ((after, first), issues) in by_part(keys, |key| (key.0, (key.1, key.2))) {
            let of = self.of(&issues, Some(Part { after: None, first }));
            let found = issue::changes(&self.0.app, &self.0.actor, of, after).await?;
            self.0.spend(found.len())?;
            rows.extend(found.into_iter().map(|one| (ChangesOf((one.site_id, one.issue_id), after, first), one)));
        }
        Ok(gather(keys, rows))
    }
}

#[async_trait]
impl Loader<BodyOf> for Read {
    type Value = Arc<Body>;
    type Error = Error;

    async fn load(&self, keys: &[BodyOf]) -> Result<HashMap<BodyOf, Arc<Body>>> {
        let issues: Vec<IssueId> = keys.iter().map(|key| key.0).collect();
        let found = issue::bodies(&self.0.app, &self.0.actor, &issues).await?;
        self.0.spend(found.len())?;
        Ok(found.into_iter().map(|one| (BodyOf((one.site_id, one.issue_id)), Arc::new(one))).collect())
    }
}

#[async_trait]
impl Loader<SprintOf> for Read {
    type Value = Sprint;
    type Error = Error;

    async fn load(&self, keys: &[SprintOf]) -> Result<HashMap<SprintOf, Sprint>> {
        let issues: Vec<IssueId> = keys.iter().map(|key| key.0).collect();
        let found = issue::sprints(&self.0.app, &self.0.actor, &issues).await?;
        self.0.spend(found.len())?;
        Ok(found.into_iter().map(|one| (SprintOf((one.site_id, one.issue_id)), one)).collect())
    }
}

#[async_trait]
impl Loader<UserOf> for Read {
    type Value = User;
    type Error = Error;

    async fn load(&self, keys: &[UserOf]) -> Result<HashMap<UserOf, User>> {
        let wanted: Vec<(Uuid, String)> = keys.iter().map(|key| (key.0, key.1.clone())).collect();
        let found = issue::users(&self.0.app, &self.0.actor, &wanted).await?;
        self.0.spend(found.len())?;
        Ok(found.into_iter().map(|one| (UserOf(one.site_id, one.account_id.clone()), one)).collect())
    }
}

#[async_trait]
impl Loader<StatesOf> for Read {
    type Value = Vec<SyncState>;
    type Error = Error;

    async fn load(&self, keys: &[StatesOf]) -> Result<HashMap<StatesOf, Vec<SyncState>>> {
        let projects: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let found = project::states(&self.0.app, &self.0.actor, &projects).await?;
        self.0.spend(found.len())?;
        Ok(gather(keys, found.into_iter().map(|one| (StatesOf(one.project_id), one)).collect()))
    }
}

#[async_trait]
impl Loader<VerificationOf> for Read {
    type Value = serde_json::Value;
    type Error = Error;

    async fn load(&self, keys: &[VerificationOf]) -> Result<HashMap<VerificationOf, serde_json::Value>> {
        let projects: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let found = project::verifications(&self.0.app, &self.0.actor, &projects).await?;
        self.0.spend(found.len())?;
        Ok(found.into_iter().map(|(project, found)| (VerificationOf(project), found)).collect())
    }
}

#[async_trait]
impl Loader<NewestRunOf> for Read {
    type Value = Run;
    type Error = Error;

    async fn load(&self, keys: &[NewestRunOf]) -> Result<HashMap<NewestRunOf, Run>> {
        let projects: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let found = run::newest_of(&self.0.app, &self.0.actor, &projects).await?;
        self.0.spend(found.len())?;
        Ok(found.into_iter().map(|run| (NewestRunOf(run.project_id), run)).collect())
    }
}

#[async_trait]
impl Loader<EventsOf> for Read {
    type Value = Vec<Event>;
    type Error = Error;

    async fn load(&self, keys: &[EventsOf]) -> Result<HashMap<EventsOf, Vec<Event>>> {
        let alerts: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let found = alert::events(&self.0.app, &self.0.actor, &alerts).await?;
        self.0.spend(found.len())?;
        Ok(gather(keys, found.into_iter().map(|(alert, event)| (EventsOf(alert), event)).collect()))
    }
}
