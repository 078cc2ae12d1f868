//! What the account of a site may see, found by asking: projects, people, worklogs, boards.
//!
//! What must hold: what Jira withholds is said and fails nothing; what cannot be found out is said to be unknown.

use chrono::TimeDelta;
use futures::{StreamExt, stream};
use serde::Serialize;

use super::super::{Context, Error};
use crate::domain::failure::FailureCode;
use crate::jira::{JiraClient, Offered};
use crate::store::project::{self, Project, ProjectFilter};
use crate::store::site::{self, Site};

/// Projects whose permissions are asked for: enough to see what is wrong, few enough to be quick.
const PROJECTS_ASKED: usize = 50;
/// Requests under way.
const AT_ONCE: usize = 4;
const BROWSE: &str = "BROWSE_PROJECTS";

/// In plain words.
#[derive(Debug, Default, Serialize)]
pub(super) struct View {
    /// What the account may see.
    pub may: Vec<String>,
    /// What it may not, with who has to do what.
    pub may_not: Vec<String>,
    /// What could not be found out.
    pub unknown: Vec<String>,
}

/// A feature with its state and Jira's reason, as the site's row of capabilities has it.
pub(super) type Found = (&'static str, &'static str, Option<String>);

/// Asks for everything that a sync reads besides issues.
pub(super) async fn look(client: &JiraClient, site: &Site, context: &Context) -> Result<(View, Vec<Found>), Error> {
    let mut view = View::default();
    let mut found = Vec::new();
    let filter = ProjectFilter { site: Some(site.name.clone()), ..ProjectFilter::default() };
    let projects = project::list(&context.pool, &filter).await?;
    browse(client, &projects, &mut view).await?;
    people(client, site, context, &mut view, &mut found).await?;
    let since = context.clock.now() - TimeDelta::hours(1);
    let feed = client.worklogs_updated(since).await?;
    view.tell(
        &mut found,
        "worklog_feeds",
        feed,
        "the feed of changed worklogs",
        "worklogs are read issue by issue instead",
    );
    fields(client, &mut view, &mut found).await?;
    if let Some(id) = projects.iter().find_map(|project| project.jira_id) {
        let boards = client.boards(id).await?;
        view.tell(&mut found, "boards", boards, "boards and sprints", "sprints are known only from issues");
    }
    view.unknown.push(
        "comments and worklogs that are restricted to groups or roles: the account sees only those of its own \
            groups and roles"
            .into(),
    );
    for known in site::capabilities(&context.pool, site.id).await? {
        if known.state != "available" && !found.iter().any(|(feature, ..)| *feature == known.feature) {
            let reason = known.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            view.may_not.push(format!(
                "{}: {} in an earlier sync{reason}",
                known.feature.replace('_', " "),
                known.state
            ));
        }
    }
    Ok((view, found))
}

impl View {
    /// Says what became of one question.
    fn tell<T>(
        &mut self,
        found: &mut Vec<Found>,
        feature: &'static str,
        answer: Offered<T>,
        what: &str,
        instead: &str,
    ) {
        match answer {
            Offered::Available(_) => {
                self.may.push(what.to_owned());
                found.push((feature, "available", None));
            }
            Offered::Absent(reason) => {
                self.may_not.push(format!("{what}: the site does not have it; {instead}"));
                found.push((feature, "absent", Some(reason)));
            }
            Offered::Forbidden(reason) => {
                self.may_not.push(format!("{what}: the account lacks the permission; {instead}"));
                found.push((feature, "forbidden", Some(reason)));
            }
        }
    }
}

/// Whether the synchronised projects may be browsed.
async fn browse(client: &JiraClient, projects: &[Project], view: &mut View) -> Result<(), Error> {
    let asked = projects.iter().filter(|project| project.state != "removed").take(PROJECTS_ASKED);
    let answers: Vec<_> = stream::iter(asked)
        .map(|project| async move { (project, client.my_permissions(&project.key, &[BROWSE]).await) })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let (mut seen, mut hidden) = (0, Vec::new());
    for (project, answer) in answers {
        match answer {
            Ok(Offered::Available(has)) if has.get(BROWSE).copied().unwrap_or(true) => seen += 1,
            Ok(Offered::Available(_)) => hidden.push(project.key.as_str()),
            // Jira answers so for a project that is gone or hidden.
            Err(failure) if matches!(failure.code, FailureCode::NotFoundProject | FailureCode::Permission) => {
                hidden.push(project.key.as_str());
            }
            Ok(Offered::Absent(_) | Offered::Forbidden(_)) => {
                view.unknown.push("permissions: the site does not report them".into());
                return Ok(());
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    if seen > 0 {
        view.may.push(format!("the issues of {seen} synchronised projects"));
    }
    if !hidden.is_empty() {
        view.may_not.push(format!(
            "{}: a Jira administrator must grant the account 'Browse projects' there, or remove them here",
            hidden.join(", ")
        ));
    }
    if projects.len() > PROJECTS_ASKED {
        view.unknown.push(format!(
            "permissions of {} further projects: they were not checked",
            projects.len() - PROJECTS_ASKED
        ));
    }
    Ok(())
}

/// Whether users may be looked for, and how many e-mail addresses are hidden.
async fn people(
    client: &JiraClient,
    site: &Site,
    context: &Context,
    view: &mut View,
    found: &mut Vec<Found>,
) -> Result<(), Error> {
    let users = client.find_users("a").await?;
    view.tell(found, "user_search", users, "users by name and e-mail address", "users are known only from issues");
    let (known, hidden) = site::count_users(&context.pool, site.id).await?;
    match (known, hidden) {
        (0, _) => view.unknown.push("e-mail addresses: no user is known before the first sync".into()),
        (_, 0) => view.may.push(format!("the e-mail addresses of all {known} known users")),
        _ => view.may_not.push(format!(
            "the e-mail addresses of {hidden} of {known} users are hidden; link these users by hand or by name"
        )),
    }
    Ok(())
}

/// Whether time tracking is on, by the fields that come with it.
async fn fields(client: &JiraClient, view: &mut View, found: &mut Vec<Found>) -> Result<(), Error> {
    let Some(fields) = client.field_catalogue().await?.available() else {
        view.unknown.push("time tracking: the site does not list its fields".into());
        return Ok(());
    };
    let has_time = fields.records.iter().any(|field| matches!(field.id.as_str(), "timetracking" | "timespent"));
    let absent = || Offered::Absent("the site lists no time tracking field".to_owned());
    let answer = if has_time { Offered::Available(()) } else { absent() };
    view.tell(
        found,
        "time_tracking",
        answer,
        "time tracking: estimates, and all worklogs that are not restricted",
        "estimates and worklogs stay empty",
    );
    Ok(())
}
