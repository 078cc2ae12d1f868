//! Projects are found, chosen, and narrowed to users from the command line; what Jira answers otherwise is explained.

use syncline::clock::Clock;
use syncline::simulator::{Kind, Mutation, Options};

use crate::support::command::{acts, json, refuses, succeeds};
use crate::support::{Rig, TestDb};

async fn execute(db: &TestDb, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db.pool()).await.unwrap();
}

/// A Jira of several projects, none of which is synchronised yet.
async fn rig() -> Rig {
    let mut options = Options::new(Clock::system());
    options.issues = 5;
    let rig = Rig::new(options).await;
    execute(&rig.db, "DELETE FROM syncline.project").await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn visible_projects_are_listed_and_chosen_ones_added() {
    let rig = rig().await;
    let all = json(&rig.db, &["project", "discover", "sim"]);
    let keys: Vec<&str> = all.as_array().unwrap().iter().map(|project| project["key"].as_str().unwrap()).collect();
    let mut expected: Vec<&str> = rig.projects.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert!(all.as_array().unwrap().iter().all(|project| project["tracked"].is_null()), "{all}");
    let first = keys[0].to_owned();
    let found = json(&rig.db, &["project", "discover", "sim", "--filter", &first.to_lowercase()]);
    assert!(found.as_array().unwrap().iter().any(|project| project["key"] == first.as_str()), "{found}");
    let chosen = json(&rig.db, &["project", "discover", "sim", "--track", &first]);
    let marks: Vec<&serde_json::Value> = chosen.as_array().unwrap().iter().map(|project| &project["tracked"]).collect();
    assert_eq!(marks[0], "added");
    assert!(marks[1..].iter().all(|mark| mark.is_null()), "{marks:?}");
    // Known by its id, whatever its key became.
    execute(&rig.db, "UPDATE syncline.project SET key = 'OLDNAME'").await;
    assert_eq!(json(&rig.db, &["project", "discover", "sim"])[0]["tracked"], "active");
    succeeds(&rig.db, &["project", "discover", "sim", "--track-all"]);
    let count = i64::try_from(expected.len()).unwrap();
    assert_eq!(rig.count("SELECT count(*) FROM syncline.project").await, count);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.schedule").await, count);
    refuses(
        &rig.db,
        &["project", "discover", "sim", "--track", "NOSUCH"],
        1,
        &["sees no project NOSUCH", "nothing was added"],
    );
    refuses(&rig.db, &["project", "discover", "nosite"], 1, &["the sites are: sim"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn data_center_projects_have_sizes_leads_and_archived_state() {
    let mut options = Options::new(Clock::system());
    (options.issues, options.kind) = (30, Kind::DataCenter);
    let rig = Rig::new(options).await;
    execute(&rig.db, "DELETE FROM syncline.project").await;
    rig.jira.control().apply(Mutation::ArchiveProject { project: "BETA".into() }).unwrap();
    let all = json(&rig.db, &["project", "discover", "sim"]);
    let line = |at: usize| &all[at];
    assert_eq!(
        (&line(0)["key"], &line(0)["issues"], &line(0)["jira_state"]),
        (&"ACME".into(), &10.into(), &"live".into())
    );
    assert!(line(0)["lead"].is_string() && line(0)["last_activity"].is_string() && line(0)["project_type"].is_string());
    assert_eq!((&line(1)["key"], &line(1)["jira_state"]), (&"BETA".into(), &"archived".into()), "{all}");
    refuses(&rig.db, &["project", "discover", "sim", "--track", "BETA"], 1, &["archived"]);
    succeeds(&rig.db, &["project", "discover", "sim", "--track-all"]);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.project").await, 2);
}

async fn staged() -> TestDb {
    let db = TestDb::new().await;
    execute(
        &db,
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES
           ('00000000-0000-7000-8000-000000000001', 'acme', 'http://127.0.0.1:1', 'bot@example.com', 'env:TOKEN');
         INSERT INTO syncline.project (id, site_id, key) VALUES
           ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'WEB');
         INSERT INTO syncline.jira_user (site_id, account_id, display_name, email, active) VALUES
           ('00000000-0000-7000-8000-000000000001', 'a1', 'Ana', 'ana@example.com', true),
           ('00000000-0000-7000-8000-000000000001', 'b1', 'Ben', NULL, true)",
    )
    .await;
    db
}

async fn runs(db: &TestDb) -> Vec<String> {
    sqlx::query_scalar("SELECT kind || ' ' || state FROM syncline.sync_run ORDER BY created_at, id")
        .fetch_all(db.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn listing_a_user_narrows_the_project_and_asks_for_a_run() {
    let db = staged().await;
    refuses(&db, &["project", "track", "web", "listed"], 1, &["lists no user"]);
    let text = succeeds(&db, &["project", "track", "web", "add", "ANA@example.com", "b1"]);
    assert!(text.contains("added 2 of 2") && text.contains("only issues of listed users"), "{text}");
    assert_eq!(runs(&db).await, ["incremental running"]);
    let shown = json(&db, &["project", "track", "web", "list"]);
    assert_eq!((&shown["tracking"], &shown["users"][0]["account_id"]), (&"listed".into(), &"a1".into()));
    // Nothing new is asked for what is so already.
    assert!(succeeds(&db, &["project", "track", "web", "add", "a1"]).contains("added 0 of 1"));
    assert_eq!(runs(&db).await.len(), 1);
    succeeds(&db, &["project", "track", "web", "remove", "ana@example.com"]);
    let text = succeeds(&db, &["project", "track", "web", "remove", "b1"]);
    assert!(text.contains("lists no users now"), "{text}");
    succeeds(&db, &["project", "track", "web", "all"]);
    assert_eq!(runs(&db).await, ["incremental running", "full queued"], "what was left out is read");
    assert!(acts(&db).await.iter().all(|act| act == "project.track acme/WEB"));
}

#[tokio::test]
async fn users_are_listed_for_several_projects_by_one_command() {
    let db = staged().await;
    execute(
        &db,
        "INSERT INTO syncline.project (id, site_id, key, name) VALUES
           ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'OPS', 'Operations'),
           ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000001', 'APP', 'Shop app')",
    )
    .await;
    let track = |words: &[&'static str]| [&["project", "track"], words].concat();
    let text = succeeds(&db, &track(&["OPS", "web", "add", "a1", "b1"]));
    for word in ["list 2 users for 2 projects: acme/OPS, acme/WEB", "acme/OPS: added 2 of 2 users", "acme/WEB: added"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // All are found before the first is changed.
    refuses(&db, &track(&["APP", "NOPE", "add", "a1"]), 1, &["unknown project"]);
    refuses(&db, &track(&["APP", "listed"]), 1, &["acme/APP lists no user"]);
    refuses(&db, &track(&["OPS", "APP", "listed"]), 1, &["acme/APP lists no user"]);
    refuses(&db, &track(&["--all", "all"]), 2, &["this would read every issue of 3 projects: acme/APP", "--yes"]);
    refuses(&db, &track(&["--site", "acme", "WEB", "list"]), 2, &["PROJECT cannot be used with --site"]);
    refuses(&db, &track(&["OPS", "WEB"]), 2, &["the verb is missing: one of all, listed, add, remove, list"]);
    let listed = json(&db, &track(&["--site", "acme", "list"]));
    let of = |at: usize| (listed[at]["project"].as_str().unwrap(), listed[at]["users"].as_array().unwrap().len());
    assert_eq!([of(0), of(1), of(2)], [("acme/APP", 0), ("acme/OPS", 2), ("acme/WEB", 2)]);
    let table = succeeds(&db, &track(&["--all", "list"]));
    assert!(table.contains("every issue") && table.contains("listed users"), "{table}");
    // Of several projects those count that list the user; one that none lists is refused.
    let done = json(&db, &track(&["--all", "remove", "a1", "--yes"]));
    let changed: Vec<usize> =
        done.as_array().unwrap().iter().map(|one| one["changed"].as_array().unwrap().len()).collect();
    assert_eq!(changed, [0, 1, 1], "{done}");
    refuses(&db, &track(&["--all", "remove", "a1", "--yes"]), 1, &["on none of the lists of 3 projects"]);
    let done = json(&db, &track(&["--filter", "ops", "all", "--yes"]));
    assert_eq!((&done[0]["project"], done.as_array().unwrap().len()), (&"acme/OPS".into(), 1));
}

#[tokio::test]
async fn a_user_that_is_not_known_is_refused_with_the_reason() {
    let db = staged().await;
    refuses(&db, &["project", "track", "web", "add"], 2, &["no USER"]);
    refuses(&db, &["project", "track", "web", "all", "a1"], 2, &["cannot be used"]);
    refuses(&db, &["project", "track", "web", "remove", "a1"], 1, &["not on the list of acme/WEB"]);
    assert!(runs(&db).await.is_empty());
}

#[tokio::test]
async fn a_paused_project_is_narrowed_without_a_run() {
    let db = staged().await;
    succeeds(&db, &["project", "pause", "web"]);
    let text = succeeds(&db, &["project", "track", "web", "add", "a1"]);
    assert!(text.contains("takes effect when it is resumed"), "{text}");
    assert!(runs(&db).await.is_empty());
}

#[tokio::test]
async fn a_drift_is_listed_with_its_field_name_and_its_meaning() {
    let db = staged().await;
    assert_eq!(json(&db, &["drift", "list"]), serde_json::json!([]));
    execute(
        &db,
        "INSERT INTO syncline.field (site_id, id, name, custom) VALUES
           ('00000000-0000-7000-8000-000000000001', 'customfield_10016', 'Story points', true);
         INSERT INTO syncline.schema_drift (site_id, entity, field, expected, found, occurrences) VALUES
           ('00000000-0000-7000-8000-000000000001', 'issue', 'customfield_10016', 'number', 'text', 7),
           ('00000000-0000-7000-8000-000000000001', 'sprint', 'state', 'future, active or closed', 'another value', 1)",
    )
    .await;
    let text = succeeds(&db, &["drift", "list", "acme"]);
    for word in ["customfield_10016 (Story points)", "7", "issue.fields", "stored unchanged"] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    assert_eq!(json(&db, &["drift", "list"]).as_array().unwrap().len(), 2);
}
