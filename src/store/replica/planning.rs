//! What a project is planned with: versions, components, boards and sprints.
//!
//! What must hold: a complete list says what is gone; an issue that names a version or a sprint says only that it exists and
//! what it is called, and never takes away what a list told of it.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::entity::{BoardRecord, ComponentRecord, SprintRecord, VersionRecord};
use crate::store::Result;

/// Where records were read. Issues tell names, and that the rest exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// On issues: they exist, and may be told more of elsewhere.
    Issues,
    /// In the whole list of their project or board: what is not in it is gone.
    List,
}

/// Writes versions of a project that are new or different.
pub async fn upsert_versions(
    conn: &mut PgConnection,
    site_id: Uuid,
    jira_project_id: Option<i64>,
    versions: &[VersionRecord],
    source: Source,
) -> Result<()> {
    if versions.is_empty() && source == Source::Issues {
        return Ok(());
    }
    let mut sorted: Vec<&VersionRecord> = versions.iter().collect();
    sorted.sort_unstable_by_key(|v| v.id);
    sorted.dedup_by_key(|v| v.id);
    let ids: Vec<i64> = sorted.iter().map(|v| v.id).collect();
    let projects: Vec<Option<i64>> = sorted.iter().map(|v| v.project_id.or(jira_project_id)).collect();
    let names: Vec<&str> = sorted.iter().map(|v| v.name.as_str()).collect();
    let descriptions: Vec<Option<&str>> = sorted.iter().map(|v| v.description.as_deref()).collect();
    let archived: Vec<bool> = sorted.iter().map(|v| v.archived).collect();
    let released: Vec<bool> = sorted.iter().map(|v| v.released).collect();
    let starts: Vec<Option<NaiveDate>> = sorted.iter().map(|v| v.start_date).collect();
    let releases: Vec<Option<NaiveDate>> = sorted.iter().map(|v| v.release_date).collect();
    sqlx::query!(
        r#"
        WITH gone AS (
            UPDATE syncline.version SET deleted_at = clock_timestamp()
             WHERE $10 AND site_id = $1 AND jira_project_id = $11 AND deleted_at IS NULL AND id <> ALL ($2::int8[])
        )
        INSERT INTO syncline.version AS v (site_id, id, jira_project_id, name, description, archived, released, start_date, release_date)
        SELECT $1, n.* FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[], $6::bool[], $7::bool[], $8::date[], $9::date[])
                         AS n (id, project, name, description, archived, released, start_date, release_date)
         -- Most pages name versions that are known by that name: those are not even locked.
         WHERE $10 OR NOT EXISTS (SELECT 1 FROM syncline.version o WHERE o.site_id = $1 AND o.id = n.id AND n.name IN (o.name, ''))
         ORDER BY n.id
        ON CONFLICT (site_id, id) DO UPDATE
           SET name = excluded.name, updated_at = clock_timestamp(),
               jira_project_id = CASE WHEN $10 THEN excluded.jira_project_id ELSE v.jira_project_id END,
               description = CASE WHEN $10 THEN excluded.description ELSE v.description END,
               archived = CASE WHEN $10 THEN excluded.archived ELSE v.archived END,
               released = CASE WHEN $10 THEN excluded.released ELSE v.released END,
               start_date = CASE WHEN $10 THEN excluded.start_date ELSE v.start_date END,
               release_date = CASE WHEN $10 THEN excluded.release_date ELSE v.release_date END,
               deleted_at = CASE WHEN $10 THEN NULL ELSE v.deleted_at END
         WHERE NOT $10 OR (v.deleted_at IS NOT NULL
            OR (v.jira_project_id, v.name, v.description, v.archived, v.released, v.start_date, v.release_date)
               IS DISTINCT FROM (excluded.jira_project_id, excluded.name, excluded.description, excluded.archived,
                                 excluded.released, excluded.start_date, excluded.release_date))
        "#,
        site_id,
        &ids,
        &projects as &[Option<i64>],
        &names as &[&str],
        &descriptions as &[Option<&str>],
        &archived,
        &released,
        &starts as &[Option<NaiveDate>],
        &releases as &[Option<NaiveDate>],
        source == Source::List,
        jira_project_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes components of a project that are new or different.
pub async fn upsert_components(
    conn: &mut PgConnection,
    site_id: Uuid,
    jira_project_id: Option<i64>,
    components: &[ComponentRecord],
    source: Source,
) -> Result<()> {
    if components.is_empty() && source == Source::Issues {
        return Ok(());
    }
    let mut sorted: Vec<&ComponentRecord> = components.iter().collect();
    sorted.sort_unstable_by_key(|c| c.id);
    sorted.dedup_by_key(|c| c.id);
    let ids: Vec<i64> = sorted.iter().map(|c| c.id).collect();
    let projects: Vec<Option<i64>> = sorted.iter().map(|c| c.project_id.or(jira_project_id)).collect();
    let names: Vec<&str> = sorted.iter().map(|c| c.name.as_str()).collect();
    let descriptions: Vec<Option<&str>> = sorted.iter().map(|c| c.description.as_deref()).collect();
    let leads: Vec<Option<&str>> = sorted.iter().map(|c| c.lead.as_deref()).collect();
    sqlx::query!(
        r#"
        WITH gone AS (
            UPDATE syncline.component SET deleted_at = clock_timestamp()
             WHERE $7 AND site_id = $1 AND jira_project_id = $8 AND deleted_at IS NULL AND id <> ALL ($2::int8[])
        )
        INSERT INTO syncline.component AS c (site_id, id, jira_project_id, name, description, lead_account_id)
        SELECT $1, n.* FROM unnest($2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[]) AS n (id, project, name, description, lead)
         WHERE $7 OR NOT EXISTS (SELECT 1 FROM syncline.component o WHERE o.site_id = $1 AND o.id = n.id AND n.name IN (o.name, ''))
         ORDER BY n.id
        ON CONFLICT (site_id, id) DO UPDATE
           SET name = excluded.name, updated_at = clock_timestamp(),
               jira_project_id = CASE WHEN $7 THEN excluded.jira_project_id ELSE c.jira_project_id END,
               description = CASE WHEN $7 THEN excluded.description ELSE c.description END,
               lead_account_id = CASE WHEN $7 THEN excluded.lead_account_id ELSE c.lead_account_id END,
               deleted_at = CASE WHEN $7 THEN NULL ELSE c.deleted_at END
         WHERE NOT $7 OR (c.deleted_at IS NOT NULL
            OR (c.jira_project_id, c.name, c.description, c.lead_account_id)
               IS DISTINCT FROM (excluded.jira_project_id, excluded.name, excluded.description, excluded.lead_account_id))
        "#,
        site_id,
        &ids,
        &projects as &[Option<i64>],
        &names as &[&str],
        &descriptions as &[Option<&str>],
        &leads as &[Option<&str>],
        source == Source::List,
        jira_project_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the boards of a project what the list says.
pub async fn upsert_boards(
    conn: &mut PgConnection,
    site_id: Uuid,
    jira_project_id: i64,
    boards: &[BoardRecord],
) -> Result<()> {
    let mut sorted: Vec<&BoardRecord> = boards.iter().collect();
    sorted.sort_unstable_by_key(|b| b.id);
    sorted.dedup_by_key(|b| b.id);
    let ids: Vec<i64> = sorted.iter().map(|b| b.id).collect();
    let names: Vec<&str> = sorted.iter().map(|b| b.name.as_str()).collect();
    let types: Vec<&str> = sorted.iter().map(|b| b.board_type.as_str()).collect();
    // A board may show several projects and belongs to one: it is of the project that Jira names, else of the one asked for.
    let projects: Vec<i64> = sorted.iter().map(|b| b.project_id.unwrap_or(jira_project_id)).collect();
    sqlx::query!(
        r#"
        WITH gone AS (
            UPDATE syncline.board SET deleted_at = clock_timestamp()
             WHERE site_id = $1 AND jira_project_id = $6 AND deleted_at IS NULL AND id <> ALL ($2::int8[])
        )
        INSERT INTO syncline.board AS b (site_id, id, name, board_type, jira_project_id)
        SELECT $1, n.* FROM unnest($2::int8[], $3::text[], $4::text[], $5::int8[]) AS n
        ON CONFLICT (site_id, id) DO UPDATE
           SET name = excluded.name, board_type = excluded.board_type, jira_project_id = excluded.jira_project_id,
               updated_at = clock_timestamp(), deleted_at = NULL
         WHERE b.deleted_at IS NOT NULL
            OR (b.name, b.board_type, b.jira_project_id) IS DISTINCT FROM (excluded.name, excluded.board_type, excluded.jira_project_id)
        "#,
        site_id,
        &ids,
        &names as &[&str],
        &types as &[&str],
        &projects,
        jira_project_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes sprints that are new or different. `boards` are the boards whose whole lists these are, for [`Source::List`]: a
/// sprint that was made on one of them and is in no list is gone.
pub async fn upsert_sprints(
    conn: &mut PgConnection,
    site_id: Uuid,
    sprints: &[SprintRecord],
    boards: &[i64],
    source: Source,
) -> Result<()> {
    if sprints.is_empty() && boards.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&SprintRecord> = sprints.iter().collect();
    sorted.sort_unstable_by_key(|s| s.id);
    sorted.dedup_by_key(|s| s.id);
    let time = |f: fn(&SprintRecord) -> Option<DateTime<Utc>>| {
        sorted.iter().map(|s| f(s)).collect::<Vec<Option<DateTime<Utc>>>>()
    };
    let ids: Vec<i64> = sorted.iter().map(|s| s.id).collect();
    let names: Vec<&str> = sorted.iter().map(|s| s.name.as_str()).collect();
    let states: Vec<&str> = sorted.iter().map(|s| s.state.as_str()).collect();
    let of_boards: Vec<Option<i64>> = sorted.iter().map(|s| s.board_id).collect();
    let goals: Vec<Option<&str>> = sorted.iter().map(|s| s.goal.as_deref()).collect();
    let uncertain: Vec<bool> = sorted.iter().map(|s| s.uncertain).collect();
    sqlx::query!(
        r#"
        WITH gone AS (
            UPDATE syncline.sprint SET deleted_at = clock_timestamp()
             WHERE site_id = $1 AND board_id = ANY ($10::int8[]) AND deleted_at IS NULL AND id <> ALL ($2::int8[])
        ), input AS (
            -- What an issue does not tell of a sprint, or not for certain, stays as a list told it.
            SELECT n.id, CASE WHEN n.uncertain THEN coalesce(o.name, n.name) ELSE n.name END AS name, n.state,
                   coalesce(n.board_id, o.board_id) AS board_id,
                   CASE WHEN $11 THEN n.goal WHEN n.uncertain AND o.id IS NOT NULL THEN o.goal ELSE coalesce(n.goal, o.goal) END AS goal,
                   CASE WHEN $11 THEN n.started_at ELSE coalesce(n.started_at, o.started_at) END AS started_at,
                   CASE WHEN $11 THEN n.ends_at ELSE coalesce(n.ends_at, o.ends_at) END AS ends_at,
                   CASE WHEN $11 THEN n.completed_at ELSE coalesce(n.completed_at, o.completed_at) END AS completed_at
              FROM unnest($2::int8[], $3::text[], $4::text[], $5::int8[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[],
                          $12::bool[])
                   AS n (id, name, state, board_id, goal, started_at, ends_at, completed_at, uncertain)
              LEFT JOIN syncline.sprint o ON o.site_id = $1 AND o.id = n.id
             WHERE o.id IS NULL OR o.deleted_at IS NOT NULL
                OR (o.name, o.state, o.board_id, o.goal, o.started_at, o.ends_at, o.completed_at) IS DISTINCT FROM
                   (CASE WHEN n.uncertain THEN o.name ELSE n.name END, n.state, coalesce(n.board_id, o.board_id),
                    CASE WHEN $11 THEN n.goal WHEN n.uncertain THEN o.goal ELSE coalesce(n.goal, o.goal) END,
                    CASE WHEN $11 THEN n.started_at ELSE coalesce(n.started_at, o.started_at) END,
                    CASE WHEN $11 THEN n.ends_at ELSE coalesce(n.ends_at, o.ends_at) END,
                    CASE WHEN $11 THEN n.completed_at ELSE coalesce(n.completed_at, o.completed_at) END)
        )
        INSERT INTO syncline.sprint AS s (site_id, id, name, state, board_id, goal, started_at, ends_at, completed_at)
        SELECT $1, i.* FROM input i ORDER BY i.id
        ON CONFLICT (site_id, id) DO UPDATE
           SET name = excluded.name, state = excluded.state, board_id = excluded.board_id, goal = excluded.goal,
               started_at = excluded.started_at, ends_at = excluded.ends_at, completed_at = excluded.completed_at,
               updated_at = clock_timestamp(), deleted_at = NULL
        "#,
        site_id,
        &ids,
        &names as &[&str],
        &states as &[&str],
        &of_boards as &[Option<i64>],
        &goals as &[Option<&str>],
        &time(|s| s.started_at) as &[Option<DateTime<Utc>>],
        &time(|s| s.ends_at) as &[Option<DateTime<Utc>>],
        &time(|s| s.completed_at) as &[Option<DateTime<Utc>>],
        boards,
        source == Source::List,
        &uncertain,
    )
    .execute(conn)
    .await?;
    Ok(())
}
