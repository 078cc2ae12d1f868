//! What can be asked.

use async_graphql::{Context, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::asker::Asker;
use super::types::{
    Alert, AlertConnection, Anomaly, AuditConnection, AuditEntry, Health, Issue, IssueConnection, IssueFilter,
    JiraProjectOption, JiraProjectUserOption, PageInfo, Project, Recommendation, Run, RunConnection, RunFilter,
    Setting, SyncJob, SyncLog, SyncState, Trend, Viewer, asker, issues, one_run, runs, states, target, uuid,
};
use crate::app::project as projects;
use crate::app::run::bounded;
use crate::app::{self, Error, Kind};

/// The runs, issues, projects and alerts that a caller may see.
pub struct Query;

/// SITE:ID as an issue is named, or Jira's id alone.
fn issue_id(id: &ID) -> app::Result<(Option<String>, i64)> {
    let (site, number) = match id.rsplit_once(':') {
        Some((site, number)) => (Some(site.to_owned()), number),
        None => (None, id.as_str()),
    };
    let number = number.parse().map_err(|_| {
        Error::invalid("id", "id is not one of an issue").help("an id is SITE:NUMBER, such as acme:10001")
    })?;
    Ok((site, number))
}

#[Object]
impl Query {
    /// How far a project has been read, by entity; what was never read is left out.
    async fn sync_states(&self, context: &Context<'_>, project_id: ID) -> Result<Vec<SyncState>> {
        let project = asker(context).project(uuid("projectId", &project_id)?).await?;
        states(context, project.id).await
    }

    /// The newest entries of a project's log, the newest first.
    async fn sync_logs(
        &self,
        context: &Context<'_>,
        project_id: ID,
        #[graphql(default = 100)] limit: Option<i32>,
    ) -> Result<Vec<SyncLog>> {
        let asker = asker(context);
        let project = asker.project(uuid("projectId", &project_id)?).await?;
        let limit = limit.map(i64::from);
        let entries = app::follow::project_logs(&asker.app, &asker.actor, project.id, limit).await?;
        asker.spend(entries.len())?;
        Ok(entries.into_iter().rev().map(SyncLog).collect())
    }

    /// The projects that the account of a site may see in Jira; of the only site, where none is named.
    async fn jira_project_options(
        &self,
        context: &Context<'_>,
        site: Option<String>,
        search: Option<String>,
    ) -> Result<Vec<JiraProjectOption>> {
        let asker = asker(context);
        let found = app::tracking::discover(&asker.app, &asker.actor, site.as_deref(), search.as_deref()).await?;
        asker.spend(found.len())?;
        Ok(found.into_iter().map(JiraProjectOption::from).collect())
    }

    /// The users whose issues a project may bring, and those that it lists; without a project, the users of all sites.
    async fn jira_project_user_options(
        &self,
        context: &Context<'_>,
        project_id: Option<ID>,
        search: Option<String>,
    ) -> Result<Vec<JiraProjectUserOption>> {
        let asker = asker(context);
        let name = match project_id {
            Some(id) => Some(projects::name(&*asker.project(uuid("projectId", &id)?).await?)),
            None => None,
        };
        let found = app::tracking::users(&asker.app, &asker.actor, name.as_deref(), search.as_deref()).await?;
        asker.spend(found.len())?;
        Ok(found.into_iter().map(JiraProjectUserOption::from).collect())
    }

    /// One issue by its id, or by its key; where several sites have the key, `site` says which.
    async fn issue(
        &self,
        context: &Context<'_>,
        id: Option<ID>,
        key: Option<String>,
        site: Option<String>,
    ) -> Result<Option<Issue>> {
        let asker = asker(context);
        let (of_site, number) = match id.as_ref().map(issue_id).transpose()? {
            Some((site, number)) => (site, Some(number)),
            None => (None, None),
        };
        let named = app::issue::Named { site: site.or(of_site), id: number, key };
        asker.spend(1)?;
        Ok(app::issue::find(&asker.app, &asker.actor, &named).await?.map(Issue))
    }

    /// Issues, those first that were updated last; at most 1,000 at once.
    async fn issues(
        &self,
        context: &Context<'_>,
        project_id: Option<ID>,
        filter: Option<IssueFilter>,
        #[graphql(default = 50)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<IssueConnection> {
        let project = project_id.as_ref().map(|id| uuid("projectId", id)).transpose()?;
        issues(context, project, filter, first.unwrap_or(50), after).await
    }

    /// The projects that are synchronised, with this text in site, key or name.
    async fn projects(&self, context: &Context<'_>, search: Option<String>) -> Result<Vec<Project>> {
        let text = search.unwrap_or_default().to_lowercase();
        let asker = asker(context);
        let mut found: Vec<Project> = asker
            .projects()
            .await?
            .values()
            .filter(|one| one.state != "removed")
            .filter(|one| format!("{} {}", projects::name(one), one.name).to_lowercase().contains(&text))
            .cloned()
            .map(Project)
            .collect();
        asker.spend(found.len())?;
        found.sort_by(|a, b| (&a.0.site, &a.0.key).cmp(&(&b.0.site, &b.0.key)));
        Ok(found)
    }

    /// One project by its id, or by KEY or SITE/KEY.
    async fn project(&self, context: &Context<'_>, id: Option<ID>, key: Option<String>) -> Result<Option<Project>> {
        let asker = asker(context);
        let found = match (&id, &key) {
            (Some(id), _) => asker.project(uuid("id", id)?).await,
            (None, Some(key)) => projects::find(&asker.app, &asker.actor, key, true).await.map(Into::into),
            (None, None) => {
                return Err(Error::invalid("key", "neither id nor key is given")
                    .help("name the project, such as WEB")
                    .into());
            }
        };
        match found {
            Ok(project) => Ok(Some(Project(project))),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The jobs of all projects, in the order of site and key.
    async fn sync_jobs(&self, context: &Context<'_>) -> Result<Vec<SyncJob>> {
        let all = self.projects(context, None).await?;
        Ok(all.into_iter().map(SyncJob).collect())
    }

    /// Runs, the newest first; at most 500 at once.
    async fn runs(
        &self,
        context: &Context<'_>,
        project_id: Option<ID>,
        filter: Option<RunFilter>,
        #[graphql(default = 25)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<RunConnection> {
        let project = project_id.as_ref().map(|id| uuid("projectId", id)).transpose()?;
        runs(context, project, filter, first.unwrap_or(25), after).await
    }

    /// One run.
    async fn run(&self, context: &Context<'_>, id: ID) -> Result<Option<Run>> {
        asker(context).spend(1)?;
        one_run(context, &id).await
    }

    /// Alerts, the newest first: those that are open, or all.
    async fn alerts(
        &self,
        context: &Context<'_>,
        #[graphql(default_with = "Some(true)")] open: Option<bool>,
        #[graphql(default = 25)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<AlertConnection> {
        let asker = asker(context);
        let asked =
            app::alert::Asked { all: !open.unwrap_or(true), cursor: after, limit: Some(first.unwrap_or(25).into()) };
        let page = app::alert::list(&asker.app, &asker.actor, &asked).await?;
        asker.spend(page.items.len())?;
        Ok(AlertConnection {
            nodes: page.items.into_iter().map(Alert).collect(),
            page_info: PageInfo::of(page.next_cursor),
        })
    }

    /// The settings in force for a project, or for all.
    async fn settings(&self, context: &Context<'_>, project_id: Option<ID>) -> Result<Vec<Setting>> {
        let asker = asker(context);
        let target = target(context, project_id).await?;
        Ok(app::setting::list(&asker.app, &asker.actor, &target).await?.into_iter().map(Setting::from).collect())
    }

    /// Where Jira's answers differ from what is documented.
    async fn drift(&self, context: &Context<'_>, site: Option<String>) -> Result<Json<Value>> {
        let asker = asker(context);
        let found = app::project::drift(&asker.app, &asker.actor, site.as_deref()).await?;
        asker.spend(found.len())?;
        Ok(Json(serde_json::json!(found)))
    }

    /// What was changed by hand, the newest first.
    async fn audit(
        &self,
        context: &Context<'_>,
        subject: Option<String>,
        #[graphql(default = 50)] first: Option<i32>,
        after: Option<String>,
    ) -> Result<AuditConnection> {
        let asker = asker(context);
        let first = bounded("first", first.map(i64::from), 50, 1, 499)?;
        let question = format!("audit {subject:?}");
        let before = after.as_deref().map(|text| app::cursor::decode_numbered(&question, text)).transpose()?;
        let asked = app::audit::Filter {
            before: before.map(|(_, _, id)| id),
            subject,
            limit: Some(first + 1),
            ..app::audit::Filter::default()
        };
        let mut entries = app::audit::list(&asker.app, &asker.actor, &asked).await?;
        asker.spend(entries.len())?;
        let has_more = entries.len() > usize::try_from(first).unwrap_or(usize::MAX);
        entries.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        let last = entries.last().filter(|_| has_more);
        let next = last.map(|last| app::cursor::encode_numbered(&question, (last.at, uuid::Uuid::nil(), last.id)));
        let nodes = entries.into_iter().map(AuditEntry).collect();
        Ok(AuditConnection { nodes, page_info: PageInfo::of(next) })
    }

    /// Who asks.
    async fn viewer(&self, context: &Context<'_>) -> Viewer {
        Viewer::of(&asker(context).actor)
    }

    /// How well a project is, or all of them: the worst speaks for all.
    async fn health_score(&self, context: &Context<'_>, project_id: Option<ID>) -> Result<Health> {
        let asker = asker(context);
        match project_id {
            Some(id) => {
                let project = asker.project(uuid("projectId", &id)?).await?;
                let health = Health::of(asker.health(project.id).await?.as_deref());
                Ok(health.scored(asker.score(project.id).await?))
            }
            None => {
                let health = Health::of_all(&app::health::list(&asker.app, &asker.actor, None).await?);
                Ok(health.rated(asker.score_of_all().await?))
            }
        }
    }

    /// How a figure of the runs went from day to day: success_rate, issues, runs, duration or requests; 1 to 90 days.
    async fn trends(
        &self,
        context: &Context<'_>,
        project_id: Option<ID>,
        metric: String,
        #[graphql(default = 28)] days: Option<i32>,
    ) -> Result<Trend> {
        let asker = asker(context);
        let project = only(asker, project_id).await?;
        let days = i64::from(days.unwrap_or(28));
        Ok(app::stats::trend(&asker.app, &asker.actor, project, &metric, days).await?.into())
    }

    /// Runs that were unusual since `since`, a week ago unless said, the newest first.
    async fn anomalies(
        &self,
        context: &Context<'_>,
        project_id: Option<ID>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<Anomaly>> {
        let asker = asker(context);
        let project = only(asker, project_id).await?;
        let found = app::insight::anomalies(&asker.app, &asker.actor, project, since).await?;
        asker.spend(found.len())?;
        Ok(found.into_iter().map(|found| found.anomaly.into()).collect())
    }

    /// What to change, and why.
    async fn recommendations(&self, context: &Context<'_>, project_id: Option<ID>) -> Result<Vec<Recommendation>> {
        let asker = asker(context);
        let project = only(asker, project_id).await?;
        let found = app::insight::recommendations(&asker.app, &asker.actor, project).await?;
        asker.spend(found.len())?;
        Ok(found.into_iter().map(Recommendation::from).collect())
    }

    /// The next times that a cron expression names.
    async fn cron_preview(
        &self,
        context: &Context<'_>,
        cron: String,
        #[graphql(default_with = "Some(String::from(\"UTC\"))")] time_zone: Option<String>,
        #[graphql(default = 5)] count: Option<i32>,
    ) -> Result<Vec<DateTime<Utc>>> {
        let asker = asker(context);
        let zone = time_zone.as_deref().unwrap_or("UTC");
        Ok(app::schedule::preview(&asker.app, &cron, zone, count.unwrap_or(5).into())?)
    }
}

/// The project that is asked about; none for all within reach.
async fn only(asker: &Asker, id: Option<ID>) -> Result<Option<Uuid>> {
    match id {
        Some(id) => Ok(Some(asker.project(uuid("projectId", &id)?).await?.id)),
        None => Ok(None),
    }
}
