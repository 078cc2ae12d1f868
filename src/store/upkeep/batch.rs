//! One batch of each kind: a statement that looks at a bounded number of rows and removes those that need not stay.
//!
//! Rows to be removed are named as an array, so that they are found by their key whatever the planner thinks of a limit that
//! it does not know; times are `statement_timestamp()`, which an index may be asked for (`clock_timestamp()` may not).

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Kind, Retention};
use crate::store::Result;

/// Where the next batch of a round begins: behind this row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    at: DateTime<Utc>,
    id: Uuid,
}

/// What one batch did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch {
    /// Whether this process may remove just now; if not, nothing was done.
    pub is_mine: bool,
    /// Whether there may be more; if not, the kind has been gone through.
    pub is_full: bool,
    /// Rows that were removed.
    pub removed: i64,
    /// Where to go on.
    pub next: Position,
    /// How old the rows are that were reached; none where a kind has no order of time.
    pub reached: Option<DateTime<Utc>>,
}

#[derive(Default)]
struct Row {
    mine: bool,
    seen: i64,
    removed: i64,
    last_at: Option<DateTime<Utc>>,
    last_id: Option<Uuid>,
}

/// Removes up to `limit` rows of a kind that are to be kept no longer, behind `from`. Whatever hangs on a run or an episode goes
/// with it; of these, fewer are taken at once.
pub async fn batch(pool: &PgPool, kind: Kind, retention: &Retention, from: Position, limit: i64) -> Result<Batch> {
    let kept = kind.kept(retention).as_secs_f64();
    let few = (limit / 20).max(1);
    let (row, limit) = match kind {
        Kind::Steps => (steps(pool, kept, from, limit).await?, limit),
        Kind::DeadSteps => (dead_steps(pool, kept, from, limit).await?, limit),
        Kind::Runs => (runs(pool, kept, from, few, limit).await?, few),
        Kind::Pages => (pages(pool, kept, limit).await?, limit),
        Kind::Verifications => (verifications(pool, kept, limit).await?, limit),
        Kind::Logs => (logs(pool, kept, limit).await?, limit),
        Kind::Drift => (drift(pool, kept, limit).await?, limit),
        Kind::Alerts => (alerts(pool, kept, few).await?, few),
        Kind::Reminders => (reminders(pool, kept, limit).await?, limit),
        Kind::Silences => (silences(pool, kept, limit).await?, limit),
        Kind::Workers => (workers(pool, kept, limit).await?, limit),
        Kind::Gates => (gates(pool, kept, limit).await?, limit),
        Kind::Audit => (audit(pool, kept, limit).await?, limit),
    };
    let next = Position { at: row.last_at.unwrap_or(from.at), id: row.last_id.unwrap_or(from.id) };
    let reached = row.last_at.or_else(|| row.last_id.and_then(made_at));
    Ok(Batch { is_mine: row.mine, is_full: row.seen >= limit, removed: row.removed, next, reached })
}

/// When an id was made: the first 48 bits of a UUIDv7.
fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(id.as_u128() >> 80).ok()?)
}

/// By the primary key, in the order in which steps were made: an index on the time of their end would be paid by every step.
async fn steps(pool: &PgPool, kept: f64, from: Position, limit: i64) -> Result<Row> {
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

async fn dead_steps(pool: &PgPool, kept: f64, from: Position, limit: i64) -> Result<Row> {
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
async fn runs(pool: &PgPool, kept: f64, from: Position, few: i64, limit: i64) -> Result<Row> {
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
async fn pages(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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

async fn verifications(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.verify_seen
                WHERE ctid = ANY (ARRAY(SELECT v.ctid FROM syncline.verify_seen v
                                         WHERE (SELECT mine FROM turn)
                                           AND v.verification < syncline.id_floor(statement_timestamp() - make_interval(secs => $1))
                                         LIMIT $2))
               RETURNING 1
           )
           SELECT t.mine AS "mine!", g.n AS "seen!", g.n AS "removed!", NULL::timestamptz AS last_at, NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

async fn logs(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.sync_log
                WHERE id = ANY (ARRAY(SELECT l.id FROM syncline.sync_log l
                                       WHERE (SELECT mine FROM turn) AND l.at < statement_timestamp() - make_interval(secs => $1)
                                       ORDER BY l.at LIMIT $2))
               RETURNING at
           )
           SELECT t.mine AS "mine!", g.n AS "seen!", g.n AS "removed!", g.last_at AS "last_at?", NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n, max(at) AS last_at FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

/// One row per shape, not per occurrence: few, so that no index is worth its writes.
async fn drift(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.schema_drift
                WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM syncline.schema_drift d
                                         WHERE (SELECT mine FROM turn) AND d.last_seen_at < statement_timestamp() - make_interval(secs => $1)
                                         LIMIT $2))
                  -- Not if it was seen again just now.
                  AND last_seen_at < statement_timestamp() - make_interval(secs => $1)
               RETURNING last_seen_at
           )
           SELECT t.mine AS "mine!", g.n AS "seen!", g.n AS "removed!", NULL::timestamptz AS last_at, NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

async fn alerts(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.alert
                WHERE id = ANY (ARRAY(SELECT a.id FROM syncline.alert a
                                       WHERE (SELECT mine FROM turn) AND a.state = 'resolved'
                                         AND a.resolved_at < statement_timestamp() - make_interval(secs => $1)
                                       ORDER BY a.resolved_at LIMIT $2))
               RETURNING resolved_at
           )
           SELECT t.mine AS "mine!", g.n AS "seen!", g.n AS "removed!", g.last_at AS "last_at?", NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n, max(resolved_at) AS last_at FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

/// An episode that goes on for a year has thousands of reminders. The first and the last message of each thread stay: they say
/// where the thread is, and who heard of it.
async fn reminders(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           open AS MATERIALIZED (
               SELECT a.id FROM syncline.alert a
                WHERE (SELECT mine FROM turn) AND a.state <> 'resolved'
                  AND a.opened_at < statement_timestamp() - make_interval(secs => $1)
           ), deliveries AS (
               DELETE FROM syncline.alert_delivery
                WHERE id = ANY (ARRAY(
                      SELECT d.id FROM syncline.alert_delivery d
                       WHERE d.alert_id = ANY (ARRAY(SELECT id FROM open)) AND d.event = 'reminder' AND d.state <> 'pending'
                         AND d.created_at < statement_timestamp() - make_interval(secs => $1)
                         AND EXISTS (SELECT 1 FROM syncline.alert_delivery e
                                      WHERE e.alert_id = d.alert_id AND e.channel = d.channel AND e.recipients = d.recipients AND e.event_seq > d.event_seq)
                         AND EXISTS (SELECT 1 FROM syncline.alert_delivery e
                                      WHERE e.alert_id = d.alert_id AND e.channel = d.channel AND e.thread = d.thread AND e.event_seq < d.event_seq)
                       LIMIT $2))
               RETURNING 1
           ), events AS (
               DELETE FROM syncline.alert_event
                WHERE ctid = ANY (ARRAY(
                      SELECT v.ctid FROM syncline.alert_event v
                       WHERE v.alert_id = ANY (ARRAY(SELECT id FROM open)) AND v.event = 'reminder'
                         AND v.at < statement_timestamp() - make_interval(secs => $1)
                         AND EXISTS (SELECT 1 FROM syncline.alert_event n WHERE n.alert_id = v.alert_id AND n.seq > v.seq)
                       LIMIT $2))
               RETURNING 1
           )
           SELECT t.mine AS "mine!", greatest((SELECT count(*) FROM deliveries), (SELECT count(*) FROM events)) AS "seen!",
                  (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM events) AS "removed!",
                  NULL::timestamptz AS last_at, NULL::uuid AS last_id
             FROM turn t"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

async fn silences(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.alert_silence
                WHERE id = ANY (ARRAY(SELECT s.id FROM syncline.alert_silence s
                                       WHERE (SELECT mine FROM turn) AND s.ends_at < statement_timestamp() - make_interval(secs => $1)
                                       ORDER BY s.ends_at LIMIT $2))
               RETURNING ends_at
           )
           SELECT t.mine AS "mine!", g.n AS "seen!", g.n AS "removed!", g.last_at AS "last_at?", NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n, max(ends_at) AS last_at FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

/// A row per process: few.
async fn workers(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.worker
                WHERE id = ANY (ARRAY(SELECT w.id FROM syncline.worker w
                                       WHERE (SELECT mine FROM turn) AND w.lease_until < statement_timestamp() - make_interval(secs => $1)
                                       LIMIT $2))
                  AND lease_until < statement_timestamp() - make_interval(secs => $1)
               RETURNING 1
           )
           SELECT t.mine AS "mine!", g.n AS "seen!", g.n AS "removed!", NULL::timestamptz AS last_at, NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

/// A row per site and endpoint: few.
async fn gates(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gates AS (
               DELETE FROM syncline.rate_gate
                WHERE key = ANY (ARRAY(SELECT g.key FROM syncline.rate_gate g
                                        WHERE (SELECT mine FROM turn) AND g.paused_until < statement_timestamp() - make_interval(secs => $1)
                                        LIMIT $2))
                  AND paused_until < statement_timestamp() - make_interval(secs => $1)
               RETURNING 1
           ), buckets AS (
               DELETE FROM syncline.rate_bucket
                WHERE key = ANY (ARRAY(SELECT b.key FROM syncline.rate_bucket b
                                        WHERE (SELECT mine FROM turn) AND b.limited_at < statement_timestamp() - make_interval(secs => $1)
                                        LIMIT $2))
                  AND limited_at < statement_timestamp() - make_interval(secs => $1)
               RETURNING 1
           )
           SELECT t.mine AS "mine!", greatest((SELECT count(*) FROM gates), (SELECT count(*) FROM buckets)) AS "seen!",
                  (SELECT count(*) FROM gates) + (SELECT count(*) FROM buckets) AS "removed!",
                  NULL::timestamptz AS last_at, NULL::uuid AS last_id
             FROM turn t"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

async fn audit(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.audit
                WHERE id = ANY (ARRAY(SELECT a.id FROM syncline.audit a
                                       WHERE (SELECT mine FROM turn) AND a.at < statement_timestamp() - make_interval(secs => $1)
                                       ORDER BY a.at LIMIT $2))
               RETURNING at
           )
           SELECT t.mine AS "mine!", g.n AS "seen!", g.n AS "removed!", g.last_at AS "last_at?", NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n, max(at) AS last_at FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}
