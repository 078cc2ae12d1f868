//! Who waits gets a place: beside a long run, behind a shut gate, while another site hangs, and where rows pile up.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use syncline::domain::queue::Queue;
use syncline::engine::{Commit, NewStep};
use syncline::store::step::{self, Look, Wish};
use syncline::store::{self, PoolOptions};
use tokio::sync::{Barrier, Semaphore};

use crate::support::toy::{Diary, Tuning, World, effect, new, toy};

fn of_site(site: &str, kind: &'static str, key: impl ToString) -> NewStep {
    new(kind, key).behind(&[format!("site:{site}")])
}

#[tokio::test]
async fn a_short_run_does_not_wait_for_a_more_urgent_long_one() {
    let world = World::new().await;
    let diary = Diary::default();
    let notes = diary.clone();
    let work = toy("work", move |given| {
        notes.note(given.step.key.split('/').next().unwrap_or_default());
        async { Ok(Commit::nothing()) }
    });
    let long = (0..300).map(|n| of_site("a", "work", format!("long/{n}")).priority(10)).collect();
    let short = vec![of_site("a", "work", "short/0")];
    let runs = world.runs(vec![long, short]).await;
    let worker = world.worker(vec![work], Tuning { concurrency: [1, 1, 1], ..Tuning::default() }).await;
    assert_eq!(world.ended(runs[1]).await, "succeeded");
    assert_eq!(world.ended(runs[0]).await, "succeeded");
    let before = diary.lines().iter().position(|line| line == "short").unwrap();
    assert!(before < 16, "{before} steps of the long run came before the short one");
    worker.stop().await;
}

#[tokio::test]
async fn what_comes_late_in_a_long_run_is_less_urgent() {
    let world = World::new().await;
    let link = toy("link", |given| async move {
        let n: u32 = given.step.key.parse().unwrap();
        Ok(Commit::next((n < 80).then(|| new("link", n + 1).priority(10)).into_iter().collect()))
    });
    let worker = world.worker(vec![link], Tuning::default()).await;
    let run = world.run(vec![new("link", 0).priority(10)]).await;
    assert_eq!(world.ended(run).await, "succeeded");
    let levels = "SELECT string_agg(DISTINCT s.priority::text, ',' ORDER BY s.priority::text)
                    FROM syncline.sync_step s WHERE s.run_id = $1 AND s.kind = 'link' AND s.key::int";
    assert_eq!(world.get::<String>(format!("{levels} <= 20").leak(), run).await, "10");
    assert_eq!(world.get::<String>(format!("{levels} >= 40").leak(), run).await, "-10");
    worker.stop().await;
}

#[tokio::test]
async fn steps_behind_a_shut_gate_are_passed_over_by_one_look() {
    let world = World::new().await;
    let owner = world.clock.new_id();
    sqlx::raw_sql(
        "INSERT INTO syncline.rate_gate VALUES ('site:a/search', now() + interval '1 hour', 'RATE_LIMIT');
         INSERT INTO syncline.sync_step (id, queue, kind, key, state, priority, gates, ready_at)
         SELECT gen_random_uuid(), 'jira', 'held', n::text, 'ready', 10, ARRAY['site:a', 'site:a/search'], now() - interval '1 hour'
           FROM generate_series(1, 50000) n;
         INSERT INTO syncline.sync_step (id, queue, kind, key, state, gates)
         VALUES (gen_random_uuid(), 'jira', 'free', '', 'ready', ARRAY['site:a', 'site:a/comment'])",
    )
    .execute(world.pool())
    .await
    .unwrap();
    step::pulse(world.pool(), owner, "toy", "0", Duration::from_secs(60), &[]).await.unwrap();
    let claims = step::claim(world.pool(), &Wish::simple(Queue::Jira, owner, 8)).await.unwrap();
    assert_eq!(claims.steps.iter().map(|step| step.kind.as_str()).collect::<Vec<_>>(), ["free"]);
    let opens = claims.opens_in_seconds.unwrap();
    assert!((3_000.0..3_601.0).contains(&opens), "says when to look again: {opens}");
    let untouched = "SELECT count(*) FROM syncline.sync_step WHERE kind = 'held' AND state = 'ready' AND attempt = 0 AND $1 IS NOT NULL";
    assert_eq!(world.get::<i64>(untouched, owner).await, 50_000);
}

#[tokio::test]
async fn a_site_that_hangs_holds_up_no_other_site() {
    let world = World::new().await;
    let answers = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&answers);
    let hangs = toy("hangs", move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.acquire().await.unwrap().forget();
            Ok(Commit::nothing())
        }
    });
    let work = toy("work", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![hangs, work], Tuning { concurrency: [2, 1, 1], ..Tuning::default() }).await;
    let hangs = (0..20).map(|n| of_site("a", "hangs", n).priority(10)).collect();
    let runs = world.runs(vec![hangs, vec![], vec![], vec![]]).await;
    let hanging = runs[0];
    world.until("SELECT count(*) = 2 FROM syncline.sync_step WHERE run_id = $1 AND state = 'running'", hanging).await;
    // Both places are taken for as long as it pleases the site.
    for (site, other) in ["b", "c", "d"].into_iter().zip(&runs[1..]) {
        let steps: Vec<NewStep> = (0..3).map(|n| of_site(site, "work", n)).collect();
        step::enqueue(world.pool(), &world.clock, Some(*other), &steps).await.unwrap();
        assert_eq!(world.ended(*other).await, "succeeded");
    }
    let most = "SELECT count(*) <= 2 FROM syncline.sync_step WHERE run_id = $1 AND state = 'running'";
    assert!(world.get::<bool>(most, hanging).await, "what hangs got no more than the places that there are");
    answers.add_permits(20);
    assert_eq!(world.ended(hanging).await, "succeeded");
    worker.stop().await;
}

#[tokio::test]
async fn one_site_alone_may_use_every_place() {
    let world = World::new().await;
    let all_at_once = Arc::new(Barrier::new(4));
    let work = toy("work", move |_| {
        let all_at_once = Arc::clone(&all_at_once);
        async move {
            all_at_once.wait().await;
            Ok(Commit::nothing())
        }
    });
    let worker = world.worker(vec![work], Tuning { concurrency: [4, 1, 1], ..Tuning::default() }).await;
    let run = world.run((0..8).map(|n| of_site("a", "work", n)).collect()).await;
    assert_eq!(world.ended(run).await, "succeeded");
    worker.stop().await;
}

#[tokio::test]
async fn sites_share_what_one_claim_takes() {
    let world = World::new().await;
    let owner = world.clock.new_id();
    step::pulse(world.pool(), owner, "toy", "0", Duration::from_secs(60), &[]).await.unwrap();
    let many = (0..20).map(|n| of_site("a", "work", n).priority(10)).collect();
    let few = (0..2).map(|n| of_site("b", "work", n)).collect();
    world.runs(vec![many, few]).await;
    let claimed = async |held: &[(String, i32)], passed_over: Option<&[String]>| {
        let wish = Wish { held, passed_over, ..Wish::simple(Queue::Jira, owner, 2) };
        let claims = step::claim(world.pool(), &wish).await.unwrap();
        let mut sites: Vec<String> = claims.steps.iter().map(|step| step.gates[0].clone()).collect();
        sites.sort();
        sites
    };
    assert_eq!(claimed(&[], None).await, ["site:a", "site:b"], "one each");
    assert_eq!(claimed(&[], Some(&["site:a".to_owned()])).await, ["site:b"]);
    assert_eq!(claimed(&[("site:a".to_owned(), 5)], None).await, ["site:a", "site:a"], "nobody else waits");
}

#[tokio::test]
async fn an_old_snapshot_does_not_make_claims_dear() {
    const PILE: i64 = 20_000;
    let world = World::new().await;
    let owner = world.clock.new_id();
    step::pulse(world.pool(), owner, "toy", "0", Duration::from_secs(60), &[]).await.unwrap();
    let mut old = sqlx::PgConnection::connect(world.db.url()).await.unwrap();
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM syncline.sync_step")
        .execute(&mut old)
        .await
        .unwrap();
    sqlx::raw_sql(
        "INSERT INTO syncline.sync_step (id, queue, kind, key, state, gates, ready_at)
         SELECT gen_random_uuid(), 'jira', 'gone', n::text, 'ready', ARRAY['site:a'], now() - interval '1 hour' FROM generate_series(1, 20000) n;
         UPDATE syncline.sync_step SET state = 'done';
         INSERT INTO syncline.sync_step (id, queue, kind, key, state, gates)
         SELECT gen_random_uuid(), 'jira', 'waits', n::text, 'ready', ARRAY['site:a'] FROM generate_series(1, 1000) n",
    )
    .execute(world.pool())
    .await
    .unwrap();
    let read = async || -> i64 {
        sqlx::query_scalar(
            "SELECT coalesce(idx_tup_read, 0) FROM pg_stat_user_indexes WHERE indexrelname = 'sync_step_lane'",
        )
        .fetch_one(world.pool())
        .await
        .unwrap()
    };
    // A session of its own: what it has read is counted for certain once it has ended.
    let options = PoolOptions { max_connections: 1, ..PoolOptions::default() };
    let pool = store::connect(&world.db.secret_url(), &options).await.unwrap();
    let first = step::claim(&pool, &Wish::simple(Queue::Jira, owner, 1)).await.unwrap();
    assert_eq!(first.steps.len(), 1);
    pool.close().await;
    let all = world.poll("the counters", async || Some(read().await).filter(|read| *read > PILE)).await;

    let pool = store::connect(&world.db.secret_url(), &options).await.unwrap();
    let mut lanes = first.lanes;
    for _ in 0..20 {
        let claims = step::claim(&pool, &Wish::simple(Queue::Jira, owner, 1).looking(Look::At(&lanes))).await.unwrap();
        assert_eq!(claims.steps.len(), 1);
        lanes = claims.lanes;
    }
    pool.close().await;
    let later = world.poll("the counters", async || Some(read().await).filter(|read| *read >= all + 20)).await;
    assert!(later - all < PILE / 2, "20 claims read {} entries", later - all);
    sqlx::raw_sql("COMMIT").execute(&mut old).await.unwrap();
}
