//! The most memory a worker process takes for a large project.

use std::time::{Duration, Instant};

use crate::stack::{self, Database};

const ISSUES: u32 = 200_000;

pub async fn measure() -> Vec<(&'static str, f64)> {
    let (jira, projects) = stack::jira(ISSUES, Duration::ZERO).await;
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    let mut worker = stack::worker_process(&database.url);
    stack::alive(&database, 1).await;
    let started = Instant::now();
    let run = database.enqueue(&projects[0].key, "full").await;
    database.succeeded(run).await;
    let seconds = started.elapsed().as_secs_f64();
    let peak = peak_mebibytes(worker.id());
    worker.kill().unwrap();
    worker.wait().unwrap();
    jira.stop().await;
    assert_eq!(database.number("SELECT count(*) FROM syncline.issue").await, i64::from(ISSUES));
    vec![("worker_peak_rss_mebibytes", peak), ("memory_sync_issues_per_second", f64::from(ISSUES) / seconds)]
}

/// The most that a living process has taken so far.
pub fn peak_mebibytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
