//! The console in a real browser.

use crate::console::{GUARDED, PAGES, Stage, filled};
use crate::support::TestDb;
use crate::support::browser::{Browser, ENTER, TAB};

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
        browser.goto(stage.url("/keys")).await;
        browser.cookie("syncline_theme", theme).await;
        for path in &pages {
            browser.goto(stage.url(path)).await;
            assert_eq!(browser.attribute("html", "data-theme").await.as_deref(), Some(theme), "{path}");
            let classes = browser.attribute("html", "class").await.unwrap_or_default();
            assert!(classes.contains("js"), "{path}: the script did not run");
            let fits = "return document.documentElement.scrollWidth <= window.innerWidth";
            let wide = browser.script(fits).await == true;
            assert!(wide, "{path} is wider than the window");
            assert_eq!(browser.said().await, Vec::<String>::new(), "{path} in {theme}");
        }
        colours.push(browser.script("return getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(colours[0], colours[1], "the themes differ");
    browser.close().await;
}

#[tokio::test]
async fn a_run_is_retried_by_keyboard_alone() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let Some(browser) = Browser::open(true).await else { return };
    browser.goto(stage.url("/")).await;
    browser.key("g").await;
    browser.key("h").await;
    browser.at("/history").await;
    browser.goto(stage.url("/history?status=failed")).await;
    browser.key("j").await;
    assert!(browser.focused("href").await.1.contains("/runs/"), "a row has the focus");
    browser.key(ENTER).await;
    browser.at("/runs/").await;
    let mut reached = false;
    for _ in 0..40 {
        browser.key(TAB).await;
        if browser.focused("class").await.0 == "Retry" {
            reached = true;
            break;
        }
    }
    assert!(reached, "Tab never reached Retry");
    browser.key(ENTER).await;
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
    browser.goto(stage.url("/projects")).await;
    let classes = browser.attribute("html", "class").await.unwrap_or_default();
    assert!(!classes.contains("js"), "the script ran");
    browser.click_link("OPS").await;
    browser.at("/projects/east/OPS").await;
    browser.click_button("Pause").await;
    browser.at("said=paused").await;
    assert!(browser.has_button("Resume").await, "a paused project can be resumed");
    let state: String = sqlx::query_scalar("SELECT state FROM syncline.project").fetch_one(db.pool()).await.unwrap();
    assert_eq!(state, "paused");
    browser.close().await;
}
