//! People who sign in: what they are told, what their browser keeps, what their role allows, and how it ends.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use syncline::api::{self, Server};
use syncline::app::account::{self, NewOne};
use syncline::app::{Actor, App, session, token};
use syncline::clock::Clock;
use syncline::config::{ServeConfig, SyncConfig};
use uuid::Uuid;

use crate::support::TestDb;
use crate::support::command::{ask, command, json as data, refuses, succeeds, words};

const PASSWORD: &str = "correct horse battery";

/// A server with accounts.
struct Stage {
    db: TestDb,
    app: App,
    server: Server,
    client: reqwest::Client,
}

impl Stage {
    async fn new(accounts: &[(&str, &str)]) -> Self {
        Self::with(accounts, ServeConfig::default()).await
    }

    async fn with(accounts: &[(&str, &str)], config: ServeConfig) -> Self {
        let db = TestDb::new().await;
        sqlx::raw_sql(
            "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
             VALUES (syncline.new_id(), 'acme', 'http://127.0.0.1:9', 'a@b', 'env:NONE');
             INSERT INTO syncline.project (id, site_id, key, name)
             SELECT syncline.new_id(), id, k, k FROM syncline.site, unnest(ARRAY['OPS', 'APP']) k",
        )
        .execute(db.pool())
        .await
        .unwrap();
        let config = ServeConfig { address: ([127, 0, 0, 1], 0).into(), ..config };
        let app = App::new(db.pool().clone().into(), Clock::system());
        let server = api::serve(app.clone(), &config, &SyncConfig::default()).await.unwrap();
        let stage = Self { db, app, server, client: syncline::tls::client().build().unwrap() };
        for (name, role) in accounts {
            let new = NewOne {
                name: (*name).to_owned(),
                role: Some((*role).to_owned()),
                password: Some(SecretString::from(PASSWORD)),
                ..NewOne::default()
            };
            account::create(&stage.app, &Actor::cli("ana"), &new).await.unwrap();
        }
        stage
    }

    fn host(&self) -> String {
        self.server.address().to_string()
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.host()))
    }

    async fn tries(&self, name: &str, password: &str) -> Response {
        self.ask(Method::POST, "/api/session").json(&json!({"name": name, "password": password})).send().await.unwrap()
    }

    /// Signs in; what the browser keeps.
    async fn signs_in(&self, name: &str) -> Browser<'_> {
        let answer = self.tries(name, PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::OK, "{name}");
        let kept = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        Browser { stage: self, cookie: kept.split(';').next().unwrap().to_owned() }
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.db.pool()).await.unwrap();
    }

    async fn audit(&self) -> Vec<(String, String, Option<String>, String)> {
        sqlx::query_as("SELECT actor, action, way, subject FROM syncline.audit ORDER BY id")
            .fetch_all(self.db.pool())
            .await
            .unwrap()
    }
}

/// Somebody who is signed in.
struct Browser<'a> {
    stage: &'a Stage,
    cookie: String,
}

impl Browser<'_> {
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.stage.ask(method, path).header("cookie", &self.cookie)
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header("origin", format!("http://{}", self.stage.host()))
    }

    async fn status(&self, method: Method, path: &str, body: Value) -> u16 {
        self.ask(method, path).json(&body).send().await.unwrap().status().as_u16()
    }

    async fn who(&self) -> Option<Value> {
        let answer = self.ask(Method::GET, "/api/session").send().await.unwrap();
        (answer.status() == StatusCode::OK).then_some(answer)?.json().await.unwrap()
    }
}

async fn problem(answer: Response) -> (u16, Value) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn who_signs_in_is_known_by_a_cookie_until_they_sign_out() {
    let stage = Stage::new(&[("Ana", "operator")]).await;
    let answer = stage.tries("ana", PASSWORD).await;
    let kept = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(kept.starts_with("syncline_session="), "{kept}");
    for flag in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=604800"] {
        assert!(kept.contains(flag), "{kept} lacks {flag}");
    }
    let said: Value = answer.json().await.unwrap();
    assert_eq!((&said["name"], &said["role"], &said["way"]), (&json!("Ana"), &json!("operator"), &json!("session")));
    assert_eq!((&said["scopes"], &said["projects"]), (&json!(["read", "replica", "operate"]), &Value::Null));
    let ana = stage.signs_in("ana").await;
    assert_eq!(ana.who().await.unwrap()["name"], "Ana");
    let paused = ana.ask(Method::POST, "/api/projects/acme/OPS/pause").send().await.unwrap();
    assert_eq!(paused.status(), StatusCode::OK);
    let out = ana.ask(Method::DELETE, "/api/session").send().await.unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    assert!(out.headers()["set-cookie"].to_str().unwrap().starts_with("syncline_session=; Path=/; Max-Age=0;"));
    assert!(ana.who().await.is_none());
    let by_session: Vec<_> =
        stage.audit().await.into_iter().filter(|one| one.2.as_deref() == Some("session")).collect();
    let entry = |action: &str, subject: &str| ("Ana".into(), action.into(), Some("session".into()), subject.into());
    let begin = || entry("session.begin", "Ana");
    assert_eq!(by_session, [begin(), begin(), entry("project.pause", "acme/OPS"), entry("session.end", "Ana")]);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_answered_alike() {
    let stage = Stage::new(&[("ana", "viewer"), ("bo", "viewer")]).await;
    stage.sql("UPDATE syncline.account SET disabled_at = now() WHERE name = 'bo'").await;
    stage
        .sql(
            "INSERT INTO syncline.account (id, name, role, created_by) VALUES (syncline.new_id(), 'cy', 'viewer', 'x')",
        )
        .await;
    let mut answers: Vec<(Value, Duration)> = Vec::new();
    for (name, password) in
        [("ana", "wrong password"), ("dee", PASSWORD), ("bo", PASSWORD), ("cy", PASSWORD), ("a\0b", PASSWORD)]
    {
        // The quickest of several says what the work is; a machine that is busy makes single ones slower.
        let mut quickest = Duration::MAX;
        let mut last = Value::Null;
        for _ in 0..4 {
            let began = Instant::now();
            let answer = stage.tries(name, password).await;
            quickest = quickest.min(began.elapsed());
            assert!(answer.headers().get("set-cookie").is_none());
            let (status, said) = problem(answer).await;
            assert_eq!(status, 401, "{name}");
            last = said;
        }
        answers.push((last, quickest));
    }
    for (said, took) in &answers {
        assert_eq!(said, &answers[0].0);
        // The work of a hash is done for each of them; without it an answer takes a tenth of this.
        assert!(took.as_secs_f64() > answers[0].1.as_secs_f64() / 4.0, "{answers:?}");
    }
}

#[tokio::test]
async fn tries_of_an_account_and_of_an_address_are_limited() {
    let stage = Stage::new(&[("ana", "viewer"), ("bo", "viewer")]).await;
    for _ in 0..session::TRIES_OF_ACCOUNT {
        assert_eq!(stage.tries("ana", "wrong").await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = stage.tries("ANA", PASSWORD).await;
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
    let (status, said) = problem(refused).await;
    assert_eq!((status, &said["code"]), (429, &json!("LIMITED")));
    stage.tries("ana", PASSWORD).await;
    let noted: Vec<_> = stage.audit().await.into_iter().filter(|one| one.1 == "session.limit").collect();
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!(noted[0].3, "account:ana");
    // Others sign in, until the address has tried too often.
    stage.signs_in("bo").await;
    stage.sql("UPDATE syncline.sign_in_attempt SET tries = 50 WHERE key = 'address:127.0.0.1'").await;
    assert_eq!(stage.tries("bo", PASSWORD).await.status(), StatusCode::TOO_MANY_REQUESTS);
    stage.sql("UPDATE syncline.sign_in_attempt SET since = now() - interval '16 minutes'").await;
    stage.signs_in("ana").await;
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM syncline.sign_in_attempt ORDER BY key")
        .fetch_all(stage.db.pool())
        .await
        .unwrap();
    assert_eq!(left, ["address:127.0.0.1"], "a success forgets the tries of the account alone");
}

#[tokio::test]
async fn tries_at_the_same_time_are_all_counted() {
    let stage = Stage::new(&[("ana", "viewer")]).await;
    let all = futures::future::join_all((0..30).map(|_| stage.tries("ana", "wrong"))).await;
    let refused = all.iter().filter(|answer| answer.status() == StatusCode::UNAUTHORIZED).count();
    assert_eq!(refused, usize::try_from(session::TRIES_OF_ACCOUNT).unwrap());
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_over_or_ended() {
    let stage = Stage::new(&[("ana", "viewer"), ("root", "administrator")]).await;
    let ana = stage.signs_in("ana").await;
    stage.sql("UPDATE syncline.session SET last_seen_at = now() - interval '11 hours 59 minutes'").await;
    assert!(ana.who().await.is_some());
    let seen: bool = sqlx::query_scalar("SELECT last_seen_at > now() - interval '1 minute' FROM syncline.session")
        .fetch_one(stage.db.pool())
        .await
        .unwrap();
    assert!(seen, "it was used just now");
    stage.sql("UPDATE syncline.session SET last_seen_at = now() - interval '12 hours 1 minute'").await;
    assert!(ana.who().await.is_none());
    let ana = stage.signs_in("ana").await;
    let days: f64 =
        sqlx::query_scalar("SELECT extract(epoch FROM max(ends_at) - now())::float8 / 86400 FROM syncline.session")
            .fetch_one(stage.db.pool())
            .await
            .unwrap();
    assert!((6.99..=7.0).contains(&days), "{days}");
    stage.sql("UPDATE syncline.session SET ends_at = now() - interval '1 second'").await;
    let over = ana.ask(Method::GET, "/api/session").send().await.unwrap();
    assert!(problem(over).await.1["advice"].as_str().unwrap().contains("sign in again"));
    // An administrator sees who is signed in, and ends it.
    let (ana, root) = (stage.signs_in("ana").await, stage.signs_in("root").await);
    let listed: Value = root.ask(Method::GET, "/api/sessions").send().await.unwrap().json().await.unwrap();
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| (one["account"].as_str().unwrap(), &one["current"])).collect();
    assert_eq!(names, [("root", &json!(true)), ("ana", &json!(false))]);
    let id = listed[1]["id"].as_str().unwrap();
    assert_eq!(root.status(Method::DELETE, &format!("/api/sessions/{id}"), json!({})).await, 204);
    assert!(ana.who().await.is_none());
    assert_eq!(root.status(Method::DELETE, &format!("/api/sessions/{id}"), json!({})).await, 404);
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM syncline.session").fetch_one(stage.db.pool()).await.unwrap();
    assert_eq!(rows, 1, "what was over is gone with the next sign-in");
}

#[tokio::test]
async fn everybody_sees_and_ends_their_own_sessions_alone() {
    let stage = Stage::new(&[("ana", "viewer"), ("bo", "operator")]).await;
    let (first, second, bo) = (stage.signs_in("ana").await, stage.signs_in("ana").await, stage.signs_in("bo").await);
    let of = async |browser: &Browser<'_>| -> Vec<Value> {
        browser.ask(Method::GET, "/api/sessions").send().await.unwrap().json().await.unwrap()
    };
    assert!(of(&first).await.iter().all(|one| one["account"] == "ana"));
    let of_bo = of(&bo).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(first.status(Method::DELETE, &format!("/api/sessions/{of_bo}"), json!({})).await, 404);
    assert_eq!(first.status(Method::GET, "/api/sessions?account=bo", json!({})).await, 403);
    let other = of(&first).await.iter().find(|one| one["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.status(Method::DELETE, &format!("/api/sessions/{other}"), json!({})).await, 204);
    assert!(second.who().await.is_none() && first.who().await.is_some() && bo.who().await.is_some());
}

#[tokio::test]
async fn a_role_allows_its_verbs_over_http() {
    let stage = Stage::new(&[("v", "viewer"), ("o", "operator"), ("a", "administrator")]).await;
    let nobody = Uuid::nil();
    // What each role may do; what is allowed and does not exist is not found, what is refused is forbidden.
    let asked = [
        (Method::GET, "/api/sync/history".to_owned(), json!({}), [200, 200, 200]),
        (Method::GET, "/api/projects".into(), json!({}), [200, 200, 200]),
        (Method::GET, "/api/sync/stats/summary".into(), json!({}), [200, 200, 200]),
        (Method::GET, format!("/api/sync/history/{nobody}"), json!({}), [404, 404, 404]),
        (Method::GET, format!("/api/sync/history/{nobody}/logs"), json!({}), [404, 404, 404]),
        (Method::POST, "/api/projects/acme/OPS/pause".into(), json!({}), [403, 200, 200]),
        (Method::POST, "/api/projects/acme/OPS/resume".into(), json!({}), [403, 200, 200]),
        (Method::POST, "/api/sync/start".into(), json!({"project": "NONE"}), [403, 404, 404]),
        (Method::POST, format!("/api/sync/history/{nobody}/cancel"), json!({}), [403, 404, 404]),
        (Method::POST, format!("/api/sync/history/{nobody}/retry"), json!({}), [403, 404, 404]),
        (Method::DELETE, format!("/api/sync/history/{nobody}"), json!({}), [403, 403, 404]),
        (Method::GET, "/api/audit".into(), json!({}), [403, 403, 200]),
        (Method::GET, "/api/tokens".into(), json!({}), [403, 403, 200]),
        (Method::POST, "/api/tokens".into(), json!({"name": "t"}), [403, 403, 201]),
        (Method::DELETE, "/api/tokens/none".into(), json!({}), [403, 403, 404]),
        (Method::GET, "/api/accounts".into(), json!({}), [403, 403, 200]),
        (Method::POST, "/api/accounts".into(), json!({"name": "new"}), [403, 403, 201]),
        (Method::PATCH, "/api/accounts/none".into(), json!({"role": "viewer"}), [403, 403, 404]),
        (Method::DELETE, "/api/accounts/none".into(), json!({}), [403, 403, 404]),
        (Method::GET, "/api/sessions".into(), json!({}), [200, 200, 200]),
        (Method::GET, "/api/sessions?account=v".into(), json!({}), [403, 403, 200]),
        (Method::DELETE, format!("/api/sessions/{nobody}"), json!({}), [404, 404, 404]),
    ];
    let browsers = [stage.signs_in("v").await, stage.signs_in("o").await, stage.signs_in("a").await];
    for (method, path, body, expected) in asked {
        for (browser, expected) in browsers.iter().zip(expected) {
            let status = browser.status(method.clone(), &path, body.clone()).await;
            assert_eq!(status, expected, "{method} {path} by {}", browser.who().await.unwrap()["role"]);
        }
    }
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing_by_somebodys_session() {
    let stage = Stage::new(&[("ana", "operator")]).await;
    let ana = stage.signs_in("ana").await;
    let pause = |name: &'static str, value: &str| {
        ana.bare(Method::POST, "/api/projects/acme/OPS/pause").header(name, value).send()
    };
    for (name, value) in
        [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("x-nothing", "1")]
    {
        let (status, said) = problem(pause(name, value).await.unwrap()).await;
        assert_eq!(status, 403, "{name}: {value}: {said}");
    }
    assert_eq!(pause("sec-fetch-site", "same-origin").await.unwrap().status(), StatusCode::OK);
    let foreign = stage
        .ask(Method::POST, "/api/session")
        .header("origin", "https://evil.example")
        .json(&json!({"name": "ana", "password": PASSWORD}))
        .send()
        .await
        .unwrap();
    assert_eq!(problem(foreign).await.0, 403, "nobody is signed in by another site's page");
}

#[tokio::test]
async fn a_change_of_role_counts_for_open_sessions_and_tokens() {
    let stage = Stage::new(&[("ana", "administrator"), ("root", "administrator")]).await;
    let (ana, root) = (stage.signs_in("ana").await, stage.signs_in("root").await);
    let made =
        ana.ask(Method::POST, "/api/tokens").json(&json!({"name": "t", "scopes": ["admin"]})).send().await.unwrap();
    let token = made.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let by_token = async |path: &str| stage.ask(Method::GET, path).bearer_auth(&token).send().await.unwrap().status();
    assert_eq!(
        (ana.status(Method::GET, "/api/audit", json!({})).await, by_token("/api/audit").await),
        (200, StatusCode::OK)
    );
    assert_eq!(
        root.status(Method::PATCH, "/api/accounts/ana", json!({"role": "viewer", "projects": ["OPS"]})).await,
        200
    );
    assert_eq!(ana.status(Method::GET, "/api/audit", json!({})).await, 403);
    assert_eq!(by_token("/api/audit").await, StatusCode::FORBIDDEN, "a token does no more than its account");
    let who = ana.who().await.unwrap();
    assert_eq!((&who["role"], who["projects"].as_array().unwrap().len()), (&json!("viewer"), 1));
    let projects: Vec<Value> = ana.ask(Method::GET, "/api/projects").send().await.unwrap().json().await.unwrap();
    assert_eq!(projects.len(), 1, "{projects:?}");
    assert_eq!(root.status(Method::PATCH, "/api/accounts/ana", json!({"projects": []})).await, 200);
    assert_eq!(ana.who().await.unwrap()["projects"], Value::Null);
    let details: Value =
        sqlx::query_scalar("SELECT details FROM syncline.audit WHERE action = 'account.change' ORDER BY id LIMIT 1")
            .fetch_one(stage.db.pool())
            .await
            .unwrap();
    assert_eq!(details["role"], json!(["administrator", "viewer"]), "{details}");
}

#[tokio::test]
async fn a_disabled_accounts_sessions_and_tokens_stop() {
    let stage = Stage::new(&[("ana", "administrator"), ("root", "administrator")]).await;
    let (ana, root) = (stage.signs_in("ana").await, stage.signs_in("root").await);
    let made = ana.ask(Method::POST, "/api/tokens").json(&json!({"name": "t"})).send().await.unwrap();
    let token = made.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let by_token = async || stage.ask(Method::GET, "/api/projects").bearer_auth(&token).send().await.unwrap().status();
    assert_eq!(by_token().await, StatusCode::OK);
    assert_eq!(root.status(Method::PATCH, "/api/accounts/ana", json!({"disabled": true})).await, 200);
    assert!(ana.who().await.is_none());
    assert_eq!(by_token().await, StatusCode::UNAUTHORIZED);
    assert_eq!(stage.tries("ana", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(root.status(Method::PATCH, "/api/accounts/ana", json!({"disabled": false})).await, 200);
    assert!(ana.who().await.is_none(), "a session that ended stays over");
    assert_eq!(by_token().await, StatusCode::OK);
    assert_eq!(root.status(Method::DELETE, "/api/accounts/ana", json!({})).await, 204);
    assert_eq!(by_token().await, StatusCode::UNAUTHORIZED);
    let revoked: bool = sqlx::query_scalar("SELECT revoked_at IS NOT NULL FROM syncline.api_token")
        .fetch_one(stage.db.pool())
        .await
        .unwrap();
    assert!(revoked, "it does not work again when its account is gone");
}

#[tokio::test]
async fn nobody_handles_an_account_that_may_do_more_than_they() {
    let stage = Stage::new(&[("ana", "administrator"), ("root", "administrator")]).await;
    stage.sql("UPDATE syncline.account SET restricted = true WHERE name = 'root'").await;
    let ana = stage.signs_in("ana").await;
    for (method, path, body) in [
        (Method::POST, "/api/accounts", json!({"name": "new", "restricted": true})),
        (Method::PATCH, "/api/accounts/ana", json!({"restricted": true})),
        (Method::PATCH, "/api/accounts/root", json!({"password": "a password of mine"})),
        (Method::DELETE, "/api/accounts/root", json!({})),
    ] {
        assert_eq!(ana.status(method.clone(), path, body).await, 403, "{method} {path}");
    }
    for (method, body) in [
        (Method::PATCH, json!({"role": "viewer"})),
        (Method::PATCH, json!({"disabled": true})),
        (Method::PATCH, json!({"projects": ["OPS"]})),
        (Method::DELETE, json!({})),
    ] {
        assert_eq!(ana.status(method.clone(), "/api/accounts/ana", body.clone()).await, 409, "{method} {body}");
    }
    // Who is limited to projects handles no accounts.
    let scopes = vec!["admin".to_owned()];
    let narrow = token::NewOne { name: "narrow".into(), scopes, projects: vec!["OPS".into()], days: None };
    let narrow = token::create(&stage.app, &Actor::cli("ana"), &narrow).await.unwrap();
    let answer = stage.ask(Method::GET, "/api/accounts").bearer_auth(narrow.expose_secret()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn another_password_ends_the_other_sessions() {
    let stage = Stage::new(&[("ana", "viewer")]).await;
    let (here, there) = (stage.signs_in("ana").await, stage.signs_in("ana").await);
    let change = |present: &str, new: &str| json!({"password": present, "new_password": new});
    let new = "another horse battery";
    for (present, new, field) in [("wrong", new, "password"), (PASSWORD, "sh0rt!", "new_password")] {
        let answer = here.ask(Method::PUT, "/api/session/password").json(&change(present, new)).send().await.unwrap();
        let (status, said) = problem(answer).await;
        assert_eq!((status, &said["field"]), (400, &json!(field)));
        assert!(!said.to_string().contains(new), "{said}");
    }
    assert_eq!(here.status(Method::PUT, "/api/session/password", change(PASSWORD, new)).await, 204);
    assert!(here.who().await.is_some() && there.who().await.is_none());
    assert_eq!(stage.tries("ana", PASSWORD).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(stage.tries("ana", new).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_secret_of_an_account_is_stored_or_shown() {
    let stage = Stage::new(&[("root", "administrator")]).await;
    let root = stage.signs_in("root").await;
    let made = root
        .ask(Method::POST, "/api/accounts")
        .json(&json!({"name": "ana", "password": PASSWORD}))
        .send()
        .await
        .unwrap();
    let said = made.text().await.unwrap();
    assert!(said.contains("\"has_password\":true") && !said.contains("argon2"), "{said}");
    let stored: String = sqlx::query_scalar(
        "SELECT concat((SELECT json_agg(a) FROM syncline.account a), (SELECT json_agg(s) FROM syncline.session s),
                       (SELECT json_agg(d) FROM syncline.audit d), (SELECT json_agg(t) FROM syncline.sign_in_attempt t))",
    )
    .fetch_one(stage.db.pool())
    .await
    .unwrap();
    let kept = root.cookie.split('=').nth(1).unwrap();
    assert!(stored.contains("$argon2id$") && !stored.contains(PASSWORD) && !stored.contains(kept), "{stored}");
    let audit: String =
        sqlx::query_scalar("SELECT json_agg(a)::text FROM syncline.audit a").fetch_one(stage.db.pool()).await.unwrap();
    assert!(!audit.contains("argon2"), "{audit}");
    let asked = NewOne { password: Some(SecretString::from(PASSWORD)), ..NewOne::default() };
    assert!(!format!("{asked:?}").contains(PASSWORD));
}

#[tokio::test]
async fn wrong_accounts_are_refused_by_their_field() {
    let stage = Stage::new(&[("root", "administrator")]).await;
    let root = stage.signs_in("root").await;
    for (body, status, field) in [
        (json!({}), 400, "name"),
        (json!({"name": ""}), 400, "name"),
        (json!({"name": "a b"}), 400, "name"),
        (json!({"name": "a", "role": "king"}), 400, "role"),
        (json!({"name": "a", "email": "nowhere"}), 400, "email"),
        (json!({"name": "a", "password": "short"}), 400, "password"),
        (json!({"name": "a", "password": 7}), 400, "password"),
        (json!({"name": "a", "admin": true}), 400, "admin"),
        (json!({"name": "ROOT"}), 409, ""),
        (json!({"name": "a", "projects": ["NONE"]}), 404, ""),
    ] {
        let answer = root.ask(Method::POST, "/api/accounts").json(&body).send().await.unwrap();
        let (found, said) = problem(answer).await;
        assert_eq!((found, said["field"].as_str().unwrap_or_default()), (status, field), "{body}: {said}");
        assert!(said["advice"].is_string(), "{said}");
    }
    assert_eq!(root.status(Method::PATCH, "/api/accounts/%00", json!({})).await, 404);
}

#[tokio::test]
async fn behind_a_proxy_the_cookie_is_secure_and_the_client_known() {
    let config = ServeConfig { trusted_proxies: "127.0.0.0/8".into(), ..ServeConfig::default() };
    let stage = Stage::with(&[("ana", "viewer")], config).await;
    let through = |proto: &'static str| {
        stage
            .ask(Method::POST, "/api/session")
            .header("x-forwarded-for", "6.6.6.6, 203.0.113.9")
            .header("x-forwarded-proto", proto)
            .header("x-forwarded-host", "syncline.example.com")
            .header("origin", "https://syncline.example.com")
            .json(&json!({"name": "ana", "password": PASSWORD}))
            .send()
    };
    let answer = through("https").await.unwrap();
    let kept = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(
        kept.starts_with("__Host-syncline=")
            && kept.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure"),
        "{kept}"
    );
    let address: String =
        sqlx::query_scalar("SELECT address FROM syncline.session").fetch_one(stage.db.pool()).await.unwrap();
    assert_eq!(address, "203.0.113.9");
    let (status, said) = problem(through("http").await.unwrap()).await;
    assert_eq!(status, 403, "{said}");
    assert!(said["advice"].as_str().unwrap().contains("HTTPS"), "{said}");
    // Who is not trusted says nothing of others.
    let plain = Stage::new(&[("ana", "viewer")]).await;
    let told = plain
        .ask(Method::POST, "/api/session")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https");
    let answer = told.json(&json!({"name": "ana", "password": PASSWORD})).send().await.unwrap();
    assert!(answer.headers()["set-cookie"].to_str().unwrap().starts_with("syncline_session="));
    let address: String =
        sqlx::query_scalar("SELECT address FROM syncline.session").fetch_one(plain.db.pool()).await.unwrap();
    assert_eq!(address, "127.0.0.1");
}

#[tokio::test]
async fn pages_of_configured_origins_ask_with_a_token_alone() {
    let config = ServeConfig { cors_origins: "https://wiki.example.com".into(), ..ServeConfig::default() };
    let stage = Stage::with(&[("ana", "operator")], config).await;
    let first = |origin: &'static str| {
        let asks = stage.ask(Method::OPTIONS, "/api/projects").header("origin", origin);
        asks.header("access-control-request-method", "GET").send()
    };
    let allowed = first("https://wiki.example.com").await.unwrap();
    assert_eq!(allowed.status(), StatusCode::NO_CONTENT);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://wiki.example.com");
    assert!(allowed.headers().get("access-control-allow-credentials").is_none());
    assert!(first("https://evil.example").await.unwrap().headers().get("access-control-allow-origin").is_none());
    let ana = stage.signs_in("ana").await;
    let by_session =
        ana.bare(Method::POST, "/api/projects/acme/OPS/pause").header("origin", "https://wiki.example.com");
    assert_eq!(problem(by_session.send().await.unwrap()).await.0, 403);
    let asked = token::NewOne { name: "wiki".into(), ..token::NewOne::default() };
    let token = token::create(&stage.app, &Actor::cli("ana"), &asked).await.unwrap();
    let by_token = stage.ask(Method::GET, "/api/projects").header("origin", "https://wiki.example.com");
    let answer = by_token.bearer_auth(token.expose_secret()).send().await.unwrap();
    assert_eq!((answer.status(), &answer.headers()["vary"]), (StatusCode::OK, &"Origin".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_handled_at_the_command_line() {
    let stage = Stage::new(&[]).await;
    let db = &stage.db;
    let add = |arguments: &[&str], password: &str| {
        let mut child =
            command(db, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let made =
        add(&["account", "add", "ana", "--role", "administrator", "--password-stdin"], "correct horse battery\n");
    assert!(made.status.success(), "{}", words(&made));
    assert!(!words(&made).contains(PASSWORD));
    let ana = stage.signs_in("ana").await;
    refuses(db, &["account", "add", "bo"], 2, &["no terminal", "--password-stdin"]);
    let mistaken = ask(db, &["account", "add", "bo", "--password-stdin", "hunter2hunter2"]);
    assert!(!mistaken.status.success() && !words(&mistaken).contains("hunter2"), "{}", words(&mistaken));
    succeeds(db, &["account", "add", "bo", "--no-password", "--project", "acme/OPS"]);
    let listed = data(db, &["account", "list"]);
    assert_eq!(listed[0]["name"], "ana");
    assert_eq!((&listed[1]["has_password"], listed[1]["projects"].as_array().unwrap().len()), (&json!(false), 1));
    succeeds(db, &["account", "role", "bo", "operator", "--restricted", "true"]);
    succeeds(db, &["account", "projects", "bo", "--all"]);
    let listed = data(db, &["account", "list"]);
    assert_eq!(
        (&listed[1]["role"], &listed[1]["restricted"], &listed[1]["projects"]),
        (&json!("operator"), &json!(true), &Value::Null)
    );
    assert_eq!(data(db, &["account", "sessions", "ana"]).as_array().unwrap().len(), 1);
    succeeds(db, &["account", "sign-out", "ana"]);
    assert!(ana.who().await.is_none());
    let ana = stage.signs_in("ana").await;
    assert!(add(&["account", "password", "ana", "--password-stdin"], "another horse battery").status.success());
    assert!(ana.who().await.is_none());
    succeeds(db, &["account", "disable", "bo"]);
    succeeds(db, &["account", "enable", "bo"]);
    refuses(db, &["account", "remove", "bo"], 2, &["--yes"]);
    succeeds(db, &["account", "remove", "bo", "--yes"]);
    refuses(db, &["account", "role", "bo", "viewer"], 1, &["no account"]);
    let acts: Vec<_> = stage
        .audit()
        .await
        .into_iter()
        .filter(|one| one.2.as_deref() == Some("cli"))
        .map(|one| (one.1, one.3))
        .collect();
    assert_eq!(acts.len(), 9, "{acts:?}");
}
