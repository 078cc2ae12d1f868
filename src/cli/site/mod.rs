//! `syncline site`: where Jira is, and how to be let in.

mod add;
mod address;
mod authorize;
mod check;
mod find;
mod given;
mod view;
mod webhook;

pub(super) use given::is_email;

use clap::Subcommand;
use secrecy::SecretString;

use super::confirm::confirm;
use super::output::{time, time_or_dash};
use super::{Context, Error, Fields, Row, completing};
use crate::config::secret;
use crate::domain::site_kind::SiteKind;
use crate::jira::{Auth, HttpPool, JiraClient, SiteAccess};
use crate::store::site::{self, Site};
use crate::sync::pace::Fleet;
use crate::sync::tokens::SiteTokens;

/// Add, list, show, check or remove Jira sites
#[derive(Debug, clap::Args)]
pub struct SiteArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a site: Jira Cloud or Data Center
    Add(add::AddArgs),
    /// Change a site; options that you leave out stay unchanged
    Update(add::UpdateArgs),
    /// List all sites
    List,
    /// Show one site
    Show {
        /// Its name
        #[arg(add = completing::sites())]
        name: String,
    },
    /// Authorize a site with OAuth 2.0 (3LO): a person consents in a browser
    Authorize(Box<authorize::AuthorizeArgs>),
    /// Check a site: its account, and what the account can and cannot see
    Check {
        /// Its name [default: all sites]
        #[arg(add = completing::sites())]
        name: Option<String>,
    },
    /// Let Jira tell at once what has changed, and look at what it told
    Webhook(webhook::WebhookArgs),
    /// Remove a site that has no projects
    Remove {
        /// Its name
        #[arg(add = completing::sites())]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(args: SiteArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Add(args) => add::run(args, context).await,
        Verb::Update(args) => add::update(args, context).await,
        Verb::List => {
            let sites = site::list(&context.pool, None).await?;
            context.output.rows(&sites, "no site yet: add one with `syncline site add`")
        }
        Verb::Show { name } => context.output.fields(&find(context, &name).await?),
        Verb::Authorize(args) => authorize::run(*args, context).await,
        Verb::Check { name } => check::run(name.as_deref(), context).await,
        Verb::Webhook(args) => webhook::run(args, context).await,
        Verb::Remove { name, yes } => remove(context, &name, yes).await,
    }
}

/// The site of that name, or an error that offers those that exist.
pub(super) async fn find(context: &Context, name: &str) -> Result<Site, Error> {
    if let Some(site) = site::list(&context.pool, Some(name)).await?.pop() {
        return Ok(site);
    }
    let names: Vec<String> = site::list(&context.pool, None).await?.into_iter().map(|site| site.name).collect();
    let help = match names.as_slice() {
        [] => "there is no site yet: add one with `syncline site add`".to_owned(),
        names => format!("the sites are: {}", names.join(", ")),
    };
    Err(Error::failure(format!("unknown site {name:?}")).help(help))
}

/// A client that may do what the workers may do.
pub(super) fn client(context: &Context, site: &Site) -> Result<JiraClient, Error> {
    let http = HttpPool::new(context.clock.clone())?;
    let access = access(context, site, &http)?;
    let fleet = Fleet::new(context.pool.clone(), context.clock.clone());
    Ok(JiraClient::new(&http, access)?.paced(fleet.site(site.id)))
}

/// Where a site is and how to be let in, as the workers are.
fn access(context: &Context, site: &Site, http: &HttpPool) -> Result<SiteAccess, Error> {
    let base_url = url::Url::parse(&site.request_url)
        .map_err(|problem| Error::failure(format!("the URL of site {} is damaged: {problem}", site.name)))?;
    let secrets = &context.config.secrets;
    let auth = match site.auth.as_str() {
        "oauth" => {
            let of = (site.id, site.name.as_str());
            Auth::OAuth(SiteTokens::new(of, context.pool.clone(), http.clone(), secrets.clone(), context.clock.clone()))
        }
        auth => auth_with(auth, &site.account_email, secret::resolve(&site.stored_credential, &site.name, secrets)?),
    };
    Ok(SiteAccess {
        name: site.name.clone(),
        base_url,
        kind: SiteKind::parse(&site.kind).unwrap_or_default(),
        auth,
        request_timeout: std::time::Duration::from_secs(context.config.sync.request_timeout_seconds.into()),
    })
}

/// The credentials of an account that has a token of its own.
fn auth_with(auth: &str, account: &str, token: SecretString) -> Auth {
    match auth {
        "bearer" => Auth::Bearer { token },
        _ => Auth::Basic { user: account.to_owned(), token },
    }
}

async fn remove(context: &Context, name: &str, yes: bool) -> Result<(), Error> {
    let site = find(context, name).await?;
    let projects = site::remaining_projects(&context.pool, site.id).await?;
    if let Some(first) = projects.first() {
        return Err(Error::failure(format!("site {name} still has projects: {}", projects.join(", ")))
            .help(format!("remove them first, e.g. syncline project remove {name}/{first} --purge")));
    }
    confirm(&format!("remove site {name}"), yes)?;
    site::remove(&context.pool, &site, &context.actor()).await?;
    context.output.done(&format!("removed site {name}"), &serde_json::json!({"site": name, "outcome": "removed"}))
}

impl Row for Site {
    const HEADERS: &'static [&'static str] =
        &["NAME", "KIND", "URL", "ACCOUNT", "CREDENTIAL", "PROJECTS", "CONCURRENCY"];
    const SPARE: &'static [&'static str] = &["CONCURRENCY", "CREDENTIAL", "KIND"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.kind.clone(),
            self.base_url.clone(),
            self.account_email.clone(),
            self.credential.clone(),
            self.projects.to_string(),
            self.max_concurrency.to_string(),
        ]
    }
}

impl Fields for Site {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.clone()),
            ("url", self.base_url.clone()),
            ("kind", self.kind.clone()),
            ("version", self.version.clone().unwrap_or_default()),
            ("cloud id", self.cloud_id.clone().unwrap_or_default()),
            ("auth", self.auth.clone()),
            ("account", self.account_email.clone()),
            ("credential", self.credential.clone()),
            ("token ends", self.token_expires_at.map(time).unwrap_or_default()),
            ("match by name", if self.match_by_name { "on".into() } else { String::new() }),
            ("story points", self.story_points_field.clone().unwrap_or_default()),
            ("points an hour", self.points_per_hour.map(|points| points.to_string()).unwrap_or_default()),
            ("concurrency", self.max_concurrency.to_string()),
            ("projects", self.projects.to_string()),
            ("paused until", time_or_dash(self.paused_until)),
            ("added", time(self.created_at)),
            ("changed", time(self.updated_at)),
        ]
    }
}
