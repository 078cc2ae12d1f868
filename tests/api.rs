//! The API over real HTTP: who gets in, what each route answers, and how it refuses.

use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use syncline::api::{self, Server};
use syncline::app::token::{self, NewOne};
use syncline::app::{Actor, App};
use syncline::clock::Clock;
use syncline::config::{ServeAuth, ServeConfig, SyncConfig};
use syncline::simulator::Options;
use uuid::Uuid;

use crate::support::{Rig, TestDb};

/// A server and its clients.
pub(crate) struct Stage {
    app: App,
    server: Server,
    client: reqwest::Client,
}

impl Stage {
    pub(crate) async fn new(db: &TestDb) -> Self {
        Self::with(db, ServeConfig::default()).await
    }

    async fn with(db: &TestDb, config: ServeConfig) -> Self {
        let config = ServeConfig { address: ([127, 0, 0, 1], 0).into(), ..config };
        let app = App::new(db.pool().clone().into(), Clock::system());
        let server = api::serve(app.clone(), &config, &SyncConfig::default()).await.unwrap();
        Self { app, server, client: syncline::tls::client().build().unwrap() }
    }

    pub(crate) async fn token(&self, name: &str, scopes: &[&str], projects: &[&str]) -> String {
        let texts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        let asked = NewOne { name: name.to_owned(), scopes: texts(scopes), projects: texts(projects), days: None };
        token::create(&self.app, &Actor::cli("ana"), &asked).await.unwrap().expose_secret().to_owned()
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.server.address()))
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Response {
        self.ask(Method::GET, path).bearer_auth(token).send().await.unwrap()
    }

    pub(crate) async fn json(&self, token: &str, path: &str) -> Value {
        let answer = self.get(token, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Response {
        self.ask(Method::POST, path).bearer_auth(token).json(&body).send().await.unwrap()
    }
}

/// The status, code, field and advice of a refusal.
async fn problem(answer: Response) -> (u16, String, String, String) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let status = answer.status().as_u16();
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status, "{problem}");
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    assert!(!text("title").is_empty() && !text("detail").is_empty(), "{problem}");
    (status, text("code"), text("field"), text("advice"))
}

/// Two sites' projects of one key, and so many runs of each that have ended.
pub(crate) async fn filled(runs: i32) -> TestDb {
    let db = TestDb::new().await;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         SELECT syncline.new_id(), n, 'http://127.0.0.1:9', 'a@b', 'env:NONE' FROM unnest(ARRAY['east', 'west']) n;
         INSERT INTO syncline.project (id, site_id, key, name) SELECT syncline.new_id(), id, 'OPS', 'Operations' FROM syncline.site;
         INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at, issues_seen)
         SELECT syncline.new_id(), p.id, 'incremental', CASE n % 2 WHEN 0 THEN 'schedule' ELSE 'manual' END,
                (ARRAY['succeeded', 'failed', 'cancelled'])[1 + n % 3], 'ana', t, t, t + interval '2 seconds', 10
           FROM syncline.project p, generate_series(1, {runs}) n,
                LATERAL (SELECT now() - make_interval(mins => n / 2) AS t) times"
    )))
    .execute(db.pool())
    .await
    .unwrap();
    db
}

#[tokio::test]
async fn a_request_without_a_working_token_is_refused() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let bare = stage.ask(Method::GET, "/api/sync/history").send().await.unwrap();
    assert_eq!(bare.headers()["www-authenticate"], "Bearer");
    let (status, code, _, advice) = problem(bare).await;
    assert_eq!((status, code.as_str()), (401, "UNAUTHENTICATED"));
    assert!(advice.contains("syncline token create"), "{advice}");
    for token in ["syncline_x", "x", ""] {
        assert_eq!(problem(stage.get(token, "/api/projects").await).await.0, 401, "{token:?}");
    }
    let odd = stage.ask(Method::GET, "/api/projects").header("authorization", "Basic YTpi").send().await.unwrap();
    assert_eq!(problem(odd).await.0, 401);
}

#[tokio::test]
async fn a_revoked_token_stops_and_none_is_stored_in_clear() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let (admin, reader) = (stage.token("boss", &["admin"], &[]).await, stage.token("reader", &["read"], &[]).await);
    stage.json(&reader, "/api/projects").await;
    let tokens = stage.json(&admin, "/api/tokens").await;
    let listed: Vec<_> = tokens.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(listed, ["reader", "boss"]);
    assert!(tokens[0]["last_used_at"].is_string(), "{tokens}");
    let gone = stage.ask(Method::DELETE, "/api/tokens/reader").bearer_auth(&admin).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(stage.get(&reader, "/api/projects").await.status(), StatusCode::UNAUTHORIZED);
    let again = stage.ask(Method::DELETE, "/api/tokens/reader").bearer_auth(&admin).send().await.unwrap();
    assert_eq!(problem(again).await.0, 404);
    let stored: String = sqlx::query_scalar(
        "SELECT (SELECT json_agg(t) FROM syncline.api_token t)::text || (SELECT json_agg(a) FROM syncline.audit a)::text",
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert!(stored.contains("reader") && !stored.contains(&reader[9..]) && !stored.contains(&admin[9..]), "{stored}");
    sqlx::query("UPDATE syncline.api_token SET expires_at = now() - interval '1 second'")
        .execute(db.pool())
        .await
        .unwrap();
    assert_eq!(stage.get(&admin, "/api/tokens").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_does_what_its_scopes_allow_and_no_more() {
    let db = filled(3).await;
    let stage = Stage::new(&db).await;
    let reader = stage.token("reader", &["read"], &[]).await;
    let operator = stage.token("operator", &["operate"], &[]).await;
    let run = stage.json(&reader, "/api/sync/history").await["items"][0]["id"].as_str().unwrap().to_owned();
    for path in ["/api/sync/start", "/api/projects/east/OPS/pause", &format!("/api/sync/history/{run}/retry")] {
        let (status, code, _, advice) = problem(stage.post(&reader, path, json!({"project": "east/OPS"})).await).await;
        assert_eq!((status, code.as_str()), (403, "FORBIDDEN"), "{path}");
        assert!(advice.contains("operate"), "{advice}");
    }
    let paused = stage.post(&operator, "/api/projects/east/OPS/pause", json!({})).await;
    assert_eq!(paused.json::<Value>().await.unwrap()["changed"], true);
    let refused = stage.post(&operator, "/api/sync/start", json!({"project": "east/OPS"})).await;
    assert_eq!(problem(refused).await.0, 409, "it is paused");
    let resumed = stage.post(&operator, "/api/projects/east/OPS/resume", json!({})).await;
    assert!(resumed.json::<Value>().await.unwrap()["next_run_at"].is_string());
    for (method, path) in [(Method::GET, "/api/audit".to_owned()), (Method::DELETE, format!("/api/sync/history/{run}"))]
    {
        let answer = stage.ask(method, &path).bearer_auth(&operator).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn a_token_for_one_project_learns_of_no_other() {
    let db = filled(3).await;
    let stage = Stage::new(&db).await;
    let (east, all) =
        (stage.token("east", &["operate"], &["east/OPS"]).await, stage.token("all", &["read"], &[]).await);
    let mine = stage.json(&east, "/api/sync/history").await;
    assert_eq!((&mine["total"], &stage.json(&all, "/api/sync/history").await["total"]), (&json!(3), &json!(6)));
    assert_eq!(stage.json(&east, "/api/projects").await.as_array().unwrap().len(), 1);
    assert_eq!(stage.json(&east, "/api/sync/stats/summary").await["total"]["runs"], 3);
    let theirs = stage.json(&all, "/api/sync/history?site=west").await["items"][0]["id"].as_str().unwrap().to_owned();
    for tail in ["", "/projects", "/metrics", "/logs", "/progress", "/events"] {
        let answer = stage.get(&east, &format!("/api/sync/history/{theirs}{tail}")).await;
        assert_eq!(problem(answer).await.0, 404, "{tail}");
    }
    for verb in ["cancel", "retry"] {
        let answer = stage.post(&east, &format!("/api/sync/history/{theirs}/{verb}"), json!({})).await;
        assert_eq!(problem(answer).await.0, 404, "{verb}");
    }
    assert_eq!(problem(stage.post(&east, "/api/sync/start", json!({"project": "west/OPS"})).await).await.0, 404);
    assert_eq!(problem(stage.get(&east, "/api/sync/history?project=west/OPS").await).await.0, 404);
    assert_eq!(stage.json(&east, "/api/sync/history?project=OPS").await["total"], 3, "OPS is one project for it");
}

#[tokio::test]
async fn nobody_gives_a_token_more_than_they_have() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let (all, east) = (stage.token("all", &["admin"], &[]).await, stage.token("east", &["admin"], &["east/OPS"]).await);
    let give = async |token: &str, name: &str, body: Value| {
        let mut body = body;
        body["name"] = json!(name);
        stage.post(token, "/api/tokens", body).await
    };
    assert_eq!(problem(give(&all, "a", json!({"scopes": ["replica:restricted"]})).await).await.0, 403);
    assert_eq!(give(&all, "b", json!({"scopes": ["admin"]})).await.status(), StatusCode::CREATED);
    assert_eq!(problem(give(&east, "c", json!({"projects": ["west/OPS"]})).await).await.0, 404);
    let made = give(&east, "d", json!({})).await.json::<Value>().await.unwrap();
    let seen = stage.json(made["token"].as_str().unwrap(), "/api/projects").await;
    assert_eq!((seen.as_array().unwrap().len(), &seen[0]["site"]), (1, &json!("east")));
    for path in ["/api/audit", "/api/tokens"] {
        assert_eq!(problem(stage.get(&east, path).await).await.0, 403, "{path}");
    }
    let started = stage.post(&east, "/api/sync/start", json!({"project": "OPS"})).await;
    assert_eq!(started.status(), StatusCode::ACCEPTED, "OPS is one project for it");
}

#[tokio::test]
async fn the_history_is_paged_through_with_every_run_once() {
    let db = filled(25).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("reader", &["read"], &[]).await;
    let whole = stage.json(&token, "/api/sync/history?limit=100").await;
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((&whole["total"], &whole["next_cursor"]), (&json!(50), &Value::Null));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = stage.json(&token, &format!("/api/sync/history?limit=7{cursor}")).await;
        seen.extend(ids(&page));
        // What comes meanwhile shifts nothing.
        sqlx::query(
            "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, finished_at)
             SELECT syncline.new_id(), id, 'full', 'manual', 'failed', 'bob', now() FROM syncline.project LIMIT 1",
        )
        .execute(db.pool())
        .await
        .unwrap();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "none twice");
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), ids(&whole).iter().collect(), "none left out");
    assert_eq!(ids(&stage.json(&token, "/api/sync/history?limit=7&offset=14&user=ana").await), seen[14..21]);
    let other = stage.get(&token, &format!("/api/sync/history?status=failed{cursor}")).await;
    assert_eq!(problem(other).await.2, "cursor", "a cursor of another question");
}

#[tokio::test]
async fn both_vocabularies_of_states_filter_the_history() {
    let db = filled(9).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("reader", &["read"], &[]).await;
    for (ours, theirs) in
        [("succeeded", "completed"), ("cancelled", "stopped"), ("running", "in_progress"), ("queued", "pending")]
    {
        let page = |status: &str| format!("/api/sync/history?status={status}");
        let (one, other) = (stage.json(&token, &page(ours)).await, stage.json(&token, &page(theirs)).await);
        assert_eq!(one, other, "{ours}");
        for run in one["items"].as_array().unwrap() {
            assert_eq!((run["state"].as_str(), run["status"].as_str()), (Some(ours), Some(theirs)));
        }
    }
    let number =
        async |query: &str| stage.json(&token, &format!("/api/sync/history?{query}")).await["total"].as_i64().unwrap();
    assert_eq!(number("status=failed,stopped").await, 12);
    assert_eq!(number("trigger=scheduled").await, 8);
    assert_eq!(number("user=bob").await, 0);
    assert_eq!(number("q=operations").await, 18);
    assert_eq!(number("q=nothing").await, 0);
    assert_eq!(number("from=2020-01-01&to=2020-02-01T00:00:00Z").await, 0);
    let sum = stage.json(&token, "/api/sync/stats/summary?days=7").await;
    assert_eq!(
        (&sum["total"]["runs"], &sum["total"]["failed"], &sum["total"]["issues"]),
        (&json!(18), &json!(6), &json!(180))
    );
    assert_eq!(sum["success_rate"], 50.0);
    assert_eq!(sum["total"]["average_seconds"], 2.0);
}

#[tokio::test]
async fn bad_input_is_refused_by_its_field() {
    let db = filled(1).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("admin", &["admin"], &[]).await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("offset=10001", "offset"),
        ("offset=-1", "offset"),
        ("cursor=AAAA", "cursor"),
        ("status=unheard", "status"),
        ("kind=partial", "kind"),
        ("trigger=nobody", "trigger"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=2026-02-02&to=2026-02-01", "from"),
        ("colour=red", "colour"),
        ("limit=1&limit=2", "limit"),
    ] {
        let (status, code, found, advice) =
            problem(stage.get(&token, &format!("/api/sync/history?{query}")).await).await;
        assert_eq!((status, code.as_str(), found.as_str()), (400, "INVALID", field), "{query}");
        assert!(!advice.is_empty(), "{query}");
    }
    for (body, field) in [
        (json!({}), "project"),
        (json!({"project": 7}), "project"),
        (json!({"project": "OPS", "ful": true}), "ful"),
        (json!([]), "body"),
        (json!({"project": "OPS"}), "project"),
    ] {
        let (status, _, found, _) = problem(stage.post(&token, "/api/sync/start", body.clone()).await).await;
        assert_eq!((status, found.as_str()), (400, field), "{body}");
    }
    let raw = |kind: &'static str, body: String| {
        stage.ask(Method::POST, "/api/sync/start").bearer_auth(&token).header("content-type", kind).body(body).send()
    };
    assert_eq!(problem(raw("application/json", "{".into()).await.unwrap()).await.0, 400);
    assert_eq!(problem(raw("text/plain", "{}".into()).await.unwrap()).await.0, 415);
    assert_eq!(
        problem(raw("application/json", format!("{{\"project\":\"{}\"}}", "x".repeat(10_000_000))).await.unwrap())
            .await
            .0,
        413
    );
    for (name, scopes, field) in
        [("", json!([]), "name"), ("a\u{7}", json!([]), "name"), ("a", json!(["everything"]), "scopes")]
    {
        let answer = stage.post(&token, "/api/tokens", json!({"name": name, "scopes": scopes})).await;
        assert_eq!(problem(answer).await.2, field);
    }
    assert_eq!(problem(stage.get(&token, "/api/sync/history/7").await).await.2, "id");
    assert_eq!(problem(stage.get(&token, &format!("/api/sync/history/{}", Uuid::nil())).await).await.0, 404);
    assert_eq!(problem(stage.get(&token, "/api/nothing").await).await.0, 404);
    assert_eq!(problem(stage.post(&token, "/api/projects", json!({})).await).await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_followed_to_its_end_and_shown() {
    let rig = Rig::new(Options { issues: 60, ..Options::new(Clock::system()) }).await;
    let worker = rig.worker().await;
    let stage = Stage::new(&rig.db).await;
    let token = stage.token("operator", &["operate"], &[]).await;
    let started = stage.post(&token, "/api/sync/start", json!({"project": rig.projects[0], "full": true})).await;
    assert_eq!(started.status(), StatusCode::ACCEPTED);
    let run = started.json::<Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned();
    let path = format!("/api/sync/history/{run}");
    let events = stage.get(&token, &format!("{path}/events")).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert_eq!(events.headers()["x-accel-buffering"], "no");
    let heard = events.text().await.unwrap();
    let last = heard.trim().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("event: end\n") && last.contains("\"state\":\"succeeded\""), "{heard}");
    let shown = stage.json(&token, &path).await;
    assert_eq!((&shown["status"], &shown["total_issues"]), (&json!("completed"), &shown["issues_seen"]));
    assert_eq!(shown["requested_by"], "token operator");
    assert!(shown["steps_by_kind"].as_array().unwrap().len() > 3, "{shown}");
    let project = stage.json(&token, &format!("{path}/projects")).await;
    assert_eq!((&project[0]["status"], &project[0]["issues_created"]), (&json!("completed"), &shown["issues_created"]));
    let progress = stage.json(&token, &format!("{path}/progress")).await;
    assert_eq!((&progress["percent"], &progress["operation"]), (&json!(100.0), &json!("over")));
    let logs = stage.json(&token, &format!("{path}/logs")).await;
    assert!(!logs["items"].as_array().unwrap().is_empty());
    let none = stage.json(&token, &format!("{path}/logs?level=error&q=no+such+text")).await;
    assert_eq!(none["items"], json!([]));
    let metrics = stage.json(&token, &format!("{path}/metrics")).await;
    assert!(
        metrics["issues_per_second"].as_f64().unwrap() > 0.0 && metrics["requests"].as_i64().unwrap() > 0,
        "{metrics}"
    );
    let (status, code, ..) = problem(stage.post(&token, &format!("{path}/cancel"), json!({})).await).await;
    assert_eq!((status, code.as_str()), (409, "CONFLICT"), "it is over");
    let retried = stage.post(&token, &format!("{path}/retry"), json!({})).await;
    let new = retried.json::<Value>().await.unwrap();
    assert_eq!(
        (&new["retry_of"], rig.ended(new["run_id"].as_str().unwrap().parse().unwrap()).await.as_str()),
        (&json!(run), "succeeded")
    );
    worker.stop().await;
}

#[tokio::test]
async fn what_is_changed_by_the_api_is_in_the_audit() {
    let db = filled(1).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("boss", &["admin"], &[]).await;
    stage.post(&token, "/api/projects/east/OPS/pause", json!({})).await;
    let run = stage.json(&token, "/api/sync/history?site=west").await["items"][0]["id"].as_str().unwrap().to_owned();
    let deleted =
        stage.ask(Method::DELETE, &format!("/api/sync/history/{run}")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(stage.get(&token, &format!("/api/sync/history/{run}")).await.status(), StatusCode::NOT_FOUND);
    let started = stage.post(&token, "/api/sync/start", json!({"project": "west/OPS"})).await;
    let started = started.json::<Value>().await.unwrap();
    let queued = started["run_id"].as_str().unwrap_or_else(|| panic!("{started}"));
    let cancelled = stage.post(&token, &format!("/api/sync/history/{queued}/cancel"), json!({})).await;
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    let audit = stage.json(&token, "/api/audit?limit=4").await;
    let entries = audit["items"].as_array().unwrap();
    let words =
        |one: &Value, names: &[&str]| names.iter().map(|name| one[*name].as_str().unwrap().to_owned()).collect();
    let found: Vec<Vec<String>> =
        entries.iter().map(|one| words(one, &["way", "address", "action", "subject"])).collect();
    let by = |action: &str, subject: &str| ["token", "127.0.0.1", action, subject].map(str::to_owned).to_vec();
    let expected = [
        by("run.cancel", "west/OPS"),
        by("sync.request", "west/OPS"),
        by("run.delete", &run),
        by("project.pause", "east/OPS"),
    ];
    assert_eq!(found, expected);
    assert_eq!(entries[0]["actor"], "token boss");
    assert_eq!(entries[1]["details"]["requested_by"], "token boss");
    let older = stage.json(&token, &format!("/api/audit?cursor={}", audit["next_cursor"])).await;
    assert_eq!((&older["items"][0]["action"], &older["items"][0]["way"]), (&json!("token.create"), &json!("cli")));
    assert_eq!(stage.json(&token, "/api/audit?action=run").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let db = filled(2).await;
    let stage = Stage::new(&db).await;
    let token = stage.token("reader", &["read"], &[]).await;
    let first = stage.get(&token, "/api/sync/history").await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let again = |tag: String| {
        stage.ask(Method::GET, "/api/sync/history").bearer_auth(&token).header("if-none-match", tag).send()
    };
    let same = again(tag.clone()).await.unwrap();
    assert_eq!((same.status(), same.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, tag.as_str()));
    assert!(same.bytes().await.unwrap().is_empty());
    sqlx::query("UPDATE syncline.sync_run SET issues_seen = 11").execute(db.pool()).await.unwrap();
    assert_eq!(again(tag).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn without_tokens_only_this_machine_gets_in() {
    let db = filled(1).await;
    let stage =
        Stage::with(&db, ServeConfig { auth: ServeAuth::None, base_path: "/jira".into(), ..ServeConfig::default() })
            .await;
    let ask = |host: Option<&'static str>, origin: Option<&'static str>| {
        let request = stage.ask(Method::GET, "/jira/api/projects");
        let request = host.map_or(request.try_clone().unwrap(), |host| request.header("host", host));
        origin.map_or(request.try_clone().unwrap(), |origin| request.header("origin", origin)).send()
    };
    let own = ask(None, None).await.unwrap();
    assert_eq!(own.status(), StatusCode::OK);
    assert_eq!(own.headers()["x-content-type-options"], "nosniff");
    assert_eq!(problem(ask(Some("evil.example"), None).await.unwrap()).await.0, 403);
    assert_eq!(problem(ask(None, Some("https://evil.example")).await.unwrap()).await.0, 403);
    let everywhere =
        ServeConfig { auth: ServeAuth::None, address: ([0, 0, 0, 0], 8080).into(), ..ServeConfig::default() };
    assert!(everywhere.check().unwrap_err().contains("serve.auth"));
    assert_eq!(stage.ask(Method::GET, "/api/projects").send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[test]
fn the_description_of_the_api_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let written = api::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == written, "docs/openapi.json is old: UPDATE_DOCS=1");
    let document: Value = serde_json::from_str(&written).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
            assert!(operation["responses"]["4XX"].is_object(), "{method} {path} refuses nothing");
        }
    }
}

#[tokio::test]
async fn the_api_serves_its_own_description() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let served: Value = stage.ask(Method::GET, "/api/openapi.json").send().await.unwrap().json().await.unwrap();
    assert_eq!(served, serde_json::to_value(api::document()).unwrap());
}

#[tokio::test]
async fn alerts_and_settings_are_handled_by_rest() {
    let db = filled(0).await;
    let stage = Stage::new(&db).await;
    let (admin, reader) = (stage.token("boss", &["admin"], &[]).await, stage.token("eye", &["read"], &[]).await);
    let id: Uuid = sqlx::query_scalar(
        r#"INSERT INTO syncline.alert (id, key, scope, scope_kind, class, category, severity, state, details, opened_at, held_since, seen_at)
           VALUES (syncline.new_id(), 'k', '{"scope": "system"}', 'system', 'DATABASE', 'internal', 'error', 'open', '{}', now(), now(), now())
           RETURNING id"#,
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    let listed = stage.json(&reader, "/api/alerts").await;
    assert_eq!(listed["items"][0]["id"], json!(id));
    let path = |act: &str| format!("/api/alerts/{id}/{act}");
    assert_eq!(problem(stage.post(&reader, &path("acknowledge"), json!({})).await).await.0, 403);
    let taken = stage.post(&admin, &path("acknowledge"), json!({ "note": "mine" })).await;
    let taken: Value = taken.json().await.unwrap();
    assert_eq!((&taken["acknowledged_by"], &taken["note"]), (&json!("token boss"), &json!("mine")));
    let (status, _, field, _) = problem(stage.post(&admin, &path("silence"), json!({ "seconds": 0 })).await).await;
    assert_eq!((status, field.as_str()), (400, "seconds"));
    let silent: Value = stage.post(&admin, &path("silence"), json!({ "seconds": 60 })).await.json().await.unwrap();
    assert!(silent["silenced_until"].is_string(), "{silent}");
    assert_eq!(stage.post(&admin, &path("resolve"), json!({})).await.status(), StatusCode::OK);
    let story = stage.json(&reader, &format!("/api/alerts/{id}")).await;
    let events: Vec<_> = story["events"].as_array().unwrap().iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["acknowledged", "silenced", "closed"]);

    let change = |token: &str, query: &str, body: Value| {
        stage.ask(Method::PATCH, &format!("/api/settings{query}")).bearer_auth(token).json(&body).send()
    };
    let set = change(&admin, "?project=east/OPS", json!([{ "key": "page_size", "value": 50 }])).await.unwrap();
    assert_eq!(set.status(), StatusCode::OK);
    let value = async |query: &str| {
        let all = stage.json(&reader, &format!("/api/settings{query}")).await;
        let found = all.as_array().unwrap().iter().find(|one| one["key"] == "page_size").unwrap().clone();
        (found["value"].as_f64().unwrap(), found["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(value("?project=east/OPS").await, (50.0, "project".to_owned()));
    assert_eq!(value("?project=west/OPS").await, (100.0, "default".to_owned()));
    for (body, name) in [
        (json!([{ "key": "page_sise", "value": 1 }]), "key"),
        (json!([{ "key": "page_size", "value": 0 }]), "page_size"),
        (json!([{ "key": "workers", "value": 4 }]), "workers"),
    ] {
        let (status, _, field, _) = problem(change(&admin, "?project=east/OPS", body).await.unwrap()).await;
        assert_eq!((status, field.as_str()), (400, name));
    }
    let removed = change(&admin, "?project=east/OPS", json!([{ "key": "page_size", "value": null }])).await.unwrap();
    assert_eq!(removed.status(), StatusCode::OK);
    assert_eq!(value("?project=east/OPS").await, (100.0, "default".to_owned()));
    let times = stage.json(&reader, "/api/schedule/preview?cron=0%206%20*%20*%20*&count=2").await;
    assert_eq!(times.as_array().unwrap().len(), 2);
}
