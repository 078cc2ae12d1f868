//! Staged pages and the walk over them: what was fetched, what was written, and who sets a stalled walk going again.
//!
//! What must hold: fetching and writing of one partition meet at its row, so that exactly one of them enqueues the next
//! fetch when the bound on pages in flight is reached.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use tracing::Instrument;
use uuid::Uuid;

use crate::domain::window::Window;
use crate::observe::trace;
use crate::store::Result;

/// Which page of which walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageId {
    /// The run.
    pub run_id: Uuid,
    /// The partition's number.
    pub partition: i32,
    /// The page's number in the walk, from 0.
    pub seq: i32,
}

/// What a fetched page leaves behind.
pub struct Staged<'a> {
    /// The compressed body.
    pub body: &'a [u8],
    /// Its length before compression.
    pub body_bytes: i32,
    /// The parameters of the next page's fetch; `None` on the last.
    pub next_walk: Option<&'a serde_json::Value>,
    /// When Jira was asked for it, by the database's clock.
    pub asked_at: DateTime<Utc>,
    /// No cursor passes this by the word of the page: when it was asked for, by the database's clock or by Jira's.
    pub cursor_bound: DateTime<Utc>,
}

/// What a partition looks at.
#[derive(Clone, Debug)]
pub struct Range {
    /// The range of `updated`.
    pub window: Window,
    /// Only issues that concern these users; all where it is `None`.
    pub users: Option<Vec<QueriedUser>>,
    /// How many issues the whole run was expected to meet; 0 where nobody could tell.
    pub estimate: Option<u64>,
    /// The time of this answer, by the database's clock.
    pub now: DateTime<Utc>,
}

/// A user whom a query names.
#[derive(Clone, Debug)]
pub struct QueriedUser {
    /// The account id.
    pub account_id: String,
    /// What queries call the user: the user name on Data Center.
    pub name: String,
}

/// The partition's range.
pub async fn range(pool: &PgPool, run_id: Uuid, partition: i32) -> Result<Option<Range>> {
    let row = sqlx::query!(
        r#"SELECT q.window_from, q.window_to, q.account_ids, r.estimated_issues, clock_timestamp() AS "now!",
                  CASE WHEN q.account_ids IS NOT NULL THEN ARRAY(
                      SELECT coalesce(u.username, a.id) FROM unnest(q.account_ids) WITH ORDINALITY AS a (id, place)
                        LEFT JOIN syncline.jira_user u ON u.site_id = p.site_id AND u.account_id = a.id
                       ORDER BY a.place) END AS names
             FROM syncline.sync_partition q
             JOIN syncline.sync_run r ON r.id = q.run_id
             JOIN syncline.project p ON p.id = r.project_id
            WHERE q.run_id = $1 AND q.number = $2"#,
        run_id,
        partition
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        let users = row.account_ids.zip(row.names).map(|(accounts, names)| {
            accounts.into_iter().zip(names).map(|(account_id, name)| QueriedUser { account_id, name }).collect()
        });
        let estimate = row.estimated_issues.and_then(|estimate| u64::try_from(estimate).ok());
        Range { window: Window { from: row.window_from, to: row.window_to }, users, estimate, now: row.now }
    }))
}

/// Keeps a page until it is written. True when the next page may be fetched now: there is one, and fewer than `bound`
/// pages wait; otherwise the walk stalls until a page was written.
pub async fn stage(conn: &mut PgConnection, page: PageId, staged: &Staged<'_>, bound: i32) -> Result<bool> {
    let go_on = sqlx::query_scalar!(
        r#"
        WITH page AS (
            INSERT INTO syncline.sync_page (run_id, partition, seq, body, body_bytes, asked_at, cursor_bound)
            VALUES ($1, $2, $3, $4, $5, $8, $9)
        )
        UPDATE syncline.sync_partition
           SET pages_fetched = pages_fetched + 1, next_walk = $6, fetched_all = $6::jsonb IS NULL,
               stalled = $6::jsonb IS NOT NULL AND pages_fetched + 1 - pages_applied >= $7
         WHERE run_id = $1 AND number = $2
        RETURNING (NOT stalled AND NOT fetched_all) AS "go_on!"
        "#,
        page.run_id,
        page.partition,
        page.seq,
        staged.body,
        staged.body_bytes,
        staged.next_walk,
        bound,
        staged.asked_at,
        staged.cursor_bound,
    )
    .fetch_one(conn)
    .instrument(trace::batch("INSERT", "syncline.sync_page", 1))
    .await?;
    Ok(go_on)
}

/// The staged body and its length before compression; `None` when it was written already.
pub async fn body(pool: &PgPool, page: PageId) -> Result<Option<(Vec<u8>, i32)>> {
    let row = sqlx::query!(
        r#"SELECT body AS "body!", body_bytes FROM syncline.sync_page
            WHERE run_id = $1 AND partition = $2 AND seq = $3 AND body IS NOT NULL"#,
        page.run_id,
        page.partition,
        page.seq
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.body, row.body_bytes)))
}

/// When a page that an older program has staged came.
pub async fn fetched_at(pool: &PgPool, page: PageId) -> Result<DateTime<Utc>> {
    let at = sqlx::query_scalar!(
        r#"SELECT coalesce(asked_at, fetched_at) AS "at!" FROM syncline.sync_page WHERE run_id = $1 AND partition = $2 AND seq = $3"#,
        page.run_id,
        page.partition,
        page.seq
    )
    .fetch_one(pool)
    .await?;
    Ok(at)
}

/// What writing a page did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the columns of sync_partition
pub struct PageCounts {
    pub issues_seen: i64,
    pub issues_created: i64,
    pub issues_updated: i64,
    pub issues_unchanged: i64,
    pub issues_rejected: i64,
    pub comments_written: i64,
    pub comments_removed: i64,
    pub worklogs_written: i64,
    pub worklogs_removed: i64,
    pub changes_written: i64,
}

/// What a page's issues still wait for: collections that were not inlined whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Steps that fetch comments.
    pub comments: i32,
    /// Steps that fetch worklogs.
    pub worklogs: i32,
    /// The issues whose history is to be asked for, in a bundle with those of other pages.
    pub changes: Vec<i64>,
}

/// What comes after a written page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterPage {
    /// The walk had stalled: the fetch with these parameters is to be enqueued now.
    pub resume: Option<serde_json::Value>,
    /// Every page of the partition is written.
    pub complete: bool,
    /// A bundle of issues is full, or nothing more comes: the step that fetches their history is to be enqueued now.
    pub bundled: bool,
}

/// Marks a page written: its body is dropped, the partition counts it, and a stalled walk goes on.
pub async fn applied(
    conn: &mut PgConnection,
    page: PageId,
    newest: Option<DateTime<Utc>>,
    counts: &PageCounts,
    pending: &Pending,
    bundle_size: i32,
) -> Result<AfterPage> {
    let changes = i32::try_from(pending.changes.len()).unwrap_or(i32::MAX);
    let row = sqlx::query!(
        r#"
        WITH before AS (
            SELECT stalled, changes_waiting + $18::int AS waiting,
                   changes_waiting + $18 >= $19::int OR fetched_all AND pages_applied + 1 = pages_fetched AS full
              FROM syncline.sync_partition WHERE run_id = $1 AND number = $2 FOR UPDATE
        ), page AS (
            UPDATE syncline.sync_page
               SET body = NULL, applied = true, max_updated_at = $4, comments_pending = $5, worklogs_pending = $6,
                   issues_rejected = least($11::int8, 2147483647)::int, change_ids = $17, changes_pending = (cardinality($17::int8[]) > 0)::int
             WHERE run_id = $1 AND partition = $2 AND seq = $3
        )
        UPDATE syncline.sync_partition p
           SET pages_applied = p.pages_applied + 1, stalled = false,
               issues_seen = p.issues_seen + $7, issues_created = p.issues_created + $8,
               issues_updated = p.issues_updated + $9, issues_unchanged = p.issues_unchanged + $10,
               issues_rejected = p.issues_rejected + $11::int8,
               comments_written = p.comments_written + $12, comments_removed = p.comments_removed + $13,
               worklogs_written = p.worklogs_written + $14, worklogs_removed = p.worklogs_removed + $15,
               changes_written = p.changes_written + $16,
               changes_waiting = CASE WHEN before.full THEN 0 ELSE before.waiting END
          FROM before
         WHERE p.run_id = $1 AND p.number = $2
        RETURNING before.stalled AS "was_stalled!", p.next_walk,
                  (p.fetched_all AND p.pages_applied = p.pages_fetched) AS "complete!",
                  (before.full AND before.waiting > 0) AS "bundled!"
        "#,
        page.run_id,
        page.partition,
        page.seq,
        newest,
        pending.comments,
        pending.worklogs,
        counts.issues_seen,
        counts.issues_created,
        counts.issues_updated,
        counts.issues_unchanged,
        counts.issues_rejected,
        counts.comments_written,
        counts.comments_removed,
        counts.worklogs_written,
        counts.worklogs_removed,
        counts.changes_written,
        &pending.changes,
        changes,
        bundle_size,
    )
    .fetch_one(&mut *conn)
    .await?;
    if row.bundled {
        // The partition's row is locked: no other page joins or makes a bundle meanwhile.
        sqlx::query!(
            r#"UPDATE syncline.sync_page SET change_bundle = $3
                WHERE run_id = $1 AND partition = $2 AND applied AND changes_pending > 0 AND change_bundle IS NULL"#,
            page.run_id,
            page.partition,
            page.seq
        )
        .execute(conn)
        .await?;
    }
    Ok(AfterPage { resume: row.next_walk.filter(|_| row.was_stalled), complete: row.complete, bundled: row.bundled })
}

/// Counts issues that were written when they were read again by id. Their page has counted them as unchanged, where one has.
pub async fn written_by_id(conn: &mut PgConnection, run_id: Uuid, counts: &PageCounts) -> Result<()> {
    if counts.issues_created + counts.issues_updated == 0 {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE syncline.sync_partition
            SET issues_created = issues_created + $2, issues_updated = issues_updated + $3,
                issues_seen = issues_seen + greatest($2 + $3 - issues_unchanged, 0),
                issues_unchanged = greatest(issues_unchanged - $2 - $3, 0)
          WHERE run_id = $1 AND number = (SELECT min(number) FROM syncline.sync_partition WHERE run_id = $1)",
        run_id,
        counts.issues_created,
        counts.issues_updated,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page as the cursors see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageState {
    /// The chain of the partition.
    pub chain: i32,
    /// The partition's number.
    pub partition: i32,
    /// Whether the partition has no further pages.
    pub fetched_all: bool,
    /// The page is written; `None` stands for a partition without pages yet.
    pub applied: Option<bool>,
    /// The newest `updated` on it.
    pub newest: Option<DateTime<Utc>>,
    /// No cursor passes this by the word of the page.
    pub bound: Option<DateTime<Utc>>,
    /// Issues of the page that could not be read.
    pub issues_rejected: i32,
    /// Collections that are still being fetched.
    pub comments_pending: i32,
    /// As above.
    pub worklogs_pending: i32,
    /// As above.
    pub changes_pending: i32,
}

/// The pages of a run, chain by chain, each in the order of time.
pub async fn states<'e>(executor: impl PgExecutor<'e>, run_id: Uuid) -> Result<Vec<PageState>> {
    let rows = sqlx::query_as!(
        PageState,
        r#"SELECT p.chain, p.number AS partition, p.fetched_all, g.applied AS "applied?", g.max_updated_at AS newest,
                  -- A page that an older program has staged says only when it came.
                  coalesce(g.cursor_bound, g.fetched_at) AS bound, coalesce(g.issues_rejected, 0) AS "issues_rejected!",
                  coalesce(g.comments_pending, 0) AS "comments_pending!", coalesce(g.worklogs_pending, 0) AS "worklogs_pending!",
                  coalesce(g.changes_pending, 0) AS "changes_pending!"
             FROM syncline.sync_partition p
             LEFT JOIN syncline.sync_page g ON g.run_id = p.run_id AND g.partition = p.number
            WHERE p.run_id = $1
            ORDER BY p.chain, p.number, g.seq"#,
        run_id
    )
    .fetch_all(executor)
    .await?;
    Ok(rows)
}

/// Moves the cursors of [`super::plan::ENTITIES`] forward, never back.
pub async fn advance_cursors<'e>(
    executor: impl PgExecutor<'e>,
    project_id: Uuid,
    run_id: Uuid,
    through: [Option<DateTime<Utc>>; 4],
) -> Result<()> {
    let entities: Vec<String> = super::plan::ENTITIES.iter().map(|entity| (*entity).to_owned()).collect();
    sqlx::query!(
        r#"UPDATE syncline.sync_state s SET cursor_at = greatest(s.cursor_at, n.through)
             FROM unnest($2::text[], $3::timestamptz[]) AS n (entity, through)
            WHERE s.project_id = $1 AND s.entity = n.entity AND n.through IS NOT NULL
              AND (s.cursor_at IS NULL OR s.cursor_at < n.through)
              -- A run that read for some users only says nothing of a project that is read whole by now.
              AND NOT EXISTS (SELECT 1 FROM syncline.sync_partition q JOIN syncline.project p ON p.id = $1
                               WHERE q.run_id = $4 AND q.account_ids IS NOT NULL AND p.tracking = 'all')"#,
        project_id,
        &entities,
        &through as &[Option<DateTime<Utc>>],
        run_id,
    )
    .execute(executor)
    .await?;
    Ok(())
}
