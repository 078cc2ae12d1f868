//! One transaction per step, fenced: a step's effects, its end and its successors are committed together, once.

use std::sync::Arc;

use syncline::domain::failure::{Failure, FailureCode};
use syncline::domain::queue::Queue;
use syncline::engine::{Claimed, Commit, Engine, NewStep};
use syncline::store::step;
use tokio::sync::Notify;

use crate::support::toy::{Diary, Tuning, World, effect, heard, new, toy};

/// Successors must wait in the queue, where the test can see them.
const NO_CHAIN: u8 = u8::MAX;

#[tokio::test]
async fn a_step_its_writes_and_its_successors_commit_together() {
    let world = World::new().await;
    let diary = Diary::default();
    let seen = diary.clone();
    let write = toy("write", move |given| {
        let seen = seen.clone();
        async move {
            let visible = "SELECT (SELECT count(*) FROM toy_effect) || ' effects, ' ||
                                  (SELECT count(*) FROM syncline.sync_step WHERE kind = 'leaf') || ' leaves'";
            seen.note(sqlx::query_scalar::<_, String>(visible).fetch_one(&given.pool).await?);
            let leaf = || new("leaf", "x");
            Ok(match given.step.failures {
                0 => Commit::effects(|conn| {
                    Box::pin(async move {
                        sqlx::query("INSERT INTO toy_effect (kind, key) VALUES ('write', '')").execute(conn).await?;
                        Err(Failure::new(FailureCode::NetworkGlitch, "after the write").into())
                    })
                }),
                // Two successors of one name: the second violates the unique key, after the effects were written.
                1 => effect(&given.step, vec![leaf(), leaf()]),
                _ => effect(&given.step, vec![leaf()]),
            })
        }
    });
    let leaf = toy("leaf", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![write, leaf], Tuning::default()).await;
    let run = world.run(vec![new("write", "")]).await;
    assert_eq!(world.ended(run).await, "succeeded");
    assert_eq!(diary.lines(), vec!["0 effects, 0 leaves"; 3]);
    assert_eq!(world.effects("write").await[&run], 1);
    assert_eq!(world.effects("leaf").await[&run], 1);
    assert_eq!(world.get::<i32>("SELECT retries FROM syncline.sync_run WHERE id = $1", run).await, 2);
    worker.stop().await;
}

#[tokio::test]
async fn a_committed_step_does_nothing_when_delivered_again() {
    let world = World::new().await;
    let write = || toy("write", |given| async move { Ok(effect(&given.step, vec![new("leaf", "")])) });
    let engine = world.engine(vec![write()], &Tuning::default()).await;
    let run = world.run(vec![new("write", "")]).await;
    let claimed = claim(&engine).await;
    engine.execute(place(&engine, &claimed)).await;
    engine.execute(place(&engine, &claimed)).await;
    assert_eq!(world.effects("write").await[&run], 1);
    assert_eq!(world.get::<i32>("SELECT steps FROM syncline.sync_run WHERE id = $1", run).await, 1);
    assert_eq!(world.get::<i32>("SELECT open_steps FROM syncline.sync_run WHERE id = $1", run).await, 1);
    let leaves = "SELECT count(*) FROM syncline.sync_step WHERE run_id = $1 AND kind = 'leaf' AND state = 'ready'";
    assert_eq!(world.get::<i64>(leaves, run).await, 1);
}

#[tokio::test]
async fn a_claim_that_was_taken_over_commits_nothing_however_late() {
    let world = World::new().await;
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let barrier = (Arc::clone(&started), Arc::clone(&go_on));
    let held = toy("write", move |given| {
        let (started, go_on) = barrier.clone();
        async move {
            started.notify_one();
            go_on.notified().await;
            Ok(effect(&given.step, vec![new("leaf", "late")]))
        }
    });
    let timely = toy("write", |given| async move { Ok(effect(&given.step, vec![])) });
    let late = world.engine(vec![held], &Tuning::default()).await;
    let other = world.engine(vec![timely], &Tuning::default()).await;
    let run = world.run(vec![new("write", "")]).await;

    let first = claim(&late).await;
    let task = tokio::spawn({
        let (late, claimed) = (late.clone(), place(&late, &first));
        async move { late.execute(claimed).await }
    });
    heard(&started).await;
    sqlx::query("UPDATE syncline.worker SET lease_until = clock_timestamp() - interval '1 second' WHERE id = $1")
        .bind(late.epoch().owner)
        .execute(world.pool())
        .await
        .unwrap();
    let second = claim(&other).await;
    assert_eq!((second.id, second.attempt, second.rescues), (first.id, first.attempt + 1, 1));

    go_on.notify_one();
    task.await.unwrap();
    assert_eq!(world.effects("write").await.len(), 0, "the first claim was taken over");
    let unfinished = "SELECT state = 'running' AND attempt = 2 FROM syncline.sync_step WHERE run_id = $1";
    assert!(world.get::<bool>(unfinished, run).await);
    other.execute(place(&other, &second)).await;
    // And a failure of the old claim changes nothing either.
    let failed = world.engine(vec![toy("write", |_| async { panic!("too late") })], &Tuning::default()).await;
    failed.execute(Claimed { epoch: late.epoch(), ..place(&failed, &first) }).await;
    assert_eq!(world.effects("write").await[&run], 1);
    assert_eq!(world.get::<i32>("SELECT retries FROM syncline.sync_run WHERE id = $1", run).await, 0);
}

#[tokio::test]
async fn exactly_one_final_step_follows_many_parallel_ends() {
    const LEAVES: i64 = 50;
    let world = World::new().await;
    let root = toy("root", |_| async {
        let leaf = |n: i64| NewStep::new([Queue::Jira, Queue::Store][usize::from(n % 2 == 0)], "leaf", n.to_string());
        Ok(Commit::next((0..LEAVES).map(leaf).collect()))
    });
    // Some have effects and some have none: the two ways of committing race each other.
    let leaf = toy("leaf", |given| async move {
        let plain = given.step.key.ends_with(['1', '4', '7']);
        Ok(if plain { Commit::nothing() } else { effect(&given.step, vec![]) })
    });
    let steps = || vec![Arc::clone(&root), Arc::clone(&leaf)];
    let tuning = || Tuning { concurrency: [8, 8, 2], ..Tuning::default() };
    let workers = [world.worker(steps(), tuning()).await, world.worker(steps(), tuning()).await];
    let runs = world.runs(vec![vec![new("root", "")]; 4]).await;
    for run in &runs {
        assert_eq!(world.ended(*run).await, "succeeded");
    }
    for worker in workers {
        worker.stop().await;
    }
    let (finals, leaves) = (world.effects("finalize_run").await, world.effects("leaf").await);
    for run in runs {
        assert_eq!((finals[&run], leaves[&run]), (1, 35));
        let counts: (i32, i32, i64) = sqlx::query_as(
            "SELECT open_steps, steps, (SELECT count(*) FROM syncline.sync_step WHERE run_id = $1 AND state = 'done')
               FROM syncline.sync_run WHERE id = $1",
        )
        .bind(run)
        .fetch_one(world.pool())
        .await
        .unwrap();
        assert_eq!(counts, (0, 52, 52), "open steps, ended steps, done steps");
    }
}

/// Renews the engine's lease and claims the one step that waits.
async fn claim(engine: &Engine) -> Arc<step::ClaimedStep> {
    let (owner, lease) = (engine.epoch().owner, std::time::Duration::from_secs(60));
    step::pulse(&engine.pool(), owner, "toy", "0", lease, &engine.in_flight()).await.unwrap();
    let claims = step::claim(&engine.pool(), &step::Wish::simple(Queue::Jira, owner, 10)).await.unwrap();
    assert_eq!(claims.steps.len(), 1);
    Arc::new(claims.steps.into_iter().next().unwrap())
}

fn place(engine: &Engine, step: &Arc<step::ClaimedStep>) -> Claimed {
    let permit = engine.slots().try_take(step.queue).unwrap();
    Claimed { step: Arc::clone(step), epoch: engine.epoch(), permit, chain: NO_CHAIN, since: std::time::Instant::now() }
}
