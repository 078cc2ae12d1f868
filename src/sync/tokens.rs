//! Access tokens of OAuth sites: one refresh for all who ask, in this process and in every other.
//!
//! What must hold: a token is given out only after the pair that it belongs to is stored; of many who find it expired one
//! asks Jira, and the others wait for what it stores; a token that Jira refuses right after it was given is not replaced
//! again, so that lost permissions make no storm of refreshes. The old refresh token is kept until the new one is stored:
//! who takes over from a process that died in between sends it again within Atlassian's leeway, and one whose database was
//! away stores what it has before it asks for another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use url::Url;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{SecretsConfig, secret};
use crate::domain::failure::{Failure, FailureCode};
use crate::jira::HttpPool;
use crate::jira::auth::TokenSource;
use crate::jira::oauth::{OAuthClient, Tokens};
use crate::store::oauth::{self, SealedPair, StoredTokens};
use crate::store::patience::{ANSWER, again};
use crate::store::{Connections, within};

/// A token that ends sooner is replaced before it is used.
const MARGIN: Duration = Duration::from_secs(60);
/// A token that was given so recently and is refused was not refused for its age.
const FRESH_SECONDS: f64 = 20.0;
/// For one exchange of a refresh token.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long others leave a refresh to who began it: longer than one exchange can take.
const LEASE: Duration = Duration::from_secs(30);
/// How long another one's refresh is waited for: its lease, and one more.
const PATIENCE: Duration = Duration::from_secs(75);
/// How often the row is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The tokens of one site.
pub struct SiteTokens {
    site_id: Uuid,
    site_name: String,
    connections: Connections,
    http: HttpPool,
    secrets: SecretsConfig,
    clock: Clock,
    cached: Mutex<Option<Cached>>,
    /// A pair that was given and could not be stored.
    unstored: Mutex<Option<Given>>,
    /// One of this process asks the database at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Cached {
    token: SecretString,
    until: Instant,
}

/// A pair as it is to be stored.
#[derive(Clone)]
struct Given {
    /// The generation that it follows.
    generation: i64,
    sealed_access: String,
    sealed_refresh: String,
    access_token: SecretString,
    ends: Instant,
}

impl SiteTokens {
    /// The tokens of a site, over the process' connections.
    pub fn new(
        site: (Uuid, &str),
        connections: impl Into<Connections>,
        http: HttpPool,
        secrets: SecretsConfig,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            site_id: site.0,
            site_name: site.1.to_owned(),
            connections: connections.into(),
            http,
            secrets,
            clock,
            cached: Mutex::default(),
            unstored: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    fn pool(&self) -> PgPool {
        self.connections.now()
    }

    fn cached(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (cached.until > Instant::now() && !is_same(refused, &cached.token)).then_some(cached.token)
    }

    fn keep(&self, token: &SecretString, lives_for: Duration) {
        let until = Instant::now() + lives_for.saturating_sub(MARGIN);
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some(Cached { token: token.clone(), until });
    }

    async fn get(&self, refused: Option<SecretString>) -> Result<SecretString, Failure> {
        if let Some(token) = self.cached(refused.as_ref()) {
            return Ok(token);
        }
        let _turn = self.turn.lock().await;
        if let Some(token) = self.cached(refused.as_ref()) {
            return Ok(token);
        }
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let pool = self.pool();
            let stored = again(|| within(ANSWER, oauth::load(&pool, self.site_id))).await.map_err(unread)?;
            let stored = stored.ok_or_else(|| self.expired("nobody has authorized the site yet"))?;
            if stored.is_revoked {
                return Err(self.expired("its refresh token was already used or revoked"));
            }
            if let Some(token) = self.usable(&stored, refused.as_ref())? {
                return Ok(token);
            }
            if let Some(given) = self.unstored(stored.generation) {
                if let Some(token) = self.store(given).await? {
                    return Ok(token);
                }
                continue;
            }
            let owner = self.clock.new_id();
            let claimed = oauth::claim(&pool, self.site_id, owner, stored.generation, LEASE);
            if within(ANSWER, claimed).await.map_err(unread)? {
                if let Some(token) = self.refresh(&stored, owner).await? {
                    return Ok(token);
                }
                continue; // somebody else's pair is newer
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(Failure::new(
            FailureCode::Timeout,
            format!("site {}: no other worker has refreshed its token in time", self.site_name),
        ))
    }

    /// The stored token, where it still counts.
    fn usable(&self, stored: &StoredTokens, refused: Option<&SecretString>) -> Result<Option<SecretString>, Failure> {
        let remaining = Duration::try_from_secs_f64(stored.remaining_seconds.unwrap_or(0.0)).unwrap_or_default();
        let Some(sealed) = stored.access_token.as_ref().filter(|_| remaining > Duration::ZERO) else { return Ok(None) };
        let token = self.open(sealed)?;
        if is_same(refused, &token) {
            // Refused for its rights, not for its age: another one would be refused too.
            return Ok((stored.age_seconds < FRESH_SECONDS).then_some(token));
        }
        if remaining <= MARGIN && stored.age_seconds >= FRESH_SECONDS {
            return Ok(None);
        }
        self.keep(&token, remaining);
        Ok(Some(token))
    }

    /// Exchanges the refresh token under the lease, and stores the pair before it is used; none where a newer one is stored.
    async fn refresh(&self, stored: &StoredTokens, owner: Uuid) -> Result<Option<SecretString>, Failure> {
        let tokens = match self.exchange(stored).await {
            Ok(tokens) => tokens,
            Err(failure) if failure.code == FailureCode::AuthExpired => {
                let is_last = within(ANSWER, oauth::revoke(&self.pool(), self.site_id, owner, stored.generation))
                    .await
                    .map_err(unread)?;
                return if is_last { Err(self.expired(&failure.message)) } else { Ok(None) };
            }
            Err(failure) => {
                // Where even this fails the lease runs out by itself.
                let _ = within(ANSWER, oauth::release(&self.pool(), self.site_id, owner)).await;
                return Err(failure);
            }
        };
        let ends = Instant::now() + tokens.lives_for;
        let (sealed_access, sealed_refresh) = self.seal(&tokens)?;
        let sealed_refresh = sealed_refresh.or_else(|| stored.refresh_token.clone()).unwrap_or_default();
        let access_token = tokens.access_token;
        self.store(Given { generation: stored.generation, sealed_access, sealed_refresh, access_token, ends }).await
    }

    /// Stores a pair before it is used; none where a newer one is stored. While the database is away it is kept here.
    async fn store(&self, given: Given) -> Result<Option<SecretString>, Failure> {
        for _ in 0..3 {
            let lives_for = given.ends.saturating_duration_since(Instant::now());
            let pair =
                SealedPair { access_token: &given.sealed_access, refresh_token: &given.sealed_refresh, lives_for };
            match within(ANSWER, oauth::store(&self.pool(), self.site_id, given.generation, pair)).await {
                Ok(true) => {
                    self.keep(&given.access_token, lives_for);
                    return Ok(Some(given.access_token));
                }
                Ok(false) => return Ok(None),
                Err(error) if error.is_transient() => tokio::time::sleep(LOOK_EVERY).await,
                Err(error) => return Err(unread(error)),
            }
        }
        *self.unstored.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
        Err(Failure::new(FailureCode::Database, format!("site {}: its new token could not be stored", self.site_name)))
    }

    /// The pair that follows a generation and has still to be stored.
    fn unstored(&self, generation: i64) -> Option<Given> {
        let given = self.unstored.lock().unwrap_or_else(PoisonError::into_inner).take();
        given.filter(|given| given.generation == generation)
    }

    async fn exchange(&self, stored: &StoredTokens) -> Result<Tokens, Failure> {
        let url = |text: &str| {
            Url::parse(text).map_err(|problem| {
                self.unusable(format!(
                    "the address of its tokens is not a URL: \
                {problem}"
                ))
            })
        };
        let client = OAuthClient {
            auth_url: url(&stored.auth_url)?,
            api_url: url(&stored.api_url)?,
            client_id: stored.client_id.clone(),
            client_secret: self.open(&stored.client_secret)?,
            request_timeout: REQUEST_TIMEOUT,
        };
        let sealed = stored.refresh_token.as_deref().unwrap_or_default();
        client.refresh(&self.http, &self.open(sealed)?).await
    }

    fn open(&self, sealed: &str) -> Result<SecretString, Failure> {
        secret::resolve(sealed, &self.site_name, &self.secrets).map_err(|problem| self.unusable(problem.to_string()))
    }

    fn seal(&self, tokens: &Tokens) -> Result<(String, Option<String>), Failure> {
        let seal = |token: &SecretString| {
            secret::encrypt(token, &self.site_name, &self.secrets, |nonce| self.clock.fill_random(nonce))
                .map_err(|problem| self.unusable(problem.to_string()))
        };
        Ok((seal(&tokens.access_token)?, tokens.refresh_token.as_ref().map(seal).transpose()?))
    }

    fn unusable(&self, problem: String) -> Failure {
        Failure::new(FailureCode::Config, format!("site {}: {problem}", self.site_name))
    }

    fn expired(&self, problem: &str) -> Failure {
        let message = format!("site {0}: {problem}; authorize it again: syncline site authorize {0}", self.site_name);
        Failure::new(FailureCode::AuthExpired, message)
    }
}

impl TokenSource for SiteTokens {
    fn token(&self, refused: Option<SecretString>) -> BoxFuture<'_, Result<SecretString, Failure>> {
        Box::pin(self.get(refused))
    }
}

fn is_same(refused: Option<&SecretString>, token: &SecretString) -> bool {
    refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret())
}

fn unread(error: crate::store::Error) -> Failure {
    Failure::new(FailureCode::Database, error.to_string())
}
