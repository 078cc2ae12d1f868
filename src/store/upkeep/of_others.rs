//! Batches of everything else: log entries, drift, alerts, processes, limits, the audit.

use sqlx::PgPool;

use super::batch::Row;
use crate::store::Result;

pub(super) async fn verifications(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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

pub(super) async fn logs(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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
pub(super) async fn drift(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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

pub(super) async fn alerts(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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
pub(super) async fn reminders(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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

pub(super) async fn silences(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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
pub(super) async fn workers(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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
pub(super) async fn gates(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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

pub(super) async fn audit(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
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

/// What was refused is a row per site, reason and hour: few.
pub(super) async fn webhooks(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.webhook_event
                WHERE id = ANY (ARRAY(SELECT e.id FROM syncline.webhook_event e
                                       WHERE (SELECT mine FROM turn) AND e.received_at < statement_timestamp() - make_interval(secs => $1)
                                       ORDER BY e.received_at LIMIT $2))
               RETURNING received_at
           ), refusals AS (
               DELETE FROM syncline.webhook_refusal
                WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM syncline.webhook_refusal r
                                         WHERE (SELECT mine FROM turn) AND r.hour < statement_timestamp() - make_interval(secs => $1)
                                         LIMIT $2))
                  AND hour < statement_timestamp() - make_interval(secs => $1)
               RETURNING 1
           )
           SELECT t.mine AS "mine!", greatest(g.n, (SELECT count(*) FROM refusals)) AS "seen!",
                  g.n + (SELECT count(*) FROM refusals) AS "removed!", g.last_at AS "last_at?", NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n, max(received_at) AS last_at FROM gone) g"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}

/// Today's sizes of tables are taken here, too: the janitor comes by every few minutes, and only one of them at a time.
pub(super) async fn summaries(pool: &PgPool, kept: f64, limit: i64) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended('syncline.upkeep', 0)) AS mine),
           gone AS (
               DELETE FROM syncline.run_daily
                WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM syncline.run_daily d
                                         WHERE (SELECT mine FROM turn)
                                           AND d.day < (statement_timestamp() - make_interval(secs => $1))::date
                                         ORDER BY d.day LIMIT $2))
               RETURNING 1
           ), sizes_gone AS (
               DELETE FROM syncline.size_daily
                WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM syncline.size_daily d
                                         WHERE (SELECT mine FROM turn)
                                           AND d.day < (statement_timestamp() - make_interval(secs => $1))::date
                                         ORDER BY d.day LIMIT $2))
               RETURNING 1
           ), sizes AS (
               INSERT INTO syncline.size_daily (name, day, bytes)
               SELECT c.relname, (statement_timestamp() AT TIME ZONE 'UTC')::date, pg_total_relation_size(c.oid)
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE (SELECT mine FROM turn) AND n.nspname = 'syncline' AND c.relkind = 'r'
               UNION ALL
               SELECT 'database', (statement_timestamp() AT TIME ZONE 'UTC')::date, pg_database_size(current_database())
                WHERE (SELECT mine FROM turn)
               ON CONFLICT (name, day) DO UPDATE SET bytes = excluded.bytes WHERE syncline.size_daily.bytes <> excluded.bytes
           )
           SELECT t.mine AS "mine!", greatest(g.n, s.n) AS "seen!", g.n + s.n AS "removed!", NULL::timestamptz AS last_at,
                  NULL::uuid AS last_id
             FROM turn t CROSS JOIN (SELECT count(*) AS n FROM gone) g CROSS JOIN (SELECT count(*) AS n FROM sizes_gone) s"#,
        kept,
        limit
    )
    .fetch_one(pool)
    .await?;
    Ok(row)
}
