//! A run that rejects records says so: on the run, in health, by an alert, in a verification; and where too much is rejected it
//! fails and is read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use syncline::clock::Clock;
use syncline::domain::site_kind::SiteKind;
use syncline::jira::{Auth, HttpPool, JiraClient, SiteAccess};
use syncline::simulator::Options;
use syncline::verify;

use crate::support::Rig;

const TIME: &str = "2025-05-01T10:00:00.000+0000";

fn issue(id: usize, bad: bool) -> Value {
    json!({
        "id": id.to_string(), "key": format!("ACME-{id}"),
        "fields": {
            "summary": format!("Issue {id}"), "updated": if bad { json!("yesterday") } else { json!(TIME) }, "created": TIME,
            "project": {"id": "10000", "key": "ACME"}, "issuetype": {"name": "Bug"},
            "status": {"name": "Open", "statusCategory": {"key": "new"}},
            "comment": {"comments": [], "total": 0}, "worklog": {"worklogs": [], "total": 0}
        }
    })
}

/// A Jira of twenty issues, of which the first `bad` cannot be read; `entries` of each history cannot.
async fn jira(bad: Arc<AtomicUsize>, entries: usize) -> String {
    let search = {
        let bad = Arc::clone(&bad);
        move || {
            let bad = bad.load(Ordering::Relaxed);
            async move {
                let issues: Vec<Value> = (1..=20).map(|id| issue(id, id <= bad)).collect();
                Json(json!({"issues": issues, "isLast": true}))
            }
        }
    };
    let some = move |body: Json<Value>| {
        let ids: Vec<usize> = body["issueIdsOrKeys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str()?.parse().ok())
            .collect();
        let bad = bad.load(Ordering::Relaxed);
        async move { Json(json!({"issues": ids.iter().map(|id| issue(*id, *id <= bad)).collect::<Vec<_>>()})) }
    };
    let histories = move |body: Json<Value>| async move {
        let of = |id: &Value| {
            let entries: Vec<Value> =
                (0..entries).map(|n| json!({"id": n.to_string(), "created": "soon", "items": []})).collect();
            json!({"issueId": id, "changeHistories": entries})
        };
        let logs: Vec<Value> = body["issueIdsOrKeys"].as_array().into_iter().flatten().map(of).collect();
        Json(json!({"issueChangeLogs": logs}))
    };
    let router = Router::new()
        .route(
            "/rest/api/3/myself",
            get(|| async { Json(json!({"accountId": "a1", "displayName": "Bot", "active": true})) }),
        )
        .route(
            "/rest/api/3/project/{key}",
            get(|| async { Json(json!({"id": "10000", "key": "ACME", "name": "Acme"})) }),
        )
        .route("/rest/api/3/field", get(|| async { Json(json!([])) }))
        .route("/rest/api/3/search/approximate-count", post(|| async { Json(json!({"count": 20})) }))
        .route("/rest/api/3/search/jql", post(search))
        .route("/rest/api/3/issue/bulkfetch", post(some))
        .route("/rest/api/3/changelog/bulkfetch", post(histories));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn rig(url: &str) -> Rig {
    let mut options = Options::new(Clock::system());
    options.projects.truncate(1);
    options.issues = 1;
    let rig = Rig::new(options).await;
    sqlx::query("UPDATE syncline.site SET base_url = $1").bind(url).execute(rig.db.pool()).await.unwrap();
    rig
}

/// The project compared with this Jira.
async fn compared(rig: &Rig, url: &str) -> verify::Report {
    let clock = Clock::system();
    let access = SiteAccess {
        name: "sim".to_owned(),
        base_url: url.parse().unwrap(),
        kind: SiteKind::Cloud,
        auth: Auth::Anonymous,
        request_timeout: std::time::Duration::from_secs(10),
    };
    let jira = JiraClient::new(&HttpPool::new(clock.clone()).unwrap(), access).unwrap();
    let scope = verify::scopes(rig.db.pool(), Some("ACME")).await.unwrap().remove(0);
    verify::verify(rig.db.pool(), &jira, &scope, &verify::Options::default(), &clock, &|_| {}).await.unwrap()
}

async fn text(rig: &Rig, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(rig.db.pool()).await.unwrap()
}

/// Waits until the ends of all runs were read by telemetry.
async fn read_by_telemetry(rig: &Rig) {
    for _ in 0..600 {
        let open = "SELECT count(*) FROM syncline.sync_run WHERE finished_at IS NOT NULL AND analysed_at IS NULL";
        if rig.count(open).await == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the ends of runs are not read");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_are_told_by_run_health_alert_and_verify() {
    let bad = Arc::new(AtomicUsize::new(2));
    let url = jira(Arc::clone(&bad), 3).await;
    let rig = rig(&url).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    let rejected = text(&rig, "SELECT rejected::text FROM syncline.sync_run").await;
    assert_eq!(serde_json::from_str::<Value>(&rejected).unwrap(), json!({"issue": 2, "changelog": 54}));
    assert_eq!(rig.count("SELECT issues_rejected FROM syncline.sync_run").await, 2);
    let last =
        text(&rig, "SELECT message FROM syncline.sync_log WHERE event = 'run_succeeded' AND level = 'warn'").await;
    assert!(last.contains("could not be read: changelog 54, issue 2"), "{last}");
    let entry = text(
        &rig,
        "SELECT message FROM syncline.sync_log WHERE message LIKE '%changelog.created%' ORDER BY id LIMIT 1",
    );
    assert!(entry.await.starts_with("ACME-"), "the issue is named");
    read_by_telemetry(&rig).await;
    assert_eq!(
        rig.count("SELECT count(*) FROM syncline.project_health WHERE 'RECORDS_REJECTED' = ANY (alerting)").await,
        1
    );
    assert_eq!(rig.count("SELECT count(*) FROM syncline.alert WHERE class = 'RECORDS_REJECTED'").await, 1);
    let report = compared(&rig, &url).await;
    assert_eq!(report.unreadable.len(), 56, "{:?}", report.unreadable.first());

    // Looking at some issues says nothing of the others, reading all of them does.
    bad.store(0, Ordering::Relaxed);
    sqlx::query("UPDATE syncline.project_health SET rejected = '{\"issue\": 2}'").execute(rig.db.pool()).await.unwrap();
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    read_by_telemetry(&rig).await;
    let health = "SELECT count(*) FROM syncline.project_health WHERE rejected <> '{}'";
    assert_eq!(rig.count(health).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_rejects_too_much_fails_and_is_read_again() {
    let bad = Arc::new(AtomicUsize::new(20));
    let rig = rig(&jira(Arc::clone(&bad), 0).await).await;
    let worker = rig.worker().await;
    for (count, state) in [(20, "failed"), (11, "failed"), (10, "succeeded")] {
        bad.store(count, Ordering::Relaxed);
        assert_eq!(rig.sync("ACME", "incremental").await, state, "{count}: {}", rig.said().await);
        let cursor = "SELECT count(*) FROM syncline.sync_state WHERE entity = 'issue' AND cursor_at IS NOT NULL";
        assert_eq!(rig.count(cursor).await, i64::from(state == "succeeded"), "the cursor after {count}");
    }
    let advice = text(&rig, "SELECT error_advice FROM syncline.sync_run WHERE error_code = 'RECORDS_REJECTED' LIMIT 1");
    assert!(advice.await.contains("rejected_share_max"));
    sqlx::query("INSERT INTO syncline.setting (scope, key, value, updated_by) VALUES ('all', 'rejected_share_max', '0.1', 'test')")
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.sync("ACME", "full").await, "failed");
    bad.store(2, Ordering::Relaxed);
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    worker.stop().await;
}
