//! Who is calling, and what they may see.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;

use super::catalogue::{Catalogue, ProjectState};
use super::issue::Issue;
use super::options::{Account, Kind};
use super::reply::{self, Reply};
use super::site::lock;

/// The caller of one request; the middleware puts it into the request's extensions.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Sees nothing; the site as it stands is kept for the answer.
    Anonymous(Arc<Catalogue>),
    Known(Viewer),
}

/// An account that has proved who it is.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    /// Index in the catalogue's people.
    pub(super) person: u16,
    pub(super) zone: Tz,
    /// `None` for all.
    projects: Option<Arc<HashSet<u16>>>,
    sees_secured: bool,
    /// Texts are written as wiki mark-up: in version 2 of the interface, which is Data Center's only one.
    pub(super) reads_wiki: bool,
    /// The site as it stood when the request came in.
    pub(super) catalogue: Arc<Catalogue>,
}

impl Viewer {
    /// True for projects whose issues can be read one by one.
    pub(super) fn may_browse(&self, project: u16) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(&project))
            && !self.catalogue.is_revoked(self.person, project)
            && self.catalogue.projects[usize::from(project)].state != ProjectState::Deleted
    }

    /// True for projects that search covers: the archived ones are left out.
    pub(super) fn may_search(&self, project: u16) -> bool {
        self.may_browse(project) && self.catalogue.projects[usize::from(project)].state == ProjectState::Live
    }

    /// True for issues that can be read.
    pub(super) fn may_see(&self, issue: &Issue) -> bool {
        (self.sees_secured || !issue.secured) && self.may_browse(issue.project)
    }

    /// True for issues that search shows.
    pub(super) fn may_find(&self, issue: &Issue) -> bool {
        (self.sees_secured || !issue.secured) && self.may_search(issue.project)
    }

    /// True for accounts that see issues with a security level.
    pub(super) fn sees_levels(&self) -> bool {
        self.sees_secured
    }

    /// Restricted accounts may not list the site's users, nor administer anything.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.projects.is_none()
    }
}

#[derive(Debug)]
struct Known {
    email: String,
    name: String,
    token: String,
    person: u16,
    zone: Tz,
    projects: Option<Arc<HashSet<u16>>>,
    sees_secured: bool,
}

impl Known {
    fn viewer(&self, catalogue: Arc<Catalogue>) -> Viewer {
        Viewer {
            person: self.person,
            zone: self.zone,
            projects: self.projects.clone(),
            sees_secured: self.sees_secured,
            reads_wiki: catalogue.kind == Kind::DataCenter,
            catalogue,
        }
    }
}

/// The accounts that may call, and how often each has failed to sign in.
#[derive(Debug)]
pub(super) struct Accounts {
    known: Vec<Known>,
    /// Failed log-ins in a row by user name, and after how many a CAPTCHA is asked for.
    failures: Mutex<HashMap<String, u32>>,
    captcha_after: Option<u32>,
}

impl Accounts {
    pub(super) fn new(accounts: &[Account], captcha_after: Option<u32>, catalogue: &Catalogue) -> Self {
        let known = |person: u16, account: &Account| Known {
            email: account.email.clone(),
            name: catalogue.people[usize::from(person)].name.clone(),
            token: account.token.clone(),
            person,
            zone: account.zone,
            projects: account
                .projects
                .as_ref()
                .map(|keys| Arc::new(keys.iter().filter_map(|key| catalogue.project(key)).collect())),
            sees_secured: account.sees_secured,
        };
        let known = (0u16..).zip(accounts).map(|(person, account)| known(person, account)).collect();
        Self { known, failures: Mutex::default(), captcha_after }
    }

    /// The account with this person's index, as it sees the site now.
    pub(super) fn viewer(&self, person: u16, catalogue: Arc<Catalogue>) -> Option<Viewer> {
        self.known.iter().find(|known| known.person == person).map(|known| known.viewer(catalogue))
    }

    /// The person whose API token this is.
    pub(super) fn person_of_token(&self, token: &str) -> Option<u16> {
        self.known.iter().find(|known| known.token == token).map(|known| known.person)
    }

    /// Tells the caller; the error is the answer to wrong credentials.
    pub(super) fn identify(&self, headers: &HeaderMap, catalogue: Arc<Catalogue>) -> Result<Caller, Box<Reply>> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous(catalogue)) };
        let value = value.to_str().unwrap_or_default();
        let kind = catalogue.kind;
        if let Some(encoded) = value.strip_prefix("Basic ") {
            let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let (user, secret) = decoded.as_deref().and_then(|pair| pair.split_once(':')).unwrap_or_default();
            if self.is_locked(user) {
                return Err(Box::new(captcha(kind)));
            }
            let opens = |known: &&Known| {
                (known.email == user || kind == Kind::DataCenter && known.name == user) && known.token == secret
            };
            return match self.known.iter().find(opens) {
                Some(known) => {
                    lock(&self.failures).remove(user);
                    Ok(Caller::Known(known.viewer(catalogue)))
                }
                None => {
                    *lock(&self.failures).entry(user.to_owned()).or_default() += 1;
                    Err(Box::new(unauthenticated(kind, "AUTHENTICATED_FAILED")))
                }
            };
        }
        match (kind, value.strip_prefix("Bearer ")) {
            (Kind::DataCenter, Some(token)) => match self.known.iter().find(|known| known.token == token) {
                Some(known) => Ok(Caller::Known(known.viewer(catalogue))),
                None => Err(Box::new(unauthenticated(kind, "AUTHENTICATED_FAILED"))),
            },
            // Bearer tokens belong on api.atlassian.com; the site's own address refuses them in a shape of its own.
            _ => Err(Box::new(reply::json(
                StatusCode::FORBIDDEN,
                r#"{"error":"Failed to parse Connect Session Auth Token"}"#,
            ))),
        }
    }

    /// True when the account has failed so often that only a person can sign in.
    fn is_locked(&self, user: &str) -> bool {
        let failed = || lock(&self.failures).get(user).copied().unwrap_or(0);
        self.captcha_after.is_some_and(|most| failed() >= most)
    }
}

/// 401 as Jira answers wrong or missing credentials: JSON on Cloud, a page for people on Data Center.
pub(super) fn unauthenticated(kind: Kind, login_reason: &str) -> Reply {
    let refused = match kind {
        Kind::Cloud => {
            let body = r#"{"message":"Client must be authenticated to access this resource.","status-code":401}"#;
            reply::json(StatusCode::UNAUTHORIZED, body)
        }
        Kind::DataCenter => reply::html(StatusCode::UNAUTHORIZED, "Unauthorized (401)"),
    };
    let refused = reply::with(refused, "x-seraph-loginreason", login_reason);
    reply::with(refused, "www-authenticate", "OAuth realm=\"simulated\"")
}

/// The demand for a CAPTCHA: 401 on Cloud, 403 on Data Center.
pub(super) fn captcha(kind: Kind) -> Reply {
    let refused = match kind {
        Kind::Cloud => unauthenticated(kind, "AUTHENTICATION_DENIED"),
        Kind::DataCenter => {
            let refused = reply::html(StatusCode::FORBIDDEN, "Forbidden (403)");
            reply::with(refused, "x-seraph-loginreason", "AUTHENTICATION_DENIED")
        }
    };
    let reason = "CAPTCHA_CHALLENGE; login-url=https://jira.example.com/login.jsp";
    reply::with(refused, "x-authentication-denied-reason", reason)
}
