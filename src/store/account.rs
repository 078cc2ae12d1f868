//! Accounts of people who sign in.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{self, Who};
use crate::store::Result;

/// An account as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    /// Names it for good.
    pub id: Uuid,
    /// What they sign in with.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// `viewer`, `operator` or `administrator`.
    pub role: String,
    /// Whether they read comments and worklogs that Jira shows to some people only.
    pub restricted: bool,
    /// The ids of the only projects that they reach; null for all.
    pub projects: Option<Vec<Uuid>>,
    /// Whether they sign in with a password of their own.
    pub has_password: bool,
    /// The OpenID provider that says who they are; null for a local account.
    pub provider: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was disabled; null while it works.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When they last signed in.
    pub last_sign_in_at: Option<DateTime<Utc>>,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: Uuid,
    /// What they sign in with.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// `viewer`, `operator` or `administrator`.
    pub role: &'static str,
    /// Whether they read what is restricted.
    pub restricted: bool,
    /// The only projects that they reach.
    pub projects: Option<Vec<Uuid>>,
    /// The hash of their password, in the PHC form.
    pub password_hash: Option<SecretString>,
}

/// What changes; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Another role.
    pub role: Option<&'static str>,
    /// Whether they read what is restricted.
    pub restricted: Option<bool>,
    /// Other projects: none for all.
    pub projects: Option<Option<Vec<Uuid>>>,
    /// Another address, or none.
    pub email: Option<Option<String>>,
    /// Another password, as its hash.
    pub password_hash: Option<SecretString>,
    /// Whether it is disabled.
    pub disabled: Option<bool>,
    /// The one session that outlives another password.
    pub spared: Option<Uuid>,
}

/// Somebody, as an OpenID provider tells of them.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The id of their account, if it is to be made.
    pub id: Uuid,
    /// The provider.
    pub issuer: &'a str,
    /// What never changes there.
    pub subject: &'a str,
    /// What they are called.
    pub name: &'a str,
    /// Their address.
    pub email: Option<&'a str>,
    /// Whether the provider has seen that it is theirs.
    pub is_email_verified: bool,
    /// The role of their groups.
    pub role: &'static str,
}

/// Makes an account, and says so in the audit. False when one of that name exists.
pub async fn create(pool: &PgPool, new: &NewAccount, who: &Who<'_>) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let made = sqlx::query!(
        "INSERT INTO syncline.account (id, name, email, role, restricted, projects, password_hash, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (lower(name)) DO NOTHING",
        new.id,
        new.name,
        new.email,
        new.role,
        new.restricted,
        new.projects.as_deref(),
        new.password_hash.as_ref().map(|hash| hash.expose_secret()),
        who.name
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if made {
        let details = json!({ "role": new.role, "restricted": new.restricted, "projects": new.projects });
        audit::record_by(&mut *transaction, who, "account.create", &new.name, &details).await?;
        transaction.commit().await?;
    }
    Ok(made)
}

/// Accounts by name.
pub async fn list(pool: &PgPool) -> Result<Vec<Account>> {
    let accounts = sqlx::query_as!(
        Account,
        r#"SELECT id, name, email, role, restricted, projects, password_hash IS NOT NULL AS "has_password!",
                  oidc_issuer AS provider, created_by, created_at, disabled_at, last_sign_in_at
             FROM syncline.account ORDER BY lower(name)"#
    )
    .fetch_all(pool)
    .await?;
    Ok(accounts)
}

/// The account of that name.
pub async fn find(pool: &PgPool, name: &str) -> Result<Option<Account>> {
    let account = sqlx::query_as!(
        Account,
        r#"SELECT id, name, email, role, restricted, projects, password_hash IS NOT NULL AS "has_password!",
                  oidc_issuer AS provider, created_by, created_at, disabled_at, last_sign_in_at
             FROM syncline.account WHERE lower(name) = lower($1)"#,
        name
    )
    .fetch_optional(pool)
    .await?;
    Ok(account)
}

/// The account of somebody at an OpenID provider.
pub async fn of_subject(pool: &PgPool, issuer: &str, subject: &str) -> Result<Option<Account>> {
    let account = sqlx::query_as!(
        Account,
        r#"SELECT id, name, email, role, restricted, projects, password_hash IS NOT NULL AS "has_password!",
                  oidc_issuer AS provider, created_by, created_at, disabled_at, last_sign_in_at
             FROM syncline.account WHERE oidc_issuer = $1 AND oidc_subject = $2"#,
        issuer,
        subject
    )
    .fetch_optional(pool)
    .await?;
    Ok(account)
}

/// Brings the account of somebody up to date with what the provider tells, or makes it, and says so in the audit. An account that
/// somebody made for them is theirs when it has no password and no provider yet, and the address that the provider has seen to be
/// theirs. None when another account has their name.
pub async fn tell(pool: &PgPool, told: &Told<'_>, who: &Who<'_>) -> Result<Option<Uuid>> {
    let mut transaction = pool.begin().await?;
    let found = sqlx::query!(
        r#"SELECT id, name, role, email, oidc_issuer IS NULL AS "is_new!" FROM syncline.account
            WHERE oidc_issuer = $1 AND oidc_subject = $2
               OR $4 AND oidc_issuer IS NULL AND password_hash IS NULL AND lower(email) = lower($3)
            ORDER BY oidc_issuer NULLS LAST, created_at LIMIT 1 FOR UPDATE"#,
        told.issuer,
        told.subject,
        told.email,
        told.is_email_verified
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let id = match found {
        Some(found) => {
            sqlx::query!(
                "UPDATE syncline.account SET role = $2, email = coalesce($3, email), oidc_issuer = $4, oidc_subject = $5 WHERE id = $1",
                found.id,
                told.role,
                told.email,
                told.issuer,
                told.subject
            )
            .execute(&mut *transaction)
            .await?;
            if found.role != told.role || found.is_new {
                let details = json!({ "role": [found.role, told.role], "provider": told.issuer });
                audit::record_by(&mut *transaction, who, "account.change", &found.name, &details).await?;
            }
            found.id
        }
        None => {
            let made = sqlx::query_scalar!(
                "INSERT INTO syncline.account (id, name, email, role, oidc_issuer, oidc_subject, created_by)
                 VALUES ($1, $2, $3, $4, $5, $6, $5) ON CONFLICT (lower(name)) DO NOTHING RETURNING id",
                told.id,
                told.name,
                told.email,
                told.role,
                told.issuer,
                told.subject
            )
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(made) = made else { return Ok(None) };
            let details = json!({ "role": told.role, "provider": told.issuer });
            audit::record_by(&mut *transaction, who, "account.create", told.name, &details).await?;
            made
        }
    };
    transaction.commit().await?;
    Ok(Some(id))
}

/// What a password is compared with: the account, and the hash where it has one and is not disabled.
pub async fn hash(pool: &PgPool, name: &str) -> Result<Option<(Uuid, SecretString)>> {
    let found = sqlx::query!(
        r#"SELECT id, password_hash AS "hash!" FROM syncline.account
            WHERE lower(name) = lower($1) AND disabled_at IS NULL AND password_hash IS NOT NULL"#,
        name
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|row| (row.id, SecretString::from(row.hash))))
}

/// Locks the account, and answers whether it is still as somebody saw it.
async fn is_as(connection: &mut PgConnection, seen: &Account) -> Result<bool> {
    let is = sqlx::query_scalar!(
        r#"SELECT role = $2 AND restricted = $3 AS "is!" FROM syncline.account WHERE id = $1 FOR UPDATE"#,
        seen.id,
        seen.role,
        seen.restricted
    )
    .fetch_optional(connection)
    .await?;
    Ok(is.unwrap_or(false))
}

/// Changes the account that was `seen`, and says so in the audit; another password or disabling ends its sessions. False when it
/// was changed or removed meanwhile.
pub async fn change(pool: &PgPool, seen: &Account, change: &Change, who: &Who<'_>) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    if !is_as(&mut transaction, seen).await? {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE syncline.account
            SET role = coalesce($2, role), restricted = coalesce($3, restricted),
                projects = CASE WHEN $4 THEN $5::uuid[] ELSE projects END,
                email = CASE WHEN $6 THEN $7::text ELSE email END,
                password_hash = coalesce($8, password_hash),
                disabled_at = CASE WHEN $9::bool IS NULL THEN disabled_at
                                   WHEN $9 THEN coalesce(disabled_at, clock_timestamp()) END
          WHERE id = $1",
        seen.id,
        change.role,
        change.restricted,
        change.projects.is_some(),
        change.projects.as_ref().and_then(|projects| projects.as_deref()),
        change.email.is_some(),
        change.email.as_ref().and_then(|email| email.as_deref()),
        change.password_hash.as_ref().map(|hash| hash.expose_secret()),
        change.disabled
    )
    .execute(&mut *transaction)
    .await?;
    if change.password_hash.is_some() || change.disabled == Some(true) {
        let spared = change.spared.filter(|_| change.disabled != Some(true));
        sqlx::query!(
            "DELETE FROM syncline.session WHERE account_id = $1 AND id IS DISTINCT FROM $2::uuid",
            seen.id,
            spared
        )
        .execute(&mut *transaction)
        .await?;
    }
    audit::record_by(&mut *transaction, who, "account.change", &seen.name, &difference(seen, change)).await?;
    transaction.commit().await?;
    Ok(true)
}

/// What was before and what is now, of what changes; of a password, that it is another.
fn difference(seen: &Account, change: &Change) -> Value {
    let mut fields = Map::new();
    let mut note = |name: &str, before: Value, after: Option<Value>| {
        if let Some(after) = after {
            fields.insert(name.to_owned(), json!([before, after]));
        }
    };
    note("role", json!(seen.role), change.role.map(|role| json!(role)));
    note("restricted", json!(seen.restricted), change.restricted.map(|restricted| json!(restricted)));
    note("projects", json!(seen.projects), change.projects.as_ref().map(|projects| json!(projects)));
    note("email", json!(seen.email), change.email.as_ref().map(|email| json!(email)));
    note("disabled", json!(seen.disabled_at.is_some()), change.disabled.map(|disabled| json!(disabled)));
    if change.password_hash.is_some() {
        fields.insert("password".to_owned(), json!("changed"));
    }
    Value::Object(fields)
}

/// Removes an account with its sessions, and revokes its tokens. False when it was changed or removed meanwhile.
pub async fn remove(pool: &PgPool, seen: &Account, who: &Who<'_>) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    if !is_as(&mut transaction, seen).await? {
        return Ok(false);
    }
    let revoked = sqlx::query_scalar!(
        "UPDATE syncline.api_token SET revoked_at = clock_timestamp()
          WHERE account_id = $1 AND revoked_at IS NULL RETURNING name",
        seen.id
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM syncline.account WHERE id = $1", seen.id).execute(&mut *transaction).await?;
    let details = json!({ "role": seen.role, "tokens_revoked": revoked });
    audit::record_by(&mut *transaction, who, "account.remove", &seen.name, &details).await?;
    transaction.commit().await?;
    Ok(true)
}
