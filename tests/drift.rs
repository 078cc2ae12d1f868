//! Jira answers otherwise than documented: each place is noted once per site, counted, and costs no page.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use syncline::clock::Clock;
use syncline::simulator::Options;
use syncline::store::drift;

use crate::support::{Rig, WorkerProcess};

/// What the site answers; `broken` makes its pages of issues unreadable.
#[derive(Default)]
struct Site {
    pages: OnceLock<Value>,
    broken: AtomicBool,
}

fn issue(id: u32) -> Value {
    json!({
        "id": id.to_string(), "key": format!("ACME-{id}"),
        "fields": {
            "summary": format!("Issue {id}"), "updated": format!("2025-05-01T10:00:{id:02}.000+0000"),
            "created": "2025-01-01T10:00:00.000+0000", "project": {"id": "10000", "key": "ACME"},
            "issuetype": {"id": "1", "name": "Bug"},
            "status": {"id": "1", "name": "Open", "statusCategory": {"key": "new"}},
            "comment": {"comments": [], "total": 0, "maxResults": 20, "startAt": 0},
            "worklog": {"worklogs": [], "total": 0, "maxResults": 20, "startAt": 0}
        },
        "changelog": {"histories": [], "total": 0, "maxResults": 40, "startAt": 0}
    })
}

async fn search(State(site): State<Arc<Site>>) -> Json<Value> {
    match site.broken.load(Ordering::SeqCst) {
        true => Json(json!({"results": [], "isLast": true})),
        false => Json(site.pages.get().unwrap().clone()),
    }
}

/// A site whose one page of issues and whose lists are these.
async fn jira(page: Value, lists: &[(&'static str, Value)]) -> (Rig, WorkerProcess, Arc<Site>) {
    let site = Arc::new(Site::default());
    site.pages.set(page).unwrap();
    let account = json!({"accountId": "a1", "displayName": "Bot", "active": true, "accountType": "atlassian"});
    let mut router = Router::new()
        .route("/rest/api/3/myself", get(|| async { Json(account) }))
        .route("/rest/api/3/search/approximate-count", post(|| async { Json(json!({"count": 3})) }))
        .route("/rest/api/3/search/jql", post(search));
    for named in ["ACME", "10000"] {
        let project = Json(json!({"id": "10000", "key": "ACME", "name": "Acme"}));
        router = router.route(&format!("/rest/api/3/project/{named}"), get(|| async { project }));
    }
    if lists.iter().all(|(path, _)| *path != "/rest/api/3/field") {
        router = router.route("/rest/api/3/field", get(|| async { Json(json!([])) }));
    }
    for (path, list) in lists {
        let list = Json(list.clone());
        router = router.route(path, get(|| async { list }));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router.with_state(Arc::clone(&site));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut options = Options::new(Clock::system());
    options.projects.truncate(1);
    options.issues = 1;
    let rig = Rig::new(options).await;
    sqlx::query("UPDATE syncline.site SET base_url = $1")
        .bind(format!("http://{address}"))
        .execute(rig.db.pool())
        .await
        .unwrap();
    let worker = WorkerProcess::start(rig.db.url(), &[]).await;
    (rig, worker, site)
}

/// Each drift as `entity field: expected / found × times`, in order.
async fn drifts(rig: &Rig) -> Vec<String> {
    let drifts = drift::list(rig.db.pool(), Some(rig.site_id)).await.unwrap();
    let mut lines: Vec<String> = drifts
        .iter()
        .map(|it| format!("{} {}: {} / {} x{}", it.entity, it.field, it.expected, it.found, it.occurrences))
        .collect();
    lines.sort();
    lines
}

/// The counter of an entity.
async fn counted(worker: &WorkerProcess, entity: &str) -> f64 {
    let (_, text) = worker.get("/metrics").await.unwrap();
    let start = format!("syncline_schema_drift_total{{entity=\"{entity}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).map_or(0.0, |count| count.parse().unwrap())
}

/// A page of three issues, the second of them changed.
fn page(change: impl FnOnce(&mut Value)) -> Value {
    let mut odd = issue(2);
    change(&mut odd);
    json!({"issues": [issue(1), odd, issue(3)], "isLast": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_with_a_new_type_is_recorded_once_and_costs_no_issue() {
    let page = page(|issue| {
        issue["fields"]["priority"] = json!("High");
        issue["fields"]["labels"] = json!({"first": "a"});
        issue["fields"]["timeestimate"] = json!("1h");
    });
    let lists = [("/rest/api/3/priority", json!([{"id": "1", "name": 7}, {"id": "2", "name": 8}]))];
    let (rig, worker, _) = jira(page, &lists).await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 3);
    assert_eq!(
        drifts(&rig).await,
        [
            "issue labels: array / object x2",
            "issue priority: object with a name / text x2",
            "issue timeestimate: whole number / text x2",
            "priority name: text / number x1", // the lists of a site are read every six hours
        ]
    );
    assert_eq!((counted(&worker, "issue").await, counted(&worker, "priority").await), (6.0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_value_of_a_closed_list_is_noted_and_kept() {
    let who = |kind: &str| json!({"accountId": "u1", "displayName": "Uma", "active": true, "accountType": kind});
    let mut page = page(|issue| {
        issue["fields"]["reporter"] = who("robot");
        issue["fields"]["customfield_10020"] = json!([{"id": 5, "name": "S", "state": "frozen", "boardId": 4}]);
        issue["fields"]["issuelinks"] =
            json!([{"id": "77", "type": {"name": "Blocks"}, "sidewaysIssue": {"id": "1", "key": "ACME-1"}}]);
        let times = json!({"created": "2025-02-01T10:00:00.000+0000", "updated": "2025-02-01T10:00:00.000+0000"});
        let mut work = json!({"id": "9", "started": "2025-02-01T10:00:00.000+0000", "timeSpentSeconds": 60,
                              "visibility": {"type": "team", "value": "blue"}});
        work.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        issue["fields"]["worklog"] = json!({"worklogs": [work], "total": 1, "maxResults": 20, "startAt": 0});
    });
    for issue in page["issues"].as_array_mut().unwrap() {
        issue["fields"]["status"]["statusCategory"]["key"] = json!("paused");
    }
    let status = json!([{"id": "1", "name": "Open", "statusCategory": {"key": "paused"}}]);
    let (rig, worker, _) = jira(page, &[("/rest/api/3/status", status)]).await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 3);
    assert_eq!(
        drifts(&rig).await,
        [
            "issue status.statusCategory.key: new, indeterminate, done or undefined / another value x1",
            "link direction: outwardIssue or inwardIssue / another value x1",
            "sprint state: future, active or closed / another value x1",
            "status statusCategory.key: new, indeterminate, done or undefined / another value x1",
            "user accountType: atlassian, app, customer or unknown / another value x1",
            "worklog visibility.type: role or group / another value x1",
        ]
    );
    for (kept, sql) in [
        ("category", "SELECT count(DISTINCT status_category) FROM syncline.issue"),
        ("category of the list", "SELECT count(*) FROM syncline.status WHERE category = 'paused'"),
        ("state", "SELECT count(*) FROM syncline.sprint WHERE state = 'frozen'"),
        ("kind of account", "SELECT count(*) FROM syncline.jira_user WHERE account_type = 'robot'"),
        ("worklog", "SELECT count(*) FROM syncline.worklog WHERE id = 9"),
    ] {
        assert_eq!(rig.count(sql).await, 1, "{kept}");
    }
    assert_eq!(counted(&worker, "worklog").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_required_field_is_recorded_and_costs_one_record() {
    let page = page(|issue| {
        // One of the two would stand for the other.
        for time in ["created", "updated"] {
            issue["fields"].as_object_mut().unwrap().remove(time);
        }
    });
    let lists = [("/rest/api/3/resolution", json!([{"id": "1"}, {"name": "Done"}, {"id": "3", "name": "Fixed"}]))];
    let (rig, worker, _) = jira(page, &lists).await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 2);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.term WHERE kind = 'resolution'").await, 2);
    assert_eq!(
        drifts(&rig).await,
        [
            "issue created: time / nothing x1",
            "issue updated: time / nothing x1",
            "resolution id: an id / nothing that can be read x1",
            "resolution name: text / nothing x1",
        ]
    );
    assert_eq!(counted(&worker, "issue").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_frame_is_noted_and_costs_no_more_than_it_must() {
    let mut page = page(|_| ());
    page["pageInfo"] = json!({"cursor": "x"});
    let lists = [
        ("/rest/api/3/status", json!({"values": [{"id": "1", "name": "Open"}], "isLast": true, "cursor": "x"})),
        // Nothing that can be read: the issues do not need it.
        ("/rest/api/3/priority", json!({"items": []})),
    ];
    let (rig, worker, site) = jira(page, &lists).await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 3);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.status").await, 1);
    assert_eq!(
        drifts(&rig).await,
        [
            "answer priorities: a list / another shape x1",
            "page pageInfo: nothing / a new member x1",
            "page status.cursor: nothing / a new member x1",
        ]
    );
    assert_eq!((counted(&worker, "page").await, counted(&worker, "answer").await), (2.0, 1.0));
    // A page without issues is none: the run says so, and so does the list of drifts.
    site.broken.store(true, Ordering::SeqCst);
    assert_eq!(rig.sync("ACME", "incremental").await, "failed");
    let noted = drifts(&rig).await;
    assert!(noted.contains(&"answer fetch_page: a shape that is known / another shape x1".to_owned()), "{noted:#?}");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NULL").await, 3);
}
