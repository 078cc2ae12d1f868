//! Insights by every way: what the runs of days add up to, scores, what was unusual, forecasts, advice that is applied.

use reqwest::StatusCode;
use serde_json::{Value, json};
use syncline::simulator::past::Plan;
use syncline::simulator::{Options, ProjectSpec};
use uuid::Uuid;

use crate::api::Stage;
use crate::support::command::{acts, json as data, refuses, succeeds};
use crate::support::{Rig, TestDb, sweep};

/// The days as they are kept, and as the rows of runs add up.
async fn days(db: &TestDb) -> [Value; 2] {
    const FIELDS: &str =
        "project_id, day, work, state, runs, issues_seen, issues_created, issues_updated, issues_deleted,
        issues_rejected, comments_written, worklogs_written, changes_written, requests, steps, retries, rescues,
        round(seconds::numeric, 3) AS seconds, round(longest_seconds::numeric, 3) AS longest";
    let rows = "SELECT project_id, (created_at AT TIME ZONE 'UTC')::date AS day,
               CASE WHEN kind = 'full' THEN 'full' WHEN reconcile THEN 'reconcile' ELSE 'incremental' END AS work, state,
               count(*) AS runs, sum(issues_seen) AS issues_seen, sum(issues_created) AS issues_created,
               sum(issues_updated) AS issues_updated, sum(issues_deleted) AS issues_deleted,
               sum(issues_rejected) AS issues_rejected, sum(comments_written) AS comments_written,
               sum(worklogs_written) AS worklogs_written, sum(changes_written) AS changes_written,
               sum(requests) AS requests, sum(steps) AS steps, sum(retries) AS retries, sum(rescues) AS rescues,
               sum(coalesce(extract(epoch FROM finished_at - started_at), 0))::float8 AS seconds,
               max(coalesce(extract(epoch FROM finished_at - started_at), 0))::float8 AS longest_seconds
          FROM syncline.sync_run WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3, 4";
    let mut found = Vec::new();
    for table in ["syncline.run_daily".to_owned(), format!("({rows}) r")] {
        let query = format!(
            "SELECT jsonb_agg(to_jsonb(x) ORDER BY x.project_id, x.day, x.work, x.state) FROM (SELECT {FIELDS} FROM {table}) x"
        );
        let days: Option<Value> = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(db.pool()).await.unwrap();
        found.push(days.unwrap_or_default());
    }
    found.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_add_up_to_what_their_runs_say() {
    let mut options = Options::new(syncline::clock::Clock::system());
    options.projects = vec![ProjectSpec { key: "OPS".into(), name: "OPS".into(), issues: Some(60) }];
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync("OPS", "full").await, "succeeded");
    assert_eq!(rig.sync("OPS", "incremental").await, "succeeded");
    assert_eq!(rig.reconcile("OPS", "incremental").await, "succeeded");
    // One that waits behind another is cancelled before it begins.
    let (first, second) = (rig.enqueue("OPS", "full").await, rig.enqueue("OPS", "full").await);
    sqlx::query("SELECT syncline.cancel_run($1)").bind(second).execute(rig.db.pool()).await.unwrap();
    rig.ended(first).await;
    rig.ended(second).await;
    worker.stop().await;
    let [kept, added] = days(&rig.db).await;
    assert_eq!(kept, added);
    let kinds: Vec<&str> = kept.as_array().unwrap().iter().map(|day| day["work"].as_str().unwrap()).collect();
    assert!(["full", "incremental", "reconcile"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    // Runs go, their days stay.
    sqlx::query("DELETE FROM syncline.sync_run").execute(rig.db.pool()).await.unwrap();
    let [still, none] = days(&rig.db).await;
    assert_eq!((still, none), (kept, Value::Null));
}

/// A project whose past is made up, up to now: some forty days of quarters of an hour. It is the same past whenever the test
/// runs, but for where it ends: it is moved by whole weeks, so that hours and weekdays stay what they are. Answers the planted slow
/// runs, too.
async fn with_a_past() -> (TestDb, Vec<Uuid>) {
    let db = TestDb::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         VALUES (syncline.new_id(), 'east', 'http://127.0.0.1:9', 'a@b', 'env:NONE');
         INSERT INTO syncline.project (id, site_id, key, name)
         SELECT syncline.new_id(), id, k, k FROM syncline.site, unnest(ARRAY['OPS', 'APP']) k;
         INSERT INTO syncline.schedule (project_id, cron, time_zone, next_slot_at, next_run_at)
         SELECT id, '*/15 * * * *', 'UTC', now(), now() FROM syncline.project;",
    )
    .execute(db.pool())
    .await
    .unwrap();
    let now: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("SELECT now()").fetch_one(db.pool()).await.unwrap();
    let every = chrono::TimeDelta::minutes(15);
    let from: chrono::DateTime<chrono::Utc> = "2024-01-01T00:00:00Z".parse().unwrap();
    let mut history =
        Plan { seed: 3, from, days: 49, every, changes_a_day: 2_000.0, unrest: 0.0, bad_nights: 90.0 }.play();
    let moved = chrono::TimeDelta::weeks((now - from).num_weeks() - 6);
    for run in &mut history.runs {
        run.started_at += moved;
        run.finished_at += moved;
    }
    history.runs.retain(|run| run.finished_at < now);
    let runs = &history.runs;
    let seconds = |at: chrono::DateTime<chrono::Utc>| at.timestamp_millis() as f64 / 1_000.0;
    let numbers =
        |of: fn(&syncline::domain::insight::Run) -> f64| runs.iter().map(|run| of(run) as i64).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at,
                issues_seen, issues_updated, requests, error_code, error_message)
         SELECT n.id, p.id, 'incremental', 'schedule', CASE WHEN n.well THEN 'succeeded' ELSE 'failed' END, 'schedule',
                to_timestamp(n.began), to_timestamp(n.began), n.seen, n.changed, n.sent,
                CASE WHEN NOT n.well THEN 'TIMEOUT' END, CASE WHEN NOT n.well THEN 'late' END
           FROM syncline.project p, unnest($1::uuid[], $2::float8[], $3::bool[], $4::int8[], $5::int8[], $6::int8[])
                AS n (id, began, well, seen, changed, sent)
          WHERE p.key = 'OPS'",
    )
    .bind(runs.iter().map(|run| run.id).collect::<Vec<_>>())
    .bind(runs.iter().map(|run| seconds(run.started_at)).collect::<Vec<_>>())
    .bind(runs.iter().map(syncline::domain::insight::Run::succeeded).collect::<Vec<_>>())
    .bind(numbers(|run| run.issues))
    .bind(numbers(|run| run.changed))
    .bind(numbers(|run| run.requests))
    .execute(db.pool())
    .await
    .unwrap();
    // As they end, they count in their days.
    sqlx::query(
        "UPDATE syncline.sync_run r SET finished_at = to_timestamp(n.ended) FROM unnest($1::uuid[], $2::float8[]) AS n (id, ended)
          WHERE r.id = n.id",
    )
    .bind(runs.iter().map(|run| run.id).collect::<Vec<_>>())
    .bind(runs.iter().map(|run| seconds(run.finished_at)).collect::<Vec<_>>())
    .execute(db.pool())
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO syncline.project_health (project_id, last_success_at, last_success_started_at)
         SELECT id, now(), now() FROM syncline.project WHERE key = 'OPS'",
    )
    .execute(db.pool())
    .await
    .unwrap();
    let slow = runs.iter().filter(|run| history.slow.contains(&run.id)).map(|run| run.id);
    (db, slow.collect())
}

#[tokio::test]
async fn insights_are_the_same_by_every_way() {
    let (db, slow) = with_a_past().await;
    let stage = Stage::new(&db).await;
    let reader = stage.token("reader", &["read"], &[]).await;
    let scores = stage.json(&reader, "/api/sync/analytics/health-score").await;
    let of_ops = &scores["projects"][0];
    assert_eq!((of_ops["project"].as_str(), &scores["projects"][1]["score"]), (Some("east/OPS"), &Value::Null));
    let score = of_ops["score"].as_f64().unwrap();
    assert!(score > 50.0 && score < 95.0 && scores["score"].as_f64() == Some(score), "{scores}");
    let parts = of_ops["parts"].as_array().unwrap();
    let weights: f64 = parts.iter().map(|part| part["weight"].as_f64().unwrap()).sum();
    assert!((weights - 1.0).abs() < 1e-9 && parts.len() == 5, "{parts:?}");
    assert!(of_ops["reasons"][0].as_str().unwrap().contains("fail"), "{of_ops}");
    let by_command = data(&db, &["insight", "health", "OPS"]);
    assert!((by_command[0]["score"].as_f64().unwrap() - score).abs() < 0.5);
    // Somebody who reaches another project learns nothing of it.
    let elsewhere = stage.token("elsewhere", &["read"], &["APP"]).await;
    let theirs = stage.json(&elsewhere, "/api/sync/analytics/health-score").await;
    assert_eq!((&theirs["score"], theirs["projects"].as_array().unwrap().len()), (&Value::Null, 1));
    for path in ["patterns", "anomalies", "recommendations", "daily"] {
        assert_eq!(stage.json(&elsewhere, &format!("/api/sync/analytics/{path}")).await, json!([]), "{path}");
    }
    assert_eq!(stage.get(&elsewhere, "/api/sync/analytics/growth").await.status(), StatusCode::FORBIDDEN);

    let since = "2024-01-01T00:00:00Z";
    let found = stage.json(&reader, &format!("/api/sync/analytics/anomalies?project=OPS&since={since}")).await;
    let runs: Vec<&str> = found.as_array().unwrap().iter().map(|one| one["run_id"].as_str().unwrap()).collect();
    let planted: Vec<String> = slow.iter().map(ToString::to_string).filter(|id| runs.contains(&id.as_str())).collect();
    let newest = planted.last().unwrap_or_else(|| panic!("none of {slow:?}: {found}"));
    let told = found.as_array().unwrap().iter().find(|one| one["run_id"] == newest.as_str()).unwrap();
    assert!(told["text"].as_str().unwrap().contains("times the") && told["metric"] == "duration", "{told}");
    let forecast = stage.json(&reader, "/api/sync/analytics/forecast?project=OPS").await;
    let (low, middle, high) = (forecast["low"].as_f64(), forecast["seconds"].as_f64(), forecast["high"].as_f64());
    assert!(low < middle && middle < high && low > Some(1.0), "{forecast}");
    assert_eq!(stage.json(&reader, "/api/sync/analytics/forecast?project=OPS&kind=full").await, Value::Null);
    let patterns = stage.json(&reader, "/api/sync/analytics/patterns").await;
    let text = patterns[0]["text"].as_str().unwrap();
    assert!(text.starts_with("TIMEOUT comes ") && text.contains("between 02:00 and 03:00"), "{patterns}");
    let more = stage.json(&reader, "/api/sync/analytics/what-if?project=OPS&count=10").await;
    assert!((900.0..=1_000.0).contains(&more["runs"].as_f64().unwrap_or_default()), "{more}");
    let trends = stage.json(&reader, "/api/sync/analytics/trends?project=OPS&days=14").await;
    assert_eq!(trends.as_array().unwrap().len(), 5);

    let query = "{ healthScore { score } recommendations { id gain changes } anomalies(since: \"2024-01-01T00:00:00Z\") { runId metric }
                   projects { key health { score parts { name } } } }";
    let answer = stage.post(&reader, "/graphql", json!({ "query": query })).await.json::<Value>().await.unwrap();
    let answered = &answer["data"];
    assert_eq!(answered["healthScore"]["score"].as_f64(), Some(score.round()), "{answer}");
    assert_eq!(answered["anomalies"].as_array().map(Vec::len), Some(runs.len()), "{answer}");
    let run = format!(
        "{{ run(id: \"{}\") {{ prediction {{ seconds low high basedOnRuns }} anomalies {{ metric score }} }} }}",
        newest
    );
    let answer = stage.post(&reader, "/graphql", json!({ "query": run })).await.json::<Value>().await.unwrap();
    assert!(answer["data"]["run"]["prediction"]["basedOnRuns"].as_i64() > Some(100), "{answer}");
    assert!(answer["data"]["run"]["anomalies"][0]["score"].as_f64() > Some(3.0), "{answer}");
}

#[tokio::test]
async fn advice_is_applied_once_and_audited() {
    let (db, _) = with_a_past().await;
    let found = data(&db, &["insight", "recommend", "OPS"]);
    let quiet = found.as_array().unwrap().iter().find(|one| one["id"].as_str().unwrap().starts_with("quiet-hours:"));
    let quiet = quiet.unwrap_or_else(|| panic!("{found}"));
    let cron = quiet["changes"][0]["schedule"]["cron"].as_str().unwrap();
    assert!(cron.starts_with("*/15 ") && cron.contains(" | 0 "), "{cron}");
    let id = quiet["id"].as_str().unwrap();
    let stage = Stage::new(&db).await;
    let path = format!("/api/sync/analytics/recommendations/{id}/apply");
    let operator = stage.token("operator", &["read", "operate"], &[]).await;
    assert_eq!(stage.post(&operator, &path, json!({})).await.status(), StatusCode::FORBIDDEN);
    succeeds(&db, &["insight", "apply", id]);
    let kept: String = sqlx::query_scalar(
        "SELECT s.cron FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id WHERE p.key = 'OPS'",
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert_eq!(kept, cron);
    assert!(acts(&db).await.iter().any(|act| act.ends_with("east/OPS")));
    refuses(&db, &["insight", "apply", id], 1, &["no such recommendation"]);
}

#[tokio::test]
async fn sizes_are_kept_and_summaries_go_in_time() {
    let db = TestDb::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         VALUES (syncline.new_id(), 'east', 'http://127.0.0.1:9', 'a@b', 'env:NONE');
         INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), id, 'OPS' FROM syncline.site;
         INSERT INTO syncline.run_daily
         SELECT id, current_date - n, 'full', 'succeeded', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1
           FROM syncline.project, unnest(ARRAY[1, 399, 402, 500]) n;
         INSERT INTO syncline.size_daily SELECT 'database', current_date - n, 1000000 * (1000 - n) FROM generate_series(1, 500) n;",
    )
    .execute(db.pool())
    .await
    .unwrap();
    sweep(db.pool()).await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM syncline.run_daily").fetch_one(db.pool()).await.unwrap();
    assert_eq!(left, 2, "400 days are kept");
    let grown = data(&db, &["insight", "growth"]);
    let names: Vec<&str> = grown.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"issue") && names.contains(&"sync_run") && names.contains(&"database"), "{names:?}");
    let database = grown.as_array().unwrap().iter().find(|one| one["name"] == "database").unwrap();
    assert!((database["per_day"].as_f64().unwrap() - 1_000_000.0).abs() < 50_000.0, "{database}");
}

#[tokio::test]
async fn more_than_can_be_told_at_once_is_said() {
    let db = TestDb::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         VALUES (syncline.new_id(), 'east', 'http://127.0.0.1:9', 'a@b', 'env:NONE');
         INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), id, 'P' || n FROM syncline.site, generate_series(1, 101) n;
         INSERT INTO syncline.run_daily
         SELECT id, current_date - n, 'full', 'succeeded', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1
           FROM syncline.project, generate_series(0, 99) n;",
    )
    .execute(db.pool())
    .await
    .unwrap();
    refuses(&db, &["export", "days", "--days", "400"], 2, &["more than 10000 rows", "fewer days"]);
    refuses(&db, &["insight", "anomalies"], 2, &["101 projects are more than 100", "name a project"]);
    assert_eq!(data(&db, &["insight", "daily", "P7", "--days", "400"]).as_array().unwrap().len(), 100);
    let stage = crate::console::Stage::new(&db).await;
    let page = stage.text("/insights").await;
    assert!(page.contains("101 projects are more than 100") && !page.contains("Nothing to recommend"), "{page}");
}
