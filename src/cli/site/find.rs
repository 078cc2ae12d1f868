//! Whether a Jira is where somebody says, and whether it lets the account in: asked before anything is stored.
//!
//! What must hold: credentials go to one origin, the one that was named, and not again after they were refused, so that no
//! account is locked; elsewhere a site is asked as by anybody. What answers is taken for Jira when it says what it is, or
//! who the account is.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::super::patience::Patience;
use super::super::{Context, Error};
use super::address::{self, Address};
use crate::domain::failure::{Failure, FailureCode, RetryPolicy};
use crate::domain::site_kind::SiteKind;
use crate::jira::answers::{Myself, ServerInfo};
use crate::jira::{Auth, HttpPool, JiraClient, SiteAccess, detect, landing};

/// For one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A site with what is said of it.
pub(super) struct Site<'a> {
    pub name: &'a str,
    pub address: &'a Address,
    pub auth: &'a str,
    pub account: &'a str,
    /// None: nobody has consented yet (OAuth), so that only the site itself can be asked.
    pub token: Option<SecretString>,
    /// As somebody says; none: it is asked.
    pub kind: Option<SiteKind>,
}

/// A site that answered.
pub(super) struct Found {
    pub base_url: Url,
    pub kind: SiteKind,
    /// Who the account is, where it was asked.
    pub account: Option<Myself>,
}

/// Where the Jira is that is not where it was asked for.
pub(super) enum Elsewhere {
    /// On the same host, at another path.
    Here(Url, ServerInfo),
    /// On another host, or under https://.
    There(Url),
    /// Nobody knows.
    Nowhere,
}

/// Asks the site.
///
/// # Errors
/// Why nothing can be stored.
pub(super) async fn find(site: &Site<'_>, context: &Context) -> Result<Found, Error> {
    let http = HttpPool::new(context.clock.clone())?;
    let mut patience = Patience::new(context);
    let base = site.address.base();
    let answer = patience.ask("the site", || detect(&http, site.access(base, site.guess()))).await;
    let failure = match answer {
        Ok(server) if tells(&server) => return site.let_in(&http, base, &server, &mut patience).await,
        Err(failure) if !may_be_elsewhere(&failure) => return Err(told(failure)),
        Ok(_) => None,
        Err(failure) => Some(failure),
    };
    match elsewhere(&http, site.address).await {
        Elsewhere::Here(other, server) => {
            context.output.note(&format!(
                "note: there is no Jira at {}; it is at {}, which is used instead",
                site.address.text(),
                address::shown(&other)
            ));
            site.let_in(&http, &other, &server, &mut patience).await
        }
        Elsewhere::There(other) => {
            Err(Error::failure(moved(site.address.base(), &other)).help(format!("write {}", address::shown(&other))))
        }
        // What stands in for Jira need not tell what it is.
        Elsewhere::Nowhere => match site.stand_in(&http).await {
            Some(found) => Ok(found),
            None => Err(nowhere(site.address, failure.as_ref())),
        },
    }
}

/// Looks for the Jira that is not at the address' base: where a browser would end, above the path, in the usual context path.
pub(super) async fn elsewhere(http: &HttpPool, address: &Address) -> Elsewhere {
    let base = address.base();
    let mut places = Vec::new();
    let interface = format!("{}/rest/api/2/serverInfo", base.path().trim_end_matches('/'));
    // Some servers send on the interface only, some their pages only.
    for start in [at(base, &interface), base.clone(), at(base, "/")] {
        for reached in landing(http, &start, REQUEST_TIMEOUT).await {
            let (place, _) = address::cut(&reached);
            if place.origin() == base.origin() {
                places.push(place);
            } else if secured(base, &place) || says_what_it_is(http, &place).await.is_some() {
                return Elsewhere::There(place);
            }
        }
    }
    places.extend(address.others());
    let mut asked = vec![address.text()];
    for place in places {
        let shown = address::shown(&place);
        if asked.contains(&shown) {
            continue;
        }
        if let Some(server) = says_what_it_is(http, &place).await {
            return Elsewhere::Here(place, server);
        }
        asked.push(shown);
    }
    Elsewhere::Nowhere
}

/// Why another address is needed.
pub(super) fn moved(base: &Url, other: &Url) -> String {
    let (from, to) = (address::shown(base), address::shown(other));
    match secured(base, other) {
        true => format!("{from} redirects to {to}: the site needs https://"),
        false => format!("there is no Jira at {from}; it redirects to {to}"),
    }
}

/// Nothing that is Jira's answers there.
pub(super) fn nowhere(address: &Address, failure: Option<&Failure>) -> Error {
    let why = failure.map(|failure| format!(" ({})", failure.message)).unwrap_or_default();
    let by_browser = "open it in a browser and write the part before /browse or /secure: the host, and on Data \
        Center the context path if there is one, e.g. https://jira.example.com/jira";
    let advice = match failure.map(|failure| failure.code) {
        // It may well be there, behind something that answers in its place.
        Some(code @ (FailureCode::Permission | FailureCode::GatewayHtml)) => {
            format!("{} Or {by_browser}", code.advice())
        }
        _ => by_browser.to_owned(),
    };
    Error::failure(format!("there is no Jira at {}{why}", address.text())).help(advice)
}

/// Whether a failure may be of a server that is no Jira, or of another place on it.
pub(super) fn may_be_elsewhere(failure: &Failure) -> bool {
    use FailureCode as F;
    matches!(
        failure.code,
        F::ApiRemoved
            | F::SiteUnavailable
            | F::SchemaChanged
            | F::GatewayHtml
            | F::Permission
            | F::BadQuery
            | F::Config
            | F::NotFoundProject
            | F::Unknown
    )
}

/// Whether a site says what it is.
fn tells(server: &ServerInfo) -> bool {
    *server != ServerInfo::default()
}

/// What a site says to anybody, if there is one.
async fn says_what_it_is(http: &HttpPool, base: &Url) -> Option<ServerInfo> {
    let access = SiteAccess {
        name: String::new(),
        base_url: base.clone(),
        kind: SiteKind::DataCenter,
        auth: Auth::Anonymous,
        request_timeout: REQUEST_TIMEOUT,
    };
    detect(http, access).await.ok().filter(tells)
}

/// The same host under https:// instead of http://.
fn secured(base: &Url, other: &Url) -> bool {
    base.scheme() == "http" && other.scheme() == "https" && base.host_str() == other.host_str()
}

fn at(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url
}

/// What a failure means to somebody who adds or changes a site.
fn told(failure: Failure) -> Error {
    let refused = matches!(failure.code, FailureCode::AuthInvalid | FailureCode::AuthExpired | FailureCode::Permission);
    let advice = if refused {
        "check the account's e-mail address (or user name) and the token, and that --auth is right"
    } else {
        failure.advice()
    };
    let stored = "nothing was stored; --offline stores the site without checking it";
    Error::failure(failure.to_string()).help(format!("{advice} ({stored})"))
}

impl Site<'_> {
    /// How to ask first: accounts of Cloud are e-mail addresses with a token.
    fn guess(&self) -> SiteKind {
        let cloud = self.address.is_cloud() || self.auth == "basic" && self.account.contains('@');
        self.kind.unwrap_or(if cloud { SiteKind::Cloud } else { SiteKind::DataCenter })
    }

    fn access(&self, base_url: &Url, kind: SiteKind) -> SiteAccess {
        let auth = match &self.token {
            Some(token) => super::auth_with(self.auth, self.account, token.clone()),
            None => Auth::Anonymous,
        };
        SiteAccess {
            name: self.name.to_owned(),
            base_url: base_url.clone(),
            kind,
            auth,
            request_timeout: REQUEST_TIMEOUT,
        }
    }

    /// Whether the account is let in at a base where a site says what it is.
    async fn let_in(
        &self,
        http: &HttpPool,
        base: &Url,
        server: &ServerInfo,
        patience: &mut Patience<'_>,
    ) -> Result<Found, Error> {
        let kind = server.kind();
        if let Some(said) = self.kind.filter(|said| *said != kind) {
            let (says, said) = (kind.as_str(), said.as_str());
            return Err(Error::usage(format!("the site reports that it is {says}, not {said}"))
                .help(format!("write --kind {} (or auto); --offline stores the given kind", says.replace('_', "-"))));
        }
        let account = match self.token {
            Some(_) => {
                let client = JiraClient::new(http, self.access(base, kind))?;
                Some(patience.ask("the site", || client.myself()).await.map_err(told)?)
            }
            None => None,
        };
        Ok(Found { base_url: base.clone(), kind, account })
    }

    /// A server that does not say what it is, and knows the account all the same.
    async fn stand_in(&self, http: &HttpPool) -> Option<Found> {
        let base = self.address.base();
        let guess = self.guess();
        let other = if guess == SiteKind::Cloud { SiteKind::DataCenter } else { SiteKind::Cloud };
        for kind in [guess, self.kind.unwrap_or(other)] {
            let client = JiraClient::new(http, self.access(base, kind)).ok()?;
            match client.myself().await {
                Ok(me) if !me.account_id.is_empty() => {
                    return Some(Found { base_url: base.clone(), kind, account: Some(me) });
                }
                Err(failure) if failure.code.policy() == RetryPolicy::StopSite => return None,
                _ => {}
            }
        }
        None
    }
}
