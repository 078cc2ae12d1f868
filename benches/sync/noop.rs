//! Runs of ten steps that do nothing: what the engine itself costs, and what stock apalis-postgres costs for the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use syncline::clock::Clock;
use syncline::domain::queue::Queue;
use syncline::engine::{Commit, Engine, EngineOptions, FINAL_STEP, NewStep, Step, StepContext, StepError};
use syncline::observe::health::Heartbeats;
use syncline::queue::{self, QueueOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::stack::Database;
use crate::stock;
use crate::summary::median;

pub const RUNS: i32 = 1_000;
pub const STEPS: u32 = 10;
const CONCURRENCY: usize = 10;
const ROUNDS: usize = 3;

struct Empty;

impl Step for Empty {
    fn kind(&self) -> &'static str {
        "empty"
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let number: u32 = context.payload()?;
            let next = (number < STEPS).then(|| step(number + 1));
            Ok(Commit::next(next.into_iter().collect()))
        })
    }
}

fn step(number: u32) -> NewStep {
    NewStep::new(Queue::Store, "empty", number.to_string()).with(&number)
}

/// Counts the runs that reach their end, as the stock measurement counts its jobs: asking the database would be part of what
/// is measured.
struct Last {
    left: AtomicI32,
    finished: Arc<Notify>,
}

impl Step for Last {
    fn kind(&self) -> &'static str {
        FINAL_STEP
    }

    fn run<'a>(&'a self, _: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.finished.notify_one();
        }
        Box::pin(async { Ok(Commit::nothing()) })
    }
}

pub async fn measure() -> Vec<(&'static str, f64)> {
    let (mut ours, mut theirs, mut commits) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        theirs.push(stock::steps_per_second(&Database::new().await, RUNS, STEPS, CONCURRENCY).await);
        let (speed, per_step) = steps_per_second(&Database::new().await).await;
        ours.push(speed);
        commits.push(per_step);
    }
    let ratio = median(&mut ours) / median(&mut theirs);
    vec![
        ("noop_steps_per_second", median(&mut ours)),
        ("stock_apalis_postgres_steps_per_second", median(&mut theirs)),
        ("noop_steps_ratio_to_stock_apalis_postgres", ratio),
        ("commits_per_step", median(&mut commits)),
    ]
}

async fn steps_per_second(database: &Database) -> (f64, f64) {
    let pool = &database.pool;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES (syncline.new_id(), 'x', 'http://x', 'x@example.com', 'env:X')",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "WITH p AS (INSERT INTO syncline.project (id, site_id, key)
                    SELECT syncline.new_id(), (SELECT id FROM syncline.site), 'P' || n FROM generate_series(1, $1) n RETURNING id),
              r AS (INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, open_steps)
                    SELECT syncline.new_id(), id, 'full', 'manual', 'running', 'bench', 1 FROM p RETURNING id)
         INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, payload)
         SELECT syncline.new_id(), id, 'store', 'empty', '1', 'ready', '1' FROM r",
    )
    .bind(RUNS)
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE").execute(pool).await.unwrap();

    let clock = Clock::system();
    let options = EngineOptions { concurrency: [1, CONCURRENCY, 1], ..EngineOptions::default() };
    let finished = Arc::new(Notify::new());
    let last = Last { left: AtomicI32::new(RUNS), finished: Arc::clone(&finished) };
    let engine = Engine::new(pool.clone(), clock, vec![Arc::new(Empty), Arc::new(last)], options);
    let stop = CancellationToken::new();
    let queue_options = QueueOptions {
        lease: Duration::from_secs(3),
        pulse: Duration::from_secs(1),
        grace: Duration::from_secs(5),
        direct_url: None,
        host: "bench".to_owned(),
        heartbeats: Heartbeats::default(),
    };
    let before = database.commits().await;
    let started = Instant::now();
    let worker = tokio::spawn(queue::run(engine, queue_options, queue::Heard::default(), stop.clone()));
    finished.notified().await;
    // The last ends are being committed.
    while database
        .number("SELECT count(*) FROM syncline.sync_step WHERE kind = 'finalize_run' AND state = 'done'")
        .await
        < i64::from(RUNS)
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    let after = database.commits().await;
    stop.cancel();
    worker.await.unwrap();
    let empty = f64::from(RUNS) * f64::from(STEPS);
    // Each run ends with a final step, which is a step too; only the empty ones are counted as speed.
    let steps = empty + f64::from(RUNS);
    (empty / seconds, (after - before) as f64 / steps)
}
