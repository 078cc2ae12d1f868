//! Times that Jira tells are not trusted: what is dated ahead blinds no later run, and what is dated back is read all the same.

use chrono::{DateTime, TimeDelta, Utc};
use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Mutation, Options};
use syncline::store::ahead;
use syncline::telemetry;
use syncline::verify;

use crate::support::Rig;
use crate::support::command::{ask, json};

const YEARS: i64 = 5 * 365 * 86_400;

/// A project that was read once.
async fn synced() -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.issues = 40;
    options.projects.truncate(1);
    (options.comments, options.worklogs) = (Amount::Exactly(2), Amount::Exactly(2));
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    (rig, worker)
}

fn issue(rig: &Rig, at: usize) -> String {
    rig.jira.control().issue_ids(&rig.projects[0])[at].to_string()
}

fn edit(rig: &Rig, at: usize) {
    rig.jira.control().apply(Mutation::EditIssue { issue: issue(rig, at) }).unwrap();
}

fn date(rig: &Rig, at: usize, seconds: i64) {
    rig.jira.control().apply(Mutation::DateIssue { issue: issue(rig, at), seconds }).unwrap();
}

async fn sync(rig: &Rig, kind: &str) {
    assert_eq!(rig.sync(&rig.projects[0], kind).await, "succeeded", "{}", rig.said().await);
}

async fn assert_right(rig: &Rig, what: &str) {
    let report = rig.verify(&rig.projects[0], &verify::Options::default()).await.unwrap();
    assert!(report.is_clean(), "{what}: {report:#?}");
}

async fn cursor(rig: &Rig) -> DateTime<Utc> {
    sqlx::query_scalar("SELECT max(cursor_at) FROM syncline.sync_state").fetch_one(rig.db.pool()).await.unwrap()
}

async fn execute(rig: &Rig, sql: &'static str) {
    sqlx::query(sql).execute(rig.db.pool()).await.unwrap();
}

const ALERT: &str = "SELECT count(*) FROM syncline.alert WHERE class = 'DATED_AHEAD' AND cleared_at IS NULL";

async fn observe(rig: &Rig) -> usize {
    let mut tx = rig.db.pool().begin().await.unwrap();
    let observed = telemetry::observe_ahead(&mut tx, Clock::system().now()).await.unwrap();
    tx.commit().await.unwrap();
    observed
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_dated_ahead_blinds_no_later_run() {
    let (rig, worker) = synced().await;
    for seconds in [YEARS, 8 * 60] {
        date(&rig, 5, seconds);
        sync(&rig, "incremental").await;
        edit(&rig, 9);
        sync(&rig, "incremental").await;
        assert_right(&rig, "after an edit").await;
        assert!(cursor(&rig).await <= Clock::system().now(), "no cursor passes the clock");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_run_over_issues_dated_ahead_trusts_the_clock() {
    let (rig, worker) = synced().await;
    for at in 0..30 {
        date(&rig, at, YEARS + at as i64);
    }
    execute(&rig, "UPDATE syncline.sync_state SET cursor_at = NULL").await;
    sync(&rig, "full").await;
    assert!(cursor(&rig).await <= Clock::system().now());
    edit(&rig, 35);
    sync(&rig, "incremental").await;
    assert_right(&rig, "after an edit").await;
    let seen: i64 = rig.count("SELECT issues_seen FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1").await;
    assert_eq!(seen, 31, "what is ahead, and what was edited");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ahead_is_told_until_it_is_over() {
    let (rig, worker) = synced().await;
    worker.stop().await; // whose own rounds would observe too
    assert_eq!((observe(&rig).await, rig.count(ALERT).await), (0, 0));
    execute(
        &rig,
        "UPDATE syncline.issue SET updated_at = '2031-01-01' WHERE id = (SELECT min(id) FROM syncline.issue)",
    )
    .await;
    assert_eq!((observe(&rig).await, observe(&rig).await, rig.count(ALERT).await), (1, 0, 1), "told once");
    let ahead = ahead::list(rig.db.pool(), None).await.unwrap().remove(0);
    assert!(ahead.sentence().contains("2031-01-01 00:00:00 UTC, which is ahead of the clock"), "{}", ahead.sentence());
    execute(&rig, "UPDATE syncline.issue SET updated_at = '2025-01-01'").await;
    assert_eq!((observe(&rig).await, rig.count(ALERT).await), (1, 0), "an edit ends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_stands_ahead_is_put_back_and_told() {
    let (rig, worker) = synced().await;
    edit(&rig, 9);
    execute(&rig, "UPDATE syncline.sync_state SET cursor_at = '2031-01-01'").await;
    let stands = ahead::list(rig.db.pool(), None).await.unwrap().remove(0).sentence();
    assert!(stands.contains("cursor is at 2031-01-01 00:00:00 UTC, ahead of the clock"), "{stands}");
    sync(&rig, "incremental").await;
    assert_right(&rig, "after one run").await;
    assert!(cursor(&rig).await <= Clock::system().now());
    let told: String = sqlx::query_scalar("SELECT message FROM syncline.sync_log WHERE event = 'cursor_put_back'")
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert!(told.contains("was at 2031-01-01 00:00:00 UTC, ahead of the clock; it was put back to "), "{told}");
    let stood = ahead::list(rig.db.pool(), None).await.unwrap().remove(0).sentence();
    assert!(
        stood.contains("cursor was at 2031-01-01 00:00:00 UTC, ahead of the clock, and was put back to "),
        "{stood}"
    );
    sync(&rig, "incremental").await;
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'cursor_put_back'").await, 1, "once");
    worker.stop().await;
}

/// An older program's runs have looked from a time that had not come, and found nothing.
const BLIND_RUN: &str = "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, window_from, started_at,
        finished_at, pages)
 SELECT syncline.new_id(), id, 'incremental', 'manual', 'succeeded', 'test', '2030-12-31 23:55', clock_timestamp(), clock_timestamp(), 1
   FROM syncline.project";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_blind_run_has_passed_over_is_read() {
    let (rig, worker) = synced().await;
    execute(&rig, "UPDATE syncline.sync_run SET started_at = started_at - interval '2 hours'").await;
    date(&rig, 9, -3_600);
    for remembered in [true, false] {
        execute(&rig, "UPDATE syncline.sync_state SET cursor_at = '2031-01-01'").await;
        execute(&rig, BLIND_RUN).await;
        if !remembered {
            execute(&rig, "DELETE FROM syncline.sync_run").await;
            date(&rig, 12, -86_400);
        }
        sync(&rig, "incremental").await;
        assert_right(&rig, "what was edited an hour ago").await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_whose_clocks_are_off_or_differ_loses_nothing() {
    let (rig, worker) = synced().await;
    for offsets in [&[-480][..], &[0], &[480], &[0], &[0, 480], &[0, -480], &[-86_000], &[86_000], &[0]] {
        edit(&rig, 1);
        sync(&rig, "incremental").await;
        rig.jira.control().set_clock_offsets(offsets);
        edit(&rig, 2);
        edit(&rig, 3);
        sync(&rig, "incremental").await;
        assert_right(&rig, &format!("{offsets:?}")).await;
    }
    assert!(cursor(&rig).await <= Clock::system().now() + TimeDelta::seconds(1));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dated_back_is_as_jira_shows_it_afterwards() {
    let (rig, worker) = synced().await;
    for mend in ["full", "repair", "reconcile"] {
        edit(&rig, 1);
        edit(&rig, 2);
        sync(&rig, "incremental").await;
        // A restore: the issues, a comment and a worklog of each are dated long ago, and hold something else.
        date(&rig, 1, -YEARS);
        date(&rig, 2, -3 * 86_400);
        let report = rig.verify(&rig.projects[0], &verify::Options::default()).await.unwrap();
        assert_eq!(report.stale.len(), 2, "{report:#?}");
        let ids: Vec<i64> = report.stale.iter().map(|stale| stale.id).collect();
        match mend {
            "full" => sync(&rig, "full").await,
            "repair" => assert_eq!(rig.repair(&rig.projects[0], &ids).await, "succeeded"),
            _ => assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded"),
        }
        assert_right(&rig, mend).await;
        if mend != "repair" {
            let changed = "SELECT issues_updated FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1";
            assert_eq!(rig.count(changed).await, 2, "the {mend} run counts what it has changed");
        }
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_run_writes_what_it_sees_dated_back() {
    let (rig, worker) = synced().await;
    date(&rig, 1, YEARS);
    sync(&rig, "incremental").await;
    // The clocks are right again, and the next edit dates the issue anew: earlier than it was.
    edit(&rig, 1);
    rig.jira.control().apply(Mutation::AddComment { issue: issue(&rig, 1) }).unwrap();
    sync(&rig, "incremental").await;
    assert_right(&rig, "an edit by a right clock").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_whose_clock_is_off_is_warned_of_and_works() {
    let (rig, worker) = synced().await;
    for (seconds, warning) in [(900, " s ahead of the database's"), (-900, " s behind the database's")] {
        rig.jira.control().set_clock_offsets(&[seconds]);
        let checked = json(&rig.db, &["site", "check", "sim"]);
        assert_eq!(checked["ok"], true, "{checked}");
        assert!(checked["warning"].as_str().unwrap().contains(warning), "{checked}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_doctor_name_what_is_ahead() {
    let (rig, worker) = synced().await;
    let key = "SELECT key FROM syncline.issue ORDER BY id LIMIT 1";
    let key: String = sqlx::query_scalar(key).fetch_one(rig.db.pool()).await.unwrap();
    execute(
        &rig,
        "UPDATE syncline.issue SET updated_at = '2031-01-01' WHERE id = (SELECT min(id) FROM syncline.issue)",
    )
    .await;
    let health = json(&rig.db, &["health"]);
    assert_eq!(
        (health[0]["state"].as_str(), health[0]["code"].as_str()),
        (Some("ailing"), Some("DATED_AHEAD")),
        "{health}"
    );
    assert!(health[0]["ahead"].as_str().unwrap().contains(&format!("Jira dates {key} 2031-01-01")), "{health}");
    // It ends with 3 where the test server does not sync to disk.
    let doctor: serde_json::Value = serde_json::from_slice(&ask(&rig.db, &["doctor", "-o", "json"]).stdout).unwrap();
    let found = doctor.as_array().unwrap().iter().find(|finding| finding["check"] == "times").unwrap();
    assert_eq!(found["status"], "warn", "{found}");
    assert!(found["found"].as_str().unwrap().contains(&key), "{found}");
    worker.stop().await;
}
