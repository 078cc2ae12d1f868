//! Reconciliation: the ids that a sweep has met, what the replica has besides, and what it lacks.
//!
//! What must hold: ids are kept here and not in memory, so that a project of a million issues costs no more than one page
//! of them; nothing is marked on the word of the sweep alone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::night::{self, Tries};
use crate::store::Result;

/// Whether a scheduled run is to reconcile, see [`night`].
pub async fn is_due(pool: &PgPool, project_id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let row = sqlx::query!(
        r#"
        SELECT greatest(p.reconciled_at, p.created_at) AS "through!", p.reconcile_tried_at, s.time_zone AS "time_zone?",
               coalesce((SELECT r.error_code = 'RECONCILE_GUARD' FROM syncline.sync_run r
                          WHERE r.project_id = p.id AND r.reconcile AND r.finished_at IS NOT NULL
                          ORDER BY r.created_at DESC LIMIT 1), false) AS "stopped!"
          FROM syncline.project p
          LEFT JOIN syncline.schedule s ON s.project_id = p.id
         WHERE p.id = $1
        "#,
        project_id,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some_and(|row| {
        let zone = row.time_zone.and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
        let tries = Tries { through: row.through, tried: row.reconcile_tried_at, stopped: row.stopped };
        tries.is_due(night::last(project_id, zone, now), now)
    }))
}

/// Notes ids that the sweep met.
pub async fn saw(conn: &mut PgConnection, run_id: Uuid, ids: &[i64]) -> Result<()> {
    sqlx::query!(
        "INSERT INTO syncline.reconcile_seen (run_id, issue_id) SELECT $1, unnest($2::int8[]) ON CONFLICT DO NOTHING",
        run_id,
        ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a finished sweep comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// Issues of the project that the replica shows.
    pub shown: i64,
    /// Of those, how many the sweep did not meet.
    pub unmet: i64,
    /// Ids that the sweep met.
    pub met: i64,
    /// The share that may be marked at once, from the settings.
    pub max_share: f64,
}

/// Adds up. `began` is when the sweep began: what was created since, and so was not seen before either, is none of its
/// business. One that was seen before was there, whenever Jira says that it was created.
pub async fn sum(pool: &PgPool, run_id: Uuid, project_id: Uuid, began: DateTime<Utc>) -> Result<Sum> {
    let row = sqlx::query_as!(
        Sum,
        r#"
        SELECT count(*) AS "shown!",
               count(*) FILTER (WHERE s.issue_id IS NULL AND (i.created_at < $3 OR coalesce(i.observed_at, i.synced_at) < $3)) AS "unmet!",
               (SELECT count(*) FROM syncline.reconcile_seen WHERE run_id = $1) AS "met!",
               coalesce((SELECT (v.value #>> '{}')::float8
                           FROM syncline.setting v JOIN syncline.project p ON p.id = $2
                          WHERE v.key = 'reconcile_max_share' AND v.value #>> '{}' ~ '^[0-9.]+$'
                            AND (v.scope = 'project' AND v.scope_id = p.id OR v.scope = 'site' AND v.scope_id = p.site_id OR v.scope = 'all')
                          ORDER BY array_position(ARRAY['project', 'site', 'all'], v.scope) LIMIT 1), 0.2) AS "max_share!"
          FROM syncline.issue i
          LEFT JOIN syncline.reconcile_seen s ON s.run_id = $1 AND s.issue_id = i.id
         WHERE i.project_id = $2 AND i.deleted_at IS NULL
        "#,
        run_id,
        project_id,
        began
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

/// An issue that the replica shows and the sweep did not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Jira's id.
    pub id: i64,
}

/// Whether an issue of the project had a security level, as far as was ever seen.
pub async fn has_levels(pool: &PgPool, project_id: Uuid) -> Result<bool> {
    let any = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM syncline.issue WHERE project_id = $1 AND security_level IS NOT NULL) AS "any!""#,
        project_id
    )
    .fetch_one(pool)
    .await?;
    Ok(any)
}

/// The next of them, by id.
pub async fn unmet(
    pool: &PgPool,
    run_id: Uuid,
    project_id: Uuid,
    began: DateTime<Utc>,
    after: i64,
    limit: i64,
) -> Result<Vec<Unmet>> {
    let rows = sqlx::query_as!(
        Unmet,
        r#"SELECT i.id FROM syncline.issue i
            WHERE i.project_id = $2 AND i.deleted_at IS NULL AND i.id > $4
              AND (i.created_at < $3 OR coalesce(i.observed_at, i.synced_at) < $3)
              AND NOT EXISTS (SELECT 1 FROM syncline.reconcile_seen s WHERE s.run_id = $1 AND s.issue_id = i.id)
            ORDER BY i.id LIMIT $5"#,
        run_id,
        project_id,
        began,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Ids that the sweep met and the replica does not show in this project, by id.
pub async fn missing(pool: &PgPool, run_id: Uuid, project_id: Uuid, after: i64, limit: i64) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT s.issue_id FROM syncline.reconcile_seen s JOIN syncline.project p ON p.id = $2
            WHERE s.run_id = $1 AND s.issue_id > $3
              AND NOT EXISTS (SELECT 1 FROM syncline.issue i
                               WHERE i.site_id = p.site_id AND i.id = s.issue_id AND i.project_id = $2 AND i.deleted_at IS NULL)
            ORDER BY s.issue_id LIMIT $4"#,
        run_id,
        project_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// Counts issues that were marked.
pub async fn marked(conn: &mut PgConnection, run_id: Uuid, issues: i64) -> Result<()> {
    sqlx::query!("UPDATE syncline.sync_run SET issues_deleted = issues_deleted + $2 WHERE id = $1", run_id, issues)
        .execute(conn)
        .await?;
    Ok(())
}

/// Of `ids`, those that the run does not read by id anyhow, because somebody asked for them.
pub async fn not_asked_for(pool: &PgPool, run_id: Uuid, ids: &[i64]) -> Result<Vec<i64>> {
    let rest = sqlx::query_scalar!(
        r#"SELECT n.id AS "id!" FROM unnest($2::int8[]) AS n (id), syncline.sync_run r
            WHERE r.id = $1 AND n.id <> ALL (r.repair_ids) ORDER BY n.id"#,
        run_id,
        ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rest)
}

/// Forgets that the sweep met these: they are read by id.
pub async fn forget(conn: &mut PgConnection, run_id: Uuid, ids: &[i64]) -> Result<()> {
    sqlx::query!("DELETE FROM syncline.reconcile_seen WHERE run_id = $1 AND issue_id = ANY ($2)", run_id, ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// The issues whose contents are compared next, by id: a part of the project so that all have their turn within `rounds`
/// reconciliations, and at least `least` of them. After the last one it begins anew. Only what the sweep met, and nobody reads
/// by id anyhow: an issue is not read twice in one run.
pub async fn contents(pool: &PgPool, run_id: Uuid, project_id: Uuid, least: i64, rounds: i64) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!(
        r#"
        WITH here AS MATERIALIZED (
            SELECT count(*) AS n FROM syncline.issue WHERE project_id = $1 AND deleted_at IS NULL
        ), place AS MATERIALIZED (
            SELECT CASE WHEN EXISTS (SELECT 1 FROM syncline.issue i
                                      WHERE i.project_id = $1 AND i.deleted_at IS NULL AND i.id > p.content_compared_to)
                        THEN p.content_compared_to ELSE 0 END AS after
              FROM syncline.project p WHERE p.id = $1
        )
        SELECT i.id FROM syncline.issue i
         WHERE i.project_id = $1 AND i.deleted_at IS NULL AND i.id > (SELECT after FROM place)
           AND EXISTS (SELECT 1 FROM syncline.reconcile_seen s WHERE s.run_id = $4 AND s.issue_id = i.id)
           AND NOT EXISTS (SELECT 1 FROM syncline.sync_run r WHERE r.id = $4 AND i.id = ANY (r.repair_ids))
         ORDER BY i.id LIMIT (SELECT greatest($2::int8, (n + $3::int8 - 1) / $3::int8) FROM here)
        "#,
        project_id,
        least,
        rounds,
        run_id,
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// The reconciliation is through; contents are compared up to `compared_to`.
pub async fn done(
    conn: &mut PgConnection,
    run_id: Uuid,
    project_id: Uuid,
    compared_to: Option<i64>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"WITH seen AS (DELETE FROM syncline.reconcile_seen WHERE run_id = $1)
           UPDATE syncline.project SET reconciled_at = $3, content_compared_to = coalesce($4, content_compared_to) WHERE id = $2"#,
        run_id,
        project_id,
        now,
        compared_to
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The ids of those projects of Jira that are synchronised, out of `projects` (Jira's ids).
pub async fn tracked(pool: &PgPool, site_id: Uuid, projects: &[i64]) -> Result<Vec<i64>> {
    let tracked = sqlx::query_scalar!(
        r#"SELECT jira_id AS "id!" FROM syncline.project WHERE site_id = $1 AND state = 'active' AND jira_id = ANY ($2)"#,
        site_id,
        projects
    )
    .fetch_all(pool)
    .await?;
    Ok(tracked)
}
