//! The same chains on stock apalis-postgres: default configuration, woken by its notifications, ten at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};

use crate::stack::Database;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    run: i32,
    number: u32,
}

#[derive(Clone)]
struct Shared {
    left: Arc<AtomicI64>,
    finished: Arc<Notify>,
    steps: u32,
    places: Arc<Semaphore>,
    pool: sqlx::PgPool,
}

async fn step(job: Job, shared: Data<Shared>) -> Result<(), BoxDynError> {
    let _place = shared.places.acquire().await?;
    if job.number < shared.steps {
        let mut storage = PostgresStorage::<Job>::new(&shared.pool).with_config(Config::default().queue("bench"));
        storage.push(Job { run: job.run, number: job.number + 1 }).await?;
    }
    if shared.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        shared.finished.notify_one();
    }
    Ok(())
}

pub async fn steps_per_second(database: &Database, runs: i32, steps: u32, concurrency: usize) -> f64 {
    PostgresStorage::setup(&database.pool).await.unwrap();
    let mut storage = PostgresStorage::<Job>::new(&database.pool).with_config(Config::default().queue("bench"));
    for run in 0..runs {
        storage.push(Job { run, number: 1 }).await.unwrap();
    }
    sqlx::raw_sql("VACUUM ANALYZE").execute(&database.pool).await.unwrap();
    let total = i64::from(runs) * i64::from(steps);
    let shared = Shared {
        left: Arc::new(AtomicI64::new(total)),
        finished: Arc::new(Notify::new()),
        steps,
        places: Arc::new(Semaphore::new(concurrency)),
        pool: database.pool.clone(),
    };
    let backend =
        PostgresStorage::<Job>::new(&database.pool).with_config(Config::default().queue("bench")).with_pubsub();
    let worker = WorkerBuilder::new("stock").backend(backend).data(shared.clone()).build(step);
    let started = Instant::now();
    let running = tokio::spawn(worker.run());
    let _ = tokio::time::timeout(Duration::from_secs(120), shared.finished.notified()).await;
    let seconds = started.elapsed().as_secs_f64();
    running.abort();
    let done = total - shared.left.load(Ordering::SeqCst);
    done as f64 / seconds
}
