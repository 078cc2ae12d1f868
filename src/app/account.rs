//! Accounts of people who sign in: who there is, what they may do, and which projects they reach.
//!
//! What must hold: nobody gives what they do not have, and nobody takes over an account that may do more than they; by the API
//! nobody removes, disables or demotes themselves, so that one administrator is left; what changes counts for open sessions at once.

use secrecy::SecretString;
use uuid::Uuid;

use super::{Actor, App, Error, Result, Role, Verb, password, project};
use crate::store::account::{self, NewAccount};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::within;

pub use crate::store::account::Account;

/// An account to be made.
#[derive(Clone, Debug, Default)]
pub struct NewOne {
    /// What they sign in with.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// `viewer`, `operator` or `administrator`; `viewer` if it is left out.
    pub role: Option<String>,
    /// Whether they read comments and worklogs that Jira shows to some people only.
    pub restricted: bool,
    /// The only projects that they reach, each as KEY or SITE/KEY; all where there are none.
    pub projects: Vec<String>,
    /// Their password; none where an OpenID provider says who they are.
    pub password: Option<SecretString>,
}

/// What changes of an account; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Another role.
    pub role: Option<String>,
    /// Whether they read what is restricted.
    pub restricted: Option<bool>,
    /// Other projects, each as KEY or SITE/KEY; an empty list for all.
    pub projects: Option<Vec<String>>,
    /// Another address; an empty text for none.
    pub email: Option<String>,
    /// Another password; it ends their sessions.
    pub password: Option<SecretString>,
    /// Whether it is disabled; it ends their sessions, and their tokens do nothing meanwhile.
    pub disabled: Option<bool>,
}

/// Accounts by name.
///
/// # Errors
/// Where the actor may not.
pub async fn list(app: &App, actor: &Actor) -> Result<Vec<Account>> {
    actor.may_everywhere(Verb::ReadAccounts)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, account::list(&pool))).await?)
}

/// The account of that name.
///
/// # Errors
/// Where the actor may not, or there is none.
pub async fn find(app: &App, actor: &Actor, name: &str) -> Result<Account> {
    actor.may_everywhere(Verb::ReadAccounts)?;
    named(app, name).await
}

async fn named(app: &App, name: &str) -> Result<Account> {
    let pool = app.pool();
    let found = match name.contains('\0') {
        true => None,
        false => again(|| within(LONGEST, account::find(&pool, name))).await?,
    };
    found.ok_or_else(|| {
        Error::not_found(format!("there is no account {name:?}")).help("list accounts with `syncline account list`")
    })
}

/// Makes an account.
///
/// # Errors
/// Where the actor may not, the name is taken, or something was asked wrongly.
pub async fn create(app: &App, actor: &Actor, asked: &NewOne) -> Result<Account> {
    actor.may_everywhere(Verb::CreateAccount)?;
    let name = name(&asked.name)?;
    let role = asked.role.as_deref().map_or(Ok(Role::Viewer), role)?;
    no_more_than(actor, role, asked.restricted)?;
    let email = asked.email.as_deref().map(email).transpose()?.flatten();
    let projects = projects(app, actor, &asked.projects).await?;
    let password_hash = match &asked.password {
        Some(text) => {
            password::check("password", text, name)?;
            Some(password::hash(app, text).await?)
        }
        None => None,
    };
    let new = NewAccount {
        id: app.clock.new_id(),
        name: name.to_owned(),
        email,
        role: role.as_str(),
        restricted: asked.restricted,
        projects,
        password_hash,
    };
    let (pool, who) = (app.pool(), actor.who());
    match undisturbed(|| account::create(&pool, &new, &who)).await? {
        true => named(app, name).await,
        false => Err(Error::conflict(format!("an account named {name:?} exists"))
            .help("choose another name; upper and lower case are the same")),
    }
}

/// Changes an account.
///
/// # Errors
/// Where the actor may not, there is no such account, or something was asked wrongly.
pub async fn change(app: &App, actor: &Actor, name: &str, asked: &Change) -> Result<Account> {
    actor.may_everywhere(Verb::ChangeAccount)?;
    let seen = reachable(app, actor, name).await?;
    let new_role = asked.role.as_deref().map(role).transpose()?;
    let now = (new_role.or(Role::parse(&seen.role)), asked.restricted.unwrap_or(seen.restricted));
    if let (Some(role), restricted) = now {
        no_more_than(actor, role, restricted)?;
    }
    let demotes = new_role.is_some_and(|new| Role::parse(&seen.role).is_some_and(|old| new < old));
    if demotes || asked.disabled == Some(true) || asked.projects.as_ref().is_some_and(|some| !some.is_empty()) {
        not_oneself(actor, &seen)?;
    }
    let password_hash = match &asked.password {
        Some(text) => {
            password::check("password", text, &seen.name)?;
            Some(password::hash(app, text).await?)
        }
        None => None,
    };
    let projects = match &asked.projects {
        Some(named) => Some(projects(app, actor, named).await?),
        None => None,
    };
    let change = account::Change {
        role: new_role.map(Role::as_str),
        restricted: asked.restricted,
        projects,
        email: asked.email.as_deref().map(email).transpose()?,
        password_hash,
        disabled: asked.disabled,
        spared: actor.session,
    };
    let (pool, who) = (app.pool(), actor.who());
    match undisturbed(|| account::change(&pool, &seen, &change, &who)).await? {
        true => named(app, &seen.name).await,
        false => Err(meanwhile(&seen)),
    }
}

/// Removes an account with its sessions, and revokes its tokens.
///
/// # Errors
/// Where the actor may not, or there is no such account.
pub async fn remove(app: &App, actor: &Actor, name: &str) -> Result<Account> {
    actor.may_everywhere(Verb::RemoveAccount)?;
    let seen = reachable(app, actor, name).await?;
    not_oneself(actor, &seen)?;
    let (pool, who) = (app.pool(), actor.who());
    match undisturbed(|| account::remove(&pool, &seen, &who)).await? {
        true => Ok(seen),
        false => Err(meanwhile(&seen)),
    }
}

/// The account, if it may do no more than the actor.
async fn reachable(app: &App, actor: &Actor, name: &str) -> Result<Account> {
    let seen = named(app, name).await?;
    if let Some(role) = Role::parse(&seen.role) {
        no_more_than(actor, role, seen.restricted)?;
    }
    Ok(seen)
}

fn no_more_than(actor: &Actor, role: Role, restricted: bool) -> Result<()> {
    match role.scopes(restricted).beyond(&actor.scopes) {
        None => Ok(()),
        Some(beyond) => Err(Error::forbidden(format!(
            "{} does not have the scope {} and may not handle accounts that have it",
            actor.name,
            beyond.as_str()
        ))
        .help("do it at the command line: `syncline account`")),
    }
}

fn not_oneself(actor: &Actor, account: &Account) -> Result<()> {
    match actor.account == Some(account.id) {
        false => Ok(()),
        true => Err(Error::conflict("nobody removes, disables or limits their own account")
            .help("ask another administrator, or do it at the command line: `syncline account`")),
    }
}

fn meanwhile(account: &Account) -> Error {
    Error::conflict(format!("somebody else changed the account {:?} meanwhile", account.name))
        .help("look, and try again")
}

fn name(text: &str) -> Result<&str> {
    let is_good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    match !text.is_empty() && text.chars().count() <= 100 && text.chars().all(is_good) {
        true => Ok(text),
        false => Err(Error::invalid("name", "name is empty, longer than 100 characters, or holds other characters")
            .help("letters, digits and . - _ @ +, such as `ana.silva`")),
    }
}

fn role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| {
        let all = Role::ALL.map(Role::as_str).join(", ");
        Error::invalid("role", format!("role knows no {text:?}")).help(format!("one of {all}"))
    })
}

fn email(text: &str) -> Result<Option<String>> {
    let is_address = |text: &str| {
        text.len() <= 254
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            && text.split_once('@').is_some_and(|(before, after)| !before.is_empty() && !after.is_empty())
    };
    match text {
        "" => Ok(None),
        text if is_address(text) => Ok(Some(text.to_owned())),
        _ => Err(Error::invalid("email", "email is no address").help("an address such as ana@example.com")),
    }
}

async fn projects(app: &App, actor: &Actor, named: &[String]) -> Result<Option<Vec<Uuid>>> {
    match named {
        [] => Ok(None),
        named => project::reach(app, actor, Some(named), None, None).await,
    }
}
