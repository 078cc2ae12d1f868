//! Members, one at a time.

use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::{Result, audit};

/// A person of the organisation.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// Its id here.
    pub id: Uuid,
    /// E-mail address.
    pub email: Option<String>,
    /// Full name.
    pub name: String,
    /// Team, as imported.
    pub team: Option<String>,
    /// The id in the system that the list came from.
    pub external_id: Option<String>,
    /// Whether the person is still there.
    pub active: bool,
    /// How many users of Jira, over all sites, are this person.
    pub users: i64,
}

/// A member to be added.
#[derive(Clone, Debug)]
pub struct NewMember<'a> {
    /// Made by the caller.
    pub id: Uuid,
    /// E-mail address.
    pub email: Option<&'a str>,
    /// Full name, not empty.
    pub name: &'a str,
    /// Team.
    pub team: Option<&'a str>,
    /// The id in another system.
    pub external_id: Option<&'a str>,
}

/// Members in the order of their names.
pub async fn list(pool: &PgPool) -> Result<Vec<Member>> {
    let members = sqlx::query_as!(
        Member,
        r#"SELECT m.id, m.email, m.name, m.team, m.external_id, m.active,
                  (SELECT count(*) FROM syncline.member_link l WHERE l.member_id = m.id) AS "users!"
             FROM syncline.member m ORDER BY m.name, m.id"#
    )
    .fetch_all(pool)
    .await?;
    Ok(members)
}

/// The members that a text names: by id, external id or e-mail address.
pub async fn find(pool: &PgPool, text: &str) -> Result<Vec<Member>> {
    let members = sqlx::query_as!(
        Member,
        r#"SELECT m.id, m.email, m.name, m.team, m.external_id, m.active,
                  (SELECT count(*) FROM syncline.member_link l WHERE l.member_id = m.id) AS "users!"
             FROM syncline.member m
            WHERE m.id::text = lower($1) OR m.external_id = $1 OR lower(m.email) = lower($1)
            ORDER BY m.name, m.id"#,
        text
    )
    .fetch_all(pool)
    .await?;
    Ok(members)
}

/// Adds a member; false when the e-mail address or the external id is another's.
pub async fn add(pool: &PgPool, member: &NewMember<'_>, actor: &str) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let added = sqlx::query!(
        r#"INSERT INTO syncline.member (id, email, name, team, external_id) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING"#,
        member.id,
        member.email,
        member.name,
        member.team,
        member.external_id
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if added > 0 {
        let details = json!({ "name": member.name, "email": member.email, "external_id": member.external_id });
        audit::record_with(&mut *transaction, actor, "member.add", &member.id.to_string(), &details).await?;
    }
    transaction.commit().await?;
    Ok(added > 0)
}

/// Removes a member with its links.
pub async fn remove(pool: &PgPool, member: &Member, actor: &str) -> Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("DELETE FROM syncline.member WHERE id = $1", member.id).execute(&mut *transaction).await?;
    let details = json!({ "name": member.name, "email": member.email, "users": member.users });
    audit::record_with(&mut *transaction, actor, "member.remove", &member.id.to_string(), &details).await?;
    transaction.commit().await?;
    Ok(())
}
