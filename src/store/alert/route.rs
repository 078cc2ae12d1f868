//! Routes: who hears of what.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::domain::failure::Severity;
use crate::domain::hours::Hours;
use crate::domain::route::{Route, Selector};
use crate::store::{Error, Result, audit};

/// All routes, in the order of the walk.
pub async fn list(executor: impl PgExecutor<'_>) -> Result<Vec<Route>> {
    let rows = sqlx::query!(
        r#"SELECT id, position, channel, to_recipients, cc_recipients, bcc_recipients, min_severity, categories, classes,
                  sites, projects, hours, escalate_after_seconds, goes_on
             FROM syncline.alert_route ORDER BY position"#
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Route {
                id: r.id,
                position: r.position,
                channel: r.channel,
                to: r.to_recipients,
                cc: r.cc_recipients,
                bcc: r.bcc_recipients,
                selector: Selector {
                    min_severity: r.min_severity.as_deref().and_then(Severity::parse),
                    categories: r.categories,
                    classes: r.classes,
                    sites: r.sites,
                    projects: r.projects,
                },
                hours: r.hours.as_deref().map(str::parse::<Hours>).transpose().map_err(|error| Error::BadValue {
                    table: "syncline.alert_route",
                    column: "hours",
                    found: error.to_string(),
                    expected: "hours such as MON-FRI 08:00-18:00 UTC",
                })?,
                escalate_after_seconds: r.escalate_after_seconds,
                goes_on: r.goes_on,
            })
        })
        .collect()
}

/// Adds a route at its position; those behind it move on by one.
pub async fn add(pool: &PgPool, now: DateTime<Utc>, route: &Route, actor: &str) -> Result<i32> {
    let mut tx = pool.begin().await?;
    lock(&mut tx).await?;
    let position = sqlx::query_scalar!(
        r#"WITH place AS (
               SELECT least(greatest($2, 1), coalesce(max(position), 0) + 1) AS position FROM syncline.alert_route
           ), moved AS (
               UPDATE syncline.alert_route r SET position = r.position + 1 FROM place WHERE r.position >= place.position
           )
           INSERT INTO syncline.alert_route (id, position, channel, to_recipients, cc_recipients, bcc_recipients, min_severity,
                  categories, classes, sites, projects, hours, escalate_after_seconds, goes_on, created_at)
           SELECT $1, place.position, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15 FROM place
           RETURNING position"#,
        route.id,
        route.position,
        route.channel,
        &route.to,
        &route.cc,
        &route.bcc,
        route.selector.min_severity.map(Severity::as_str),
        &route.selector.categories,
        &route.selector.classes,
        &route.selector.sites,
        &route.selector.projects,
        route.hours.as_ref().map(ToString::to_string),
        route.escalate_after_seconds,
        route.goes_on,
        now
    )
    .fetch_one(&mut *tx)
    .await?;
    audit::record(&mut *tx, actor, "alert.route.add", &[route.id.to_string()]).await?;
    tx.commit().await?;
    Ok(position)
}

/// Removes the route at a position; answers its id, if there was one.
pub async fn remove(pool: &PgPool, position: i32, actor: &str) -> Result<Option<Uuid>> {
    let mut tx = pool.begin().await?;
    lock(&mut tx).await?;
    let id = sqlx::query_scalar!("DELETE FROM syncline.alert_route WHERE position = $1 RETURNING id", position)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(id) = id {
        renumber(&mut tx).await?;
        audit::record(&mut *tx, actor, "alert.route.remove", &[id.to_string()]).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// Moves a route to another position; answers its id, if there was one.
pub async fn relocate(pool: &PgPool, from: i32, to: i32, actor: &str) -> Result<Option<Uuid>> {
    let mut tx = pool.begin().await?;
    lock(&mut tx).await?;
    let id = sqlx::query_scalar!(
        r#"WITH target AS (SELECT id FROM syncline.alert_route WHERE position = $1),
           moved AS (
               UPDATE syncline.alert_route r
                  SET position = n.place
                 FROM (SELECT s.id, row_number() OVER (
                              -- The route itself goes before what stands there when it moves up, behind it when it moves down.
                              ORDER BY CASE WHEN s.id = t.id THEN $2 * 2 + CASE WHEN $2 < $1 THEN -1 ELSE 1 END ELSE s.position * 2 END
                              )::int AS place
                         FROM syncline.alert_route s CROSS JOIN target t) n
                WHERE r.id = n.id AND r.position <> n.place
           )
           SELECT id FROM target"#,
        from,
        to
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(id) = id {
        audit::record(&mut *tx, actor, "alert.route.move", &[id.to_string()]).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// Positions are changed by one at a time.
async fn lock(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('syncline.alert_route', 0))").fetch_one(conn).await?;
    Ok(())
}

/// Closes gaps.
async fn renumber(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.alert_route r SET position = n.place
             FROM (SELECT id, row_number() OVER (ORDER BY position)::int AS place FROM syncline.alert_route) n
            WHERE r.id = n.id AND r.position <> n.place"#
    )
    .execute(conn)
    .await?;
    Ok(())
}
