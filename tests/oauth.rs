//! Tokens of OAuth sites: a person consents once, refreshes are one for the whole fleet, and a token that counts no more is
//! said to be so.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use syncline::clock::Clock;
use syncline::config::{SecretsConfig, secret};
use syncline::domain::failure::FailureCode;
use syncline::jira::{HttpPool, TokenSource};
use syncline::simulator::{Mutation, Options};
use syncline::store::oauth::{self, Consent, SealedPair};
use syncline::sync::tokens::SiteTokens;
use uuid::Uuid;

use crate::support::command::{KEY, acts, command, json as asked, words};
use crate::support::{Rig, TestDb, http_get};

const SITE: Uuid = Uuid::from_u128(1);

/// What the server of tokens has seen and given.
#[derive(Default)]
struct Given {
    refreshes: u32,
    reused: u32,
    /// The refresh token that counts.
    valid: String,
    /// The challenge of the code that was asked for is not looked at; the body of the exchange is.
    exchanged: Option<Value>,
}

type Shared = Arc<Mutex<Given>>;

/// Gives tokens as auth.atlassian.com does: each refresh token once.
async fn give(State(given): State<Shared>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    // Long enough for others to come meanwhile.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let mut given = given.lock().unwrap();
    if body["grant_type"] == "refresh_token" {
        if body["refresh_token"] != given.valid.as_str() {
            given.reused += 1;
            let refusal = json!({ "error": "invalid_grant", "error_description": "Unknown or invalid refresh token." });
            return (StatusCode::FORBIDDEN, Json(refusal));
        }
        given.refreshes += 1;
    } else {
        given.exchanged = Some(body);
    }
    let n = given.refreshes;
    given.valid = format!("refresh-{n}");
    let pair = json!({
        "access_token": format!("access-{n}"), "refresh_token": given.valid, "expires_in": 3600,
        "scope": "read:jira-work offline_access", "token_type": "Bearer",
    });
    (StatusCode::OK, Json(pair))
}

async fn server() -> (String, Shared) {
    let given = Shared::default();
    given.lock().unwrap().valid = "refresh-0".into();
    let resources = || async {
        Json(json!([{ "id": "cloud-1", "url": "https://acme.example.com", "name": "acme", "scopes": [] }]))
    };
    let app = Router::new()
        .route("/oauth/token", post(give))
        .route("/oauth/token/accessible-resources", get(resources))
        .with_state(given.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (format!("http://{address}"), given)
}

fn secrets() -> SecretsConfig {
    SecretsConfig { key: Some(SecretString::from(KEY)) }
}

fn sealed(text: &str) -> String {
    secret::encrypt(&SecretString::from(text), "acme", &secrets(), |nonce| nonce.fill(7)).unwrap()
}

/// A site that was authorized, with an access token that lives for so long.
pub(crate) async fn authorized(url: &str, lives_for: Duration) -> TestDb {
    let db = TestDb::new().await;
    site(&db).await;
    let granted = Consent {
        client_id: "app",
        client_secret: &sealed("app-secret"),
        scopes: "read:jira-work offline_access",
        auth_url: url,
        api_url: url,
        site_url: &format!("{url}/ex/jira/cloud-1"),
        cloud_id: "cloud-1",
        pair: SealedPair { access_token: &sealed("access-0"), refresh_token: &sealed("refresh-0"), lives_for },
    };
    oauth::consent(db.pool(), (SITE, "acme"), &granted, "ana").await.unwrap();
    // Nobody asked for it just now.
    sqlx::raw_sql("UPDATE syncline.site_oauth SET updated_at = now() - interval '1 hour'")
        .execute(db.pool())
        .await
        .unwrap();
    db
}

pub(crate) async fn site(db: &TestDb) {
    sqlx::query(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential, auth)
         VALUES ($1, 'acme', 'https://acme.example.com', '', '', 'oauth')",
    )
    .bind(SITE)
    .execute(db.pool())
    .await
    .unwrap();
}

pub(crate) fn tokens(db: &TestDb) -> Arc<SiteTokens> {
    let clock = Clock::system();
    let http = HttpPool::new(clock.clone()).unwrap();
    SiteTokens::new((SITE, "acme"), db.pool().clone(), http, secrets(), clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_processes_that_find_a_token_ended_make_one_refresh() {
    let (url, given) = server().await;
    let db = authorized(&url, Duration::ZERO).await;
    // Each has a memory of its own, as processes do.
    let asking = (0..20).map(|_| {
        let tokens = tokens(&db);
        tokio::spawn(async move { tokens.token(None).await.unwrap().expose_secret().to_owned() })
    });
    for answer in futures::future::join_all(asking).await {
        assert_eq!(answer.unwrap(), "access-1");
    }
    let seen = given.lock().unwrap();
    assert_eq!((seen.refreshes, seen.reused), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_token_is_replaced_once_while_it_is_fresh() {
    let (url, given) = server().await;
    let db = authorized(&url, Duration::from_secs(3600)).await;
    let tokens = tokens(&db);
    let first = tokens.token(None).await.unwrap();
    assert_eq!(first.expose_secret(), "access-0", "a token that lives is not refreshed");
    let second = tokens.token(Some(first.clone())).await.unwrap();
    assert_eq!(second.expose_secret(), "access-1");
    // Others who still have the old one get the new one, and a fresh one that is refused is not exchanged again.
    assert_eq!(tokens.token(Some(first)).await.unwrap().expose_secret(), "access-1");
    assert_eq!(tokens.token(Some(second)).await.unwrap().expose_secret(), "access-1");
    assert_eq!(given.lock().unwrap().refreshes, 1);
    let stored: String =
        sqlx::query_scalar("SELECT refresh_token FROM syncline.site_oauth").fetch_one(db.pool()).await.unwrap();
    assert_eq!(
        secret::resolve(&stored, "acme", &secrets()).unwrap().expose_secret(),
        "refresh-1",
        "stored before it was given"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_of_a_dead_process_is_taken_over_after_its_lease() {
    let (url, given) = server().await;
    let db = authorized(&url, Duration::ZERO).await;
    let dead = Uuid::from_u128(9);
    assert!(oauth::claim(db.pool(), SITE, dead, 0, Duration::from_secs(1)).await.unwrap());
    assert!(!oauth::claim(db.pool(), SITE, Uuid::from_u128(8), 0, Duration::from_secs(1)).await.unwrap());
    assert_eq!(tokens(&db).token(None).await.unwrap().expose_secret(), "access-1");
    assert_eq!(given.lock().unwrap().refreshes, 1);
    // The dead one's word comes late: the fence keeps the newer pair.
    let late =
        SealedPair { access_token: &sealed("late"), refresh_token: &sealed("late"), lives_for: Duration::from_secs(1) };
    assert!(!oauth::store(db.pool(), SITE, 0, late).await.unwrap());
    assert!(!oauth::revoke(db.pool(), SITE, dead, 0).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_invalid_refresh_token_is_used_once_and_gives_advice() {
    let (url, given) = server().await;
    given.lock().unwrap().valid = "another".into();
    let db = authorized(&url, Duration::ZERO).await;
    for _ in 0..3 {
        let failure = tokens(&db).token(None).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::AuthExpired);
        assert!(failure.message.contains("syncline site authorize acme"), "{}", failure.message);
    }
    assert_eq!(given.lock().unwrap().reused, 1);
}

/// A site of the simulator that was authorized; a refresh token may be sent again for so long.
async fn simulated(leeway: Duration) -> (Rig, String) {
    let mut options = Options::new(Clock::system());
    options.issues = 1;
    options.oauth.client_id = "app".into();
    options.oauth.client_secret = "app-secret".into();
    options.oauth.refresh_leeway = leeway;
    let rig = Rig::new(options).await;
    sqlx::raw_sql("UPDATE syncline.site SET name = 'acme'").execute(rig.db.pool()).await.unwrap();
    let url = rig.jira.base_url().to_owned();
    let back = "http://127.0.0.1:9/callback";
    let consent = format!("{url}/authorize?client_id=app&response_type=code&redirect_uri={back}");
    let browser = syncline::tls::client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = browser.get(consent).send().await.unwrap();
    let target = url::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let pair = exchange(
        &url,
        json!({ "grant_type": "authorization_code", "code": part(&target, "code"), "redirect_uri": back }),
    );
    let refresh = pair.await["refresh_token"].as_str().unwrap().to_owned();
    let site_id: Uuid = sqlx::query_scalar("SELECT id FROM syncline.site").fetch_one(rig.db.pool()).await.unwrap();
    let granted = Consent {
        client_id: "app",
        client_secret: &sealed("app-secret"),
        scopes: "read:jira-work offline_access",
        auth_url: &url,
        api_url: &url,
        site_url: &url,
        cloud_id: "cloud-1",
        pair: SealedPair { access_token: &sealed("over"), refresh_token: &sealed(&refresh), lives_for: Duration::ZERO },
    };
    oauth::consent(rig.db.pool(), (site_id, "acme"), &granted, "ana").await.unwrap();
    // A process takes the lease, gets the new pair, and dies before its commit.
    let dead = Uuid::from_u128(9);
    assert!(oauth::claim(rig.db.pool(), site_id, dead, 0, Duration::from_millis(300)).await.unwrap());
    let lost = exchange(&url, json!({ "grant_type": "refresh_token", "refresh_token": refresh })).await;
    assert!(lost["refresh_token"].is_string());
    (rig, refresh)
}

async fn exchange(url: &str, more: Value) -> Value {
    let mut body = json!({ "client_id": "app", "client_secret": "app-secret" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer =
        syncline::tls::client().build().unwrap().post(format!("{url}/oauth/token")).json(&body).send().await.unwrap();
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_token_pair_is_requested_again_with_the_old_token() {
    let (rig, spent) = simulated(Duration::from_secs(600)).await;
    let site_id: Uuid = sqlx::query_scalar("SELECT id FROM syncline.site").fetch_one(rig.db.pool()).await.unwrap();
    let clock = Clock::system();
    let http = HttpPool::new(clock.clone()).unwrap();
    let next = SiteTokens::new((site_id, "acme"), rig.db.pool().clone(), http, secrets(), clock);
    next.token(None).await.unwrap();
    let seen = rig.jira.control().stats().oauth;
    assert_eq!((seen.refreshes, seen.repeated_refresh_tokens, seen.reused_refresh_tokens), (1, 1, 0));
    let stored: String =
        sqlx::query_scalar("SELECT refresh_token FROM syncline.site_oauth").fetch_one(rig.db.pool()).await.unwrap();
    assert_ne!(secret::resolve(&stored, "acme", &secrets()).unwrap().expose_secret(), spent, "the chain goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_pair_lost_past_the_leeway_is_reported_as_lost() {
    let (rig, _) = simulated(Duration::ZERO).await;
    let site_id: Uuid = sqlx::query_scalar("SELECT id FROM syncline.site").fetch_one(rig.db.pool()).await.unwrap();
    let clock = Clock::system();
    for _ in 0..2 {
        let http = HttpPool::new(clock.clone()).unwrap();
        let next = SiteTokens::new((site_id, "acme"), rig.db.pool().clone(), http, secrets(), clock.clone());
        let failure = next.token(None).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::AuthExpired);
        assert!(failure.message.contains("syncline site authorize acme"), "{}", failure.message);
    }
    assert_eq!(rig.jira.control().stats().oauth.reused_refresh_tokens, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_server_that_is_down_leaves_the_lease_to_the_next() {
    let db = authorized("http://127.0.0.1:1", Duration::ZERO).await;
    let failure = tokens(&db).token(None).await.unwrap_err();
    assert_ne!(failure.code, FailureCode::AuthExpired, "{}", failure.message);
    assert!(oauth::claim(db.pool(), SITE, Uuid::from_u128(8), 0, Duration::from_secs(1)).await.unwrap());
}

/// `site authorize`, started; the address that it prints.
pub(crate) fn authorize(db: &TestDb, url: &str, further: &[&str]) -> (std::process::Child, url::Url) {
    let fixed = [
        "site",
        "authorize",
        "acme",
        "--client-id",
        "app",
        "--client-secret",
        "env:TOKEN",
        "--auth-url",
        url,
        "--api-url",
        url,
    ];
    let mut child = command(db, &[&fixed[..], further].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.trim().starts_with("http") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "no address was printed");
    }
    // What comes later is read too, so that the command is never held up.
    std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    (child, line.trim().parse().unwrap())
}

pub(crate) fn part(address: &url::Url, name: &str) -> String {
    address.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consent_returns_on_loopback_and_tokens_are_encrypted() {
    let (url, given) = server().await;
    let db = TestDb::new().await;
    site(&db).await;
    let (child, address) = authorize(&db, &url, &["--port", "0"]);
    assert!(part(&address, "scope").contains("offline_access") && address.as_str().starts_with(&url), "{address}");
    let back = format!("{}?code=the-code&state={}", part(&address, "redirect_uri"), part(&address, "state"));
    http_get(back.replace("localhost", "127.0.0.1")).await.unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let exchanged = given.lock().unwrap().exchanged.clone().unwrap();
    assert_eq!((&exchanged["code"], &exchanged["client_secret"]), (&json!("the-code"), &json!("of-nobody")));
    assert!(exchanged["code_verifier"].as_str().is_some_and(|verifier| verifier.len() >= 43), "{exchanged}");
    let (access, refresh): (String, String) =
        sqlx::query_as("SELECT access_token, refresh_token FROM syncline.site_oauth")
            .fetch_one(db.pool())
            .await
            .unwrap();
    assert!(access.starts_with("enc:v1:") && refresh.starts_with("enc:v1:") && !access.contains("access-"));
    let shown = asked(&db, &["site", "show", "acme"]);
    assert_eq!((&shown["cloud_id"], &shown["credential"]), (&json!("cloud-1"), &json!("oauth")));
    assert_eq!(acts(&db).await, ["site.authorize acme"]);
    assert_eq!(tokens(&db).token(None).await.unwrap().expose_secret(), "access-0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_to_another_question_is_not_taken() {
    let (url, given) = server().await;
    let db = TestDb::new().await;
    site(&db).await;
    let (mut child, address) = authorize(&db, &url, &["--paste"]);
    let pasted = format!("{}?code=the-code&state=another\n", part(&address, "redirect_uri"));
    child.stdin.take().unwrap().write_all(pasted.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(given.lock().unwrap().exchanged.is_none());
    let (mut child, address) = authorize(&db, &url, &["--paste"]);
    let pasted = format!("{}?code=the-code&state={}\n", part(&address, "redirect_uri"), part(&address, "state"));
    child.stdin.take().unwrap().write_all(pasted.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_authorized_site_is_read_and_its_tokens_are_renewed() {
    let mut options = Options::new(Clock::system());
    options.issues = 30;
    options.projects.truncate(1);
    options.oauth.client_id = "app".into();
    options.oauth.client_secret = "of-nobody".into();
    let mut rig = Rig::new(options).await;
    rig.config.secrets = secrets();
    sqlx::raw_sql("UPDATE syncline.site SET name = 'acme'").execute(rig.db.pool()).await.unwrap();
    let cloud_id = rig.jira.control().cloud_id().to_owned();
    let (child, address) = authorize(&rig.db, rig.jira.base_url(), &["--port", "0", "--cloud-id", &cloud_id]);
    // A browser whose owner consents at once, and which is sent back.
    http_get(address).await.unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let worker = rig.worker().await;
    let key = rig.projects[0].clone();
    assert_eq!(rig.sync(&key, "full").await, "succeeded");
    // The worker of this test has not the command's environment; and a token that was given this very moment would not be
    // taken for too old.
    sqlx::query("UPDATE syncline.site_oauth SET client_secret = $1, updated_at = now() - interval '1 hour'")
        .bind(sealed("of-nobody"))
        .execute(rig.db.pool())
        .await
        .unwrap();
    rig.jira.control().expire_access_tokens();
    let run = rig.enqueue(&key, "full").await;
    let state = rig.ended(run).await;
    let problem: Option<String> = sqlx::query_scalar("SELECT error_message FROM syncline.sync_run WHERE id = $1")
        .bind(run)
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert_eq!((state.as_str(), problem), ("succeeded", None));
    let seen = rig.jira.control().stats().oauth;
    assert!(seen.refreshes >= 1 && seen.reused_refresh_tokens == 0, "{seen:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accounts_are_reported_once_a_cycle_and_the_closed_forgotten() {
    let mut options = Options::new(Clock::system());
    options.issues = 30;
    options.people = 200;
    options.projects.truncate(1);
    options.oauth.client_id = "app".into();
    options.oauth.client_secret = "of-nobody".into();
    let mut rig = Rig::new(options).await;
    rig.config.secrets = secrets();
    sqlx::raw_sql("UPDATE syncline.site SET name = 'acme'").execute(rig.db.pool()).await.unwrap();
    let cloud_id = rig.jira.control().cloud_id().to_owned();
    let (child, address) = authorize(&rig.db, rig.jira.base_url(), &["--port", "0", "--cloud-id", &cloud_id]);
    http_get(address).await.unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let worker = rig.worker().await;
    let key = rig.projects[0].clone();
    assert_eq!(rig.sync(&key, "full").await, "succeeded");
    // 200 accounts are three requests; Atlassian names the cycle.
    let cycle = "SELECT count(*) FROM syncline.site WHERE accounts_report_due_at - accounts_reported_at = interval '7 days'
                    AND EXISTS (SELECT 1 FROM syncline.site_capability WHERE feature = 'personal_data_reporting' AND state = 'available')";
    assert_eq!(rig.count(cycle).await, 1);
    let steps = "SELECT count(*) FROM syncline.sync_step WHERE kind = 'report_accounts'";
    let first = rig.count(steps).await;
    assert!(first >= 3, "{first}");

    // Not before its time, however often the users are read.
    sqlx::raw_sql("UPDATE syncline.site SET users_synced_at = NULL").execute(rig.db.pool()).await.unwrap();
    assert_eq!(rig.sync(&key, "incremental").await, "succeeded");
    assert_eq!(rig.count(steps).await, first);

    let people: Vec<String> = sqlx::query_scalar(
        "SELECT account_id FROM syncline.jira_user WHERE account_type = 'atlassian' AND email LIKE '%@example.com' ORDER BY account_id LIMIT 2",
    )
    .fetch_all(rig.db.pool())
    .await
    .unwrap();
    let control = rig.jira.control();
    control.apply(Mutation::CloseUser { user: people[0].clone() }).unwrap();
    control.apply(Mutation::RenameUser { user: people[1].clone(), name: "Somebody Else".into() }).unwrap();
    sqlx::raw_sql("UPDATE syncline.site SET users_synced_at = NULL, accounts_report_due_at = now()")
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.sync(&key, "incremental").await, "succeeded");
    assert!(rig.count(steps).await > first);
    let forgotten = "SELECT count(*) FROM syncline.jira_user WHERE forgotten_at IS NOT NULL AND erased_at IS NOT NULL";
    assert_eq!(rig.count(forgotten).await, 1);
    // One who has changed is read anew by the next run.
    assert_eq!(rig.count("SELECT count(*) FROM syncline.site WHERE users_synced_at IS NULL").await, 1);
    worker.stop().await;
}
