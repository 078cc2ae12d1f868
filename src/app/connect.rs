//! Sites by name, and clients that may ask Jira what the workers may ask.

use std::time::Duration;

use url::Url;

use super::{App, Error, Result};
use crate::config::secret;
use crate::domain::site_kind::SiteKind;
use crate::jira::{Auth, HttpPool, JiraClient, SiteAccess};
use crate::store::patience::{LONGEST, again};
use crate::store::site::{self, Site};
use crate::store::within;
use crate::sync::pace::Fleet;
use crate::sync::tokens::SiteTokens;

/// The site of that name.
///
/// # Errors
/// When there is none; it offers those that exist.
pub(super) async fn find(app: &App, name: &str) -> Result<Site> {
    let pool = app.pool();
    if let Some(found) = again(|| within(LONGEST, site::list(&pool, Some(name)))).await?.pop() {
        return Ok(found);
    }
    let names: Vec<String> =
        again(|| within(LONGEST, site::list(&pool, None))).await?.into_iter().map(|site| site.name).collect();
    let help = match names.as_slice() {
        [] => "there is no site yet: add one with `syncline site add`".to_owned(),
        names => format!("the sites are: {}", names.join(", ")),
    };
    let name: String = name.chars().take(60).collect();
    Err(Error::not_found(format!("unknown site {name:?}")).help(help))
}

/// The site of that name, or the only one.
///
/// # Errors
/// When there is none, or none is named and there are several.
pub(super) async fn find_or_only(app: &App, name: Option<&str>) -> Result<Site> {
    if let Some(name) = name {
        return find(app, name).await;
    }
    let pool = app.pool();
    let mut all = again(|| within(LONGEST, site::list(&pool, None))).await?;
    match (all.len(), all.pop()) {
        (1, Some(only)) => Ok(only),
        (0, _) => Err(Error::not_found("there is no site yet").help("add one with `syncline site add`")),
        _ => Err(Error::invalid("site", "there are several sites").help("name one: `syncline site list` shows them")),
    }
}

/// A client of a site, within the fleet's limits.
///
/// # Errors
/// When the site's URL or credential cannot be used.
pub(super) fn client(app: &App, site: &Site) -> Result<JiraClient> {
    let damaged = |problem: String| {
        Error::conflict(format!("site {} cannot be asked: {problem}", site.name))
            .help(format!("see `syncline site check {}`", site.name))
    };
    let base_url = Url::parse(&site.request_url).map_err(|problem| damaged(problem.to_string()))?;
    let http = HttpPool::new(app.clock.clone()).map_err(|failure| Error::jira(&failure))?;
    let secrets = &app.config.secrets;
    let token = || {
        secret::resolve(&site.stored_credential, &site.name, secrets).map_err(|problem| damaged(problem.to_string()))
    };
    let auth = match site.auth.as_str() {
        "oauth" => {
            let of = (site.id, site.name.as_str());
            Auth::OAuth(SiteTokens::new(of, app.pool(), http.clone(), secrets.clone(), app.clock.clone()))
        }
        "bearer" => Auth::Bearer { token: token()? },
        _ => Auth::Basic { user: site.account_email.clone(), token: token()? },
    };
    let access = SiteAccess {
        name: site.name.clone(),
        base_url,
        kind: SiteKind::parse(&site.kind).unwrap_or_default(),
        auth,
        request_timeout: Duration::from_secs(app.config.sync.request_timeout_seconds.into()),
    };
    let fleet = Fleet::new(app.pool(), app.clock.clone());
    Ok(JiraClient::new(&http, access).map_err(|failure| Error::jira(&failure))?.paced(fleet.site(site.id)))
}
