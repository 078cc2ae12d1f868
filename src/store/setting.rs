//! Settings that were made by hand, for all, a site or a project.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::setting::{Key, Scope, Settings};
use crate::store::Result;
use crate::store::audit::{self, Who};

/// Where a value is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How wide.
    pub scope: Scope,
    /// The site or the project; nil for all.
    pub id: Uuid,
    /// `all`, the site's name or SITE/KEY.
    pub name: String,
}

impl Place {
    /// Everywhere.
    pub fn all() -> Self {
        Self { scope: Scope::All, id: Uuid::nil(), name: "all".into() }
    }
}

/// One value that was set.
#[derive(Clone, Debug, Serialize)]
pub struct StoredSetting {
    /// Its key.
    pub key: String,
    /// `all`, the site's name or SITE/KEY; none where it is gone.
    pub place: Option<String>,
    /// `all`, `site` or `project`.
    pub scope: String,
    /// The value.
    pub value: Value,
    /// When it was set.
    pub updated_at: DateTime<Utc>,
    /// By whom.
    pub updated_by: String,
}

/// The settings in force for a project, a site, or all, without the configuration.
pub async fn in_force(pool: &PgPool, site_id: Option<Uuid>, project_id: Option<Uuid>) -> Result<Settings> {
    let stored =
        sqlx::query_scalar!(r#"SELECT syncline.effective_settings($1, $2) AS "settings!""#, site_id, project_id)
            .fetch_one(pool)
            .await?;
    Ok(Settings::new(&stored))
}

/// Every value that was set, wide ones first.
pub async fn list(pool: &PgPool) -> Result<Vec<StoredSetting>> {
    let settings = sqlx::query_as!(
        StoredSetting,
        r#"SELECT t.key, t.scope, t.value, t.updated_at, t.updated_by,
                  CASE t.scope WHEN 'all' THEN 'all' WHEN 'site' THEN s.name ELSE o.name || '/' || p.key END AS place
             FROM syncline.setting t
             LEFT JOIN syncline.site s ON t.scope = 'site' AND s.id = t.scope_id
             LEFT JOIN syncline.project p ON t.scope = 'project' AND p.id = t.scope_id
             LEFT JOIN syncline.site o ON o.id = p.site_id
            ORDER BY array_position(ARRAY['all', 'site', 'project'], t.scope), place, t.key"#
    )
    .fetch_all(pool)
    .await?;
    Ok(settings)
}

/// Where a key is set, and to what, the narrowest scope first.
pub async fn origins(
    pool: &PgPool,
    key: &Key,
    site_id: Option<Uuid>,
    project_id: Option<Uuid>,
) -> Result<Vec<(String, Value)>> {
    let rows = sqlx::query!(
        r#"SELECT scope, value FROM syncline.setting
            WHERE key = $1 AND (scope = 'all' OR scope = 'site' AND scope_id = $2 OR scope = 'project' AND scope_id = $3)
            ORDER BY array_position(ARRAY['project', 'site', 'all'], scope)"#,
        key.name,
        site_id,
        project_id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.scope, row.value)).collect())
}

/// What is set for these keys, the narrowest scope first.
pub async fn all_origins(
    pool: &PgPool,
    site_id: Option<Uuid>,
    project_id: Option<Uuid>,
) -> Result<Vec<(String, String, Value)>> {
    let rows = sqlx::query!(
        r#"SELECT key, scope, value FROM syncline.setting
            WHERE scope = 'all' OR scope = 'site' AND scope_id = $1 OR scope = 'project' AND scope_id = $2
            ORDER BY array_position(ARRAY['project', 'site', 'all'], scope)"#,
        site_id,
        project_id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.scope, row.value)).collect())
}

/// Sets values, in one transaction, each with a row of `audit`.
pub async fn set(pool: &PgPool, place: &Place, values: &[(&'static Key, f64)], who: &Who<'_>) -> Result<()> {
    let names: Vec<&str> = values.iter().map(|(key, _)| key.name).collect();
    let stored: Vec<Value> = values.iter().map(|(key, value)| key.stored(*value)).collect();
    let mut transaction = pool.begin().await?;
    audit::speak_for(&mut transaction, who).await?;
    sqlx::query!(
        r#"WITH new AS (
               SELECT n.key, n.value FROM unnest($3::text[], $4::jsonb[]) AS n (key, value)
           ), old AS (
               SELECT t.key, t.value FROM syncline.setting t
                WHERE t.scope = $1 AND t.scope_id = $2 AND t.key = ANY ($3) ORDER BY t.key FOR UPDATE
           ), written AS (
               INSERT INTO syncline.setting AS t (scope, scope_id, key, value, updated_by)
               SELECT $1, $2, n.key, n.value, $5 FROM new n ORDER BY n.key
               ON CONFLICT (scope, scope_id, key) DO UPDATE
                  SET value = excluded.value, updated_by = excluded.updated_by, updated_at = clock_timestamp()
           )
           INSERT INTO syncline.audit (actor, action, subject, details)
           SELECT $5, 'config.set', $6, jsonb_build_object('key', n.key, 'old', o.value, 'new', n.value)
             FROM new n LEFT JOIN old o ON o.key = n.key ORDER BY n.key"#,
        place.scope.as_str(),
        place.id,
        &names as &[&str],
        &stored,
        who.name,
        place.name
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Takes a value back: what is wider counts again. False when none was set there.
pub async fn unset(pool: &PgPool, place: &Place, key: &Key, who: &Who<'_>) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let old = sqlx::query_scalar!(
        "DELETE FROM syncline.setting WHERE scope = $1 AND scope_id = $2 AND key = $3 RETURNING value",
        place.scope.as_str(),
        place.id,
        key.name
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(old) = &old {
        let details = json!({ "key": key.name, "old": old, "new": null });
        audit::record_by(&mut *transaction, who, "config.unset", &place.name, &details).await?;
    }
    transaction.commit().await?;
    Ok(old.is_some())
}

/// What past runs of one kind were like, on average.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// `incremental` or `full`.
    pub kind: String,
    /// How many runs this is about: the newest that succeeded and read something.
    pub runs: i64,
    /// When the oldest of them started.
    pub since: DateTime<Utc>,
    /// When the newest of them started.
    pub until: DateTime<Utc>,
    /// Issues read by each.
    pub issues: f64,
    /// Pages read by each.
    pub pages: f64,
    /// Requests sent by each; 0 where they were not counted.
    pub requests: f64,
    /// How long each took.
    pub seconds: f64,
    /// How long the longest took.
    pub longest_seconds: f64,
    /// The length of the window of each; none for full runs.
    pub window_seconds: Option<f64>,
}

/// Averages over up to 20 runs of each kind that started since one of `keys` was last changed where the project would feel
/// it: runs with other pages are no measure. Where there is none since, all runs count.
pub async fn history(pool: &PgPool, project_id: Uuid, keys: &[&str]) -> Result<Vec<History>> {
    let history = sqlx::query_as!(
        History,
        r#"SELECT h.kind, count(*) AS "runs!", min(h.started_at) AS "since!", max(h.started_at) AS "until!",
                  avg(h.issues_seen)::float8 AS "issues!", avg(h.pages)::float8 AS "pages!", avg(h.requests)::float8 AS "requests!",
                  avg(extract(epoch FROM h.finished_at - h.started_at))::float8 AS "seconds!",
                  max(extract(epoch FROM h.finished_at - h.started_at))::float8 AS "longest_seconds!",
                  avg(extract(epoch FROM h.started_at - h.window_from))::float8 AS window_seconds
             FROM (SELECT r.*, r.started_at > c.at AS is_alike,
                          bool_or(r.started_at > c.at) OVER (PARTITION BY r.kind) AS has_alike,
                          row_number() OVER (PARTITION BY r.kind ORDER BY r.created_at DESC) AS place
                     FROM syncline.sync_run r
                    CROSS JOIN (
                          SELECT coalesce(max(a.at), '-infinity') AS at
                            FROM syncline.audit a
                            JOIN syncline.project p ON p.id = $1
                            JOIN syncline.site s ON s.id = p.site_id
                           WHERE a.action IN ('config.set', 'config.unset') AND a.details->>'key' = ANY ($2)
                             AND a.subject IN ('all', s.name, s.name || '/' || p.key)) c
                    WHERE r.project_id = $1 AND r.state = 'succeeded' AND r.trigger <> 'repair'
                      AND r.started_at IS NOT NULL AND r.finished_at IS NOT NULL AND r.pages > 0) h
            WHERE h.place <= 20 AND (h.is_alike OR NOT h.has_alike)
            GROUP BY h.kind ORDER BY h.kind DESC"#,
        project_id,
        keys as &[&str]
    )
    .fetch_all(pool)
    .await?;
    Ok(history)
}
