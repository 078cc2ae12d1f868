//! What Jira says of a project itself, as each run sees it: its key, its name, whether it is archived or gone.
//!
//! What must hold: a project is known by Jira's id once it was seen, so that a key which was given to another project is
//! never taken for it; an old key is kept among the previous ones.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;

/// A project as Jira shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Jira's id.
    pub jira_id: i64,
    /// The key now.
    pub key: String,
    /// The name now.
    pub name: String,
    /// `software`, `business`, …
    pub project_type: Option<String>,
    /// Who leads it.
    pub lead: Option<String>,
    /// `live`, `archived` or `deleted`.
    pub state: &'static str,
}

/// Keeps what was seen; answers the key before, where it has changed.
pub async fn seen(conn: &mut PgConnection, project_id: Uuid, it: &Sighting) -> Result<Option<String>> {
    let renamed = sqlx::query_scalar!(
        r#"
        WITH before AS (
            SELECT p.key, p.site_id,
                   -- A key is unique here: one that another row still holds is taken over when that one is seen.
                   CASE WHEN EXISTS (SELECT 1 FROM syncline.project o WHERE o.site_id = p.site_id AND o.key = $3 AND o.id <> $1)
                             OR $3 !~ '^[A-Z][A-Z0-9_]{0,254}$' THEN p.key ELSE $3 END AS new_key
              FROM syncline.project p WHERE p.id = $1 FOR NO KEY UPDATE
        ), forgotten AS (
            -- The keys of all its issues have changed, and their `updated` has not: everything is to be read again.
            UPDATE syncline.sync_state SET cursor_at = NULL
             WHERE project_id = $1 AND EXISTS (SELECT 1 FROM before b WHERE b.new_key <> b.key)
        )
        UPDATE syncline.project p
           SET jira_id = $2, key = b.new_key, name = $4, project_type = coalesce($5, p.project_type),
               lead_account_id = coalesce($6, p.lead_account_id),
               previous_keys = CASE WHEN b.new_key = b.key THEN p.previous_keys
                                    ELSE array_append(array_remove(p.previous_keys, b.key), b.key) END,
               jira_state = $7, jira_state_since = CASE WHEN p.jira_state = $7 THEN p.jira_state_since ELSE clock_timestamp() END,
               updated_at = clock_timestamp()
          FROM before b
         WHERE p.id = $1
           AND (p.jira_id, p.key, p.name, p.project_type, p.lead_account_id, p.jira_state)
               IS DISTINCT FROM ($2, b.new_key, $4, coalesce($5, p.project_type), coalesce($6, p.lead_account_id), $7)
        RETURNING CASE WHEN b.new_key <> b.key THEN b.key END
        "#,
        project_id,
        it.jira_id,
        it.key,
        it.name,
        it.project_type,
        it.lead,
        it.state,
    )
    .fetch_optional(conn)
    .await?;
    Ok(renamed.flatten())
}

/// Jira knows no such project any more, or the account may not see it: they look the same. Kept at once, since the run that
/// learns it fails and writes nothing else.
pub async fn not_seen(pool: &PgPool, project_id: Uuid) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.project SET jira_state = 'not_visible', jira_state_since = clock_timestamp()
            WHERE id = $1 AND jira_state <> 'not_visible'"#,
        project_id
    )
    .execute(pool)
    .await?;
    Ok(())
}
