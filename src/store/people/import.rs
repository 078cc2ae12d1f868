//! Members by the file: all lines in one transaction, or none.
//!
//! A line is about the member that has its external id, else its e-mail address, else about a new one; importing the same
//! file again changes nothing.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::{Result, audit};

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedMember {
    /// For messages; from 1, the header's.
    pub line: u64,
    /// Made by the caller, for a member that is new.
    pub id: Uuid,
    /// E-mail address; no other line has it.
    pub email: Option<String>,
    /// Full name, not empty.
    pub name: String,
    /// Team.
    pub team: Option<String>,
    /// The id in the system that the file came from; no other line has it.
    pub external_id: Option<String>,
    /// Whether the person is still there.
    pub active: bool,
}

/// The optional columns that the file has: what it does not speak of stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportColumns {
    /// An `email` column.
    pub email: bool,
    /// A `team` column.
    pub team: bool,
    /// An `active` column.
    pub active: bool,
}

/// How to import.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions {
    /// What the file speaks of.
    pub columns: ImportColumns,
    /// Only tell what would happen.
    pub dry_run: bool,
    /// Import the valid lines even if others are invalid.
    pub skip_bad: bool,
}

/// A line that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its number.
    pub line: u64,
    /// What is wrong, with what to do.
    pub problem: String,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ImportReport {
    /// Members that are new.
    pub created: u64,
    /// Members that changed.
    pub updated: u64,
    /// Members that are as the file says.
    pub unchanged: u64,
    /// Lines that were left out.
    pub refused: Vec<Refusal>,
    /// Whether it was committed.
    pub applied: bool,
}

/// Whom a line is about, as the table says.
struct Found {
    by_external_id: Option<Uuid>,
    by_email: Option<Uuid>,
    /// The external id of the member with that e-mail address.
    email_external_id: Option<String>,
}

/// Imports lines that are good by themselves; what contradicts the table is refused.
pub async fn import(
    pool: &PgPool,
    members: &[ImportedMember],
    options: ImportOptions,
    source: &str,
    actor: &str,
) -> Result<ImportReport> {
    let mut transaction = pool.begin().await?;
    // Two imports at once would each take the other's people for new.
    sqlx::query!("LOCK TABLE syncline.member IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
    let found = look_up(&mut transaction, members).await?;
    let (targets, refused) = judge(members, &found);
    let mut report = ImportReport { refused, ..ImportReport::default() };
    let may_write = options.skip_bad || report.refused.is_empty();
    if may_write {
        let known: Vec<(&ImportedMember, Uuid)> =
            members.iter().zip(&targets).filter_map(|(m, t)| (*t).flatten().map(|id| (m, id))).collect();
        let new: Vec<&ImportedMember> =
            members.iter().zip(&targets).filter(|(_, t)| matches!(t, Some(None))).map(|(m, _)| m).collect();
        report.updated = update(&mut transaction, &known, options.columns).await?;
        report.unchanged = known.len() as u64 - report.updated.min(known.len() as u64);
        report.created = insert(&mut transaction, &new).await?;
    }
    if !may_write || options.dry_run {
        transaction.rollback().await?;
        return Ok(report);
    }
    if report.created + report.updated > 0 {
        let details = json!({ "created": report.created, "updated": report.updated, "refused": report.refused.len() });
        audit::record_with(&mut *transaction, actor, "member.import", source, &details).await?;
    }
    transaction.commit().await?;
    report.applied = true;
    Ok(report)
}

async fn look_up(conn: &mut PgConnection, members: &[ImportedMember]) -> Result<Vec<Found>> {
    let ids: Vec<Option<&str>> = members.iter().map(|m| m.external_id.as_deref()).collect();
    let emails: Vec<Option<&str>> = members.iter().map(|m| m.email.as_deref()).collect();
    let found = sqlx::query_as!(
        Found,
        r#"SELECT i.id AS "by_external_id?", e.id AS "by_email?", e.external_id AS email_external_id
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (external_id, email, place)
             LEFT JOIN syncline.member i ON i.external_id = n.external_id
             LEFT JOIN syncline.member e ON lower(e.email) = lower(n.email)
            ORDER BY n.place"#,
        &ids as &[Option<&str>],
        &emails as &[Option<&str>]
    )
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// For each line: `None` refused, `Some(None)` a new member, `Some(Some(id))` that one.
fn judge(members: &[ImportedMember], found: &[Found]) -> (Vec<Option<Option<Uuid>>>, Vec<Refusal>) {
    let mut problems: HashMap<usize, String> = HashMap::new();
    let mut line_of: HashMap<Uuid, u64> = HashMap::new();
    let target = |place: usize| found[place].by_external_id.or(found[place].by_email);
    for (place, member) in members.iter().enumerate() {
        let Some(id) = target(place) else { continue };
        if let Some(first) = line_of.insert(id, member.line) {
            let problem = format!("is about the same member as line {first}: give each member one line");
            problems.insert(place, problem);
        }
    }
    // A member who is to get another address frees the old one, unless its own line is refused: look until nothing changes.
    loop {
        let before = problems.len();
        let freed: HashSet<Uuid> = (0..members.len())
            .filter(|place| !problems.contains_key(place) && found[*place].by_external_id.is_some())
            .filter_map(target)
            .collect();
        for (place, member) in members.iter().enumerate().filter(|(place, _)| found[*place].by_email.is_some()) {
            let lookup = &found[place];
            let problem = match (lookup.by_external_id, lookup.by_email, &lookup.email_external_id) {
                (Some(own), Some(other), _) if own != other && !freed.contains(&other) => {
                    "has the e-mail address of another member: correct it, or remove that member".to_owned()
                }
                (None, Some(_), Some(theirs)) if member.external_id.as_ref().is_some_and(|own| own != theirs) => {
                    format!("has the e-mail address of the member with external_id {theirs:?}: correct one of the two")
                }
                _ => continue,
            };
            problems.entry(place).or_insert(problem);
        }
        if problems.len() == before {
            break;
        }
    }
    let targets = (0..members.len()).map(|place| (!problems.contains_key(&place)).then(|| target(place))).collect();
    let mut refused: Vec<Refusal> =
        problems.into_iter().map(|(place, problem)| Refusal { line: members[place].line, problem }).collect();
    refused.sort_by_key(|refusal| refusal.line);
    (targets, refused)
}

async fn update(conn: &mut PgConnection, known: &[(&ImportedMember, Uuid)], columns: ImportColumns) -> Result<u64> {
    let ids: Vec<Uuid> = known.iter().map(|(_, id)| *id).collect();
    let emails: Vec<Option<&str>> = known.iter().map(|(m, _)| m.email.as_deref()).collect();
    let names: Vec<&str> = known.iter().map(|(m, _)| m.name.as_str()).collect();
    let teams: Vec<Option<&str>> = known.iter().map(|(m, _)| m.team.as_deref()).collect();
    let externals: Vec<Option<&str>> = known.iter().map(|(m, _)| m.external_id.as_deref()).collect();
    let active: Vec<bool> = known.iter().map(|(m, _)| m.active).collect();
    // Addresses that change are given up first: two members may exchange theirs.
    sqlx::query!(
        r#"UPDATE syncline.member m SET email = NULL
             FROM unnest($1::uuid[], $2::text[]) AS n (id, email)
            WHERE m.id = n.id AND $3 AND m.email IS DISTINCT FROM n.email"#,
        &ids,
        &emails as &[Option<&str>],
        columns.email
    )
    .execute(&mut *conn)
    .await?;
    let updated = sqlx::query!(
        r#"WITH wanted AS (
               SELECT m.id, CASE WHEN $7 THEN n.email ELSE m.email END AS email, n.name,
                      CASE WHEN $8 THEN n.team ELSE m.team END AS team,
                      coalesce(n.external_id, m.external_id) AS external_id,
                      CASE WHEN $9 THEN n.active ELSE m.active END AS active
                 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[])
                      AS n (id, email, name, team, external_id, active)
                 JOIN syncline.member m ON m.id = n.id
           )
           UPDATE syncline.member m
              SET email = w.email, name = w.name, team = w.team, external_id = w.external_id, active = w.active,
                  updated_at = clock_timestamp()
             FROM wanted w
            WHERE w.id = m.id AND (m.email, m.name, m.team, m.external_id, m.active)
                                  IS DISTINCT FROM (w.email, w.name, w.team, w.external_id, w.active)"#,
        &ids,
        &emails as &[Option<&str>],
        &names as &[&str],
        &teams as &[Option<&str>],
        &externals as &[Option<&str>],
        &active,
        columns.email,
        columns.team,
        columns.active
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(updated)
}

async fn insert(conn: &mut PgConnection, new: &[&ImportedMember]) -> Result<u64> {
    let ids: Vec<Uuid> = new.iter().map(|m| m.id).collect();
    let emails: Vec<Option<&str>> = new.iter().map(|m| m.email.as_deref()).collect();
    let names: Vec<&str> = new.iter().map(|m| m.name.as_str()).collect();
    let teams: Vec<Option<&str>> = new.iter().map(|m| m.team.as_deref()).collect();
    let externals: Vec<Option<&str>> = new.iter().map(|m| m.external_id.as_deref()).collect();
    let active: Vec<bool> = new.iter().map(|m| m.active).collect();
    let inserted = sqlx::query!(
        r#"INSERT INTO syncline.member (id, email, name, team, external_id, active)
           SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[])"#,
        &ids,
        &emails as &[Option<&str>],
        &names as &[&str],
        &teams as &[Option<&str>],
        &externals as &[Option<&str>],
        &active
    )
    .execute(conn)
    .await?
    .rows_affected();
    Ok(inserted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(number: u64, external_id: Option<&str>) -> ImportedMember {
        ImportedMember {
            line: number,
            id: Uuid::from_u128(u128::from(number)),
            email: Some(format!("person{number}@example.com")),
            name: "Person".into(),
            team: None,
            external_id: external_id.map(str::to_owned),
            active: true,
        }
    }

    fn found(by_external_id: Option<u128>, by_email: Option<u128>, external: Option<&str>) -> Found {
        Found {
            by_external_id: by_external_id.map(Uuid::from_u128),
            by_email: by_email.map(Uuid::from_u128),
            email_external_id: external.map(str::to_owned),
        }
    }

    #[test]
    fn two_members_may_exchange_their_addresses() {
        let lines = [line(2, Some("a")), line(3, Some("b"))];
        let (targets, refused) =
            judge(&lines, &[found(Some(1), Some(2), Some("b")), found(Some(2), Some(1), Some("a"))]);
        assert_eq!(refused, []);
        assert_eq!(targets, [Some(Some(Uuid::from_u128(1))), Some(Some(Uuid::from_u128(2)))]);
    }

    #[test]
    fn a_foreign_address_and_its_dependent_lines_are_refused() {
        let lines = [line(2, Some("a")), line(3, Some("b"))];
        // Member 1 wants the address of 2, who wants that of 3, who is not in the file.
        let (targets, refused) =
            judge(&lines, &[found(Some(1), Some(2), Some("b")), found(Some(2), Some(3), Some("c"))]);
        assert_eq!(targets, [None, None]);
        assert_eq!(refused.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn an_address_finds_only_a_member_without_another_external_id() {
        let (targets, refused) = judge(&[line(2, Some("a"))], &[found(None, Some(1), None)]);
        assert_eq!((targets, refused.len()), (vec![Some(Some(Uuid::from_u128(1)))], 0));
        let (targets, refused) = judge(&[line(2, Some("a"))], &[found(None, Some(1), Some("z"))]);
        assert_eq!(targets, [None]);
        assert!(refused[0].problem.contains("\"z\""), "{refused:?}");
    }

    #[test]
    fn two_lines_about_one_member_are_refused_at_the_second() {
        let lines = [line(2, Some("a")), line(3, None)];
        let (targets, refused) = judge(&lines, &[found(Some(1), None, None), found(None, Some(1), Some("a"))]);
        assert!(targets[0].is_some() && targets[1].is_none());
        assert!(refused[0].line == 3 && refused[0].problem.contains("line 2"), "{refused:?}");
    }
}
