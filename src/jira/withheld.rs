//! Telling an endpoint that a site does not have from a site that does not answer.

use super::JiraClient;
use crate::domain::failure::{Failure, FailureCode};

/// How often what was refused is asked for again before it counts as withheld: that is passed over for good, and the refusal
/// of a moment must not be taken for it.
pub const LOOKS_BEFORE_WITHHELD: usize = 4;

/// Whether a refusal means that the site withholds this one thing and is otherwise there: it says so for good, and it still
/// lets the account in. Proxies and partial servers answer 404 in forms of their own, and so does the front door of a site
/// that is suspended; only the second question tells them apart.
///
/// # Errors
/// What the site answers to the second question, when it does not let the account in.
pub async fn is_withheld(jira: &JiraClient, failure: &Failure) -> Result<bool, Failure> {
    let for_good = matches!(
        failure.code,
        FailureCode::ApiRemoved
            | FailureCode::Permission
            | FailureCode::NotFoundProject
            | FailureCode::SiteUnavailable
            | FailureCode::Unknown
    );
    if !for_good || failure.retry_after.is_some() {
        return Ok(false);
    }
    jira.myself().await?;
    Ok(true)
}
