//! Tokens of the API. The store knows fingerprints only: who has the database does not have the tokens.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{self, Who};
use crate::store::Result;

/// A token as people see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Token {
    /// Names it.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// What its bearer may do.
    pub scopes: Vec<String>,
    /// The ids of the only projects that it reaches; null for all.
    pub projects: Option<Vec<Uuid>>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working; null for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked; null while it works.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// The SHA-256 of the token.
    pub fingerprint: [u8; 32],
    /// What its bearer may do.
    pub scopes: Vec<String>,
    /// The only projects that it reaches.
    pub projects: Option<Vec<Uuid>>,
    /// How long it works, in seconds; none for ever.
    pub lives: Option<f64>,
    /// The account of who makes it.
    pub account: Option<Uuid>,
}

/// A token that is borne now, and the account that it belongs to.
#[derive(Clone, Debug)]
pub struct Borne {
    /// What people call it.
    pub name: String,
    /// What its bearer may do.
    pub scopes: Vec<String>,
    /// The only projects that it reaches.
    pub projects: Option<Vec<Uuid>>,
    /// The account of who made it.
    pub account: Option<Owner>,
}

/// The account that a token belongs to: the token does no more than the account does now.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The account.
    pub id: Uuid,
    /// Its role.
    pub role: String,
    /// Whether it reads what is restricted.
    pub restricted: bool,
    /// The only projects that it reaches.
    pub projects: Option<Vec<Uuid>>,
}

/// Makes a token, and says so in the audit. False when another one of that name works.
pub async fn create(pool: &PgPool, token: &NewToken, who: &Who<'_>) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let made = sqlx::query!(
        "INSERT INTO syncline.api_token (id, name, fingerprint, scopes, projects, created_by, expires_at, account_id)
         VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7), $8)
         ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING",
        token.id,
        token.name,
        &token.fingerprint[..],
        &token.scopes,
        token.projects.as_deref(),
        who.name,
        token.lives,
        token.account
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if made {
        let details = serde_json::json!({ "scopes": token.scopes, "projects": token.projects });
        audit::record_by(&mut *transaction, who, "token.create", &token.name, &details).await?;
        transaction.commit().await?;
    }
    Ok(made)
}

/// Tokens, newest first; those that were revoked too, if `revoked`.
pub async fn list(pool: &PgPool, revoked: bool) -> Result<Vec<Token>> {
    let tokens = sqlx::query_as!(
        Token,
        "SELECT id, name, scopes, projects, created_by, created_at, expires_at, last_used_at, revoked_at
           FROM syncline.api_token WHERE $1 OR revoked_at IS NULL ORDER BY created_at DESC, id",
        revoked
    )
    .fetch_all(pool)
    .await?;
    Ok(tokens)
}

/// Revokes the token with that name or id; answers its name, or none when no such token works.
pub async fn revoke(pool: &PgPool, named: &str, who: &Who<'_>) -> Result<Option<String>> {
    let mut transaction = pool.begin().await?;
    let name = sqlx::query_scalar!(
        "UPDATE syncline.api_token SET revoked_at = clock_timestamp()
          WHERE revoked_at IS NULL AND (name = $1 OR id::text = $1) RETURNING name",
        named
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(name) = &name {
        audit::record_by(&mut *transaction, who, "token.revoke", name, &serde_json::json!({})).await?;
        transaction.commit().await?;
    }
    Ok(name)
}

/// The token with that fingerprint, if it works now and its account, where it has one, is not disabled; notes that it was used, at
/// most once a minute.
pub async fn used(pool: &PgPool, fingerprint: &[u8; 32]) -> Result<Option<Borne>> {
    let found = sqlx::query!(
        r#"SELECT t.id, t.name, t.scopes, t.projects, a.id AS "account_id?", a.role AS "role?", a.restricted AS "restricted?",
                  a.projects AS account_projects
             FROM syncline.api_token t LEFT JOIN syncline.account a ON a.id = t.account_id
            WHERE t.fingerprint = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
              AND a.disabled_at IS NULL"#,
        &fingerprint[..]
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = found else { return Ok(None) };
    sqlx::query!(
        "UPDATE syncline.api_token SET last_used_at = clock_timestamp()
          WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')",
        row.id
    )
    .execute(pool)
    .await?;
    let account = match (row.account_id, row.role, row.restricted) {
        (Some(id), Some(role), Some(restricted)) => {
            Some(Owner { id, role, restricted, projects: row.account_projects })
        }
        _ => None,
    };
    Ok(Some(Borne { name: row.name, scopes: row.scopes, projects: row.projects, account }))
}
