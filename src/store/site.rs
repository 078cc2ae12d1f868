//! Sites: where Jira is, and how to be let in.
//!
//! What must hold: the credential column holds a reference or a sealed text, and what is made for showing holds less.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::audit;
use crate::store::Result;

/// A site as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct Site {
    /// Its id.
    pub id: Uuid,
    /// Its name here.
    pub name: String,
    /// Where it is.
    pub base_url: String,
    /// `cloud`.
    pub kind: String,
    /// The account that reads it.
    pub account_email: String,
    /// The reference to the token, or `encrypted`.
    pub credential: String,
    /// How many requests may be under way at once, over all workers.
    pub max_concurrency: i32,
    /// Projects that are synchronised (paused ones too).
    pub projects: i64,
    /// Until when the site asked to be left alone, if it did.
    pub paused_until: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// What is stored: a reference or a sealed token.
    #[serde(skip)]
    pub stored_credential: String,
}

/// A site to be added.
#[derive(Clone, Debug)]
pub struct NewSite {
    /// Made by the caller.
    pub id: Uuid,
    /// Its name here.
    pub name: String,
    /// Where it is.
    pub base_url: String,
    /// The account that reads it.
    pub account_email: String,
    /// A reference or a sealed token.
    pub credential: String,
    /// How many requests may be under way at once.
    pub max_concurrency: i32,
}

/// What to change of a site; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct SiteChange {
    /// Where it is.
    pub base_url: Option<String>,
    /// The account that reads it.
    pub account_email: Option<String>,
    /// A reference or a sealed token.
    pub credential: Option<String>,
    /// How many requests may be under way at once.
    pub max_concurrency: Option<i32>,
}

/// All sites, or the one of that name.
pub async fn list(pool: &PgPool, name: Option<&str>) -> Result<Vec<Site>> {
    let sites = sqlx::query_as!(
        Site,
        r#"SELECT s.id, s.name, s.base_url, s.kind, s.account_email,
                  CASE WHEN s.credential LIKE 'enc:%' THEN 'encrypted' ELSE s.credential END AS "credential!",
                  s.max_concurrency,
                  (SELECT count(*) FROM syncline.project p WHERE p.site_id = s.id AND p.state <> 'removed') AS "projects!",
                  (SELECT max(g.paused_until) FROM syncline.rate_gate g
                    WHERE g.key LIKE 'site:' || s.id || '%' AND g.paused_until > clock_timestamp()) AS paused_until,
                  s.created_at, s.updated_at, s.credential AS stored_credential
             FROM syncline.site s
            WHERE $1::text IS NULL OR s.name = $1
            ORDER BY s.name"#,
        name
    )
    .fetch_all(pool)
    .await?;
    Ok(sites)
}

/// Adds a site; false when its name is taken.
pub async fn add(pool: &PgPool, site: &NewSite, actor: &str) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let added = sqlx::query!(
        r#"INSERT INTO syncline.site (id, name, base_url, account_email, credential, max_concurrency)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING"#,
        site.id,
        site.name,
        site.base_url,
        site.account_email,
        site.credential,
        site.max_concurrency
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if added > 0 {
        audit::record(&mut *transaction, actor, "site.add", std::slice::from_ref(&site.name)).await?;
    }
    transaction.commit().await?;
    Ok(added > 0)
}

/// Changes a site; false when there is none of that name.
pub async fn update(pool: &PgPool, name: &str, change: &SiteChange, actor: &str) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let changed = sqlx::query!(
        r#"UPDATE syncline.site
              SET base_url = coalesce($2, base_url), account_email = coalesce($3, account_email),
                  credential = coalesce($4, credential), max_concurrency = coalesce($5, max_concurrency),
                  updated_at = clock_timestamp()
            WHERE name = $1"#,
        name,
        change.base_url,
        change.account_email,
        change.credential,
        change.max_concurrency
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if changed > 0 {
        audit::record(&mut *transaction, actor, "site.update", &[name.to_owned()]).await?;
    }
    transaction.commit().await?;
    Ok(changed > 0)
}

/// Removes a site with its users and recorded drifts. Its projects must have been purged: foreign keys see to it.
pub async fn remove(pool: &PgPool, site: &Site, actor: &str) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("DELETE FROM syncline.jira_user WHERE site_id = $1", site.id).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM syncline.schema_drift WHERE site_id = $1", site.id).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM syncline.rate_gate WHERE key LIKE 'site:' || $1::uuid || '%'", site.id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("DELETE FROM syncline.site WHERE id = $1", site.id).execute(&mut *transaction).await?;
    audit::record(&mut *transaction, actor, "site.remove", std::slice::from_ref(&site.name)).await?;
    transaction.commit().await?;
    Ok(())
}

/// The names of all sites' projects whose rows are still here, removed ones too, as SITE/KEY.
pub async fn remaining_projects(pool: &PgPool, site_id: Uuid) -> Result<Vec<String>> {
    let keys = sqlx::query_scalar!("SELECT key FROM syncline.project WHERE site_id = $1 ORDER BY key", site_id)
        .fetch_all(pool)
        .await?;
    Ok(keys)
}
