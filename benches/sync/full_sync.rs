//! A full sync against the same client and the same writes in a plain pipelined loop without the engine.

use std::time::{Duration, Instant};

use syncline::clock::Clock;
use syncline::runtime::Worker;

use crate::bare;
use crate::stack::{self, Database};
use crate::summary::median;

const ISSUES: u32 = 20_000;
const ROUNDS: usize = 3;

pub async fn throughput() -> Vec<(&'static str, f64)> {
    let (jira, projects) = stack::jira(ISSUES, Duration::ZERO).await;
    let (mut engine, mut plain) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let database = Database::new().await;
        let seconds = bare::sync(&database, &jira).await;
        plain.push(f64::from(ISSUES) / seconds);

        let database = Database::new().await;
        database.register(&jira, &projects).await;
        let worker = Worker::start(&stack::config(), database.pool.clone(), Clock::system()).await.unwrap();
        let started = Instant::now();
        let run = database.enqueue(&projects[0].key, "full").await;
        database.succeeded(run).await;
        engine.push(f64::from(ISSUES) / started.elapsed().as_secs_f64());
        assert_eq!(database.number("SELECT count(*) FROM syncline.issue").await, i64::from(ISSUES));
        assert_eq!(database.number("SELECT count(*) FROM syncline.comment").await, 3 * i64::from(ISSUES));
        assert_eq!(database.number("SELECT count(*) FROM syncline.worklog").await, 2 * i64::from(ISSUES));
        worker.stop().await;
    }
    jira.stop().await;
    let ratio = median(&mut engine) / median(&mut plain);
    vec![
        ("full_sync_issues_per_second", median(&mut engine)),
        ("bare_sync_issues_per_second", median(&mut plain)),
        ("full_sync_ratio_to_bare", ratio),
    ]
}

pub async fn with_latency() -> Vec<(&'static str, f64)> {
    let (jira, projects) = stack::jira(5_000, Duration::from_millis(120)).await;
    let mut seconds = vec![];
    for _ in 0..ROUNDS {
        let database = Database::new().await;
        database.register(&jira, &projects).await;
        let worker = Worker::start(&stack::config(), database.pool.clone(), Clock::system()).await.unwrap();
        stack::alive(&database, 1).await;
        let started = Instant::now();
        let run = database.enqueue(&projects[0].key, "full").await;
        database.succeeded(run).await;
        seconds.push(started.elapsed().as_secs_f64());
        worker.stop().await;
    }
    jira.stop().await;
    vec![("full_sync_120ms_5000_issues_seconds", median(&mut seconds))]
}
