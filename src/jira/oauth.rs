//! OAuth 2.0 (3LO) on the wire: where a person consents, and how codes and refresh tokens become access tokens.
//!
//! Nothing is kept here. What must hold: a refresh token is used once and gives another one, so that whoever calls
//! [`OAuthClient::refresh`] holds a lease over all processes and stores the new pair before anyone uses it. Who lost the
//! answer may send the same one again within ten minutes, Atlassian's leeway; later it would end the whole consent. A
//! refusal of the token itself is `AUTH_EXPIRED` and final; anything else may be tried again. Secrets are in no `Debug` and no failure.

use std::time::Duration;

use reqwest::header::ACCEPT;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::client::decode;
use super::endpoint::Endpoint;
use super::loose::{Loose, Whole};
use super::transport::{HttpPool, Refused};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::scrub::Secrets;

/// Where Atlassian's accounts consent and tokens are given.
pub const AUTH_URL: &str = "https://auth.atlassian.com";
/// Where the sites are reached with these tokens: `{API_URL}/ex/jira/{cloudId}`.
pub const API_URL: &str = "https://api.atlassian.com";
/// What is asked for: reading issues, people, boards and sprints, and a refresh token.
pub const SCOPES: &str = "read:jira-work read:jira-user read:board-scope:jira-software read:sprint:jira-software \
                          read:project:jira read:issue-details:jira offline_access";

/// An app, as registered with Atlassian.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    /// `https://auth.atlassian.com`, or what stands in for it.
    pub auth_url: Url,
    /// `https://api.atlassian.com`, or what stands in for it.
    pub api_url: Url,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: SecretString,
    /// For one attempt.
    pub request_timeout: Duration,
}

/// A pair of tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Lets in for [`Tokens::lives_for`].
    pub access_token: SecretString,
    /// Gives the next pair, once. Absent where `offline_access` was not granted.
    pub refresh_token: Option<SecretString>,
    /// Counted from the answer.
    pub lives_for: Duration,
    /// What was granted, separated by spaces.
    pub scope: String,
}

/// A site that the tokens let into.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Resource {
    /// The cloud id.
    pub id: String,
    /// The site's own address, e.g. `https://acme.atlassian.net`.
    #[serde(default)]
    pub url: String,
    /// The site's name.
    #[serde(default)]
    pub name: String,
    /// What was granted for it.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// The token endpoint's answer. Another default than an hour is on the safe side.
#[derive(Deserialize)]
struct WireTokens {
    access_token: SecretString,
    #[serde(default)]
    refresh_token: Option<SecretString>,
    #[serde(default)]
    expires_in: Loose<Whole>,
    #[serde(default)]
    scope: Option<String>,
}

const SHORT_LIFE: Duration = Duration::from_secs(600);

impl OAuthClient {
    /// The page on which a person consents. `state` comes back with the code and must be compared. `challenge` is the
    /// S256 challenge of PKCE; Atlassian takes it and still asks for the secret.
    pub fn authorize_url(&self, redirect_uri: &str, scopes: &str, state: &str, challenge: Option<&str>) -> Url {
        let mut url = self.at(&self.auth_url, "authorize");
        let mut query = url.query_pairs_mut();
        query.extend_pairs([
            ("audience", "api.atlassian.com"),
            ("client_id", &self.client_id),
            ("scope", scopes),
            ("redirect_uri", redirect_uri),
            ("state", state),
            ("response_type", "code"),
            ("prompt", "consent"),
        ]);
        if let Some(challenge) = challenge {
            query.extend_pairs([("code_challenge", challenge), ("code_challenge_method", "S256")]);
        }
        drop(query);
        url
    }

    /// Makes a code, which lives for minutes, a pair of tokens.
    ///
    /// # Errors
    /// `AUTH_EXPIRED` where the code does not count any more, `AUTH_INVALID` where the app's id or secret is wrong.
    pub async fn exchange(
        &self,
        pool: &HttpPool,
        code: &SecretString,
        redirect_uri: &str,
        verifier: Option<&SecretString>,
    ) -> Result<Tokens, Failure> {
        let mut body = json!({
            "grant_type": "authorization_code", "client_id": self.client_id,
            "client_secret": self.client_secret.expose_secret(), "code": code.expose_secret(), "redirect_uri": redirect_uri,
        });
        if let Some(verifier) = verifier {
            body["code_verifier"] = verifier.expose_secret().into();
        }
        self.tokens(pool, &body, "authorize again (syncline site authorize): the code was already used or is too old")
            .await
    }

    /// Makes a refresh token the next pair. The one given counts no more, but for the leeway of who lost the answer.
    ///
    /// # Errors
    /// `AUTH_EXPIRED` where the refresh token does not count any more: only a person's consent helps.
    pub async fn refresh(&self, pool: &HttpPool, refresh_token: &SecretString) -> Result<Tokens, Failure> {
        let body = json!({
            "grant_type": "refresh_token", "client_id": self.client_id,
            "client_secret": self.client_secret.expose_secret(), "refresh_token": refresh_token.expose_secret(),
        });
        let help = "the refresh token was already used, revoked, or unused for 90 days: authorize the site again";
        self.tokens(pool, &body, help).await
    }

    async fn tokens(&self, pool: &HttpPool, body: &serde_json::Value, help: &str) -> Result<Tokens, Failure> {
        let url = self.at(&self.auth_url, "oauth/token");
        // Once: a request that was heard and not answered may have used the token up.
        let sent = pool
            .send_once(Endpoint::OAuthToken, pool.client().post(url).timeout(self.request_timeout).json(body))
            .await;
        let answer = sent.map_err(|refused| final_refusal(refused, help))?;
        let tokens: WireTokens = decode(Endpoint::OAuthToken.template(), &answer).map_err(|_| {
            // The parser's words could repeat a token.
            let asked = Endpoint::OAuthToken.template();
            Failure::new(
                FailureCode::SchemaChanged,
                format!("the answer of {asked} ({} bytes) contains no tokens in a known form", answer.len()),
            )
        })?;
        let lives_for =
            if let Loose::Good(Whole(seconds)) = tokens.expires_in { u64::try_from(seconds).ok() } else { None };
        Ok(Tokens {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            lives_for: lives_for.map_or(SHORT_LIFE, Duration::from_secs),
            // It is stored and shown.
            scope: secrets_of(body.to_string().as_bytes()).scrub(&tokens.scope.unwrap_or_default()),
        })
    }

    /// The sites that an access token lets into.
    ///
    /// # Errors
    /// As of any request.
    pub async fn resources(&self, pool: &HttpPool, access_token: &SecretString) -> Result<Vec<Resource>, Failure> {
        let url = self.at(&self.api_url, "oauth/token/accessible-resources");
        let request = || {
            let request = pool.client().get(url.clone()).timeout(self.request_timeout);
            request.header(ACCEPT, "application/json").bearer_auth(access_token.expose_secret())
        };
        let body = pool.send(Endpoint::OAuthResources, None, None, request).await.map_err(|refused| refused.failure)?;
        decode(Endpoint::OAuthResources.template(), &body)
    }

    /// Where a site of Cloud is reached with these tokens.
    pub fn site_url(&self, cloud_id: &str) -> Url {
        self.at(&self.api_url, &format!("ex/jira/{}", super::client::segment(cloud_id)))
    }

    fn at(&self, base: &Url, path: &str) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
        url
    }
}

/// The site among `resources` whose address is `site_url`, by its host.
pub fn resource_of<'a>(resources: &'a [Resource], site_url: &Url) -> Option<&'a Resource> {
    let host_of = |resource: &Resource| Url::parse(&resource.url).ok()?.host_str().map(str::to_owned);
    resources.iter().find(|resource| host_of(resource).as_deref() == site_url.host_str())
}

/// What of a form for a token endpoint must come back nowhere: all but what is public in it.
pub(super) fn secrets_of(form: &[u8]) -> Secrets {
    let mut secrets = Secrets::default();
    let form: serde_json::Value = serde_json::from_slice(form).unwrap_or_default();
    let public = |name: &str| matches!(name, "grant_type" | "client_id" | "redirect_uri" | "scope");
    for (_, value) in form.as_object().into_iter().flatten().filter(|(name, _)| !public(name)) {
        secrets.add(value.as_str().unwrap_or_default());
    }
    let text = |name: &str| form.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    secrets.add(&format!("{}:{}", text("client_id"), text("client_secret")));
    secrets
}

/// `invalid_grant` (RFC 6749) is final, with whatever status, and so is `unauthorized_client` under 403 (with "refresh_token is
/// invalid" it was seen for a token that is over); what else a 4xx says is the app's own fault.
fn final_refusal(refused: Refused, help: &str) -> Failure {
    let Some(status) = refused.status.map(|status| status.as_u16()) else { return refused.failure };
    let message = &refused.failure.message;
    if refused.says_invalid_grant || (status == 403 && refused.failure.code == FailureCode::AuthExpired) {
        Failure::new(FailureCode::AuthExpired, format!("{message}; {help}"))
    } else if matches!(status, 400 | 401) {
        Failure::new(FailureCode::AuthInvalid, format!("{message}; check the app's id and secret"))
    } else {
        refused.failure
    }
}
