//! The console over plain HTTP: every page, every link, what is escaped, what is refused. What needs a browser is in
//! `console_browser.rs`.

use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret;
use sqlx::AssertSqlSafe;
use syncline::api::Server;
use syncline::app::account;
use syncline::app::token::{self, NewOne};
use syncline::app::{Actor, App};
use syncline::clock::Clock;
use syncline::config::{ServeAuth, ServeConfig, SyncConfig};
use syncline::console;

use crate::support::TestDb;

/// Pages that everybody who may read sees.
pub const PAGES: [&str; 20] = [
    "/",
    "/history",
    "/projects",
    "/projects/east/OPS",
    "/alerts",
    "/alerts?state=all",
    "/insights",
    "/insights?project=east/OPS",
    "/issues",
    "/issues?q=ops&project=east/OPS",
    "/issues/east/OPS-1",
    "/settings",
    "/settings?scope=east/OPS",
    "/queue",
    "/sites",
    "/sites/east/webhooks",
    "/sites/east/webhooks?outcome=read&issue=OPS-1",
    "/start",
    "/go?q=ops",
    "/keys",
];
/// Pages for administrators.
pub const GUARDED: [&str; 2] = ["/audit", "/access"];

/// A served console.
pub struct Stage {
    app: App,
    server: Server,
    client: reqwest::Client,
    base: String,
}

impl Stage {
    /// On this machine, where nobody is asked who they are.
    pub async fn new(db: &TestDb) -> Self {
        Self::with(db, ServeConfig { auth: ServeAuth::None, ..ServeConfig::default() }).await
    }

    /// With another configuration.
    pub async fn with(db: &TestDb, config: ServeConfig) -> Self {
        let config = ServeConfig { address: ([127, 0, 0, 1], 0).into(), ..config };
        let app = App::new(db.pool().clone().into(), Clock::system());
        let server = console::serve(app.clone(), &config, &SyncConfig::default()).await.unwrap();
        let client = syncline::tls::client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { app, server, client, base: config.base_path.clone() }
    }

    /// The address of a page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.server.address(), self.base)
    }

    fn ask(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    pub async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.ask(Method::POST, path).header("origin", self.origin()).body(encoded(form)).send().await.unwrap()
    }

    fn origin(&self) -> String {
        format!("http://{}", self.server.address())
    }

    async fn token(&self, name: &str, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let asked = NewOne { name: name.into(), scopes, ..NewOne::default() };
        token::create(&self.app, &Actor::cli("ana"), &asked).await.unwrap().expose_secret().to_owned()
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

pub fn location(answer: &Response) -> String {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// A site with a project and runs that ended in every way; the project's name is what an attacker would call it.
pub async fn filled() -> TestDb {
    let db = TestDb::new().await;
    sqlx::raw_sql(AssertSqlSafe(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         VALUES (syncline.new_id(), 'east', 'http://127.0.0.1:9', 'a@b', 'env:NONE');
         INSERT INTO syncline.project (id, site_id, key, name)
         SELECT syncline.new_id(), id, 'OPS', '<script>alert(1)</script>' FROM syncline.site;
         INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at, issues_seen, error_code, error_message)
         SELECT syncline.new_id(), p.id, 'incremental', 'schedule', s, 'schedule', t, t, t + interval '2 seconds', 10,
                CASE s WHEN 'failed' THEN 'TOKEN_EXPIRED' END, CASE s WHEN 'failed' THEN 'Jira answers 401 <b>' END
           FROM syncline.project p, generate_series(1, 120) n,
                LATERAL (SELECT now() - make_interval(mins => n) AS t, (ARRAY['succeeded', 'failed', 'cancelled'])[1 + n % 3] AS s) x;
         INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, error_code, error_message, finished_at)
         SELECT syncline.new_id(), NULL, 'control', 'deliver_alert', n::text, 'dead', CASE n % 2 WHEN 0 THEN 'TIMEOUT' ELSE 'SERVER_ERROR' END, 'gone', now()
           FROM generate_series(1, 6) n;
         INSERT INTO syncline.alert (id, key, scope, scope_kind, class, category, severity, state, details, opened_at, held_since, seen_at)
         VALUES (syncline.new_id(), 'k', '{\"scope\": \"system\"}', 'system', 'TOKEN_EXPIRED', 'authentication', 'critical', 'open',
                 '{}', now(), now(), now());
         INSERT INTO syncline.issue (site_id, id, project_id, key, summary, description, issue_type, status, status_category, created_at,
                updated_at, content_hash, synced_at)
         SELECT site_id, 1, id, 'OPS-1', '<script>alert(1)</script>', 'Line one', 'Bug', 'Open', 'new', now(), now(), '', now()
           FROM syncline.project;
         INSERT INTO syncline.webhook_event (site_id, delivery, kind, issue_id, issue_key, verified, outcome, read_at)
         SELECT id, '<b>', 'jira:issue_updated', 1, 'OPS-1', 'hmac', 'read', now() FROM syncline.site;
         INSERT INTO syncline.comment (site_id, id, issue_id, body, created_at, updated_at, content_hash, restricted_to)
         SELECT site_id, n, 1, 'Comment ' || n, now(), now(), '', CASE n WHEN 2 THEN 'Admins' END
           FROM syncline.project, generate_series(1, 2) n;"
            .to_owned(),
    ))
    .execute(db.pool())
    .await
    .unwrap();
    db
}

async fn run(db: &TestDb, state: &str) -> String {
    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM syncline.sync_run WHERE state = $1 ORDER BY created_at DESC LIMIT 1")
            .bind(state)
            .fetch_one(db.pool())
            .await
            .unwrap();
    id.to_string()
}

/// What the attributes `href` and `src` of a page name within the console.
fn links(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in ["href=\"", "src=\""] {
        for part in page.split(name).skip(1) {
            let link = part.split('"').next().unwrap_or("").replace("&amp;", "&").replace("&#38;", "&");
            if link.starts_with('/') {
                found.insert(link.split('#').next().unwrap_or("").to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn every_page_opens_and_every_link_leads_somewhere() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let failed = run(&db, "failed").await;
    let mut pages: Vec<String> = PAGES.iter().chain(&GUARDED).map(|page| (*page).to_owned()).collect();
    for tab in ["", "?tab=steps", "?tab=logs", "?tab=errors"] {
        pages.push(format!("/runs/{failed}{tab}"));
    }
    pages.extend([format!("/runs/{failed}/delete"), format!("/runs/{failed}/retry"), "/queue?code=TIMEOUT".into()]);
    let mut linked = BTreeSet::new();
    for path in &pages {
        let answer = stage.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        let page = answer.text().await.unwrap();
        assert!(page.len() < 120_000, "{path} has {} bytes", page.len());
        for within in [" style=", "<style", " onclick", "javascript:"] {
            assert!(!page.contains(within), "{path} holds {within}");
        }
        linked.extend(links(&page));
    }
    assert!(linked.len() > 15, "{linked:?}");
    for link in linked {
        let status = stage.get(&link).await.status();
        assert_eq!(status, StatusCode::OK, "{link}");
    }
}

#[tokio::test]
async fn a_hostile_name_stays_text() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    for path in [
        "/",
        "/projects",
        "/projects/east/OPS",
        "/start",
        "/issues",
        "/issues/east/OPS-1",
        "/history?q=%3Cscript%3Ealert(2)%3C/script%3E",
        "/go?q=%3Cscript%3E",
    ] {
        let page = stage.text(path).await;
        assert!(!page.contains("<script>"), "{path}");
        assert!(
            path.contains("history") || path.contains("go") || page.contains("alert(1)"),
            "{path} does not show the name"
        );
    }
    assert!(!stage.text(&format!("/runs/{}", run(&db, "failed").await)).await.contains("401 <b>"));
}

#[tokio::test]
async fn the_history_is_filtered_by_its_address() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let page = stage.text("/history?status=failed&code=TOKEN_EXPIRED").await;
    assert!(page.contains("40 runs") && page.contains("TOKEN_EXPIRED"), "{page}");
    let next = links(&stage.text("/history").await);
    assert!(next.is_empty() || next.iter().all(|link| !link.is_empty()));
    let first = stage.text("/history?status=cancelled,failed").await;
    let older =
        first.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap().split('"').next().unwrap();
    let second = stage.text(&format!("/history{}", older.replace("&amp;", "&").replace("&#38;", "&"))).await;
    assert!(second.contains("30 of 80"), "the second page holds the rest");
    let wrong = stage.text("/history?from=yesterday").await;
    assert!(wrong.contains("from is not a day") && wrong.contains("value=\"yesterday\""), "what was typed stays");
    let csv = stage.get("/history/export.csv?status=failed").await;
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.text().await.unwrap().lines().count(), 41);
}

#[tokio::test]
async fn acts_answer_with_a_redirect_and_stand_in_the_audit() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    assert_eq!(location(&stage.post("/projects/east/OPS/pause", &[]).await), "/projects/east/OPS?said=paused");
    assert!(stage.text("/projects/east/OPS?said=paused").await.contains("The project is paused"));
    assert_eq!(location(&stage.post("/projects/east/OPS/resume", &[]).await), "/projects/east/OPS?said=resumed");
    let retried = location(&stage.post(&format!("/runs/{}/retry", run(&db, "failed").await), &[]).await);
    assert!(retried.starts_with("/runs/") && retried.ends_with("?said=retried"), "{retried}");
    let new = retried.trim_start_matches("/runs/").trim_end_matches("?said=retried");
    assert!(stage.text(&format!("/runs/{new}/cancel")).await.contains("Cancel the run of east/OPS?"));
    let cancelled = location(&stage.post(&format!("/runs/{new}/cancel"), &[]).await);
    assert_eq!(cancelled, format!("/runs/{new}?said=cancelling"), "its first step is ready already");
    let gone = run(&db, "succeeded").await;
    assert_eq!(location(&stage.post(&format!("/runs/{gone}/delete"), &[]).await), "/history?said=deleted");
    assert_eq!(
        location(&stage.post("/sites", &[("site", "east"), ("max_concurrency", "2")]).await),
        "/sites?said=saved"
    );
    let audit = stage.text("/audit").await;
    for action in ["project.pause", "project.resume", "run.retry", "run.cancel", "run.delete", "site."] {
        assert!(audit.contains(action), "{action} is not in the audit");
    }
    let over = stage.post(&format!("/runs/{}/cancel", run(&db, "failed").await), &[]).await;
    assert_eq!(over.status(), StatusCode::CONFLICT);
    assert!(over.text().await.unwrap().contains("is over already"));
}

#[tokio::test]
async fn several_runs_are_told_before_they_are_touched() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let (failed, cancelled) = (run(&db, "failed").await, run(&db, "cancelled").await);
    let chosen = [("bulk", "delete"), ("id", failed.as_str()), ("id", cancelled.as_str()), ("back", "status=failed")];
    let asked = stage.post("/history/bulk", &chosen).await;
    assert_eq!(asked.status(), StatusCode::OK);
    assert!(asked.text().await.unwrap().contains("Delete 2 runs?"));
    let sure = [&chosen[..], &[("sure", "1")]].concat();
    assert_eq!(location(&stage.post("/history/bulk", &sure).await), "/history?status=failed&said=bulk");
    assert_eq!(stage.get(&format!("/runs/{failed}")).await.status(), StatusCode::NOT_FOUND);
    let all = stage.post("/history/bulk", &[("bulk", "retry"), ("all", "1"), ("back", "status=failed")]).await;
    assert!(all.text().await.unwrap().contains("Retry 39 runs?"), "all that match the filter");
    assert_eq!(stage.post("/history/bulk", &[("bulk", "retry")]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn dead_steps_of_one_cause_come_back_together() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    assert!(stage.text("/queue?code=TIMEOUT").await.contains("all 3 of TIMEOUT"));
    let brought = stage.post("/queue/requeue", &[("all", "1"), ("code", "TIMEOUT")]).await;
    assert_eq!(location(&brought), "/queue?said=requeued#dead");
    let states = |state: &'static str| {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM syncline.sync_step WHERE state = $1")
            .bind(state)
            .fetch_one(db.pool())
    };
    assert_eq!((states("ready").await.unwrap(), states("dead").await.unwrap()), (3, 3));
    let given_up = stage.post("/queue/discard", &[("all", "1")]).await;
    assert_eq!(location(&given_up), "/queue?said=discarded#dead");
    assert_eq!((states("dead").await.unwrap(), states("cancelled").await.unwrap()), (0, 3));
    let audit = stage.text("/audit?action=queue").await;
    assert!(audit.contains("queue.requeue") && audit.contains("queue.discard"));
}

#[tokio::test]
async fn a_forged_form_is_refused() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    for (name, value) in
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("host", "evil.example")]
    {
        let answer = stage.ask(Method::POST, "/projects/east/OPS/pause").header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
    }
    let state: String = sqlx::query_scalar("SELECT state FROM syncline.project").fetch_one(db.pool()).await.unwrap();
    assert_eq!(state, "active");
}

#[tokio::test]
async fn a_new_token_is_shown_once() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let made = stage.post("/access", &[("name", "grafana"), ("scope", "read")]).await.text().await.unwrap();
    let secret = made.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(secret.starts_with("syncline_"), "{secret}");
    let after = stage.text("/access").await;
    assert!(after.contains("grafana") && !after.contains(&secret));
    let again = stage.post("/access", &[("name", "grafana"), ("days", "30")]).await.text().await.unwrap();
    assert!(again.contains("exists") && again.contains("value=\"30\""), "what was typed stays");
    let id = after.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(location(&stage.post("/access/revoke", &[("id", id)]).await), "/access?said=revoked");
    assert!(stage.text("/access").await.contains("No token yet"));
}

#[tokio::test]
async fn who_may_only_read_is_told_so() {
    let db = filled().await;
    let stage = Stage::with(&db, ServeConfig::default()).await;
    let reader = stage.token("reader", &["read", "replica"]).await;
    let as_reader = |method: Method, path: &str| stage.ask(method, path).bearer_auth(&reader).send();
    for path in PAGES {
        assert_eq!(as_reader(Method::GET, path).await.unwrap().status(), StatusCode::OK, "{path}");
    }
    for path in GUARDED {
        let refused = as_reader(Method::GET, path).await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(refused.text().await.unwrap().contains("use a token with the scope admin"), "{path}");
    }
    let refused = as_reader(Method::POST, "/projects/east/OPS/pause").await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let page = as_reader(Method::GET, "/projects/east/OPS").await.unwrap().text().await.unwrap();
    assert!(!page.contains("/pause") && page.contains("scope <code>operate</code>"));
}

#[tokio::test]
async fn strangers_sign_in_and_come_to_where_they_wanted() {
    let db = filled().await;
    let stage = Stage::with(&db, ServeConfig { base_path: "/jira".into(), ..ServeConfig::default() }).await;
    let sent = location(&stage.get("/history?status=failed").await);
    assert_eq!(sent, "/jira/sign-in?next=%2Fjira%2Fhistory%3Fstatus%3Dfailed");
    let form = stage.get(sent.strip_prefix("/jira").unwrap()).await.text().await.unwrap();
    assert!(form.contains("value=\"/jira/history?status=failed\""), "{form}");
    let ana = account::NewOne {
        name: "ana".into(),
        role: Some("operator".into()),
        password: Some("a long pass phrase".to_owned().into()),
        ..account::NewOne::default()
    };
    account::create(&stage.app, &Actor::cli("root"), &ana).await.unwrap();
    let wrong = stage.post("/sign-in", &[("name", "ana"), ("password", "no"), ("next", "/jira/history")]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(wrong.text().await.unwrap().contains("value=\"ana\""), "the name stays");
    let right =
        stage.post("/sign-in", &[("name", "ana"), ("password", "a long pass phrase"), ("next", "/jira/history")]).await;
    assert_eq!(location(&right), "/jira/history");
    let cookie = right.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let signed = |method: Method, path: &str| stage.ask(method, path).header("cookie", &cookie);
    assert!(signed(Method::GET, "/history").send().await.unwrap().text().await.unwrap().contains("Account of ana"));
    for (origin, status) in [("https://evil.example", StatusCode::FORBIDDEN), (&stage.origin(), StatusCode::SEE_OTHER)]
    {
        let asked = signed(Method::POST, "/projects/east/OPS/pause").header("origin", origin).send().await.unwrap();
        assert_eq!(asked.status(), status, "{origin}");
    }
    let out = signed(Method::POST, "/sign-out").header("origin", stage.origin()).send().await.unwrap();
    assert_eq!(location(&out), "/jira/sign-in");
    assert_eq!(
        signed(Method::GET, "/history").send().await.unwrap().status(),
        StatusCode::SEE_OTHER,
        "the session is over"
    );
    let elsewhere = stage.text("/sign-in?next=https://evil.example").await;
    assert!(elsewhere.contains("name=\"next\" value=\"/jira/\""));
}

#[tokio::test]
async fn below_a_base_path_everything_stands_there() {
    let db = filled().await;
    let stage =
        Stage::with(&db, ServeConfig { auth: ServeAuth::None, base_path: "/jira".into(), ..ServeConfig::default() })
            .await;
    for link in links(&stage.text("/").await) {
        assert!(link.starts_with("/jira/"), "{link}");
        assert_eq!(
            stage.client.get(format!("{}{link}", stage.origin())).send().await.unwrap().status(),
            StatusCode::OK,
            "{link}"
        );
    }
    let paused = stage.post("/projects/east/OPS/pause", &[]).await;
    assert_eq!(location(&paused), "/jira/projects/east/OPS?said=paused");
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    for path in ["/nothing", "/runs/00000000-0000-7000-8000-000000000000", "/projects/east/NOPE", "/assets/no.css"] {
        assert_eq!(stage.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(stage.get("/runs/xyz").await.status(), StatusCode::BAD_REQUEST);
    let api = stage.get("/api/nothing").await;
    assert_eq!(
        (api.status(), api.headers()["content-type"].to_str().unwrap()),
        (StatusCode::NOT_FOUND, "application/problem+json")
    );
    assert_eq!(stage.get("/projects/east/OPS/pause").await.status(), StatusCode::NOT_FOUND, "an act is no page");
}

#[tokio::test]
async fn an_empty_installation_says_how_to_begin() {
    let db = TestDb::new().await;
    let stage = Stage::new(&db).await;
    assert!(stage.text("/").await.contains("syncline site add"));
    for (path, text) in [
        ("/history", "No run yet"),
        ("/projects", "No project yet"),
        ("/queue", "No step is dead"),
        ("/sites", "No site yet"),
    ] {
        assert!(stage.text(path).await.contains(text), "{path}");
    }
}

#[tokio::test]
async fn assets_are_kept_and_change_their_address() {
    let db = TestDb::new().await;
    let stage = Stage::new(&db).await;
    let page = stage.text("/").await;
    let assets: Vec<_> = links(&page).into_iter().filter(|link| link.starts_with("/assets/")).collect();
    assert_eq!(assets.len(), 4, "{assets:?}");
    for asset in assets {
        let answer = stage.get(&asset).await;
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable", "{asset}");
        assert!(!answer.bytes().await.unwrap().is_empty());
    }
}
