//! Sites: where Jira is, and how to be let in.
//!
//! What must hold: the credential column holds a reference or a sealed text, and what is made for showing holds less.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{audit, capability};
use crate::store::Result;

/// A token that ends sooner is told of, again and again.
pub const TOKEN_ENDS_SOON: TimeDelta = TimeDelta::days(14);

/// A site as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct Site {
    /// Its id.
    pub id: Uuid,
    /// Its name here.
    pub name: String,
    /// Where it is.
    pub base_url: String,
    /// `cloud` or `data_center`.
    pub kind: String,
    /// `basic`, `bearer` or `oauth`.
    pub auth: String,
    /// The version that it said last.
    pub version: Option<String>,
    /// Atlassian's id of a cloud site, where it is known.
    pub cloud_id: Option<String>,
    /// The account that reads it; empty where the token alone says who it is.
    pub account_email: String,
    /// The reference to the token, `encrypted`, or `oauth`.
    pub credential: String,
    /// How many requests each worker process may have under way at once.
    pub max_concurrency: i32,
    /// Projects that are synchronised (paused ones too).
    pub projects: i64,
    /// Whether members may be matched to its users by display name.
    pub match_by_name: bool,
    /// The field that holds story points, where an operator named it.
    pub story_points_field: Option<String>,
    /// The hourly quota of an OAuth app, in points.
    pub points_per_hour: Option<i32>,
    /// When its token ends, where that is known.
    pub token_expires_at: Option<DateTime<Utc>>,
    /// Until when the site asked to be left alone, if it did.
    pub paused_until: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// What is stored: a reference or a sealed token.
    #[serde(skip)]
    pub stored_credential: String,
    /// Where requests go: the site itself, or Atlassian's gateway to it.
    #[serde(skip)]
    pub request_url: String,
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
    /// `cloud` or `data_center`.
    pub kind: &'static str,
    /// `basic`, `bearer` or `oauth`.
    pub auth: &'static str,
    /// The account that reads it; empty where the token alone says who it is.
    pub account_email: String,
    /// A reference or a sealed token; empty for OAuth, whose tokens have a table of their own.
    pub credential: String,
    /// How many requests may be under way at once.
    pub max_concurrency: i32,
}

/// What to change of a site; `None` leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteChange {
    /// Where it is.
    pub base_url: Option<String>,
    /// The account that reads it.
    pub account_email: Option<String>,
    /// A reference or a sealed token.
    pub credential: Option<String>,
    /// How many requests may be under way at once.
    pub max_concurrency: Option<i32>,
    /// `cloud` or `data_center`.
    pub kind: Option<&'static str>,
    /// `basic`, `bearer` or `oauth`.
    pub auth: Option<&'static str>,
    /// Whether members may be matched to its users by display name.
    pub match_by_name: Option<bool>,
    /// The field that holds story points; empty: find it.
    pub story_points_field: Option<String>,
    /// The hourly quota in points; 0: none.
    pub points_per_hour: Option<i32>,
    /// When the token ends, as its owner says; `Some(None)`: not known.
    pub token_expires_at: Option<Option<DateTime<Utc>>>,
}

impl SiteChange {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// All sites, or the one of that name.
pub async fn list(pool: &PgPool, name: Option<&str>) -> Result<Vec<Site>> {
    let sites = sqlx::query_as!(
        Site,
        r#"SELECT s.id, s.name, s.base_url, s.kind, s.auth, s.version, s.cloud_id, s.account_email,
                  CASE WHEN s.auth = 'oauth' THEN 'oauth' WHEN s.credential LIKE 'enc:%' THEN 'encrypted'
                       ELSE s.credential END AS "credential!",
                  s.max_concurrency,
                  (SELECT count(*) FROM syncline.project p WHERE p.site_id = s.id AND p.state <> 'removed') AS "projects!",
                  (SELECT max(g.paused_until) FROM syncline.rate_gate g
                    WHERE g.key LIKE 'site:' || s.id || '%' AND g.paused_until > clock_timestamp()) AS paused_until,
                  s.match_by_name, s.story_points_field, s.points_per_hour, s.token_expires_at,
                  s.created_at, s.updated_at, s.credential AS stored_credential,
                  coalesce((SELECT o.site_url FROM syncline.site_oauth o WHERE o.site_id = s.id AND s.auth = 'oauth'), s.base_url) AS "request_url!"
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
        r#"INSERT INTO syncline.site (id, name, base_url, kind, auth, account_email, credential, max_concurrency)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING"#,
        site.id,
        site.name,
        site.base_url,
        site.kind,
        site.auth,
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

/// Changes a site; false when there is none of that name. What was and what became is kept in `audit`, without credentials.
pub async fn update(pool: &PgPool, name: &str, change: &SiteChange, actor: &str) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let changed = sqlx::query!(
        r#"WITH old AS (SELECT * FROM syncline.site WHERE name = $1 FOR UPDATE)
           UPDATE syncline.site s
              SET base_url = coalesce($2, s.base_url), account_email = coalesce($3, s.account_email),
                  credential = coalesce($4, s.credential), max_concurrency = coalesce($5, s.max_concurrency),
                  kind = coalesce($6, s.kind), auth = coalesce($7, s.auth),
                  match_by_name = coalesce($8, s.match_by_name),
                  story_points_field = nullif(coalesce($9, s.story_points_field), ''),
                  points_per_hour = nullif(coalesce($10, s.points_per_hour), 0),
                  -- Another token ends at another time.
                  token_expires_at = CASE WHEN $11 OR $4 <> s.credential THEN $12::timestamptz ELSE s.token_expires_at END,
                  updated_at = clock_timestamp()
             FROM old
            WHERE s.id = old.id
           RETURNING to_jsonb(old) - 'credential' AS "before!", to_jsonb(s) - 'credential' AS "after!",
                     old.credential <> s.credential AS "other_credential!""#,
        name,
        change.base_url,
        change.account_email,
        change.credential,
        change.max_concurrency,
        change.kind,
        change.auth,
        change.match_by_name,
        change.story_points_field,
        change.points_per_hour,
        change.token_expires_at.is_some(),
        change.token_expires_at.flatten()
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(changed) = changed else { return Ok(false) };
    let details = differences(&changed.before, &changed.after, changed.other_credential);
    audit::record_with(&mut *transaction, actor, "site.update", name, &details).await?;
    transaction.commit().await?;
    Ok(true)
}

/// `{"column": {"old": …, "new": …}}` of what differs between two rows.
fn differences(before: &Value, after: &Value, other_credential: bool) -> Value {
    let mut differences = Map::new();
    for (column, old) in before.as_object().into_iter().flatten().filter(|(column, _)| *column != "updated_at") {
        if let Some(new) = after.get(column).filter(|new| *new != old) {
            differences.insert(column.clone(), json!({ "old": old, "new": new }));
        }
    }
    if other_credential {
        differences.insert("credential".into(), json!("changed"));
    }
    Value::Object(differences)
}

/// A site's token that ends soon, or was told to.
#[derive(Clone, Debug)]
pub struct EndingToken {
    /// The site.
    pub site_id: Uuid,
    /// Its name.
    pub site: String,
    /// When the token ends, where that is known.
    pub ends_at: Option<DateTime<Utc>>,
    /// The severity of the alert that tells of it.
    pub told: Option<String>,
}

/// Tokens that end before `before`, and those of which an alert tells. Whoever asks locks their sites until its transaction
/// ends; a site that is locked is somebody else's to look at.
pub async fn ending_tokens(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<Vec<EndingToken>> {
    let tokens = sqlx::query_as!(
        EndingToken,
        r#"SELECT s.id AS site_id, s.name AS site, s.token_expires_at AS ends_at, a.severity AS "told?"
             FROM syncline.site s
             LEFT JOIN syncline.alert a
               ON a.site_id = s.id AND a.class = 'TOKEN_ENDS' AND a.state <> 'resolved' AND a.cleared_at IS NULL
            WHERE (a.id IS NOT NULL OR s.auth <> 'oauth' AND s.token_expires_at < $1
                   AND EXISTS (SELECT FROM syncline.project p WHERE p.site_id = s.id AND p.state = 'active'))
            ORDER BY s.id LIMIT 500
              FOR UPDATE OF s SKIP LOCKED"#,
        before
    )
    .fetch_all(conn)
    .await?;
    Ok(tokens)
}

/// Keeps when the site's token ends, as Jira tells; none: it does not end.
pub async fn set_token_end(conn: &mut PgConnection, site_id: Uuid, ends_at: Option<DateTime<Utc>>) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.site SET token_expires_at = $2 WHERE id = $1 AND token_expires_at IS DISTINCT FROM $2",
        site_id,
        ends_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a check learnt of a site.
#[derive(Clone, Debug, Default)]
pub struct Learnt {
    /// The version that it says.
    pub version: Option<String>,
    /// Features with `available`, `absent` or `forbidden`, and Jira's reason.
    pub capabilities: Vec<(&'static str, &'static str, Option<String>)>,
    /// When the token ends, where Jira told; `Some(None)`: it does not end.
    pub token_ends_at: Option<Option<DateTime<Utc>>>,
}

/// Keeps what a check learnt.
pub async fn learn(pool: &PgPool, site_id: Uuid, learnt: &Learnt) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        "UPDATE syncline.site SET version = coalesce($2, version), checked_at = clock_timestamp() WHERE id = $1",
        site_id,
        learnt.version
    )
    .execute(&mut *transaction)
    .await?;
    if let Some(ends_at) = learnt.token_ends_at {
        set_token_end(&mut transaction, site_id, ends_at).await?;
    }
    let found: Vec<_> =
        learnt.capabilities.iter().map(|(feature, state, reason)| (*feature, *state, reason.as_deref())).collect();
    capability::set(&mut transaction, site_id, &found).await?;
    transaction.commit().await?;
    Ok(())
}

/// What a site does not offer, or does not show to the account.
#[derive(Clone, Debug, Serialize)]
pub struct Capability {
    /// What it is about.
    pub feature: String,
    /// `available`, `absent` or `forbidden`.
    pub state: String,
    /// What Jira answered.
    pub reason: Option<String>,
    /// When it was asked.
    pub checked_at: DateTime<Utc>,
}

/// What is known of a site's features.
pub async fn capabilities(pool: &PgPool, site_id: Uuid) -> Result<Vec<Capability>> {
    let capabilities = sqlx::query_as!(
        Capability,
        "SELECT feature, state, reason, checked_at FROM syncline.site_capability WHERE site_id = $1 ORDER BY feature",
        site_id
    )
    .fetch_all(pool)
    .await?;
    Ok(capabilities)
}

/// How many users of a site are known, and how many of them hide their e-mail addresses. Apps have none.
pub async fn count_users(pool: &PgPool, site_id: Uuid) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "known!", count(*) FILTER (WHERE email IS NULL) AS "hidden!" FROM syncline.jira_user
            WHERE site_id = $1 AND account_type IS DISTINCT FROM 'app'"#,
        site_id
    )
    .fetch_one(pool)
    .await?;
    Ok((row.known, row.hidden))
}

/// Removes a site with its users, catalogues, settings and recorded drifts. Its projects must have been purged: foreign keys see to it.
pub async fn remove(pool: &PgPool, site: &Site, actor: &str) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("DELETE FROM syncline.jira_user WHERE site_id = $1", site.id).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM syncline.schema_drift WHERE site_id = $1", site.id).execute(&mut *transaction).await?;
    sqlx::query!(
        r#"WITH bucket AS (DELETE FROM syncline.rate_bucket WHERE key LIKE 'site:' || $1::uuid || '%'),
                quota AS (DELETE FROM syncline.rate_quota WHERE key LIKE 'site:' || $1::uuid || '%')
           DELETE FROM syncline.rate_gate WHERE key LIKE 'site:' || $1::uuid || '%'"#,
        site.id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        r#"WITH board AS (DELETE FROM syncline.board WHERE site_id = $1),
                sprint AS (DELETE FROM syncline.sprint WHERE site_id = $1),
                version AS (DELETE FROM syncline.version WHERE site_id = $1),
                component AS (DELETE FROM syncline.component WHERE site_id = $1),
                status AS (DELETE FROM syncline.status WHERE site_id = $1),
                term AS (DELETE FROM syncline.term WHERE site_id = $1),
                link AS (DELETE FROM syncline.member_link WHERE site_id = $1),
                setting AS (DELETE FROM syncline.setting WHERE scope = 'site' AND scope_id = $1)
           DELETE FROM syncline.field WHERE site_id = $1"#,
        site.id
    )
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
