//! GraphQL over real HTTP: the schema that was agreed, what it costs, what it hides and how it refuses.

use std::collections::BTreeMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::api::{Stage, filled};
use crate::support::{TestDb, eventually};

/// Types with their fields, arguments, defaults and values, whatever their order and descriptions.
fn shape(sdl: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let document = parse_schema(sdl).unwrap();
    let mut types = BTreeMap::new();
    for definition in document.definitions {
        let TypeSystemDefinition::Type(of_type) = definition else { continue };
        let of_type = of_type.node;
        let mut parts = BTreeMap::new();
        let argument = |input: &async_graphql::parser::types::InputValueDefinition| {
            let default = input.default_value.as_ref().map(|value| format!(" = {}", value.node)).unwrap_or_default();
            format!("{}: {}{default}", input.name.node, input.ty.node)
        };
        match of_type.kind {
            TypeKind::Object(object) => {
                for field in object.fields {
                    let arguments: Vec<String> = field.node.arguments.iter().map(|one| argument(&one.node)).collect();
                    parts.insert(
                        field.node.name.node.to_string(),
                        format!("({}): {}", arguments.join(", "), field.node.ty.node),
                    );
                }
            }
            TypeKind::InputObject(object) => {
                for field in object.fields {
                    parts.insert(field.node.name.node.to_string(), argument(&field.node));
                }
            }
            TypeKind::Enum(values) => {
                for value in values.values {
                    parts.insert(value.node.value.node.to_string(), String::new());
                }
            }
            _ => {}
        }
        types.insert(of_type.name.node.to_string(), parts);
    }
    types
}

#[test]
fn the_schema_is_the_one_that_was_agreed() {
    let agreed = shape(include_str!("../docs/schema.graphql"));
    let served = shape(&syncline::api::sdl());
    for (name, fields) in &agreed {
        let found = served.get(name).unwrap_or_else(|| panic!("the schema has no type {name}"));
        assert_eq!(found, fields, "{name}");
    }
    let more: Vec<_> = served.keys().filter(|name| !agreed.contains_key(*name)).collect();
    assert!(more.is_empty(), "types that nobody agreed on: {more:?}");
}

/// So many issues of east/OPS, each with as many comments, and one comment more that only some may see.
async fn replica(issues: i32, comments: i32) -> TestDb {
    let db = filled(3).await;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "INSERT INTO syncline.jira_user (site_id, account_id, display_name, email, active)
         SELECT id, 'u' || n, 'User ' || n, NULL, true FROM syncline.site, generate_series(0, 4) n;
         INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, assignee_account_id,
                created_at, updated_at, content_hash, synced_at, fields, sprint_ids)
         SELECT p.site_id, n, p.id, 'OPS-' || n, 'Summary ' || n, 'Task', CASE n % 2 WHEN 0 THEN 'Open' ELSE 'Done' END, 'new', 'u' || n % 5,
                now() - interval '1 day', now() - make_interval(secs => n), '', now(), '{{\"customfield_1\": 7, \"customfield_2\": 8}}',
                ARRAY[5]
           FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id AND s.name = 'east', generate_series(1, {issues}) n;
         INSERT INTO syncline.sprint (site_id, id, name, state) SELECT id, 5, 'Sprint 5', 'active' FROM syncline.site WHERE name = 'east';
         INSERT INTO syncline.comment (site_id, id, issue_id, author_account_id, body, created_at, updated_at, content_hash, restricted_to)
         SELECT i.site_id, i.id * 1000 + n, i.id, 'u' || n % 5, 'Comment ' || n, now() + make_interval(secs => n), now(), '',
                CASE WHEN n > {comments} THEN 'Admins' END
           FROM syncline.issue i, generate_series(1, {comments} + 1) n;
         INSERT INTO syncline.worklog (site_id, id, issue_id, author_account_id, started_at, time_spent_seconds, created_at, updated_at, content_hash)
         SELECT i.site_id, i.id, i.id, 'gone', now(), 60, now(), now(), '' FROM syncline.issue i"
    )))
    .execute(db.pool())
    .await
    .unwrap();
    db
}

impl Stage {
    async fn graphql(&self, token: &str, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let answer = self.post(token, "/graphql", body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// The data of a document that is answered without an error.
    async fn data(&self, token: &str, query: &str) -> Value {
        let answer = self.graphql(token, query, json!({})).await;
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        answer["data"].clone()
    }

    /// The code and the field of the first error.
    async fn refusal(&self, token: &str, query: &str) -> (String, String) {
        let answer = self.graphql(token, query, json!({})).await;
        let error = &answer["errors"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert!(!text(&error["message"]).is_empty(), "{answer}");
        (text(&error["extensions"]["code"]), text(&error["extensions"]["field"]))
    }
}

#[tokio::test]
async fn issues_come_with_everything_that_hangs_on_them() {
    let db = replica(3, 2).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("reader", &["replica"], &[]).await;
    let data = stage
        .data(
            &token,
            r#"{ issues(first: 2, filter: {status: ["Open", "Done"], assignee: ["east:u1", "u2"]}) {
                 nodes { id key type status assignee { id displayName email active } project { key site } sprint { name state }
                         comments { body author { displayName } restrictedTo internal } worklogs { timeSpent author { displayName active } }
                         fields(ids: ["customfield_1"]) labels deletedAt }
                 pageInfo { hasNextPage endCursor } count { value exact } } }"#,
        )
        .await;
    let issues = &data["issues"];
    assert_eq!(issues["count"], json!({ "value": 2, "exact": true }));
    assert_eq!(issues["pageInfo"], json!({ "hasNextPage": false, "endCursor": null }));
    let first = &issues["nodes"][0];
    assert_eq!((&first["key"], &first["id"]), (&json!("OPS-1"), &json!("east:1")));
    assert_eq!(first["assignee"], json!({ "id": "east:u1", "displayName": "User 1", "email": null, "active": true }));
    assert_eq!(first["project"], json!({ "key": "OPS", "site": "east" }));
    assert_eq!(first["sprint"], json!({ "name": "Sprint 5", "state": "active" }));
    assert_eq!(first["comments"].as_array().unwrap().len(), 2, "{first}");
    assert_eq!(first["comments"][0]["author"]["displayName"], "User 1");
    // Somebody whom the replica does not know is shown by the account's id.
    assert_eq!(first["worklogs"], json!([{ "timeSpent": 60, "author": { "displayName": "gone", "active": false } }]));
    assert_eq!(first["fields"], json!({ "customfield_1": 7 }));
}

#[tokio::test]
async fn restricted_comments_need_their_scope_in_graphql() {
    let db = replica(1, 2).await;
    let stage = Stage::new(&db).await;
    let query =
        r#"{ issue(key: "ops-1") { comments { body } commentsConnection(first: 9) { nodes { body restrictedTo } } } }"#;
    let bodies = |data: &Value| data["issue"]["comments"].as_array().unwrap().len();
    for (scopes, seen) in [(["replica"], 2), (["admin"], 2), (["replica:restricted"], 3)] {
        let data = stage.data(&stage.token(scopes[0], &scopes, &[]).await, query).await;
        assert_eq!(bodies(&data), seen, "{scopes:?}");
        assert_eq!(data["issue"]["commentsConnection"]["nodes"].as_array().unwrap().len(), seen, "{scopes:?}");
    }
    let (code, _) = stage.refusal(&stage.token("runs", &["read"], &[]).await, query).await;
    assert_eq!(code, "FORBIDDEN");
}

#[tokio::test]
async fn pages_of_issues_and_comments_meet_without_gaps() {
    let db = replica(7, 5).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("reader", &["replica"], &[]).await;
    let (mut keys, mut after, mut stale) = (Vec::new(), Value::Null, Value::Null);
    loop {
        let query = "query($after: String) { issues(first: 3, after: $after) { nodes { key } pageInfo { hasNextPage endCursor } } }";
        let answer = stage.graphql(&token, query, json!({ "after": after })).await;
        let page = &answer["data"]["issues"];
        keys.extend(page["nodes"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned()));
        if !after.is_null() {
            stale = after;
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert_eq!(keys, (1..=7).map(|n| format!("OPS-{n}")).collect::<Vec<_>>());
    let (mut bodies, mut after) = (Vec::new(), Value::Null);
    while bodies.len() < 5 {
        let query = r#"query($after: String) { issue(key: "OPS-1") { commentsConnection(first: 2, after: $after) {
                       nodes { body } pageInfo { hasNextPage endCursor } } } }"#;
        let answer = stage.graphql(&token, query, json!({ "after": after })).await;
        let page = &answer["data"]["issue"]["commentsConnection"];
        bodies.extend(page["nodes"].as_array().unwrap().iter().map(|one| one["body"].as_str().unwrap().to_owned()));
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(bodies, (1..=5).map(|n| format!("Comment {n}")).collect::<Vec<_>>());
    let query = "query($after: String) { issues(first: 3, after: $after, filter: {search: \"x\"}) { nodes { key } } }";
    let answer = stage.graphql(&token, query, json!({ "after": stale })).await;
    assert_eq!(answer["errors"][0]["extensions"]["field"], "cursor", "{answer}");
}

#[tokio::test]
async fn a_request_that_reads_too_many_rows_is_refused() {
    let db = replica(300, 80).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("reader", &["replica"], &[]).await;
    let (code, field) = stage.refusal(&token, "{ issues(first: 300) { nodes { comments { body } } } }").await;
    assert_eq!((code.as_str(), field.as_str()), ("INVALID", "query"));
    let data = stage.data(&token, "{ issues(first: 200) { nodes { comments { body } } } }").await;
    assert_eq!(data["issues"]["nodes"].as_array().unwrap().len(), 200);
}

#[tokio::test]
async fn documents_that_cost_too_much_never_run() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("reader", &["admin"], &[]).await;
    let aliases: String = (0..60).map(|n| format!(" a{n}: viewer {{ name }}")).collect();
    let deep = "{ projects { runs { nodes { project { runs { nodes { project { runs { nodes { project { runs { nodes { id } } } } } } } } } } } } }";
    let double = "query { ...a0 } fragment a0 on Query { ...a1 ...a1 } fragment a1 on Query { ...a0 }";
    let wrong = ["{", "{ viewer { name } ", "{ nothing }", "{ viewer }", "query($a: Int!) { viewer { name } }"];
    for query in [&format!("{{ {aliases} }}"), deep, double].into_iter().chain(wrong) {
        let (code, _) = stage.refusal(&token, query).await;
        assert_eq!(code, "INVALID", "{query}");
    }
    let introspection = "{ __schema { types { name fields { name args { name type { name ofType { name ofType { name ofType { name } } } } } } } } }";
    stage.data(&token, introspection).await;
    // A list of documents, a body that is not JSON, one that is too long, and nobody's token.
    let list = stage.post(&token, "/graphql", json!([{ "query": "{ viewer { name } }" }])).await;
    assert_eq!(list.status(), StatusCode::BAD_REQUEST);
    assert!(list.text().await.unwrap().contains("a list of documents"));
    let text = stage.ask(Method::POST, "/graphql").bearer_auth(&token).body("{ viewer }").send().await.unwrap();
    assert_eq!(text.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let long = stage.post(&token, "/graphql", json!({ "query": "#".repeat(70_000) })).await;
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let bare =
        stage.ask(Method::POST, "/graphql").json(&json!({ "query": "{ viewer { name } }" })).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    let get = stage.get(&token, "/graphql").await;
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
}

async fn project_id(db: &TestDb, site: &str) -> Uuid {
    let sql = "SELECT p.id FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id WHERE s.name = $1";
    sqlx::query_scalar(sql).bind(site).fetch_one(db.pool()).await.unwrap()
}

#[tokio::test]
async fn jobs_are_steered_and_the_audit_says_by_whom() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let (admin, reader) = (stage.token("boss", &["admin"], &[]).await, stage.token("eye", &["read"], &[]).await);
    let id = project_id(&db, "east").await;
    sqlx::query("INSERT INTO syncline.schedule (project_id, cron, time_zone, next_slot_at, next_run_at) VALUES ($1, '*/15 * * * *', 'UTC', now() + interval '1 hour', now() + interval '1 hour')")
        .bind(id)
        .execute(db.pool())
        .await
        .unwrap();
    let job =
        "{ id status cronSchedule timeZone why nextRunAt lastRunAt run { status requestedBy kind } project { state } }";
    let act = |name: &str, more: &str| format!("mutation {{ {name}(projectId: \"{id}\"{more}) {job} }}");
    let (code, _) = stage.refusal(&reader, &act("pauseProjectSync", "")).await;
    assert_eq!(code, "FORBIDDEN");
    let paused = stage.data(&admin, &act("pauseProjectSync", "")).await;
    assert_eq!(paused["pauseProjectSync"]["status"], "PAUSED");
    let (code, _) = stage.refusal(&admin, &act("triggerProjectSync", "")).await;
    assert_eq!(code, "CONFLICT", "a paused project takes no request");
    let resumed = stage.data(&admin, &act("resumeProjectSync", "")).await;
    assert_eq!(
        (&resumed["resumeProjectSync"]["status"], &resumed["resumeProjectSync"]["run"]),
        (&json!("ACTIVE"), &Value::Null)
    );
    let moved = stage.data(&admin, &act("rescheduleProjectSync", ", cron: \"0 6 * * *\"")).await;
    assert_eq!(moved["rescheduleProjectSync"]["cronSchedule"], "0 6 * * *");
    let (code, field) = stage.refusal(&admin, &act("rescheduleProjectSync", ", cron: \"99 6 * * *\"")).await;
    assert_eq!((code.as_str(), field.as_str()), ("INVALID", "cron"));
    let started = stage.data(&admin, &act("startProjectSync", ", full: true")).await;
    assert_eq!(
        started["startProjectSync"]["run"],
        json!({ "status": "RUNNING", "requestedBy": "token boss", "kind": "full" })
    );
    let cancelled = stage.data(&admin, "mutation { cancelRuns(filter: {status: [RUNNING]}) }").await;
    assert_eq!(cancelled["cancelRuns"], 1);
    let set = stage.data(&admin, &format!("mutation {{ setSettings(projectId: \"{id}\", changes: [{{key: \"page_size\", value: 50}}]) {{ key value source }} }}")).await;
    let page_size = set["setSettings"].as_array().unwrap().iter().find(|one| one["key"] == "page_size").unwrap();
    assert_eq!(page_size, &json!({ "key": "page_size", "value": 50.0, "source": "project" }));
    let (code, field) =
        stage.refusal(&admin, "mutation { setSettings(changes: [{key: \"page_size\", value: 1e9}]) { key } }").await;
    assert_eq!((code.as_str(), field.as_str()), ("INVALID", "page_size"));
    let audit = stage
        .data(&admin, "{ audit(subject: \"east/OPS\") { nodes { actor action details } pageInfo { hasNextPage } } }")
        .await;
    let entries = audit["audit"]["nodes"].as_array().unwrap();
    let actions: Vec<_> = entries.iter().map(|one| one["action"].as_str().unwrap()).collect();
    for action in ["project.pause", "project.resume", "project.reschedule", "sync.request", "run.cancel", "config.set"]
    {
        assert!(actions.contains(&action), "{action} is not among {actions:?}");
    }
    // A request is made by a function of the schema, whose entry names the session and who asked.
    let by_boss = |one: &Value| one["actor"] == "token boss" || one["details"]["requested_by"] == "token boss";
    assert!(entries.iter().all(|one| by_boss(one) && one["details"]["way"] == "token"), "{entries:?}");
}

#[tokio::test]
async fn a_token_for_one_project_learns_nothing_of_others_by_graphql() {
    let db = replica(2, 1).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("west", &["admin", "replica"], &["west/OPS"]).await;
    let east = project_id(&db, "east").await;
    let query = format!(
        "{{ projects {{ site }} runs {{ nodes {{ project {{ site }} }} }} issues {{ nodes {{ key }} count {{ value }} }} issue(id: \"east:1\") {{ key }}
            project(id: \"{east}\") {{ key }} alerts(open: false) {{ nodes {{ id }} }} viewer {{ role projects }} }}"
    );
    let data = stage.data(&token, &query).await;
    assert_eq!(data["projects"], json!([{ "site": "west" }]));
    assert!(data["runs"]["nodes"].as_array().unwrap().iter().all(|run| run["project"]["site"] == "west"), "{data}");
    assert_eq!(data["issues"], json!({ "nodes": [], "count": { "value": 0 } }));
    assert_eq!((&data["issue"], &data["project"]), (&Value::Null, &Value::Null));
    assert_eq!(data["viewer"]["projects"], json!([project_id(&db, "west").await]));
    for query in [
        format!("{{ syncStates(projectId: \"{east}\") {{ entity }} }}"),
        format!("mutation {{ pauseProjectSync(projectId: \"{east}\") {{ id }} }}"),
    ] {
        assert_eq!(stage.refusal(&token, &query).await.0, "NOT_FOUND", "{query}");
    }
    for query in ["{ audit { nodes { id } } }", "{ drift }", "mutation { setSettings(changes: []) { key } }"] {
        assert_eq!(stage.refusal(&token, query).await.0, "FORBIDDEN", "{query}");
    }
}

#[tokio::test]
async fn subscriptions_tell_of_changes_as_they_happen() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("boss", &["admin"], &[]).await;
    let id = project_id(&db, "east").await;
    let follow = |query: String| {
        let asked = stage.ask(Method::POST, "/graphql").bearer_auth(&token).header("accept", "text/event-stream");
        asked.json(&json!({ "query": query })).send()
    };
    let mut answer =
        follow(format!("subscription {{ runChanged(projectId: \"{id}\") {{ id status }} }}")).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let mut heard = String::new();
    // The stream begins after its headers: runs end until somebody hears of one.
    let stir = eventually("a run that ends is heard of", async || {
        let ends = "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at)
                    VALUES (syncline.new_id(), $1, 'full', 'manual', 'failed', 'ana', now(), now(), now())";
        sqlx::query(ends).bind(id).execute(db.pool()).await.unwrap();
        false
    });
    let listen = async {
        while !heard.contains("\"status\":\"FAILED\"") {
            heard.push_str(&String::from_utf8_lossy(&answer.chunk().await.unwrap().unwrap()));
        }
    };
    tokio::select! {
        () = listen => {}
        () = stir => unreachable!(),
    }
    assert!(heard.contains("event: next") && heard.contains("runChanged"), "{heard}");
    // Progress ends with the run.
    let run: Uuid = sqlx::query_scalar("UPDATE syncline.sync_run SET state = 'succeeded' WHERE id = (SELECT id FROM syncline.sync_run LIMIT 1) RETURNING id")
        .fetch_one(db.pool())
        .await
        .unwrap();
    let answer =
        follow(format!("subscription {{ runProgress(id: \"{run}\") {{ operation percent }} }}")).await.unwrap();
    let whole = answer.text().await.unwrap();
    assert!(whole.contains("\"percent\":100") && whole.contains("event: complete"), "{whole}");
    // Without the header it says how to follow.
    let (code, _) = stage.refusal(&token, "subscription { alertChanged { id } }").await;
    assert_eq!(code, "INVALID");
}
