//! People and sprints, as issues name them.

use async_graphql::{Context, ID, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::super::loaders::UserOf;
use super::loaders;
use crate::app::issue as app;

/// A person as a site of Jira knows them.
#[derive(Clone, SimpleObject)]
pub struct User {
    /// SITE:ACCOUNT.
    pub id: ID,
    /// Jira's id of the account; empty where Jira names nobody.
    pub account_id: String,
    /// The name that Jira shows.
    pub display_name: String,
    /// Null where Jira hides it.
    pub email: Option<String>,
    /// Whether the account is in use.
    pub active: bool,
}

pub async fn user(context: &Context<'_>, issue: &app::Issue, account: &str) -> Result<User> {
    let known = loaders(context).load_one(UserOf(issue.site_id, account.to_owned())).await?;
    let id = ID(format!("{}:{account}", issue.site));
    Ok(match known {
        Some(known) => User {
            id,
            account_id: known.account_id,
            display_name: known.display_name,
            email: known.email,
            active: known.active,
        },
        None => {
            User { id, account_id: account.to_owned(), display_name: account.to_owned(), email: None, active: false }
        }
    })
}

/// Whoever wrote something; Jira names nobody where the account was deleted, or for what came from outside.
pub async fn author(context: &Context<'_>, issue: &app::Issue, account: Option<&str>) -> Result<User> {
    match account {
        Some(account) => user(context, issue, account).await,
        None => Ok(User {
            id: ID(format!("{}:", issue.site)),
            account_id: String::new(),
            display_name: "Unknown".to_owned(),
            email: None,
            active: false,
        }),
    }
}

/// The sprint of an issue.
#[derive(Clone, SimpleObject)]
pub struct Sprint {
    /// SITE:ID.
    pub id: ID,
    /// Its name.
    pub name: String,
    /// `active`, `future` or `closed`.
    pub state: String,
    /// When it began, or is planned to.
    pub start_date: Option<DateTime<Utc>>,
    /// When it is planned to end.
    pub end_date: Option<DateTime<Utc>>,
}
