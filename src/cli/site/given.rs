//! What can be said of a site on the command line, and what of it is to be stored.

use std::io::{IsTerminal, Read};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use secrecy::SecretString;

use super::super::{Context, Error};
use crate::config::{secret, written};
use crate::domain::site_kind::SiteKind;
use crate::store::site::SiteChange;

/// No API token is longer.
const TOKEN_LIMIT_BYTES: u64 = 8 * 1024;

/// What can be said of a site.
#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// The site's address, e.g. https://acme.atlassian.net; the address of any of its pages works too
    #[arg(long)]
    pub url: Option<String>,
    /// The site's kind; auto asks the site [default: auto]
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Authentication method [default: basic]
    #[arg(long, value_enum)]
    pub auth: Option<AuthKind>,
    /// The account's e-mail address
    #[arg(long)]
    pub email: Option<String>,
    /// Reference to the account's API token: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE")]
    pub credential: Option<String>,
    /// Read the API token from standard input and store it encrypted
    #[arg(long, conflicts_with = "credential")]
    pub token_stdin: bool,
    /// Expiry of the API token, as its owner sees it in Jira: a day, a time in RFC 3339, or `unknown`
    #[arg(long, value_name = "DAY", value_parser = token_end)]
    pub token_expires: Option<TokenEnd>,
    /// Maximum number of concurrent requests of each worker process (1 to 64) [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=64))]
    pub max_concurrency: Option<i32>,
    /// Match members to users by exact display name, too [default: off]
    #[arg(long, value_enum, value_name = "on|off")]
    pub match_by_name: Option<Switch>,
    /// The id of the field that holds story points; empty: detect it
    #[arg(long, value_name = "FIELD")]
    pub story_points_field: Option<String>,
    /// The hourly quota of an OAuth app, in Atlassian's points; 0: no quota
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub points_per_hour: Option<i32>,
    /// Store the site without checking that it answers and accepts the credentials
    #[arg(long)]
    pub offline: bool,
}

/// When a token ends; none: nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenEnd(pub Option<DateTime<Utc>>);

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
pub(super) enum Kind {
    /// As it says itself
    Auto,
    /// Jira Cloud
    Cloud,
    /// Jira Data Center or Server
    DataCenter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum AuthKind {
    /// E-mail address and API token (or user name and password of Data Center)
    Basic,
    /// A personal access token of Data Center, or a token of a service account
    Bearer,
    /// OAuth 2.0 (3LO): see `site authorize`
    Oauth,
}

impl AuthKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Oauth => "oauth",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

impl Kind {
    /// As it is stored.
    pub fn of(stored: &str) -> Option<Self> {
        SiteKind::parse(stored).map(|kind| match kind {
            SiteKind::Cloud => Self::Cloud,
            SiteKind::DataCenter => Self::DataCenter,
        })
    }

    /// As somebody says; none: the site is asked.
    pub const fn said(self) -> Option<SiteKind> {
        match self {
            Self::Auto => None,
            Self::Cloud => Some(SiteKind::Cloud),
            Self::DataCenter => Some(SiteKind::DataCenter),
        }
    }
}

/// What is to be stored, and what it stands for.
pub(super) struct Credential {
    /// A reference that was checked, or the sealed token.
    pub stored: String,
    /// The token, or why it cannot be had here.
    pub token: Result<SecretString, secret::Error>,
}

impl Credential {
    /// One that the site `name` has.
    pub fn stored(stored: &str, name: &str, context: &Context) -> Self {
        Self { stored: stored.to_owned(), token: secret::resolve(stored, name, &context.config.secrets) }
    }
}

impl Given {
    /// Whether anything is said that decides who is let in where: then the site is asked.
    pub fn is_about_access(&self) -> bool {
        self.url.is_some()
            || self.kind.is_some()
            || self.auth.is_some()
            || self.email.is_some()
            || self.credential.is_some()
            || self.token_stdin
    }

    /// What is said besides who is let in where.
    pub fn further(&self) -> SiteChange {
        SiteChange {
            max_concurrency: self.max_concurrency,
            match_by_name: self.match_by_name.map(|switch| switch == Switch::On),
            story_points_field: self.story_points_field.clone(),
            points_per_hour: self.points_per_hour,
            token_expires_at: self.token_expires.map(|end| end.0),
            ..SiteChange::default()
        }
    }

    /// The credential of the site `name`, where one is said or piped.
    ///
    /// # Errors
    /// When it is neither a reference nor one token, or cannot be sealed.
    pub fn credential(&self, name: &str, context: &Context) -> Result<Option<Credential>, Error> {
        let secrets = &context.config.secrets;
        if let Some(reference) = &self.credential {
            secret::check_reference(reference)
                .map_err(|problem| Error::usage(problem.to_string()).help(problem.help()))?;
            let token = secret::resolve(reference, name, secrets);
            return Ok(Some(Credential { stored: reference.clone(), token }));
        }
        if !self.token_stdin {
            return Ok(None);
        }
        if std::io::stdin().is_terminal() {
            context.output.note("Paste the API token, then press Enter and Ctrl-D:");
        }
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(TOKEN_LIMIT_BYTES).read_to_end(&mut bytes)?;
        let help = "pipe only the API token to --token-stdin";
        let text = written::decode(&bytes)
            .map_err(|problem| Error::usage(format!("standard input cannot be used: {problem}")).help(help))?;
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            let characters = text.chars().count();
            return Err(
                Error::usage(format!("standard input holds {characters} characters that are not one token")).help(help)
            );
        }
        let (token, clock) = (SecretString::from(token), &context.clock);
        let stored = secret::encrypt(&token, name, secrets, |nonce| clock.fill_random(nonce))?;
        Ok(Some(Credential { stored, token: Ok(token) }))
    }

    /// The account's e-mail address: needed where it is half of the credentials.
    ///
    /// # Errors
    /// When it is missing, or none.
    pub fn account(&self, auth: AuthKind) -> Result<String, Error> {
        match self.email.as_deref() {
            // Data Center's accounts are named by a user name, which may or may not be an address.
            Some(email) if is_account(email) => Ok(email.to_owned()),
            Some(email) => Err(no_email(email)),
            None if auth == AuthKind::Basic => {
                Err(Error::usage("--email is required: it is the log-in name for the token")
                    .help("write the account's e-mail address, or use --auth bearer for a token without a log-in name"))
            }
            None => Ok(String::new()),
        }
    }
}

pub(super) fn no_email(text: &str) -> Error {
    Error::usage(format!("--email is {text:?}, which is not an e-mail address"))
}

/// Whether a text may be the name of an account of Data Center.
pub(super) fn is_account(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
}

/// Whether a text has the shape of an e-mail address.
pub(in crate::cli) fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_user_and_a_host() {
        assert!(is_email("bot@example.com"));
        for bad in ["", "bot", "@example.com", "bot@", "b:ot@example.com", "bot @example.com", "bot@@example"] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
