//! Signing in by an OpenID provider: a real one, in a process of its own, and a browser that follows where it is led.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use reqwest::{Method, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use syncline::api::{self, Server};
use syncline::app::account::{self, NewOne};
use syncline::app::{Actor, App};
use syncline::clock::Clock;
use syncline::config::{OidcConfig, ServeConfig, SyncConfig};
use url::Url;

use crate::support::TestDb;

/// Has what its name may spoil when it is sent without being encoded.
const SECRET: &str = "a secret+of:this&client";

/// The provider's program with what it needs, installed once.
fn installed() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/oidc");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-oidc");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    for name in ["package.json", "package-lock.json", "server.mjs"] {
        std::fs::copy(source.join(name), folder.join(name)).unwrap();
    }
    let (wanted, mark) = (source.join("package-lock.json"), folder.join("installed"));
    if std::fs::read(&mark).ok() != std::fs::read(&wanted).ok() {
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&folder)
            .output()
            .expect("no npm: run .ci/deps test, or apt-get install nodejs npm");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        std::fs::copy(&wanted, &mark).unwrap();
    }
    folder
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A provider that runs.
struct Provider {
    child: Child,
    issuer: String,
    people: tempfile::NamedTempFile,
    /// It ends when nobody holds what it writes to.
    _said: BufReader<ChildStdout>,
}

impl Provider {
    fn start(redirect: &str) -> Self {
        let folder = installed();
        let people = tempfile::NamedTempFile::new().unwrap();
        let port = free_port();
        let mut child = Command::new("node")
            .arg("server.mjs")
            .args([&port.to_string(), redirect])
            .arg(people.path())
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let is_ready = said.by_ref().lines().map_while(Result::ok).any(|line| line == "ready");
        assert!(is_ready, "the provider did not start");
        Self { child, issuer: format!("http://127.0.0.1:{port}"), people, _said: said }
    }

    /// What it tells of people.
    fn tells(&self, people: &Value) {
        std::fs::write(self.people.path(), people.to_string()).unwrap();
    }

    fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A server that sends people to a provider.
struct Stage {
    db: TestDb,
    app: App,
    provider: Provider,
    _server: Server,
    base: Url,
}

impl Stage {
    async fn new() -> Self {
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}/jira");
        let provider = Provider::start(&format!("{base}/auth/oidc/callback"));
        provider.tells(&json!({
            "ana": {"groups": ["admins", "everyone"], "preferred_username": "ana.silva", "email": "ana@example.com", "email_verified": true},
            "bo": {"groups": ["everyone"], "preferred_username": "bo"},
            "cy": {"groups": ["strangers"], "preferred_username": "cy"},
        }));
        let db = TestDb::new().await;
        let config = ServeConfig {
            address: ([127, 0, 0, 1], port).into(),
            may_move: false,
            base_path: "/jira".into(),
            public_url: Some(base.clone()),
            oidc: OidcConfig {
                issuer: Some(provider.issuer.clone()),
                client_id: Some("syncline".into()),
                client_secret: Some(SecretString::from(SECRET)),
                groups: "everyone=viewer,admins=administrator".into(),
                ..OidcConfig::default()
            },
            ..ServeConfig::default()
        };
        config.check().unwrap();
        let app = App::new(db.pool().clone().into(), Clock::system());
        let server = api::serve(app.clone(), &config, &SyncConfig::default()).await.unwrap();
        Self { db, app, provider, _server: server, base: base.parse().unwrap() }
    }

    fn url(&self, path: &str) -> Url {
        format!("{}{path}", self.base).parse().unwrap()
    }

    async fn accounts(&self) -> Vec<(String, String, bool)> {
        sqlx::query_as("SELECT name, role, oidc_subject IS NOT NULL FROM syncline.account ORDER BY name")
            .fetch_all(self.db.pool())
            .await
            .unwrap()
    }
}

/// A browser: it keeps cookies, and follows where it is led.
struct Browser {
    client: reqwest::Client,
    kept: BTreeMap<(u16, String), String>,
}

impl Browser {
    fn new() -> Self {
        let client = syncline::tls::client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, kept: BTreeMap::new() }
    }

    async fn ask(&mut self, method: Method, url: &Url, form: Option<&[(&str, &str)]>) -> Response {
        let port = url.port().unwrap();
        let of_host = self.kept.iter().filter(|((of, _), _)| *of == port);
        let cookies: Vec<_> = of_host.map(|((_, name), value)| format!("{name}={value}")).collect();
        let mut request = self
            .client
            .request(method, url.clone())
            .header("accept", "text/html,*/*")
            .header("cookie", cookies.join("; "));
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match value {
                "" => self.kept.remove(&(port, name.to_owned())),
                value => self.kept.insert((port, name.to_owned()), value.to_owned()),
            };
        }
        answer
    }

    /// Goes to `url` and on to where it is led, at most as far as an address that begins with `until`.
    async fn follows(&mut self, url: Url, form: Option<&[(&str, &str)]>, until: &str) -> Result<(Url, String), Url> {
        let (mut url, mut form) = (url, form);
        for _ in 0..12 {
            let method = if form.is_some() { Method::POST } else { Method::GET };
            let answer = self.ask(method, &url, form.take()).await;
            let Some(to) = answer.headers().get("location") else { return Ok((url, answer.text().await.unwrap())) };
            url = url.join(to.to_str().unwrap()).unwrap();
            if url.as_str().starts_with(until) {
                return Err(url);
            }
        }
        panic!("led around in a circle");
    }

    /// Begins to sign in here, and says at the provider who it is; the address that it is led back to.
    async fn vouched(&mut self, stage: &Stage, who: &str, next: &str) -> Url {
        let back = stage.url("/auth/oidc/callback");
        let mut begin = stage.url("/auth/oidc");
        begin.query_pairs_mut().append_pair("next", next);
        let (mut url, mut form): (Url, Option<Vec<(&str, &str)>>) = (begin, None);
        for answer in [&[("prompt", "login"), ("login", who), ("password", "x")][..], &[("prompt", "consent")]] {
            let (at, page) = match self.follows(url, form.as_deref(), back.as_str()).await {
                Ok(page) => page,
                Err(back) => return back,
            };
            let action =
                page.split("action=\"").nth(1).unwrap_or_else(|| panic!("{at}: {page}")).split('"').next().unwrap();
            url = at.join(action).unwrap();
            form = Some(answer.to_vec());
        }
        self.follows(url, form.as_deref(), back.as_str()).await.unwrap_err()
    }

    /// Signs in; the answer to the way back.
    async fn signs_in(&mut self, stage: &Stage, who: &str, next: &str) -> Response {
        let back = self.vouched(stage, who, next).await;
        self.ask(Method::GET, &back, None).await
    }

    async fn who(&mut self, stage: &Stage) -> Option<Value> {
        let answer = self.ask(Method::GET, &stage.url("/api/session"), None).await;
        (answer.status() == StatusCode::OK).then_some(answer)?.json().await.unwrap()
    }
}

#[tokio::test]
async fn a_provider_signs_people_in_with_the_role_of_their_groups() {
    let stage = Stage::new().await;
    let mut ana = Browser::new();
    let answer = ana.signs_in(&stage, "ana", "/jira/runs?state=failed").await;
    assert_eq!(
        (answer.status(), &answer.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/jira/runs?state=failed".parse().unwrap())
    );
    let who = ana.who(&stage).await.unwrap();
    assert_eq!((&who["name"], &who["role"]), (&json!("ana.silva"), &json!("administrator")));
    let mut bo = Browser::new();
    let answer = bo.signs_in(&stage, "bo", "https://evil.example/").await;
    assert_eq!(answer.headers()["location"], "/jira/", "nobody is led to another host");
    assert_eq!(bo.who(&stage).await.unwrap()["role"], "viewer");
    // What the groups say counts with the next sign-in; the same person keeps the account under another name.
    stage.provider.tells(&json!({"ana": {"groups": "everyone", "preferred_username": "ana.costa"}}));
    let mut again = Browser::new();
    again.signs_in(&stage, "ana", "").await;
    assert_eq!(again.who(&stage).await.unwrap()["role"], "viewer");
    assert_eq!(ana.who(&stage).await.unwrap()["role"], "viewer", "open sessions follow");
    let known = |name: &str| (name.to_owned(), "viewer".to_owned(), true);
    assert_eq!(stage.accounts().await, [known("ana.silva"), known("bo")]);
    let audit: Vec<(String, String)> = sqlx::query_as("SELECT action, actor FROM syncline.audit ORDER BY id")
        .fetch_all(stage.db.pool())
        .await
        .unwrap();
    let by = |action: &str, actor: &str| (action.to_owned(), actor.to_owned());
    assert_eq!(audit[..2], [by("account.create", "ana.silva"), by("session.begin", "ana.silva")]);
    assert!(audit.contains(&by("account.change", "ana.silva")), "{audit:?}");
}

#[tokio::test]
async fn who_has_none_of_the_groups_or_a_taken_name_is_refused() {
    let stage = Stage::new().await;
    let mut cy = Browser::new();
    let answer = cy.signs_in(&stage, "cy", "").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let page = answer.text().await.unwrap();
    assert!(page.contains("none of your groups") && page.contains("/jira/auth/oidc"), "{page}");
    assert!(cy.who(&stage).await.is_none() && stage.accounts().await.is_empty());
    let local =
        NewOne { name: "BO".into(), password: Some(SecretString::from("correct horse battery")), ..NewOne::default() };
    account::create(&stage.app, &Actor::cli("root"), &local).await.unwrap();
    let mut bo = Browser::new();
    assert_eq!(
        bo.signs_in(&stage, "bo", "").await.status(),
        StatusCode::CONFLICT,
        "a name is no proof of who somebody is"
    );
    assert!(bo.who(&stage).await.is_none());
    sqlx::query(
        "INSERT INTO syncline.account (id, name, role, email, restricted, created_by)
                 VALUES (syncline.new_id(), 'a.silva', 'viewer', 'ANA@example.com', true, 'root')",
    )
    .execute(stage.db.pool())
    .await
    .unwrap();
    let mut ana = Browser::new();
    ana.signs_in(&stage, "ana", "").await;
    let who = ana.who(&stage).await.unwrap();
    assert_eq!(who["name"], "a.silva", "an account that waits for an address that the provider has seen");
    assert!(who["scopes"].as_array().unwrap().contains(&json!("replica:restricted")), "{who}");
    sqlx::query("UPDATE syncline.account SET disabled_at = now()").execute(stage.db.pool()).await.unwrap();
    assert_eq!(Browser::new().signs_in(&stage, "ana", "").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_answer_counts_once_and_in_its_own_browser() {
    let stage = Stage::new().await;
    let mut victim = Browser::new();
    let mut attacker = Browser::new();
    let back = attacker.vouched(&stage, "ana", "").await;
    assert_eq!(victim.ask(Method::GET, &back, None).await.status(), StatusCode::UNAUTHORIZED, "another browser");
    // A browser that has asked by itself is not taken by an answer to somebody else's question.
    victim.vouched(&stage, "bo", "").await;
    assert_eq!(victim.ask(Method::GET, &back, None).await.status(), StatusCode::UNAUTHORIZED, "another question");
    assert!(victim.who(&stage).await.is_none());
    let asked = attacker.kept.clone();
    assert_eq!(attacker.ask(Method::GET, &back, None).await.status(), StatusCode::SEE_OTHER);
    attacker.kept = asked;
    let again = attacker.ask(Method::GET, &back, None).await;
    assert_eq!(again.status(), StatusCode::SERVICE_UNAVAILABLE, "a code is used once");
    assert!(!again.text().await.unwrap().contains("code="));
    // The wrong provider's answer, a refusal, and nothing at all.
    for (query, status) in
        [("error=access_denied&error_description=<script>", 403), ("state=a", 401), ("", 401), ("code=%FF%FE", 401)]
    {
        let mut url = stage.url("/auth/oidc/callback");
        url.set_query(Some(query));
        let answer = Browser::new().ask(Method::GET, &url, None).await;
        assert_eq!(answer.status().as_u16(), status, "{query}");
        assert!(!answer.text().await.unwrap().contains("<script"));
    }
    let mut mixed = Browser::new();
    let mut back = mixed.vouched(&stage, "ana", "").await;
    let pairs: Vec<_> =
        back.query_pairs().filter(|(name, _)| name != "iss").map(|(a, b)| (a.into_owned(), b.into_owned())).collect();
    back.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://other.example");
    assert_eq!(
        mixed.ask(Method::GET, &back, None).await.status(),
        StatusCode::UNAUTHORIZED,
        "another provider's answer"
    );
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_told_with_advice() {
    let mut stage = Stage::new().await;
    stage.provider.stop();
    let mut browser = Browser::new();
    let answer = browser.ask(Method::GET, &stage.url("/auth/oidc"), None).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("oidc.issuer"), "{page}");
    let plain = browser.client.get(stage.url("/auth/oidc")).send().await.unwrap();
    assert_eq!(plain.headers()["content-type"], "application/problem+json");
    // One that listens and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", silent.local_addr().unwrap());
    let mute = ServeConfig {
        address: ([127, 0, 0, 1], 0).into(),
        public_url: Some("http://127.0.0.1:9".into()),
        oidc: OidcConfig {
            issuer: Some(issuer),
            client_id: Some("syncline".into()),
            client_secret: Some(SecretString::from(SECRET)),
            groups: "*=viewer".into(),
            ..OidcConfig::default()
        },
        ..ServeConfig::default()
    };
    let server = api::serve(stage.app.clone(), &mute, &SyncConfig::default()).await.unwrap();
    let asked = browser.client.get(format!("http://{}/auth/oidc", server.address())).send();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), asked).await.unwrap().unwrap();
    let said: Value = answer.json().await.unwrap();
    assert!(said["detail"].as_str().unwrap().contains("no answer within"), "{said}");
}

#[tokio::test]
async fn without_a_provider_nobody_is_sent_away() {
    let db = TestDb::new().await;
    let config = ServeConfig { address: ([127, 0, 0, 1], 0).into(), ..ServeConfig::default() };
    let app = App::new(db.pool().clone().into(), Clock::system());
    let server = api::serve(app, &config, &SyncConfig::default()).await.unwrap();
    let client = syncline::tls::client().build().unwrap();
    let answer = client.get(format!("http://{}/auth/oidc", server.address())).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}
