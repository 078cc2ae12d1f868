//! Runs as a whole: cancelled at the next boundary, one active at a time, the kept one next.

use std::sync::Arc;
use std::time::Duration;

use syncline::domain::failure::{Failure, FailureCode};
use syncline::engine::{Commit, RetryOptions, Step};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::support::toy::{Diary, Tuning, World, effect, heard, new, toy};

/// A step that says when it started and waits until it is told to go on.
fn held(kind: &'static str, started: &Arc<Notify>, go_on: &Arc<Notify>) -> Arc<dyn Step> {
    let (started, go_on) = (Arc::clone(started), Arc::clone(go_on));
    toy(kind, move |given| {
        let (started, go_on) = (Arc::clone(&started), Arc::clone(&go_on));
        async move {
            started.notify_one();
            go_on.notified().await;
            Ok(effect(&given.step, vec![new("leaf", "")]))
        }
    })
}

#[tokio::test]
async fn a_run_that_is_cancelled_stops_at_the_next_step_boundary() {
    let world = World::new().await;
    let (started, go_on) = (Arc::default(), Arc::default());
    let leaf = toy("leaf", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![held("held", &started, &go_on), leaf], Tuning::default()).await;
    let hour = Duration::from_secs(3600);
    let run = world.run(vec![new("held", ""), new("leaf", 1).after(hour), new("leaf", 2).after(hour)]).await;
    heard(&started).await;
    let cancel = "SELECT syncline.cancel_run($1)";
    assert_eq!(world.get::<String>(cancel, run).await, "cancelling");
    assert_eq!(world.get::<String>(cancel, run).await, "cancelling", "asking twice changes nothing");
    assert_eq!(world.get::<i32>("SELECT open_steps FROM syncline.sync_run WHERE id = $1", run).await, 1);
    go_on.notify_one();
    assert_eq!(world.ended(run).await, "cancelled");
    // The step that ran has ended well; what would have followed it has not begun.
    assert_eq!(world.effects("held").await[&run], 1);
    assert!(world.effects("leaf").await.is_empty());
    let states = "SELECT string_agg(kind || key || ' ' || state, ', ' ORDER BY kind, key) FROM syncline.sync_step WHERE run_id = $1";
    let expected = "finalize_run done, held done, leaf1 cancelled, leaf2 cancelled";
    assert_eq!(world.get::<String>(states, run).await, expected);
    worker.stop().await;
}

#[tokio::test]
async fn a_step_that_fails_in_a_cancelled_run_is_not_tried_again() {
    for wait in [None, Some(Duration::from_secs(3600))] {
        let world = World::new().await;
        let (started, go_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let barrier = (Arc::clone(&started), Arc::clone(&go_on));
        let failing = toy("failing", move |_| {
            let (started, go_on) = barrier.clone();
            async move {
                started.notify_one();
                go_on.notified().await;
                Err(Failure::new(FailureCode::ServerError, "500").after(wait).into())
            }
        });
        let hour = Duration::from_secs(3600);
        let tuning =
            Tuning { retry: RetryOptions { base: hour, cap: hour, ..RetryOptions::default() }, ..Tuning::default() };
        let worker = world.worker(vec![failing], tuning).await;
        let run = world.run(vec![new("failing", "")]).await;
        heard(&started).await;
        world.get::<String>("SELECT syncline.cancel_run($1)", run).await;
        go_on.notify_one();
        assert_eq!(world.ended(run).await, "cancelled");
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_step_rescued_in_a_cancelled_run_is_not_executed_again() {
    let world = World::new().await;
    let run = world.run(vec![new("leaf", "")]).await;
    // Running under an owner that nobody knows: its process has died.
    let lost = "UPDATE syncline.sync_step SET state = 'running', attempt = 1, owner = $2, claimed_at = now() WHERE run_id = $1";
    sqlx::query(lost).bind(run).bind(Uuid::from_u128(7)).execute(world.pool()).await.unwrap();
    world.get::<String>("SELECT syncline.cancel_run($1)", run).await;
    let leaf = toy("leaf", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![leaf], Tuning::default()).await;
    assert_eq!(world.ended(run).await, "cancelled");
    assert!(world.effects("leaf").await.is_empty());
    worker.stop().await;
}

#[tokio::test]
async fn a_run_waiting_behind_an_active_one_runs_next() {
    let world = World::new().await;
    let project = world.projects(1).await[0];
    let (started, go_on) = (Arc::default(), Arc::default());
    let leaf = toy("leaf", |_| async { Ok(Commit::nothing()) });
    let tuning = Tuning::by_notification_only();
    let worker = world.worker(vec![held("plan_run", &started, &go_on), leaf], tuning).await;
    let enqueue = "SELECT syncline.enqueue_sync('T0', requested_by => $1::text)";
    let active: Uuid = world.get(enqueue, project).await;
    heard(&started).await;
    let kept: Uuid = world.get(enqueue, project).await;
    let again: Uuid =
        world.get("SELECT syncline.enqueue_sync('t0', kind => 'full', requested_by => $1::text)", project).await;
    assert_ne!(active, kept);
    assert_eq!(kept, again, "a request that meets a kept run is served by it");
    let state = "SELECT state || ' ' || kind FROM syncline.sync_run WHERE id = $1";
    assert_eq!(world.get::<String>(state, kept).await, "queued full");
    go_on.notify_one();
    assert_eq!(world.ended(active).await, "succeeded");
    heard(&started).await;
    assert_eq!(world.get::<String>(state, kept).await, "running full");
    go_on.notify_one();
    assert_eq!(world.ended(kept).await, "succeeded");
    worker.stop().await;
}

#[tokio::test]
async fn cancelling_while_steps_end_leaves_no_run_open() {
    // Cancellations, ends, retries and fan-outs of many runs at once: every run ends, and no count is off.
    let world = World::new().await;
    let diary = Diary::default();
    let noted = diary.clone();
    let root = toy("root", |given| async move { Ok(effect(&given.step, (0..10).map(|n| new("leaf", n)).collect())) });
    let leaf = toy("leaf", move |given| {
        let noted = noted.clone();
        async move {
            noted.note("leaf");
            match (given.step.failures, given.step.key.as_str()) {
                (0, "3" | "6") => Err(Failure::new(FailureCode::Timeout, "no answer").into()),
                _ => Ok(effect(&given.step, vec![])),
            }
        }
    });
    let worker = world.worker(vec![root, leaf], Tuning::default()).await;
    let runs = world.runs(vec![vec![new("root", "")]; 20]).await;
    for (n, run) in runs.iter().enumerate() {
        // At 20 different moments, told by how much has happened.
        world.poll("progress", async || (diary.count("leaf") >= n).then_some(())).await;
        world.get::<String>("SELECT syncline.cancel_run($1)", *run).await;
    }
    for run in runs {
        let state = world.ended(run).await;
        assert!(state == "cancelled" || state == "succeeded", "{state}");
        let closed = "SELECT open_steps = 0 AND NOT EXISTS (SELECT 1 FROM syncline.sync_step s
                       WHERE s.run_id = r.id AND s.state IN ('ready', 'later', 'running')) FROM syncline.sync_run r WHERE id = $1";
        assert!(world.get::<bool>(closed, run).await);
        assert_eq!(world.effects("finalize_run").await[&run], 1);
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_cancellation_skips_a_step_whose_end_waits_for_the_run() {
    // The two lock in opposite orders: a cancellation that waited for the step would be a deadlock.
    let world = World::new().await;
    let run = world.runs(vec![vec![new("leaf", "1"), new("leaf", "2")]]).await[0];
    let pool = world.db.pool();
    let mut ending = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM syncline.sync_step WHERE run_id = $1 AND key = '1' FOR UPDATE")
        .bind(run)
        .execute(&mut *ending)
        .await
        .unwrap();
    let mut cancelling = pool.begin().await.unwrap();
    let state: String = tokio::time::timeout(
        Duration::from_secs(20),
        sqlx::query_scalar("SELECT syncline.cancel_run($1)").bind(run).fetch_one(&mut *cancelling),
    )
    .await
    .expect("it waits for the step")
    .unwrap();
    cancelling.commit().await.unwrap();
    ending.rollback().await.unwrap();
    assert_eq!(state, "cancelling");
    let left = "SELECT count(*) FROM syncline.sync_step WHERE run_id = $1 AND state = 'cancelled'";
    assert_eq!(world.get::<i64>(left, run).await, 1, "the step that nobody held");
}
