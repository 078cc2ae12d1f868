//! What the issues of written pages still wait for: long comments and worklogs, one issue at a time, and history, in
//! bundles of many issues.
//!
//! What must hold: a page's count of what is pending falls in the transaction that wrote it, and reaches 0 once; the cursor
//! of the entity stands before the page until then. The partition is locked before the page, or two steps of one page would
//! wait for each other: in a statement that writes both, what stands in WITH is written last.

use sqlx::{PgConnection, PgPool};

use crate::store::Result;
use crate::store::page::PageId;

/// The comments or the worklogs of an issue of a page have been fetched in full.
pub async fn collection_done(
    conn: &mut PgConnection,
    page: PageId,
    comments: bool,
    written: i64,
    removed: i64,
) -> Result<()> {
    sqlx::query!(
        r#"
        WITH page AS (
            UPDATE syncline.sync_page
               SET comments_pending = comments_pending - $4::bool::int, worklogs_pending = worklogs_pending - (NOT $4::bool)::int
             WHERE run_id = $1 AND partition = $2 AND seq = $3
        )
        UPDATE syncline.sync_partition
           SET comments_written = comments_written + CASE WHEN $4 THEN $5::int8 ELSE 0 END,
               comments_removed = comments_removed + CASE WHEN $4 THEN $6::int8 ELSE 0 END,
               worklogs_written = worklogs_written + CASE WHEN $4 THEN 0 ELSE $5::int8 END,
               worklogs_removed = worklogs_removed + CASE WHEN $4 THEN 0 ELSE $6::int8 END
         WHERE run_id = $1 AND number = $2
        "#,
        page.run_id,
        page.partition,
        page.seq,
        comments,
        written,
        removed,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// More steps than one fetch the worklogs of a page: so many more.
pub async fn worklogs_expected(conn: &mut PgConnection, page: PageId, more: i32) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.sync_page SET worklogs_pending = worklogs_pending + $4 WHERE run_id = $1 AND partition = $2 AND seq = $3",
        page.run_id,
        page.partition,
        page.seq,
        more
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The issues of a bundle, which is named by the page that made it full.
pub async fn issues(pool: &PgPool, page: PageId) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT DISTINCT unnest(change_ids) AS "id!" FROM syncline.sync_page
            WHERE run_id = $1 AND partition = $2 AND change_bundle = $3 ORDER BY 1"#,
        page.run_id,
        page.partition,
        page.seq
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// Entries of history were written on the way through a bundle, or of it all.
pub async fn changes_written(conn: &mut PgConnection, page: PageId, written: i64) -> Result<()> {
    sqlx::query!(
        "UPDATE syncline.sync_partition SET changes_written = changes_written + $3 WHERE run_id = $1 AND number = $2",
        page.run_id,
        page.partition,
        written
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The history of every issue of a bundle is stored.
pub async fn changes_done(conn: &mut PgConnection, page: PageId) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.sync_page SET changes_pending = 0, change_ids = '{}'
            WHERE run_id = $1 AND partition = $2 AND change_bundle = $3"#,
        page.run_id,
        page.partition,
        page.seq
    )
    .execute(conn)
    .await?;
    Ok(())
}
