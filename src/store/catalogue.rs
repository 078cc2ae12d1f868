//! When the catalogues of a site and of a project are to be read again, and what verifications read of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::names;
use crate::store::Result;

/// What is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Fields, and the names below.
    pub site: bool,
    /// Statuses, issue types, priorities, resolutions: since when, by the database's clock; see [`super::names`].
    #[serde(default)]
    pub names: Option<DateTime<Utc>>,
    /// Users.
    pub users: bool,
    /// Versions, components, boards, sprints.
    pub project: bool,
}

impl Due {
    /// Nothing at all.
    pub const fn is_nothing(self) -> bool {
        !(self.site || self.users || self.project || self.names.is_some())
    }
}

/// Claims what is due, so that one run reads it: catalogues each six hours, users each day, names after `names_seconds`; a full
/// run reads its project's always, and the site's unless somebody has just done so.
pub async fn claim(
    conn: &mut PgConnection,
    site_id: Uuid,
    project_id: Uuid,
    full: bool,
    names_seconds: f64,
    now: DateTime<Utc>,
) -> Result<Due> {
    let site = sqlx::query!(
        r#"
        UPDATE syncline.site s
           SET catalogue_synced_at = CASE WHEN d.catalogue THEN $2 ELSE s.catalogue_synced_at END,
               users_synced_at = CASE WHEN d.users THEN $2 ELSE s.users_synced_at END
          FROM (SELECT coalesce(catalogue_synced_at, '-infinity') < $2::timestamptz - CASE WHEN $3 THEN interval '15 minutes' ELSE interval '6 hours' END AS catalogue,
                       coalesce(users_synced_at, '-infinity') < $2 - interval '24 hours' AS users
                  FROM syncline.site WHERE id = $1) d
         WHERE s.id = $1 AND (d.catalogue OR d.users)
           -- Of two that find the same due, the second one looks again once the first has committed.
           AND (coalesce(s.catalogue_synced_at, '-infinity') < $2 - CASE WHEN $3 THEN interval '15 minutes' ELSE interval '6 hours' END
                OR coalesce(s.users_synced_at, '-infinity') < $2 - interval '24 hours')
        RETURNING d.catalogue AS "catalogue!", d.users AS "users!"
        "#,
        site_id,
        now,
        full
    )
    .fetch_optional(&mut *conn)
    .await?;
    let project = sqlx::query_scalar!(
        r#"UPDATE syncline.project SET catalogue_synced_at = $2
            WHERE id = $1 AND ($3 OR coalesce(catalogue_synced_at, '-infinity') < $2::timestamptz - interval '6 hours')
           RETURNING true AS "it!""#,
        project_id,
        now,
        full
    )
    .fetch_optional(&mut *conn)
    .await?;
    let of_site = site.as_ref().is_some_and(|due| due.catalogue);
    Ok(Due {
        site: of_site,
        names: names::claim(conn, site_id, if of_site { 0.0 } else { names_seconds }).await?,
        users: site.as_ref().is_some_and(|due| due.users),
        project: project.is_some(),
    })
}

/// Keeps which of the site's fields have a role.
pub async fn keep_field_map(conn: &mut PgConnection, site_id: Uuid, field_map: &Value) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.site SET field_map = $2 WHERE id = $1 AND field_map IS DISTINCT FROM $2",
        site_id,
        field_map
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `version`, `component`, `board`, `sprint`, `status`, `issue_type`, `priority`, `resolution` or `field`.
    pub entity: String,
    /// Jira's id, as text.
    pub id: String,
    /// Its columns by name; instants in milliseconds since 1970.
    pub shape: Value,
}

/// The entries of a project's catalogues, with the sprints of its boards, and those of its site.
pub async fn entries(pool: &PgPool, site_id: Uuid, jira_project_id: i64) -> Result<Vec<Entry>> {
    let entries = sqlx::query_as!(
        Entry,
        r#"
        SELECT 'version' AS "entity!", id::text AS "id!",
               jsonb_build_object('name', name, 'description', description, 'archived', archived, 'released', released,
                                  'start_date', start_date, 'release_date', release_date) AS "shape!"
          FROM syncline.version WHERE site_id = $1 AND jira_project_id = $2 AND deleted_at IS NULL
        UNION ALL
        SELECT 'component', id::text, jsonb_build_object('name', name, 'description', description, 'lead', lead_account_id)
          FROM syncline.component WHERE site_id = $1 AND jira_project_id = $2 AND deleted_at IS NULL
        UNION ALL
        SELECT 'board', id::text, jsonb_build_object('name', name, 'board_type', board_type)
          FROM syncline.board WHERE site_id = $1 AND jira_project_id = $2 AND deleted_at IS NULL
        UNION ALL
        SELECT 'sprint', s.id::text,
               jsonb_build_object('name', s.name, 'state', s.state, 'goal', s.goal,
                                  'started_at', floor(extract(epoch FROM s.started_at) * 1000)::int8,
                                  'ends_at', floor(extract(epoch FROM s.ends_at) * 1000)::int8,
                                  'completed_at', floor(extract(epoch FROM s.completed_at) * 1000)::int8)
          FROM syncline.sprint s
          JOIN syncline.board b ON b.site_id = s.site_id AND b.id = s.board_id AND b.jira_project_id = $2 AND b.deleted_at IS NULL
         WHERE s.site_id = $1 AND s.deleted_at IS NULL
        UNION ALL
        SELECT 'status', id::text, jsonb_build_object('name', name, 'description', description, 'category', category)
          FROM syncline.status WHERE site_id = $1 AND deleted_at IS NULL
        UNION ALL
        SELECT kind, id::text,
               jsonb_build_object('name', name, 'description', description, 'is_subtask', is_subtask, 'position', position)
          FROM syncline.term WHERE site_id = $1 AND deleted_at IS NULL
        UNION ALL
        SELECT 'field', id, jsonb_build_object('name', name, 'custom', custom, 'value_type', value_type, 'items', items,
                                               'custom_kind', custom_kind, 'system', system)
          FROM syncline.field WHERE site_id = $1 AND deleted_at IS NULL
        "#,
        site_id,
        jira_project_id
    )
    .fetch_all(pool)
    .await?;
    Ok(entries)
}
