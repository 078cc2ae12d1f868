//! `syncline site add`.

use std::io::{IsTerminal, Read};

use secrecy::SecretString;
use url::{Host, Url};

use super::super::{Context, Error};
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
  syncline site add acme --update --token-stdin < new-token")]
pub(super) struct AddArgs {
    /// Its name here: lower-case letters, digits, dots, dashes
    name: String,
    /// Where it is, e.g. https://acme.atlassian.net
    #[arg(long, required_unless_present = "update")]
    url: Option<String>,
    /// The account's e-mail address
    #[arg(long, required_unless_present = "update")]
    email: Option<String>,
    /// Where the account's API token is kept: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE", required_unless_present_any = ["update", "token_stdin"])]
    credential: Option<String>,
    /// Read the API token from standard input and store it encrypted
    #[arg(long, conflicts_with = "credential")]
    token_stdin: bool,
    /// How many requests all workers together may have under way (1 to 64) [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=64))]
    max_concurrency: Option<i32>,
    /// Change an existing site: what is not given stays
    #[arg(long)]
    update: bool,
}

pub(super) async fn run(args: AddArgs, context: &Context) -> Result<(), Error> {
    check_name(&args.name)?;
    let base_url = args.url.as_deref().map(|text| base_url(text, context)).transpose()?;
    if let Some(email) = args.email.as_deref().filter(|email| !is_email(email)) {
        return Err(Error::usage(format!("--email is {email:?}, which is not an e-mail address")));
    }
    let credential = credential(&args, context)?;
    if args.update {
        let change =
            SiteChange { base_url, account_email: args.email, credential, max_concurrency: args.max_concurrency };
        super::find(context, &args.name).await?;
        site::update(&context.pool, &args.name, &change, &context.actor()).await?;
        context.output.note(&format!("changed site {}; check it with `syncline site check {0}`", args.name));
        return Ok(());
    }
    // The parser has seen to it that these are there.
    let (Some(base_url), Some(account_email), Some(credential)) = (base_url, args.email, credential) else {
        return Err(Error::usage("--url, --email and --credential or --token-stdin are needed"));
    };
    let new = NewSite {
        id: context.clock.new_id(),
        name: args.name,
        base_url,
        account_email,
        credential,
        max_concurrency: args.max_concurrency.unwrap_or(DEFAULT_CONCURRENCY),
    };
    if !site::add(&context.pool, &new, &context.actor()).await? {
        return Err(Error::failure(format!("there is a site {} already", new.name))
            .help("change it with --update, or choose another name"));
    }
    context.output.note(&format!("added site {}; check it with `syncline site check {0}`", new.name));
    Ok(())
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
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        && !text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
}

/// What is to be stored: a reference that was checked, or the sealed token.
fn credential(args: &AddArgs, context: &Context) -> Result<Option<String>, Error> {
    if let Some(reference) = &args.credential {
        secret::check_reference(reference).map_err(|problem| Error::usage(problem.to_string()).help(problem.help()))?;
        if let Err(problem) = secret::resolve(reference, &args.name, &context.config.secrets) {
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
    let sealed = secret::encrypt(&SecretString::from(token), &args.name, &context.config.secrets, |nonce| {
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
        for bad in ["", "bot", "@example.com", "bot@", "b:ot@example.com", "bot @example.com"] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
