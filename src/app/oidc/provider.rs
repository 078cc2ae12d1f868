//! The provider on the wire: its discovery document, its keys, and the answer to a code.
//!
//! What must hold: every question takes [`PATIENCE`] at most and its answer is [`LARGEST`] at most; redirects are not followed; the
//! document and the keys are kept for [`FRESH_SECONDS`], and a key that is not known is looked for again once in
//! [`AGAIN_SECONDS`]; a secret is in no error.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::Url;

use super::flow::Flow;
use super::identity::{self, Claims, Expected, Identity};
use crate::app::{Error, Result};
use crate::clock::Clock;
use crate::config::OidcConfig;
use crate::domain::failure::sanitise;
use crate::tls;

const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 512 * 1024;
const FRESH_SECONDS: i64 = 3_600;
const AGAIN_SECONDS: i64 = 60;
/// Whoever asks so soon after a failure is told the same: a provider that does not answer is not waited for by one after another.
const FAILED_SECONDS: i64 = 5;

/// A provider, and what it said of itself lately.
#[derive(Debug)]
pub(super) struct Provider {
    issuer: String,
    client_id: String,
    client_secret: SecretString,
    /// Or why there is none.
    client: std::result::Result<reqwest::Client, String>,
    heard: Mutex<Heard>,
}

/// What was heard last.
#[derive(Debug, Default)]
struct Heard {
    known: Option<Arc<Known>>,
    failed: Option<(i64, Error)>,
}

/// What a provider said of itself.
#[derive(Debug)]
pub(super) struct Known {
    pub authorization_endpoint: Url,
    token_endpoint: Url,
    userinfo_endpoint: Option<Url>,
    takes_basic: bool,
    keys: Vec<Jwk>,
    read_at: i64,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<SecretString>,
    access_token: Option<SecretString>,
}

/// A provider that does not answer as it should.
fn silent(what: &str, problem: impl std::fmt::Display) -> Error {
    Error::unavailable(format!("the OpenID provider {what}: {}", sanitise(&problem.to_string())))
        .help("try again in a minute; then look whether `oidc.issuer` answers from this machine, and at the proxy and certificates")
}

impl Provider {
    /// The provider that names itself `issuer`.
    pub fn new(issuer: &str, client_id: &str, client_secret: &SecretString) -> Self {
        let built = tls::client()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE / 2)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let client = built.map_err(|problem| problem.to_string());
        let (issuer, client_id) = (issuer.to_owned(), client_id.to_owned());
        Self { issuer, client_id, client_secret: client_secret.clone(), client, heard: Mutex::default() }
    }

    fn client(&self) -> Result<&reqwest::Client> {
        self.client.as_ref().map_err(|problem| silent("cannot be asked", problem))
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What it says of itself, at most an hour old.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub async fn known(&self, clock: &Clock) -> Result<Arc<Known>> {
        self.read(clock, FRESH_SECONDS).await
    }

    /// The same, at most so many seconds old. One asks at a time; the others wait for what it hears.
    async fn read(&self, clock: &Clock, fresh: i64) -> Result<Arc<Known>> {
        let mut heard = self.heard.lock().await;
        let now = clock.now().timestamp();
        if let Some(known) = heard.known.as_ref().filter(|known| (0..fresh).contains(&(now - known.read_at))) {
            return Ok(Arc::clone(known));
        }
        if let Some((at, problem)) = &heard.failed
            && (0..FAILED_SECONDS).contains(&(now - at))
        {
            return Err(problem.clone());
        }
        match self.discover(now).await {
            Ok(read) => {
                let read = Arc::new(read);
                *heard = Heard { known: Some(Arc::clone(&read)), failed: None };
                Ok(read)
            }
            Err(problem) => {
                heard.failed = Some((clock.now().timestamp(), problem.clone()));
                Err(problem)
            }
        }
    }

    async fn discover(&self, now: i64) -> Result<Known> {
        let path = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document: Document = ask("does not tell its addresses", self.client()?.get(path)).await?;
        if document.issuer != self.issuer {
            return Err(silent("names itself otherwise", format!("{:?}, not oidc.issuer", document.issuer)));
        }
        let is_plain = self.issuer.starts_with("http://");
        let endpoints = [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri];
        for endpoint in endpoints.into_iter().chain(document.userinfo_endpoint.as_ref()) {
            if endpoint.scheme() != "https" && !(is_plain && endpoint.scheme() == "http") {
                return Err(silent("names an address without HTTPS", endpoint));
            }
        }
        let keys: Keys = ask("does not tell its keys", self.client()?.get(document.jwks_uri)).await?;
        let methods = document.token_endpoint_auth_methods_supported;
        Ok(Known {
            authorization_endpoint: document.authorization_endpoint,
            token_endpoint: document.token_endpoint,
            userinfo_endpoint: document.userinfo_endpoint,
            takes_basic: methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic")),
            // Keys of kinds that are not known are no keys of ours.
            keys: keys.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect(),
            read_at: now,
        })
    }

    /// Who stands behind a code.
    ///
    /// # Errors
    /// When the provider does not answer, or does not vouch for anybody.
    pub async fn identify(
        &self,
        clock: &Clock,
        config: &OidcConfig,
        code: &SecretString,
        flow: &Flow,
        redirect: &str,
    ) -> Result<Identity> {
        let mut known = self.known(clock).await?;
        let tokens = self.redeem(&known, code, flow, redirect).await?;
        let id_token = tokens.id_token.ok_or_else(|| silent("says who nobody is", "it gave no ID token"))?;
        let header = identity::header(&id_token)?;
        if identity::key(&known.keys, &header).is_none() {
            known = self.read(clock, AGAIN_SECONDS).await?;
        }
        let expected = Expected {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: &flow.nonce,
            now: clock.now().timestamp(),
        };
        let mut claims = identity::verify(&id_token, &header, &known.keys, &expected)?;
        let has_groups = claims.other.contains_key(&config.groups_claim);
        if let (false, Some(endpoint), Some(access)) = (has_groups, &known.userinfo_endpoint, &tokens.access_token) {
            let question = self.client()?.get(endpoint.clone()).bearer_auth(access.expose_secret());
            let told: Claims = ask("does not tell more of a person", question).await?;
            claims.complete(told)?;
        }
        Ok(claims.identity(&config.groups_claim))
    }

    async fn redeem(&self, known: &Known, code: &SecretString, flow: &Flow, redirect: &str) -> Result<Tokens> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect),
            ("code_verifier", flow.verifier.as_str()),
        ];
        let secret = self.client_secret.expose_secret();
        let mut question = self.client()?.post(known.token_endpoint.clone());
        if known.takes_basic {
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            question = question.basic_auth(encoded(&self.client_id), Some(encoded(secret)));
        } else {
            form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        ask("refuses the sign-in", question.header("content-type", "application/x-www-form-urlencoded").body(body))
            .await
    }
}

/// Asks, and reads the answer as JSON.
async fn ask<T: DeserializeOwned>(what: &str, question: RequestBuilder) -> Result<T> {
    let answer = question.header("accept", "application/json").send().await;
    let mut answer = answer.map_err(|problem| silent(what, reason(&problem.without_url())))?;
    if !answer.status().is_success() {
        return Err(silent(what, format!("it answers {}", answer.status())));
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|problem| silent(what, reason(&problem.without_url())))? {
        body.extend_from_slice(&part);
        if body.len() > LARGEST {
            return Err(silent(what, format!("its answer is larger than {LARGEST} bytes")));
        }
    }
    // What stands in it may be a token.
    serde_json::from_slice(&body).map_err(|_| silent(what, "its answer cannot be read"))
}

/// The innermost reason, which says most.
fn reason(problem: &reqwest::Error) -> String {
    if problem.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut inner: &dyn std::error::Error = problem;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
