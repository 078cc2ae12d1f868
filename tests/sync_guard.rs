//! What a page may not do: be lost for one bad issue, or put an older version in the place of a newer one.

use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use syncline::clock::Clock;
use syncline::domain::record::{CommentRecord, IssueRecord};
use syncline::simulator::Options;
use syncline::store::replica::{self, Look, UpsertedIssues, Version};
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

/// Writes an issue and its comments as they were answered to a question of `asked_at`, dated `updated`; answers what came of it.
async fn write(
    rig: &Rig,
    (summary, updated): (&str, DateTime<Utc>),
    look: Look,
    comments: &[CommentRecord],
) -> UpsertedIssues {
    let project: Uuid = sqlx::query_scalar("SELECT id FROM syncline.project").fetch_one(rig.db.pool()).await.unwrap();
    let mut tx = rig.db.pool().begin().await.unwrap();
    let upserted =
        replica::upsert_issues(&mut tx, rig.site_id, project, &[&record(summary, updated)], look).await.unwrap();
    let comments: Vec<_> = comments.iter().collect();
    let version = [Version { issue_id: 7, asked_at: look.asked_at }];
    replica::apply_comments(&mut tx, rig.site_id, &comments, &version, &[7], &[]).await.unwrap();
    tx.commit().await.unwrap();
    upserted
}

async fn stored(rig: &Rig) -> (String, Vec<String>) {
    let summary = sqlx::query_scalar("SELECT summary FROM syncline.issue").fetch_one(rig.db.pool()).await.unwrap();
    let bodies = sqlx::query_scalar("SELECT id || ': ' || body FROM syncline.comment ORDER BY id")
        .fetch_all(rig.db.pool())
        .await
        .unwrap();
    (summary, bodies)
}

#[tokio::test]
async fn an_earlier_answer_never_overwrites_a_later_one() {
    let rig = Rig::new(one_project()).await;
    let (first, then) =
        (DateTime::UNIX_EPOCH + TimeDelta::days(20_000), DateTime::UNIX_EPOCH + TimeDelta::days(20_001));
    let dated = first - TimeDelta::days(1);
    // Whatever the dates say: the earlier answer is dated later, later, and as the other.
    for (seconds, by_id) in [(-60, false), (60, true), (0, true)] {
        sqlx::query("DELETE FROM syncline.issue").execute(rig.db.pool()).await.unwrap();
        write(&rig, ("later", dated), Look { asked_at: then, by_id }, &[comment(2, dated)]).await;
        let early = dated + TimeDelta::seconds(seconds);
        let upserted = write(&rig, ("earlier", early), Look { asked_at: first, by_id }, &[comment(1, early)]).await;
        assert!(upserted.current.is_empty() && upserted.doubtful.is_empty(), "{seconds}: {upserted:?}");
        assert_eq!(stored(&rig).await, ("later".to_owned(), vec!["2: comment 2".to_owned()]), "{seconds}");
    }
}

#[tokio::test]
async fn what_was_read_later_wins_although_it_is_dated_earlier() {
    let rig = Rig::new(one_project()).await;
    let first = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let dated = first - TimeDelta::days(1);
    let restored = dated - TimeDelta::days(100);
    write(&rig, ("edited", dated), Look { asked_at: first, by_id: false }, &[comment(1, dated), comment(2, dated)])
        .await;

    // A search may be behind what was read before: it is not believed, and a direct read decides.
    let look = Look { asked_at: first + TimeDelta::minutes(1), by_id: false };
    let mut back = comment(1, restored);
    back.body = "restored".to_owned();
    let back = [back.sealed()];
    let upserted = write(&rig, ("restored", restored), look, &back).await;
    assert_eq!((upserted.current.len(), upserted.doubtful), (0, vec![7]));
    let upserted = write(&rig, ("restored", restored), Look { by_id: true, ..look }, &back).await;
    assert_eq!((upserted.updated, upserted.doubtful.len()), (1, 0));
    assert_eq!(stored(&rig).await, ("restored".to_owned(), vec!["1: restored".to_owned()]));
}

#[tokio::test]
async fn a_look_dated_by_a_clock_since_put_back_holds_nothing_up() {
    let rig = Rig::new(one_project()).await;
    let now = Clock::system().now();
    let look = |asked_at| Look { asked_at, by_id: true };
    write(&rig, ("by a fast clock", now), look(now + TimeDelta::days(400)), &[comment(1, now)]).await;
    let mut newer = comment(1, now);
    newer.body = "newer".to_owned();
    write(&rig, ("by a right clock", now), look(now), &[newer.sealed()]).await;
    assert_eq!(stored(&rig).await, ("by a right clock".to_owned(), vec!["1: newer".to_owned()]));
}
