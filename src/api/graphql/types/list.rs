//! Lists that several types hold: their filters, and the parts that are read.

use async_graphql::{Context, ID, InputObject, Result};
use chrono::{DateTime, Utc};

use super::{IssueConnection, RunConnection, RunStatus, asker, run_history, uuid};
use crate::app;
use crate::app::project as projects;
use crate::app::setting::Target;

/// Which runs; what is left out counts for all.
#[derive(Debug, Default, InputObject)]
pub struct RunFilter {
    /// In one of these states.
    pub status: Option<Vec<RunStatus>>,
    /// incremental or full.
    pub kind: Option<String>,
    /// Asked for by this person.
    pub requested_by: Option<String>,
    /// That failed with one of these codes.
    pub error_code: Option<Vec<String>>,
    /// Asked for at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Asked for before this time.
    pub to: Option<DateTime<Utc>>,
    /// Of projects with this text in their key or name.
    pub search: Option<String>,
}

impl RunFilter {
    /// As the use case takes it; `project` is SITE/KEY.
    pub fn asked(self, project: Option<String>) -> app::run::History {
        app::run::History {
            states: self.status.map(|all| all.into_iter().map(|one| one.as_str().to_owned()).collect()),
            projects: project.map(|name| vec![name]),
            kind: self.kind,
            user: self.requested_by,
            codes: self.error_code,
            from: self.from,
            to: self.to,
            text: self.search,
            ..app::run::History::default()
        }
    }
}

/// Which issues; what is left out counts for all.
#[derive(Debug, Default, InputObject)]
pub struct IssueFilter {
    /// With one of these statuses, by name.
    pub status: Option<Vec<String>>,
    /// Assigned to one of these: SITE:ACCOUNT, or the account's id alone.
    pub assignee: Option<Vec<ID>>,
    /// Updated at this time or later.
    pub updated_since: Option<DateTime<Utc>>,
    /// With this text in key or summary, whatever the case.
    pub search: Option<String>,
    /// Those too that are gone from Jira.
    #[graphql(default_with = "Some(false)")]
    pub include_deleted: Option<bool>,
}

/// The runs of a project, or of all.
pub async fn runs(
    context: &Context<'_>,
    project: Option<uuid::Uuid>,
    filter: Option<RunFilter>,
    first: i32,
    after: Option<String>,
) -> Result<RunConnection> {
    let name = match project {
        Some(id) => Some(projects::name(&*asker(context).project(id).await?)),
        None => None,
    };
    let asked = filter.unwrap_or_default().asked(name);
    run_history(context, app::run::History { limit: Some(first.into()), cursor: after, ..asked }).await
}

/// The issues of a project, or of all.
pub async fn issues(
    context: &Context<'_>,
    project: Option<uuid::Uuid>,
    filter: Option<IssueFilter>,
    first: i32,
    after: Option<String>,
) -> Result<IssueConnection> {
    let filter = filter.unwrap_or_default();
    let account = |id: ID| {
        let of_site = id.split_once(':').map(|(_, account)| account.to_owned());
        [Some(id.to_string()), of_site].into_iter().flatten()
    };
    let asked = app::issue::Asked {
        project_id: project,
        statuses: filter.status,
        assignees: filter.assignee.map(|ids| ids.into_iter().flat_map(account).collect()),
        updated_since: filter.updated_since,
        text: filter.search,
        deleted: filter.include_deleted.unwrap_or(false),
        cursor: after,
        limit: Some(first.into()),
    };
    let asker = asker(context);
    asker.statement()?;
    let page = app::issue::list(&asker.app, &asker.actor, &asked).await?;
    asker.spend(page.items.len())?;
    Ok(IssueConnection { asked, page })
}

/// For whom settings are asked or changed.
pub async fn target(context: &Context<'_>, project_id: Option<ID>) -> Result<Target> {
    match project_id {
        Some(id) => {
            let project = asker(context).project(uuid("projectId", &id)?).await?;
            Ok(Target::Project(projects::name(&project)))
        }
        None => Ok(Target::All),
    }
}
