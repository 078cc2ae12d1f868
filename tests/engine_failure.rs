//! Failures are the engine's to handle, by their code, and cost only the step or the run that they are about.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use sqlx::Row;
use syncline::domain::failure::{Failure, FailureCode};
use syncline::domain::queue::Queue;
use syncline::engine::{Commit, FINAL_STEP, RetryOptions, StepError};

use crate::support::toy::{Diary, Tuning, World, effect, hasty_toy, new, toy};

#[tokio::test]
async fn a_failed_step_backs_off_and_is_tried_again() {
    let world = World::new().await;
    let times = Diary::default();
    let began = std::time::Instant::now();
    let noted = times.clone();
    let flaky = toy("flaky", move |given| {
        noted.note(began.elapsed().as_millis().to_string());
        async move {
            match given.step.failures {
                2 => Ok(effect(&given.step, vec![])),
                _ => Err(Failure::new(FailureCode::NetworkGlitch, "connection reset").into()),
            }
        }
    });
    let retry =
        RetryOptions { base: Duration::from_millis(200), cap: Duration::from_secs(10), ..RetryOptions::default() };
    let worker = world.worker(vec![flaky], Tuning { retry, ..Tuning::default() }).await;
    let run = world.run(vec![new("flaky", "")]).await;
    assert_eq!(world.ended(run).await, "succeeded");
    let times: Vec<u64> = times.lines().iter().map(|time| time.parse().unwrap()).collect();
    // Half of the nominal wait is the least that jitter leaves.
    assert!(times[1] - times[0] >= 100 && times[2] - times[1] >= 200, "{times:?}");
    let row = sqlx::query(
        "SELECT r.retries, r.error_code, s.attempt, s.failures,
                (SELECT array_agg(code || ' ' || message) FROM syncline.sync_log WHERE run_id = r.id AND event = 'step_retried') AS log
           FROM syncline.sync_run r JOIN syncline.sync_step s ON s.run_id = r.id AND s.kind = 'flaky' WHERE r.id = $1",
    )
    .bind(run)
    .fetch_one(world.pool())
    .await
    .unwrap();
    assert_eq!((row.get::<i32, _>("retries"), row.get::<Option<String>, _>("error_code")), (2, None));
    assert_eq!((row.get::<i32, _>("attempt"), row.get::<i16, _>("failures")), (3, 2));
    assert_eq!(row.get::<Vec<String>, _>("log"), vec!["NETWORK_GLITCH connection reset"; 2]);
    worker.stop().await;
}

#[tokio::test]
async fn a_dead_step_fails_its_run_and_cancels_the_other_steps() {
    let world = World::new().await;
    let bad = toy("bad", |given| async move {
        // The second one fails once the first has: the run keeps the first.
        if given.step.key == "second" {
            let failed = "SELECT error_code IS NOT NULL FROM syncline.sync_run WHERE id = $1";
            while !sqlx::query_scalar::<_, bool>(failed).bind(given.step.run_id).fetch_one(&given.pool).await? {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            return Err(Failure::new(FailureCode::ApiRemoved, "gone").into());
        }
        Err(Failure::new(FailureCode::BadQuery, "the field 'upd' does not exist").into())
    });
    let never = toy("never", |given| async move { Ok(effect(&given.step, vec![])) });
    let worker = world.worker(vec![bad, never], Tuning::default()).await;
    let hour = Duration::from_secs(3600);
    let waiting = (0..5).map(|n| new("never", n).after(hour));
    let run = world.run([new("bad", "first"), new("bad", "second")].into_iter().chain(waiting).collect()).await;
    assert_eq!(world.ended(run).await, "failed");
    let row = sqlx::query(
        "SELECT error_code, error_message, error_advice, error_category, error_severity, open_steps,
                (SELECT array_agg(kind || key || ' ' || state || coalesce(' ' || error_code, '') ORDER BY kind, key)
                   FROM syncline.sync_step WHERE run_id = r.id) AS steps,
                (SELECT array_agg(code ORDER BY id) FROM syncline.sync_log
                  WHERE run_id = r.id AND event = 'step_dead' AND level = 'error' AND advice IS NOT NULL) AS log
           FROM syncline.sync_run r WHERE id = $1",
    )
    .bind(run)
    .fetch_one(world.pool())
    .await
    .unwrap();
    let text = |column: &str| row.get::<String, _>(column);
    assert_eq!(
        (text("error_code"), text("error_message")),
        ("BAD_QUERY".into(), "the field 'upd' does not exist".into())
    );
    assert_eq!(text("error_advice"), FailureCode::BadQuery.advice());
    assert_eq!((text("error_category"), text("error_severity")), ("configuration".into(), "error".into()));
    assert_eq!(row.get::<i32, _>("open_steps"), 0);
    let mut expected =
        vec!["badfirst dead BAD_QUERY".to_owned(), "badsecond dead API_REMOVED".into(), "finalize_run done".into()];
    expected.extend((0..5).map(|n| format!("never{n} cancelled")));
    assert_eq!(row.get::<Vec<String>, _>("steps"), expected);
    assert_eq!(row.get::<Vec<String>, _>("log"), ["BAD_QUERY", "API_REMOVED"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_a_timeout_and_a_bad_payload_cost_only_their_step() {
    #[derive(Deserialize)]
    struct Payload {
        page: u32,
    }
    let world = World::new().await;
    let steps = vec![
        toy("panics", |_| async { panic!("a defect in a toy") }),
        toy("panics_late", |_| async { Ok(Commit::effects(|_| Box::pin(async { panic!("while committing") }))) }),
        hasty_toy("hangs", Duration::from_millis(100), |_| std::future::pending()),
        toy("reads", |given| async move {
            let payload = Payload::deserialize(&given.step.payload);
            let payload = payload.map_err(|error| Failure::new(FailureCode::Internal, format!("payload: {error}")))?;
            assert_eq!(payload.page, 7);
            Ok(effect(&given.step, vec![]))
        }),
    ];
    let worker = world.worker(steps, Tuning { max_attempts: 1, ..Tuning::default() }).await;
    let good = || (0..5).map(|n| new("reads", n).with(&json!({"page": 7}))).collect::<Vec<_>>();
    let unreadable = new("reads", "x").with(&json!({"page": "seven"}));
    let mut first =
        vec![vec![new("panics", "")], vec![new("panics_late", "")], vec![new("hangs", "")], vec![unreadable]];
    first.iter_mut().flatten().for_each(|step| step.max_attempts = 1);
    first.extend([good(), good()]);
    let runs = world.runs(first).await;
    let mut codes = Vec::new();
    for run in &runs {
        let state = world.ended(*run).await;
        let sql = "SELECT coalesce(error_code || ': ' || error_message, '') FROM syncline.sync_run WHERE id = $1";
        codes.push((state, world.get::<String>(sql, *run).await));
    }
    let starts = |at: usize, text: &str| codes[at].0 == "failed" && codes[at].1.starts_with(text);
    assert!(starts(0, "INTERNAL: panic in step panics: a defect in a toy"), "{codes:?}");
    assert!(starts(1, "INTERNAL: panic in step panics_late: while committing"), "{codes:?}");
    assert!(starts(2, "STEP_TIMEOUT: step hangs took longer than"), "{codes:?}");
    assert!(starts(3, "INTERNAL: payload: invalid type"), "{codes:?}");
    assert!(codes[4..].iter().all(|(state, _)| state == "succeeded"), "{codes:?}");
    worker.stop().await; // finds all places free
}

#[tokio::test]
async fn a_run_ends_however_often_its_final_step_fails() {
    let world = World::new().await;
    let last = toy(FINAL_STEP, |given| async move {
        // A code that would end any other step at once.
        if given.step.failures < 4 {
            return Err(StepError::from(Failure::new(FailureCode::Config, "no credential")));
        }
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                let end = "UPDATE syncline.sync_run SET state = 'succeeded', finished_at = now() WHERE id = $1";
                sqlx::query(end).bind(given.step.run_id).execute(conn).await?;
                Ok(Vec::new())
            })
        }))
    });
    let work = toy("work", |_| async { Ok(Commit::nothing()) });
    let worker = world.worker(vec![work, last], Tuning::default()).await;
    let run = world.run(vec![new("work", "")]).await;
    assert_eq!(world.ended(run).await, "succeeded");
    worker.stop().await;
}

#[tokio::test]
async fn a_step_of_an_unknown_kind_is_left_for_another_version() {
    let world = World::new().await;
    let old = world.worker(vec![], Tuning::default()).await;
    let run = world.run(vec![new("from_the_future", "")]).await;
    let left = "SELECT state = 'later' AND attempt > 0 FROM syncline.sync_step WHERE run_id = $1";
    world.until(left, run).await;
    let untouched = "SELECT failures = 0 AND rescues = 0 AND error_code IS NULL AND ready_at > now()
                       FROM syncline.sync_step WHERE run_id = $1";
    assert!(world.get::<bool>(untouched, run).await);
    assert_eq!(old.engine.slots().free(Queue::Jira), old.engine.slots().capacity(Queue::Jira));
    old.stop().await;
    let newer = toy("from_the_future", |given| async move { Ok(effect(&given.step, vec![])) });
    let newer = world.worker(vec![newer], Tuning::default()).await;
    assert_eq!(world.ended(run).await, "succeeded");
    newer.stop().await;
}

#[tokio::test]
async fn what_others_were_in_the_way_of_spends_no_attempt() {
    let world = World::new().await;
    // Serialisation, deadlock, a lock that was not given; a session that was ended, by idleness or by the server.
    let codes = ["40001", "40P01", "55P03", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05"];
    let refused = toy("refused", |given| async move {
        let code = given.step.key.clone();
        let first = given.step.attempt == 1;
        let done = effect(&given.step, vec![]);
        if !first {
            return Ok(done);
        }
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                let sql = format!("DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '{code}'; END $$");
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(conn).await?;
                Ok(vec![])
            })
        }))
    });
    let retry = RetryOptions { base: Duration::from_millis(50), ..RetryOptions::default() };
    // One attempt is all there is: were it spent, the run would fail.
    let worker = world.worker(vec![refused], Tuning { retry, max_attempts: 1, ..Tuning::default() }).await;
    let run = world.run(codes.iter().map(|code| new("refused", code)).collect()).await;
    assert_eq!(world.ended(run).await, "succeeded");
    assert_eq!(world.get::<i64>("SELECT sum(failures)::int8 FROM syncline.sync_step WHERE run_id = $1", run).await, 0);
    assert_eq!(world.effects("refused").await[&run], i64::try_from(codes.len()).unwrap());
    worker.stop().await;
}
