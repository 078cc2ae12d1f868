//! Whatever a process does not finish, because it dies, hangs, stops or loses the database, others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{ConnectOptions, Row};
use syncline::domain::queue::Queue;
use syncline::engine::Step;
use syncline::store::step;
use tokio::sync::Notify;

use crate::support::toy::{Tuning, World, effect, heard, new, toy};

/// A step that does not end the first time; it says when it starts and counts when its future is dropped.
fn stuck(started: &Arc<Notify>, dropped: &Arc<AtomicUsize>) -> Arc<dyn Step> {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (started, dropped) = (Arc::clone(started), Arc::clone(dropped));
    let executions = AtomicUsize::new(0);
    toy("work", move |given| {
        let (started, guard) = (Arc::clone(&started), Guard(Arc::clone(&dropped)));
        let first = executions.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let _guard = guard;
            if first {
                started.notify_one();
                std::future::pending::<()>().await;
            }
            Ok(effect(&given.step, vec![]))
        }
    })
}

fn working() -> Arc<dyn Step> {
    toy("work", |given| async move { Ok(effect(&given.step, vec![])) })
}

const RESCUES: &str = "SELECT rescues FROM syncline.sync_run WHERE id = $1";
const UNSPENT: &str = "SELECT bool_and(failures = 0) FROM syncline.sync_step WHERE run_id = $1";

#[tokio::test]
async fn a_dead_owners_steps_are_taken_over() {
    let world = World::new().await;
    let started = Arc::default();
    let dead = world.worker(vec![stuck(&started, &Arc::default())], Tuning::short_lease()).await;
    let run = world.run(vec![new("work", "")]).await;
    heard(&started).await;
    dead.kill().await;
    let heir = world.worker(vec![working()], Tuning::short_lease()).await;
    assert_eq!(world.ended(run).await, "succeeded");
    assert!(world.get::<i32>(RESCUES, run).await >= 1);
    assert!(world.get::<bool>(UNSPENT, run).await);
    let said = "SELECT count(*) FROM syncline.sync_log WHERE run_id = $1 AND event = 'step_rescued' AND project_id IS NOT NULL";
    world.until("SELECT count(*) = 1 FROM syncline.sync_log WHERE run_id = $1 AND event = 'step_rescued'", run).await;
    assert_eq!(world.get::<i64>(said, run).await, 1);
    heir.stop().await;
}

#[tokio::test]
async fn a_worker_that_cannot_renew_stops_its_steps_by_itself() {
    let world = World::new().await;
    let (started, dropped) = (Arc::default(), Arc::default());
    let worker = world.worker(vec![stuck(&started, &dropped)], Tuning::short_lease()).await;
    let run = world.run(vec![new("work", "")]).await;
    heard(&started).await;
    let old = worker.engine.epoch().owner;
    let mut blocked = world.pool().begin().await.unwrap();
    let lock = "SELECT 1 FROM syncline.worker WHERE id = $1 FOR UPDATE";
    sqlx::query(lock).bind(old).execute(&mut *blocked).await.unwrap();
    world.poll("the end of the step", async || (dropped.load(Ordering::SeqCst) == 1).then_some(())).await;
    // It goes on under another name while the old one is still stuck.
    assert_eq!(world.ended(run).await, "succeeded");
    assert_ne!(worker.engine.epoch().owner, old);
    blocked.rollback().await.unwrap();
    worker.stop().await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_again() {
    let world = World::new().await;
    let worker = world.worker(vec![working()], Tuning::short_lease()).await;
    let mut tx = world.pool().begin().await.unwrap();
    let run = world.run(vec![new("work", "").after(Duration::from_secs(3600))]).await;
    // Claimed for this worker, which has never heard of it.
    let claim = "UPDATE syncline.sync_step SET state = 'running', attempt = 1, owner = $2, claimed_at = clock_timestamp() WHERE run_id = $1";
    sqlx::query(claim).bind(run).bind(worker.engine.epoch().owner).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.ended(run).await, "succeeded");
    assert_eq!(world.get::<i32>(RESCUES, run).await, 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_stopping_worker_hands_back_late_steps_without_an_attempt() {
    let world = World::new().await;
    let (started, begun, go_on) = (Arc::default(), Arc::<Notify>::default(), Arc::<Notify>::default());
    let barrier = (Arc::clone(&begun), Arc::clone(&go_on));
    let quick = toy("quick", move |given| {
        let (begun, go_on) = barrier.clone();
        async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(effect(&given.step, vec![new("work", "successor")]))
        }
    });
    let tuning = Tuning { grace: Duration::from_millis(700), ..Tuning::default() };
    let worker = world.worker(vec![quick, stuck(&started, &Arc::default())], tuning).await;
    let owner = worker.engine.epoch().owner;
    let run = world.run(vec![new("quick", ""), new("work", "")]).await;
    tokio::join!(heard(&begun), heard(&started));
    go_on.notify_one(); // within the grace period
    worker.stop().await;
    let states = "SELECT string_agg(kind || key || ' ' || state || failures || rescues, ', ' ORDER BY kind, key)
                    FROM syncline.sync_step WHERE run_id = $1";
    assert_eq!(world.get::<String>(states, run).await, "quick done00, work ready00, worksuccessor ready00");
    assert!(!world.get::<bool>("SELECT EXISTS (SELECT 1 FROM syncline.worker WHERE id = $1)", owner).await);
    let next = world.worker(vec![working()], Tuning::default()).await;
    assert_eq!(world.ended(run).await, "succeeded");
    next.stop().await;
}

#[tokio::test]
async fn postgres_going_away_ends_only_steps_in_flight() {
    const STEPS: usize = 60;
    let world = World::new().await;
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    let work = toy("work", move |given| {
        let counted = Arc::clone(&counted);
        async move {
            sqlx::query("SELECT pg_sleep(0.02)").execute(&given.pool).await?;
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(effect(&given.step, vec![]))
        }
    });
    let worker = world.worker(vec![work], Tuning::short_lease()).await;
    let run = world.run((0..STEPS).map(|n| new("work", n)).collect()).await;
    // Each time in the middle of work, everything is cut: steps, claims, the pulse, the listener.
    let url: sqlx::postgres::PgConnectOptions = world.db.url().parse().unwrap();
    let mut sessions = 0;
    for progress in [5, 20, 40] {
        world.poll("progress", async || (done.load(Ordering::SeqCst) >= progress).then_some(())).await;
        let mut admin = url.connect().await.unwrap();
        let cut = "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let cut: i64 = sqlx::query(cut).fetch_one(&mut admin).await.unwrap().get("n");
        sessions += cut;
    }
    assert!(sessions > 3, "{sessions} sessions were cut");
    assert_eq!(world.ended(run).await, "succeeded");
    assert_eq!(world.effects("work").await[&run], i64::try_from(STEPS).unwrap());
    assert!(world.get::<bool>(UNSPENT, run).await, "an outage is not a failure of the step");
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_whose_lease_has_run_out_claims_nothing() {
    let world = World::new().await;
    let engine = world.engine(vec![], &Tuning::default()).await;
    let owner = engine.epoch().owner;
    world.run(vec![new("work", "")]).await;
    let pool = engine.pool();
    let wish = step::Wish::simple(Queue::Jira, owner, 1);
    let claim = || step::claim(&pool, &wish);
    assert!(claim().await.unwrap().steps.is_empty(), "it has never pulsed");
    step::pulse(&engine.pool(), owner, "toy", "0", Duration::ZERO, &[]).await.unwrap();
    assert!(claim().await.unwrap().steps.is_empty());
    step::pulse(&engine.pool(), owner, "toy", "0", Duration::from_secs(60), &[]).await.unwrap();
    assert_eq!(claim().await.unwrap().steps.len(), 1);
}
