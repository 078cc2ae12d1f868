//! Issues of the replica with what hangs on them: comments, worklogs, history, people, sprints.
//!
//! What must hold: an issue of a project beyond the actor's reach does not exist for it; comments and worklogs that Jira shows
//! to some people only are left out without their scope, in lists, pages and counts alike.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::run::bounded;
use super::{Actor, App, COUNTED, Error, Page, Result, Scope, Verb, cursor, project};
use crate::store::patience::{LONGEST, again};
use crate::store::replica_view::{self, IssueFilter, Part};
use crate::store::within;

pub use crate::store::replica_view::{Body, Change, ChangePosition, Comment, Issue, IssueId, Sprint, User, Worklog};

/// Which issues; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Of this project, by its id.
    pub project_id: Option<Uuid>,
    /// With one of these statuses, by name.
    pub statuses: Option<Vec<String>>,
    /// Assigned to one of these accounts.
    pub assignees: Option<Vec<String>>,
    /// Updated at this time or later.
    pub updated_since: Option<DateTime<Utc>>,
    /// With this text in key or summary.
    pub text: Option<String>,
    /// Those too that are gone from Jira.
    pub deleted: bool,
    /// Where the list goes on.
    pub cursor: Option<String>,
    /// At most so many: 50 unless said, 1,000 at most.
    pub limit: Option<i64>,
}

async fn filter(app: &App, actor: &Actor, asked: &Asked) -> Result<IssueFilter> {
    let projects = match asked.project_id {
        Some(id) if actor.reaches(id) => vec![id],
        Some(_) => Vec::new(),
        None => project::list(app, actor, true).await?.into_iter().map(|one| one.id).collect(),
    };
    Ok(IssueFilter {
        projects,
        statuses: asked.statuses.clone(),
        assignees: asked.assignees.clone(),
        updated_since: asked.updated_since,
        text: asked.text.clone(),
        deleted: asked.deleted,
        after: None,
        limit: 0,
    })
}

/// The issues that match, those first that were updated last. They are not counted.
///
/// # Errors
/// Where the actor may not, or something was asked wrongly.
pub async fn list(app: &App, actor: &Actor, asked: &Asked) -> Result<Page<Issue>> {
    actor.may(Verb::ReadIssues)?;
    let limit = bounded("first", asked.limit, 50, 1, 1_000)?;
    let question = format!("{:?}", Asked { limit: None, cursor: None, ..asked.clone() });
    let after = asked.cursor.as_deref().map(|text| cursor::decode_numbered(&question, text)).transpose()?;
    let filter = IssueFilter { limit: limit + 1, after, ..filter(app, actor, asked).await? };
    let pool = app.pool();
    let mut items = again(|| within(LONGEST, replica_view::issues(&pool, &filter))).await?;
    let has_more = items.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        items.pop();
    }
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|last| cursor::encode_numbered(&question, (last.updated_at, last.project_id, last.id)));
    Ok(Page { items, next_cursor, total: 0 })
}

/// How many issues match, counted up to one more than [`COUNTED`].
///
/// # Errors
/// Where the actor may not.
pub async fn count(app: &App, actor: &Actor, asked: &Asked) -> Result<i64> {
    actor.may(Verb::ReadIssues)?;
    let (pool, filter) = (app.pool(), filter(app, actor, asked).await?);
    Ok(again(|| within(LONGEST, replica_view::count(&pool, &filter, COUNTED))).await?)
}

/// Names one issue.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The site's name.
    pub site: Option<String>,
    /// Jira's id.
    pub id: Option<i64>,
    /// Its key.
    pub key: Option<String>,
}

/// One issue; none where there is no such issue within reach.
///
/// # Errors
/// Where the actor may not, or the name fits issues of several sites.
pub async fn find(app: &App, actor: &Actor, named: &Named) -> Result<Option<Issue>> {
    actor.may(Verb::ReadIssues)?;
    if named.id.is_none() && named.key.is_none() {
        return Err(
            Error::invalid("key", "neither id nor key is given").help("name the issue by its key, such as WEB-1")
        );
    }
    let key = named.key.as_ref().map(|key| key.trim().to_ascii_uppercase());
    let pool = app.pool();
    let read = || replica_view::find(&pool, named.site.as_deref(), named.id, key.as_deref());
    let mut found = again(|| within(LONGEST, read())).await?;
    found.retain(|issue| actor.reaches(issue.project_id));
    let sites: std::collections::BTreeSet<&str> = found.iter().map(|issue| issue.site.as_str()).collect();
    if sites.len() > 1 {
        let sites: Vec<&str> = sites.into_iter().collect();
        return Err(Error::invalid("site", format!("issues of several sites have this name: {}", sites.join(", ")))
            .help("name the site too"));
    }
    Ok(found.into_iter().next())
}

/// The issues of a list that a use case here has answered, and what to read of them.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// Issues within reach.
    pub issues: &'a [IssueId],
    /// After the one with this time and id.
    pub after: Option<(DateTime<Utc>, i64)>,
    /// At most so many of each issue.
    pub each: i64,
    /// At most so many in all.
    pub most: i64,
}

impl Of<'_> {
    fn part(&self, actor: &Actor) -> Part {
        let restricted = actor.scopes.grant(Scope::ReplicaRestricted);
        Part { restricted, after: self.after, each: self.each, most: self.most }
    }
}

/// Comments of issues, the oldest first.
///
/// # Errors
/// Where the actor may not.
pub async fn comments(app: &App, actor: &Actor, of: Of<'_>) -> Result<Vec<Comment>> {
    actor.may(Verb::ReadIssues)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, replica_view::comments(&pool, of.issues, of.part(actor)))).await?)
}

/// Worklogs of issues, the earliest work first.
///
/// # Errors
/// Where the actor may not.
pub async fn worklogs(app: &App, actor: &Actor, of: Of<'_>) -> Result<Vec<Worklog>> {
    actor.may(Verb::ReadIssues)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, replica_view::worklogs(&pool, of.issues, of.part(actor)))).await?)
}

/// The history of issues, the oldest change first.
///
/// # Errors
/// Where the actor may not.
pub async fn changes(app: &App, actor: &Actor, of: Of<'_>, after: Option<ChangePosition>) -> Result<Vec<Change>> {
    actor.may(Verb::ReadIssues)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, replica_view::changes(&pool, of.issues, after, of.each, of.most))).await?)
}

/// The long texts of issues.
///
/// # Errors
/// Where the actor may not.
pub async fn bodies(app: &App, actor: &Actor, issues: &[IssueId]) -> Result<Vec<Body>> {
    actor.may(Verb::ReadIssues)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, replica_view::bodies(&pool, issues))).await?)
}

/// Users by site and account id.
///
/// # Errors
/// Where the actor may not.
pub async fn users(app: &App, actor: &Actor, keys: &[(Uuid, String)]) -> Result<Vec<User>> {
    actor.may(Verb::ReadIssues)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, replica_view::users(&pool, keys))).await?)
}

/// The sprint of each issue: the active one, else the next, else the last that was closed.
///
/// # Errors
/// Where the actor may not.
pub async fn sprints(app: &App, actor: &Actor, issues: &[IssueId]) -> Result<Vec<Sprint>> {
    actor.may(Verb::ReadIssues)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, replica_view::sprints(&pool, issues))).await?)
}
