//! Batches of what runs leave: steps, the runs themselves, and what they had staged.

use sqlx::PgPool;

use super::batch::{Position, Row};
use crate::store::Result;

/// By the primary key, in the order in which steps were made: an index on the time of their end would be paid by every step.
pub(super) async fn steps(pool: &PgPool, kept: f64, from: Position, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           looked AS MATERIALIZED (
               SELECT s.id, s.state, s.run_id FROM syncline.sync_step s
                WHERE (SELECT mine FROM turn) AND s.id > $2
                  AND s.id < syncline.id_floor(statement_timestamp() - make_interval(secs => $1))
                ORDER BY s.id LIMIT $3
           ), gone AS (
               DELETE FROM syncline.sync_step
                WHERE id = ANY (ARRAY(SELECT l.id FROM looked l
                                       WHERE l.state IN ('done', 'cancelled')
                                         -- A run that goes on needs to know what is done.
                                         AND NOT EXISTS (SELECT 1 FROM syncline.sync_run r WHERE r.id = l.run_id AND r.state = 'running')))
                  AND state IN ('done', 'cancelled')
               RETURNING 1
           )
           SELECT t.mine AS "mine!", (SELECT count(*) FROM looked) AS "seen!", (SELECT count(*) FROM gone) AS "removed!",
                  NULL::timestamptz AS last_at, (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS "last_id?"
             FROM turn t"#,
        kept,
        from.id,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

pub(super) async fn dead_steps(pool: &PgPool, kept: f64, from: Position, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           looked AS MATERIALIZED (
               SELECT s.id, s.run_id, s.finished_at FROM syncline.sync_step s
                WHERE (SELECT mine FROM turn) AND s.state = 'dead' AND s.finished_at >= $2 AND (s.finished_at, s.id) > ($2, $3)
                  AND s.finished_at < statement_timestamp() - make_interval(secs => $1)
                ORDER BY s.finished_at, s.id LIMIT $4
           ), gone AS (
               DELETE FROM syncline.sync_step
                WHERE id = ANY (ARRAY(SELECT l.id FROM looked l
                                       WHERE l.run_id IS NULL OR NOT EXISTS (SELECT 1 FROM syncline.sync_run r WHERE r.id = l.run_id)))
                  AND state = 'dead'
               RETURNING 1
           )
           SELECT t.mine AS "mine!", (SELECT count(*) FROM looked) AS "seen!", (SELECT count(*) FROM gone) AS "removed!",
                  l.finished_at AS "last_at?", l.id AS "last_id?"
             FROM turn t LEFT JOIN LATERAL (SELECT * FROM looked ORDER BY finished_at DESC, id DESC LIMIT 1) l ON true"#,
        kept,
        from.at,
        from.id,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

/// A run goes when few of its steps are left; until then its steps do.
pub(super) async fn runs(pool: &PgPool, kept: f64, from: Position, few: i64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           looked AS MATERIALIZED (
               SELECT r.id, r.finished_at, r.project_id, r.created_at FROM syncline.sync_run r
                WHERE (SELECT mine FROM turn) AND r.finished_at >= $2 AND (r.finished_at, r.id) > ($2, $3)
                  AND r.finished_at < statement_timestamp() - make_interval(secs => $1)
                ORDER BY r.finished_at, r.id LIMIT $4
           ), old AS MATERIALIZED (
               SELECT l.id FROM looked l
                WHERE EXISTS (SELECT 1 FROM syncline.sync_run n WHERE n.project_id = l.project_id AND n.created_at > l.created_at)
           ), steps AS (
               DELETE FROM syncline.sync_step
                WHERE id = ANY (ARRAY(SELECT s.id FROM syncline.sync_step s
                                       WHERE s.run_id = ANY (ARRAY(SELECT o.id FROM old o)) LIMIT $5))
               RETURNING 1
           ), runs AS (
               DELETE FROM syncline.sync_run
                WHERE id = ANY (ARRAY(SELECT o.id FROM old o)) AND (SELECT count(*) FROM steps) < $5
               RETURNING 1
           )
           SELECT t.mine AS "mine!", (SELECT count(*) FROM looked) AS "seen!",
                  (SELECT count(*) FROM steps) + (SELECT count(*) FROM runs) AS "removed!",
                  CASE WHEN (SELECT count(*) FROM steps) < $5 THEN l.finished_at ELSE $2 END AS last_at,
                  CASE WHEN (SELECT count(*) FROM steps) < $5 THEN l.id ELSE $3 END AS last_id
             FROM turn t LEFT JOIN LATERAL (SELECT * FROM looked ORDER BY finished_at DESC, id DESC LIMIT 1) l ON true"#,
        kept,
        from.at,
        from.id,
        few,
        limit
    )
    .fetch_one(pool)
    .await?;
    // Where steps are left, the same runs come again.
    Ok(Row { seen: if row.removed >= limit { few } else { row.seen }, ..row })
}

/// The runs that have something staged are few: each is found by one look into the index behind the one before it.
pub(super) async fn pages(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH RECURSIVE turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           page (run_id) AS (
               (SELECT p.run_id FROM syncline.sync_page p WHERE (SELECT mine FROM turn) ORDER BY p.run_id LIMIT 1)
               UNION ALL
               SELECT (SELECT n.run_id FROM syncline.sync_page n WHERE n.run_id > p.run_id ORDER BY n.run_id LIMIT 1)
                 FROM page p WHERE p.run_id IS NOT NULL
           ), part (run_id) AS (
               (SELECT p.run_id FROM syncline.sync_partition p WHERE (SELECT mine FROM turn) ORDER BY p.run_id LIMIT 1)
               UNION ALL
               SELECT (SELECT n.run_id FROM syncline.sync_partition n WHERE n.run_id > p.run_id ORDER BY n.run_id LIMIT 1)
                 FROM part p WHERE p.run_id IS NOT NULL
           ), seen (run_id) AS (
               (SELECT p.run_id FROM syncline.reconcile_seen p WHERE (SELECT mine FROM turn) ORDER BY p.run_id LIMIT 1)
               UNION ALL
               SELECT (SELECT n.run_id FROM syncline.reconcile_seen n WHERE n.run_id > p.run_id ORDER BY n.run_id LIMIT 1)
                 FROM seen p WHERE p.run_id IS NOT NULL
           ), ended AS MATERIALIZED (
               SELECT r.id FROM (SELECT run_id FROM page UNION SELECT run_id FROM part UNION SELECT run_id FROM seen) u
                 JOIN syncline.sync_run r ON r.id = u.run_id
                WHERE r.finished_at < statement_timestamp() - make_interval(secs => $1)
           ), pages AS (
               DELETE FROM syncline.sync_page
                WHERE ctid = ANY (ARRAY(SELECT p.ctid FROM syncline.sync_page p WHERE p.run_id = ANY (ARRAY(SELECT id FROM ended)) LIMIT $2))
               RETURNING 1
           ), parts AS (
               DELETE FROM syncline.sync_partition
                WHERE ctid = ANY (ARRAY(SELECT p.ctid FROM syncline.sync_partition p WHERE p.run_id = ANY (ARRAY(SELECT id FROM ended)) LIMIT $2))
               RETURNING 1
           ), met AS (
               DELETE FROM syncline.reconcile_seen
                WHERE ctid = ANY (ARRAY(SELECT p.ctid FROM syncline.reconcile_seen p WHERE p.run_id = ANY (ARRAY(SELECT id FROM ended)) LIMIT $2))
               RETURNING 1
           )
           SELECT t.mine AS "mine!", greatest((SELECT count(*) FROM pages), (SELECT count(*) FROM parts), (SELECT count(*) FROM met)) AS "seen!",
                  (SELECT count(*) FROM pages) + (SELECT count(*) FROM parts) + (SELECT count(*) FROM met) AS "removed!",
                  NULL::timestamptz AS last_at, NULL::uuid AS last_id
             FROM turn t"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}
