//! Schedules become runs: each slot once, whoever looks and whatever the clock does.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::config::Config;
use syncline::runtime::Worker;
use syncline::scheduler;
use syncline::store::queue_view;

use crate::support::{TestDb, eventually};

fn noon() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

/// Projects with a schedule that is due at noon.
async fn projects(pool: &PgPool, count: i32, cron: &str) {
    sqlx::query(
        "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                    VALUES (syncline.new_id(), 'x', 'http://x', 'x@example.com', 'env:X') RETURNING id),
              p AS (INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), s.id, 'P' || n FROM s, generate_series(1, $1) n RETURNING id)
         INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at) SELECT id, $2, $3, $3 FROM p",
    )
    .bind(count)
    .bind(cron)
    .bind(noon())
    .execute(pool)
    .await
    .unwrap();
}

async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_slot_is_enqueued_once_by_any_number_of_schedulers() {
    let db = TestDb::new().await;
    projects(db.pool(), 700, "*/15 * * * *").await;
    let (clock, _) = Clock::virtual_at(noon() + TimeDelta::seconds(1), 1);
    let schedulers = (0..4).map(|_| scheduler::tick(db.pool(), &clock));
    for outcome in futures::future::join_all(schedulers).await {
        outcome.unwrap();
    }
    scheduler::tick(db.pool(), &clock).await.unwrap();
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run").await, 700);
    assert_eq!(
        number(db.pool(), "SELECT count(DISTINCT project_id) FROM syncline.sync_run WHERE slot_at IS NOT NULL").await,
        700
    );
    assert_eq!(
        number(db.pool(), "SELECT count(*) FROM syncline.sync_step WHERE kind = 'plan_run' AND state = 'ready'").await,
        700
    );
    assert_eq!(
        number(db.pool(), "SELECT count(*) FROM syncline.schedule WHERE next_slot_at = '2026-03-02T12:15:00Z'").await,
        700
    );
}

#[tokio::test]
async fn slots_missed_while_nobody_looked_are_one_run_and_are_counted() {
    let db = TestDb::new().await;
    projects(db.pool(), 1, "*/15 * * * *").await;
    let (clock, _) = Clock::virtual_at(noon() + TimeDelta::hours(3) + TimeDelta::minutes(1), 1);
    scheduler::tick(db.pool(), &clock).await.unwrap();
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run").await, 1);
    assert_eq!(number(db.pool(), "SELECT missed_total FROM syncline.schedule").await, 12);
    assert_eq!(
        number(db.pool(), "SELECT count(*) FROM syncline.schedule WHERE last_slot_at = '2026-03-02T15:00:00Z'").await,
        1
    );
}

#[tokio::test]
async fn a_clock_that_jumps_back_enqueues_no_slot_again() {
    let db = TestDb::new().await;
    projects(db.pool(), 1, "*/15 * * * *").await;
    let (clock, hands) = Clock::virtual_at(noon() + TimeDelta::seconds(1), 1);
    scheduler::tick(db.pool(), &clock).await.unwrap();
    hands.set(noon() - TimeDelta::hours(2));
    scheduler::tick(db.pool(), &clock).await.unwrap();
    hands.set(noon() + TimeDelta::minutes(14));
    scheduler::tick(db.pool(), &clock).await.unwrap();
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run").await, 1);
}

#[tokio::test]
async fn a_slot_that_meets_an_active_run_is_kept_and_not_doubled() {
    let db = TestDb::new().await;
    projects(db.pool(), 1, "*/15 * * * *").await;
    let (clock, hands) = Clock::virtual_at(noon() + TimeDelta::seconds(1), 1);
    for _ in 0..4 {
        scheduler::tick(db.pool(), &clock).await.unwrap();
        hands.advance(TimeDelta::minutes(30));
    }
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run WHERE state = 'running'").await, 1);
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run WHERE state = 'queued'").await, 1);
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run").await, 2);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_followed_is_paused_and_says_why() {
    let db = TestDb::new().await;
    projects(db.pool(), 1, "61 * * * *").await;
    let (clock, _) = Clock::virtual_at(noon() + TimeDelta::seconds(1), 1);
    scheduler::tick(db.pool(), &clock).await.unwrap();
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.schedule WHERE state = 'paused'").await, 1);
    let message: String =
        sqlx::query_scalar("SELECT message FROM syncline.sync_log").fetch_one(db.pool()).await.unwrap();
    assert!(message.contains("minute"), "{message}");
}

#[tokio::test]
async fn a_paused_project_waits_and_the_next_due_time_is_known() {
    let db = TestDb::new().await;
    projects(db.pool(), 1, "*/15 * * * *").await;
    let (clock, _) = Clock::virtual_at(noon() - TimeDelta::seconds(20), 1);
    let sleep = scheduler::tick(db.pool(), &clock).await.unwrap();
    assert_eq!(sleep, std::time::Duration::from_secs(20));
    sqlx::query("UPDATE syncline.project SET state = 'paused'").execute(db.pool()).await.unwrap();
    let (clock, _) = Clock::virtual_at(noon() + TimeDelta::seconds(20), 1);
    scheduler::tick(db.pool(), &clock).await.unwrap();
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run").await, 0);
}

#[tokio::test]
async fn due_schedules_are_found_by_their_index() {
    let db = TestDb::new().await;
    projects(db.pool(), 10_000, "*/15 * * * *").await;
    sqlx::query("UPDATE syncline.schedule SET next_run_at = next_run_at + interval '1 day' WHERE random() < 0.99")
        .execute(db.pool())
        .await
        .unwrap();
    sqlx::raw_sql("ANALYZE").execute(db.pool()).await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT s.project_id FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id
          WHERE s.state = 'active' AND p.state = 'active' AND s.next_run_at <= '2026-03-02T12:00:00Z' ORDER BY s.next_run_at LIMIT 500 FOR UPDATE OF s SKIP LOCKED",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    assert!(plan.iter().any(|line| line.contains("schedule_due")), "{plan:#?}");
}

/// Clocks of machines that are wrong: hours ahead, years ahead, hours behind.
fn wrong_clocks() -> [Clock; 3] {
    [TimeDelta::hours(2), TimeDelta::days(400), TimeDelta::hours(-2)].map(Clock::off_by)
}

/// Whether the schedules stand where the database's clock has them: the slot that has just begun was served, or is due, and
/// the next is within its fifteen minutes (and as long again, over which projects are spread).
const STAND_RIGHT: &str = "SELECT count(*) FROM syncline.schedule
  WHERE next_slot_at <= clock_timestamp() + interval '15 minutes' AND next_run_at <= clock_timestamp() + interval '30 minutes'
    AND coalesce(last_slot_at <= clock_timestamp(), true)";

#[tokio::test]
async fn a_worker_with_a_wrong_clock_moves_no_slot() {
    for clock in wrong_clocks() {
        let db = TestDb::new().await;
        projects(db.pool(), 3, "*/15 * * * *").await;
        sqlx::query("UPDATE syncline.schedule SET next_slot_at = clock_timestamp(), next_run_at = clock_timestamp()")
            .execute(db.pool())
            .await
            .unwrap();
        for _ in 0..2 {
            scheduler::tick(db.pool(), &clock).await.unwrap();
        }
        assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run").await, 3, "what is due runs, once");
        assert_eq!(number(db.pool(), STAND_RIGHT).await, 3, "{:?}", clock.own());
        assert_eq!(scheduler::put_right(db.pool(), &clock).await.unwrap(), 0, "nothing is to be put right");
    }
}

#[tokio::test]
async fn schedules_that_a_fast_clock_pushed_ahead_are_put_right() {
    let db = TestDb::new().await;
    projects(db.pool(), 4, "*/15 * * * *").await;
    let push = "WITH p AS (SELECT project_id, row_number() OVER (ORDER BY project_id) AS n FROM syncline.schedule)
        UPDATE syncline.schedule s
           SET last_slot_at = CASE p.n WHEN 1 THEN clock_timestamp() + interval '2 hours' WHEN 2 THEN clock_timestamp() + interval '400 days' END,
               next_slot_at = clock_timestamp() + CASE p.n WHEN 4 THEN interval '0' WHEN 1 THEN interval '135 minutes' ELSE interval '400 days' END,
               next_run_at = clock_timestamp() + CASE p.n WHEN 4 THEN interval '0' WHEN 1 THEN interval '135 minutes' ELSE interval '400 days' END
          FROM p WHERE p.project_id = s.project_id";
    sqlx::query(push).execute(db.pool()).await.unwrap();
    let served = "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, slot_at)
        SELECT syncline.new_id(), project_id, 'incremental', 'schedule', 'succeeded', 'scheduler', last_slot_at
          FROM syncline.schedule WHERE last_slot_at IS NOT NULL";
    sqlx::query(served).execute(db.pool()).await.unwrap();
    let clock = Clock::off_by(TimeDelta::hours(-3));
    assert_eq!(scheduler::put_right(db.pool(), &clock).await.unwrap(), 3, "the fourth stands right");
    assert_eq!(number(db.pool(), STAND_RIGHT).await, 4);
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_run WHERE slot_at IS NOT NULL").await, 0);
    assert_eq!(number(db.pool(), "SELECT count(*) FROM syncline.sync_log WHERE event = 'schedule_put_right'").await, 3);
    assert_eq!(scheduler::put_right(db.pool(), &clock).await.unwrap(), 0, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_says_how_far_its_clock_is_off() {
    for (clock, ahead) in wrong_clocks().into_iter().zip([7_200.0, 400.0 * 86_400.0, -7_200.0]) {
        let db = TestDb::new().await;
        let mut config = Config::default();
        config.http.address = None;
        let worker = Worker::start(&config, db.pool().clone(), clock.clone()).await.unwrap();
        let told = std::cell::Cell::new(None);
        eventually("the worker's clock to be told of", async || {
            let workers = queue_view::workers(db.pool()).await.unwrap();
            told.set(workers.first().and_then(|worker| worker.clock_ahead_seconds));
            told.get().is_some()
        })
        .await;
        let told: Option<f64> = told.get();
        assert!((told.unwrap() - ahead).abs() < 60.0, "{told:?}");
        assert!((clock.now() - Clock::system().now()).abs() < TimeDelta::minutes(1), "it goes by the database's");
        worker.stop().await;
    }
}
