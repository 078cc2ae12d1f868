//! Whose issues a project brings: everybody's, or those of listed users.
//!
//! What must hold: a change that makes issues wanted which the replica may lack asks for a run in the same transaction;
//! removing a user keeps the history.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;
use crate::store::audit::{self, Who};

/// A user whose issues a project brings.
#[derive(Clone, Debug, Serialize)]
pub struct TrackedUser {
    /// Jira's id of the user.
    pub account_id: String,
    /// The user name of Data Center, where it is known.
    pub username: Option<String>,
    /// The name shown, where the user is known.
    pub display_name: Option<String>,
    /// None where Jira hides it.
    pub email: Option<String>,
    /// When it was added.
    pub added_at: DateTime<Utc>,
    /// By whom.
    pub added_by: String,
    /// When the whole history had been read; none until then.
    pub backfilled_at: Option<DateTime<Utc>>,
    /// Since when Jira does not know the user, who is left out of queries.
    pub unknown_since: Option<DateTime<Utc>>,
}

/// What a change did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tracked {
    /// Account ids that were added or removed; the others were so already.
    pub changed: Vec<String>,
    /// The run that serves it; none where none is needed, or the project is paused.
    pub run_id: Option<Uuid>,
}

/// A project, as changes name it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its id.
    pub project_id: Uuid,
    /// SITE/KEY.
    pub name: &'a str,
    /// Who asks.
    pub who: Who<'a>,
}

/// `all` or `listed`.
pub async fn mode(pool: &PgPool, project_id: Uuid) -> Result<String> {
    let mode =
        sqlx::query_scalar!("SELECT tracking FROM syncline.project WHERE id = $1", project_id).fetch_one(pool).await?;
    Ok(mode)
}

/// The listed users of a project.
pub async fn list(pool: &PgPool, project_id: Uuid) -> Result<Vec<TrackedUser>> {
    let users = sqlx::query_as!(
        TrackedUser,
        r#"SELECT t.account_id, u.username AS "username?", u.display_name AS "display_name?", u.email AS "email?", t.added_at, t.added_by, t.backfilled_at, t.unknown_since
             FROM syncline.tracked_user t
             JOIN syncline.project p ON p.id = t.project_id
             LEFT JOIN syncline.jira_user u ON u.site_id = p.site_id AND u.account_id = t.account_id
            WHERE t.project_id = $1
            ORDER BY u.display_name, t.account_id"#,
        project_id
    )
    .fetch_all(pool)
    .await?;
    Ok(users)
}

/// Brings everybody's issues again (a full run reads what was left out), or from now on only those of listed users.
pub async fn set_mode(pool: &PgPool, subject: Subject<'_>, mode: &'static str) -> Result<Tracked> {
    let mut transaction = pool.begin().await?;
    let changed = write_mode(&mut transaction, subject, mode).await?;
    let run_id = match (changed, mode) {
        (true, "all") => request(&mut transaction, subject, "full").await?,
        (true, _) => request(&mut transaction, subject, "incremental").await?,
        (false, _) => None,
    };
    transaction.commit().await?;
    Ok(Tracked { changed: Vec::new(), run_id })
}

async fn write_mode(conn: &mut PgConnection, subject: Subject<'_>, mode: &'static str) -> Result<bool> {
    let changed = sqlx::query!(
        "UPDATE syncline.project SET tracking = $2, updated_at = clock_timestamp() WHERE id = $1 AND tracking <> $2",
        subject.project_id,
        mode
    )
    .execute(&mut *conn)
    .await?
    .rows_affected()
        > 0;
    if changed {
        let old = if mode == "all" { "listed" } else { "all" };
        let details = json!({ "old": old, "new": mode });
        audit::record_by(conn, &subject.who, "project.track", subject.name, &details).await?;
    }
    Ok(changed)
}

/// Lists users; a run reads their whole history, also that of one who is listed and was unknown to Jira. A project that brought everybody's issues brings those of listed users
/// from now on.
pub async fn add(pool: &PgPool, subject: Subject<'_>, account_ids: &[String]) -> Result<Tracked> {
    let mut transaction = pool.begin().await?;
    let changed = sqlx::query_scalar!(
        r#"INSERT INTO syncline.tracked_user (project_id, account_id, added_by)
           SELECT DISTINCT $1::uuid, a, $3 FROM unnest($2::text[]) AS a ORDER BY a
           ON CONFLICT (project_id, account_id) DO UPDATE SET unknown_since = NULL, backfilled_at = NULL
            WHERE tracked_user.unknown_since IS NOT NULL
           RETURNING account_id"#,
        subject.project_id,
        account_ids,
        subject.who.name
    )
    .fetch_all(&mut *transaction)
    .await?;
    let narrowed = write_mode(&mut transaction, subject, "listed").await?;
    let mut run_id = None;
    if !changed.is_empty() || narrowed {
        let details = json!({ "added": changed });
        audit::record_by(&mut *transaction, &subject.who, "project.track", subject.name, &details).await?;
        run_id = request(&mut transaction, subject, "incremental").await?;
    }
    transaction.commit().await?;
    Ok(Tracked { changed, run_id })
}

/// Leaves out users whom Jira does not know: of the queries of this run that were not asked yet, and of later runs.
pub async fn leave_out(conn: &mut PgConnection, project_id: Uuid, run_id: Uuid, account_ids: &[String]) -> Result<()> {
    sqlx::query!(
        r#"
        WITH unknown AS (
            UPDATE syncline.tracked_user SET unknown_since = clock_timestamp()
             WHERE project_id = $1 AND account_id = ANY ($3) AND unknown_since IS NULL
        )
        UPDATE syncline.sync_partition q
           SET account_ids = ARRAY(SELECT a.id FROM unnest(q.account_ids) WITH ORDINALITY AS a (id, place)
                                    WHERE a.id <> ALL ($3) ORDER BY a.place)
         WHERE q.run_id = $2 AND q.account_ids && $3
        "#,
        project_id,
        run_id,
        account_ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes users off the list: nothing new of theirs is brought, what the replica has stays.
pub async fn remove(pool: &PgPool, subject: Subject<'_>, account_ids: &[String]) -> Result<Tracked> {
    let mut transaction = pool.begin().await?;
    let changed = sqlx::query_scalar!(
        "DELETE FROM syncline.tracked_user WHERE project_id = $1 AND account_id = ANY ($2) RETURNING account_id",
        subject.project_id,
        account_ids
    )
    .fetch_all(&mut *transaction)
    .await?;
    if !changed.is_empty() {
        let details = json!({ "removed": changed });
        audit::record_by(&mut *transaction, &subject.who, "project.track", subject.name, &details).await?;
    }
    transaction.commit().await?;
    Ok(Tracked { changed, run_id: None })
}

/// Requests a run, unless the project is paused or removed.
async fn request(conn: &mut PgConnection, subject: Subject<'_>, kind: &str) -> Result<Option<Uuid>> {
    let run_id = sqlx::query_scalar!(
        r#"SELECT syncline.request_run(p.id, $2, 'manual', $3) AS "run!" FROM syncline.project p
            WHERE p.id = $1 AND p.state = 'active'"#,
        subject.project_id,
        kind,
        subject.who.name
    )
    .fetch_optional(conn)
    .await?;
    Ok(run_id)
}

/// Users of a site by account id, user name or e-mail address, as the replica knows them: one row per text and user.
pub async fn look_up(pool: &PgPool, site_id: Uuid, texts: &[String]) -> Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT n.text AS "text!", u.account_id
             FROM unnest($2::text[]) AS n (text)
             JOIN syncline.jira_user u ON u.site_id = $1 AND (u.account_id = n.text OR lower(u.email) = lower(n.text) OR lower(u.username) = lower(n.text))
            ORDER BY n.text, u.account_id"#,
        site_id,
        texts
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.text, row.account_id)).collect())
}
