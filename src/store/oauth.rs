//! The tokens of sites that are read by OAuth 2.0 (3LO): kept encrypted, refreshed by one process for all.
//!
//! A refresh token counts once, and no transaction may wait for the network: whoever refreshes takes a *lease* of the row
//! ([`claim`]), asks, and [`store`]s the new pair before anyone uses it. `generation` is the fence: of two who hold the same
//! refresh token one stores, the other's word counts no more.
//!
//! What must hold: no token leaves this table but encrypted; a new pair is never lost to a lease that ran out meanwhile, and
//! a refusal is never written over a newer pair. The old refresh token stays until the new one is stored: where a process
//! dies between Jira's answer and the commit, the next one sends it again when the lease ends, which Atlassian takes for ten
//! minutes. Where it is taken no more, the site says `AUTH_EXPIRED`, and `site authorize` mends it.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::{Result, audit};

/// The tokens of a site as they are stored.
#[derive(Clone)]
pub struct StoredTokens {
    /// The app's id.
    pub client_id: String,
    /// A reference to the app's secret, or the sealed secret.
    pub client_secret: String,
    /// Where tokens are given.
    pub auth_url: String,
    /// Where sites are reached with them.
    pub api_url: String,
    /// The sealed access token.
    pub access_token: Option<String>,
    /// The sealed refresh token.
    pub refresh_token: Option<String>,
    /// How long the access token lives still; negative when it ended.
    pub remaining_seconds: Option<f64>,
    /// How long ago this pair was stored.
    pub age_seconds: f64,
    /// Counts the pairs.
    pub generation: i64,
    /// Jira has said that the refresh token counts no more.
    pub is_revoked: bool,
}

/// What a person consented to.
pub struct Consent<'a> {
    /// The app's id.
    pub client_id: &'a str,
    /// A reference to the app's secret.
    pub client_secret: &'a str,
    /// What was granted.
    pub scopes: &'a str,
    /// Where tokens are given.
    pub auth_url: &'a str,
    /// Where sites are reached with them.
    pub api_url: &'a str,
    /// Where this site is reached with them.
    pub site_url: &'a str,
    /// Atlassian's id of the site.
    pub cloud_id: &'a str,
    /// The first pair.
    pub pair: SealedPair<'a>,
}

/// A pair of tokens, encrypted.
#[derive(Clone, Copy)]
pub struct SealedPair<'a> {
    /// The sealed access token.
    pub access_token: &'a str,
    /// The sealed refresh token.
    pub refresh_token: &'a str,
    /// How long the access token lives.
    pub lives_for: Duration,
}

/// The tokens of a site; none before somebody consented.
pub async fn load(pool: &PgPool, site_id: Uuid) -> Result<Option<StoredTokens>> {
    let tokens = sqlx::query_as!(
        StoredTokens,
        r#"SELECT client_id, client_secret, auth_url, api_url, access_token, refresh_token, generation,
                  extract(epoch FROM expires_at - clock_timestamp())::float8 AS remaining_seconds,
                  extract(epoch FROM clock_timestamp() - updated_at)::float8 AS "age_seconds!",
                  revoked_at IS NOT NULL AS "is_revoked!"
             FROM syncline.site_oauth WHERE site_id = $1"#,
        site_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(tokens)
}

/// Keeps what a person consented to: the site is read by it from now on.
pub async fn consent(pool: &PgPool, site: (Uuid, &str), consent: &Consent<'_>, actor: &str) -> Result<()> {
    let (site_id, name) = site;
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        r#"WITH site AS (
               UPDATE syncline.site SET auth = 'oauth', kind = 'cloud', cloud_id = $8, updated_at = clock_timestamp() WHERE id = $1
           )
           INSERT INTO syncline.site_oauth AS o (site_id, client_id, client_secret, scopes, auth_url, api_url, site_url, access_token,
                  refresh_token, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $9, $10, clock_timestamp() + make_interval(secs => $11))
           ON CONFLICT (site_id) DO UPDATE
              SET client_id = excluded.client_id, client_secret = excluded.client_secret, scopes = excluded.scopes,
                  auth_url = excluded.auth_url, api_url = excluded.api_url, site_url = excluded.site_url,
                  access_token = excluded.access_token, refresh_token = excluded.refresh_token,
                  expires_at = excluded.expires_at, generation = o.generation + 1, revoked_at = NULL,
                  refresh_owner = NULL, refresh_until = NULL, updated_at = clock_timestamp()"#,
        site_id,
        consent.client_id,
        consent.client_secret,
        consent.scopes,
        consent.auth_url,
        consent.api_url,
        consent.site_url,
        consent.cloud_id,
        consent.pair.access_token,
        consent.pair.refresh_token,
        consent.pair.lives_for.as_secs_f64()
    )
    .execute(&mut *transaction)
    .await?;
    let details = json!({ "client_id": consent.client_id, "cloud_id": consent.cloud_id, "scopes": consent.scopes });
    audit::record_with(&mut *transaction, actor, "site.authorize", name, &details).await?;
    transaction.commit().await?;
    Ok(())
}

/// Takes the right to exchange the refresh token of this generation, for so long. False when another one has it, the
/// generation is over, or the token was revoked.
pub async fn claim(pool: &PgPool, site_id: Uuid, owner: Uuid, generation: i64, lease: Duration) -> Result<bool> {
    let claimed = sqlx::query!(
        r#"UPDATE syncline.site_oauth
              SET refresh_owner = $2, refresh_until = clock_timestamp() + make_interval(secs => $4)
            WHERE site_id = $1 AND generation = $3 AND revoked_at IS NULL AND refresh_token IS NOT NULL
              AND (refresh_until IS NULL OR refresh_until < clock_timestamp())"#,
        site_id,
        owner,
        generation,
        lease.as_secs_f64()
    )
    .execute(pool)
    .await?
    .rows_affected();
    Ok(claimed > 0)
}

/// Stores the pair that followed a generation. False when that generation is over: somebody else's pair is newer. Who holds
/// the lease does not matter: what Jira gave must not be lost.
pub async fn store(pool: &PgPool, site_id: Uuid, generation: i64, pair: SealedPair<'_>) -> Result<bool> {
    let stored = sqlx::query!(
        r#"UPDATE syncline.site_oauth
              SET access_token = $3, refresh_token = $4, expires_at = clock_timestamp() + make_interval(secs => $5),
                  generation = generation + 1, revoked_at = NULL, refresh_owner = NULL, refresh_until = NULL,
                  updated_at = clock_timestamp()
            WHERE site_id = $1 AND generation = $2"#,
        site_id,
        generation,
        pair.access_token,
        pair.refresh_token,
        pair.lives_for.as_secs_f64()
    )
    .execute(pool)
    .await?
    .rows_affected();
    Ok(stored > 0)
}

/// Gives the lease back without a new pair: the network failed, another one may try.
pub async fn release(pool: &PgPool, site_id: Uuid, owner: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.site_oauth SET refresh_owner = NULL, refresh_until = NULL WHERE site_id = $1 AND refresh_owner = $2",
        site_id,
        owner
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Records that the refresh token of a generation counts no more. Only who holds the lease may say so, and not over a newer
/// pair: false then.
pub async fn revoke(pool: &PgPool, site_id: Uuid, owner: Uuid, generation: i64) -> Result<bool> {
    let revoked = sqlx::query!(
        r#"UPDATE syncline.site_oauth
              SET revoked_at = clock_timestamp(), refresh_owner = NULL, refresh_until = NULL, updated_at = clock_timestamp()
            WHERE site_id = $1 AND generation = $3 AND refresh_owner = $2"#,
        site_id,
        owner,
        generation
    )
    .execute(pool)
    .await?
    .rows_affected();
    Ok(revoked > 0)
}
