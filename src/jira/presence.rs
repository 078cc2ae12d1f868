//! Whether an issue that is not shown is gone, or there and hidden.
//!
//! Cloud says the same of both (404). Data Center tells an account that is signed in: 403 of an issue that it may not see,
//! 404 of one that does not exist. Its search knows only what its index knows, which may be behind or incomplete, so there
//! an issue that a query leaves out is asked for by itself.

use serde_json::Value;

use super::answers::{Offered, RawPage};
use super::client::{Api, JiraClient, offered};
use super::endpoint::Endpoint;
use super::repair;
use crate::domain::failure::Failure;
use crate::domain::site_kind::SiteKind;

/// What Jira says of one issue.
#[derive(Clone, Debug)]
pub enum Presence {
    /// Here it is: an issue by itself, as [`super::normalise::parse_single`] reads it.
    There(RawPage),
    /// It is there, and the account may not see it.
    Hidden,
    /// It does not exist; on Cloud it may be hidden as well.
    Gone,
}

impl JiraClient {
    /// Whether the site tells issues that are hidden from those that are gone, when it is asked for one by itself.
    pub fn tells_hidden(&self) -> bool {
        self.kind == SiteKind::DataCenter
    }

    /// One issue, or why it is not shown.
    pub async fn presence(&self, issue_id: i64, fields: &[String]) -> Result<Presence, Failure> {
        match self.single_issue(&issue_id.to_string(), fields).await {
            Ok(body) => Ok(Presence::There(RawPage::new(body))),
            Err(refused) if refused.too_large => {
                let slim = self.slim_issue(issue_id, None, fields).await?;
                Ok(slim.map_or(Presence::Gone, |body| Presence::There(RawPage::new(body))))
            }
            Err(refused) if refused.is_gone() => Ok(Presence::Gone),
            Err(refused) if refused.is_hidden() => Ok(Presence::Hidden),
            Err(refused) => Err(refused.failure),
        }
    }

    /// Whether single issues of a project are known to be hidden by security levels: it has a scheme of them, or the account
    /// is shown levels. Those who administer nothing are told neither, so that false is no certainty.
    pub async fn hides_issues(&self, project_id: i64) -> Result<bool, Failure> {
        let path = format!("project/{project_id}/issuesecuritylevelscheme");
        let scheme = self.try_get(Endpoint::SecurityScheme, Api::Platform, &path, &[]).await;
        if let Offered::Available(_) = offered(scheme)? {
            return Ok(true);
        }
        let path = format!("project/{project_id}/securitylevel");
        let levels = self.try_get(Endpoint::SecurityLevels, Api::Platform, &path, &[]).await;
        let Offered::Available(body) = offered(levels)? else { return Ok(false) };
        let value: Value = repair::read_owned(&body).unwrap_or_default();
        Ok(value.get("levels").and_then(Value::as_array).is_some_and(|levels| !levels.is_empty()))
    }
}
