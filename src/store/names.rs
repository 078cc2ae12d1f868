//! What statuses, priorities, resolutions and issue types are called: one name for each id, in the site's lists and in all
//! issues.
//!
//! What must hold: an issue has the names that the lists have, whatever its page said, and whenever it was read. So the names
//! of a page that is written come from the lists; a name that a list has changed is written into all issues of the site, in
//! batches; and no page is being written while a list is, so that none misses the change. An entry that no list holds, or of
//! a list that is withheld, is called what issues last called it; it is stored as deleted.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::entity::TermKind;
use crate::store::Result;

/// Runs that somebody waits for read the lists if that was so long ago, in seconds.
pub const ASKED_FOR: f64 = 30.0;
/// Other runs.
pub const REGULAR: f64 = 300.0;
/// So long a reading that was claimed is waited for, and so long one that was made in doubt and found nothing is believed.
const BELIEVED: f64 = 60.0;

/// Claims the reading of the lists, if that was longer ago than `seconds`; answers when it was claimed, by the database's
/// clock.
pub async fn claim(conn: &mut PgConnection, site_id: Uuid, seconds: f64) -> Result<Option<DateTime<Utc>>> {
    let at = sqlx::query_scalar!(
        r#"UPDATE syncline.site SET names_asked_at = clock_timestamp()
            WHERE id = $1 AND (coalesce(names_asked_at, '-infinity') < clock_timestamp() - make_interval(secs => $2)
                               OR names_asked_at > clock_timestamp())
           RETURNING names_asked_at AS "at!""#,
        site_id,
        seconds,
    )
    .fetch_optional(conn)
    .await?;
    Ok(at)
}

/// The same because an issue shows another name, unless somebody is reading them, or that was no reason a short while ago.
pub async fn claim_in_doubt(pool: &PgPool, site_id: Uuid) -> Result<Option<DateTime<Utc>>> {
    let at = sqlx::query_scalar!(
        r#"UPDATE syncline.site SET names_asked_at = clock_timestamp()
            WHERE id = $1
              AND (names_read_at >= names_asked_at OR coalesce(names_asked_at, '-infinity') < clock_timestamp() - make_interval(secs => $2))
              AND coalesce(names_doubted_at, '-infinity') < clock_timestamp() - make_interval(secs => $2)
           RETURNING names_asked_at AS "at!""#,
        site_id,
        BELIEVED,
    )
    .fetch_optional(pool)
    .await?;
    Ok(at)
}

/// Holds back a change of names until the transaction has ended: its issues get the names of before, and are found by the
/// change. To be called before anything is read.
pub async fn hold(conn: &mut PgConnection, site_id: Uuid) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('syncline.names ' || $1::uuid::text, 0))",
        site_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits for all that hold names, and keeps others from it until the transaction has ended. To be called before anything is
/// locked.
pub async fn hold_alone(conn: &mut PgConnection, site_id: Uuid) -> Result<()> {
    // Whoever waits makes others wait behind it: for a writer that has fallen silent, nobody waits long.
    sqlx::query!("SET LOCAL lock_timeout = '5s'").execute(&mut *conn).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('syncline.names ' || $1::uuid::text, 0))", site_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("SET LOCAL lock_timeout TO DEFAULT").execute(conn).await?;
    Ok(())
}

/// Whether lists that were asked for at `asked` are the newest; then they count as read.
pub async fn is_newest(conn: &mut PgConnection, site_id: Uuid, asked: DateTime<Utc>) -> Result<bool> {
    let done = sqlx::query!(
        r#"UPDATE syncline.site SET names_read_at = $2
            WHERE id = $1 AND (coalesce(names_read_at, '-infinity') <= $2 OR names_read_at > clock_timestamp())"#,
        site_id,
        asked,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes what reading the lists has come to: names have changed, or they were doubted for nothing.
pub async fn note(conn: &mut PgConnection, site_id: Uuid, changed: bool, doubted: bool) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.site
              SET names_version = names_version + $2::bool::int,
                  names_doubted_at = CASE WHEN $3 AND NOT $2 THEN clock_timestamp() WHEN $2 THEN NULL ELSE names_doubted_at END
            WHERE id = $1 AND ($2 OR $3)"#,
        site_id,
        changed,
        doubted,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The version whose names are yet to be written into issues.
pub async fn due(conn: &mut PgConnection, site_id: Uuid) -> Result<Option<i64>> {
    let due = sqlx::query_scalar!(
        r#"SELECT names_version FROM syncline.site WHERE id = $1 AND names_applied < names_version"#,
        site_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(due)
}

/// The names of a version are in all issues.
pub async fn applied(conn: &mut PgConnection, site_id: Uuid, version: i64) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.site SET names_applied = greatest(names_applied, $2) WHERE id = $1",
        site_id,
        version
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the lists' names into the next `limit` issues of the site with ids above `after`, by id. Answers the last of them,
/// and how many were written; no id: these were the last.
pub async fn apply(conn: &mut PgConnection, site_id: Uuid, after: i64, limit: i64) -> Result<(Option<i64>, i64)> {
    let row = sqlx::query!(
        r#"
        WITH batch AS MATERIALIZED (
            SELECT i.id, i.status_id, i.issue_type_id, i.priority_id, i.resolution_id,
                   i.status, i.status_category, i.issue_type, i.priority, i.resolution
              FROM syncline.issue i WHERE i.site_id = $1 AND i.id > $2 ORDER BY i.id LIMIT $3
        ), named AS MATERIALIZED (
            SELECT * FROM (
                SELECT b.id, b.status_id, b.issue_type_id, b.priority_id, b.resolution_id,
                       coalesce(nullif(s.name, ''), b.status) AS status, coalesce(nullif(s.category, 'undefined'), b.status_category) AS status_category,
                       coalesce(nullif(t.name, ''), b.issue_type) AS issue_type, coalesce(nullif(p.name, ''), b.priority) AS priority,
                       coalesce(nullif(r.name, ''), b.resolution) AS resolution,
                       b.status AS s0, b.status_category AS c0, b.issue_type AS t0, b.priority AS p0, b.resolution AS r0
                  FROM batch b
                  LEFT JOIN syncline.status s ON s.site_id = $1 AND s.id = b.status_id
                  LEFT JOIN syncline.term t ON t.site_id = $1 AND t.kind = 'issue_type' AND t.id = b.issue_type_id
                  LEFT JOIN syncline.term p ON p.site_id = $1 AND p.kind = 'priority' AND p.id = b.priority_id
                  LEFT JOIN syncline.term r ON r.site_id = $1 AND r.kind = 'resolution' AND r.id = b.resolution_id
                ) n
             WHERE (n.status, n.status_category, n.issue_type, n.priority, n.resolution) IS DISTINCT FROM (n.s0, n.c0, n.t0, n.p0, n.r0)
        ), locked AS MATERIALIZED (
            SELECT i.id FROM syncline.issue i WHERE i.site_id = $1 AND i.id = ANY (ARRAY(SELECT id FROM named)) ORDER BY i.id
               FOR NO KEY UPDATE
        ), written AS (
            UPDATE syncline.issue i
               SET status = n.status, status_category = n.status_category, issue_type = n.issue_type, priority = n.priority,
                   resolution = n.resolution
              FROM named n
             WHERE i.site_id = $1 AND i.id = ANY (ARRAY(SELECT id FROM locked)) AND n.id = i.id
               -- One that was changed meanwhile was given the lists' names when it was written.
               AND (i.status_id, i.issue_type_id, i.priority_id, i.resolution_id)
                   IS NOT DISTINCT FROM (n.status_id, n.issue_type_id, n.priority_id, n.resolution_id)
            RETURNING 1
        )
        SELECT (SELECT max(id) FROM batch) AS last, (SELECT count(*) FROM batch) AS "met!", (SELECT count(*) FROM written) AS "written!"
        "#,
        site_id,
        after,
        limit,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.last.filter(|_| row.met == limit), row.written))
}

/// An entry of one of the lists, as an issue shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shown {
    /// `None`: a status.
    pub kind: Option<&'static str>,
    /// Jira's id.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The category of a status, where it is told.
    pub category: Option<String>,
    /// Whether a type is one of sub-tasks.
    pub is_subtask: bool,
}

impl Shown {
    /// An entry of a simple list.
    pub fn term(kind: TermKind, id: i64, name: &str, is_subtask: bool) -> Self {
        Self { kind: Some(kind.as_str()), id, name: name.to_owned(), category: None, is_subtask }
    }
}

/// What the names that issues show come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// A list has another name, or none for the id: it should be read.
    pub doubtful: bool,
    /// An entry that no list holds has got another name.
    pub changed: bool,
}

/// Compares the names that issues show with the lists; entries that no list holds are called what the issues call them.
pub async fn meet(conn: &mut PgConnection, site_id: Uuid, shown: &[Shown]) -> Result<Met> {
    let kinds: Vec<&str> = shown.iter().map(|s| s.kind.unwrap_or("status")).collect();
    let ids: Vec<i64> = shown.iter().map(|s| s.id).collect();
    let names: Vec<&str> = shown.iter().map(|s| s.name.as_str()).collect();
    let categories: Vec<Option<&str>> = shown.iter().map(|s| s.category.as_deref()).collect();
    let others = sqlx::query!(
        r#"
        SELECT n.place AS "place!", k.id IS NOT NULL AS "known!", k.id IS NOT NULL AND k.deleted_at IS NULL AS "listed!",
               (coalesce(s.names_read_at >= s.names_asked_at, false)
                OR coalesce(s.names_asked_at, '-infinity') < clock_timestamp() - make_interval(secs => $6))
                   AND coalesce(s.names_doubted_at, '-infinity') < clock_timestamp() - make_interval(secs => $6)
                   -- A list that the site withholds, or that cannot be read, says no more when it is asked again.
                   AND NOT EXISTS (SELECT 1 FROM syncline.site_capability c
                                    WHERE c.site_id = $1 AND c.state <> 'available'
                                      AND c.feature = CASE n.kind WHEN 'status' THEN 'statuses' WHEN 'priority' THEN 'priorities' ELSE n.kind || 's' END)
                   AS "may_ask!"
          FROM unnest($2::text[], $3::int8[], $4::text[], $5::text[]) WITH ORDINALITY AS n (kind, id, name, category, place)
          JOIN syncline.site s ON s.id = $1
          LEFT JOIN LATERAL (
               SELECT a.id, a.name, a.category, a.deleted_at FROM syncline.status a WHERE n.kind = 'status' AND a.site_id = $1 AND a.id = n.id
               UNION ALL
               SELECT t.id, t.name, NULL, t.deleted_at FROM syncline.term t WHERE t.site_id = $1 AND t.kind = n.kind AND t.id = n.id
               ) k ON true
         WHERE k.id IS NULL OR k.name <> n.name OR nullif(k.category, 'undefined') <> n.category
        "#,
        site_id,
        &kinds as &[&str],
        &ids,
        &names as &[&str],
        &categories as &[Option<&str>],
        BELIEVED,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut met = Met::default();
    let mut unlisted: Vec<&Shown> = Vec::new();
    for other in &others {
        met.doubtful |= other.may_ask;
        let place = usize::try_from(other.place).unwrap_or(0);
        let Some(shown) = place.checked_sub(1).and_then(|at| shown.get(at)) else { continue };
        if !other.listed {
            met.changed |= other.known;
            unlisted.push(shown);
        }
    }
    if met.changed {
        note(conn, site_id, true, false).await?;
    }
    keep_unlisted(conn, site_id, &unlisted).await?;
    Ok(met)
}

async fn keep_unlisted(conn: &mut PgConnection, site_id: Uuid, unlisted: &[&Shown]) -> Result<()> {
    let (statuses, terms): (Vec<&Shown>, Vec<&Shown>) = unlisted.iter().partition(|shown| shown.kind.is_none());
    if !statuses.is_empty() {
        let ids: Vec<i64> = statuses.iter().map(|s| s.id).collect();
        let names: Vec<&str> = statuses.iter().map(|s| s.name.as_str()).collect();
        let categories: Vec<&str> = statuses.iter().map(|s| s.category.as_deref().unwrap_or("undefined")).collect();
        sqlx::query!(
            r#"
            INSERT INTO syncline.status AS s (site_id, id, name, category, deleted_at)
            SELECT DISTINCT ON (n.id) $1::uuid, n.id, n.name, n.category, clock_timestamp()
              FROM unnest($2::int8[], $3::text[], $4::text[]) AS n (id, name, category) ORDER BY n.id
            ON CONFLICT (site_id, id) DO UPDATE SET name = excluded.name, category = excluded.category, updated_at = clock_timestamp()
             WHERE s.deleted_at IS NOT NULL
            "#,
            site_id,
            &ids,
            &names as &[&str],
            &categories as &[&str],
        )
        .execute(&mut *conn)
        .await?;
    }
    if !terms.is_empty() {
        let kinds: Vec<&str> = terms.iter().filter_map(|t| t.kind).collect();
        let ids: Vec<i64> = terms.iter().map(|t| t.id).collect();
        let names: Vec<&str> = terms.iter().map(|t| t.name.as_str()).collect();
        let subtasks: Vec<bool> = terms.iter().map(|t| t.is_subtask).collect();
        sqlx::query!(
            r#"
            INSERT INTO syncline.term AS t (site_id, kind, id, name, is_subtask, deleted_at)
            SELECT DISTINCT ON (n.kind, n.id) $1::uuid, n.kind, n.id, n.name, n.is_subtask, clock_timestamp()
              FROM unnest($2::text[], $3::int8[], $4::text[], $5::bool[]) AS n (kind, id, name, is_subtask) ORDER BY n.kind, n.id
            ON CONFLICT (site_id, kind, id) DO UPDATE SET name = excluded.name, updated_at = clock_timestamp()
             WHERE t.deleted_at IS NOT NULL
            "#,
            site_id,
            &kinds as &[&str],
            &ids,
            &names as &[&str],
            &subtasks,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}
