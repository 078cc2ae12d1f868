//! Alerts, settings and issues on the pages of the console.

use crate::console::{Stage, filled, location};

#[tokio::test]
async fn an_alert_is_taken_on_kept_quiet_and_ended() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let id: uuid::Uuid = sqlx::query_scalar("SELECT id FROM syncline.alert").fetch_one(db.pool()).await.unwrap();
    assert!(stage.text("/alerts").await.contains(&id.to_string()));
    let act =
        async |act: &str, form: &[(&str, &str)]| location(&stage.post(&format!("/alerts/{id}/{act}"), form).await);
    assert_eq!(act("acknowledge", &[("note", "mine <b>")]).await, format!("/alerts/{id}?said=acknowledged"));
    assert_eq!(act("acknowledge", &[]).await, format!("/alerts/{id}?said=nothing"));
    let page = stage.text(&format!("/alerts/{id}")).await;
    assert!(page.contains("mine &#60;b&#62;") || page.contains("mine &lt;b&gt;"), "{page}");
    assert_eq!(act("silence", &[("seconds", "3600")]).await, format!("/alerts/{id}?said=silenced"));
    assert!(stage.text(&format!("/alerts/{id}")).await.contains("End the silence"));
    assert_eq!(act("unsilence", &[]).await, format!("/alerts/{id}?said=unsilenced"));
    assert_eq!(act("resolve", &[]).await, format!("/alerts/{id}?said=resolved"));
    assert_eq!(stage.post(&format!("/alerts/{id}/silence"), &[("seconds", "x")]).await.status(), 400);
    let actions: Vec<String> = sqlx::query_scalar("SELECT action FROM syncline.audit WHERE way = 'local' ORDER BY id")
        .fetch_all(db.pool())
        .await
        .unwrap();
    assert_eq!(actions, ["alert.ack", "alert.silence.add", "alert.silence.remove", "alert.resolve"]);
}

#[tokio::test]
async fn what_was_typed_stays_when_a_setting_is_refused() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let refused = stage.post("/settings", &[("scope", "east/OPS"), ("page_size", "999999")]).await;
    assert_eq!(refused.status(), 200);
    let page = refused.text().await.unwrap();
    assert!(page.contains("value=\"999999\"") && page.contains("out of what it may be"), "{page}");
    let saved = stage.post("/settings", &[("scope", "east/OPS"), ("page_size", "50"), ("pages_in_flight", "4")]).await;
    assert_eq!(location(&saved), "/settings?scope=east%2FOPS&said=saved");
    let stored: Vec<(String, String)> =
        sqlx::query_as("SELECT key, value::text FROM syncline.setting").fetch_all(db.pool()).await.unwrap();
    assert_eq!(stored, [("page_size".to_owned(), "50".to_owned())], "only what differs is set");
    let removed = stage.post("/settings", &[("scope", "east/OPS"), ("unset", "page_size")]).await;
    assert_eq!(location(&removed), "/settings?scope=east%2FOPS&said=saved");
}

#[tokio::test]
async fn an_issue_hides_what_jira_restricts() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let page = stage.text("/issues/east/OPS-1").await;
    assert!(page.contains("Line one") && page.contains("Comment 1"), "{page}");
    assert!(!page.contains("Comment 2") && !page.contains("Admins"), "{page}");
    assert_eq!(stage.get("/issues/east/OPS-9").await.status(), 404);
}

#[tokio::test]
async fn webhooks_are_found_by_issue_and_outcome() {
    let db = filled().await;
    let stage = Stage::new(&db).await;
    let all = stage.text("/sites/east/webhooks").await;
    assert!(
        all.contains("jira:issue_updated") && all.contains("/issues/east/OPS-1") && all.contains("No secret"),
        "{all}"
    );
    assert!(stage.text("/sites").await.contains("/sites/east/webhooks"));
    let none = stage.text("/sites/east/webhooks?outcome=ignored").await;
    assert!(!none.contains("jira:issue_updated") && none.contains("selected>ignored"), "{none}");
    let wrong = stage.get("/sites/east/webhooks?outcome=lost").await;
    assert_eq!(wrong.status(), reqwest::StatusCode::BAD_REQUEST);
}
