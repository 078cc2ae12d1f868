//! Schedules become runs: each slot once, whoever looks and whatever the clock does.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::scheduler;

use crate::support::TestDb;

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
