//! What is old enough goes, what must stay stays, and a janitor that falls behind is seen.

use std::time::Duration;

use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::scheduler::janitor;
use syncline::store::setting;
use syncline::store::upkeep::{self, Kind, Position, Retention};
use syncline::store::{self, PoolOptions};
use tokio_util::sync::CancellationToken;

use crate::support::command::{json, succeeds};
use crate::support::{TestDb, WorkerProcess, eventually, sweep};

const SITE: &str = "00000000-0000-7000-8000-000000000001";

async fn staged() -> TestDb {
    let db = TestDb::new().await;
    run(
        db.pool(),
        &format!(
            "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
             VALUES ('{SITE}', 'acme', 'https://acme.example.com', 'bot@example.com', 'env:TOKEN');
             INSERT INTO syncline.project (id, site_id, key) SELECT ('00000000-0000-7000-8000-0000000001' || lpad(n::text, 2, '0'))::uuid, '{SITE}', 'P' || n
               FROM generate_series(10, 12) n;
             CREATE FUNCTION public.old_id(age interval) RETURNS uuid LANGUAGE sql AS $$
               SELECT encode(overlay(uuid_send(gen_random_uuid()) PLACING substring(uuid_send(syncline.id_floor(clock_timestamp() - age)) FROM 1 FOR 6)
                             FROM 1 FOR 6), 'hex')::uuid $$;"
        ),
    )
    .await;
    db
}

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn left(db: &TestDb, what: &str) -> String {
    let sql = format!("SELECT coalesce(string_agg(x::text, ' ' ORDER BY x), '') FROM ({what}) t (x)");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(db.pool()).await.unwrap()
}

#[tokio::test]
async fn old_steps_and_runs_are_removed_and_needed_ones_stay() {
    let db = staged().await;
    run(
        db.pool(),
        "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, finished_at, error_code)
         SELECT public.old_id(age), ('00000000-0000-7000-8000-0000000001' || p)::uuid, 'full', 'manual', state, name,
                now() - age, CASE WHEN state <> 'running' THEN now() - age END, name
           FROM (VALUES ('10', 'old', 'succeeded', interval '91 days'), ('10', 'newest', 'succeeded', interval '1 day'),
                        ('11', 'only', 'failed', interval '400 days'), ('12', 'before', 'failed', interval '95 days'),
                        ('12', 'goes on', 'running', interval '92 days')) v (p, name, state, age);
         INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, finished_at)
         SELECT public.old_id(age), (SELECT id FROM syncline.sync_run WHERE requested_by = run), 'store', kind, n::text, state, now() - age
           FROM (VALUES ('newest', 'young', 'done', interval '23 hours'), ('newest', 'done', 'done', interval '25 hours'),
                        ('newest', 'cancelled', 'cancelled', interval '25 hours'), ('newest', 'dead', 'dead', interval '99 days'),
                        ('old', 'dead of old', 'dead', interval '91 days'), ('goes on', 'done of running', 'done', interval '90 days'),
                        (NULL, 'alone young', 'dead', interval '89 days'), (NULL, 'alone old', 'dead', interval '91 days'))
                v (run, kind, state, age), generate_series(1, 3) n;
         INSERT INTO syncline.sync_partition (run_id, number) SELECT id, 1 FROM syncline.sync_run;
         INSERT INTO syncline.sync_page (run_id, partition, seq, body_bytes) SELECT id, 1, 1, 0 FROM syncline.sync_run;
         INSERT INTO syncline.reconcile_seen (run_id, issue_id) SELECT id, 1 FROM syncline.sync_run;",
    )
    .await;
    assert!(sweep(db.pool()).await > 0);
    assert_eq!(left(&db, "SELECT requested_by FROM syncline.sync_run").await, "goes on newest only");
    assert_eq!(
        left(&db, "SELECT DISTINCT kind FROM syncline.sync_step").await,
        "alone young dead done of running young"
    );
    let of_running = "SELECT requested_by FROM syncline.sync_run r WHERE EXISTS (SELECT 1 FROM syncline.sync_page p WHERE p.run_id = r.id)
                      AND EXISTS (SELECT 1 FROM syncline.sync_partition p WHERE p.run_id = r.id) AND EXISTS (SELECT 1 FROM syncline.reconcile_seen p WHERE p.run_id = r.id)";
    assert_eq!(left(&db, of_running).await, "goes on");
    assert_eq!(
        left(&db, "SELECT run_id::text FROM syncline.sync_page EXCEPT SELECT id::text FROM syncline.sync_run").await,
        ""
    );
    assert_eq!(sweep(db.pool()).await, 0, "a second round finds nothing");
}

#[tokio::test]
async fn every_other_kind_that_grows_with_time_goes_when_it_is_old() {
    let db = staged().await;
    run(
        db.pool(),
        "INSERT INTO syncline.sync_log (at, level, event, message) SELECT now() - age, 'info', e, e
           FROM (VALUES ('young', interval '89 days'), ('old', interval '91 days')) v (e, age);
         INSERT INTO syncline.audit (at, actor, action, subject) SELECT now() - age, a, 'x', 'x'
           FROM (VALUES ('young', interval '399 days'), ('old', interval '401 days')) v (a, age);
         INSERT INTO syncline.schema_drift (site_id, entity, field, expected, found, last_seen_at)
         SELECT '00000000-0000-7000-8000-000000000001', 'issue', f, 'text', 'list', now() - age
           FROM (VALUES ('young', interval '89 days'), ('old', interval '91 days')) v (f, age);
         INSERT INTO syncline.verify_seen (verification, issue_id) SELECT public.old_id(age), n
           FROM (VALUES (1, interval '23 hours'), (2, interval '25 hours')) v (n, age);
         INSERT INTO syncline.worker (id, host, pid, version, lease_until) SELECT syncline.new_id(), h, 1, '1', now() - age
           FROM (VALUES ('young', interval '59 minutes'), ('old', interval '61 minutes')) v (h, age);
         INSERT INTO syncline.rate_gate (key, paused_until, reason) SELECT k, now() - age, 'x'
           FROM (VALUES ('young', interval '23 hours'), ('old', interval '25 hours')) v (k, age);
         INSERT INTO syncline.rate_bucket (key, rate_per_second, burst, tokens, limited_at) SELECT k, 1, 1, 1, now() - age
           FROM (VALUES ('young', interval '23 hours'), ('old', interval '25 hours')) v (k, age);
         INSERT INTO syncline.alert_silence (id, kind, starts_at, ends_at, created_by, created_at)
         SELECT syncline.new_id(), 'silence', now() - age - interval '1 hour', now() - age, b, now()
           FROM (VALUES ('young', interval '89 days'), ('old', interval '91 days')) v (b, age);",
    )
    .await;
    assert_eq!(sweep(db.pool()).await, 8);
    for (table, column) in [
        ("sync_log", "event"),
        ("audit", "actor"),
        ("schema_drift", "field"),
        ("worker", "host"),
        ("rate_gate", "key"),
        ("rate_bucket", "key"),
        ("alert_silence", "created_by"),
    ] {
        assert_eq!(left(&db, &format!("SELECT {column} FROM syncline.{table}")).await, "young", "{table}");
    }
    assert_eq!(left(&db, "SELECT issue_id FROM syncline.verify_seen").await, "1");
}

#[tokio::test]
async fn an_alert_that_goes_on_keeps_the_first_and_last_message() {
    let db = staged().await;
    run(
        db.pool(),
        "INSERT INTO syncline.alert (id, key, scope, scope_kind, class, category, severity, state, details, opened_at, held_since, seen_at, resolved_at)
         SELECT syncline.new_id(), s, '{}', 'system', s, 'x', 'error', s, '{}', now() - interval '300 days', now(), now(),
                CASE WHEN s = 'resolved' THEN now() - interval '89 days' END
           FROM unnest(ARRAY['open', 'resolved']) s;
         INSERT INTO syncline.alert_event (alert_id, seq, at, event, reason, severity)
         SELECT a.id, n, now() - make_interval(days => 300 - n), CASE WHEN n = 1 THEN 'opened' ELSE 'reminder' END, 'x', 'error'
           FROM syncline.alert a, generate_series(1, 200) n;
         INSERT INTO syncline.alert_delivery (id, alert_id, event_seq, event, channel, recipients, thread, message, state, created_at)
         SELECT syncline.new_id(), e.alert_id, e.seq, e.event, c, 'ana', 'ana', '{}', 'delivered', e.at
           FROM syncline.alert_event e, unnest(ARRAY['mail', 'slack']) c WHERE c = 'mail' OR e.seq BETWEEN 5 AND 9;",
    )
    .await;
    sweep(db.pool()).await;
    let of = |channel: &str, state: &str| {
        format!(
            "SELECT d.event_seq FROM syncline.alert_delivery d JOIN syncline.alert a ON a.id = d.alert_id
                  WHERE d.channel = '{channel}' AND a.state = '{state}'"
        )
    };
    assert_eq!(left(&db, &of("mail", "open")).await, "1 200");
    assert_eq!(left(&db, &of("slack", "open")).await, "5 9");
    assert_eq!(
        left(
            &db,
            "SELECT e.seq FROM syncline.alert_event e JOIN syncline.alert a ON a.id = e.alert_id WHERE a.state = 'open'"
        )
        .await,
        "1 200"
    );
    let resolved = format!("SELECT count(*) FROM ({}) x", of("mail", "resolved"));
    assert_eq!(left(&db, &resolved).await, "200", "what is over goes whole, when its time has come");
}

#[tokio::test]
async fn retention_follows_the_settings() {
    let db = staged().await;
    let retention = async || Retention::of(&setting::in_force(db.pool(), None, None).await.unwrap());
    let hours = |duration: Duration| duration.as_secs() / 3_600;
    assert_eq!(retention().await, Retention::default());
    succeeds(&db, &["config", "set", "retention_steps_hours=2", "retention_runs_days=7", "retention_audit_days=800"]);
    let set = retention().await;
    assert_eq!([set.steps, set.runs, set.logs, set.audit].map(hours), [2, 7 * 24, 90 * 24, 800 * 24]);
    // A value that somebody wrote by SQL and that is out of bounds removes nothing early.
    run(db.pool(), "UPDATE syncline.setting SET value = '0' WHERE key = 'retention_audit_days'").await;
    assert_eq!(hours(retention().await.audit), 400 * 24);
    let row = json(&db, &["config", "get", "retention_logs_days"]);
    assert_eq!(row["value"], 90);
}

#[tokio::test]
async fn a_worker_removes_old_rows_as_soon_as_less_is_to_be_kept() {
    let db = staged().await;
    run(db.pool(), "INSERT INTO syncline.sync_log (at, level, event, message) SELECT now() - interval '8 days', 'info', 'x', 'x' FROM generate_series(1, 12000)").await;
    let worker = WorkerProcess::start(db.url(), &[]).await;
    eventually("settings were read once", async || worker.get("/metrics").await.is_ok()).await;
    let logs = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM syncline.sync_log WHERE event = 'x'")
            .fetch_one(db.pool())
            .await
            .unwrap()
    };
    assert_eq!(logs().await, 12_000);
    run(db.pool(), "UPDATE syncline.upkeep SET swept_at = now() - interval '1 hour'").await;
    succeeds(&db, &["config", "set", "retention_logs_days=7"]);
    eventually("the old rows are gone", async || logs().await == 0).await;
    eventually("it is counted", async || {
        let text = worker.get("/metrics").await.map(|(_, text)| text).unwrap_or_default();
        text.contains("syncline_upkeep_rows_removed_total{kind=\"logs\"} 12000")
            && text.contains("syncline_upkeep_lag_seconds{kind=\"logs\"} 0")
    })
    .await;
}

#[tokio::test]
async fn one_process_at_a_time_has_the_turn() {
    let db = staged().await;
    let (one, other) = (Clock::system().new_id(), Clock::system().new_id());
    assert!(upkeep::take_turn(db.pool(), one).await.unwrap());
    assert!(upkeep::take_turn(db.pool(), one).await.unwrap(), "it is renewed");
    assert!(!upkeep::take_turn(db.pool(), other).await.unwrap());
    run(
        db.pool(),
        "INSERT INTO syncline.sync_log (at, level, event, message) SELECT now() - interval '91 days', 'info', 'x', 'x'",
    )
    .await;
    let stop = CancellationToken::new();
    let round =
        async |holder| janitor::round(&db.pool().clone().into(), &Retention::default(), holder, &stop).await.unwrap();
    assert_eq!(round(other).await, 0, "another one's turn");
    upkeep::give_turn_back(db.pool(), one).await.unwrap();
    // A batch that is still under way, of a process whose turn has passed.
    let mut held = db.pool().begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('syncline.upkeep', 0))")
        .execute(&mut *held)
        .await
        .unwrap();
    assert_eq!(round(other).await, 0, "a batch is under way elsewhere");
    held.rollback().await.unwrap();
    assert_eq!(round(other).await, 1);
    run(db.pool(), "UPDATE syncline.upkeep_turn SET held_until = now() - interval '1 second'").await;
    assert!(upkeep::take_turn(db.pool(), one).await.unwrap(), "a turn that was not given back ends");
}

#[tokio::test]
async fn a_janitor_that_falls_behind_or_stands_still_is_seen() {
    let db = staged().await;
    let lag = async |kind: &str| {
        let lags = upkeep::lags(db.pool()).await.unwrap();
        lags.into_iter().find(|(name, _)| name == kind).map(|(_, seconds)| seconds / 3_600.0).unwrap()
    };
    assert_eq!(upkeep::lags(db.pool()).await.unwrap().len(), Kind::ALL.len());
    run(db.pool(), "INSERT INTO syncline.sync_log (at, level, event, message) SELECT now() - interval '100 days', 'info', 'x', 'x' FROM generate_series(1, 300)").await;
    let retention = Retention::default();
    let batch = upkeep::batch(db.pool(), Kind::Logs, &retention, Position::default(), 200).await.unwrap();
    assert!(batch.is_full && batch.removed == 200, "{batch:?}");
    upkeep::record(db.pool(), Kind::Logs, 200, batch.reached.map(|at| at + retention.logs)).await.unwrap();
    assert!((239.0..241.0).contains(&lag("logs").await), "ten days: {}", lag("logs").await);
    sweep(db.pool()).await;
    assert_eq!(lag("logs").await, 0.0);
    assert!(!upkeep::is_due(db.pool()).await.unwrap(), "all was gone through just now");
    run(db.pool(), "UPDATE syncline.upkeep SET swept_at = now() - interval '10 hours' WHERE kind = 'audit'").await;
    assert!((9.5..10.0).contains(&lag("audit").await), "{}", lag("audit").await);
    assert!(upkeep::is_due(db.pool()).await.unwrap());
    let findings = json_of_doctor(&db);
    assert!(findings.contains("not removed in time: audit: 10 h"), "{findings}");
}

fn json_of_doctor(db: &TestDb) -> String {
    let output = crate::support::command::ask(db, &["doctor", "-o", "json"]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The plan of each batch on tables of a size at which a scan would hurt.
#[tokio::test]
async fn every_batch_of_a_large_table_finds_its_rows_by_an_index() {
    let db = staged().await;
    run(
        db.pool(),
        "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, finished_at)
         SELECT public.old_id(make_interval(mins => n)), ('00000000-0000-7000-8000-0000000001' || (10 + n % 3))::uuid, 'full', 'manual', 'succeeded', 'x',
                now() - make_interval(mins => n), now() - make_interval(mins => n) FROM generate_series(1, 20000) n;
         INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, finished_at)
         SELECT public.old_id(make_interval(mins => n)), NULL, 'store', 'x', n::text, CASE WHEN n % 50 = 0 THEN 'dead' ELSE 'done' END, now() - make_interval(mins => n)
           FROM generate_series(1, 60000) n;
         INSERT INTO syncline.sync_log (at, level, event, message) SELECT now() - make_interval(mins => n), 'info', 'x', 'x' FROM generate_series(1, 60000) n;
         INSERT INTO syncline.audit (at, actor, action, subject) SELECT now() - make_interval(mins => n), 'x', 'x', 'x' FROM generate_series(1, 60000) n;
         INSERT INTO syncline.verify_seen (verification, issue_id) SELECT syncline.new_id(), n FROM generate_series(1, 60000) n;
         ANALYZE;",
    )
    .await;
    // One connection, so that its counts can be asked for as soon as they are made.
    let options = PoolOptions { max_connections: 1, ..PoolOptions::default() };
    let pool = store::connect(&db.secret_url(), &options).await.unwrap();
    if pool.acquire().await.unwrap().server_version_num() < Some(150_000) {
        return; // pg_stat_force_next_flush
    }
    let before = read_by_scan(&pool).await;
    let few_days = Duration::from_secs(30 * 24 * 3_600);
    let retention =
        Retention { runs: few_days, logs: few_days, audit: few_days, alerts: few_days, ..Retention::default() };
    for kind in Kind::ALL {
        for _ in 0..8 {
            // The generic plan, too, which prepared statements get after some executions.
            upkeep::batch(&pool, kind, &retention, Position::default(), 100).await.unwrap();
        }
    }
    let scanned = read_by_scan(&pool).await - before;
    assert!(scanned < 20_000, "{scanned} rows were read by scanning large tables");
}

async fn read_by_scan(pool: &PgPool) -> i64 {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(pool).await.unwrap();
    sqlx::query_scalar(
        "SELECT coalesce(sum(seq_tup_read), 0)::int8 FROM pg_stat_user_tables
          WHERE schemaname = 'syncline' AND relname IN ('sync_run', 'sync_step', 'sync_log', 'audit', 'verify_seen')",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}
