//! Tokens of the API: made once, shown once, revoked at any time.
//!
//! What must hold: nobody gives what they do not have; a token leaves this module once, in the answer to who made it, and never a log line, an error or `Debug`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Actor, App, Error, Result, Role, Scope, Scopes, Verb, Way, project};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::token::{self, NewToken};
use crate::store::within;

pub use crate::store::token::Token;

/// Begins each token, so that a leaked one is recognised.
const PREFIX: &str = "syncline_";
const DAY: f64 = 86_400.0;
/// The longest life of a token that has an end.
const LONGEST_LIFE_DAYS: i64 = 3_650;

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub struct NewOne {
    /// What people call it.
    pub name: String,
    /// What its bearer may do, as they are written; `read` where there are none.
    pub scopes: Vec<String>,
    /// The only projects that it reaches, each as KEY or SITE/KEY; all where there are none.
    pub projects: Vec<String>,
    /// How many days it works; for ever if it is left out.
    pub days: Option<i64>,
}

/// Makes a token. What it answers is shown once and kept nowhere.
///
/// # Errors
/// Where the actor may not, the name is taken, or something was asked wrongly.
pub async fn create(app: &App, actor: &Actor, asked: &NewOne) -> Result<SecretString> {
    actor.may(Verb::CreateToken)?;
    if asked.name.trim().is_empty() || asked.name.chars().count() > 100 || asked.name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "name is empty, longer than 100 characters, or holds control characters")
            .help("name the program or person that uses the token, such as `grafana`"));
    }
    let scopes = scopes(&asked.scopes)?;
    if let Some(beyond) = scopes.beyond(&actor.scopes) {
        return Err(Error::forbidden(format!("{} may not give the scope {}", actor.name, beyond.as_str()))
            .help("give scopes that you have, or make the token at the command line"));
    }
    if let Some(days) = asked.days
        && !(1..=LONGEST_LIFE_DAYS).contains(&days)
    {
        return Err(Error::invalid("days", format!("days is {days}")).help(format!("from 1 to {LONGEST_LIFE_DAYS}")));
    }
    let projects = match asked.projects.as_slice() {
        [] => actor.projects.clone(),
        named => project::reach(app, actor, Some(named), None, None).await?,
    };
    let mut chance = [0; 32];
    app.clock.fill_random(&mut chance);
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(chance));
    let new = NewToken {
        id: app.clock.new_id(),
        name: asked.name.trim().to_owned(),
        fingerprint: fingerprint(&token),
        scopes: scopes.texts(),
        projects,
        #[allow(clippy::cast_precision_loss)] // bounded above
        lives: asked.days.map(|days| days as f64 * DAY),
        account: actor.account,
    };
    let (pool, who) = (app.pool(), actor.who());
    match undisturbed(|| token::create(&pool, &new, &who)).await? {
        true => Ok(SecretString::from(token)),
        false => Err(Error::conflict(format!("a token named {:?} exists", new.name))
            .help(format!("choose another name, or revoke it: `syncline token revoke {:?}`", new.name))),
    }
}

fn scopes(texts: &[String]) -> Result<Scopes> {
    if texts.is_empty() {
        return Ok(Scopes::of([Scope::Read]));
    }
    let known = |text: &String| {
        let all = Scope::ALL.map(Scope::as_str).join(", ");
        Scope::parse(text)
            .ok_or_else(|| Error::invalid("scopes", format!("scopes knows no {text:?}")).help(format!("some of {all}")))
    };
    Ok(Scopes::of(texts.iter().map(known).collect::<Result<Vec<_>>>()?))
}

fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Tokens, newest first; those that were revoked too, if `revoked`.
///
/// # Errors
/// Where the actor may not.
pub async fn list(app: &App, actor: &Actor, revoked: bool) -> Result<Vec<Token>> {
    actor.may_everywhere(Verb::ReadTokens)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, token::list(&pool, revoked))).await?)
}

/// Revokes the token with that name or id; answers its name.
///
/// # Errors
/// Where the actor may not, or no such token works.
pub async fn revoke(app: &App, actor: &Actor, named: &str) -> Result<String> {
    actor.may_everywhere(Verb::RevokeToken)?;
    let (pool, who) = (app.pool(), actor.who());
    undisturbed(|| token::revoke(&pool, named, &who)).await?.ok_or_else(|| {
        Error::not_found(format!("no token {named:?} works")).help("list tokens with `syncline token list`")
    })
}

/// Who bears a token.
///
/// # Errors
/// When it does not work: the same answer for tokens that are unknown, revoked or over.
pub async fn actor(app: &App, token: &str, address: Option<String>) -> Result<Actor> {
    let pool = app.pool();
    let mark = fingerprint(token);
    let found = match token.starts_with(PREFIX) {
        true => again(|| within(LONGEST, token::used(&pool, &mark))).await?,
        false => None,
    };
    let found = found.ok_or_else(|| {
        Error::unauthenticated("the token does not work")
            .help("it is unknown, revoked or over: make another one with `syncline token create`")
    })?;
    let mut scopes = Scopes::of(found.scopes.iter().filter_map(|text| Scope::parse(text)));
    let mut projects = found.projects;
    if let Some(owner) = &found.account {
        scopes =
            scopes.both(&Role::parse(&owner.role).map_or_else(|| Scopes::of([]), |role| role.scopes(owner.restricted)));
        projects = narrower(projects, owner.projects.clone());
    }
    Ok(Actor {
        address,
        scopes,
        projects,
        account: found.account.map(|owner| owner.id),
        ..Actor::nobody(format!("token {}", found.name), Way::Token)
    })
}

/// The projects that are in both lists; no list is all projects.
fn narrower(one: Option<Vec<Uuid>>, other: Option<Vec<Uuid>>) -> Option<Vec<Uuid>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.into_iter().filter(|project| other.contains(project)).collect()),
        (one, other) => one.or(other),
    }
}
