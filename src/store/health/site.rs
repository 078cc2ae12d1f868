//! The health of a site.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::failure::FailureCode;
use crate::domain::site_cause::{Cause, SiteHealth, Unsteady};
use crate::store::Result;

/// Locks what is known of a site until the transaction ends. Everything that reads ends of runs takes this lock first.
pub async fn lock_site(conn: &mut PgConnection, site_id: Uuid) -> Result<(SiteHealth, Option<Unsteady>)> {
    let row = sqlx::query!(
        r#"INSERT INTO syncline.site_health (site_id) VALUES ($1)
           ON CONFLICT (site_id) DO UPDATE SET site_id = excluded.site_id
           RETURNING cause, code, told, failures, failed_projects, since, incident_since, rung, probe, next_probe_at, last_error,
                     unsteady_code, unsteady_since, unsteady_at"#,
        site_id
    )
    .fetch_one(conn)
    .await?;
    let unsteady =
        match (row.unsteady_code.as_deref().and_then(FailureCode::parse), row.unsteady_since, row.unsteady_at) {
            (Some(code), Some(since), Some(seen_at)) => Some(Unsteady { code, since, seen_at }),
            _ => None,
        };
    let site = SiteHealth {
        cause: row.cause.as_deref().and_then(Cause::parse),
        code: row.code.as_deref().and_then(FailureCode::parse),
        told: row.told.as_deref().and_then(FailureCode::parse),
        failures: u32::try_from(row.failures).unwrap_or(0),
        failed_projects: row.failed_projects,
        since: row.since,
        incident_since: row.incident_since,
        rung: u32::try_from(row.rung).unwrap_or(0),
        probe: row.probe,
        next_probe_at: row.next_probe_at,
        last_error: row.last_error,
    };
    Ok((site, unsteady))
}

/// Keeps what is known of it now.
pub async fn save_site(conn: &mut PgConnection, site_id: Uuid, site: &SiteHealth, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.site_health
              SET cause = $2, code = $3, told = $4, failures = $5, failed_projects = $6, since = $7, incident_since = $8,
                  rung = $9, probe = $10, next_probe_at = $11, last_error = $12, updated_at = $13,
                  resolved_at = CASE WHEN incident_since IS NOT NULL AND $7::timestamptz IS NULL THEN $13 ELSE resolved_at END
            WHERE site_id = $1"#,
        site_id,
        site.cause.map(Cause::as_str),
        site.code.map(FailureCode::as_str),
        site.told.map(FailureCode::as_str),
        i32::try_from(site.failures).unwrap_or(i32::MAX),
        &site.failed_projects,
        site.since,
        site.incident_since,
        i16::try_from(site.rung).unwrap_or(i16::MAX),
        site.probe,
        site.next_probe_at,
        site.last_error,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps whether the site is unsteady.
pub async fn save_unsteady(conn: &mut PgConnection, site_id: Uuid, unsteady: Option<Unsteady>) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.site_health SET unsteady_code = $2, unsteady_since = $3, unsteady_at = $4 WHERE site_id = $1",
        site_id,
        unsteady.map(|it| it.code.as_str()),
        unsteady.map(|it| it.since),
        unsteady.map(|it| it.seen_at),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Another project of a site that is in trouble.
#[derive(Clone, Debug)]
pub struct Ailing {
    /// The project.
    pub project_id: Uuid,
    /// `SITE/KEY`.
    pub name: String,
    /// The classes of its trouble, of those that were asked for.
    pub classes: Vec<String>,
}

/// The other projects of a site that are in trouble of one of `classes`.
pub async fn ailing(conn: &mut PgConnection, site_id: Uuid, but: Uuid, classes: &[String]) -> Result<Vec<Ailing>> {
    let ailing = sqlx::query_as!(
        Ailing,
        r#"SELECT p.id AS project_id, t.name || '/' || p.key AS "name!",
                  ARRAY(SELECT unnest(h.alerting) INTERSECT SELECT unnest($3::text[])) AS "classes!"
             FROM syncline.project p JOIN syncline.site t ON t.id = p.site_id JOIN syncline.project_health h ON h.project_id = p.id
            WHERE p.site_id = $1 AND p.id <> $2 AND p.state = 'active' AND h.alerting && $3 ORDER BY 2"#,
        site_id,
        but,
        classes
    )
    .fetch_all(conn)
    .await?;
    Ok(ailing)
}

/// Takes classes that are a site's now from its projects; answers which project had which.
pub async fn absorb_site(conn: &mut PgConnection, site_id: Uuid, classes: &[String]) -> Result<Vec<(Uuid, String)>> {
    let rows = sqlx::query!(
        r#"WITH held AS (
               SELECT h.project_id, h.alerting FROM syncline.project_health h JOIN syncline.project p ON p.id = h.project_id
                WHERE p.site_id = $1 AND h.alerting && $2 FOR UPDATE OF h
           ), taken AS (
               UPDATE syncline.project_health h SET alerting = ARRAY(SELECT unnest(h.alerting) EXCEPT SELECT unnest($2::text[]))
                 FROM held WHERE held.project_id = h.project_id
           )
           SELECT held.project_id, a.class AS "class!" FROM held, unnest(held.alerting) AS a (class) WHERE a.class = ANY ($2)"#,
        site_id,
        classes
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.project_id, row.class)).collect())
}

/// The names of projects, as `SITE/KEY`.
pub async fn project_names(conn: &mut PgConnection, projects: &[Uuid]) -> Result<Vec<String>> {
    let names = sqlx::query_scalar!(
        r#"SELECT t.name || '/' || p.key AS "name!" FROM syncline.project p JOIN syncline.site t ON t.id = p.site_id
            WHERE p.id = ANY ($1) ORDER BY 1"#,
        projects
    )
    .fetch_all(conn)
    .await?;
    Ok(names)
}
