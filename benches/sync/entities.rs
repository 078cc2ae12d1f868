//! A project with everything: how many requests and how much time all entities take.

use std::time::{Duration, Instant};

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Handle, Options, Simulator};

use crate::stack::{self, Database};
use crate::summary::median;

const ISSUES: u32 = 1_000;
/// One issue in a hundred has more comments than Jira inlines, and one in a hundred (mostly another) more worklogs: two in a
/// hundred have a collection that is to be fetched. As many have a long history, which comes with the bundles.
const LONG: f64 = 0.01;
const LATENCY: Duration = Duration::from_millis(120);
const ROUNDS: usize = 3;

async fn jira(latency: Duration) -> (Handle, String) {
    let mut options = Options::new(Clock::system());
    options.projects.truncate(1);
    options.issues = ISSUES;
    options.comments = Amount::About(3.0);
    options.worklogs = Amount::About(2.0);
    options.long_threads = LONG;
    options.latency = latency;
    let key = options.projects[0].key.clone();
    (Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap(), key)
}

async fn registered(jira: &Handle, key: &str) -> Database {
    let database = Database::new().await;
    let project = key.parse().unwrap();
    database.register(jira, &[project]).await;
    database
}

pub async fn measure() -> Vec<(&'static str, f64)> {
    let (jira, key) = jira(LATENCY).await;
    let (mut seconds, mut full, mut nothing) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let database = registered(&jira, &key).await;
        let worker = Worker::start(&stack::config(), database.pool.clone(), Clock::system()).await.unwrap();
        stack::alive(&database, 1).await;
        let before = jira.control().stats().requests;
        let started = Instant::now();
        let run = database.enqueue(&key, "full").await;
        database.succeeded(run).await;
        seconds.push(started.elapsed().as_secs_f64());
        let after = jira.control().stats().requests;
        full.push((after - before) as f64 * 1_000.0 / f64::from(ISSUES));
        let run = database.enqueue(&key, "incremental").await;
        database.succeeded(run).await;
        nothing.push((jira.control().stats().requests - after) as f64);
        assert_eq!(database.number("SELECT count(*) FROM syncline.issue").await, i64::from(ISSUES));
        assert!(database.number("SELECT count(*) FROM syncline.changelog").await > 0, "history is among the entities");
        worker.stop().await;
    }
    jira.stop().await;
    vec![
        ("requests_per_1000_issues_full_sync", median(&mut full)),
        ("full_sync_120ms_1000_issues_all_entities_seconds", median(&mut seconds)),
        ("incremental_sync_nothing_changed_requests", median(&mut nothing)),
    ]
}
