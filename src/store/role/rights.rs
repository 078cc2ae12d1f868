//! The difference between the rights that are stated and those that were granted.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;

use super::{Named, Part, quoted};
use crate::store::Result;
use crate::store::objects::{Calling, FUNCTIONS, RELATIONS, Reading};

/// Everybody, as PostgreSQL writes it where a role may stand.
const PUBLIC: &str = "PUBLIC";

/// A role, and what it is for; nothing for one whose rights are all to be taken back.
#[derive(Clone, Debug)]
pub struct Grantee {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub part: Option<Part>,
}

impl From<Named> for Grantee {
    fn from((part, name): Named) -> Self {
        Self { name, part: Some(part) }
    }
}

/// One right of one role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    role: String,
    /// `TABLE syncline.issue`, `FUNCTION syncline.new_id()`, `SCHEMA syncline`.
    object: String,
    privilege: String,
    column: Option<String>,
}

/// A right that is lacking, or one too many.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Whose.
    pub role: String,
    right: Right,
    is_lacking: bool,
}

impl Difference {
    /// What mends it.
    pub fn statement(&self) -> String {
        let Right { role, object, privilege, column } = &self.right;
        let role = if role == PUBLIC { role.clone() } else { quoted(role) };
        let columns = column.as_deref().map(|name| format!(" ({})", quoted(name))).unwrap_or_default();
        match self.is_lacking {
            true => format!("GRANT {privilege}{columns} ON {object} TO {role}"),
            false => format!("REVOKE {privilege}{columns} ON {object} FROM {role}"),
        }
    }
}

/// What differs for these roles and, of functions, for everybody. Of functions only those are looked at that this session
/// may grant.
pub(super) async fn differences(conn: &mut PgConnection, grantees: &[Grantee]) -> Result<Vec<Difference>> {
    let grantees: Vec<&Grantee> = grantees.iter().filter(|one| one.part != Some(Part::Owner)).collect();
    let stated = stated(conn, &grantees).await?;
    let granted = granted(conn, &grantees).await?;
    let of = |right: &Right, is_lacking| Difference { role: right.role.clone(), right: right.clone(), is_lacking };
    let lacking = stated.difference(&granted).map(|right| of(right, true));
    // What is too much first: taking a right to a table back takes those to its columns, too.
    Ok(granted.difference(&stated).map(|right| of(right, false)).chain(lacking).collect())
}

async fn stated(conn: &mut PgConnection, grantees: &[&Grantee]) -> Result<BTreeSet<Right>> {
    let mut stated = BTreeSet::new();
    let mut add = |role: &str, object: &str, privilege: &str, column: Option<&str>| {
        stated.insert(Right {
            role: role.to_owned(),
            object: object.to_owned(),
            privilege: privilege.to_owned(),
            column: column.map(str::to_owned),
        });
    };
    let relations = sqlx::query!(
        r#"SELECT c.relname::text AS "name!", format('TABLE syncline.%I', c.relname) AS "object!",
                  ARRAY(SELECT a.attname::text FROM pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS "columns!"
             FROM pg_class c WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p', 'v')"#
    )
    .fetch_all(&mut *conn)
    .await?;
    let published = sqlx::query_scalar!(
        r#"SELECT format('TABLE jira.%I', c.relname) AS "object!"
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'jira' AND c.relkind = 'v'"#
    )
    .fetch_all(&mut *conn)
    .await?;
    let functions = functions(conn).await?;
    for grantee in grantees {
        let name = grantee.name.as_str();
        let Some(part) = grantee.part else { continue };
        add(name, "SCHEMA syncline", "USAGE", None);
        // What is in `jira` is there to be read, whatever it is.
        if matches!(part, Part::Worker | Part::Reader) && !published.is_empty() {
            add(name, "SCHEMA jira", "USAGE", None);
            published.iter().for_each(|view| add(name, view, "SELECT", None));
        }
        for row in &relations {
            let Some(relation) = RELATIONS.iter().find(|relation| relation.name == row.name) else { continue };
            match (part, relation.reading) {
                (Part::Worker, _) => {
                    relation.working.privileges().iter().for_each(|right| add(name, &row.object, right, None));
                }
                (Part::Reader, Reading::All) => add(name, &row.object, "SELECT", None),
                (Part::Reader, Reading::Columns { shown, .. }) => {
                    // A program that is older than the schema knows of columns that are gone.
                    let there = shown.iter().filter(|shown| row.columns.iter().any(|column| column == *shown));
                    there.for_each(|column| add(name, &row.object, "SELECT", Some(column)));
                }
                _ => {}
            }
        }
        for (object, calling) in &functions {
            let may = match calling {
                Some(Calling::Workers | Calling::WorkersAsOwner) => part == Part::Worker,
                Some(Calling::Enqueuers) => matches!(part, Part::Worker | Part::Enqueuer),
                // Everybody has it.
                Some(Calling::Everybody) | None => false,
            };
            if may {
                add(name, object, "EXECUTE", None);
            }
        }
    }
    let everybodys = functions.iter().filter(|(_, calling)| *calling == Some(Calling::Everybody));
    everybodys.for_each(|(object, _)| add(PUBLIC, object, "EXECUTE", None));
    Ok(stated)
}

/// The functions that this session may grant, as objects, and who may execute each.
async fn functions(conn: &mut PgConnection) -> Result<Vec<(String, Option<Calling>)>> {
    let rows = sqlx::query!(
        r#"SELECT p.proname::text AS "name!", 'FUNCTION ' || p.oid::regprocedure::text AS "object!"
             FROM pg_proc p
            WHERE p.pronamespace = 'syncline'::regnamespace AND p.prokind = 'f' AND pg_has_role(p.proowner, 'USAGE')"#
    )
    .fetch_all(conn)
    .await?;
    let calling = |name: &str| FUNCTIONS.iter().find(|function| function.name == name).map(|function| function.calling);
    Ok(rows.into_iter().map(|row| (row.object, calling(&row.name))).collect())
}

async fn granted(conn: &mut PgConnection, grantees: &[&Grantee]) -> Result<BTreeSet<Right>> {
    let names: Vec<String> = grantees.iter().map(|grantee| grantee.name.clone()).collect();
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END AS "role!",
                  g.object AS "object!", g.privilege_type AS "privilege!", g.column_name
             FROM (
               SELECT format('TABLE syncline.%I', c.relname) AS object, NULL::text AS column_name, a.*
                 FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
                WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.grantee <> c.relowner
               UNION ALL
               SELECT format('TABLE syncline.%I', c.relname), t.attname::text, a.*
                 FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attisdropped
                CROSS JOIN LATERAL aclexplode(t.attacl) a
                WHERE c.relnamespace = 'syncline'::regnamespace AND a.grantee <> c.relowner
               UNION ALL
               SELECT 'FUNCTION ' || p.oid::regprocedure::text, NULL, a.*
                 FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                WHERE p.pronamespace = 'syncline'::regnamespace AND p.prokind = 'f' AND a.grantee <> p.proowner
                  AND pg_has_role(p.proowner, 'USAGE')
               UNION ALL
               SELECT format('TABLE jira.%I', c.relname), NULL, a.*
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) a
                WHERE n.nspname = 'jira' AND c.relkind = 'v' AND a.grantee <> c.relowner
               UNION ALL
               SELECT 'SCHEMA ' || n.nspname, NULL, a.*
                 FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
                WHERE n.nspname IN ('syncline', 'jira') AND a.grantee <> n.nspowner
             ) g
            WHERE g.grantee = 0 AND g.object LIKE 'FUNCTION %' OR pg_get_userbyid(g.grantee)::text = ANY ($1)"#,
        &names as &[String]
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Right { role: row.role, object: row.object, privilege: row.privilege, column: row.column_name })
        .collect())
}
