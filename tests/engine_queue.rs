//! The queue: who is woken, who comes next, how many at once, and what a claim costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use syncline::clock::Clock;
use syncline::domain::queue::Queue;
use syncline::engine::{Commit, NewStep};
use syncline::store::{self, PoolOptions, step};

use crate::support::toy::{Diary, Tuning, World, effect, new, toy};

#[tokio::test]
async fn a_ready_step_wakes_an_idle_worker_at_once() {
    let world = World::new().await;
    let work = toy("work", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![work], Tuning::by_notification_only()).await;
    let listening = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' AND $1 IS NOT NULL)";
    world.until(listening, worker.engine.epoch().owner).await;
    let run = world.run(vec![new("work", "")]).await;
    assert_eq!(world.ended(run).await, "succeeded");
    let waited = "SELECT claimed_at - ready_at < interval '5 seconds' FROM syncline.sync_step WHERE run_id = $1 AND kind = 'work'";
    assert!(world.get::<bool>(waited, run).await);
    worker.stop().await;
}

#[tokio::test]
async fn an_unnoticed_step_is_found_by_the_pulse() {
    let world = World::new().await;
    let work = toy("work", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![work], Tuning::default()).await;
    let run = world.run(vec![]).await;
    // Without a notification, as after a connection that was lost.
    let insert = "WITH counted AS (UPDATE syncline.sync_run SET open_steps = 1 WHERE id = $2)
                  INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state) VALUES ($1, $2, 'jira', 'work', '', 'ready')";
    sqlx::query(insert).bind(Clock::system().new_id()).bind(run).execute(world.pool()).await.unwrap();
    assert_eq!(world.ended(run).await, "succeeded");
    worker.stop().await;
}

#[tokio::test]
async fn a_chain_does_not_starve_steps_that_wait_longer() {
    let world = World::new().await;
    let diary = Diary::default();
    let (links, others) = (diary.clone(), diary.clone());
    let link = toy("link", move |given| {
        links.note("link");
        let n: u32 = given.step.key.parse().unwrap();
        async move { Ok(Commit::next((n < 100).then(|| new("link", n + 1)).into_iter().collect())) }
    });
    let other = toy("other", move |_| {
        others.note("other");
        async { Ok(Commit::nothing()) }
    });
    let worker = world.worker(vec![link, other], Tuning { concurrency: [1, 1, 1], ..Tuning::default() }).await;
    let run = world.run(vec![new("link", 0).priority(1), new("other", 1), new("other", 2)]).await;
    assert_eq!(world.ended(run).await, "succeeded");
    let lines = diary.lines();
    let last = lines.iter().rposition(|line| line == "other").unwrap();
    assert_eq!((lines.len(), lines[0].as_str()), (103, "link"));
    assert!(last < 60, "the others came {last} links later");
    worker.stop().await;
}

#[tokio::test]
async fn places_are_never_exceeded() {
    const PLACES: [usize; 3] = [4, 3, 1];
    let world = World::new().await;
    let running: Arc<[AtomicUsize; 3]> = Arc::default();
    let most: Arc<[AtomicUsize; 3]> = Arc::default();
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let work = toy("work", move |given| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            let queue = given.step.queue.index();
            peak[queue].fetch_max(now[queue].fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            now[queue].fetch_sub(1, Ordering::SeqCst);
            // Each hands on to the next queue and to its own: within the process where a place is free, else by the table.
            let depth = given.step.key.len();
            let next = |suffix: &str, queue: usize| {
                NewStep::new(Queue::ALL[queue % 3], "work", given.step.key.clone() + suffix)
            };
            let next = if depth < 4 { vec![next("a", queue), next("b", queue + 1)] } else { vec![] };
            Ok(Commit::next(next))
        }
    });
    let worker = world.worker(vec![work], Tuning { concurrency: PLACES, ..Tuning::default() }).await;
    let run = world.run((0..9).map(|n| NewStep::new(Queue::ALL[n % 3], "work", n.to_string())).collect()).await;
    assert_eq!(world.ended(run).await, "succeeded");
    // 9 trees of depth 4: 15 nodes each.
    assert_eq!(world.get::<i32>("SELECT steps FROM syncline.sync_run WHERE id = $1", run).await, 9 * 15 + 1);
    let most: Vec<usize> = most.iter().map(|most| most.load(Ordering::SeqCst)).collect();
    assert!(most.iter().zip(PLACES).all(|(most, places)| *most <= places), "{most:?} of {PLACES:?}");
    assert!(most[0] > 1, "steps run side by side: {most:?}");
    worker.stop().await;
}

#[tokio::test]
async fn steps_are_claimed_by_priority_then_by_waiting_time() {
    let world = World::new().await;
    let diary = Diary::default();
    let notes = diary.clone();
    let work = toy("work", move |given| {
        notes.note(given.step.key.clone());
        async { Ok(Commit::nothing()) }
    });
    let run = world
        .run(vec![new("work", "c"), new("work", "a").priority(30), new("work", "d"), new("work", "b").priority(10)])
        .await;
    sqlx::query("UPDATE syncline.sync_step SET ready_at = ready_at - interval '1 minute' WHERE key = 'c'")
        .execute(world.pool())
        .await
        .unwrap();
    let worker = world.worker(vec![work], Tuning { concurrency: [1, 1, 1], ..Tuning::default() }).await;
    assert_eq!(world.ended(run).await, "succeeded");
    assert_eq!(diary.lines(), ["a", "b", "c", "d"]);
    worker.stop().await;
}

#[tokio::test]
async fn claiming_reads_only_its_index() {
    const CLAIMS: i64 = 20;
    let world = World::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, ready_at, finished_at)
         SELECT gen_random_uuid(), NULL, 'jira', 'old', n::text,
                CASE WHEN n <= 100000 THEN 'done' WHEN n <= 120000 THEN 'later' ELSE 'ready' END,
                now() + CASE WHEN n <= 100000 THEN interval '-1 day' WHEN n <= 120000 THEN interval '1 day' ELSE interval '0' END,
                CASE WHEN n <= 100000 THEN now() END
           FROM generate_series(1, 122000) AS n;
         ANALYZE syncline.sync_step;",
    )
    .execute(world.pool())
    .await
    .unwrap();
    let owner = world.clock.new_id();
    let reads = async || -> (i64, i64, i64) {
        sqlx::query_as(
            "SELECT t.seq_scan, coalesce(t.seq_tup_read, 0), i.idx_tup_read
               FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i ON i.relid = t.relid
              WHERE t.relid = 'syncline.sync_step'::regclass AND i.indexrelname = 'sync_step_lane'",
        )
        .fetch_one(world.pool())
        .await
        .unwrap()
    };
    let before = reads().await;
    // A session of its own: what it has read is counted for certain once it has ended.
    let options = PoolOptions { max_connections: 1, ..PoolOptions::default() };
    let pool = store::connect(&world.db.secret_url(), &options).await.unwrap();
    for _ in 0..CLAIMS {
        step::pulse(&pool, owner, "toy", "0", Duration::from_secs(60), &[]).await.unwrap();
        assert_eq!(step::claim(&pool, &step::Wish::simple(Queue::Jira, owner, 8)).await.unwrap().steps.len(), 8);
    }
    pool.close().await;
    let after =
        world.poll("the counters", async || Some(reads().await).filter(|after| after.2 >= before.2 + CLAIMS * 8)).await;
    assert_eq!(after.0 - before.0, 0, "sequential scans");
    assert!(after.2 - before.2 < CLAIMS * 8 * 40, "index entries read: {}", after.2 - before.2);
}
