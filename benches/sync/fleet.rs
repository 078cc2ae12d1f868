//! A hundred thousand projects at fifteen minutes: the real scheduler and the real queue, with runs that do nothing; and
//! claims while a million steps wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use syncline::clock::Clock;
use syncline::domain::queue::Queue;
use syncline::engine::{Commit, Engine, EngineOptions, FINAL_STEP, Step, StepContext, StepError};
use syncline::observe::health::Heartbeats;
use syncline::queue::{self, QueueOptions};
use syncline::scheduler;
use syncline::store::step;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stack::Database;
use crate::summary::percentile;

const PROJECTS: i32 = 100_000;
const SECONDS: u64 = 120;
const WAITING: i32 = 1_000_000;

/// Plans nothing.
struct Plan;

impl Step for Plan {
    fn kind(&self) -> &'static str {
        "plan_run"
    }

    fn run<'a>(&'a self, _: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async { Ok(Commit::nothing()) })
    }
}

/// Ends the run.
struct Last;

impl Step for Last {
    fn kind(&self) -> &'static str {
        FINAL_STEP
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        let run = context.step.run_id;
        Box::pin(async move {
            Ok(Commit::effects(move |conn| {
                Box::pin(async move {
                    sqlx::query("UPDATE syncline.sync_run SET state = 'succeeded', finished_at = clock_timestamp() WHERE id = $1")
                        .bind(run)
                        .execute(conn)
                        .await?;
                    Ok(Vec::new())
                })
            }))
        })
    }
}

pub async fn measure() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    let pool = &database.pool;
    // Their starts are spread over the interval, as the product spreads them: a slot each nine milliseconds.
    sqlx::query(
        "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                    SELECT syncline.new_id(), 'site' || n, 'http://x', 'x@example.com', 'env:X' FROM generate_series(1, 100) n RETURNING id),
              n AS (SELECT row_number() OVER () AS i, id FROM s),
              p AS (INSERT INTO syncline.project (id, site_id, key)
                    SELECT syncline.new_id(), n.id, 'P' || k FROM n, generate_series(1, $1 / 100) k RETURNING id)
         INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '*/15 * * * *', now() - interval '1 minute', now() + interval '3 seconds' + make_interval(secs => 900.0 * row_number() OVER () / $1) FROM p",
    )
    .bind(PROJECTS)
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE").execute(pool).await.unwrap();
    sqlx::raw_sql("CREATE TABLE due AS SELECT project_id, next_run_at FROM syncline.schedule")
        .execute(pool)
        .await
        .unwrap();
    let clock = Clock::system();
    let options = EngineOptions { concurrency: [8, 8, 2], ..EngineOptions::default() };
    let engine = Engine::new(pool.clone(), clock.clone(), vec![Arc::new(Plan), Arc::new(Last)], options);
    let stop = CancellationToken::new();
    let queue_options = QueueOptions {
        lease: Duration::from_secs(3),
        pulse: Duration::from_secs(1),
        grace: Duration::from_secs(5),
        direct_url: None,
        host: "bench".to_owned(),
        heartbeats: Heartbeats::default(),
    };
    let heard = queue::Heard::default();
    let schedules = heard.schedules.clone();
    let worker = tokio::spawn(queue::run(engine, queue_options, heard, stop.clone()));
    let scheduler = tokio::spawn(scheduler::run(
        pool.clone().into(),
        clock,
        schedules,
        Heartbeats::default().register("scheduler", Duration::from_secs(90)),
        stop.clone(),
    ));
    let wal = "SELECT (pg_current_wal_lsn() - '0/0')::int8";
    let before = database.number(wal).await;
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let after = database.number(wal).await;
    stop.cancel();
    worker.await.unwrap();
    scheduler.await.unwrap();
    let mut lags: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM r.created_at - d.next_run_at)::float8 FROM syncline.sync_run r JOIN due d USING (project_id)",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut served: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM r.finished_at - d.next_run_at)::float8 FROM syncline.sync_run r JOIN due d USING (project_id) WHERE r.finished_at IS NOT NULL",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let runs = lags.len();
    assert!(runs > 10_000, "only {runs} runs were started");
    let steps = database.number("SELECT count(*) FROM syncline.sync_step WHERE state = 'done'").await;
    let mut figures = vec![
        ("scheduler_100k_projects_slot_lag_p99_seconds", percentile(&mut lags, 0.99)),
        ("scheduler_100k_projects_runs_per_second", runs as f64 / (SECONDS as f64 - 3.0)),
        ("scheduler_100k_projects_ended_p99_seconds", percentile(&mut served, 0.99)),
        ("wal_bytes_per_step", (after - before) as f64 / steps as f64),
    ];
    figures.extend(claims().await);
    figures
}

/// How long a claim of ten takes while a million steps are ready.
async fn claims() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    let pool = &database.pool;
    let owner: Uuid = Clock::system().new_id();
    sqlx::query("INSERT INTO syncline.worker (id, host, pid, version, lease_until) VALUES ($1, 'bench', 1, '0', clock_timestamp() + interval '1 hour')")
        .bind(owner)
        .execute(pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO syncline.sync_step (id, queue, kind, key, state, ready_at)
         SELECT syncline.new_id(), 'jira', 'fetch_page', n::text, 'ready', clock_timestamp() - interval '1 hour' + make_interval(secs => n / 1000.0)
           FROM generate_series(1, $1) n",
    )
    .bind(WAITING)
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE syncline.sync_step").execute(pool).await.unwrap();
    let mut milliseconds = vec![];
    for _ in 0..300 {
        let started = Instant::now();
        let claimed = step::claim(pool, &step::Wish::simple(Queue::Jira, owner, 10)).await.unwrap();
        milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(claimed.steps.len(), 10);
    }
    vec![
        ("claim_10_of_1m_waiting_p50_ms", percentile(&mut milliseconds, 0.5)),
        ("claim_10_of_1m_waiting_p99_ms", percentile(&mut milliseconds, 0.99)),
    ]
}
