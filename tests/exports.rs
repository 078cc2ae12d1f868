//! Exports: all that match, by command and by REST, of any number, and nothing beyond one's reach.

use reqwest::StatusCode;
use serde_json::Value;

use crate::api::Stage;
use crate::support::TestDb;
use crate::support::command::{ask, refuses};

/// Two projects with 700 runs each: more than a part of an export.
async fn filled() -> TestDb {
    let db = TestDb::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         VALUES (syncline.new_id(), 'east', 'http://127.0.0.1:9', 'a@b', 'env:NONE');
         INSERT INTO syncline.project (id, site_id, key, name)
         SELECT syncline.new_id(), id, k, k FROM syncline.site, unnest(ARRAY['OPS', 'APP']) k;
         INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, error_code, error_message)
         SELECT syncline.new_id(), p.id, 'incremental', 'manual', CASE n % 7 WHEN 0 THEN 'failed' ELSE 'succeeded' END, '=1+1',
                now() - make_interval(mins => n), now() - make_interval(mins => n), CASE n % 7 WHEN 0 THEN 'TIMEOUT' END,
                CASE n % 7 WHEN 0 THEN E'late, \"very\"\\nlate' END
           FROM syncline.project p, generate_series(1, 700) n;
         UPDATE syncline.sync_run SET finished_at = started_at + interval '2 seconds';",
    )
    .execute(db.pool())
    .await
    .unwrap();
    db
}

fn written(db: &TestDb, arguments: &[&str]) -> String {
    let output = ask(db, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_export_holds_every_run_once_by_every_way() {
    let db = filled().await;
    let lines = written(&db, &["export", "runs", "--format", "jsonl"]);
    let mut ids: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((lines.lines().count(), ids.len()), (1_400, 1_400));
    let failed = written(&db, &["export", "runs", "--state", "failed", "--project", "OPS"]);
    assert!(failed.starts_with("run,project,kind,"), "{failed:.200}");
    assert_eq!(failed.matches("\"late, \"\"very\"\"\nlate\"").count(), 100);
    assert_eq!(failed.matches(",'=1+1,").count(), 100, "no formula");

    let stage = Stage::new(&db).await;
    let reader = stage.token("reader", &["read"], &[]).await;
    let answer = stage.get(&reader, "/api/exports/runs?status=failed&project=OPS").await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(answer.text().await.unwrap().replace("\r\n", "\n"), failed);
    let all = stage.get(&reader, "/api/exports/runs?format=jsonl").await.text().await.unwrap();
    assert_eq!(all.lines().count(), 1_400);
    let elsewhere = stage.token("elsewhere", &["read"], &["APP"]).await;
    let theirs = stage.get(&elsewhere, "/api/exports/runs?format=jsonl").await.text().await.unwrap();
    assert_eq!((theirs.lines().count(), theirs.contains("east/OPS")), (700, false));
}

#[tokio::test]
async fn days_are_exported_and_wrong_questions_refused() {
    let db = filled().await;
    let days = written(&db, &["export", "days"]);
    let runs: i64 = days.lines().skip(1).map(|line| line.split(',').nth(4).unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!(runs, 1_400, "{days}");
    refuses(&db, &["export", "runs", "--state", "sleeping"], 2, &["status knows no"]);
    let stage = Stage::new(&db).await;
    let reader = stage.token("reader", &["read"], &[]).await;
    for path in ["runs?format=xlsx", "runs?status=sleeping", "days?days=0", "runs?limit=5"] {
        let answer = stage.get(&reader, &format!("/api/exports/{path}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}
