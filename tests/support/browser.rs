//! A real browser: Chromium, driven over the WebDriver protocol by its own driver. `make deps` brings both.
//!
//! `SYNCLINE_TEST_BROWSER=none` goes without and says so; `.ci/run` refuses that value.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub const ENTER: &str = "\u{e007}";
pub const TAB: &str = "\u{e004}";
/// How long the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name under which the protocol hands elements over.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser and its driver; both end with it.
pub struct Browser {
    client: reqwest::Client,
    session: String,
    _process: Child,
}

impl Browser {
    /// Starts one; none where the tests are told to go without.
    pub async fn open(script: bool) -> Option<Self> {
        if std::env::var("SYNCLINE_TEST_BROWSER").is_ok_and(|value| value == "none") {
            eprintln!("left out: SYNCLINE_TEST_BROWSER is none");
            return None;
        }
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver starts: `make deps` installs it, SYNCLINE_TEST_BROWSER=none goes without");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // What it says further is read, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,900"];
        let mut options = json!({ "args": arguments });
        if !script {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } } } });
        let client = syncline::tls::client().build().unwrap();
        let driver = format!("http://127.0.0.1:{port}/session");
        let answer = client.post(&driver).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser starts: {answer}"));
        Some(Self { session: format!("{driver}/{id}"), client, _process: process })
    }

    async fn answer(request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{answer}");
        answer["value"].take()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        Self::answer(self.client.post(format!("{}{path}", self.session)).json(&body)).await
    }

    async fn get(&self, path: &str) -> Value {
        Self::answer(self.client.get(format!("{}{path}", self.session))).await
    }

    pub async fn goto(&self, url: impl AsRef<str>) {
        self.post("/url", json!({ "url": url.as_ref() })).await;
    }

    pub async fn cookie(&self, name: &str, value: &str) {
        self.post("/cookie", json!({ "cookie": { "name": name, "value": value } })).await;
    }

    /// What a script answers.
    pub async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// What the browser said on its console since it was last asked: messages, and reports of the content security policy.
    pub async fn said(&self) -> Vec<String> {
        let said = self.post("/se/log", json!({ "type": "browser" })).await;
        let text = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        said.as_array().unwrap().iter().map(text).collect()
    }

    /// Presses a key and lets it go.
    pub async fn key(&self, key: &str) {
        let press = |kind: &str| json!({ "type": kind, "value": key });
        let actions = [press("keyDown"), press("keyUp")];
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] })).await;
    }

    /// An attribute of an element, by a CSS selector.
    pub async fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let element = self.find("css selector", selector).await;
        self.get(&format!("/element/{element}/attribute/{name}")).await.as_str().map(str::to_owned)
    }

    /// The text of the element that has the focus, and an attribute of it.
    pub async fn focused(&self, name: &str) -> (String, String) {
        let element = self.get("/element/active").await[ELEMENT].as_str().unwrap().to_owned();
        let text = self.get(&format!("/element/{element}/text")).await;
        let attribute = self.get(&format!("/element/{element}/attribute/{name}")).await;
        let text_of = |value: Value| value.as_str().unwrap_or_default().to_owned();
        (text_of(text), text_of(attribute))
    }

    async fn find(&self, using: &str, value: &str) -> String {
        self.post("/element", json!({ "using": using, "value": value })).await[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Whether there is a button with this text.
    pub async fn has_button(&self, text: &str) -> bool {
        let value = format!("//button[contains(., '{text}')]");
        let found = self.post("/elements", json!({ "using": "xpath", "value": value })).await;
        found.as_array().is_some_and(|all| !all.is_empty())
    }

    pub async fn click_button(&self, text: &str) {
        let element = self.find("xpath", &format!("//button[contains(., '{text}')]")).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    pub async fn click_link(&self, text: &str) {
        let element = self.find("link text", text).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Waits until the address holds a text.
    pub async fn at(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let url = self.get("/url").await;
            if url.as_str().is_some_and(|url| url.contains(text)) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{url} never held {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn close(self) {
        Self::answer(self.client.delete(&self.session)).await;
    }
}
