//! Every open connection of a worker falls silent, in the middle of its work: how long until its steps end again, and until
//! its scheduler has enqueued what came due. Connections that are made afterwards work.

use std::time::{Duration, Instant};

use crate::stack::{self, Database};
use crate::support::silent::SilentWay;

const ROUNDS: usize = 5;

pub async fn measure() -> Vec<(&'static str, f64)> {
    let (mut worker, mut scheduler) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        worker = worker.max(steps_end_again().await);
        scheduler = scheduler.max(schedules_are_followed_again().await);
    }
    vec![
        ("silent_connection_recovery_worker_seconds", worker),
        ("silent_connection_recovery_scheduler_seconds", scheduler),
        ("silent_connection_recovery_seconds", worker.max(scheduler)),
    ]
}

async fn steps_end_again() -> f64 {
    let (jira, projects) = stack::jira(20_000, Duration::from_millis(100)).await;
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    let way = SilentWay::to(&database.url).await;
    let mut worker = stack::worker_process(&way.url(&database.url));
    stack::alive(&database, 1).await;
    database.enqueue(&projects[0].key, "full").await;
    until(&database, "SELECT count(*) FROM syncline.sync_step WHERE state = 'done'", 20).await;
    way.silence_open();
    let silent: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&database.pool).await.unwrap();
    let took = loop {
        let ended: Option<chrono::DateTime<chrono::Utc>> = sqlx::query_scalar(
            "SELECT min(finished_at) FROM syncline.sync_step WHERE state = 'done' AND claimed_at > $1",
        )
        .bind(silent)
        .fetch_one(&database.pool)
        .await
        .unwrap();
        if let Some(ended) = ended {
            break (ended - silent).as_seconds_f64();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    worker.kill().unwrap();
    worker.wait().unwrap();
    jira.stop().await;
    took
}

async fn schedules_are_followed_again() -> f64 {
    let (jira, projects) = stack::jira(10, Duration::ZERO).await;
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    let way = SilentWay::to(&database.url).await;
    let mut worker = stack::worker_process(&way.url(&database.url));
    stack::alive(&database, 1).await;
    way.silence_open();
    let silent = Instant::now();
    sqlx::query(
        "INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '0 0 29 2 *', now(), now() FROM syncline.project",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    until(&database, "SELECT count(*) FROM syncline.sync_run", 1).await;
    let took = silent.elapsed().as_secs_f64();
    worker.kill().unwrap();
    worker.wait().unwrap();
    jira.stop().await;
    took
}

async fn until(database: &Database, sql: &'static str, least: i64) {
    while database.number(sql).await < least {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
