//! What a simulated site looks like and how it behaves.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::faults::FaultPlan;
use super::language::Language;
use super::limits::Limits;
use super::oauth::OAuthApp;
use super::personal_tokens::PersonalToken;
use crate::clock::Clock;

/// Which of Atlassian's products a site is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Jira Cloud, version 3 of the REST interface.
    #[default]
    Cloud,
    /// Jira Data Center or Server, version 2.
    DataCenter,
}

impl Kind {
    /// Where the REST interface begins.
    pub(super) fn api_path(self) -> &'static str {
        match self {
            Self::Cloud => "/rest/api/3",
            Self::DataCenter => "/rest/api/2",
        }
    }

    /// Comments and worklogs inside an issue, unless told otherwise.
    pub(super) fn inline_limits(self) -> (usize, usize) {
        match self {
            Self::Cloud => (20, 20),
            // All comments, and the first worklogs, as everywhere.
            Self::DataCenter => (usize::from(u16::MAX), 20),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cloud" => Ok(Self::Cloud),
            "data-center" => Ok(Self::DataCenter),
            other => Err(format!("'{other}' is not a kind of site: there are 'cloud' and 'data-center'")),
        }
    }
}

/// How many comments or worklogs an issue has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Every issue has exactly this many.
    Exactly(u16),
    /// Issues have this many on average; most have few, some have many.
    About(f64),
}

impl FromStr for Amount {
    type Err = String;

    /// `3` is exact, `~3` is a mean.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |_| format!("'{text}' is neither a number (exactly that many) nor '~' and a number (that many on average)");
        match text.strip_prefix('~') {
            Some(mean) => match mean.parse::<f64>() {
                Ok(mean) if (0.0..=100.0).contains(&mean) => Ok(Self::About(mean)),
                _ => Err(format!("the mean in '{text}' must be a number from 0 to 100")),
            },
            None => text.parse().map(Self::Exactly).map_err(wrong),
        }
    }
}

/// A project to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectSpec {
    /// Upper-case key, such as `ACME`.
    pub key: String,
    /// Name shown to people.
    pub name: String,
    /// Issues in it; without a number the project takes an equal share of [`Options::issues`].
    pub issues: Option<u32>,
}

impl FromStr for ProjectSpec {
    type Err = String;

    /// `ACME` or `ACME=500`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, issues) = match text.split_once('=') {
            None => (text, None),
            Some((key, count)) => {
                let count = count.parse().map_err(|_| format!("'{count}' in '{text}' is not a number of issues"))?;
                (key, Some(count))
            }
        };
        let valid = key.len() >= 2
            && key.starts_with(|c: char| c.is_ascii_uppercase())
            && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if !valid {
            return Err(format!("'{key}' is not a project key: two or more capitals, digits or '_', a capital first"));
        }
        let name = format!("{}{} project", &key[..1], key[1..].to_ascii_lowercase());
        Ok(Self { key: key.to_owned(), name, issues })
    }
}

/// An account that may call the API.
#[derive(Clone)]
pub struct Account {
    /// The user name of Basic authentication.
    pub email: String,
    /// The API token, its password.
    pub token: String,
    /// Time zone of the profile, in which quoted JQL dates are read.
    pub zone: Tz,
    /// Keys of the projects it may browse; `None` for all.
    pub projects: Option<Vec<String>>,
    /// Whether it may see issues that have a security level.
    pub sees_secured: bool,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("email", &self.email).field("projects", &self.projects).finish_non_exhaustive()
    }
}

impl FromStr for Account {
    type Err = String;

    /// `email:token`, then optionally `:time zone`, `:KEY,KEY` and `:public`, such as
    /// `ana@example.com:secret:Europe/Berlin:ACME`; `public` may not see issues that have a security level.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (Some(email), Some(token)) = (parts.next(), parts.next()) else {
            return Err("an account is written email:token[:time zone[:KEY,KEY]]".to_owned());
        };
        if !email.contains('@') || token.is_empty() {
            return Err(format!("account '{email}': an e-mail address and a token are needed, as email:token"));
        }
        let zone = match parts.next() {
            None | Some("") => Tz::UTC,
            Some(zone) => zone.parse().map_err(|_| format!("account '{email}': '{zone}' is not a time zone"))?,
        };
        let projects = parts.next().filter(|keys| !keys.is_empty());
        let projects = projects.map(|keys| keys.split(',').map(str::to_owned).collect());
        let sees_secured = match parts.next() {
            None => true,
            Some("public") => false,
            Some(other) => return Err(format!("account '{email}': '{other}' stands where only 'public' may")),
        };
        Ok(Self { email: email.to_owned(), token: token.to_owned(), zone, projects, sees_secured })
    }
}

/// E-mail address of the account that every simulated site has unless told otherwise.
pub const DEFAULT_EMAIL: &str = "sync@example.com";
/// API token of [`DEFAULT_EMAIL`]. No secret: the site and its data are invented.
pub const DEFAULT_TOKEN: &str = "simulator-token";

/// Settings of a simulated site. The same options give the same site, byte for byte.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// Cloud or Data Center.
    pub kind: Kind,
    /// Version that a Data Center site reports, such as `8.20.0`.
    pub version: String,
    /// Path under which a Data Center site lives, such as `/jira`; empty for none.
    pub context_path: String,
    /// The projects; at most 65,000.
    pub projects: Vec<ProjectSpec>,
    /// Issues shared by the projects that name no number of their own.
    pub issues: u32,
    /// Users who write, besides the accounts.
    pub people: u16,
    /// Comments of each issue.
    pub comments: Amount,
    /// Worklogs of each issue.
    pub worklogs: Amount,
    /// Share of issues (0–1) whose comments or worklogs run far past what search puts inline (25 to 150).
    pub long_threads: f64,
    /// Share of issues (0–1) that have a security level.
    pub secured: f64,
    /// Comments and worklogs that search returns inline; unless given 20 of each, on Data Center all comments.
    pub inline_limit: Option<u16>,
    /// Queries with more bytes than this are refused; `None` for no limit.
    pub jql_limit: Option<usize>,
    /// Who may call the API.
    pub accounts: Vec<Account>,
    /// Failed log-ins after which an account must solve a CAPTCHA; `None` for never.
    pub captcha_after: Option<u32>,
    /// Source of time; mutations are stamped with it.
    pub clock: Clock,
    /// When the generated history ends; the earlier of 2025-06-01 and now unless given.
    pub history_end: Option<DateTime<Utc>>,
    /// How long the generated history is, days.
    pub history_days: u16,
    /// How far search is behind writes; direct reads are not.
    pub search_lag: Duration,
    /// How far the feeds of worklogs are behind: they leave out what happened within this time.
    pub feed_delay: Duration,
    /// Added to every answer.
    pub latency: Duration,
    /// Up to this much more, by chance.
    pub latency_jitter: Duration,
    /// What goes wrong from the start.
    pub faults: FaultPlan,
    /// Random mutations while the site runs.
    pub mutations_per_second: f64,
    /// Requests per second and endpoint; further ones are answered with 429; `None` for no limit.
    pub burst_limit_per_second: Option<u32>,
    /// Limits as Atlassian sets them, besides that one.
    pub limits: Limits,
    /// The app that may ask for OAuth tokens.
    pub oauth: OAuthApp,
    /// Tokens that Data Center lists as the account's own.
    pub personal_tokens: Vec<PersonalToken>,
    /// Language of error texts, whatever a request asks for.
    pub language: Language,
    /// Leaves `isLast` out of search pages, as Jira may.
    pub omit_is_last: bool,
    /// How long a `nextPageToken` stays valid.
    pub token_lifetime: Duration,
}

impl Options {
    /// Three projects (ACME, BETA, GAMMA) sharing 1,200 issues, one account, nothing that goes wrong.
    pub fn new(clock: Clock) -> Self {
        let spec = |key: &str, name: &str| ProjectSpec { key: key.to_owned(), name: name.to_owned(), issues: None };
        Self {
            seed: 1,
            kind: Kind::Cloud,
            version: "10.3.0".to_owned(),
            context_path: String::new(),
            projects: vec![spec("ACME", "Acme shop"), spec("BETA", "Beta billing"), spec("GAMMA", "Gamma mobile")],
            issues: 1_200,
            people: 40,
            comments: Amount::About(2.5),
            worklogs: Amount::About(1.5),
            long_threads: 0.005,
            secured: 0.0,
            inline_limit: None,
            jql_limit: None,
            accounts: vec![Account {
                email: DEFAULT_EMAIL.to_owned(),
                token: DEFAULT_TOKEN.to_owned(),
                zone: Tz::UTC,
                projects: None,
                sees_secured: true,
            }],
            captcha_after: None,
            clock,
            history_end: None,
            history_days: 730,
            search_lag: Duration::ZERO,
            feed_delay: Duration::from_secs(60),
            latency: Duration::ZERO,
            latency_jitter: Duration::ZERO,
            faults: FaultPlan::default(),
            mutations_per_second: 0.0,
            burst_limit_per_second: None,
            limits: Limits::default(),
            oauth: OAuthApp::default(),
            personal_tokens: vec![PersonalToken { name: "sync".to_owned(), days: Some(90) }],
            language: Language::English,
            omit_is_last: false,
            token_lifetime: Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// Says what is wrong with options that are each right by themselves.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut keys = std::collections::HashSet::new();
        for spec in &self.projects {
            if !keys.insert(spec.key.as_str()) {
                return Err(format!("project '{}' is named twice: give every project its own key", spec.key));
            }
        }
        let path = &self.context_path;
        if !path.is_empty() && (self.kind == Kind::Cloud || !path.starts_with('/') || path.ends_with('/')) {
            return Err(format!("context path '{path}': only Data Center has one, and it is written like /jira"));
        }
        if self.projects.is_empty() || self.projects.len() > 65_000 {
            return Err(format!("{} projects: a site has 1 to 65000", self.projects.len()));
        }
        for account in &self.accounts {
            let named = account.projects.iter().flatten();
            if let Some(key) = named.into_iter().find(|key| !keys.contains(key.as_str())) {
                return Err(format!("account '{}' names project '{key}', which the site does not have", account.email));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_unless_marked_as_a_mean() {
        assert_eq!("3".parse(), Ok(Amount::Exactly(3)));
        assert_eq!("~2.5".parse(), Ok(Amount::About(2.5)));
        assert!("three".parse::<Amount>().is_err());
        assert!("~-1".parse::<Amount>().is_err());
    }

    #[test]
    fn a_project_may_bring_its_own_number_of_issues() {
        let spec: ProjectSpec = "ACME=500".parse().unwrap();
        assert_eq!((spec.key.as_str(), spec.issues), ("ACME", Some(500)));
        assert!("acme".parse::<ProjectSpec>().is_err());
    }

    #[test]
    fn an_account_never_shows_its_token() {
        let account: Account = "ana@example.com:s3cret:Europe/Berlin:ACME,BETA".parse().unwrap();
        assert_eq!(account.projects.as_deref(), Some(&["ACME".to_owned(), "BETA".to_owned()][..]));
        assert!(!format!("{account:?}").contains("s3cret"));
    }
}
