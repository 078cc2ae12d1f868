//! Why an issue is gone, as far as Jira tells; and what looks like gone and is not.

use std::time::Duration;

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, FaultKind, FaultPlan, FaultRule, Kind, Mutation, Options};

use crate::support::Rig;

/// A site of a kind whose account does not see issues that have a security level; both projects are synchronised.
async fn synced(kind: Kind) -> (Rig, Worker) {
    with_attempts(kind, 5).await
}

async fn with_attempts(kind: Kind, attempts: u32) -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    options.issues = 40;
    options.projects.truncate(2);
    (options.comments, options.worklogs) = (Amount::Exactly(1), Amount::Exactly(0));
    options.accounts[0].sees_secured = false;
    let mut rig = Rig::new(options).await;
    rig.config.queue.max_attempts = attempts;
    if kind == Kind::DataCenter {
        sqlx::query("UPDATE syncline.site SET kind = 'data_center'").execute(rig.db.pool()).await.unwrap();
    }
    let worker = rig.worker().await;
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "full").await, "succeeded", "{}", rig.said().await);
    }
    (rig, worker)
}

fn apply(rig: &Rig, mutation: Mutation) -> String {
    rig.jira.control().apply(mutation).unwrap().key
}

/// Deletes the first issue of the first project and hides the two after it.
fn delete_and_hide(rig: &Rig) -> Vec<u64> {
    let ids = rig.jira.control().issue_ids(&rig.projects[0]);
    apply(rig, Mutation::DeleteIssue { issue: ids[0].to_string() });
    for id in &ids[1..3] {
        apply(rig, Mutation::HideIssue { issue: id.to_string() });
    }
    ids
}

async fn reasons(rig: &Rig) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT deleted_reason || ' ' || count(*) FROM syncline.issue WHERE deleted_at IS NOT NULL GROUP BY deleted_reason ORDER BY 1",
    )
    .fetch_all(rig.db.pool())
    .await
    .unwrap()
}

const NOTHING: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn cloud_cannot_tell_hidden_issues_from_deleted_ones() {
    let (rig, worker) = synced(Kind::Cloud).await;
    let ids = delete_and_hide(&rig);
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded", "{}", rig.said().await);
    assert_eq!(reasons(&rig).await, ["not_visible 3"], "the hidden ones had no level when they were read");
    // In a project without levels nothing can be hidden.
    let other = rig.jira.control().issue_ids(&rig.projects[1])[0];
    apply(&rig, Mutation::DeleteIssue { issue: other.to_string() });
    assert_eq!(rig.reconcile(&rig.projects[1], "incremental").await, "succeeded", "{}", rig.said().await);
    assert_eq!(reasons(&rig).await, ["deleted 1", "not_visible 3"]);
    // What is shown again is there again.
    apply(&rig, Mutation::ShowIssue { issue: ids[1].to_string() });
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(reasons(&rig).await, ["deleted 1", "not_visible 2"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_center_tells_hidden_from_deleted() {
    let (rig, worker) = synced(Kind::DataCenter).await;
    delete_and_hide(&rig);
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded", "{}", rig.said().await);
    assert_eq!(reasons(&rig).await, ["deleted 1", "not_visible 2"]);
    worker.stop().await;
}

/// Issues that search does not know yet, and the replica does: they were read by id.
async fn a_search_that_lags_deletes_nothing(kind: Kind) {
    let (rig, worker) = synced(kind).await;
    rig.jira.control().set_search_lag(Duration::from_secs(3_600));
    let before = rig.jira.control().issue_ids(&rig.projects[0]);
    for _ in 0..3 {
        apply(&rig, Mutation::CreateIssue { project: rig.projects[0].clone() });
    }
    let ids = rig.jira.control().issue_ids(&rig.projects[0]).into_iter().filter(|id| !before.contains(id));
    let ids: Vec<i64> = ids.map(|id| i64::try_from(id).unwrap()).collect();
    assert_eq!(rig.repair(&rig.projects[0], &ids).await, "succeeded", "{}", rig.said().await);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NULL").await, 43);
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded", "{}", rig.said().await);
    assert_eq!(reasons(&rig).await, NOTHING);
    assert_eq!(rig.repair(&rig.projects[0], &ids).await, "succeeded", "{}", rig.said().await);
    assert_eq!(reasons(&rig).await, NOTHING);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_of_cloud_that_lags_behind_deletes_nothing() {
    a_search_that_lags_deletes_nothing(Kind::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_data_center_that_is_behind_deletes_nothing() {
    a_search_that_lags_deletes_nothing(Kind::DataCenter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_revoked_during_the_sweep_deletes_nothing() {
    let rule = |kind, path: &str, after| FaultRule { path: Some(path.into()), after, ..FaultRule::next(kind, 1_000) };
    for (what, rules) in [
        ("the sweep itself is refused", vec![rule(FaultKind::Unauthorized, "/search/jql", 0)]),
        ("what is gone cannot be asked for", vec![rule(FaultKind::Unauthorized, "/issue/bulkfetch", 0)]),
        (
            // The account counts when the run begins and before the question, not after its empty answer.
            "an empty answer as to a visitor",
            vec![rule(FaultKind::Anonymous, "/issue/bulkfetch", 0), rule(FaultKind::Unauthorized, "/myself", 2)],
        ),
    ] {
        let (rig, worker) = synced(Kind::Cloud).await;
        let ids = rig.jira.control().issue_ids(&rig.projects[0]);
        apply(&rig, Mutation::DeleteIssue { issue: ids[0].to_string() });
        rig.jira.control().set_faults(FaultPlan { rules, ..FaultPlan::default() });
        assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "failed", "{what}");
        assert_eq!(reasons(&rig).await, NOTHING, "{what}");
        let code = "SELECT count(*) FROM syncline.sync_run WHERE error_code = 'AUTH_INVALID'";
        assert_eq!(rig.count(code).await, 1, "{what}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_lost_during_the_sweep_deletes_nothing() {
    let (rig, worker) = with_attempts(Kind::Cloud, 1).await;
    let ids = rig.jira.control().issue_ids(&rig.projects[0]);
    apply(&rig, Mutation::DeleteIssue { issue: ids[0].to_string() });
    let rule =
        FaultRule { path: Some("/issue/bulkfetch".into()), ..FaultRule::next(FaultKind::SiteUnavailable, 1_000) };
    rig.jira.control().set_faults(FaultPlan { rules: vec![rule], ..FaultPlan::default() });
    // The site lets the account in and does not answer about many issues: nobody knows, and it is told.
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(reasons(&rig).await, NOTHING);
    assert!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'ways_contradict'").await > 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_archived_or_taken_away_keeps_its_issues() {
    let (rig, worker) = synced(Kind::Cloud).await;
    let [first, second] = [rig.projects[0].clone(), rig.projects[1].clone()];
    apply(&rig, Mutation::ArchiveProject { project: first.clone() });
    assert_eq!(rig.reconcile(&first, "full").await, "succeeded", "{}", rig.said().await);
    apply(&rig, Mutation::DeleteProject { project: second.clone() });
    assert_eq!(rig.reconcile(&second, "full").await, "failed", "a project in the trash looks as if there were none");
    assert_eq!(reasons(&rig).await, NOTHING);
    worker.stop().await;
}
