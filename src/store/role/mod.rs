//! Roles of least rights: who owns the schema, who works on it, who may ask for runs, who may read.
//!
//! The roles carry rights and do not log in; the users of a database are made their members. Their names are written down in
//! `syncline.role_name`, so that migrating can give them their rights on what it made. What each may do stands in
//! [`objects`](super::objects); here the difference between that and what was granted becomes statements.
//!
//! What must hold: without roles nothing changes: the user who made the schema does everything; a statement is made only
//! where something differs, so that repeating a command changes nothing; a right that is not stated is taken back.

mod rights;

use serde::Serialize;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection};

use super::Error;
use super::error::code;
use crate::store::{Result, audit};

pub use rights::{Difference, Grantee};

/// What a role is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Owns the schema and migrates it.
    Owner,
    /// What workers and people at the command line log in with.
    Worker,
    /// Asks for runs, and reads nothing.
    Enqueuer,
    /// Reads the replica and the runs; sees no credential.
    Reader,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Worker, Self::Enqueuer, Self::Reader];

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Worker => "worker",
            Self::Enqueuer => "enqueuer",
            Self::Reader => "reader",
        }
    }
}

/// One part and the name of its role.
pub type Named = (Part, String);

/// A role as it is.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// What it is for.
    pub part: Part,
    /// Its name.
    pub name: String,
    /// Whether there is such a role.
    pub exists: bool,
    /// Who has its rights by being a member.
    pub members: Vec<String>,
    /// Rights that it lacks or that it should not have, as the statements that mend them.
    pub differences: Vec<String>,
}

/// The roles that were made, in the order of [`Part::ALL`]; none where the schema has none, or is too old to know of them.
pub async fn recorded(conn: &mut PgConnection) -> Result<Vec<Named>> {
    let rows = sqlx::query!(
        "SELECT part, name FROM syncline.role_name
          ORDER BY array_position(ARRAY['owner', 'worker', 'enqueuer', 'reader'], part)"
    )
    .fetch_all(conn)
    .await;
    let rows = match rows {
        // undefined_table
        Err(source) if code(&source).as_deref() == Some("42P01") => return Ok(Vec::new()),
        rows => rows?,
    };
    let part = |stored: &str| Part::ALL.into_iter().find(|part| part.as_str() == stored);
    Ok(rows.into_iter().filter_map(|row| Some((part(&row.part)?, row.name))).collect())
}

/// What makes the roles `names` and gives them the schema and their rights, in this order; empty when all is so already.
pub async fn creation(conn: &mut PgConnection, names: &[Named]) -> Result<Vec<String>> {
    let known = existing(conn, names).await?;
    let mut statements: Vec<String> = names
        .iter()
        .filter(|(_, name)| !known.contains(name))
        .map(|(_, name)| format!("CREATE ROLE {} NOLOGIN", quoted(name)))
        .collect();
    if let Some((_, owner)) = names.iter().find(|(part, _)| *part == Part::Owner) {
        statements.extend(ownership(conn, owner, known.contains(owner)).await?);
    }
    let before = recorded(conn).await?;
    for (part, name) in names.iter().filter(|named| !before.contains(named)) {
        statements.push(format!(
            "INSERT INTO syncline.role_name (part, name) VALUES ('{}', {}) \
             ON CONFLICT (part) DO UPDATE SET name = excluded.name, updated_at = clock_timestamp()",
            part.as_str(),
            literal(name)
        ));
    }
    // A role that served until now serves no more.
    let left: Vec<Grantee> = before
        .into_iter()
        .filter(|(part, name)| *part != Part::Owner && !names.iter().any(|(_, new)| new == name))
        .map(|(_, name)| Grantee { name, part: None })
        .collect();
    let grantees: Vec<Grantee> = names.iter().cloned().map(Grantee::from).chain(left).collect();
    statements.extend(rights::differences(conn, &grantees).await?.iter().map(Difference::statement));
    Ok(statements)
}

/// What gives the roles that were made the rights that are stated, and takes others back; empty when all is so already.
pub async fn regrant(conn: &mut PgConnection) -> Result<Vec<String>> {
    let names = recorded(conn).await?;
    let known = existing(conn, &names).await?;
    let grantees: Vec<Grantee> =
        names.into_iter().filter(|(_, name)| known.contains(name)).map(Grantee::from).collect();
    Ok(rights::differences(conn, &grantees).await?.iter().map(Difference::statement).collect())
}

/// Executes statements that [`creation`] or [`regrant`] made, all or none.
pub async fn execute(conn: &mut PgConnection, statements: &[String], actor: Option<&str>) -> Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    let mut tx = conn.begin().await?;
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *tx).await?;
    }
    if let Some(actor) = actor {
        audit::record(&mut *tx, actor, "role.grant", &[format!("{} statements", statements.len())]).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The roles that were made, as they are.
pub async fn report(pool: &PgPool) -> Result<Vec<State>> {
    let mut conn = pool.acquire().await?;
    let names = recorded(&mut conn).await?;
    let known = existing(&mut conn, &names).await?;
    let grantees: Vec<Grantee> =
        names.iter().filter(|(_, name)| known.contains(name)).cloned().map(Grantee::from).collect();
    let differences = rights::differences(&mut conn, &grantees).await?;
    let mut states = Vec::with_capacity(names.len());
    for (part, name) in names {
        let members = sqlx::query_scalar!(
            r#"SELECT m.rolname::text AS "name!" FROM pg_auth_members a
                 JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
                WHERE r.rolname = $1 GROUP BY m.rolname ORDER BY m.rolname"#,
            name
        )
        .fetch_all(&mut *conn)
        .await?;
        let differences = differences.iter().filter(|one| one.role == name).map(Difference::statement).collect();
        states.push(State { part, exists: known.contains(&name), members, differences, name });
    }
    Ok(states)
}

/// Makes the session of a migration act as the role that owns the schema, where there is one, so that what it makes belongs
/// to that role.
///
/// # Errors
/// [`Error::NotOwner`] when the schema belongs to somebody whose rights this user does not have.
pub async fn act_as_owner(conn: &mut PgConnection) -> Result<()> {
    let owner = sqlx::query!(
        r#"SELECT pg_get_userbyid(c.relowner)::text AS "name!", pg_has_role(c.relowner, 'MEMBER') AS "is_ours!",
                  current_user::text AS "user!",
                  EXISTS (SELECT FROM pg_class t WHERE t.relnamespace = n.oid AND t.relname = 'role_name') AS "has_roles!"
             FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
            WHERE n.nspname = 'syncline' AND c.relname = 'schema_migration'"#
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(owner) = owner else { return Ok(()) };
    if !owner.is_ours {
        return Err(Error::NotOwner { user: owner.user, owner: owner.name });
    }
    let is_role = owner.has_roles && recorded(conn).await?.contains(&(Part::Owner, owner.name.clone()));
    if is_role && owner.name != owner.user {
        sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {}", quoted(&owner.name)))).execute(conn).await?;
    }
    Ok(())
}

/// Which of the names are roles of the server.
async fn existing(conn: &mut PgConnection, names: &[Named]) -> Result<Vec<String>> {
    let names: Vec<String> = names.iter().map(|(_, name)| name.clone()).collect();
    let known = sqlx::query_scalar!(
        r#"SELECT rolname::text AS "name!" FROM pg_roles WHERE rolname::text = ANY ($1)"#,
        &names as &[String]
    )
    .fetch_all(conn)
    .await?;
    Ok(known)
}

/// What gives the schema and everything in it to `owner`. Who did everything until now becomes its member, and goes on.
async fn ownership(conn: &mut PgConnection, owner: &str, exists: bool) -> Result<Vec<String>> {
    let session = sqlx::query!(
        r#"SELECT current_user::text AS "user!", current_database()::text AS "database!",
                  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS "is_superuser!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let (is_member, may_create) = if exists {
        let rights = sqlx::query!(
            r#"SELECT pg_has_role($1::text::name, 'USAGE') AS "is_member!",
                      has_database_privilege($1::text::name, current_database(), 'CREATE') AS "may_create!""#,
            owner
        )
        .fetch_one(&mut *conn)
        .await?;
        (rights.is_member, rights.may_create)
    } else {
        (false, false)
    };
    let to = quoted(owner);
    let mut statements = Vec::new();
    if !is_member && !session.is_superuser && session.user != owner {
        statements.push(format!("GRANT {to} TO {}", quoted(&session.user)));
    }
    if !may_create {
        statements.push(format!("GRANT CREATE ON DATABASE {} TO {to}", quoted(&session.database)));
    }
    // The schema first: who is given a table in it must be allowed to make one.
    let objects = sqlx::query_scalar!(
        r#"SELECT o.named AS "named!" FROM (
               SELECT 0 AS place, 'SCHEMA ' || n.nspname AS named, n.nspowner AS owner FROM pg_namespace n WHERE n.nspname IN ('syncline', 'jira')
               UNION ALL
               SELECT 1, CASE WHEN c.relkind = 'v' THEN 'VIEW ' WHEN c.relkind = 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
                         || format('%I.%I', n.nspname, c.relname), c.relowner
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname IN ('syncline', 'jira') AND c.relkind IN ('r', 'p', 'v', 'S')
                  -- A sequence that belongs to a column goes with its table.
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                     AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)
               UNION ALL
               SELECT 2, 'FUNCTION ' || p.oid::regprocedure::text, p.proowner
                 FROM pg_proc p WHERE p.pronamespace = 'syncline'::regnamespace AND p.prokind = 'f'
           ) o
           WHERE pg_get_userbyid(o.owner) <> $1 ORDER BY o.place, o.named"#,
        owner
    )
    .fetch_all(conn)
    .await?;
    statements.extend(objects.into_iter().map(|named| format!("ALTER {named} OWNER TO {to}")));
    Ok(statements)
}

/// A name as SQL takes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL takes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
