//! A worker process that is asked to stop: not ready at once, nothing claimed, everything finished or handed back.

use std::time::Instant;

use sqlx::{Connection, PgConnection};
use syncline::clock::Clock;
use syncline::simulator::{FaultKind, FaultRule, Options};
use uuid::Uuid;

use crate::support::{Rig, WorkerProcess, eventually};

async fn rig() -> Rig {
    Rig::new(Options { issues: 300, ..Options::new(Clock::system()) }).await
}

/// Starts a run whose first search is never answered, and waits until it hangs.
async fn hanging_run(rig: &Rig) -> Uuid {
    let rule = FaultRule { path: Some("/search/jql".into()), ..FaultRule::next(FaultKind::Hang, 1) };
    rig.jira.control().add_fault(rule);
    let run = rig.enqueue("ACME", "full").await;
    eventually("a request that hangs", async || rig.jira.control().stats().faults.contains_key(&FaultKind::Hang)).await;
    run
}

async fn draining(worker: &WorkerProcess) {
    eventually("a worker that drains", async || {
        let answer = worker.get("/readyz").await;
        answer.is_ok_and(|(code, body)| code == 503 && body.contains("draining"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_worker_returns_unfinished_steps_at_no_cost() {
    let rig = rig().await;
    let mut worker = WorkerProcess::start(rig.db.url(), &[("SYNCLINE__QUEUE__GRACE_SECONDS", "3")]).await;
    let run = hanging_run(&rig).await;
    worker.terminate();
    draining(&worker).await;
    assert_eq!(worker.get("/healthz").await.unwrap().0, 200, "a worker that drains is alive");
    let late = rig.enqueue("BETA", "full").await;

    assert_eq!(worker.ended().await.code(), Some(0));
    let (state, attempt, failures, rescues): (String, i32, i16, i16) = sqlx::query_as(
        "SELECT state, attempt, failures, rescues FROM syncline.sync_step WHERE run_id = $1 AND kind = 'fetch_page'",
    )
    .bind(run)
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    assert_eq!((state.as_str(), attempt, failures, rescues), ("ready", 1, 0, 0), "handed back");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worker").await, 0, "it left the fleet");
    let claimed: i32 = sqlx::query_scalar("SELECT max(attempt) FROM syncline.sync_step WHERE run_id = $1")
        .bind(late)
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(claimed, 0, "nothing is claimed while draining");

    let _next = WorkerProcess::start(rig.db.url(), &[]).await;
    for run in [run, late] {
        assert_eq!(rig.ended(run).await, "succeeded");
    }
    assert_eq!(rig.count("SELECT sum(failures + rescues)::int8 FROM syncline.sync_step").await, 0);
    assert_eq!(rig.count("SELECT sum(retries + rescues)::int8 FROM syncline.sync_run").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_what_it_can() {
    let rig = rig().await;
    let mut worker = WorkerProcess::start(rig.db.url(), &[]).await;
    rig.jira.control().set_paused(true);
    let run = rig.enqueue("ACME", "full").await;
    eventually("a request that waits", async || rig.jira.control().stats().in_flight > 0).await;
    worker.terminate();
    draining(&worker).await;
    rig.jira.control().set_paused(false);
    assert_eq!(worker.ended().await.code(), Some(0));
    let done: String =
        sqlx::query_scalar("SELECT state FROM syncline.sync_step WHERE run_id = $1 AND kind = 'plan_run'")
            .bind(run)
            .fetch_one(rig.db.pool())
            .await
            .unwrap();
    assert_eq!(done, "done", "what was under way is finished, not thrown away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_worker_at_once_whatever_it_waits_for() {
    let rig = rig().await;
    // One step waits for Jira, another inside its transaction.
    let mut session = PgConnection::connect(rig.db.url()).await.unwrap();
    let mut lock = session.begin().await.unwrap();
    sqlx::query("LOCK TABLE syncline.sync_partition IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let mut worker = WorkerProcess::start(rig.db.url(), &[("SYNCLINE__QUEUE__GRACE_SECONDS", "600")]).await;
    rig.enqueue("ACME", "full").await;
    eventually("a step that waits for the lock", async || {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        rig.count(waiting).await > 0
    })
    .await;
    worker.terminate();
    draining(&worker).await;
    let signalled = Instant::now();
    worker.terminate();
    let status = worker.ended().await;
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(signalled.elapsed().as_secs() < 5, "{:?}", signalled.elapsed());
    assert!(worker.log().contains("second signal"), "{}", worker.log());
}
