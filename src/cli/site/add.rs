//! `syncline site add`.

use std::io::{IsTerminal, Read};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use secrecy::SecretString;
use url::{Host, Url};

use super::super::{Context, Error};
use super::detect::Door;
use crate::config::secret;
use crate::store::site::{self, NewSite, SiteChange};

/// How many requests may be under way at once, unless told otherwise.
const DEFAULT_CONCURRENCY: i32 = 8;
/// No API token is longer.
const TOKEN_LIMIT_BYTES: u64 = 8 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The token is never stored as it is: name where it is kept (--credential), or pipe it in, and it
is encrypted with the configured key (secrets.key). Create a token at https://id.atlassian.com/manage-profile/security/api-tokens

Examples:
  syncline site add acme --url https://acme.atlassian.net \\
      --email bot@example.com --credential env:JIRA_TOKEN
  syncline site add plant --url https://jira.example.com --auth bearer --credential env:JIRA_PAT
  syncline site add acme --url https://acme.atlassian.net --auth oauth
  syncline site add acme --update --token-stdin < new-token")]
pub(super) struct AddArgs {
    /// Its name here: lower-case letters, digits, dots, dashes
    name: String,
    #[command(flatten)]
    given: Given,
    /// Change an existing site, as `site update` does: what is not given stays
    #[arg(long)]
    update: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  syncline site update acme --token-stdin --token-expires 2026-12-31 < new-token
  syncline site update acme --match-by-name on
  syncline site update acme --story-points-field customfield_10016")]
pub(super) struct UpdateArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    given: Given,
}

/// What can be said of a site.
#[derive(Debug, clap::Args)]
struct Given {
    /// Where it is, e.g. https://acme.atlassian.net
    #[arg(long)]
    url: Option<String>,
    /// What it is; auto asks it [default: auto]
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// How to be let in [default: basic]
    #[arg(long, value_enum)]
    auth: Option<AuthKind>,
    /// The account's e-mail address
    #[arg(long)]
    email: Option<String>,
    /// Where the account's API token is kept: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE")]
    credential: Option<String>,
    /// Read the API token from standard input and store it encrypted
    #[arg(long, conflicts_with = "credential")]
    token_stdin: bool,
    /// When the API token ends, as its owner sees it: a day or a time in RFC 3339; `unknown` takes it back
    #[arg(long, value_name = "DAY", value_parser = token_end)]
    token_expires: Option<TokenEnd>,
    /// How many requests each worker process may have under way (1 to 64) [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=64))]
    max_concurrency: Option<i32>,
    /// Whether members may be matched to users by exact display name [default: off]
    #[arg(long, value_enum, value_name = "on|off")]
    match_by_name: Option<Switch>,
    /// The field that holds story points; an empty one: find it
    #[arg(long, value_name = "FIELD")]
    story_points_field: Option<String>,
    /// The hourly quota of an OAuth app in Atlassian's points; 0: none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    points_per_hour: Option<i32>,
}

/// When a token ends; none: nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TokenEnd(Option<DateTime<Utc>>);

/// A day is over, and a token with it, when it begins: better warned too early.
fn token_end(text: &str) -> Result<TokenEnd, String> {
    if text == "unknown" {
        return Ok(TokenEnd(None));
    }
    let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok();
    let ends =
        time.or_else(day).ok_or("write a day such as 2026-12-31, a time such as 2026-12-31T12:00:00Z, or unknown")?;
    Ok(TokenEnd(Some(ends)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// As it says itself
    Auto,
    /// Jira Cloud
    Cloud,
    /// Jira Data Center or Server
    DataCenter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum AuthKind {
    /// E-mail address and API token (or user name and password of Data Center)
    Basic,
    /// A personal access token of Data Center, or a token of a service account
    Bearer,
    /// OAuth 2.0 (3LO): see `site authorize`
    Oauth,
}

impl AuthKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Oauth => "oauth",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) async fn update(args: UpdateArgs, context: &Context) -> Result<(), Error> {
    super::find(context, &args.name).await?;
    change(&args.name, args.given, context).await
}

pub(super) async fn run(args: AddArgs, context: &Context) -> Result<(), Error> {
    let AddArgs { name, given, update } = args;
    check_name(&name)?;
    if update {
        super::find(context, &name).await?;
        return change(&name, given, context).await;
    }
    let auth = given.auth.unwrap_or(AuthKind::Basic);
    let Some(url) = given.url.as_deref() else {
        return Err(Error::usage("--url is needed").help("write the site's address, e.g. https://acme.atlassian.net"));
    };
    let base_url = base_url(url, context)?;
    let credential = match (auth, credential(&given, &name, context)?) {
        (AuthKind::Oauth, None) => String::new(),
        (AuthKind::Oauth, Some(_)) => {
            return Err(Error::usage("a site with --auth oauth has no --credential of its own")
                .help(format!("leave it out, then run `syncline site authorize {name}`")));
        }
        (_, Some(credential)) => credential,
        (_, None) => {
            return Err(Error::usage("--credential or --token-stdin is needed")
                .help("name where the token is kept, e.g. --credential env:JIRA_TOKEN"));
        }
    };
    let account = given.email.as_deref().unwrap_or_default();
    let door = Door { name: &name, base_url: &base_url, auth: auth.as_str(), account, credential: &credential };
    let kind = kind(given.kind.unwrap_or(Kind::Auto), &door, context).await;
    let account_email = email(&given, auth, kind)?;
    let new = NewSite {
        id: context.clock.new_id(),
        name,
        base_url,
        kind,
        auth: auth.as_str(),
        account_email,
        credential,
        max_concurrency: given.max_concurrency.unwrap_or(DEFAULT_CONCURRENCY),
    };
    let actor = context.actor();
    if !site::add(&context.pool, &new, &actor).await? {
        return Err(Error::failure(format!("there is a site {} already", new.name))
            .help("change it with `syncline site update`, or choose another name"));
    }
    let further = SiteChange {
        match_by_name: given.match_by_name.map(|switch| switch == Switch::On),
        story_points_field: given.story_points_field,
        points_per_hour: given.points_per_hour,
        token_expires_at: given.token_expires.map(|end| end.0),
        ..SiteChange::default()
    };
    let said = [
        further.match_by_name.is_some(),
        further.story_points_field.is_some(),
        further.points_per_hour.is_some(),
        further.token_expires_at.is_some(),
    ];
    if said.contains(&true) {
        site::update(&context.pool, &new.name, &further, &actor).await?;
    }
    let next = if auth == AuthKind::Oauth {
        "authorize it with `syncline site authorize"
    } else {
        "check it with `syncline site check"
    };
    context.output.note(&format!("added site {}; {next} {0}`", new.name));
    Ok(())
}

async fn change(name: &str, given: Given, context: &Context) -> Result<(), Error> {
    let old = super::find(context, name).await?;
    if let Some(wrong) = given.email.as_deref().filter(|email| !is_account(email)) {
        return Err(Error::usage(format!("--email is {wrong:?}, which is not an e-mail address")));
    }
    let base_url = given.url.as_deref().map(|text| base_url(text, context)).transpose()?;
    let credential = credential(&given, name, context)?;
    let auth: &str = match given.auth {
        Some(auth) => auth.as_str(),
        None => &old.auth,
    };
    if auth != "oauth" && credential.is_none() && old.stored_credential.is_empty() {
        return Err(Error::usage(format!("--auth {auth} needs a token, and site {name} has none"))
            .help("name where it is kept, e.g. --credential env:JIRA_TOKEN"));
    }
    let kind = match given.kind {
        Some(wanted) => {
            let door = Door {
                name,
                base_url: base_url.as_deref().unwrap_or(&old.base_url),
                auth,
                account: given.email.as_deref().unwrap_or(&old.account_email),
                credential: credential.as_deref().unwrap_or(&old.stored_credential),
            };
            Some(kind(wanted, &door, context).await)
        }
        None => None,
    };
    let change = SiteChange {
        credential,
        base_url,
        account_email: given.email,
        max_concurrency: given.max_concurrency,
        kind,
        auth: given.auth.map(AuthKind::as_str),
        match_by_name: given.match_by_name.map(|switch| switch == Switch::On),
        story_points_field: given.story_points_field,
        points_per_hour: given.points_per_hour,
        token_expires_at: given.token_expires.map(|end| end.0),
    };
    site::update(&context.pool, name, &change, &context.actor()).await?;
    context.output.note(&format!("changed site {name}; check it with `syncline site check {name}`"));
    Ok(())
}

/// The account's e-mail address: needed where it is half of the credentials.
fn email(given: &Given, auth: AuthKind, kind: &str) -> Result<String, Error> {
    match given.email.as_deref() {
        Some(email) if is_email(email) || kind == "data_center" && is_account(email) => Ok(email.to_owned()),
        Some(email) => Err(Error::usage(format!("--email is {email:?}, which is not an e-mail address"))),
        None if auth == AuthKind::Basic => Err(Error::usage("--email is needed: with the token it is what lets us in")
            .help("write the account's e-mail address, or --auth bearer where the token stands alone")),
        None => Ok(String::new()),
    }
}

/// Data Center's accounts are named by a user name, which may or may not be an address.
fn is_account(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
}

/// As stored: what was said, or what the site says of itself.
async fn kind(wanted: Kind, door: &Door<'_>, context: &Context) -> &'static str {
    match wanted {
        Kind::Cloud => "cloud",
        Kind::DataCenter => "data_center",
        Kind::Auto => super::detect::kind(door, context).await.as_str(),
    }
}

/// The same rule as the table's.
fn check_name(name: &str) -> Result<(), Error> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
    if first && rest && name.len() <= 63 {
        return Ok(());
    }
    Err(Error::usage(format!("{name:?} cannot be a site's name")).help(
        "write up to 63 lower-case letters, digits, dots, dashes and underscores, beginning with a letter or digit",
    ))
}

fn base_url(text: &str, context: &Context) -> Result<String, Error> {
    let example = "write the site's address, e.g. https://acme.atlassian.net";
    let refused = |problem: String| Err(Error::usage(format!("--url {problem}")).help(example));
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(problem) => return refused(format!("is not a URL: {problem}")),
    };
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return refused("does not begin with https:// and a host name".into());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return refused("holds credentials, a query or a fragment".into());
    }
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_local {
        context.output.warn("warning: over http:// the API token travels unprotected; use https:// for a real site");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether a text has the shape of an e-mail address.
pub(in crate::cli) fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
}

/// What is to be stored: a reference that was checked, or the sealed token.
fn credential(args: &Given, name: &str, context: &Context) -> Result<Option<String>, Error> {
    if let Some(reference) = &args.credential {
        secret::check_reference(reference).map_err(|problem| Error::usage(problem.to_string()).help(problem.help()))?;
        if let Err(problem) = secret::resolve(reference, name, &context.config.secrets) {
            // It may exist where the workers run, so that this is no error.
            context.output.note(&format!("note: {problem}; the workers need it"));
        }
        return Ok(Some(reference.clone()));
    }
    if !args.token_stdin {
        return Ok(None);
    }
    if std::io::stdin().is_terminal() {
        context.output.note("Paste the API token, then press Enter and Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().lock().take(TOKEN_LIMIT_BYTES).read_to_string(&mut text)?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(Error::usage(format!("standard input holds {} characters that are not one token", text.len()))
            .help("pipe the API token and nothing else to --token-stdin"));
    }
    let clock = &context.clock;
    let sealed = secret::encrypt(&SecretString::from(token), name, &context.config.secrets, |nonce| {
        clock.fill_random(nonce);
    })?;
    Ok(Some(sealed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_the_table_judges_them() {
        for good in ["acme", "a", "9-lives", "acme.eu_1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Acme", "-acme", ".acme", "a/b", "a b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_user_and_a_host() {
        assert!(is_email("bot@example.com"));
        for bad in ["", "bot", "@example.com", "bot@", "b:ot@example.com", "bot @example.com", "bot@@example"] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
