//! Webhooks of Jira are hints: proven, deduplicated, collapsed, and answered by a read of the issue.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::AssertSqlSafe;
use syncline::api::{self, Server};
use syncline::app::webhook::{self, Way};
use syncline::app::{Actor, App};
use syncline::clock::Clock;
use syncline::config::{Config, ServeConfig, SyncConfig};
use syncline::simulator::{Amount, Mutation, Options, Webhooks};
use syncline::verify;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::command::{acts, ask, json as told, refuses, succeeds, words};
use crate::support::{Rig, TestDb};

/// A server that takes webhooks, as `serve --only webhooks` does.
struct Door {
    app: App,
    server: Server,
    client: reqwest::Client,
}

fn config() -> Config {
    let mut config = Config::default();
    config.secrets.key = Some(SecretString::from(STANDARD.encode([7; 32])));
    config
}

impl Door {
    async fn of(db: &TestDb) -> Self {
        Self::over(db.pool().clone()).await
    }

    async fn over(pool: sqlx::PgPool) -> Self {
        let app = App::new(pool.into(), Clock::system()).configured(&config());
        let serve = ServeConfig { address: ([127, 0, 0, 1], 0).into(), ..ServeConfig::default() };
        let server = api::serve_webhooks(app.clone(), &serve, &SyncConfig::default()).await.unwrap();
        Self { app, server, client: syncline::tls::client().build().unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/hooks/jira/{path}", self.server.address())
    }

    async fn secret(&self, site: &str, way: Way) -> SecretString {
        let made = webhook::add(&self.app, &Actor::cli("ana"), site, Some(way), None).await.unwrap();
        made.secret.unwrap()
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> StatusCode {
        let mut request = self.client.post(self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status()
    }

    async fn signed(&self, path: &str, secret: &SecretString, body: &Value) -> StatusCode {
        let body = serde_json::to_vec(body).unwrap();
        self.send(path, &[("x-hub-signature", &sign(secret, &body))], body).await
    }
}

fn sign(secret: &SecretString, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Two sites with a project each, nothing behind them.
async fn two_sites() -> TestDb {
    let db = TestDb::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         SELECT syncline.new_id(), n, 'http://127.0.0.1:9', 'a@b', 'env:NONE' FROM unnest(ARRAY['east', 'west']) n;
         INSERT INTO syncline.project (id, site_id, key, jira_id) SELECT syncline.new_id(), id, 'OPS', 77 FROM syncline.site",
    )
    .execute(db.pool())
    .await
    .unwrap();
    db
}

fn now_ms() -> i64 {
    Clock::system().now().timestamp_millis()
}

fn updated(issue: i64) -> Value {
    json!({ "timestamp": now_ms(), "webhookEvent": "jira:issue_updated",
            "issue": { "id": issue.to_string(), "key": format!("OPS-{issue}"), "fields": { "project": { "id": "77", "key": "OPS" } } } })
}

async fn count(db: &TestDb, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(db.pool()).await.unwrap()
}

/// Reason and number of what was refused.
async fn refused(db: &TestDb) -> Vec<(String, i64)> {
    sqlx::query_as("SELECT reason, sum(count)::int8 FROM syncline.webhook_refusal GROUP BY reason ORDER BY reason")
        .fetch_all(db.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proven_is_refused_and_counted() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let (east, west) = (door.secret("east", Way::Hmac).await, door.secret("west", Way::Hmac).await);
    let body = serde_json::to_vec(&updated(1)).unwrap();
    let (right, other) = (sign(&east, &body), sign(&west, &body));
    assert_eq!(door.send("east", &[("x-hub-signature", &right)], body.clone()).await, StatusCode::ACCEPTED);
    assert_eq!(door.send("east", &[], body.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send("east", &[("x-hub-signature", &other)], body.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send("east", &[("x-hub-signature", &right)], "{}").await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send("nowhere", &[("x-hub-signature", &right)], body.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send("east", &[("authorization", "JWT a.b.c")], body.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send("east/guess", &[], body.clone()).await, StatusCode::UNAUTHORIZED);
    let old =
        json!({ "timestamp": now_ms() - 25 * 3_600_000, "webhookEvent": "jira:issue_updated", "issue": { "id": "1" } });
    assert_eq!(door.signed("east", &east, &old).await, StatusCode::BAD_REQUEST);
    let odd = b"{\"webhookEvent\": \"\xff\"}".to_vec();
    assert_eq!(door.send("east", &[("x-hub-signature", &sign(&east, &odd))], odd).await, StatusCode::BAD_REQUEST);
    let counted = refused(&db).await;
    // Each reason is kept at once, later ones of it once a minute.
    let expected = ["bad_path", "bad_signature", "bad_token", "not_json", "too_old", "unsigned"];
    assert_eq!(counted, expected.map(|reason| (reason.to_owned(), 1)));
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_event").await, 1);
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_hint").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_not_unpacked() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    door.secret("east", Way::Hmac).await;
    let packed = door.send("east", &[("content-encoding", "gzip")], vec![0x1f, 0x8b, 8, 0]).await;
    assert_eq!(packed, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(door.send("east", &[], vec![b' '; 1024 * 1024 + 1]).await, StatusCode::PAYLOAD_TOO_LARGE);
    // Without a length in front, the body is cut off where it becomes too large.
    let mut peer = tokio::net::TcpStream::connect(door.server.address()).await.unwrap();
    let head = "POST /hooks/jira/east HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    peer.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..17 {
        if peer.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut said = [0; 12];
    peer.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");
    let got = door.client.get(door.url("east/a-secret")).send().await.unwrap();
    assert_eq!(got.status(), StatusCode::NOT_FOUND);
    assert!(!got.text().await.unwrap().contains("a-secret"), "an answer repeats what may be a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_comes_again_is_answered_200() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let secret = door.secret("east", Way::Hmac).await;
    let body = serde_json::to_vec(&updated(1)).unwrap();
    let signature = sign(&secret, &body);
    let named = [("x-hub-signature", signature.as_str()), ("x-atlassian-webhook-identifier", "d-1")];
    assert_eq!(door.send("east", &named, body.clone()).await, StatusCode::ACCEPTED);
    assert_eq!(door.send("east", &named, body.clone()).await, StatusCode::OK);
    // Without a name the body itself is the name.
    assert_eq!(door.send("east", &named[..1], body.clone()).await, StatusCode::ACCEPTED);
    assert_eq!(door.send("east", &named[..1], body).await, StatusCode::OK);
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_event").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_of_one_issue_are_one_row() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let secret = door.secret("east", Way::Hmac).await;
    for n in 0..20 {
        let mut body = updated(1 + n % 2);
        body["n"] = json!(n);
        assert_eq!(door.signed("east", &secret, &body).await, StatusCode::ACCEPTED);
    }
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_event WHERE outcome = 'hinted'").await, 20);
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_hint").await, 2);
    let strange = json!({ "timestamp": now_ms(), "webhookEvent": "jira:issue_updated",
                          "issue": { "id": "9", "fields": { "project": { "id": "4", "key": "NO" } } } });
    assert_eq!(door.signed("east", &secret, &strange).await, StatusCode::ACCEPTED);
    let coffee = json!({ "timestamp": now_ms(), "webhookEvent": "coffee_ready" });
    assert_eq!(door.signed("east", &secret, &coffee).await, StatusCode::ACCEPTED);
    let ignored: Vec<String> =
        sqlx::query_scalar("SELECT reason FROM syncline.webhook_event WHERE outcome = 'ignored' ORDER BY id")
            .fetch_all(db.pool())
            .await
            .unwrap();
    assert_eq!(ignored, ["untracked", "unknown_event"]);
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_hint").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_becomes_one_run() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let secret = door.secret("east", Way::Hmac).await;
    sqlx::raw_sql(
        "INSERT INTO syncline.webhook_hint (site_id, project_id, issue_id, due_at)
         SELECT site_id, id, n, clock_timestamp() FROM syncline.project, generate_series(1000, 1998) n
          WHERE site_id = (SELECT id FROM syncline.site WHERE name = 'east')",
    )
    .execute(db.pool())
    .await
    .unwrap();
    for issue in 1..=50 {
        assert_eq!(door.signed("east", &secret, &updated(issue)).await, StatusCode::ACCEPTED);
    }
    let outcomes = "SELECT count(*) FROM syncline.webhook_event WHERE outcome";
    assert_eq!(count(&db, &format!("{outcomes} = 'hinted'")).await, 1);
    assert_eq!(count(&db, &format!("{outcomes} = 'run' AND reason = 'full'")).await, 49);
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_hint").await, 1_001);
    sqlx::query("UPDATE syncline.webhook_hint SET due_at = clock_timestamp()").execute(db.pool()).await.unwrap();
    while syncline::store::webhook::request(db.pool()).await.unwrap() > 0 {}
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.sync_run").await, 1, "one run for all of them");
    let (trigger, ids): (String, i32) =
        sqlx::query_as("SELECT trigger, cardinality(repair_ids) FROM syncline.sync_run")
            .fetch_one(db.pool())
            .await
            .unwrap();
    assert_eq!((trigger.as_str(), ids), ("manual", 1_000), "it reads what is new, and what was named before");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_a_secret_works_without_a_signature() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let secret = door.secret("east", Way::Path).await;
    let address = format!("east/{}", secret.expose_secret());
    let body = serde_json::to_vec(&updated(1)).unwrap();
    assert_eq!(door.send(&address, &[], body.clone()).await, StatusCode::ACCEPTED);
    assert_eq!(door.send(&address.replace("east", "west"), &[], body.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send(&format!("{address}x"), &[], body.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send("east/guess", &[], body.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(door.send("east", &[], body).await, StatusCode::UNAUTHORIZED);
    let clear = secret.expose_secret();
    let stored = format!("SELECT count(*) FROM syncline.webhook_secret w WHERE strpos(w::text, '{clear}') > 0");
    assert_eq!(count(&db, &stored).await, 0, "the secret is stored in clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_app_proves_a_webhook() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "app-secret").unwrap();
    let reference = format!("file:{}", file.path().display());
    webhook::add(&door.app, &Actor::cli("ana"), "east", Some(Way::Jwt), Some(&reference)).await.unwrap();
    let token = |secret: &[u8], seconds: i64| {
        let claims = json!({ "iss": "app", "iat": now_ms() / 1_000 - 10, "exp": now_ms() / 1_000 + seconds });
        let key = jsonwebtoken::EncodingKey::from_secret(secret).unwrap();
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        format!("JWT {}", jsonwebtoken::encode(&header, &claims, &key).unwrap())
    };
    let body = serde_json::to_vec(&updated(1)).unwrap();
    for (sent, expected) in [
        (token(b"app-secret", 180), StatusCode::ACCEPTED),
        (token(b"another", 180), StatusCode::UNAUTHORIZED),
        (token(b"app-secret", -180), StatusCode::UNAUTHORIZED),
        ("JWT eyJhbGciOiJub25lIn0.e30.".to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(door.send("east", &[("authorization", &sent)], body.clone()).await, expected, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_secrets_count_until_the_old_one_ends() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let old = door.secret("east", Way::Hmac).await;
    let made = webhook::rotate(&door.app, &Actor::cli("ana"), "east", (None, None), Some(1)).await.unwrap();
    let new = made.secret.unwrap();
    assert_eq!(made.ending, 1);
    assert_eq!(door.signed("east", &old, &updated(1)).await, StatusCode::ACCEPTED);
    assert_eq!(door.signed("east", &new, &updated(2)).await, StatusCode::ACCEPTED);
    sqlx::query("UPDATE syncline.webhook_secret SET ends_at = clock_timestamp() WHERE ends_at IS NOT NULL")
        .execute(db.pool())
        .await
        .unwrap();
    // Another process has not read the secrets before.
    let other = Door::of(&db).await;
    assert_eq!(other.signed("east", &old, &updated(3)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(other.signed("east", &new, &updated(4)).await, StatusCode::ACCEPTED);
}

/// A site of 20 issues that was synchronised, a worker, and a door that its webhooks come in by.
async fn synced(seed: u64) -> (Rig, syncline::runtime::Worker, Door, SecretString) {
    let mut options = Options::new(Clock::system());
    options.seed = seed;
    options.issues = 20;
    options.projects.truncate(2);
    options.comments = Amount::Exactly(2);
    options.worklogs = Amount::Exactly(1);
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    let door = Door::of(&rig.db).await;
    let secret = door.secret("sim", Way::Hmac).await;
    (rig, worker, door, secret)
}

/// Waits until all webhooks have come and every hint was read.
async fn settled(rig: &Rig) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    loop {
        let hints = rig.count("SELECT count(*) FROM syncline.webhook_hint").await;
        let runs = rig.count("SELECT count(*) FROM syncline.sync_run WHERE state IN ('queued', 'running')").await;
        if rig.jira.control().webhooks().under_way == 0 && hints == 0 && runs == 0 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{hints} hints and {runs} runs are left: {}", rig.said().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many differences there are, and the first of them.
async fn differences(rig: &Rig) -> (usize, String) {
    let options = verify::Options { settle: Duration::ZERO, ..verify::Options::default() };
    let (mut found, mut said) = (0, String::new());
    for project in &rig.projects {
        let report = rig.verify(project, &options).await.unwrap();
        found += report.differences();
        if report.differences() > 0 {
            said = format!("{report:?}");
        }
    }
    (found, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_the_replica_by_its_webhook_alone() {
    let (rig, worker, door, secret) = synced(1).await;
    let control = rig.jira.control();
    control.set_webhooks(Some(Webhooks::to(door.url("sim"), Some(secret))));
    let ids = control.issue_ids(&rig.projects[0]);
    let (edited, gone, spoken, worked) =
        (ids[0].to_string(), ids[1].to_string(), ids[2].to_string(), ids[3].to_string());
    control.apply(Mutation::EditIssue { issue: edited }).unwrap();
    control.apply(Mutation::DeleteIssue { issue: gone.clone() }).unwrap();
    control.apply(Mutation::AddComment { issue: spoken }).unwrap();
    control.apply(Mutation::AddWorklog { issue: worked }).unwrap();
    control.apply(Mutation::CreateIssue { project: rig.projects[1].clone() }).unwrap();
    let moved = Mutation::MoveIssueAlone { issue: ids[5].to_string(), project: rig.projects[1].clone() };
    control.apply(moved).unwrap();
    settled(&rig).await;
    let stats = control.webhooks();
    // Six, and those that changed because of them: the other ends of links, children.
    assert!(stats.taken >= 6 && stats.refused == 0, "{stats:?}");
    assert_eq!(differences(&rig).await, (0, String::new()), "{}", rig.said().await);
    let reason: String = sqlx::query_scalar("SELECT deleted_reason FROM syncline.issue WHERE id = $1")
        .bind(gone.parse::<i64>().unwrap())
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    // As the check by every way says, and not as the webhook does: this account cannot tell it from a hidden one.
    assert_eq!(reason, "not_visible");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.webhook_event WHERE outcome <> 'read'").await, 0);
    let searches = "SELECT count(*) FROM syncline.sync_run WHERE trigger <> 'repair' AND requested_by <> 'test'";
    assert_eq!(rig.count(searches).await, 0, "issues are read by id, not by a run that searches");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doubled_mixed_and_lost_webhooks_do_no_harm() {
    for seed in 1..=3 {
        history_with_troubled_webhooks(seed).await;
    }
}

/// A seeded history whose webhooks are doubled, mixed, late and lost; what the schedule does not find then is a fault.
async fn history_with_troubled_webhooks(seed: u64) {
    let (rig, worker, door, secret) = synced(seed).await;
    let control = rig.jira.control();
    let troubled = Webhooks {
        dropped: 0.3,
        doubled: 0.3,
        unordered: true,
        late: Duration::from_millis(300),
        ..Webhooks::to(door.url("sim"), Some(secret))
    };
    control.set_webhooks(Some(troubled));
    for _ in 0..5 {
        control.mutate(12);
        tokio::task::yield_now().await;
    }
    settled(&rig).await;
    let stats = control.webhooks();
    assert!(stats.dropped > 5 && stats.taken > stats.announced - stats.dropped, "{stats:?}");
    // What was lost is found by the schedule; issues that went away without a word by its reconciliation.
    for project in &rig.projects {
        assert_eq!(rig.reconcile(project, "incremental").await, "succeeded");
    }
    assert_eq!(differences(&rig).await, (0, String::new()), "seed {seed}: {}", rig.said().await);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_is_shown_older_is_read_again() {
    let (rig, worker, door, secret) = synced(1).await;
    let issue = rig.jira.control().issue_ids(&rig.projects[0])[0];
    let project: i64 = sqlx::query_scalar("SELECT jira_id FROM syncline.project WHERE key = $1")
        .bind(&rig.projects[0])
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    // Jira says that it has changed, and shows it as it was: its index is behind.
    let ahead = Clock::system().now() + chrono::TimeDelta::hours(1);
    let body = json!({ "timestamp": now_ms(), "webhookEvent": "jira:issue_updated", "issue": { "id": issue, "key": "A-1", "fields": {
        "updated": ahead.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(), "project": { "id": project } } } });
    assert_eq!(door.signed("sim", &secret, &body).await, StatusCode::ACCEPTED);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    // The waits are shortened as soon as they begin: their number counts here.
    while rig.count("SELECT count(*) FROM syncline.webhook_hint").await > 0 {
        sqlx::query("UPDATE syncline.webhook_hint SET due_at = clock_timestamp() WHERE due_at < clock_timestamp() + interval '1 minute'")
            .execute(rig.db.pool())
            .await
            .unwrap();
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let runs = rig.count("SELECT count(*) FROM syncline.sync_run WHERE requested_by = 'webhook'").await;
    assert_eq!(runs, 4, "once, and three times more");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_handled_at_the_command_line() {
    let db = two_sites().await;
    let plain = crate::support::command::command(&db, &["site", "webhook", "add", "east"])
        .env_remove("SYNCLINE__SECRETS__KEY")
        .output()
        .unwrap();
    assert!(words(&plain).contains("no key is configured") && words(&plain).contains("--secret"), "{}", words(&plain));
    refuses(&db, &["site", "webhook", "add", "nowhere"], 1, &["unknown site"]);
    refuses(&db, &["site", "webhook", "rotate", "east"], 1, &["has no secret"]);
    let made = told(&db, &["site", "webhook", "add", "east", "--kind", "path"]);
    let address = made["address"].as_str().unwrap();
    let secret = address.rsplit_once('/').unwrap().1;
    assert!(secret.len() == 43 && address.contains("/hooks/jira/east/"), "256 bits: {address}");
    let shown = words(&ask(&db, &["-vv", "site", "webhook", "list", "east"]))
        + &words(&ask(&db, &["-vv", "site", "webhook", "check", "east"]))
        + &succeeds(&db, &["audit", "list", "-o", "json"]);
    assert!(shown.contains("path") && !shown.contains(secret), "{shown}");
    let rotated = told(&db, &["site", "webhook", "rotate", "east", "--keep", "2"]);
    assert_eq!((&rotated["kind"], &rotated["ending"]), (&json!("path"), &json!(1)));
    let listed = told(&db, &["site", "webhook", "list", "east"]);
    assert_eq!(listed.as_array().unwrap().iter().filter(|one| one["ends_at"].is_string()).count(), 1);
    let door = Door::of(&db).await;
    let body = serde_json::to_vec(&updated(1)).unwrap();
    assert_eq!(door.send(&format!("east/{secret}"), &[], body).await, StatusCode::ACCEPTED);
    let log = told(&db, &["site", "webhook", "log", "east", "--issue", "OPS-1"]);
    assert_eq!((&log[0]["outcome"], &log[0]["kind"]), (&json!("hinted"), &json!("jira:issue_updated")));
    let check = told(&db, &["site", "webhook", "check", "east"]);
    assert_eq!((&check["events"], &check["hints"], &check["secrets"]), (&json!(1), &json!(1), &json!(2)));
    assert!(check["last_delay_seconds"].as_f64().unwrap().abs() < 60.0, "{check}");
    succeeds(&db, &["site", "webhook", "remove", "east", "--yes"]);
    refuses(&db, &["site", "webhook", "remove", "east", "--yes"], 1, &["no such secret"]);
    let acts = acts(&db).await.join(" ");
    assert!(["webhook.add", "webhook.rotate", "webhook.remove"].iter().all(|act| acts.contains(act)), "{acts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_logs_no_secret_of_an_address() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let secret = door.secret("east", Way::Path).await;
    let mut server = crate::support::command::command(&db, &["-vv", "serve", "--only", "webhooks"])
        .env("SYNCLINE__SERVE__ADDRESS", "127.0.0.1:0")
        .env("SYNCLINE__HTTP__ADDRESS", "none")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(server.stderr.take().unwrap()));
    let mut said = String::new();
    let address = loop {
        let line = lines.next().unwrap().unwrap();
        said.push_str(&line);
        if let Some((_, rest)) = line.split_once("webhooks are taken at http://") {
            break rest.split('/').next().unwrap().to_owned();
        }
    };
    let url = |path: &str| format!("http://{address}{path}");
    let hook = format!("/hooks/jira/east/{}", secret.expose_secret());
    let body = serde_json::to_vec(&updated(1)).unwrap();
    let post = async |path: &str| door.client.post(url(path)).body(body.clone()).send().await.unwrap();
    assert_eq!(post(&hook).await.status(), StatusCode::ACCEPTED);
    for wrong in
        [format!("{hook}x"), format!("{hook}/more"), hook.replace("east", "west"), hook.replace("jira", "gira")]
    {
        let answer = post(&wrong).await;
        assert!(answer.status().is_client_error());
        assert!(!answer.text().await.unwrap().contains(secret.expose_secret()));
    }
    assert_eq!(door.client.get(url("/api/projects")).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    // The last of them that is logged.
    while !said.contains("unknown_site") {
        said.push_str(&lines.next().unwrap().unwrap());
    }
    server.kill().unwrap();
    server.wait().unwrap();
    said.extend(lines.map_while(Result::ok));
    assert!(said.contains("webhook_refused"), "{said}");
    assert!(!said.contains(secret.expose_secret()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_tells_which_webhooks_came() {
    let db = two_sites().await;
    let door = Door::of(&db).await;
    let secret = door.secret("east", Way::Hmac).await;
    for issue in 1..=3 {
        assert_eq!(door.signed("east", &secret, &updated(issue)).await, StatusCode::ACCEPTED);
    }
    // The API takes webhooks, too, at the same paths and beside its own checks.
    let stage = crate::api::Stage::new(&db).await;
    let reader = stage.token("reader", &["read"], &[]).await;
    let page: Value = stage.get(&reader, "/api/sites/east/webhook-events?limit=2").await.json().await.unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let rest = format!("/api/sites/east/webhook-events?limit=2&cursor={}", page["next_cursor"]);
    let rest: Value = stage.get(&reader, &rest).await.json().await.unwrap();
    assert_eq!((&rest["items"][0]["issue_id"], &rest["next_cursor"]), (&json!(1), &Value::Null));
    assert_eq!(
        stage.get(&reader, "/api/sites/east/webhook-events?outcome=odd").await.status(),
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        stage.ask(reqwest::Method::POST, "/hooks/jira/east").send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_does_with_the_rights_of_its_role() {
    let db = two_sites().await;
    let secret = Door::of(&db).await.secret("east", Way::Hmac).await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/webhooks.md")).unwrap();
    let sql = page.split("```sql").nth(1).unwrap().split("```").next().unwrap();
    // Roles are of the whole server, which other tests use too.
    let role = format!("receiver_{}", Clock::system().new_id().simple());
    sqlx::raw_sql(AssertSqlSafe(sql.replace("syncline_receiver", &role))).execute(db.pool()).await.unwrap();
    let become_it = format!("SET ROLE {role}");
    let pool = sqlx::postgres::PgPoolOptions::new()
        .after_connect(move |conn, _| {
            let become_it = become_it.clone();
            Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(become_it)).execute(conn).await.map(drop) })
        })
        .connect(db.url())
        .await
        .unwrap();
    syncline::store::check_version(&pool).await.unwrap();
    let door = Door::over(pool.clone()).await;
    assert_eq!(door.signed("east", &secret, &updated(1)).await, StatusCode::ACCEPTED);
    let mut again = updated(1);
    again["n"] = json!(1);
    assert_eq!(door.signed("east", &secret, &again).await, StatusCode::ACCEPTED, "the hint is there already");
    assert_eq!(door.send("east", &[], "{}").await, StatusCode::UNAUTHORIZED);
    assert_eq!(refused(&db).await, [("unsigned".to_owned(), 1)]);
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.webhook_event").await, 2);
    for denied in [
        "SELECT summary FROM syncline.issue",
        "SELECT credential FROM syncline.site",
        "DELETE FROM syncline.webhook_hint",
        "UPDATE syncline.issue SET project_id = project_id",
        "SELECT syncline.request_run((SELECT id FROM syncline.project LIMIT 1), 'full', 'manual', 'x')",
        "SELECT syncline.enqueue_sync('OPS')",
    ] {
        let answer = sqlx::raw_sql(denied).execute(&pool).await.unwrap_err().to_string();
        assert!(answer.contains("permission denied"), "{denied}: {answer}");
    }
    pool.close().await;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"))).execute(db.pool()).await.unwrap();
}

/// Prints how long changes take, 20 a second for 30 seconds, from a Jira that takes 120 ms for each answer:
/// `cargo nextest run --test promises measure_from_webhook_to_replica --run-ignored only --no-capture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of a minute, for a machine that does nothing else"]
async fn measure_from_webhook_to_replica() {
    let (rig, worker, door, secret) = synced(1).await;
    let control = rig.jira.control();
    control.set_latency(Duration::from_millis(120), Duration::ZERO);
    control.set_webhooks(Some(Webhooks::to(door.url("sim"), Some(secret))));
    let before = control.stats().requests;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..600 {
        tick.tick().await;
        control.mutate(1);
    }
    settled(&rig).await;
    let (p50, p95, taken): (f64, f64, i64) = sqlx::query_as(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds), count(*)
           FROM (SELECT extract(epoch FROM read_at - received_at)::float8 AS seconds FROM syncline.webhook_event WHERE outcome = 'read') e",
    )
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    let requests = control.stats().requests - before;
    #[allow(clippy::cast_precision_loss)]
    let per_change = requests as f64 / taken as f64;
    eprintln!(
        "webhook_to_replica_p50_seconds {p50:.2}  _p95_ {p95:.2}  webhook_requests_per_change {per_change:.2}  ({taken} webhooks)"
    );
    assert_eq!(differences(&rig).await, (0, String::new()));
    worker.stop().await;
}
