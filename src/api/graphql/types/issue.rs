//! Issues, and what hangs on them.
//!
//! What must hold: ids name the site too, since Jira's ids are unique within a site only; a person whom the replica does not
//! know is shown by the account id.

use async_graphql::{Context, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::cursor;
use super::super::loaders::{BodyOf, ChangesOf, CommentsOf, Part, SprintOf, WorklogsOf};
use super::user::{Sprint, User, author, user};
use super::{Count, PageInfo, Project, asker, loaders};
use crate::app::issue as app;
use crate::app::run::bounded;

/// An issue of the replica.
#[derive(Clone)]
pub struct Issue(pub app::Issue);

impl Issue {
    fn key(&self) -> app::IssueId {
        (self.0.site_id, self.0.id)
    }
}

/// A comment on an issue.
#[derive(Clone)]
pub struct Comment {
    of: app::Issue,
    row: app::Comment,
}

#[Object]
impl Comment {
    /// SITE:ID.
    async fn id(&self) -> ID {
        ID(format!("{}:{}", self.of.site, self.row.id))
    }
    /// Who wrote it.
    async fn author(&self, context: &Context<'_>) -> Result<User> {
        author(context, &self.of, self.row.author_account_id.as_deref()).await
    }
    /// Its text.
    async fn body(&self) -> &str {
        &self.row.body
    }
    /// When it was written.
    async fn created(&self) -> DateTime<Utc> {
        self.row.created_at
    }
    /// When it was changed last.
    async fn updated(&self) -> Option<DateTime<Utc>> {
        Some(self.row.updated_at)
    }
    /// The role or group that Jira shows it to, where it is not for everybody.
    async fn restricted_to(&self) -> Option<&str> {
        self.row.restricted_to.as_deref()
    }
    /// Whether it is an internal note of a service desk.
    async fn internal(&self) -> bool {
        self.row.is_internal
    }
}

/// Work that was logged on an issue.
#[derive(Clone)]
pub struct Worklog {
    of: app::Issue,
    row: app::Worklog,
}

#[Object]
impl Worklog {
    /// SITE:ID.
    async fn id(&self) -> ID {
        ID(format!("{}:{}", self.of.site, self.row.id))
    }
    /// Who worked.
    async fn author(&self, context: &Context<'_>) -> Result<User> {
        author(context, &self.of, self.row.author_account_id.as_deref()).await
    }
    /// How long, in seconds.
    async fn time_spent(&self) -> Option<i32> {
        Some(self.row.time_spent_seconds)
    }
    /// When the work began.
    async fn started(&self) -> DateTime<Utc> {
        self.row.started_at
    }
    /// When the entry was changed last.
    async fn updated(&self) -> DateTime<Utc> {
        self.row.updated_at
    }
    /// What was done.
    async fn comment(&self) -> Option<&str> {
        self.row.comment.as_deref()
    }
    /// The role or group that Jira shows it to, where it is not for everybody.
    async fn restricted_to(&self) -> Option<&str> {
        self.row.restricted_to.as_deref()
    }
}

/// A change of one field of an issue.
#[derive(Clone)]
pub struct Change {
    of: app::Issue,
    row: app::Change,
}

#[Object]
impl Change {
    /// SITE:ID:PLACE.
    async fn id(&self) -> ID {
        ID(format!("{}:{}:{}", self.of.site, self.row.id, self.row.item))
    }
    /// Who changed it.
    async fn author(&self, context: &Context<'_>) -> Result<Option<User>> {
        match self.row.author_account_id.as_deref() {
            Some(account) => Ok(Some(user(context, &self.of, account).await?)),
            None => Ok(None),
        }
    }
    /// When.
    async fn created(&self) -> DateTime<Utc> {
        self.row.created_at
    }
    /// The field's name.
    async fn field(&self) -> &str {
        &self.row.field
    }
    /// What it was before.
    async fn from(&self) -> Option<&str> {
        self.row.from_text.as_deref()
    }
    /// What it became.
    async fn to(&self) -> Option<&str> {
        self.row.to_text.as_deref()
    }
}

/// Part of the comments of an issue.
#[derive(SimpleObject)]
pub struct CommentConnection {
    nodes: Vec<Comment>,
    page_info: PageInfo,
}

/// Part of the worklogs of an issue.
#[derive(SimpleObject)]
pub struct WorklogConnection {
    nodes: Vec<Worklog>,
    page_info: PageInfo,
}

/// Part of the history of an issue.
#[derive(SimpleObject)]
pub struct ChangeConnection {
    nodes: Vec<Change>,
    page_info: PageInfo,
}

fn first(first: Option<i32>) -> Result<i64> {
    Ok(bounded("first", first.map(i64::from), 50, 1, 1_000)?)
}

/// What was read for one more than was asked for, and the cursor of the next part.
fn cut<R>(mut rows: Vec<R>, first: i64, cursor: impl Fn(&R) -> String) -> (Vec<R>, PageInfo) {
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let has_more = rows.len() > first;
    rows.truncate(first);
    let next = rows.last().filter(|_| has_more).map(cursor);
    (rows, PageInfo::of(next))
}

#[Object]
impl Issue {
    /// SITE:ID, with Jira's id of the issue.
    async fn id(&self) -> ID {
        ID(format!("{}:{}", self.0.site, self.0.id))
    }
    /// Its key, such as WEB-1.
    #[graphql(name = "key")]
    async fn issue_key(&self) -> &str {
        &self.0.key
    }
    /// Its one-line title.
    async fn summary(&self) -> &str {
        &self.0.summary
    }
    /// The name of its status.
    async fn status(&self) -> &str {
        &self.0.status
    }
    /// The name of its priority.
    async fn priority(&self) -> Option<&str> {
        self.0.priority.as_deref()
    }
    /// Who is to do it.
    async fn assignee(&self, context: &Context<'_>) -> Result<Option<User>> {
        match self.0.assignee_account_id.as_deref() {
            Some(account) => Ok(Some(user(context, &self.0, account).await?)),
            None => Ok(None),
        }
    }
    /// When it was changed last in Jira.
    async fn updated(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
    /// Its sprint: the active one, else the next, else the last that was closed.
    async fn sprint(&self, context: &Context<'_>) -> Result<Option<Sprint>> {
        if !self.0.has_sprint {
            return Ok(None);
        }
        let found = loaders(context).load_one(SprintOf(self.key())).await?;
        Ok(found.map(|sprint| Sprint {
            id: ID(format!("{}:{}", self.0.site, sprint.id)),
            name: sprint.name,
            state: sprint.state,
            start_date: sprint.started_at,
            end_date: sprint.ends_at,
        }))
    }
    /// All of its comments, the oldest first. Those that Jira shows to some people only need the scope `replica:restricted`.
    async fn comments(&self, context: &Context<'_>) -> Result<Vec<Comment>> {
        let found = loaders(context).load_one(CommentsOf(self.key(), None)).await?.unwrap_or_default();
        Ok(found.into_iter().map(|row| Comment { of: self.0.clone(), row }).collect())
    }
    /// All of its worklogs, the earliest work first; restricted ones as with comments.
    async fn worklogs(&self, context: &Context<'_>) -> Result<Vec<Worklog>> {
        let found = loaders(context).load_one(WorklogsOf(self.key(), None)).await?.unwrap_or_default();
        Ok(found.into_iter().map(|row| Worklog { of: self.0.clone(), row }).collect())
    }
    /// The name of its site.
    async fn site(&self) -> &str {
        &self.0.site
    }
    /// Its project here.
    async fn project(&self, context: &Context<'_>) -> Result<Project> {
        Ok(Project(asker(context).project(self.0.project_id).await?))
    }
    /// The name of its type, such as Story or Bug.
    #[graphql(name = "type")]
    async fn issue_type(&self) -> &str {
        &self.0.issue_type
    }
    /// What its status means: new, indeterminate, done or undefined.
    async fn status_category(&self) -> &str {
        &self.0.status_category
    }
    /// Who asked for it.
    async fn reporter(&self, context: &Context<'_>) -> Result<Option<User>> {
        match self.0.reporter_account_id.as_deref() {
            Some(account) => Ok(Some(user(context, &self.0, account).await?)),
            None => Ok(None),
        }
    }
    /// Its labels.
    async fn labels(&self) -> &[String] {
        &self.0.labels
    }
    /// Its estimate in points.
    async fn story_points(&self) -> Option<f64> {
        self.0.story_points
    }
    /// When it was made.
    async fn created(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it was resolved.
    async fn resolved(&self) -> Option<DateTime<Utc>> {
        self.0.resolved_at
    }
    /// Its description as plain text.
    async fn description(&self, context: &Context<'_>) -> Result<Option<String>> {
        Ok(loaders(context).load_one(BodyOf(self.key())).await?.and_then(|body| body.description.clone()))
    }
    /// Its fields without a column of their own, by field id; those named in `ids` where it is given.
    async fn fields(&self, context: &Context<'_>, ids: Option<Vec<String>>) -> Result<Json<Value>> {
        let body = loaders(context).load_one(BodyOf(self.key())).await?;
        let mut fields = body.map_or_else(|| Value::Object(Default::default()), |body| body.fields.clone());
        if let (Some(ids), Value::Object(map)) = (ids, &mut fields) {
            map.retain(|id, _| ids.contains(id));
        }
        Ok(Json(fields))
    }
    /// When it was gone from Jira.
    async fn deleted_at(&self) -> Option<DateTime<Utc>> {
        self.0.deleted_at
    }
    /// Its comments in parts.
    async fn comments_connection(
        &self,
        context: &Context<'_>,
        #[graphql(default = 50, name = "first")] asked: Option<i32>,
        after: Option<String>,
    ) -> Result<CommentConnection> {
        let first = first(asked)?;
        let part = Part { after: cursor::item("comments", after)?, first };
        let rows = loaders(context).load_one(CommentsOf(self.key(), Some(part))).await?.unwrap_or_default();
        let (rows, page_info) = cut(rows, first, |row| cursor::of_item("comments", (row.created_at, row.id)));
        let nodes = rows.into_iter().map(|row| Comment { of: self.0.clone(), row }).collect();
        Ok(CommentConnection { nodes, page_info })
    }
    /// Its worklogs in parts.
    async fn worklogs_connection(
        &self,
        context: &Context<'_>,
        #[graphql(default = 50, name = "first")] asked: Option<i32>,
        after: Option<String>,
    ) -> Result<WorklogConnection> {
        let first = first(asked)?;
        let part = Part { after: cursor::item("worklogs", after)?, first };
        let rows = loaders(context).load_one(WorklogsOf(self.key(), Some(part))).await?.unwrap_or_default();
        let (rows, page_info) = cut(rows, first, |row| cursor::of_item("worklogs", (row.started_at, row.id)));
        let nodes = rows.into_iter().map(|row| Worklog { of: self.0.clone(), row }).collect();
        Ok(WorklogConnection { nodes, page_info })
    }
    /// Its history in parts, the oldest change first.
    async fn history(
        &self,
        context: &Context<'_>,
        #[graphql(default = 50, name = "first")] asked: Option<i32>,
        after: Option<String>,
    ) -> Result<ChangeConnection> {
        let first = first(asked)?;
        let after = cursor::change(after)?;
        let rows = loaders(context).load_one(ChangesOf(self.key(), after, first)).await?.unwrap_or_default();
        let (rows, page_info) = cut(rows, first, |row| cursor::of_change((row.created_at, row.id, row.item.into())));
        let nodes = rows.into_iter().map(|row| Change { of: self.0.clone(), row }).collect();
        Ok(ChangeConnection { nodes, page_info })
    }
}

/// Part of a list of issues.
pub struct IssueConnection {
    pub asked: app::Asked,
    pub page: crate::app::Page<app::Issue>,
}

#[Object]
impl IssueConnection {
    /// The issues.
    async fn nodes(&self) -> Vec<Issue> {
        self.page.items.iter().cloned().map(Issue).collect()
    }
    /// Where the list goes on.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(self.page.next_cursor.clone())
    }
    /// How many there are, in a statement of its own.
    async fn count(&self, context: &Context<'_>) -> Result<Count> {
        let asker = asker(context);
        asker.statement()?;
        Ok(Count::of(app::count(&asker.app, &asker.actor, &self.asked).await?))
    }
}
