//! Who is calling, and what they may see.

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;

use super::catalogue::Catalogue;
use super::options::Account;
use super::reply::{self, Reply};

/// The caller of one request; the middleware puts it into the request's extensions.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Anonymous,
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
}

impl Viewer {
    pub(super) fn may_browse(&self, project: u16) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(&project))
    }

    /// Restricted accounts may not list the site's users either.
    pub(super) fn may_list_users(&self) -> bool {
        self.projects.is_none()
    }
}

/// The accounts by the value of the `Authorization` header that opens them.
#[derive(Debug)]
pub(super) struct Accounts(Vec<(String, Viewer)>);

impl Accounts {
    pub(super) fn new(accounts: &[Account], catalogue: &Catalogue) -> Self {
        let viewer = |person: u16, account: &Account| Viewer {
            person,
            zone: account.zone,
            projects: account
                .projects
                .as_ref()
                .map(|keys| Arc::new(keys.iter().filter_map(|key| catalogue.project(key)).collect())),
        };
        let header = |account: &Account| STANDARD.encode(format!("{}:{}", account.email, account.token));
        Self((0u16..).zip(accounts).map(|(person, account)| (header(account), viewer(person, account))).collect())
    }

    /// Tells the caller; the error is the answer to wrong credentials.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Caller, Box<Reply>> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous) };
        let value = value.to_str().unwrap_or_default();
        if let Some(encoded) = value.strip_prefix("Basic ") {
            return match self.0.iter().find(|(expected, _)| expected == encoded) {
                Some((_, viewer)) => Ok(Caller::Known(viewer.clone())),
                None => Err(Box::new(unauthenticated("AUTHENTICATED_FAILED"))),
            };
        }
        // Bearer tokens belong on api.atlassian.com; the site's own address refuses them in a shape of its own.
        Err(Box::new(reply::json(StatusCode::FORBIDDEN, r#"{"error":"Failed to parse Connect Session Auth Token"}"#)))
    }
}

/// 401 as Jira answers wrong or missing credentials.
pub(super) fn unauthenticated(login_reason: &str) -> Reply {
    let body = r#"{"message":"Client must be authenticated to access this resource.","status-code":401}"#;
    let refused = reply::json(StatusCode::UNAUTHORIZED, body);
    let refused = reply::with(refused, "x-seraph-loginreason", login_reason);
    reply::with(refused, "www-authenticate", "OAuth realm=\"simulated\"")
}
