//! What a site is, where nobody said.

use std::time::Duration;

use url::Url;

use super::super::{Context, Error};
use crate::config::secret;
use crate::domain::site_kind::SiteKind;
use crate::jira::{HttpPool, SiteAccess, detect};

/// Atlassian's own hosts: nobody else's Jira is there.
const CLOUD_HOSTS: [&str; 4] = [".atlassian.net", ".jira.com", "api.atlassian.com", ".jira-dev.com"];
const PATIENCE: Duration = Duration::from_secs(10);

/// A site that is not registered yet, with what lets us in.
pub(super) struct Door<'a> {
    pub name: &'a str,
    pub base_url: &'a str,
    pub auth: &'a str,
    pub account: &'a str,
    pub credential: &'a str,
}

/// What the site is: by its host, else as its `serverInfo` says. One that cannot be asked from here is taken for Cloud, and
/// that is told.
pub(super) async fn kind(door: &Door<'_>, context: &Context) -> SiteKind {
    let host = Url::parse(door.base_url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    if door.auth == "oauth" || CLOUD_HOSTS.iter().any(|known| host.ends_with(known)) {
        return SiteKind::Cloud;
    }
    match tokio::time::timeout(PATIENCE, ask(door, context)).await {
        Ok(Ok(kind)) => kind,
        Ok(Err(problem)) => assume(&problem.message, context),
        Err(_) => assume("no answer within ten seconds", context),
    }
}

fn assume(problem: &str, context: &Context) -> SiteKind {
    context.output.note(&format!(
        "note: the site could not be asked what it is ({problem}), and is taken for Jira Cloud; if it is not, say --kind data-center"
    ));
    SiteKind::Cloud
}

/// How to ask first: accounts of Cloud are e-mail addresses with a token.
fn guess(door: &Door<'_>) -> SiteKind {
    if door.auth == "basic" && door.account.contains('@') { SiteKind::Cloud } else { SiteKind::DataCenter }
}

async fn ask(door: &Door<'_>, context: &Context) -> Result<SiteKind, Error> {
    let token = secret::resolve(door.credential, door.name, &context.config.secrets)?;
    let access = SiteAccess {
        name: door.name.to_owned(),
        base_url: Url::parse(door.base_url).map_err(|problem| Error::failure(problem.to_string()))?,
        kind: guess(door),
        auth: super::auth_with(door.auth, door.account, token),
        request_timeout: PATIENCE,
    };
    Ok(detect(&HttpPool::new(context.clock.clone())?, access).await?.kind())
}
