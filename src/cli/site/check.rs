//! `syncline site check`: asks Jira, and says in plain words who the account is, what it may see, and what it may not.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::super::output::time;
use super::super::{Context, Error, Fields, Format};
use super::address::{self, Address};
use super::find::{self, Elsewhere};
use super::view::{self, View};
use crate::domain::failure::{Failure, RetryPolicy};
use crate::domain::site_kind::SiteKind;
use crate::jira::answers::ServerInfo;
use crate::jira::personal_token::OwnToken;
use crate::jira::{HttpPool, JiraClient, Offered, detect};
use crate::store::oauth;
use crate::store::site::{self, Learnt, Site, TOKEN_ENDS_SOON};

/// A site whose clock is further off than this is told of. Nothing is lost by it: cursors go by the slower clock.
const SKEW_LIMIT: TimeDelta = TimeDelta::seconds(60);
/// What a site answered.
#[derive(Debug, Default, Serialize)]
struct Checked {
    site: String,
    ok: bool,
    url: String,
    kind: String,
    account: Option<String>,
    account_time_zone: Option<String>,
    deployment: Option<String>,
    version: Option<String>,
    clock_skew_seconds: Option<f64>,
    visible_projects: Option<u64>,
    token: Option<String>,
    #[serde(flatten)]
    view: View,
    /// What works, and should be looked at.
    warning: Option<String>,
    problem: Option<String>,
    advice: Option<String>,
}

impl Fields for Checked {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut fields = vec![
            ("site", self.site.clone()),
            ("url", self.url.clone()),
            ("result", if self.ok { "ok: Jira accepts the account".into() } else { text(&self.problem) }),
            ("advice", text(&self.advice)),
            ("warning", text(&self.warning)),
            ("account", text(&self.account)),
            ("token", text(&self.token)),
            ("time zone", text(&self.account_time_zone)),
            ("deployment", text(&self.deployment)),
            ("version", text(&self.version)),
            (
                "clock",
                self.clock_skew_seconds
                    .map(|skew| {
                        format!(
                            "{skew:+.1} s relative to the \
                database's"
                        )
                    })
                    .unwrap_or_default(),
            ),
            ("projects", self.visible_projects.map(|n| format!("{n} visible to the account")).unwrap_or_default()),
        ];
        fields.extend(self.view.may.iter().map(|line| ("may see", line.clone())));
        fields.extend(self.view.may_not.iter().map(|line| ("may not see", line.clone())));
        fields.extend(self.view.unknown.iter().map(|line| ("not known", line.clone())));
        fields
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
    let mut checked =
        Checked { site: site.name.clone(), url: site.base_url.clone(), kind: site.kind.clone(), ..Checked::default() };
    let outcome = match super::client(context, site) {
        Ok(client) => ask(&client, site, context, &mut checked).await,
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

async fn ask(client: &JiraClient, site: &Site, context: &Context, checked: &mut Checked) -> Result<(), Error> {
    // First of all: with the wrong paths everything else would fail, for a reason that is none.
    let http = HttpPool::new(context.clock.clone())?;
    let server = match detect(&http, super::access(context, site, &http)?).await {
        Ok(server) => server,
        // Asked again with credentials that do not count, the account may be locked.
        Err(failure) if failure.code.policy() == RetryPolicy::StopSite => return Err(failure.into()),
        Err(_) => match client.server_info().await {
            // What stands in for Jira need not tell what it is, and can be read all the same.
            Err(failure) if find::may_be_elsewhere(&failure) => ServerInfo::default(),
            answer => answer?,
        },
    };
    let tells = server != ServerInfo::default();
    if tells && server.kind().as_str() != site.kind {
        let (says, registered) = (server.kind().as_str(), &site.kind);
        checked.problem = Some(format!("the site reports that it is {says}, and is registered as {registered}"));
        checked.advice = Some(format!("syncline site update {} --kind {}", site.name, says.replace('_', "-")));
        return Ok(());
    }
    let me = match client.myself().await {
        Err(failure) if !tells && find::may_be_elsewhere(&failure) => {
            return Err(astray(&http, site, failure).await);
        }
        answer => answer?,
    };
    checked.account = Some(format!("{} ({})", me.display_name, me.account_id));
    checked.account_time_zone = me.time_zone;
    let (token, token_ends_at) = token(client, site, context).await?;
    checked.token = Some(token);
    let skew = server.server_time.map(|theirs| theirs - context.clock.now());
    checked.clock_skew_seconds = skew.map(|skew| skew.as_seconds_f64());
    checked.version.clone_from(&server.version);
    if let Some(skew) = skew.filter(|skew| skew.abs() > SKEW_LIMIT) {
        let seconds = skew.num_seconds().abs();
        let side = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
        checked.warning = Some(format!(
            "Jira's clock is {seconds} s {side} the database's: no data are lost, but times in the replica are \
                Jira's, and each run reads that much again; correct the clocks (NTP)"
        ));
    }
    checked.deployment = Some(server.deployment_type).filter(|deployment| !deployment.is_empty());
    checked.visible_projects = Some(client.projects(0).await?.total);
    let (view, capabilities) = view::look(client, site, context).await?;
    checked.view = view;
    if !tells {
        checked.view.unknown.push("the site's version and the difference of the clocks: it has no serverInfo".into());
    }
    site::learn(&context.pool, site.id, &Learnt { version: server.version, capabilities, token_ends_at }).await?;
    Ok(())
}

/// Why nothing that is Jira's answers at the site's address, and where it is instead.
async fn astray(http: &HttpPool, site: &Site, failure: Failure) -> Error {
    let Ok(address) = Address::stored(&site.request_url) else { return failure.into() };
    let base = address.base();
    let (why, there) = match find::elsewhere(http, &address).await {
        Elsewhere::Here(other, _) => {
            let there = address::shown(&other);
            (format!("there is no Jira at {}; it is at {there}", address.text()), there)
        }
        Elsewhere::There(other) => (find::moved(base, &other), address::shown(&other)),
        Elsewhere::Nowhere => return find::nowhere(&address, Some(&failure)),
    };
    Error::failure(why).help(format!("syncline site update {} --url {there}", site.name))
}

/// How long we are let in, in words; and when that ends, where Jira told it now.
async fn token(
    client: &JiraClient,
    site: &Site,
    context: &Context,
) -> Result<(String, Option<Option<DateTime<Utc>>>), Error> {
    if site.auth == "oauth" {
        let stored = oauth::load(&context.pool, site.id).await?;
        let minutes = stored.and_then(|stored| stored.remaining_seconds).unwrap_or(0.0) / 60.0;
        let text = format!(
            "OAuth: this token expires in {minutes:.0} minutes and is refreshed automatically; the consent ends \
                after 90 days without use, and after a year in any case"
        );
        return Ok((text, None));
    }
    let now = context.clock.now();
    if site.auth == "bearer" && client.kind() == SiteKind::DataCenter {
        // A list that cannot be had says nothing about whether the token counts.
        let listed = client.personal_tokens().await.ok().and_then(Offered::available).unwrap_or_default();
        if let Some(own) = OwnToken::among(&listed, now) {
            return Ok((of_list(&own, site, now), Some(own.ends_at)));
        }
    }
    let text = match site.token_expires_at {
        Some(ends) => when(ends, site, now),
        None => format!(
            "Jira does not report its expiry: its owner sees it in the account's settings and can set it with \
                `syncline site update {} --token-expires DAY`",
            site.name
        ),
    };
    Ok((text, None))
}

fn when(ends: DateTime<Utc>, site: &Site, now: DateTime<Utc>) -> String {
    let renew = format!("store a new one with `syncline site update {} --token-stdin`", site.name);
    match ends - now {
        left if left <= TimeDelta::zero() => format!("expired at {}: {renew}", time(ends)),
        left if left < TOKEN_ENDS_SOON => format!("expires soon, at {}: {renew}", time(ends)),
        _ => format!("ends at {}", time(ends)),
    }
}

fn of_list(own: &OwnToken, site: &Site, now: DateTime<Utc>) -> String {
    let ends = own.ends_at.map_or_else(|| "does not end".to_owned(), |ends| when(ends, site, now));
    match own.of {
        1 => format!("{:?} {ends}", own.name),
        several => format!(
            "one of {several} tokens of the account that are in use; Jira does not report which. The first of them \
                to expire, {:?}, {ends}",
            own.name
        ),
    }
}
