//! What administrators do: make secrets, let one take the place of another, look at what came.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::proof::Known;
use crate::app::run::bounded;
use crate::app::{Actor, App, Error, Result, Verb};
use crate::config::secret;
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::site::{self, Site};
use crate::store::webhook::{self as store, Event, NewSecret, Secret, Standing};
use crate::store::within;

/// The longest time for which the old secret counts beside the new one, in hours.
const LONGEST_OVERLAP_HOURS: i64 = 720;
/// Secrets of a site that count at once.
const MOST_SECRETS: usize = 10;

/// How webhooks are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Jira signs the body with the secret.
    Hmac,
    /// An OAuth app sends a token that is signed with its client secret.
    Jwt,
    /// The address holds the secret.
    Path,
}

impl Way {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Jwt => "jwt",
            Self::Path => "path",
        }
    }

    /// What fits a site where nothing is said.
    fn of(site: &Site) -> Self {
        match (site.kind.as_str(), site.auth.as_str()) {
            (_, "oauth") => Self::Jwt,
            ("data_center", _) => Self::Path,
            _ => Self::Hmac,
        }
    }
}

/// Where Jira sends webhooks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The address without a secret.
    pub url: String,
    /// Whether it is one that Jira can reach: `serve.public_url` is set.
    pub is_public: bool,
}

/// A secret that was made, shown once.
#[derive(Debug)]
pub struct Made {
    /// Names it.
    pub id: Uuid,
    /// How webhooks are proven.
    pub way: Way,
    /// Where Jira sends them to.
    pub address: Address,
    /// The secret, if it was made here.
    pub secret: Option<SecretString>,
    /// How many older secrets will end.
    pub ending: u64,
    /// The site's address.
    pub site_url: String,
}

impl Made {
    /// The address to enter in Jira; it holds the secret where nothing else proves the webhook.
    pub fn full_address(&self) -> SecretString {
        match (&self.secret, self.way) {
            (Some(secret), Way::Path) => SecretString::from(format!("{}/{}", self.address.url, secret.expose_secret())),
            _ => SecretString::from(self.address.url.clone()),
        }
    }
}

async fn find(app: &App, name: &str) -> Result<Site> {
    let pool = app.pool();
    again(|| within(LONGEST, site::list(&pool, Some(name)))).await?.pop().ok_or_else(|| {
        Error::not_found(format!("unknown site {name:?}")).help("list the sites with `syncline site list`")
    })
}

/// Where the site's webhooks are to be sent.
fn address(app: &App, site: &str) -> Address {
    let serve = &app.config.serve;
    let base = match &serve.public_url {
        Some(public) => public.trim_end_matches('/').to_owned(),
        None => format!("http://{}{}", serve.address, serve.base_path),
    };
    Address { url: format!("{base}/hooks/jira/{site}"), is_public: serve.public_url.is_some() }
}

/// Makes a secret, or takes the one that `reference` names.
fn make(app: &App, site: &Site, way: Way, reference: Option<&str>) -> Result<(NewSecret, Option<SecretString>)> {
    let wrong = |problem: &secret::Error| Error::invalid("secret", problem.to_string()).help(problem.help());
    let new = NewSecret { id: app.clock.new_id(), kind: way.as_str(), credential: None, fingerprint: None };
    if let Some(reference) = reference {
        if way == Way::Path {
            return Err(Error::invalid("secret", "the secret of an address is made here").help("leave --secret out"));
        }
        secret::check_reference(reference).map_err(|problem| wrong(&problem))?;
        return Ok((NewSecret { credential: Some(reference.to_owned()), ..new }, None));
    }
    if way == Way::Jwt {
        return match site.auth.as_str() {
            "oauth" => Ok((new, None)),
            _ => Err(Error::invalid("secret", format!("site {} has no OAuth app", site.name))
                .help("name the app's client secret by --secret env:NAME or --secret file:PATH")),
        };
    }
    let mut chance = [0; 32];
    app.clock.fill_random(&mut chance);
    let made = SecretString::from(URL_SAFE_NO_PAD.encode(chance));
    if way == Way::Path {
        let fingerprint = Sha256::digest(made.expose_secret().as_bytes()).into();
        return Ok((NewSecret { fingerprint: Some(fingerprint), ..new }, Some(made)));
    }
    let sealed = secret::encrypt(&made, &site.name, &app.config.secrets, |nonce| app.clock.fill_random(nonce));
    let sealed = sealed.map_err(|problem| match problem {
        secret::Error::NoKey => Error::invalid("secret", problem.to_string()).help(
            "set SYNCLINE__SECRETS__KEY to 32 bytes in base64, or name a secret of your own by --secret env:NAME or \
             --secret file:PATH",
        ),
        problem => wrong(&problem),
    })?;
    Ok((NewSecret { credential: Some(sealed), ..new }, Some(made)))
}

/// Lets a site send webhooks: keeps one more secret. What it answers is shown once.
///
/// # Errors
/// Where the actor may not, there is no such site, or the secret cannot be kept.
pub async fn add(app: &App, actor: &Actor, name: &str, way: Option<Way>, reference: Option<&str>) -> Result<Made> {
    actor.may_everywhere(Verb::ManageWebhooks)?;
    let site = find(app, name).await?;
    let way = way.unwrap_or_else(|| Way::of(&site));
    let pool = app.pool();
    let now = app.now();
    let secrets = again(|| within(LONGEST, store::secrets(&pool, site.id))).await?;
    if secrets.iter().filter(|one| one.ends_at.is_none_or(|at| at > now)).count() >= MOST_SECRETS {
        return Err(Error::conflict(format!("site {name} has {MOST_SECRETS} secrets already"))
            .help(format!("remove one: `syncline site webhook list {name}`")));
    }
    let (new, secret) = make(app, &site, way, reference)?;
    let who = actor.who();
    undisturbed(|| store::add(&pool, (site.id, name), &new, &who)).await?;
    let address = address(app, name);
    Ok(Made { id: new.id, way, address, secret, ending: 0, site_url: site.base_url })
}

/// Lets a new secret take the place of those of its kind, which count for so many hours still.
///
/// # Errors
/// Where the actor may not, there is no such site, or nothing to take the place of.
pub async fn rotate(
    app: &App,
    actor: &Actor,
    name: &str,
    (way, reference): (Option<Way>, Option<&str>),
    hours: Option<i64>,
) -> Result<Made> {
    actor.may_everywhere(Verb::ManageWebhooks)?;
    let hours = bounded("hours", hours, 24, 0, LONGEST_OVERLAP_HOURS)?;
    let site = find(app, name).await?;
    let pool = app.pool();
    let now = app.now();
    let secrets = again(|| within(LONGEST, store::secrets(&pool, site.id))).await?;
    let current = secrets.iter().find(|one| one.ends_at.is_none_or(|at| at > now));
    let Some(current) = current else {
        return Err(Error::conflict(format!("site {name} has no secret")).help("make one: `syncline site webhook add`"));
    };
    let way = way.unwrap_or(match current.kind.as_str() {
        "jwt" => Way::Jwt,
        "path" => Way::Path,
        _ => Way::Hmac,
    });
    let (new, secret) = make(app, &site, way, reference)?;
    let who = actor.who();
    #[allow(clippy::cast_precision_loss)] // bounded above
    let seconds = hours as f64 * 3_600.0;
    let ending = undisturbed(|| store::rotate(&pool, (site.id, name), &new, seconds, &who)).await?;
    let address = address(app, name);
    Ok(Made { id: new.id, way, address, secret, ending, site_url: site.base_url })
}

/// The secrets of a site, without what they are.
///
/// # Errors
/// Where the actor may not, or there is no such site.
pub async fn list(app: &App, actor: &Actor, name: &str) -> Result<Vec<Secret>> {
    actor.may_everywhere(Verb::ReadWebhooks)?;
    let (site, pool) = (find(app, name).await?, app.pool());
    Ok(again(|| within(LONGEST, store::secrets(&pool, site.id))).await?)
}

/// Removes a secret of a site, or all; answers how many.
///
/// # Errors
/// Where the actor may not, or there is no such site or secret.
pub async fn remove(app: &App, actor: &Actor, name: &str, id: Option<Uuid>) -> Result<u64> {
    actor.may_everywhere(Verb::ManageWebhooks)?;
    let (site, pool, who) = (find(app, name).await?, app.pool(), actor.who());
    match undisturbed(|| store::remove(&pool, (site.id, name), id, &who)).await? {
        0 => Err(Error::not_found(format!("site {name} has no such secret"))
            .help(format!("list them with `syncline site webhook list {name}`"))),
        removed => Ok(removed),
    }
}

/// How webhooks of a site stand.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The site.
    pub site: String,
    /// Where Jira sends them to.
    pub address: String,
    /// Whether that address is one that others can reach.
    pub address_is_public: bool,
    /// Secrets that count now.
    pub secrets: usize,
    /// Those of them that this process cannot read.
    pub unreadable_secrets: usize,
    /// What came within the last 7 days.
    #[serde(flatten)]
    pub standing: Standing,
}

/// How webhooks of a site stand. Nothing is sent to Jira.
///
/// # Errors
/// Where the actor may not, or there is no such site.
pub async fn check(app: &App, actor: &Actor, name: &str) -> Result<Check> {
    actor.may_everywhere(Verb::ReadWebhooks)?;
    let (site, pool) = (find(app, name).await?, app.pool());
    let senders = again(|| within(LONGEST, store::senders(&pool))).await?;
    let sender = senders.into_iter().find(|sender| sender.site_id == site.id);
    let known = sender.map(|sender| Known::of(sender, &app.config.secrets));
    let (readable, unreadable) = known.map_or((0, 0), |known| known.counts());
    let standing = again(|| within(LONGEST, store::standing(&pool, site.id))).await?;
    let address = address(app, name);
    Ok(Check {
        site: site.name,
        address: address.url,
        address_is_public: address.is_public,
        secrets: readable + unreadable,
        unreadable_secrets: unreadable,
        standing,
    })
}

/// Which webhooks of the log.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Older than the one of this number.
    pub before: Option<i64>,
    /// About this issue: its key or its id.
    pub issue: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The outcomes that a webhook can have.
pub const OUTCOMES: [&str; 4] = ["hinted", "run", "ignored", "read"];

/// The webhooks of a site that were taken, newest first.
///
/// # Errors
/// Where the actor may not, there is no such site, or something was asked wrongly.
pub async fn log(app: &App, actor: &Actor, name: &str, which: &Which) -> Result<Vec<Event>> {
    actor.may_everywhere(Verb::ReadWebhooks)?;
    let limit = bounded("limit", which.limit, 50, 1, 500)?;
    if let Some(outcome) = &which.outcome
        && !OUTCOMES.contains(&outcome.as_str())
    {
        return Err(Error::invalid("outcome", format!("outcome knows no {outcome:?}"))
            .help(format!("one of {}", OUTCOMES.join(", "))));
    }
    let (site, pool) = (find(app, name).await?, app.pool());
    let (issue, outcome) = (which.issue.as_deref(), which.outcome.as_deref());
    Ok(again(|| within(LONGEST, store::list(&pool, site.id, which.before, issue, outcome, limit))).await?)
}
