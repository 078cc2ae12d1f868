//! `syncline doctor` finds what is wrong, says what to do, and ends with 3 when something failed.

use std::process::Output;

use serde_json::Value;
use syncline::clock::Clock;
use syncline::simulator::Options;
use tokio::process::Command;

use crate::support::{Rig, TestDb, program};

/// Exit code, findings, and what was said beside them.
async fn doctor(url: Option<&str>, folder: &std::path::Path) -> (Option<i32>, Vec<Value>, String) {
    let mut command = Command::new(program());
    command.args(["doctor", "-o", "json"]).env_clear().current_dir(folder);
    // Root's private server is the machine's, and may exist.
    command.env("SYNCLINE__DATABASE__DATA_DIR", folder.join("postgres"));
    command.envs(url.map(|url| ("DATABASE_URL", url)));
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let errors = String::from_utf8_lossy(&stderr).into_owned();
    let findings = serde_json::from_slice(&stdout);
    (status.code(), findings.unwrap_or_else(|_| panic!("no findings: {errors}")), errors)
}

/// The status and the text of each finding of a check.
fn of<'a>(findings: &'a [Value], check: &str) -> Vec<(&'a str, String)> {
    let named = findings.iter().filter(|finding| finding["check"] == check);
    named
        .map(|finding| (finding["status"].as_str().unwrap(), format!("{} {}", finding["found"], finding["remedy"])))
        .collect()
}

fn says(findings: &[Value], check: &str, status: &str, words: &str) {
    let found = of(findings, check);
    assert!(
        found.iter().any(|(s, text)| *s == status && text.contains(words)),
        "{check}: {found:?} lacks {status} {words:?}"
    );
}

fn small() -> Options {
    Options { issues: 60, ..Options::new(Clock::system()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_database_exits_with_3_and_no_password() {
    let (code, findings, errors) = doctor(Some("postgres://u:hunter2@127.0.0.1:1/db"), "/".as_ref()).await;
    assert_eq!(code, Some(3));
    says(&findings, "connection", "fail", "127.0.0.1:1");
    assert_eq!(findings.len(), 1, "what cannot be known is left out: {findings:?}");
    assert!(!format!("{findings:?}{errors}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_never_made_is_not_made_by_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let (code, findings, _) = doctor(None, folder.path()).await;
    assert_eq!(code, Some(0), "{findings:?}");
    says(&findings, "programs", "pass", "PostgreSQL");
    says(&findings, "connection", "warn", "syncline migrate");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_schema_fails_and_is_sent_to_migrate() {
    let db = TestDb::unmigrated().await;
    let (code, findings, _) = doctor(Some(db.url()), "/".as_ref()).await;
    assert_eq!(code, Some(3));
    says(&findings, "schema", "fail", "syncline migrate");
    says(&findings, "notifications", "pass", "received after");
    assert!(of(&findings, "workers").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_fails_where_all_is_well() {
    let rig = Rig::new(small()).await;
    let worker = rig.worker().await;
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    let (code, findings, _) = doctor(Some(rig.db.url()), "/".as_ref()).await;
    for (check, words) in [
        ("connection", "PostgreSQL"),
        ("writes", "accepts writes"),
        ("connections", "1 worker may need"),
        ("clock", "off this machine's"),
        ("notifications", "received after"),
        ("bloat", "no table"),
        ("schema", "as this program needs"),
        ("workers", "1 alive"),
        ("queue", "0 steps ready"),
        ("dead steps", "none"),
        ("schedules", "0 followed"),
        ("projects", "no project is failing"),
        ("sites", "sim accepts"),
    ] {
        says(&findings, check, "pass", words);
    }
    // The test server does not sync to disk, which is exactly what the doctor has to find.
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(rig.db.pool()).await.unwrap();
    says(&findings, "durability", if fsync == "on" { "pass" } else { "fail" }, "fsync");
    assert_eq!(code, Some(if fsync == "on" { 0 } else { 3 }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_is_named_with_its_remedy() {
    let rig = Rig::new(small()).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    rig.set_token("revoked");
    assert_eq!(rig.sync("ACME", "full").await, "failed");
    worker.stop().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.schedule (project_id, cron, time_zone, next_slot_at, next_run_at)
         SELECT id, CASE key WHEN 'GAMMA' THEN '0 0 31 2 *' ELSE '*/15 * * * *' END, 'UTC', now(), now() - interval '1 hour'
           FROM syncline.project WHERE key <> 'ACME';
         INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES
           (syncline.new_id(), 'elsewhere', 'https://jira.example.com', 'a@example.com', 'env:NO_SUCH_TOKEN'),
           (syncline.new_id(), 'sealed', 'https://jira.example.com', 'a@example.com', 'enc:v1:AAAA');
         INSERT INTO syncline.sync_step (id, queue, kind, key, state, ready_at)
         VALUES (syncline.new_id(), 'jira', 'nothing', '', 'ready', now() - interval '1 hour')",
    )
    .execute(rig.db.pool())
    .await
    .unwrap();
    let (code, findings, errors) = doctor(Some(rig.db.url()), "/".as_ref()).await;
    assert_eq!(code, Some(3));
    assert!(errors.contains("checks failed"), "{errors}");
    for (check, status, words) in [
        ("workers", "fail", "syncline worker"),
        ("queue", "warn", "jira: 1 ready"),
        ("dead steps", "warn", "syncline queue dead"),
        ("schedules", "fail", "sim/GAMMA has no valid schedule"),
        ("schedules", "fail", "syncline project reschedule sim/GAMMA"),
        ("schedules", "warn", "overdue: sim/BETA"),
        ("projects", "fail", "AUTH_INVALID: sim/ACME"),
        ("projects", "warn", "never synchronised: sim/BETA, sim/GAMMA"),
        ("sites", "fail", "AUTH_INVALID"),
        ("sites", "fail", "sealed: "),
        ("sites", "warn", "elsewhere cannot be checked from here"),
    ] {
        says(&findings, check, status, words);
    }
    assert!(!format!("{findings:?}").contains("revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_fails_the_check() {
    let db = TestDb::new().await;
    db.read_only(true).await;
    let (code, findings, _) = doctor(Some(db.url()), "/".as_ref()).await;
    assert_eq!(code, Some(3));
    says(&findings, "writes", "fail", "default_transaction_read_only");
}
