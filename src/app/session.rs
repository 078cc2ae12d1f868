//! Signing in and out, and who a browser is.
//!
//! What must hold: a wrong password, an unknown name and a disabled account are answered alike and take as long; tries are counted
//! before a password is looked at, so that many at once are no way around the limits; what the browser keeps leaves this module once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Actor, App, Error, Result, Role, Scopes, Verb, Way, account, password};
use crate::observe::events;
use crate::store::account as accounts;
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::sign_in::{self, Life, NewSession};
use crate::store::within;

pub use crate::store::sign_in::Session;

/// How long a session lives: 12 hours without being used, 7 days at most.
const LIFE: Life = Life { idle: 43_200.0, whole: 604_800.0 };
/// The same at most, for the browser.
pub const WHOLE_SECONDS: u32 = 604_800;
/// Tries are counted for so long, in seconds.
const WINDOW: f64 = 900.0;
/// How many tries an account has in that time.
pub const TRIES_OF_ACCOUNT: i32 = 10;
/// How many tries an address has in that time.
pub const TRIES_OF_ADDRESS: i32 = 50;
const USER_AGENT: usize = 200;

/// Who tries to sign in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The account.
    pub name: String,
    /// Its password.
    pub password: SecretString,
    /// The address that the request came from.
    pub address: Option<String>,
    /// What the browser says it is.
    pub user_agent: Option<String>,
}

/// Signs somebody in. The answer is what the browser keeps; it is shown once and kept nowhere.
///
/// # Errors
/// When name or password is wrong, or there were too many tries.
pub async fn sign_in(app: &App, asked: &SignIn) -> Result<SecretString> {
    let name = plain(&asked.name);
    let tries = counted(app, &name, asked.address.as_deref()).await?;
    let pool = app.pool();
    let found = again(|| within(LONGEST, accounts::hash(&pool, &name))).await?;
    let (account, hash) = found.map_or((None, None), |(id, hash)| (Some(id), Some(hash)));
    let begun = match (password::is(&asked.password, hash).await?, account) {
        (true, Some(account)) => {
            begin(app, account, asked.address.as_deref(), asked.user_agent.as_deref(), &tries).await?
        }
        _ => None,
    };
    begun.ok_or_else(|| {
        tracing::warn!(
            event = events::SIGN_IN_REFUSED,
            address = asked.address.as_deref(),
            limited = false,
            "somebody could not sign in"
        );
        Error::unauthenticated("name or password is wrong")
            .help("an administrator can set another password: `syncline account password NAME`")
    })
}

/// A name as accounts have it: what strangers send may be anything.
fn plain(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Counts a try of an account from an address, and refuses one too many. Answers the account's key, whose tries a success forgets:
/// those of the address stay, so that an own account is no way to guess on.
async fn counted(app: &App, name: &str, address: Option<&str>) -> Result<Vec<String>> {
    let of_account = format!("account:{name}");
    let mut keys = vec![of_account.clone()];
    keys.extend(address.map(|address| format!("address:{address}")));
    let pool = app.pool();
    let counts = undisturbed(|| within(LONGEST, sign_in::count_try(&pool, &keys, WINDOW))).await?;
    for (key, tries, left) in counts {
        let most = if key == of_account { TRIES_OF_ACCOUNT } else { TRIES_OF_ADDRESS };
        if tries > most {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 1 to 900
            let seconds = left.clamp(1.0, WINDOW).ceil() as u64;
            tracing::warn!(event = events::SIGN_IN_REFUSED, address, limited = true, "somebody could not sign in");
            if tries == most + 1 {
                let actor = Actor { address: address.map(str::to_owned), ..Actor::nobody("nobody", Way::Session) };
                // Who has no such account may have typed a password in its place.
                let is_known = accounts::find(&pool, name).await?.is_some();
                let key = if key != of_account || is_known { key.as_str() } else { "account:unknown" };
                sign_in::note_limit(&pool, &actor.who(), key).await?;
            }
            return Err(Error::limited("there were too many tries to sign in", seconds)
                .help(format!("wait for {} minutes", seconds.div_ceil(60))));
        }
    }
    Ok(vec![of_account])
}

/// Begins a session of an account; none when it does not exist any more or was disabled.
pub(super) async fn begin(
    app: &App,
    account: Uuid,
    address: Option<&str>,
    user_agent: Option<&str>,
    tries: &[String],
) -> Result<Option<SecretString>> {
    let mut chance = [0; 32];
    app.clock.fill_random(&mut chance);
    let token = URL_SAFE_NO_PAD.encode(chance);
    let user_agent: Option<String> =
        user_agent.map(|text| text.chars().filter(|c| !c.is_control()).take(USER_AGENT).collect());
    let new =
        NewSession { id: app.clock.new_id(), fingerprint: fingerprint(&token), user_agent: user_agent.as_deref() };
    let actor = Actor { address: address.map(str::to_owned), ..Actor::nobody("", Way::Session) };
    let (pool, who) = (app.pool(), actor.who());
    let begun = undisturbed(|| sign_in::begin(&pool, account, &new, LIFE, tries, &who)).await?;
    Ok(begun.then(|| SecretString::from(token)))
}

fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Who a browser is.
///
/// # Errors
/// When its session does not work: the same answer for sessions that are unknown, ended or over.
pub async fn actor(app: &App, token: &str, address: Option<String>) -> Result<Actor> {
    let (pool, mark) = (app.pool(), fingerprint(token));
    let found = again(|| within(LONGEST, sign_in::used(&pool, &mark, LIFE.idle))).await?;
    let found = found.ok_or_else(|| Error::unauthenticated("the session is over").help("sign in again"))?;
    Ok(Actor {
        address,
        scopes: Role::parse(&found.role).map_or_else(|| Scopes::of([]), |role| role.scopes(found.restricted)),
        projects: found.projects,
        account: Some(found.account_id),
        session: Some(found.id),
        ..Actor::nobody(found.name, Way::Session)
    })
}

/// Ends the session of who asks; nothing where there is none.
///
/// # Errors
/// When the database cannot be asked.
pub async fn sign_out(app: &App, actor: &Actor) -> Result<()> {
    if let Some(session) = actor.session {
        let (pool, who) = (app.pool(), actor.who());
        undisturbed(|| sign_in::end(&pool, Some(session), None, &who)).await?;
    }
    Ok(())
}

/// Sessions that work, newest first: of an account, or of all. Everybody lists their own.
///
/// # Errors
/// Where the actor may not, or there is no such account.
pub async fn list(app: &App, actor: &Actor, named: Option<&str>) -> Result<Vec<Session>> {
    let account = match named {
        Some(name) => Some(account::find(app, actor, name).await?.id),
        None if actor.may_everywhere(Verb::ReadSessions).is_ok() => None,
        None => Some(own(actor, Verb::ReadSessions)?),
    };
    let (pool, current) = (app.pool(), actor.session);
    Ok(again(|| within(LONGEST, sign_in::list(&pool, account, current, LIFE.idle))).await?)
}

/// The account of who is signed in; whoever is not needs the verb.
fn own(actor: &Actor, verb: Verb) -> Result<Uuid> {
    match (actor.session, actor.account) {
        (Some(_), Some(account)) => Ok(account),
        _ => Err(actor.may_everywhere(verb).err().unwrap_or_else(|| Error::forbidden("nobody is signed in"))),
    }
}

/// Ends one session. Everybody ends their own.
///
/// # Errors
/// When there is no such session within reach.
pub async fn end(app: &App, actor: &Actor, session: Uuid) -> Result<()> {
    let account = match actor.may_everywhere(Verb::EndSessions) {
        Ok(()) => None,
        Err(_) => Some(own(actor, Verb::EndSessions)?),
    };
    let (pool, who) = (app.pool(), actor.who());
    match undisturbed(|| sign_in::end(&pool, Some(session), account, &who)).await? {
        0 => Err(Error::not_found("there is no such session").help("list them with `syncline account sessions`")),
        _ => Ok(()),
    }
}

/// Ends all sessions of an account; answers how many there were.
///
/// # Errors
/// Where the actor may not, or there is no such account.
pub async fn end_all(app: &App, actor: &Actor, name: &str) -> Result<usize> {
    actor.may_everywhere(Verb::EndSessions)?;
    let account = account::find(app, actor, name).await?.id;
    let (pool, who) = (app.pool(), actor.who());
    Ok(undisturbed(|| sign_in::end(&pool, None, Some(account), &who)).await?)
}

/// Gives who asks another password, if they know the one that they have; it ends their other sessions.
///
/// # Errors
/// When nobody is signed in, the present password is wrong, or the new one is easily guessed.
pub async fn change_password(app: &App, actor: &Actor, present: &SecretString, new: &SecretString) -> Result<()> {
    let (Way::Session, Some(_)) = (actor.way, actor.account) else {
        return Err(Error::forbidden(format!("{} has no password", actor.name)).help("sign in"));
    };
    let tries = counted(app, &plain(&actor.name), actor.address.as_deref()).await?;
    password::check("new_password", new, &actor.name)?;
    let pool = app.pool();
    let hash = again(|| within(LONGEST, accounts::hash(&pool, &actor.name))).await?.map(|(_, hash)| hash);
    if !password::is(present, hash).await? {
        return Err(
            Error::invalid("password", "the present password is wrong").help("write the one that you signed in with")
        );
    }
    let seen = again(|| within(LONGEST, accounts::find(&pool, &actor.name))).await?;
    let seen = seen.ok_or_else(|| Error::unauthenticated("the account was removed"))?;
    let hash = Some(password::hash(app, new).await?);
    let change = accounts::Change { password_hash: hash, spared: actor.session, ..accounts::Change::default() };
    let who = actor.who();
    if !undisturbed(|| accounts::change(&pool, &seen, &change, &who)).await? {
        return Err(Error::conflict("an administrator changed your account meanwhile").help("try again"));
    }
    undisturbed(|| sign_in::forget_tries(&pool, &tries)).await?;
    Ok(())
}

/// When the session of who asks ends.
///
/// # Errors
/// When the database cannot be asked.
pub async fn ends_at(app: &App, actor: &Actor) -> Result<Option<DateTime<Utc>>> {
    let (Some(session), Some(account)) = (actor.session, actor.account) else { return Ok(None) };
    let pool = app.pool();
    let open = again(|| within(LONGEST, sign_in::list(&pool, Some(account), Some(session), LIFE.idle))).await?;
    Ok(open.into_iter().find(|one| one.current).map(|one| one.ends_at))
}
