//! What a worker process costs that has nothing to do.

use std::time::Duration;

use crate::stack::{self, Database};

const SECONDS: f64 = 30.0;

pub async fn measure() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    let mut worker = stack::worker_process(&database.url);
    stack::alive(&database, 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = (database.commits().await, cpu_seconds(worker.id()));
    tokio::time::sleep(Duration::from_secs_f64(SECONDS)).await;
    let after = (database.commits().await, cpu_seconds(worker.id()));
    worker.kill().unwrap();
    worker.wait().unwrap();
    // Reading the count is a transaction too (one between the readings), and takes 11 s of waiting.
    let seconds = SECONDS + 11.0;
    vec![
        ("idle_worker_transactions_per_second", ((after.0 - before.0 - 1) as f64 / seconds).max(0.0)),
        ("idle_worker_cpu_percent", (after.1 - before.1) / seconds * 100.0),
    ]
}

/// User and system time of a process; the kernel counts in hundredths of a second.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
