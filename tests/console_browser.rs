//! The console in a real browser, which `make deps` brings: Chromium, driven by its own driver.
//!
//! `SYNCLINE_TEST_BROWSER=none` leaves these tests out and says so; `.ci/run` refuses that value.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, ChromiumLikeCapabilities, Cookie};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::console::{GUARDED, PAGES, Stage, filled};
use crate::support::TestDb;

const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";
/// How long the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser and its driver; both end with it.
struct Browser {
    driver: WebDriver,
    address: String,
    _process: Child,
}

impl Browser {
    /// Starts one; none where the tests are told to go without.
    async fn open(script: bool) -> Option<Self> {
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
        let mut wanted = ChromeCapabilities::new();
        for argument in
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,900"]
        {
            wanted.add_arg(argument).unwrap();
        }
        if !script {
            let settings = json!({"profile.managed_default_content_settings.javascript": 2});
            wanted.add_experimental_option("prefs", settings).unwrap();
        }
        wanted.set("goog:loggingPrefs", json!({"browser": "ALL"})).unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(&address, wanted).await.unwrap();
        Some(Self { driver, address, _process: process })
    }

    /// What the browser said on its console since it was last asked: messages, and reports of the content security policy.
    async fn said(&self) -> Vec<String> {
        let url = format!("{}/session/{}/se/log", self.address, self.driver.session_id());
        let asked =
            syncline::tls::client().build().unwrap().post(url).json(&json!({"type": "browser"})).send().await.unwrap();
        let said: Value = asked.json().await.unwrap();
        said["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["message"].as_str().unwrap_or("").to_owned())
            .collect()
    }

    async fn keys(&self, keys: &str) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    async fn focused(&self) -> WebElement {
        self.driver.active_element().await.unwrap()
    }

    /// Waits until the address holds a text.
    async fn at(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let url = self.driver.current_url().await.unwrap();
            if url.as_str().contains(text) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{url} never held {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn close(self) {
        self.driver.clone().quit().await.unwrap();
    }
}

async fn last_failed(db: &TestDb) -> String {
    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM syncline.sync_run WHERE state = 'failed' ORDER BY created_at DESC LIMIT 1")
            .fetch_one(db.pool())
            .await
            .unwrap();
    id.to_string()
}

#[tokio::test]
async fn pages_open_in_both_themes_without_a_message() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let Some(browser) = Browser::open(true).await else { return };
    let failed = last_failed(&db).await;
    let mut pages: Vec<String> = PAGES.iter().chain(&GUARDED).map(|page| (*page).to_owned()).collect();
    for tab in ["", "?tab=steps", "?tab=logs", "?tab=errors"] {
        pages.push(format!("/runs/{failed}{tab}"));
    }
    let mut colours = Vec::new();
    for theme in ["light", "dark"] {
        browser.driver.goto(stage.url("/keys")).await.unwrap();
        browser.driver.add_cookie(Cookie::new("syncline_theme", theme)).await.unwrap();
        for path in &pages {
            browser.driver.goto(stage.url(path)).await.unwrap();
            let root = browser.driver.find(By::Tag("html")).await.unwrap();
            assert_eq!(root.attr("data-theme").await.unwrap().as_deref(), Some(theme), "{path}");
            assert!(
                root.attr("class").await.unwrap().unwrap_or_default().contains("js"),
                "{path}: the script did not run"
            );
            let wide: bool = browser
                .driver
                .execute("return document.documentElement.scrollWidth <= window.innerWidth", Vec::new())
                .await
                .unwrap()
                .convert()
                .unwrap();
            assert!(wide, "{path} is wider than the window");
            assert_eq!(browser.said().await, Vec::<String>::new(), "{path} in {theme}");
        }
        let body = browser.driver.find(By::Tag("body")).await.unwrap();
        colours.push(body.css_value("background-color").await.unwrap());
    }
    assert_ne!(colours[0], colours[1], "the themes differ");
    browser.close().await;
}

#[tokio::test]
async fn a_run_is_retried_by_keyboard_alone() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let Some(browser) = Browser::open(true).await else { return };
    browser.driver.goto(stage.url("/")).await.unwrap();
    browser.keys("g").await;
    browser.keys("h").await;
    browser.at("/history").await;
    browser.driver.goto(stage.url("/history?status=failed")).await.unwrap();
    browser.keys("j").await;
    assert!(browser.focused().await.attr("href").await.unwrap().unwrap().contains("/runs/"), "a row has the focus");
    browser.keys(ENTER).await;
    browser.at("/runs/").await;
    let mut reached = false;
    for _ in 0..40 {
        browser.keys(TAB).await;
        if browser.focused().await.text().await.unwrap() == "Retry" {
            reached = true;
            break;
        }
    }
    assert!(reached, "Tab never reached Retry");
    browser.keys(ENTER).await;
    browser.at("said=retried").await;
    let retried: i64 = sqlx::query_scalar("SELECT count(*) FROM syncline.sync_run WHERE trigger = 'retry'")
        .fetch_one(db.pool())
        .await
        .unwrap();
    assert_eq!(retried, 1);
    browser.close().await;
}

#[tokio::test]
async fn without_a_script_a_project_is_paused() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let Some(browser) = Browser::open(false).await else { return };
    browser.driver.goto(stage.url("/projects")).await.unwrap();
    let root = browser.driver.find(By::Tag("html")).await.unwrap();
    assert!(!root.attr("class").await.unwrap().unwrap_or_default().contains("js"), "the script ran");
    browser.driver.find(By::LinkText("OPS")).await.unwrap().click().await.unwrap();
    browser.at("/projects/east/OPS").await;
    browser.driver.find(By::XPath("//button[contains(., 'Pause')]")).await.unwrap().click().await.unwrap();
    browser.at("said=paused").await;
    browser.driver.find(By::XPath("//button[contains(., 'Resume')]")).await.unwrap();
    let state: String = sqlx::query_scalar("SELECT state FROM syncline.project").fetch_one(db.pool()).await.unwrap();
    assert_eq!(state, "paused");
    browser.close().await;
}
