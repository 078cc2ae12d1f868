//! What a page may not do: be lost for one bad issue, or put an older version in the place of a newer one.

use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use syncline::clock::Clock;
use syncline::domain::record::{CommentRecord, IssueRecord};
use syncline::simulator::Options;
use syncline::store::replica::{self, Version};
use uuid::Uuid;

use crate::support::Rig;

fn issue(id: u32, updated: Value) -> Value {
    json!({
        "id": id.to_string(), "key": format!("ACME-{id}"),
        "fields": {
            "summary": format!("Issue {id}"), "updated": updated, "created": "2025-01-01T10:00:00.000+0000",
            "project": {"id": "10000", "key": "ACME"}, "issuetype": {"name": "Bug"},
            "status": {"name": "Open", "statusCategory": {"key": "new"}},
            "comment": {"comments": [], "total": 0, "maxResults": 20, "startAt": 0},
            "worklog": {"worklogs": [], "total": 0, "maxResults": 20, "startAt": 0}
        }
    })
}

/// A Jira whose only page holds three issues, the second without a readable time.
async fn jira_with_a_bad_issue() -> String {
    let page = json!({
        "issues": [issue(1, json!("2025-05-01T10:00:00.000+0000")), issue(2, json!({"when": "yesterday"})), issue(3, json!("2025-05-01T11:00:00.000+0000"))],
        "isLast": true
    });
    let router = Router::new()
        .route(
            "/rest/api/3/myself",
            get(|| async { Json(json!({"accountId": "a1", "displayName": "Bot", "active": true})) }),
        )
        .route(
            "/rest/api/3/project/ACME",
            get(|| async { Json(json!({"id": "10000", "key": "ACME", "name": "Acme"})) }),
        )
        .route("/rest/api/3/field", get(|| async { Json(json!([])) }))
        .route("/rest/api/3/search/approximate-count", post(|| async { Json(json!({"count": 3})) }))
        .route("/rest/api/3/search/jql", post(move || async move { Json(page) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn one_project() -> Options {
    let mut options = Options::new(Clock::system());
    options.projects.truncate(1);
    options.issues = 1;
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_issue_is_recorded_and_the_page_goes_on() {
    let rig = Rig::new(one_project()).await;
    let url = jira_with_a_bad_issue().await;
    sqlx::query("UPDATE syncline.site SET base_url = $1").bind(url).execute(rig.db.pool()).await.unwrap();
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    worker.stop().await;
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM syncline.issue ORDER BY id").fetch_all(rig.db.pool()).await.unwrap();
    assert_eq!(ids, [1, 3]);
    assert_eq!(rig.count("SELECT issues_rejected FROM syncline.sync_run").await, 1);
    let message: String = sqlx::query_scalar("SELECT message FROM syncline.sync_log WHERE event = 'record_rejected'")
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert!(message.contains("ACME-2") && message.contains("updated"), "{message}");
    assert!(!message.contains("yesterday"), "the value stays out of the log: {message}");
}

pub fn record(summary: &str, updated_at: DateTime<Utc>) -> IssueRecord {
    IssueRecord {
        id: 7,
        key: "ACME-7".to_owned(),
        project_id: 10_000,
        project_key: "ACME".to_owned(),
        summary: summary.to_owned(),
        description: None,
        issue_type: "Bug".to_owned(),
        status: "Open".to_owned(),
        status_category: "new".to_owned(),
        priority: None,
        resolution: None,
        assignee: None,
        reporter: None,
        creator: None,
        parent_id: None,
        parent_key: None,
        labels: vec![],
        story_points: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at,
        resolved_at: None,
        due_date: None,
        details: syncline::domain::entity::IssueDetails::default(),
        content_hash: [0; 16],
    }
    .sealed()
}

fn comment(id: i64, at: DateTime<Utc>) -> CommentRecord {
    CommentRecord {
        id,
        issue_id: 7,
        author: None,
        update_author: None,
        body: format!("comment {id}"),
        created_at: at,
        updated_at: at,
        restriction: None,
        internal: false,
        content_hash: [0; 16],
    }
    .sealed()
}

#[tokio::test]
async fn an_older_version_never_overwrites_a_newer_one_nor_its_comments() {
    let rig = Rig::new(one_project()).await;
    let project: Uuid = sqlx::query_scalar("SELECT id FROM syncline.project").fetch_one(rig.db.pool()).await.unwrap();
    let (site, newer) = (rig.site_id, DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let older = newer - TimeDelta::minutes(1);
    for (summary, at, comments) in [("new", newer, vec![comment(2, newer)]), ("old", older, vec![comment(1, older)])] {
        let mut tx = rig.db.pool().begin().await.unwrap();
        let upserted = replica::upsert_issues(&mut tx, site, project, &[&record(summary, at)]).await.unwrap();
        assert_eq!(upserted.current.contains(&7), summary == "new");
        let comments: Vec<_> = comments.iter().collect();
        let version = [Version { issue_id: 7, updated_at: at }];
        replica::apply_comments(&mut tx, site, &comments, &version, &[7], &[]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let summary: String =
        sqlx::query_scalar("SELECT summary FROM syncline.issue").fetch_one(rig.db.pool()).await.unwrap();
    assert_eq!(summary, "new");
    let comments: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM syncline.comment").fetch_all(rig.db.pool()).await.unwrap();
    assert_eq!(comments, [2]);
}
