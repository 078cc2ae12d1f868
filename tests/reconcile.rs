//! What is gone from Jira is marked, and nothing else is.

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{self, Amount, FaultKind, FaultPlan, FaultRule, Kind, Mutation, Options};

use crate::support::Rig;

async fn synced(issues: u32) -> (Rig, Worker) {
    synced_on(Kind::Cloud, issues).await
}

async fn synced_on(kind: Kind, issues: u32) -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    options.issues = issues;
    options.projects.truncate(2);
    options.comments = Amount::Exactly(1);
    options.worklogs = Amount::Exactly(1);
    options.long_threads = 0.0;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    (rig, worker)
}

fn delete(rig: &Rig, count: usize) -> Vec<u64> {
    let ids: Vec<u64> = rig.jira.control().issue_ids(&rig.projects[0]).into_iter().take(count).collect();
    for id in &ids {
        rig.jira.control().apply(Mutation::DeleteIssue { issue: id.to_string() }).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn issues_that_are_gone_are_marked_and_their_history_stays() {
    let (rig, worker) = synced(60).await;
    delete(&rig, 3);
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    assert_eq!(reasons(&rig).await, Vec::<String>::new(), "a full run alone marks nothing");
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(reasons(&rig).await, ["deleted 3"]);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.comment").await, 60);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worklog").await, 60);
    assert_eq!(rig.count("SELECT sum(issues_deleted)::int8 FROM syncline.sync_run").await, 3);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.project WHERE reconciled_at IS NOT NULL").await, 1);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.reconcile_seen").await, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_issue_is_fetched_and_a_restored_one_unmarked() {
    let (rig, worker) = synced(40).await;
    let ids = rig.jira.control().issue_ids(&rig.projects[0]);
    sqlx::query("DELETE FROM syncline.issue WHERE id = $1")
        .bind(i64::try_from(ids[0]).unwrap())
        .execute(rig.db.pool())
        .await
        .unwrap();
    sqlx::query("UPDATE syncline.issue SET deleted_at = now(), deleted_reason = 'not_visible' WHERE id = $1")
        .bind(i64::try_from(ids[1]).unwrap())
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NULL").await, 40);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_reason IS NOT NULL").await, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_moved_to_an_untracked_project_is_marked_moved() {
    let (rig, worker) = synced(40).await;
    let ids = rig.jira.control().issue_ids(&rig.projects[0]);
    for id in &ids[..2] {
        let moved = Mutation::MoveIssue { issue: id.to_string(), project: rig.projects[1].clone() };
        rig.jira.control().apply(moved).unwrap();
    }
    // One of the two is taken over by the other project's own sync: to be left to it.
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(reasons(&rig).await, Vec::<String>::new());
    sqlx::query("UPDATE syncline.project SET state = 'paused' WHERE key = $1")
        .bind(&rig.projects[1])
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(reasons(&rig).await, ["moved 2"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_allowed_share_marks_nothing_and_alerts() {
    let (rig, worker) = synced(160).await;
    delete(&rig, 30);
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "failed");
    assert_eq!(reasons(&rig).await, Vec::<String>::new());
    assert_eq!(
        rig.count("SELECT count(*) FROM syncline.sync_run WHERE error_code = 'RECONCILE_GUARD' AND error_advice LIKE '%reconcile_max_share%'").await,
        1
    );
    sqlx::query("INSERT INTO syncline.setting (scope, key, value, updated_by) VALUES ('all', 'reconcile_max_share', '0.9', 'test')")
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(reasons(&rig).await, ["deleted 30"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_are_compared_too_and_what_differs_is_written() {
    let (rig, worker) = synced(40).await;
    // As if a change had moved no `updated`: the row differs, and its hash says so.
    let altered = "UPDATE syncline.issue SET summary = 'old', content_hash = '\\x00' WHERE key IN ('ACME-2', 'ACME-3')";
    sqlx::query(altered).execute(rig.db.pool()).await.unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    let old = "SELECT count(*) FROM syncline.issue WHERE summary = 'old'";
    assert_eq!(rig.count(old).await, 2, "an incremental run looks at what is new");
    assert_eq!(rig.reconcile(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(rig.count(old).await, 0);
    assert_eq!(
        rig.count("SELECT content_compared_to - (SELECT max(id) FROM syncline.issue WHERE key LIKE 'ACME-%') FROM syncline.project WHERE key = 'ACME'").await,
        0
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_credentials_delete_nothing() {
    let (rig, worker) = synced(40).await;
    delete(&rig, 2);
    rig.set_token("wrong");
    assert_eq!(rig.reconcile(&rig.projects[0], "full").await, "failed");
    assert_eq!(reasons(&rig).await, Vec::<String>::new());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_after_an_upgrade_to_histories_is_full() {
    let (rig, worker) = synced(40).await;
    // As the release before left it.
    sqlx::query("DELETE FROM syncline.sync_state WHERE entity = 'changelog'").execute(rig.db.pool()).await.unwrap();
    sqlx::query("UPDATE syncline.issue SET content_hash = '\\x00'").execute(rig.db.pool()).await.unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    let (seen, updated): (i64, i64) =
        sqlx::query_as("SELECT issues_seen, issues_updated FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1")
            .fetch_one(rig.db.pool())
            .await
            .unwrap();
    assert_eq!((seen, updated), (20, 20));
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_run WHERE window_from IS NOT NULL").await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_anonymous_answer_deletes_nothing() {
    let (rig, worker) = synced(40).await;
    // The account's own page still answers; every search is answered as to a visitor: 200, and no issue.
    let rule = FaultRule { path: Some("/search/jql".into()), ..FaultRule::next(FaultKind::Anonymous, 1_000) };
    rig.jira.control().set_faults(FaultPlan { rules: vec![rule], ..FaultPlan::default() });
    assert_eq!(rig.reconcile(&rig.projects[0], "full").await, "failed");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_run WHERE error_code = 'RECONCILE_GUARD'").await, 1);
    assert_eq!(reasons(&rig).await, Vec::<String>::new());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_permission_deletes_nothing() {
    let (rig, worker) = synced(40).await;
    let account = simulator::DEFAULT_EMAIL.to_owned();
    rig.jira.control().apply(Mutation::RevokeAccess { account, project: rig.projects[0].clone() }).unwrap();
    assert_eq!(rig.reconcile(&rig.projects[0], "full").await, "failed");
    assert_eq!(reasons(&rig).await, Vec::<String>::new());
    assert_eq!(rig.count("SELECT count(*) FROM syncline.project WHERE jira_state = 'not_visible'").await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_site_deletes_nothing() {
    let (mut rig, worker) = synced(40).await;
    worker.stop().await;
    rig.config.queue.max_attempts = 1;
    let worker = rig.worker().await;
    rig.jira.control().set_suspended(true);
    assert_eq!(rig.reconcile(&rig.projects[0], "full").await, "failed");
    assert_eq!(reasons(&rig).await, Vec::<String>::new());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_or_renamed_project_keeps_its_issues() {
    a_project_is_noticed(Kind::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_center_projects_keep_issues_when_archived_or_renamed() {
    a_project_is_noticed(Kind::DataCenter).await;
}

async fn a_project_is_noticed(kind: Kind) {
    let (rig, worker) = synced_on(kind, 40).await;
    let old = rig.projects[0].clone();
    rig.jira
        .control()
        .apply(Mutation::RenameProject { project: old.clone(), key: "NEWKEY".into(), name: "New name".into() })
        .unwrap();
    assert_eq!(rig.sync(&old, "incremental").await, "succeeded");
    assert_eq!(
        rig.count("SELECT count(*) FROM syncline.project WHERE key = 'NEWKEY' AND name = 'New name' AND cardinality(previous_keys) = 1")
            .await,
        1
    );
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE key LIKE 'NEWKEY-%'").await, 20);
    rig.jira.control().apply(Mutation::ArchiveProject { project: "NEWKEY".into() }).unwrap();
    assert_eq!(rig.reconcile("NEWKEY", "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.project WHERE jira_state = 'archived'").await, 1);
    assert_eq!(reasons(&rig).await, Vec::<String>::new());
    worker.stop().await;
}
