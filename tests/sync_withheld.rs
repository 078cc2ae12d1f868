//! What Jira withheld for a while is owed: it is read once Jira gives it, and asked for less often where it never does.

use std::collections::BTreeMap;

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, FaultKind, FaultPlan, FaultRule, Options};

use crate::support::Rig;

fn refused(paths: &[&str]) -> FaultPlan {
    let rule = |path: &&str| FaultRule {
        kind: FaultKind::Forbidden,
        after: 0,
        requests: None,
        path: Some((*path).to_owned()),
        retry_after_seconds: None,
    };
    FaultPlan { rules: paths.iter().map(rule).collect(), ..FaultPlan::default() }
}

/// A project that was read while Jira refused what these paths name.
async fn read_while_refusing(paths: &[&str]) -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.issues = 80;
    options.projects.truncate(1);
    options.comments = Amount::About(2.0);
    options.worklogs = Amount::About(1.0);
    options.long_threads = 0.1;
    let rig = Rig::new(options).await;
    rig.jira.control().set_faults(refused(paths));
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded", "what is withheld fails no run");
    (rig, worker)
}

async fn withheld(rig: &Rig) -> BTreeMap<String, String> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT feature, state FROM syncline.site_capability").fetch_all(rig.db.pool()).await.unwrap();
    rows.into_iter().filter(|(_, state)| state != "available").collect()
}

async fn owed(rig: &Rig) -> Vec<String> {
    let sql = "SELECT entity FROM syncline.sync_state WHERE owed_from IS NOT NULL ORDER BY entity";
    sqlx::query_scalar(sql).fetch_all(rig.db.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_reads_histories_refused_for_a_while() {
    let (rig, worker) = read_while_refusing(&["/changelog", "/comment"]).await;
    assert_eq!(rig.count("SELECT count(*) FROM syncline.changelog").await, 0);
    let short = rig.count("SELECT count(*) FROM syncline.comment").await;
    assert_eq!(owed(&rig).await, ["changelog", "comment"]);
    assert_eq!(withheld(&rig).await.keys().collect::<Vec<_>>(), ["changelog", "comments"]);

    rig.jira.control().set_faults(FaultPlan::default());
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert!(rig.count("SELECT count(*) FROM syncline.changelog").await > 80);
    let stats = rig.jira.control().stats();
    let comments = rig.count("SELECT count(*) FROM syncline.comment").await;
    assert!(short < comments, "the long lists had been cut short");
    assert_eq!(comments, i64::try_from(stats.comments).unwrap());
    assert_eq!((owed(&rig).await.len(), withheld(&rig).await.len()), (0, 0), "nothing is owed any more");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_goes_on_refusing_is_asked_less_and_less_often() {
    let (rig, worker) = read_while_refusing(&["/changelog"]).await;
    let asked = || {
        let stats = rig.jira.control().stats();
        let count = |endpoint: &str| stats.by_endpoint.get(endpoint).copied().unwrap_or(0);
        count("/changelog/bulkfetch") + count("/issue/{}/changelog")
    };
    // As if it had been refused for the first time an hour ago: the second refusal makes it wait another hour.
    sqlx::query("UPDATE syncline.site_capability SET since = since - interval '1 hour', checked_at = checked_at - interval '1 hour'")
        .execute(rig.db.pool())
        .await
        .unwrap();
    let first = asked();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    let second = asked();
    assert!(second > first, "what is owed is asked for again");
    rig.jira.control().mutate(20);
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(asked(), second, "and then left alone for a while, also for what changed");
    assert_eq!(owed(&rig).await, ["changelog"], "but not forgotten");

    rig.jira.control().set_faults(FaultPlan::default());
    sqlx::query("UPDATE syncline.site_capability SET checked_at = checked_at - interval '1 day', since = since - interval '1 day'")
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert!(rig.count("SELECT count(*) FROM syncline.changelog").await > 80);
    assert_eq!(owed(&rig).await.len(), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_does_not_hide_that_a_run_before_it_did_not_end_well() {
    let (rig, worker) = read_while_refusing(&[]).await;
    sqlx::query("UPDATE syncline.sync_state SET status = 'failed'").execute(rig.db.pool()).await.unwrap();
    let repair: uuid::Uuid = sqlx::query_scalar(
        "SELECT syncline.request_run((SELECT id FROM syncline.project), 'incremental', 'repair', 'test')",
    )
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    assert_eq!(rig.ended(repair).await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_state WHERE status = 'failed'").await, 4);
    worker.stop().await;
}
