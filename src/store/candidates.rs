//! What may be meant by a word that is being typed: names and ids, each with a few words about it.

use sqlx::PgPool;

use crate::store::Result;

/// So many are offered at most.
const MOST: i64 = 200;

/// Projects as SITE/KEY, and as KEY where that names one.
pub async fn projects(pool: &PgPool) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT p.key, s.name || '/' || p.key AS "full!", concat_ws(', ', nullif(p.name, ''), p.state) AS "about!",
                  count(*) OVER (PARTITION BY p.key) = 1 AS "alone!"
             FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id
            WHERE p.state <> 'removed' ORDER BY s.name, p.key LIMIT $1"#,
        MOST
    )
    .fetch_all(pool)
    .await?;
    let short = rows.iter().filter(|row| row.alone).map(|row| (row.key.clone(), row.about.clone()));
    let short: Vec<_> = short.collect();
    Ok(short.into_iter().chain(rows.into_iter().map(|row| (row.full, row.about))).collect())
}

/// Sites.
pub async fn sites(pool: &PgPool) -> Result<Vec<(String, String)>> {
    let rows =
        sqlx::query!("SELECT name, base_url FROM syncline.site ORDER BY name LIMIT $1", MOST).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.base_url)).collect())
}

/// Runs, newest first.
pub async fn runs(pool: &PgPool) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT r.id, concat_ws(', ', s.name || '/' || p.key, r.kind, r.state, r.error_code) AS "about!"
             FROM syncline.sync_run r
             JOIN syncline.project p ON p.id = r.project_id
             JOIN syncline.site s ON s.id = p.site_id
            ORDER BY r.created_at DESC LIMIT 50"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.to_string(), row.about)).collect())
}

/// Dead steps, newest first.
pub async fn dead_steps(pool: &PgPool) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT t.id, concat_ws(', ', t.kind, t.error_code) AS "about!" FROM syncline.sync_step t
            WHERE t.state = 'dead' ORDER BY t.finished_at DESC LIMIT 50"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.to_string(), row.about)).collect())
}

/// Alerts, open ones first.
pub async fn alerts(pool: &PgPool) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT a.id, concat_ws(', ', coalesce(s.name || coalesce('/' || p.key, ''), ''), a.class, a.state) AS "about!"
             FROM syncline.alert a
             LEFT JOIN syncline.project p ON p.id = a.project_id
             LEFT JOIN syncline.site s ON s.id = coalesce(a.site_id, p.site_id)
            ORDER BY a.state = 'resolved', a.opened_at DESC LIMIT 50"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.to_string(), row.about)).collect())
}

/// Channels that alerts are told by.
pub async fn channels(pool: &PgPool) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!("SELECT name, kind FROM syncline.alert_channel ORDER BY name LIMIT $1", MOST)
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.kind)).collect())
}
