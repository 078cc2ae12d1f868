//! Whose users they are: matching by rule, linking by hand.

use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::{Result, audit};

/// A user of a site, and what matching says of it.
#[derive(Clone, Debug, Serialize)]
pub struct UserMatch {
    /// Jira's id of the user.
    pub account_id: String,
    /// The name shown.
    pub display_name: String,
    /// None where Jira hides it.
    pub email: Option<String>,
    /// `manual`, `email`, `name`, `ambiguous` or `unmatched`.
    pub outcome: String,
    /// Why it is not matched: `several_members`, `several_users`, `member_taken`, `other_email`, `names_not_allowed`,
    /// `hidden_email`, `no_member`.
    pub reason: Option<String>,
    /// The member, or the one that it might be.
    pub member_id: Option<Uuid>,
    /// That member's name.
    pub member: Option<String>,
    /// That member's e-mail address.
    pub member_email: Option<String>,
}

/// What matching changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MatchCounts {
    /// Links that were made or changed.
    pub linked: i64,
    /// Links that were taken back: what they rested on no longer holds.
    pub unlinked: i64,
}

/// A user of a site with its member.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// The name of the site.
    pub site: String,
    /// Jira's id of the user.
    pub account_id: String,
    /// The name shown.
    pub display_name: String,
    /// None where Jira hides it.
    pub email: Option<String>,
    /// Whether the user may log in.
    pub active: bool,
    /// The member's name.
    pub member: Option<String>,
    /// `manual`, `email` or `name`.
    pub matched_by: Option<String>,
}

/// What matching says of every user of a site, what needs a person first.
pub async fn matches(pool: &PgPool, site_id: Uuid) -> Result<Vec<UserMatch>> {
    let rows = sqlx::query_as!(
        UserMatch,
        r#"SELECT f.account_id AS "account_id!", u.display_name, u.email, f.outcome AS "outcome!", f.reason, f.member_id,
                  m.name AS "member?", m.email AS "member_email?"
             FROM syncline.match_members($1) f
             JOIN syncline.jira_user u ON u.site_id = $1 AND u.account_id = f.account_id
             LEFT JOIN syncline.member m ON m.id = f.member_id
            ORDER BY array_position(ARRAY['ambiguous', 'unmatched', 'name', 'email', 'manual'], f.outcome), u.display_name,
                     f.account_id"#,
        site_id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Brings the links of a site in line with its users and the members. Links made by hand stay as they are.
pub async fn match_site(conn: &mut PgConnection, site_id: Uuid, actor: &str) -> Result<MatchCounts> {
    let row = sqlx::query!(
        r#"
        WITH wanted AS MATERIALIZED (
            SELECT f.account_id, f.member_id, f.outcome FROM syncline.match_members($1) f WHERE f.outcome IN ('email', 'name')
        ), gone AS (
            DELETE FROM syncline.member_link l
             WHERE l.site_id = $1 AND l.matched_by <> 'manual'
               AND NOT EXISTS (SELECT 1 FROM wanted w WHERE w.account_id = l.account_id)
            RETURNING l.account_id
        ), written AS (
            INSERT INTO syncline.member_link AS l (site_id, account_id, member_id, matched_by, linked_by)
            SELECT $1, w.account_id, w.member_id, w.outcome, $2 FROM wanted w ORDER BY w.account_id
            ON CONFLICT (site_id, account_id) DO UPDATE
               SET member_id = excluded.member_id, matched_by = excluded.matched_by, linked_by = excluded.linked_by,
                   linked_at = clock_timestamp()
             WHERE l.matched_by <> 'manual'
               AND (l.member_id, l.matched_by) IS DISTINCT FROM (excluded.member_id, excluded.matched_by)
            RETURNING l.account_id
        )
        SELECT (SELECT count(*) FROM written) AS "linked!", (SELECT count(*) FROM gone) AS "unlinked!",
               (SELECT name FROM syncline.site WHERE id = $1) AS site
        "#,
        site_id,
        actor
    )
    .fetch_one(&mut *conn)
    .await?;
    let counts = MatchCounts { linked: row.linked, unlinked: row.unlinked };
    if counts != MatchCounts::default() {
        let details = json!({ "linked": counts.linked, "unlinked": counts.unlinked });
        audit::record_with(conn, actor, "user.match", row.site.as_deref().unwrap_or_default(), &details).await?;
    }
    Ok(counts)
}

/// Links a user to a member by hand. False when the site has no such user.
pub async fn link(pool: &PgPool, site: (Uuid, &str), account_id: &str, member_id: Uuid, actor: &str) -> Result<bool> {
    let (site_id, site_name) = site;
    let mut transaction = pool.begin().await?;
    let before = sqlx::query_scalar!(
        "SELECT member_id FROM syncline.member_link WHERE site_id = $1 AND account_id = $2 FOR UPDATE",
        site_id,
        account_id
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let linked = sqlx::query!(
        r#"INSERT INTO syncline.member_link (site_id, account_id, member_id, matched_by, linked_by)
           SELECT u.site_id, u.account_id, $3, 'manual', $4 FROM syncline.jira_user u
            WHERE u.site_id = $1 AND u.account_id = $2
           ON CONFLICT (site_id, account_id) DO UPDATE
              SET member_id = excluded.member_id, matched_by = 'manual', linked_by = excluded.linked_by,
                  linked_at = clock_timestamp()"#,
        site_id,
        account_id,
        member_id,
        actor
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if linked > 0 {
        let details = json!({ "old": before, "new": member_id });
        let subject = format!("{site_name}/{account_id}");
        audit::record_with(&mut *transaction, actor, "user.link", &subject, &details).await?;
    }
    transaction.commit().await?;
    Ok(linked > 0)
}

/// Takes a link back, however it came about. False when there was none.
pub async fn unlink(pool: &PgPool, site: (Uuid, &str), account_id: &str, actor: &str) -> Result<bool> {
    let (site_id, site_name) = site;
    let mut transaction = pool.begin().await?;
    let before = sqlx::query!(
        "DELETE FROM syncline.member_link WHERE site_id = $1 AND account_id = $2 RETURNING member_id, matched_by",
        site_id,
        account_id
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(before) = &before {
        let details = json!({ "old": before.member_id, "matched_by": before.matched_by });
        let subject = format!("{site_name}/{account_id}");
        audit::record_with(&mut *transaction, actor, "user.unlink", &subject, &details).await?;
    }
    transaction.commit().await?;
    Ok(before.is_some())
}

/// Users with their members, of one site or of all.
pub async fn users(pool: &PgPool, site_id: Option<Uuid>) -> Result<Vec<User>> {
    let users = sqlx::query_as!(
        User,
        r#"SELECT s.name AS site, u.account_id, u.display_name, u.email, u.active, m.name AS "member?",
                  l.matched_by AS "matched_by?"
             FROM syncline.jira_user u
             JOIN syncline.site s ON s.id = u.site_id
             LEFT JOIN syncline.member_link l ON l.site_id = u.site_id AND l.account_id = u.account_id
             LEFT JOIN syncline.member m ON m.id = l.member_id
            WHERE $1::uuid IS NULL OR u.site_id = $1
            ORDER BY s.name, u.display_name, u.account_id"#,
        site_id
    )
    .fetch_all(pool)
    .await?;
    Ok(users)
}
