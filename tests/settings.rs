//! Parameters of a sync are set in the database and count without a restart; each change is on record.

use std::time::Duration;

use secrecy::SecretString;
use syncline::clock::Clock;
use syncline::simulator::{Amount, Options};
use syncline::store::{Connections, PoolOptions, connect};

use crate::support::command::{json, refuses, succeeds};
use crate::support::{Rig, TestDb, WorkerProcess, eventually};

async fn staged() -> TestDb {
    let db = TestDb::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES
           ('00000000-0000-7000-8000-000000000001', 'acme', 'https://acme.example.com', 'bot@example.com', 'env:TOKEN');
         INSERT INTO syncline.project (id, site_id, key) VALUES
           ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'WEB'),
           ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'APP');",
    )
    .execute(db.pool())
    .await
    .unwrap();
    db
}

#[tokio::test]
async fn the_narrowest_scope_wins() {
    let db = staged().await;
    let value = |place: &[&str]| {
        let got = json(&db, &[&["config", "get", "page_size"], place].concat());
        format!("{} {}", got["value"], got["from"].as_str().unwrap())
    };
    let (web, app) = (["--project", "web"], ["--project", "acme/APP"]);
    assert_eq!(value(&web), "100 configuration: default");
    succeeds(&db, &["config", "set", "page_size=80"]);
    succeeds(&db, &["config", "set", "page_size=60", "overlap_seconds=30", "--site", "acme"]);
    succeeds(&db, &["config", "set", "page_size=40", "--project", "web"]);
    assert_eq!(value(&web), "40 setting of the project");
    assert_eq!(value(&app), "60 setting of the site");
    assert_eq!(value(&[]), "80 setting of all");
    let rows = succeeds(&db, &["config", "list"]);
    for word in ["acme/WEB", "40", "issues", "ana"] {
        assert!(rows.contains(word), "{rows} lacks {word}");
    }
    // A row that somebody wrote by SQL and that is no value counts for nobody.
    sqlx::raw_sql("UPDATE syncline.setting SET value = '\"all\"' WHERE scope = 'project'")
        .execute(db.pool())
        .await
        .unwrap();
    assert_eq!(value(&web), "60 setting of the site");
    assert!(succeeds(&db, &["config", "list"]).contains("invalid value, ignored"));
    succeeds(&db, &["config", "unset", "page_size", "--project", "web"]);
    assert_eq!(value(&web), "60 setting of the site");
    refuses(&db, &["config", "unset", "page_size", "--project", "web"], 1, &["is not set for acme/WEB"]);
}

#[tokio::test]
async fn each_change_is_on_record_with_the_old_value_and_the_new_one() {
    let db = staged().await;
    succeeds(&db, &["config", "set", "workers=4", "backoff_factor=1.5"]);
    succeeds(&db, &["config", "set", "workers=6"]);
    succeeds(&db, &["config", "unset", "workers"]);
    succeeds(&db, &["config", "set", "max_concurrency=3", "--site", "acme"]);
    let changes: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', actor, action, subject, details->>'key', coalesce(details->>'old', '-'),
                          coalesce(details->>'new', '-'), details->'max_concurrency')
           FROM syncline.audit ORDER BY id",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    let expected = [
        "ana config.set all backoff_factor - 1.5",
        "ana config.set all workers - 4",
        "ana config.set all workers 4 6",
        "ana config.unset all workers 6 -",
        "ana site.update acme - - {\"new\": 3, \"old\": 8}",
    ];
    assert_eq!(changes, expected);
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_with_what_to_write() {
    let db = staged().await;
    let set = |value: &'static str, place: &[&'static str]| [&["config", "set", value], place].concat();
    refuses(&db, &set("page_size=0", &[]), 2, &["page_size is 0", "a whole number of issues from 1 to 5000"]);
    refuses(&db, &set("page_size=many", &[]), 2, &["4 characters that are not a number"]);
    refuses(&db, &set("page_sise=1", &[]), 2, &["\"page_sise\" is not a setting", "did you mean page_size?"]);
    refuses(&db, &set("page_size", &[]), 2, &["not KEY=VALUE"]);
    refuses(&db, &set("workers=3", &["--site", "acme"]), 2, &["workers cannot be set for a site", "whole processes"]);
    refuses(&db, &set("max_concurrency=3", &[]), 2, &["--site SITE"]);
    refuses(&db, &set("connection_pool=1", &[]), 2, &["a whole number of connections from 2 to 1000"]);
    let both = ["config", "set", "backoff_base_seconds=60", "backoff_max_seconds=30"];
    refuses(&db, &both, 2, &["backoff_base_seconds is 60, more than backoff_max_seconds, 30"]);
    refuses(&db, &set("page_size=5", &["--project", "nope"]), 1, &["unknown project"]);
    assert_eq!(json(&db, &["config", "list"]), serde_json::json!([]));
}

#[tokio::test]
async fn several_places_are_set_and_unset_by_one_command() {
    let db = staged().await;
    let set = |places: &[&'static str]| [&["config", "set", "page_size=50", "overlap_seconds=60"], places].concat();
    let unset = |places: &[&'static str]| [&["config", "unset", "page_size"], places].concat();
    let places = || {
        let listed = json(&db, &["config", "list"]);
        let sizes = listed.as_array().unwrap().iter().filter(|one| one["key"] == "page_size");
        sizes.map(|one| one["place"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let text = succeeds(&db, &set(&["--project", "web", "--project", "acme/APP"]));
    assert!(text.contains("set page_size, overlap_seconds for 2 projects: acme/WEB, acme/APP"), "{text}");
    assert_eq!(places(), "acme/APP acme/WEB");
    refuses(&db, &unset(&["--all"]), 2, &["this would remove page_size of 2 projects: acme/APP, acme/WEB", "--yes"]);
    refuses(&db, &unset(&["--project", "web,nope"]), 1, &["unknown project"]);
    assert_eq!(places(), "acme/APP acme/WEB", "all are found before the first is changed");
    let done = json(&db, &unset(&["--filter", "ap", "--yes"]));
    assert_eq!((&done[0]["for"], done.as_array().unwrap().len()), (&"acme/APP".into(), 1));
    // Where it is not set there is nothing to take back.
    assert_eq!(json(&db, &unset(&["--site", "acme", "--all", "--yes"])).as_array().unwrap().len(), 1);
    refuses(&db, &unset(&["--all", "--yes"]), 1, &["page_size is not set for any of 2"]);
    refuses(&db, &set(&["--filter", "nothing like it", "--yes"]), 1, &["no project matches"]);
    let workers = ["config", "set", "workers=3", "--project", "web", "--project", "app"];
    refuses(&db, &workers, 2, &["workers cannot be set for a project"]);
    let done = json(&db, &set(&["--site", "acme"]));
    assert_eq!((done.as_array().unwrap().len(), &done[0]["for"]), (2, &"acme".into()), "the site itself");
    let done = json(&db, &["config", "unset", "page_size", "overlap_seconds", "--site", "acme"]);
    assert_eq!(done.as_array().unwrap().len(), 2);
}

async fn small_rig() -> Rig {
    let mut options = Options::new(Clock::system());
    options.issues = 60;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(1);
    options.long_threads = 0.0;
    Rig::new(options).await
}

#[tokio::test]
async fn the_next_run_follows_what_was_set_without_a_restart() {
    let rig = small_rig().await;
    let worker = rig.worker().await;
    let key = rig.projects[0].clone();
    assert_eq!(rig.sync(&key, "full").await, "succeeded");
    assert_eq!(rig.count("SELECT max(pages)::int8 FROM syncline.sync_run").await, 1);
    succeeds(&rig.db, &["config", "set", "page_size=10", "--project", &key]);
    assert_eq!(rig.sync(&key, "full").await, "succeeded");
    assert!(rig.count("SELECT max(pages)::int8 FROM syncline.sync_run").await >= 6);
    let report = json(&rig.db, &["config", "test", "page_size=20", "--project", &key]);
    let full = &report["estimates"][0];
    let number = |of: &str, name: &str| full[of][name].as_f64().unwrap();
    assert!(number("after", "requests") < number("before", "requests"), "{full}");
    assert!(number("after", "seconds") < number("before", "seconds"), "{full}");
    assert_eq!(full["runs"], 1, "a run with other pages is no measure");
    let told = number("after", "requests");
    succeeds(&rig.db, &["config", "set", "page_size=20", "--project", &key]);
    assert_eq!(rig.sync(&key, "full").await, "succeeded");
    let newest = "SELECT requests::int8 FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1";
    #[allow(clippy::cast_precision_loss)] // some requests
    let sent = rig.count(newest).await as f64;
    assert!((told - sent).abs() <= 2.0, "told {told} requests, sent {sent}");
    worker.stop().await;
}

#[tokio::test]
async fn a_run_past_its_time_limit_fails_and_names_the_setting() {
    let rig = small_rig().await;
    let key = rig.projects[0].clone();
    succeeds(&rig.db, &["config", "set", "project_timeout_seconds=5", "--project", &key]);
    let run = rig.enqueue(&key, "full").await;
    sqlx::query("UPDATE syncline.sync_run SET started_at = now() - interval '1 minute' WHERE id = $1")
        .bind(run)
        .execute(rig.db.pool())
        .await
        .unwrap();
    let worker = rig.worker().await;
    assert_eq!(rig.ended(run).await, "failed");
    let message: String = sqlx::query_scalar("SELECT error_message FROM syncline.sync_run WHERE id = $1")
        .bind(run)
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert!(message.contains("project_timeout_seconds"), "{message}");
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_has_as_many_places_as_is_set_without_a_restart() {
    let db = staged().await;
    let worker = WorkerProcess::start(db.url(), &[]).await;
    let places = async || {
        let text = worker.get("/metrics").await.map(|(_, text)| text).unwrap_or_default();
        let lines =
            text.lines().filter(|line| line.starts_with("syncline_worker_slots") && line.contains("queue=\"jira\""));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    for wanted in [3.0, 11.0] {
        succeeds(&db, &["config", "set", &format!("workers={wanted}")]);
        eventually("other places", async || places().await == wanted).await;
    }
    succeeds(&db, &["config", "unset", "workers"]);
    eventually("the configured places", async || places().await == 8.0).await;
}

#[tokio::test]
async fn the_connection_pool_follows_its_setting_without_a_restart() {
    let db = staged().await;
    let worker = WorkerProcess::start(db.url(), &[]).await;
    let allowed = async || {
        let text = worker.get("/metrics").await.map(|(_, text)| text).unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("syncline_db_pool_connections"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    for wanted in [3.0, 30.0, 2.0] {
        succeeds(&db, &["config", "set", &format!("connection_pool={wanted}")]);
        eventually("another number of connections", async || allowed().await == wanted).await;
    }
    succeeds(&db, &["config", "unset", "connection_pool"]);
    eventually("the configured number", async || allowed().await == 20.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_smaller_pool_closes_connections_without_harming_work() {
    let db = TestDb::new().await;
    let options = PoolOptions { max_connections: 8, application_name: "resized".into(), ..PoolOptions::default() };
    let connections = Connections::from(connect(&SecretString::from(db.url()), &options).await.unwrap());
    let open = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'resized'")
            .fetch_one(db.pool())
            .await
            .unwrap()
    };
    let busy = |pool: sqlx::PgPool, n: usize| async move {
        let begun = futures::future::join_all((0..n).map(|_| pool.begin())).await;
        begun.into_iter().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let mut under_way = busy(connections.now(), 8).await;
    assert_eq!(open().await, 8);
    assert!(connections.allow(2) && !connections.allow(2));
    let new = busy(connections.now(), 2).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(300), connections.now().acquire()).await.is_err(),
        "a third one of two"
    );
    drop(new);
    // What had begun goes on, however late; the others are closed as they end.
    let mut last = under_way.pop().unwrap();
    drop(under_way);
    eventually("idle connections are closed", async || open().await <= 3).await;
    sqlx::query("CREATE TABLE kept AS SELECT 1").execute(&mut *last).await.unwrap();
    last.commit().await.unwrap();
    eventually("the last one, too", async || open().await <= 2).await;
    assert!(connections.allow(6));
    assert_eq!(busy(connections.now(), 6).await.len(), 6);
}

#[tokio::test]
async fn an_estimate_names_its_runs_or_says_that_there_are_none() {
    let db = staged().await;
    refuses(&db, &["config", "test", "page_size=50", "--project", "web"], 1, &["no history", "sync start acme/WEB"]);
    sqlx::raw_sql(
        "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at,
                pages, issues_seen, requests)
         SELECT syncline.new_id(), '00000000-0000-7000-8000-000000000011', 'full', 'manual', 'succeeded', 'ana',
                '2025-03-04 09:00Z', '2025-03-04 09:00Z', '2025-03-04 09:01:40Z', 10, 1000, 20 FROM generate_series(1, 3)",
    )
    .execute(db.pool())
    .await
    .unwrap();
    let text = succeeds(&db, &["config", "test", "page_size=50", "project_timeout_seconds=60", "--project", "web"]);
    for word in
        ["3 runs, 2025-03-04 09:00:00Z", "20 -> 30", "1m 40s -> 2m 30s", "1020 -> 1030", "would have stopped runs"]
    {
        assert!(text.contains(word), "{text} lacks {word}");
    }
}
