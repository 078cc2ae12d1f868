//! How long a run waits for its first step: beside a full run of 150,000 issues, and while another site does not answer. And
//! what a claim costs while an old snapshot keeps every row that ended.

use std::time::{Duration, Instant};

use sqlx::Connection;
use syncline::clock::Clock;
use syncline::domain::queue::Queue;
use syncline::simulator::{self, Amount, FaultKind, FaultPlan, FaultRule, Handle, Options, ProjectSpec, Simulator};
use syncline::store::step::{self, Look, Wish};
use uuid::Uuid;

use crate::stack::{self, Database};
use crate::summary::median;

const LONG_ISSUES: u32 = 150_000;
const SHORT_PROJECTS: u32 = 20;
const SHORT_ISSUES: u32 = 20;
const SAMPLES: usize = 200;
const EVERY: Duration = Duration::from_millis(150);
const LATENCY: Duration = Duration::from_millis(50);

async fn site(projects: Vec<ProjectSpec>) -> Handle {
    let mut options = Options::new(Clock::system());
    options.projects = projects;
    options.comments = Amount::Exactly(1);
    options.worklogs = Amount::Exactly(1);
    options.long_threads = 0.0;
    options.latency = LATENCY;
    Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

fn spec(key: String, issues: u32) -> ProjectSpec {
    format!("{key}={issues}").parse().unwrap()
}

fn short() -> Vec<ProjectSpec> {
    (0..SHORT_PROJECTS).map(|n| spec(format!("S{n}"), SHORT_ISSUES)).collect()
}

/// Runs of the short projects, one after the other, as schedules start them; answers the p99 of the time to the first step.
async fn first_step_delays(database: &Database) -> f64 {
    for sample in 0..SAMPLES {
        sqlx::query(
            "SELECT syncline.request_run(p.id, 'incremental', 'schedule', 'bench') FROM syncline.project p WHERE p.key = $1",
        )
        .bind(format!("S{}", sample % SHORT_PROJECTS as usize))
        .execute(&database.pool)
        .await
        .unwrap();
        tokio::time::sleep(EVERY).await;
    }
    while database
        .number(
            "SELECT count(*) FROM syncline.sync_run r JOIN syncline.project p ON p.id = r.project_id
              WHERE p.key LIKE 'S%' AND r.state IN ('queued', 'running')",
        )
        .await
        > 0
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut delays: Vec<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM s.claimed_at - s.created_at)::float8
           FROM syncline.sync_step s JOIN syncline.sync_run r ON r.id = s.run_id JOIN syncline.project p ON p.id = r.project_id
          WHERE p.key LIKE 'S%' AND s.kind = 'plan_run'",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    delays.sort_by(f64::total_cmp);
    eprintln!(
        "  {} first steps: median {:.3} s, most {:.3} s",
        delays.len(),
        median(&mut delays.clone()),
        delays.last().unwrap()
    );
    delays[delays.len() * 99 / 100]
}

pub async fn beside_a_long_run() -> Vec<(&'static str, f64)> {
    let mut projects = short();
    projects.push(spec("LONG".to_owned(), LONG_ISSUES));
    let jira = site(projects.clone()).await;
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    let mut worker = stack::worker_process(&database.url);
    stack::alive(&database, 1).await;
    let long = database.enqueue("LONG", "full").await;
    while database.number("SELECT count(*) FROM syncline.sync_page").await < 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let p99 = first_step_delays(&database).await;
    let state: String = sqlx::query_scalar("SELECT state FROM syncline.sync_run WHERE id = $1")
        .bind(long)
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(state, "running", "the long run was there all the time");
    worker.kill().unwrap();
    worker.wait().unwrap();
    vec![("fairness_first_step_delay_p99_seconds", p99)]
}

pub async fn beside_a_site_that_hangs() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    let projects = short();
    let jira = site(projects.clone()).await;
    database.register(&jira, &projects).await;
    let hanging = site((0..40).map(|n| spec(format!("H{n}"), SHORT_ISSUES)).collect()).await;
    let rule = FaultRule { requests: None, ..FaultRule::next(FaultKind::Hang, 1) };
    hanging.control().set_faults(FaultPlan { rules: vec![rule], ..FaultPlan::default() });
    let other: Uuid = Clock::system().new_id();
    sqlx::query(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         SELECT $1, 'hangs', $2, $3, credential FROM syncline.site",
    )
    .bind(other)
    .bind(hanging.base_url())
    .bind(simulator::DEFAULT_EMAIL)
    .execute(&database.pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), $1, 'H' || n FROM generate_series(0, 39) n",
    )
    .bind(other)
    .execute(&database.pool)
    .await
    .unwrap();
    let mut worker = stack::worker_process(&database.url);
    stack::alive(&database, 1).await;
    sqlx::query("SELECT syncline.request_run(id, 'full', 'manual', 'bench') FROM syncline.project WHERE key LIKE 'H%'")
        .execute(&database.pool)
        .await
        .unwrap();
    while database.number("SELECT count(*) FROM syncline.sync_step WHERE state = 'running'").await < 8 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let p99 = first_step_delays(&database).await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    vec![("second_site_delay_p99_seconds", p99)]
}

/// So many steps end while a transaction of another session stays open.
const PILE: i32 = 200_000;

pub async fn under_an_old_snapshot() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    let owner = Clock::system().new_id();
    let mut old = sqlx::PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM syncline.sync_step")
        .execute(&mut old)
        .await
        .unwrap();
    let fresh = claims(&database, owner).await;
    sqlx::query(
        "INSERT INTO syncline.sync_step (id, queue, kind, key, state, gates, ready_at)
         SELECT gen_random_uuid(), 'jira', 'gone', n::text, 'ready', ARRAY['site:a'], now() - interval '1 hour' FROM generate_series(1, $1) n",
    )
    .bind(PILE)
    .execute(&database.pool)
    .await
    .unwrap();
    sqlx::raw_sql("UPDATE syncline.sync_step SET state = 'done' WHERE kind = 'gone'")
        .execute(&database.pool)
        .await
        .unwrap();
    let (piled, dear) = claims(&database, owner).await;
    let pulse = Instant::now();
    step::pulse(&database.pool, owner, "bench", "0", Duration::from_secs(600), &[]).await.unwrap();
    eprintln!("  a look for all lanes took {dear:.1} ms, a pulse {:.1} ms", pulse.elapsed().as_secs_f64() * 1_000.0);
    old.close().await.unwrap();
    vec![("claim_milliseconds", fresh.0), ("claim_under_old_snapshot_milliseconds", piled)]
}

/// The median of claims, in milliseconds, and what the look for all lanes took before them.
async fn claims(database: &Database, owner: Uuid) -> (f64, f64) {
    step::pulse(&database.pool, owner, "bench", "0", Duration::from_secs(600), &[]).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO syncline.sync_step (id, queue, kind, key, state, gates)
         SELECT gen_random_uuid(), 'jira', 'waits', n::text, 'ready', ARRAY['site:a'] FROM generate_series(1, 2000) n",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let first = step::claim(&database.pool, &Wish::simple(Queue::Jira, owner, 4)).await.unwrap();
    let mut lanes = first.lanes;
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        let wish = Wish::simple(Queue::Jira, owner, 4).looking(Look::At(&lanes));
        let claims = step::claim(&database.pool, &wish).await.unwrap();
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
        assert_eq!(claims.steps.len(), 4);
        lanes = claims.lanes;
    }
    (median(&mut took), first.took_seconds * 1_000.0)
}
