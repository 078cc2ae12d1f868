//! OAuth 2.0 (3LO), as auth.atlassian.com and api.atlassian.com do it, all at the site's own address.
//!
//! Refresh tokens rotate: each is good for one refresh. Within a leeway (Atlassian's is ten minutes) it may be sent again by
//! who lost the answer, and gives another pair. A use after that is refused and counted, and ends every token of the
//! consent, as it does on a real site
//! (<https://community.developer.atlassian.com/t/the-old-access-token-will-be-revoked-during-the-refresh-token-exchange/83103>).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::query::Query;
use super::reply::{self, Reply};
use super::seed::{Dice, Purpose};
use super::site::{Site, lock};

/// The app that may ask for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthApp {
    /// Its name to the server.
    pub client_id: String,
    /// No secret: the site and its data are invented.
    pub client_secret: String,
    /// How long an access token is good.
    pub access_token_lifetime: Duration,
    /// How long after its first use a refresh token may be sent again.
    pub refresh_leeway: Duration,
}

impl Default for OAuthApp {
    fn default() -> Self {
        Self {
            client_id: "simulator-client".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            access_token_lifetime: Duration::from_secs(3_600),
            refresh_leeway: Duration::from_secs(600),
        }
    }
}

/// What the token endpoint has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OAuthStats {
    /// Codes that became tokens.
    pub grants: u64,
    /// Refreshes that gave new tokens.
    pub refreshes: u64,
    /// Refresh tokens that came again within the leeway: whoever sent them had lost the answer.
    pub repeated_refresh_tokens: u64,
    /// Refresh tokens that came again after the leeway, or after they were revoked: must stay 0.
    pub reused_refresh_tokens: u64,
}

/// Codes and tokens of a running site.
#[derive(Debug)]
pub(super) struct OAuth {
    seed: u64,
    app: OAuthApp,
    state: Mutex<Tokens>,
}

#[derive(Debug, Default)]
struct Tokens {
    made: u64,
    /// Code to where it was sent.
    codes: HashMap<String, String>,
    /// Access tokens, and when they end.
    access: HashMap<String, i64>,
    refresh: HashMap<String, RefreshToken>,
    stats: OAuthStats,
}

impl Tokens {
    /// Ends every token.
    fn revoke(&mut self) {
        self.access.clear();
        self.refresh.values_mut().for_each(|token| *token = RefreshToken::Revoked);
    }
}

/// What became of a refresh token.
#[derive(Clone, Copy, Debug)]
enum RefreshToken {
    Good,
    /// Since this time of the site.
    Used(i64),
    Revoked,
}

#[derive(Deserialize)]
struct TokenBody {
    grant_type: String,
    client_id: String,
    client_secret: String,
    code: Option<String>,
    redirect_uri: Option<String>,
    refresh_token: Option<String>,
}

const SCOPES: &str = "read:jira-work read:jira-user offline_access";

impl OAuth {
    pub(super) fn new(seed: u64, app: OAuthApp) -> Self {
        Self { seed, app, state: Mutex::default() }
    }

    pub(super) fn stats(&self) -> OAuthStats {
        lock(&self.state).stats
    }

    /// True when the access token is good at this time.
    pub(super) fn is_valid(&self, token: &str, now_ms: i64) -> bool {
        lock(&self.state).access.get(token).is_some_and(|ends_ms| now_ms < *ends_ms)
    }

    /// Ends all access tokens now.
    pub(super) fn expire(&self) {
        lock(&self.state).access.clear();
    }

    /// Withdraws the consent: no token is good any more.
    pub(super) fn revoke(&self) {
        lock(&self.state).revoke();
    }

    fn make(&self, state: &mut Tokens, kind: &str) -> String {
        state.made += 1;
        let mut dice = Dice::new(self.seed, Purpose::Token, state.made, u64::MAX);
        format!("{kind}-{:016x}{:016x}", dice.next(), dice.next())
    }

    fn issue(&self, state: &mut Tokens, now_ms: i64) -> Reply {
        let (access, refresh) = (self.make(state, "access"), self.make(state, "refresh"));
        let seconds = self.app.access_token_lifetime.as_secs();
        state.access.retain(|_, ends_ms| *ends_ms > now_ms);
        state.access.insert(access.clone(), now_ms + seconds as i64 * 1_000);
        state.refresh.insert(refresh.clone(), RefreshToken::Good);
        let body = serde_json::json!({
            "access_token": access, "refresh_token": refresh, "expires_in": seconds, "token_type": "Bearer",
            "scope": SCOPES,
        });
        reply::ok(body.to_string().into_bytes())
    }

    fn exchange(&self, body: &TokenBody, now_ms: i64) -> Reply {
        if body.client_id != self.app.client_id || body.client_secret != self.app.client_secret {
            return refuse(StatusCode::UNAUTHORIZED, "access_denied", "Unauthorized");
        }
        let mut state = lock(&self.state);
        match body.grant_type.as_str() {
            "authorization_code" => {
                let sent_to = body.code.as_ref().and_then(|code| state.codes.remove(code));
                if sent_to.is_none() || sent_to != body.redirect_uri {
                    return refuse(StatusCode::FORBIDDEN, "invalid_grant", "Invalid authorization code");
                }
                state.stats.grants += 1;
                self.issue(&mut state, now_ms)
            }
            "refresh_token" => {
                let given = body.refresh_token.as_deref().unwrap_or_default();
                let leeway_ms = i64::try_from(self.app.refresh_leeway.as_millis()).unwrap_or(i64::MAX);
                match state.refresh.get(given).copied() {
                    Some(RefreshToken::Good) => {
                        state.refresh.insert(given.to_owned(), RefreshToken::Used(now_ms));
                        state.stats.refreshes += 1;
                        self.issue(&mut state, now_ms)
                    }
                    Some(RefreshToken::Used(since_ms)) if now_ms - since_ms < leeway_ms => {
                        state.stats.repeated_refresh_tokens += 1;
                        self.issue(&mut state, now_ms)
                    }
                    found => {
                        if found.is_some() {
                            state.stats.reused_refresh_tokens += 1;
                            state.revoke();
                        }
                        refuse(StatusCode::FORBIDDEN, "invalid_grant", "Unknown or invalid refresh token.")
                    }
                }
            }
            other => {
                refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", &format!("Unsupported grant type: {other}"))
            }
        }
    }
}

fn refuse(status: StatusCode, error: &str, description: &str) -> Reply {
    reply::json(status, serde_json::json!({ "error": error, "error_description": description }).to_string())
}

/// 401 as api.atlassian.com answers a token that is no longer good.
pub(super) fn unauthorized() -> Reply {
    reply::json(StatusCode::UNAUTHORIZED, r#"{"code":401,"message":"Unauthorized"}"#)
}

/// `/authorize`: everybody consents at once, and is sent back with a code.
pub(super) async fn authorize(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Reply {
    let query = Query::parse(query);
    if query.get("client_id") != Some(&site.oauth.app.client_id) || query.get("response_type") != Some("code") {
        return reply::html(StatusCode::BAD_REQUEST, "Something went wrong: unknown app or response type");
    }
    let Some(mut target) = query.get("redirect_uri").and_then(|target| url::Url::parse(target).ok()) else {
        return reply::html(StatusCode::BAD_REQUEST, "Something went wrong: redirect_uri is not registered");
    };
    let code = {
        let mut state = lock(&site.oauth.state);
        let code = site.oauth.make(&mut state, "code");
        state.codes.insert(code.clone(), query.get("redirect_uri").unwrap_or_default().to_owned());
        code
    };
    target.query_pairs_mut().append_pair("state", query.get("state").unwrap_or_default()).append_pair("code", &code);
    reply::with(reply::html(StatusCode::FOUND, "Found"), "location", target.as_str())
}

/// `/oauth/token`, with a body in JSON or as a form.
pub(super) async fn token(State(site): State<Arc<Site>>, body: Bytes) -> Reply {
    let body = serde_json::from_slice::<TokenBody>(&body).ok().or_else(|| {
        let pairs = url::form_urlencoded::parse(&body).into_owned().map(|(name, value)| (name, value.into()));
        serde_json::from_value(serde_json::Value::Object(pairs.collect())).ok()
    });
    match body {
        Some(body) => site.oauth.exchange(&body, site.world.now_ms()),
        None => refuse(StatusCode::BAD_REQUEST, "invalid_request", "The body could not be read"),
    }
}

/// `/oauth/token/accessible-resources`: the one site there is.
pub(super) async fn resources(State(site): State<Arc<Site>>, headers: HeaderMap) -> Reply {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = given.strip_prefix("Bearer ").unwrap_or_default();
    if !site.oauth.is_valid(token, site.world.now_ms()) {
        return unauthorized();
    }
    let scopes: Vec<&str> = SCOPES.split(' ').collect();
    let body = serde_json::json!([{
        "id": site.cloud_id, "url": site.world.catalogue().base_url, "name": "simulated", "scopes": scopes,
        "avatarUrl": "https://jira.example.com/avatar.png",
    }]);
    reply::ok(body.to_string().into_bytes())
}

/// How many accounts one report may name.
const REPORT_LIMIT: usize = 90;

#[derive(Deserialize)]
struct ReportBody {
    accounts: Vec<ReportedAccount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReportedAccount {
    account_id: String,
    #[serde(rename = "updatedAt")]
    _updated_at: chrono::DateTime<chrono::Utc>,
}

/// `/app/report-accounts/`: which of the accounts were closed, and which have another name than at first.
pub(super) async fn report_accounts(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Reply {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !site.oauth.is_valid(given.strip_prefix("Bearer ").unwrap_or_default(), site.world.now_ms()) {
        return unauthorized();
    }
    let body = serde_json::from_slice::<ReportBody>(&body).ok();
    let Some(body) = body.filter(|body| body.accounts.len() <= REPORT_LIMIT) else {
        return reply::json(
            StatusCode::BAD_REQUEST,
            r#"{"errorMessage":"The accounts could not be read, or are more than 90"}"#,
        );
    };
    let catalogue = site.world.catalogue();
    let status = |account: &ReportedAccount| {
        let person = catalogue.people.iter().find(|person| person.account_id == account.account_id)?;
        let status = match person.closed {
            true => "closed",
            false if person.display_name != person.first_name => "updated",
            false => return None,
        };
        Some(serde_json::json!({ "accountId": account.account_id, "status": status }))
    };
    let found: Vec<_> = body.accounts.iter().filter_map(status).collect();
    let answer = match found.is_empty() {
        true => reply::json(StatusCode::NO_CONTENT, String::new()),
        false => reply::ok(serde_json::json!({ "accounts": found }).to_string().into_bytes()),
    };
    reply::with(answer, "cycle-period", "7")
}
