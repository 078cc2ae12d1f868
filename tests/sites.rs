//! Sites of every kind are added, changed and checked, and what their accounts may see is said in plain words.

use syncline::clock::Clock;
use syncline::simulator::{self, Kind, Options, PersonalToken};

use crate::support::command::{acts, ask, json, refuses, succeeds, words};
use crate::support::{Rig, TestDb};

async fn rig() -> Rig {
    let mut options = Options::new(Clock::system());
    options.issues = 5;
    Rig::new(options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_check_reports_the_account_its_rights_and_the_unknown() {
    let rig = rig().await;
    let checked = json(&rig.db, &["site", "check", "sim"]);
    assert_eq!((&checked["ok"], &checked["kind"]), (&true.into(), &"cloud".into()), "{checked}");
    let lines = |name: &str| checked[name].as_array().unwrap().iter().map(|line| line.to_string()).collect::<String>();
    assert!(lines("unknown").contains("restricted to groups or roles"), "{checked}");
    let all = [lines("may"), lines("may_not"), lines("unknown")].concat();
    for word in ["e-mail addresses", "time tracking", "the feed of changed worklogs", "users by name"] {
        assert!(all.contains(word), "{checked} lacks {word}");
    }
    let text = succeeds(&rig.db, &["site", "check", "sim"]);
    assert!(text.contains("ok: Jira accepts the account") && text.contains("not known"), "{text}");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.site WHERE checked_at IS NOT NULL").await, 1);
    // Hidden addresses are counted.
    sqlx::raw_sql(
        "INSERT INTO syncline.jira_user (site_id, account_id, display_name, email, active)
         SELECT id, 'h', 'Hidden', NULL, true FROM syncline.site",
    )
    .execute(rig.db.pool())
    .await
    .unwrap();
    assert!(succeeds(&rig.db, &["site", "check", "sim"]).contains("of 1 of 1 users"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_site_is_asked_what_it_is_and_a_wrong_answer_is_told() {
    let rig = rig().await;
    let credential = format!("file:{}", rig.token_path().display());
    let url = rig.jira.base_url();
    let add = ["site", "add", "again", "--url", url, "--email", simulator::DEFAULT_EMAIL, "--credential", &credential];
    succeeds(&rig.db, &add);
    assert_eq!(json(&rig.db, &["site", "show", "again"])["kind"], "cloud");
    let wrong = ["site", "update", "again", "--kind", "data-center"];
    refuses(&rig.db, &wrong, 2, &["reports that it is cloud, not data_center", "--kind cloud"]);
    succeeds(&rig.db, &[&wrong[..], &["--offline"]].concat());
    refuses(&rig.db, &["site", "check", "again"], 3, &["reports that it is cloud", "site update again --kind cloud"]);
    succeeds(&rig.db, &["site", "update", "again", "--kind", "auto"]);
    succeeds(&rig.db, &["site", "check", "again"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn token_expiry_is_read_on_data_center_and_given_on_cloud() {
    let token = |name: &str, days| PersonalToken { name: name.into(), days };
    let mut options = Options::new(Clock::system());
    (options.issues, options.kind) = (5, Kind::DataCenter);
    options.personal_tokens = vec![token("sync", Some(90))];
    let plant = Rig::new(options.clone()).await;
    let said = |rig: &Rig, name: &str| json(&rig.db, &["site", "check", name])["token"].as_str().unwrap().to_owned();
    assert!(said(&plant, "sim").starts_with("\"sync\" ends at "), "{}", said(&plant, "sim"));
    let ends = "SELECT count(*) FROM syncline.site WHERE token_expires_at - now() BETWEEN interval '89 days' AND interval '90 days'";
    assert_eq!(plant.count(ends).await, 1);
    // Of several nobody can tell which one it is; the first to end is told, and so is that it is a guess.
    options.personal_tokens = vec![token("a", None), token("b", Some(3)), token("c", Some(40))];
    let several = Rig::new(options.clone()).await;
    let text = said(&several, "sim");
    for word in ["one of 3", "does not report which", "\"b\", expires soon", "site update sim --token-stdin"] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    let doctor = words(&ask(&several.db, &["doctor"]));
    assert!(doctor.contains("the token of sim expires at"), "{doctor}");
    // Before 8.14 there is no list.
    options.version = "8.13.4".into();
    let old = Rig::new(options).await;
    assert!(said(&old, "sim").contains("Jira does not report its expiry"), "{}", said(&old, "sim"));
    let cloud = rig().await;
    assert!(said(&cloud, "sim").contains("site update sim --token-expires DAY"));
    succeeds(&cloud.db, &["site", "update", "sim", "--token-expires", "2999-12-31"]);
    assert_eq!(said(&cloud, "sim"), "ends at 2999-12-31 00:00:00Z");
    refuses(&cloud.db, &["site", "update", "sim", "--token-expires", "soon"], 2, &["write a day such as 2026-12-31"]);
    let credential = format!("file:{}", cloud.token_path().display());
    succeeds(&cloud.db, &["site", "update", "sim", "--credential", &credential]);
    assert_eq!(said(&cloud, "sim"), "ends at 2999-12-31 00:00:00Z", "the same token");
    succeeds(&cloud.db, &["site", "update", "sim", "--credential", "env:TOKEN", "--offline"]);
    assert_eq!(json(&cloud.db, &["site", "show", "sim"])["token_expires_at"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_checks_token_expiry_daily_and_warns_in_its_log() {
    let mut options = Options::new(Clock::system());
    (options.issues, options.kind) = (5, Kind::DataCenter);
    options.projects.truncate(1);
    options.personal_tokens = vec![PersonalToken { name: "sync".into(), days: Some(5) }];
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    let key = rig.projects[0].clone();
    for _ in 0..2 {
        assert_eq!(rig.sync(&key, "incremental").await, "succeeded");
    }
    worker.stop().await;
    assert_eq!(
        rig.count("SELECT count(*) FROM syncline.site WHERE token_expires_at < now() + interval '6 days'").await,
        1
    );
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'token_ends_soon'").await, 1);
    assert_eq!(rig.jira.control().stats().by_endpoint["/tokens"], 1);
}

#[tokio::test]
async fn each_change_of_a_site_is_on_record_and_no_credential_with_it() {
    let db = TestDb::new().await;
    let add =
        ["site", "add", "plant", "--url", "https://jira.example.com/jira", "--kind", "data-center", "--auth", "bearer"];
    refuses(&db, &add, 2, &["--credential or --token-stdin is required"]);
    succeeds(&db, &[&add[..], &["--credential", "env:TOKEN", "--offline"]].concat());
    refuses(
        &db,
        &["site", "authorize", "plant", "--client-id", "x", "--client-secret", "env:TOKEN"],
        2,
        &["Data Center"],
    );
    succeeds(&db, &["site", "update", "plant", "--match-by-name", "on", "--credential", "env:OTHER", "--offline"]);
    let details: serde_json::Value =
        sqlx::query_scalar("SELECT details FROM syncline.audit WHERE action = 'site.update'")
            .fetch_one(db.pool())
            .await
            .unwrap();
    let expected = serde_json::json!({ "match_by_name": { "old": false, "new": true }, "credential": "changed" });
    assert_eq!(details, expected);
    assert_eq!(acts(&db).await, ["site.add plant", "site.update plant"]);
    let oauth = ["site", "add", "cloud", "--url", "https://acme.atlassian.net", "--auth", "oauth", "--offline"];
    refuses(&db, &[&oauth[..], &["--credential", "env:TOKEN"]].concat(), 2, &["site authorize cloud"]);
    assert!(succeeds(&db, &oauth).contains("site authorize"));
    refuses(&db, &["site", "update", "cloud", "--auth", "basic"], 2, &["needs a token"]);
    let keyless = ["site", "add", "x", "--url", "https://acme.atlassian.net", "--credential", "env:TOKEN"];
    refuses(&db, &keyless, 2, &["--email is required"]);
}
