//! The feeds of worklogs stand for one request per issue, and are believed only as far as they reach.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Mutation, Options};
use syncline::verify;

use crate::support::Rig;

/// Issues with four worklogs each, of which Jira inlines two.
async fn synced(feed_delay: Duration) -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.issues = 20;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(0);
    options.worklogs = Amount::Exactly(4);
    options.long_threads = 0.0;
    options.inline_limit = Some(2);
    options.feed_delay = feed_delay;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worklog").await, 80);
    (rig, worker)
}

/// Work is logged on six issues, edited on one of them, and removed from two.
fn log_work(rig: &Rig) -> Vec<u64> {
    let issues: Vec<u64> = rig.jira.control().issue_ids(&rig.projects[0]).into_iter().take(6).collect();
    let apply = |mutation| drop(rig.jira.control().apply(mutation).unwrap());
    for issue in &issues[1..3] {
        apply(Mutation::DeleteWorklog { issue: issue.to_string() });
    }
    apply(Mutation::EditWorklog { issue: issues[0].to_string() });
    for issue in &issues {
        apply(Mutation::AddWorklog { issue: issue.to_string() });
    }
    issues
}

/// Requests of an incremental run about worklogs: the feed of what was written, that of what was removed, worklogs by id, and
/// the lists of single issues.
async fn incremental(rig: &Rig) -> [u64; 4] {
    let before = rig.jira.control().stats().by_endpoint;
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    let after = rig.jira.control().stats().by_endpoint;
    let of = |stats: &BTreeMap<&'static str, u64>, endpoint| stats.get(endpoint).copied().unwrap_or(0);
    ["/worklog/updated", "/worklog/deleted", "/worklog/list", "/issue/{}/worklog"]
        .map(|endpoint| of(&after, endpoint) - of(&before, endpoint))
}

/// A site tells its time in whole seconds: a feed is not believed about what was changed in the last ones.
async fn seconds_have_passed() {
    tokio::time::sleep(Duration::from_millis(2_200)).await;
}

/// Steps that were tried more than once.
async fn attempts(rig: &Rig) -> Vec<String> {
    sqlx::query_scalar("SELECT kind || ' ' || key || ' ' || attempt || ' ' || coalesce(error_message, '') FROM syncline.sync_step WHERE attempt > 1 OR kind = 'fetch_worklogs'")
        .fetch_all(rig.db.pool())
        .await
        .unwrap()
}

async fn is_right(rig: &Rig) {
    let report = rig.verify(&rig.projects[0], &verify::Options::default()).await.unwrap();
    assert!(report.is_clean(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_feed_requests_replace_one_per_issue() {
    let (rig, worker) = synced(Duration::ZERO).await;
    log_work(&rig);
    seconds_have_passed().await;
    assert_eq!(incremental(&rig).await, [1, 1, 1, 0], "{:?}", attempts(&rig).await);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worklog").await, 84);
    assert_eq!(rig.count("SELECT sum(worklogs_removed)::int8 FROM syncline.sync_run").await, 2);
    is_right(&rig).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_with_a_wrong_worklog_count_is_read_in_full() {
    let (rig, worker) = synced(Duration::ZERO).await;
    let issues = log_work(&rig);
    // Lost long ago: no feed tells of it, and it is not among those that are inlined.
    let lost = "DELETE FROM syncline.worklog WHERE id = (SELECT max(id) FROM syncline.worklog WHERE issue_id = $1)";
    sqlx::query(lost).bind(i64::try_from(issues[5]).unwrap()).execute(rig.db.pool()).await.unwrap();
    seconds_have_passed().await;
    assert_eq!(incremental(&rig).await, [1, 1, 1, 1]);
    is_right(&rig).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_that_do_not_reach_the_change_are_not_believed() {
    let (rig, worker) = synced(Duration::from_secs(60)).await;
    log_work(&rig);
    let [_, _, _, single] = incremental(&rig).await;
    assert_eq!(single, 6);
    is_right(&rig).await;
    worker.stop().await;
}
