//! `syncline site check`: asks Jira, and says in plain words what it answers.

use chrono::TimeDelta;
use serde::Serialize;

use super::super::{Context, Error, Fields, Format};
use crate::jira::JiraClient;
use crate::store::site::{self, Site};

/// A clock that is further off than this makes windows miss changes.
const SKEW_LIMIT: TimeDelta = TimeDelta::seconds(60);

/// What a site answered.
#[derive(Debug, Serialize)]
struct Checked {
    site: String,
    ok: bool,
    url: String,
    account: Option<String>,
    account_time_zone: Option<String>,
    deployment: Option<String>,
    version: Option<String>,
    clock_skew_seconds: Option<f64>,
    visible_projects: Option<u64>,
    problem: Option<String>,
    advice: Option<String>,
}

impl Fields for Checked {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![
            ("site", self.site.clone()),
            ("url", self.url.clone()),
            ("result", if self.ok { "ok: Jira lets the account in".into() } else { text(&self.problem) }),
            ("advice", text(&self.advice)),
            ("account", text(&self.account)),
            ("time zone", text(&self.account_time_zone)),
            ("deployment", text(&self.deployment)),
            ("version", text(&self.version)),
            ("clock", self.clock_skew_seconds.map(|skew| format!("{skew:+.1} s off ours")).unwrap_or_default()),
            ("projects", self.visible_projects.map(|n| format!("{n} visible to the account")).unwrap_or_default()),
        ]
    }
}

pub(super) async fn run(name: Option<&str>, context: &Context) -> Result<(), Error> {
    let sites = match name {
        Some(name) => vec![super::find(context, name).await?],
        None => site::list(&context.pool, None).await?,
    };
    if sites.is_empty() {
        context.output.note("no site yet: add one with `syncline site add`");
    }
    let mut answers = Vec::with_capacity(sites.len());
    for site in &sites {
        answers.push(check(context, site).await);
    }
    match (name, context.output.format()) {
        // Many sites are one document.
        (None, Format::Json) => context.output.result("", &answers)?,
        _ => answers.iter().try_for_each(|checked| context.output.fields(checked))?,
    }
    let unwell: Vec<&str> = answers.iter().filter(|checked| !checked.ok).map(|checked| checked.site.as_str()).collect();
    match unwell.as_slice() {
        [] => Ok(()),
        names => Err(Error::unhealthy(format!("cannot work with {}", names.join(", ")))),
    }
}

async fn check(context: &Context, site: &Site) -> Checked {
    let mut checked = Checked {
        site: site.name.clone(),
        ok: false,
        url: site.base_url.clone(),
        account: None,
        account_time_zone: None,
        deployment: None,
        version: None,
        clock_skew_seconds: None,
        visible_projects: None,
        problem: None,
        advice: None,
    };
    let outcome = match super::client(context, site) {
        Ok(client) => ask(&client, context, &mut checked).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(()) => checked.ok = checked.problem.is_none(),
        Err(problem) => {
            checked.problem = Some(problem.message);
            checked.advice = problem.help;
        }
    }
    checked
}

async fn ask(client: &JiraClient, context: &Context, checked: &mut Checked) -> Result<(), Error> {
    let me = client.myself().await?;
    checked.account = Some(format!("{} ({})", me.display_name, me.account_id));
    checked.account_time_zone = me.time_zone;
    let server = client.server_info().await?;
    let skew = server.server_time.map(|theirs| theirs - context.clock.now());
    checked.clock_skew_seconds = skew.map(|skew| skew.as_seconds_f64());
    checked.version.clone_from(&server.version);
    if server.kind() != client.kind() {
        checked.problem =
            Some(format!("this is Jira {}, and the site is set up as another kind", server.deployment_type));
        checked.advice = Some(format!("syncline site update --kind {}", server.kind().as_str().replace('_', "-")));
    } else if skew.is_some_and(|skew| skew.abs() > SKEW_LIMIT) {
        checked.problem = Some("this machine's clock and Jira's are far apart".into());
        checked.advice = Some("set this machine's clock (NTP)".into());
    }
    checked.deployment = Some(server.deployment_type);
    checked.visible_projects = Some(client.projects(0).await?.total);
    Ok(())
}
