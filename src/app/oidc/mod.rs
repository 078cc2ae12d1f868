//! Signing in by an OpenID provider: authorization code with PKCE.
//!
//! What must hold: an answer counts once, within ten minutes, and only in the browser that asked (what was asked is kept there,
//! sealed); the ID token is for this program, of this provider, for this question; who somebody is at the provider is its subject and
//! never a name or an address that people choose; a provider that does not answer is an error after seconds.

mod flow;
mod identity;
mod provider;

use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use super::{App, Error, Result, Role, session};
use crate::config::{OidcConfig, ServeConfig};
use crate::store::account as accounts;
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::within;

pub use flow::FLOW_SECONDS;

use flow::Flow;
use identity::Identity;
use provider::Provider;

/// Signing in by the configured provider; cheap to clone.
#[derive(Clone, Debug)]
pub struct Oidc(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: OidcConfig,
    redirect: Url,
    provider: Provider,
    seal: flow::Seal,
}

/// Where a browser is sent, and what it keeps meanwhile.
#[derive(Debug)]
pub struct Begun {
    /// The provider's page.
    pub to: Url,
    /// What the browser keeps until the answer.
    pub kept: SecretString,
}

/// What a browser brings back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The question that it answers.
    pub state: String,
    /// What stands for the person; it is used once.
    pub code: SecretString,
    /// What the browser kept.
    pub kept: SecretString,
    /// Who answers, where the provider says so (RFC 9207).
    pub issuer: Option<String>,
    /// The address that the request came from.
    pub address: Option<String>,
    /// What the browser says it is.
    pub user_agent: Option<String>,
}

impl Oidc {
    /// By the provider of the configuration, if it names one.
    pub fn new(config: &ServeConfig) -> Option<Self> {
        let oidc = config.oidc.clone();
        let (Some(issuer), Some(id), Some(secret), Some(public)) =
            (&oidc.issuer, &oidc.client_id, &oidc.client_secret, config.public())
        else {
            return None;
        };
        let provider = Provider::new(issuer, id, secret);
        let seal = flow::Seal::of(secret);
        let path = format!("{}/auth/oidc/callback", public.path().trim_end_matches('/'));
        let mut redirect = public;
        redirect.set_path(&path);
        Some(Self(Arc::new(Inner { config: oidc, redirect, provider, seal })))
    }

    /// Begins: where the browser is to go, so that it comes back to `next`.
    ///
    /// # Errors
    /// When the provider does not answer.
    pub async fn begin(&self, app: &App, next: &str) -> Result<Begun> {
        let inner = &self.0;
        let flow = Flow::new(&app.clock, next);
        let known = inner.provider.known(&app.clock).await?;
        let mut to = known.authorization_endpoint.clone();
        to.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", inner.provider.client_id())
            .append_pair("redirect_uri", inner.redirect.as_str())
            .append_pair("scope", &inner.config.scopes)
            .append_pair("state", &flow.state)
            .append_pair("nonce", &flow.nonce)
            .append_pair("code_challenge", &flow.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { to, kept: inner.seal.close(&app.clock, &flow)? })
    }

    /// Ends: signs in whoever the provider says it is. Answers what the browser keeps, and where it wanted to go.
    ///
    /// # Errors
    /// When the answer is not of this question, the provider does not vouch for anybody, or none of their groups has a role.
    pub async fn end(&self, app: &App, answer: &Answer) -> Result<(SecretString, String)> {
        let inner = &self.0;
        let flow =
            inner.seal.open(&app.clock, &answer.kept).filter(|flow| flow.state == answer.state).ok_or_else(|| {
                Error::unauthenticated("this sign-in was not begun in this browser, or took longer than ten minutes")
                    .help("sign in again")
            })?;
        if answer.issuer.as_deref().is_some_and(|issuer| issuer != inner.provider.issuer()) {
            return Err(Error::unauthenticated("another provider answers than was asked").help("sign in again"));
        }
        let identity =
            inner.provider.identify(&app.clock, &inner.config, &answer.code, &flow, inner.redirect.as_str()).await?;
        let role = self.role(&identity)?;
        let account = self.account(app, &identity, role, answer.address.as_deref()).await?;
        let begun = session::begin(app, account, answer.address.as_deref(), answer.user_agent.as_deref(), &[]).await?;
        let begun = begun.ok_or_else(|| {
            Error::forbidden("the account is disabled")
                .help("an administrator can enable it: `syncline account enable NAME`")
        })?;
        Ok((begun, flow.next))
    }

    /// The highest role of somebody's groups.
    fn role(&self, identity: &Identity) -> Result<Role> {
        let of = |(group, role): (&str, &str)| {
            (group == "*" || identity.groups.iter().any(|one| one == group)).then(|| Role::parse(role)).flatten()
        };
        self.0.config.roles().filter_map(of).max().ok_or_else(|| {
            Error::forbidden("none of your groups may sign in here")
                .help("an administrator gives groups their roles: the configuration `oidc.groups`")
        })
    }

    /// The account of somebody, made or brought up to date.
    async fn account(&self, app: &App, identity: &Identity, role: Role, address: Option<&str>) -> Result<uuid::Uuid> {
        let pool = app.pool();
        let issuer = self.0.provider.issuer();
        let told = accounts::Told {
            id: app.clock.new_id(),
            issuer,
            subject: &identity.subject,
            name: &identity.name,
            email: identity.email.as_deref(),
            is_email_verified: identity.is_email_verified,
            role: role.as_str(),
        };
        let found = again(|| within(LONGEST, accounts::of_subject(&pool, issuer, &identity.subject))).await?;
        let actor = super::Actor {
            address: address.map(str::to_owned),
            ..super::Actor::nobody(found.as_ref().map_or(identity.name.as_str(), |one| &one.name), super::Way::Session)
        };
        let who = actor.who();
        undisturbed(|| accounts::tell(&pool, &told, &who)).await?.ok_or_else(|| {
            Error::conflict(format!("another account is named {:?}", identity.name)).help(
                "an administrator can rename nothing: remove the other account, or give it your e-mail address and no password",
            )
        })
    }
}
