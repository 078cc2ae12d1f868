//! `syncline site add` and `site update`.
//!
//! What must hold: a site is asked before anything is stored, unless somebody says `--offline`: what is stored lets the
//! account in, where it is said to be.

use secrecy::SecretString;

use super::super::{Context, Error};
use super::address::{self, Address};
use super::find::{self, Found};
use super::given::{AuthKind, Credential, Given, Kind, is_account, is_email, no_email};
use crate::domain::site_kind::SiteKind;
use crate::store::health::{self, Tried};
use crate::store::site::{self, NewSite, SiteChange};

/// How many requests may be under way at once, unless told otherwise.
const DEFAULT_CONCURRENCY: i32 = 8;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The token is never stored in clear text: give a reference to it (--credential), or pipe it in; it
is then encrypted with the configured key (secrets.key). Create a token at https://id.atlassian.com/manage-profile/security/api-tokens

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
    /// Change an existing site, as `site update` does
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
    #[arg(add = super::super::completing::sites())]
    name: String,
    #[command(flatten)]
    given: Given,
}

pub(super) async fn update(args: UpdateArgs, context: &Context) -> Result<(), Error> {
    change(&args.name, args.given, context).await
}

pub(super) async fn run(args: AddArgs, context: &Context) -> Result<(), Error> {
    let AddArgs { name, given, update } = args;
    check_name(&name)?;
    if update {
        return change(&name, given, context).await;
    }
    let auth = given.auth.unwrap_or(AuthKind::Basic);
    let Some(url) = given.url.as_deref() else {
        return Err(Error::usage("--url is needed").help("write the site's address, e.g. https://acme.atlassian.net"));
    };
    let address = Address::parse(url)?;
    let credential = match (auth, given.credential(&name, context)?) {
        (AuthKind::Oauth, None) => None,
        (AuthKind::Oauth, Some(_)) => {
            return Err(Error::usage("a site with --auth oauth has no --credential of its own").help(format!(
                "leave it out, then run `syncline site authorize {name} --client-id ID --client-secret env:NAME`"
            )));
        }
        (_, Some(credential)) => Some(credential),
        (_, None) => {
            return Err(Error::usage("--credential or --token-stdin is required")
                .help("give a reference to the token, e.g. --credential env:JIRA_TOKEN"));
        }
    };
    let account = given.account(auth)?;
    if site::list(&context.pool, Some(&name)).await?.pop().is_some() {
        return Err(taken(&name));
    }
    address.tell(context);
    let stored = credential.as_ref().map(|credential| credential.stored.clone()).unwrap_or_default();
    let asked = Asked { name: &name, address: &address, auth: auth.as_str(), account: &account, kind: given.kind };
    let found = asked.ask(given.offline, credential, context).await?;
    if found.kind == SiteKind::Cloud && auth == AuthKind::Basic && !is_email(&account) {
        return Err(no_email(&account).help("Jira Cloud identifies accounts by e-mail address"));
    }
    let new = NewSite {
        id: context.clock.new_id(),
        name,
        base_url: address::shown(&found.base_url),
        kind: found.kind.as_str(),
        auth: auth.as_str(),
        account_email: account,
        credential: stored,
        max_concurrency: given.max_concurrency.unwrap_or(DEFAULT_CONCURRENCY),
    };
    let actor = context.actor();
    if !site::add(&context.pool, &new, &actor).await? {
        return Err(taken(&new.name));
    }
    let further = SiteChange { max_concurrency: None, ..given.further() };
    if !further.is_empty() {
        site::update(&context.pool, &new.name, &further, &actor).await?;
    }
    let next = match auth {
        AuthKind::Oauth => {
            format!("authorize it with `syncline site authorize {} --client-id ID --client-secret env:NAME`", new.name)
        }
        _ => format!("check it with `syncline site check {}`", new.name),
    };
    let who = lets_in(&found);
    let done = serde_json::json!({"site": new.name, "url": new.base_url, "kind": new.kind, "outcome": "added"});
    context.output.done(&format!("added site {}{who}; {next}", new.name), &done)
}

async fn change(name: &str, given: Given, context: &Context) -> Result<(), Error> {
    let old = super::find(context, name).await?;
    if let Some(wrong) = given.email.as_deref().filter(|email| !is_account(email)) {
        return Err(no_email(wrong));
    }
    let credential = given.credential(name, context)?;
    let auth: &str = match given.auth {
        Some(auth) => auth.as_str(),
        None => &old.auth,
    };
    if auth != "oauth" && credential.is_none() && old.stored_credential.is_empty() {
        return Err(Error::usage(format!("--auth {auth} needs a token, but site {name} has none"))
            .help("give a reference to it, e.g. --credential env:JIRA_TOKEN"));
    }
    let mut change = SiteChange {
        credential: credential.as_ref().map(|credential| credential.stored.clone()),
        account_email: given.email.clone(),
        auth: given.auth.map(AuthKind::as_str),
        ..given.further()
    };
    let mut who = String::new();
    if given.is_about_access() {
        let address = match given.url.as_deref() {
            Some(url) => Address::parse(url)?,
            None => Address::stored(&old.base_url)?,
        };
        address.tell(context);
        // A site that is only moved stays what it is; one that is asked what it is may have become another.
        let kind = given.kind.or(Kind::of(&old.kind));
        let account = given.email.as_deref().unwrap_or(&old.account_email);
        let credential = match auth {
            "oauth" => None,
            _ => credential.or_else(|| Some(Credential::stored(&old.stored_credential, name, context))),
        };
        let asked = Asked { name, address: &address, auth, account, kind };
        let found = asked.ask(given.offline, credential, context).await?;
        // An address that nobody gave is not changed in passing.
        if given.url.is_some() {
            change.base_url = Some(address::shown(&found.base_url));
        }
        change.kind = given.kind.map(|_| found.kind.as_str());
        who = lets_in(&found);
    }
    site::update(&context.pool, name, &change, &context.actor()).await?;
    let tried = match given.is_about_access() {
        true => lift(&old, if given.offline { Tried::One } else { Tried::All }, context).await?,
        false => 0,
    };
    let text = format!("changed site {name}{who}; check it with `syncline site check {name}`");
    context.output.done(&text, &serde_json::json!({"site": name, "outcome": "changed", "tried_now": tried}))
}

/// Lets what was held back by the old access start now, and says so.
pub(super) async fn lift(site: &site::Site, tried: Tried, context: &Context) -> Result<u64, Error> {
    let started = health::lift(&context.pool, site.id, tried).await?;
    match started {
        0 => {}
        1 => context.output.note("1 held project is released and runs now"),
        n => context.output.note(&format!("{n} held projects are released and run now")),
    }
    Ok(started)
}

/// What is to be found out of a site.
struct Asked<'a> {
    name: &'a str,
    address: &'a Address,
    auth: &'a str,
    account: &'a str,
    kind: Option<Kind>,
}

impl Asked<'_> {
    /// What the site answers; with `offline`, what is said or can be guessed.
    async fn ask(&self, offline: bool, credential: Option<Credential>, context: &Context) -> Result<Found, Error> {
        let kind = self.kind.and_then(Kind::said);
        let token = credential.map(|credential| credential.token).transpose();
        if !offline {
            let token: Option<SecretString> = token.map_err(|problem| {
                let help = format!("{}; --offline stores the site without checking it", problem.help());
                Error::from(problem).help(help)
            })?;
            let Self { name, address, auth, account, .. } = *self;
            return find::find(&find::Site { name, address, auth, account, token, kind }, context).await;
        }
        if let Err(problem) = token {
            context.output.note(&format!("note: {problem}; the workers need it"));
        }
        let kind = kind.unwrap_or_else(|| {
            if self.auth != "oauth" && !self.address.is_cloud() {
                context.output.note(
                    "note: the site's kind was not checked; Jira Cloud is assumed; if this is wrong, use --kind data-center",
                );
            }
            SiteKind::Cloud
        });
        Ok(Found { base_url: self.address.base().clone(), kind, account: None })
    }
}

fn taken(name: &str) -> Error {
    Error::failure(format!("a site {name} already exists"))
        .help("change it with `syncline site update`, or choose another name")
}

/// Who the account is, as a part of a sentence.
fn lets_in(found: &Found) -> String {
    found.account.as_ref().map(|me| format!(": Jira accepts {}", me.display_name)).unwrap_or_default()
}

/// The same rule as the table's.
fn check_name(name: &str) -> Result<(), Error> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
    if first && rest && name.len() <= 63 {
        return Ok(());
    }
    Err(Error::usage(format!("{name:?} is not a valid site name")).help(
        "write up to 63 lower-case letters, digits, dots, dashes and underscores, beginning with a letter or digit",
    ))
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
}
