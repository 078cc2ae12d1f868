//! What may be news: runs that go on or have just ended, alerts that are open or have just ended.

use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A run.
    Run,
    /// An alert.
    Alert,
}

/// Something as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub what: What,
    /// Its id.
    pub id: Uuid,
    /// Its project, if it is about one.
    pub project_id: Option<Uuid>,
    /// Another one after each change.
    pub version: String,
}

/// Runs that go on and alerts that are open, and those of both that ended within the last half minute.
pub async fn seen(pool: &PgPool) -> Result<Vec<Seen>> {
    let rows = sqlx::query!(
        r#"SELECT 'run' AS "what!", id AS "id!", project_id,
                  state || CASE WHEN cancel_requested_at IS NULL THEN '' ELSE ' cancelling' END AS "version!"
             FROM syncline.sync_run
            WHERE state IN ('queued', 'running') OR finished_at > clock_timestamp() - interval '30 seconds'
           UNION ALL
           SELECT 'alert', id, project_id, concat_ws(' ', state, severity, last_seq, acknowledged_by)
             FROM syncline.alert
            WHERE state <> 'resolved' OR resolved_at > clock_timestamp() - interval '30 seconds'"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Seen {
            what: if row.what == "run" { What::Run } else { What::Alert },
            id: row.id,
            project_id: row.project_id,
            version: row.version,
        })
        .collect())
}
