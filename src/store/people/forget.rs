//! Anonymising a person: the account id stays as a pseudonym, everything that names them goes.
//!
//! It is done in three parts. [`erase_records`] puts right what this program wrote itself: the journal and the audit.
//! [`mark`] takes the member away, and the name out of the row of the user, and leaves fingerprints in its place: from then on
//! whoever writes what Jira says replaces it (see [`crate::domain::forgotten`]). [`sweep`](super::sweep) walks what is stored
//! already, one batch a transaction; where that does not come to its end, the next reading of the site's users goes on with it.
//!
//! What must hold: no page is being written while a person is marked, so that none brings the name after the walk has passed;
//! the audit names the account and never the person.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::domain::forgotten::{Called, FORMER_USER, Forgotten, Mark, mark as fingerprint};
use crate::store::{Result, audit, names};

/// A user of a site, with what they are called.
#[derive(Clone, Debug)]
pub struct Account {
    /// The site.
    pub site_id: Uuid,
    /// Its name.
    pub site: String,
    /// Jira's id of the user.
    pub account_id: String,
    /// The name shown.
    pub display_name: String,
    /// None where Jira hides it.
    pub email: Option<String>,
    /// Data Center's user name.
    pub username: Option<String>,
    /// Since when the person is forgotten.
    pub forgotten_at: Option<DateTime<Utc>>,
    /// The member that the user is.
    pub member_id: Option<Uuid>,
    /// That member's name.
    pub member_name: Option<String>,
    /// That member's e-mail address.
    pub member_email: Option<String>,
}

/// How many rows name a person, or did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Issues: texts and fields.
    pub issues: i64,
    /// Comments.
    pub comments: i64,
    /// Worklogs.
    pub worklogs: i64,
    /// Entries of histories.
    pub changes: i64,
    /// Projects that are read for this user.
    pub tracked_in: i64,
    /// Links to a member.
    pub member_links: i64,
    /// Members without another user.
    pub members: i64,
    /// Entries of the journal.
    pub log_entries: i64,
    /// Entries of the audit.
    pub audit_entries: i64,
}

impl Counts {
    /// Adds what another part counted.
    pub fn add(&mut self, other: Self) {
        self.issues += other.issues;
        self.comments += other.comments;
        self.worklogs += other.worklogs;
        self.changes += other.changes;
        self.tracked_in += other.tracked_in;
        self.member_links += other.member_links;
        self.members += other.members;
        self.log_entries += other.log_entries;
        self.audit_entries += other.audit_entries;
    }
}

/// The users that a text names: by account id, user name or e-mail address, their own or that of the member that they are.
pub async fn find_accounts(pool: &PgPool, text: &str, site_id: Option<Uuid>) -> Result<Vec<Account>> {
    let found = sqlx::query_as!(
        Account,
        r#"SELECT u.site_id, s.name AS site, u.account_id, u.display_name, u.email, u.username, u.forgotten_at,
                  m.id AS "member_id?", m.name AS "member_name?", m.email AS "member_email?"
             FROM syncline.jira_user u
             JOIN syncline.site s ON s.id = u.site_id
             LEFT JOIN syncline.member_link l ON l.site_id = u.site_id AND l.account_id = u.account_id
             LEFT JOIN syncline.member m ON m.id = l.member_id
            WHERE ($2::uuid IS NULL OR u.site_id = $2)
              AND (u.account_id = $1 OR lower(u.email) = lower($1) OR lower(u.username) = lower($1) OR lower(m.email) = lower($1))
            ORDER BY s.name, u.account_id"#,
        text,
        site_id
    )
    .fetch_all(pool)
    .await?;
    Ok(found)
}

/// Users whose accounts Jira has closed and who are not forgotten yet, and those who are not forgotten everywhere yet.
pub async fn waiting(conn: &mut PgConnection, site_id: Uuid) -> Result<Vec<Account>> {
    let found = sqlx::query_as!(
        Account,
        r#"SELECT u.site_id, s.name AS site, u.account_id, u.display_name, u.email, u.username, u.forgotten_at,
                  m.id AS "member_id?", m.name AS "member_name?", m.email AS "member_email?"
             FROM syncline.jira_user u
             JOIN syncline.site s ON s.id = u.site_id
             LEFT JOIN syncline.member_link l ON l.site_id = u.site_id AND l.account_id = u.account_id
             LEFT JOIN syncline.member m ON m.id = l.member_id
            WHERE u.site_id = $1 AND (u.forgotten_at IS NOT NULL OR u.closed_at IS NOT NULL)
              AND (u.forgotten_at IS NULL OR u.erased_at IS NULL)
            ORDER BY u.account_id"#,
        site_id
    )
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// The people of a site who are forgotten.
pub async fn forgotten(executor: impl PgExecutor<'_>, site_id: Uuid) -> Result<Forgotten> {
    let rows = sqlx::query!(
        r#"SELECT u.account_id AS "account_id!", NULL::bytea AS mark FROM syncline.jira_user u
            WHERE u.site_id = $1 AND u.forgotten_at IS NOT NULL
           UNION ALL
           SELECT n.account_id, n.mark FROM syncline.forgotten_name n WHERE n.site_id = $1"#,
        site_id
    )
    .fetch_all(executor)
    .await?;
    let (mut accounts, mut marks) = (HashSet::new(), HashMap::new());
    for row in rows {
        match row.mark.map(Mark::try_from) {
            Some(Ok(mark)) => {
                marks.insert(mark, row.account_id);
            }
            Some(Err(_)) => {}
            None => {
                accounts.insert(row.account_id);
            }
        }
    }
    Ok(Forgotten::new(site_id, accounts, marks))
}

/// The same for a transaction that writes what Jira says: nobody is marked until it has ended. To be called first in it.
pub async fn held(conn: &mut PgConnection, site_id: Uuid) -> Result<Forgotten> {
    names::hold(conn, site_id).await?;
    forgotten(conn, site_id).await
}

/// The fingerprints of all that a person is known to be called: as the rows of user and member say, and as histories did.
pub async fn marks_of(conn: &mut PgConnection, account: &Account) -> Result<Vec<Mark>> {
    let before = sqlx::query_scalar!(
        r#"SELECT DISTINCT t.name AS "name!"
             FROM syncline.changelog c
            CROSS JOIN LATERAL (VALUES (c.from_value, c.from_text), (c.to_value, c.to_text)) AS t (value, name)
            WHERE c.site_id = $1 AND t.value = $2 AND t.name <> '' AND length(t.name) < 160
            LIMIT 100"#,
        account.site_id,
        account.account_id
    )
    .fetch_all(conn)
    .await?;
    let names = before.iter().chain([&account.display_name]).chain(&account.member_name);
    let emails = account.email.iter().chain(&account.member_email);
    let kinds = names.map(|name| (Called::Name, name)).chain(emails.map(|email| (Called::Email, email)));
    let kinds = kinds.chain(account.username.iter().map(|name| (Called::Username, name)));
    let told = kinds.filter(|(_, name)| ![FORMER_USER, account.account_id.as_str(), ""].contains(&name.trim()));
    let marks: BTreeSet<Mark> = told.map(|(called, name)| fingerprint(account.site_id, called, name)).collect();
    Ok(marks.into_iter().collect())
}

/// As one person alone is looked for.
pub fn alone(account: &Account, marks: &[Mark]) -> Forgotten {
    let marks = marks.iter().map(|mark| (*mark, account.account_id.clone())).collect();
    Forgotten::new(account.site_id, HashSet::from([account.account_id.clone()]), marks)
}

/// What names a person among the words that this program wrote: a pattern for texts, and one for JSON; `None` where nothing
/// is known that could be looked for.
fn patterns(account: &Account) -> Option<(String, String)> {
    let named = [
        Some(&account.display_name),
        account.email.as_ref(),
        account.member_name.as_ref(),
        account.member_email.as_ref(),
    ];
    let names: BTreeSet<&str> = named.into_iter().flatten().map(|name| name.trim()).collect();
    let names = names.into_iter().filter(|name| name.chars().count() > 2);
    let names: Vec<&str> = names.filter(|name| ![FORMER_USER, account.account_id.as_str()].contains(name)).collect();
    let literal = |text: &str| -> String {
        text.chars().flat_map(|c| (!c.is_alphanumeric()).then_some('\\').into_iter().chain([c])).collect()
    };
    let in_json = |text: &str| {
        let quoted = json!(text).to_string();
        literal(quoted.get(1..quoted.len() - 1).unwrap_or_default())
    };
    let pattern = |names: Vec<String>| format!("(?<![[:alnum:]])({})(?![[:alnum:]])", names.join("|"));
    (!names.is_empty()).then(|| {
        let texts = names.iter().map(|name| literal(name)).collect();
        (pattern(texts), pattern(names.iter().map(|name| in_json(name)).collect()))
    })
}

/// Takes the person out of the journal and the audit. Counts only where it is not to `write`.
pub async fn erase_records(conn: &mut PgConnection, account: &Account, write: bool) -> Result<Counts> {
    let mut counts = Counts::default();
    if let Some((text, json)) = patterns(account) {
        counts.log_entries = sqlx::query_scalar!(
            r#"WITH named AS MATERIALIZED (
                   SELECT id FROM syncline.sync_log
                    WHERE message ~* $1 OR advice ~* $1 OR details::text ~* $2
               ), written AS (
                   UPDATE syncline.sync_log l
                      SET message = regexp_replace(l.message, $1, $3, 'gi'), advice = regexp_replace(l.advice, $1, $3, 'gi'),
                          details = regexp_replace(l.details::text, $2, $3, 'gi')::jsonb
                     FROM named n WHERE $4 AND l.id = n.id
               )
               SELECT count(*) AS "n!" FROM named"#,
            text,
            json,
            FORMER_USER,
            write
        )
        .fetch_one(&mut *conn)
        .await?;
        counts.audit_entries = sqlx::query_scalar!(
            r#"SELECT syncline.forget_in_audit($1, $2, $3, $4) AS "n!""#,
            text,
            json,
            FORMER_USER,
            write
        )
        .fetch_one(&mut *conn)
        .await?;
    }
    Ok(counts)
}

/// Takes the person out of the members and, where `untrack` says so, of the lists of users whose issues are read. Counts only
/// where it is not to `write`.
pub async fn unlink_person(conn: &mut PgConnection, account: &Account, untrack: bool, write: bool) -> Result<Counts> {
    let row = sqlx::query!(
        r#"WITH links AS MATERIALIZED (
               SELECT l.member_id,
                      NOT EXISTS (SELECT 1 FROM syncline.member_link o
                                   WHERE o.member_id = l.member_id AND (o.site_id, o.account_id) <> (l.site_id, l.account_id)) AS last
                 FROM syncline.member_link l WHERE l.site_id = $1 AND l.account_id = $2
           ), unlinked AS (
               DELETE FROM syncline.member_link l
                WHERE $3 AND l.site_id = $1 AND l.account_id = $2 AND EXISTS (SELECT 1 FROM links k WHERE NOT k.last)
           ), gone AS (
               -- Its last link goes with it.
               DELETE FROM syncline.member m USING links k WHERE $3 AND k.last AND m.id = k.member_id
           ), tracked AS MATERIALIZED (
               SELECT t.project_id FROM syncline.tracked_user t JOIN syncline.project p ON p.id = t.project_id
                WHERE p.site_id = $1 AND t.account_id = $2 AND $4
           ), untracked AS (
               DELETE FROM syncline.tracked_user t USING tracked k
                WHERE $3 AND t.project_id = k.project_id AND t.account_id = $2
           )
           SELECT (SELECT count(*) FROM links) AS "links!", (SELECT count(*) FROM links WHERE last) AS "members!",
                  (SELECT count(*) FROM tracked) AS "tracked!""#,
        account.site_id,
        account.account_id,
        write,
        untrack
    )
    .fetch_one(conn)
    .await?;
    Ok(Counts { member_links: row.links, members: row.members, tracked_in: row.tracked, ..Counts::default() })
}

/// Marks a person as forgotten: the row of the user keeps the account id, and the fingerprints are stored. Waits for pages
/// that are being written, and lets none begin until the transaction has ended.
pub async fn mark(
    conn: &mut PgConnection,
    account: &Account,
    marks: &[Mark],
    untrack: bool,
    actor: &str,
) -> Result<()> {
    names::hold_alone(conn, account.site_id).await?;
    unlink_person(conn, account, untrack, true).await?;
    let marks: Vec<&[u8]> = marks.iter().map(<[u8; 16]>::as_slice).collect();
    sqlx::query!(
        r#"INSERT INTO syncline.forgotten_name (site_id, mark, account_id)
           SELECT $1, m, $2 FROM unnest($3::bytea[]) AS m ORDER BY m ON CONFLICT DO NOTHING"#,
        account.site_id,
        account.account_id,
        &marks as &[&[u8]]
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"UPDATE syncline.jira_user
              SET display_name = $3, email = NULL, time_zone = NULL, username = NULL, erased_at = NULL,
                  forgotten_at = coalesce(forgotten_at, clock_timestamp()), updated_at = clock_timestamp()
            WHERE site_id = $1 AND account_id = $2"#,
        account.site_id,
        account.account_id,
        FORMER_USER
    )
    .execute(&mut *conn)
    .await?;
    let subject = format!("{}/{}", account.site, account.account_id);
    audit::record(conn, actor, "people.forget", &[subject]).await
}

/// The person is forgotten everywhere: nothing more is to be walked.
pub async fn erased(conn: &mut PgConnection, site_id: Uuid, account_id: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.jira_user SET erased_at = clock_timestamp() WHERE site_id = $1 AND account_id = $2",
        site_id,
        account_id
    )
    .execute(conn)
    .await?;
    Ok(())
}
