//! `syncline project discover`: what the account can see, and which of it is synchronised.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use serde::Serialize;

use super::super::output::time;
use super::super::patience::Patience;
use super::super::{Context, Error, Row, completing, site};
use super::add::{FirstSync, Wanted, register};
use crate::domain::failure::FailureCode;
use crate::domain::site_kind::SiteKind;
use crate::jira::{JiraClient, Project};
use crate::store::project::{self, ProjectFilter};
use crate::store::site::Site;

/// No site has so many pages of projects: a server that never says the last one is not asked for ever.
const MAX_PAGES: usize = 10_000;
/// Projects of a Data Center that are asked for their sizes, one request each.
const MEASURED: usize = 500;
/// Requests under way.
const AT_ONCE: usize = 4;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  syncline project discover acme --filter shop
  syncline project discover acme --track WEB OPS
  syncline project discover acme --type software --track-all")]
pub(super) struct DiscoverArgs {
    /// The site's name
    #[arg(add = completing::sites())]
    site: String,
    /// Only projects with this text in their key, name or lead
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only projects of this type, e.g. software, business, service_desk
    #[arg(long = "type", value_name = "TYPE")]
    project_type: Option<String>,
    /// Add these projects, as `project add` does
    #[arg(long, value_name = "KEY", num_args = 1.., conflicts_with = "track_all")]
    track: Vec<String>,
    /// Add all listed projects except archived ones
    #[arg(long)]
    track_all: bool,
    #[command(flatten)]
    first: FirstSync,
}

/// One project of a site.
#[derive(Serialize)]
struct Discovered {
    key: String,
    name: String,
    jira_id: i64,
    project_type: Option<String>,
    lead: Option<String>,
    issues: Option<i64>,
    last_activity: Option<DateTime<Utc>>,
    /// `live`, `archived` or `deleted`.
    jira_state: &'static str,
    /// `active` or `paused` where it is synchronised; `added` just now.
    tracked: Option<String>,
}

pub(super) async fn run(args: DiscoverArgs, context: &Context) -> Result<(), Error> {
    let site = site::find(context, &args.site).await?;
    let client = site::client(context, &site)?;
    let visible = all(&client, context).await?;
    let mut listed = mark(&visible, &site, context).await?;
    listed.retain(|project| args.wants(project));
    measure(&client, &mut listed, context).await;
    let wanted = args.to_track(&listed, &visible, &site)?;
    let mut added = Vec::new();
    if !wanted.is_empty() {
        added = register(context, &site, wanted, (None, None), args.first.is_wanted()).await?;
        for project in listed.iter_mut().filter(|project| added.iter().any(|one| one.key == project.key)) {
            project.tracked = Some("added".into());
        }
    }
    let nothing = if visible.is_empty() {
        "the account sees no project: grant it the 'Browse projects' permission"
    } else {
        "no project matches"
    };
    context.output.rows(&listed, nothing)?;
    let tracked = listed.iter().filter(|project| project.tracked.is_some()).count();
    context.output.note(&format!("{} of {} visible projects, {tracked} synchronised", listed.len(), visible.len()));
    args.first.follow(&site.name, &added, context).await
}

/// Every project that the account sees, in the order of their keys.
async fn all(client: &JiraClient, context: &Context) -> Result<Vec<Project>, Error> {
    let mut patience = Patience::new(context);
    let mut projects: Vec<Project> = Vec::new();
    let mut start_at = Some(0);
    let mut any_state = true;
    for _ in 0..MAX_PAGES {
        let Some(start) = start_at else { break };
        let page = match any_state {
            true => patience.ask("Jira", || client.projects_of_any_state(start)).await,
            false => patience.ask("Jira", || client.projects(start)).await,
        };
        let page = match page {
            // What is archived or in the trash is not shown to everybody.
            Err(failure) if any_state && matches!(failure.code, FailureCode::BadQuery | FailureCode::Permission) => {
                any_state = false;
                continue;
            }
            page => page?,
        };
        start_at = page.next_start();
        projects.extend(page.values);
    }
    projects.sort_by(|a, b| a.key.cmp(&b.key));
    projects.dedup_by_key(|project| project.id);
    Ok(projects)
}

/// Asks how large each is, where the list does not tell; a project whose issues may not be read stays without.
async fn measure(client: &JiraClient, listed: &mut [Discovered], context: &Context) {
    if client.kind() == SiteKind::Cloud {
        return;
    }
    let unknown: Vec<&mut Discovered> = listed.iter_mut().filter(|project| project.issues.is_none()).collect();
    if unknown.len() > MEASURED {
        context.output.note(&format!("sizes are shown for the first {MEASURED} projects: narrow the list for others"));
    }
    stream::iter(unknown.into_iter().take(MEASURED))
        .for_each_concurrent(AT_ONCE, |project| async move {
            if let Ok(size) = client.project_size(&project.key).await {
                (project.issues, project.last_activity) = size;
            }
        })
        .await;
}

/// Which of them are synchronised; one that was renamed is known by its id.
async fn mark(visible: &[Project], site: &Site, context: &Context) -> Result<Vec<Discovered>, Error> {
    let filter = ProjectFilter { site: Some(site.name.clone()), ..ProjectFilter::default() };
    let ours = project::list(&context.pool, &filter).await?;
    let by_id: HashMap<i64, &str> = ours.iter().filter_map(|p| Some((p.jira_id?, p.state.as_str()))).collect();
    let by_key: HashMap<&str, &str> =
        ours.iter().filter(|p| p.jira_id.is_none()).map(|p| (p.key.as_str(), p.state.as_str())).collect();
    let listed = visible.iter().map(|project| Discovered {
        key: project.key.clone(),
        name: project.name.clone(),
        jira_id: project.id,
        project_type: project.project_type.clone(),
        lead: project.lead.as_ref().map(|lead| lead.display_name.clone()),
        issues: project.issue_count,
        last_activity: project.last_issue_update,
        jira_state: match (project.deleted, project.archived) {
            (true, _) => "deleted",
            (_, true) => "archived",
            _ => "live",
        },
        tracked: by_id.get(&project.id).or_else(|| by_key.get(project.key.as_str())).map(|state| (*state).to_owned()),
    });
    Ok(listed.collect())
}

impl DiscoverArgs {
    fn wants(&self, project: &Discovered) -> bool {
        let has = |text: &str| {
            let fields = [Some(&project.key), Some(&project.name), project.lead.as_ref()];
            fields.into_iter().flatten().any(|field| field.to_lowercase().contains(text))
        };
        let of_type = |wanted: &str| project.project_type.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(wanted));
        self.filter.as_ref().is_none_or(|text| has(&text.to_lowercase()))
            && self.project_type.as_ref().is_none_or(|wanted| of_type(wanted))
    }

    /// What is to be synchronised from now on.
    fn to_track(&self, listed: &[Discovered], visible: &[Project], site: &Site) -> Result<Vec<Wanted>, Error> {
        let wanted = |project: &Discovered| Wanted {
            key: project.key.clone(),
            jira_id: Some(project.jira_id),
            name: project.name.clone(),
        };
        if self.track_all {
            let live = listed.iter().filter(|project| project.jira_state == "live" && project.tracked.is_none());
            return Ok(live.map(wanted).collect());
        }
        let mut chosen = Vec::new();
        for key in &self.track {
            let upper = key.to_ascii_uppercase();
            let Some(known) = visible.iter().find(|project| project.key == upper) else {
                return Err(Error::failure(format!("the account sees no project {upper} on site {}", site.name)).help(
                    "check the key in Jira and the account's permission to browse the project; nothing was \
                        added",
                ));
            };
            if known.archived || known.deleted {
                let state = if known.deleted { "deleted" } else { "archived" };
                return Err(Error::failure(format!("project {upper} is {state} in Jira"))
                    .help("restore it in Jira first; nothing was added"));
            }
            chosen.push(Wanted { key: known.key.clone(), jira_id: Some(known.id), name: known.name.clone() });
        }
        Ok(chosen)
    }
}

impl Row for Discovered {
    const HEADERS: &'static [&'static str] =
        &["KEY", "NAME", "TYPE", "LEAD", "ISSUES", "LAST ACTIVITY", "IN JIRA", "SYNCHRONISED"];

    fn cells(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        vec![
            self.key.clone(),
            self.name.clone(),
            self.project_type.clone().unwrap_or_else(dash),
            self.lead.clone().unwrap_or_else(dash),
            self.issues.map_or_else(dash, |issues| issues.to_string()),
            self.last_activity.map_or_else(dash, time),
            self.jira_state.into(),
            self.tracked.clone().unwrap_or_else(|| "no".into()),
        ]
    }
}
