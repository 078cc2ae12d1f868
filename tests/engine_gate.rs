//! A gate that is shut holds back everyone behind it, nobody else, and costs nobody an attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline::domain::failure::{Failure, FailureCode, PauseScope};
use syncline::engine::{Commit, NewStep};
use tokio::sync::Barrier;

use crate::support::toy::{Diary, Tuning, World, effect, new, toy};

fn gated(kind: &'static str, key: impl ToString, gates: &[&str]) -> NewStep {
    new(kind, key).behind(&gates.iter().map(|gate| (*gate).to_owned()).collect::<Vec<_>>())
}

const SEARCH: [&str; 2] = ["site:a", "site:a:search"];
const COMMENTS: [&str; 2] = ["site:a", "site:a:comments"];

#[tokio::test]
async fn a_wait_for_a_gate_costs_no_attempt_and_holds_all_steps() {
    let world = World::new().await;
    let diary = Diary::default();
    let notes = diary.clone();
    let began = Instant::now();
    let pause = Duration::from_millis(800);
    let limited = toy("limited", move |given| {
        notes.note(format!("{} {}", given.step.key, began.elapsed().as_millis()));
        async move {
            if given.step.key == "first" && given.step.attempt == 1 {
                let failure = Failure::new(FailureCode::RateLimit, "429").after(Some(pause));
                return Err(failure.scoped(PauseScope::Endpoint).into());
            }
            Ok(effect(&given.step, vec![]))
        }
    });
    // One place: the others are still waiting when the gate shuts. One failure would be the end of a step.
    let tuning = Tuning { concurrency: [1, 1, 1], max_attempts: 1, ..Tuning::default() };
    let worker = world.worker(vec![limited], tuning).await;
    let mut steps = vec![gated("limited", "first", &SEARCH).priority(10)];
    steps.extend((0..5).map(|n| gated("limited", format!("behind{n}"), &SEARCH)));
    let run = world.run(steps).await;
    assert_eq!(world.ended(run).await, "succeeded");

    let lines = diary.lines();
    let time = |line: &String| line.split(' ').nth(1).unwrap().parse::<u128>().unwrap();
    assert!(lines[0].starts_with("first"), "{lines:?}");
    let opened = time(&lines[0]) + pause.as_millis();
    assert_eq!(lines.len(), 7);
    assert!(lines[1..].iter().all(|line| time(line) >= opened), "before {opened}: {lines:?}");
    assert!(lines[1..].iter().all(|line| time(line) < opened + 10_000), "released at its time: {lines:?}");
    let spent = "SELECT coalesce(sum(failures), 0)::int8 FROM syncline.sync_step WHERE run_id = $1";
    assert_eq!(world.get::<i64>(spent, run).await, 0);
    let logged =
        "SELECT count(*) FROM syncline.sync_log WHERE run_id = $1 AND event = 'gate_shut' AND code = 'RATE_LIMIT'";
    assert_eq!(world.get::<i64>(logged, run).await, 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_gate_of_an_endpoint_leaves_others_alone() {
    let world = World::new().await;
    sqlx::query("INSERT INTO syncline.rate_gate VALUES ('site:a:search', now() + interval '1 hour', 'RATE_LIMIT')")
        .execute(world.pool())
        .await
        .unwrap();
    let work = || toy("work", |given| async move { Ok(effect(&given.step, vec![])) });
    // Far more steps stand behind the gate, and in front of the others, than one claim takes.
    let tuning = Tuning { concurrency: [4, 1, 1], ..Tuning::by_notification_only() };
    let worker = world.worker(vec![work()], tuning).await;
    let blocked = (0..100).map(|n| gated("work", n, &SEARCH).priority(10)).collect();
    let free = (0..10).map(|n| gated("work", n, &COMMENTS)).collect();
    let runs = world.runs(vec![blocked, free]).await;
    assert_eq!(world.ended(runs[1]).await, "succeeded");
    let waits = "SELECT count(*) FILTER (WHERE state = 'ready' AND attempt = 0) = 100 FROM syncline.sync_step WHERE run_id = $1";
    world.until(waits, runs[0]).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_gate_that_opens_releases_its_steps_at_its_time() {
    let world = World::new().await;
    let shut =
        "INSERT INTO syncline.rate_gate VALUES ('site:a', clock_timestamp() + interval '700 milliseconds', 'QUOTA')";
    let late = toy("work", |given| async move {
        let open = "SELECT paused_until <= clock_timestamp() FROM syncline.rate_gate WHERE key = 'site:a'";
        assert!(sqlx::query_scalar::<_, bool>(open).fetch_one(&given.pool).await?, "the gate is shut");
        Ok(effect(&given.step, vec![]))
    });
    // A successor is held back as well, although its place is free and it would need no claim.
    let root = toy("root", |_| async { Ok(Commit::next(vec![gated("work", "successor", &SEARCH)])) });
    let worker = world.worker(vec![late, root], Tuning::default()).await;
    sqlx::query(shut).execute(world.pool()).await.unwrap();
    let run = world.run(vec![gated("work", "waiting", &SEARCH), new("root", "")]).await;
    assert_eq!(world.ended(run).await, "succeeded");
    let at_once = "SELECT max(s.finished_at) - max(g.paused_until) < interval '5 seconds' AND count(*) = 2
                     FROM syncline.sync_step s, syncline.rate_gate g WHERE s.run_id = $1 AND s.kind = 'work'";
    assert!(world.get::<bool>(at_once, run).await);
    worker.stop().await;
}

#[tokio::test]
async fn lost_credentials_stop_every_run_of_the_site() {
    const SITE_RUNS: usize = 6;
    let world = World::new().await;
    // All are refused at the same time: whoever stops several runs must not lock them crosswise with the others.
    let together = Arc::new(Barrier::new(SITE_RUNS));
    let refused = toy("refused", move |_| {
        let together = Arc::clone(&together);
        async move {
            together.wait().await;
            Err(Failure::new(FailureCode::AuthInvalid, "401").into())
        }
    });
    let work = toy("work", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![refused, work], Tuning::default()).await;
    let hour = Duration::from_secs(3600);
    let site_a = |n: usize| {
        let rest = (0..3).map(|n| gated("work", n, &SEARCH).after(hour));
        // The last two only wait: they are stopped without having been refused themselves.
        let first = (n < SITE_RUNS).then(|| gated("refused", "", &SEARCH));
        first.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let mut steps: Vec<_> = (0..SITE_RUNS + 2).map(site_a).collect();
    steps.push((0..5).map(|n| gated("work", n, &["site:b"])).collect());
    let runs = world.runs(steps).await;
    for run in &runs[..SITE_RUNS + 2] {
        assert_eq!(world.ended(*run).await, "failed");
        let code = "SELECT error_code FROM syncline.sync_run WHERE id = $1 AND open_steps = 0";
        assert_eq!(world.get::<String>(code, *run).await, "AUTH_INVALID");
        let said = "SELECT count(*) FROM syncline.sync_log WHERE run_id = $1 AND event IN ('step_dead', 'run_stopped')";
        assert!(world.get::<i64>(said, *run).await >= 1);
    }
    assert_eq!(world.ended(runs[SITE_RUNS + 2]).await, "succeeded");
    assert_eq!(world.effects("work").await.len(), 1);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database() AND $1 IS NOT NULL";
    assert_eq!(world.get::<i64>(deadlocks, runs[0]).await, 0);
    worker.stop().await;
}
