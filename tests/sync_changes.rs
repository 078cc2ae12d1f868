//! What happens to issues in Jira happens to the replica.

use syncline::clock::Clock;
use syncline::simulator::{Amount, Kind, Mutation, Options};

use crate::support::Rig;

async fn synced(comments: u16, long_threads: f64) -> (Rig, syncline::runtime::Worker) {
    synced_on(Kind::Cloud, comments, long_threads).await
}

async fn synced_on(kind: Kind, comments: u16, long_threads: f64) -> (Rig, syncline::runtime::Worker) {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    options.issues = 20;
    options.projects.truncate(2);
    options.comments = Amount::Exactly(comments);
    options.worklogs = Amount::Exactly(1);
    options.long_threads = long_threads;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    (rig, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_and_worklogs_that_disappeared_are_removed() {
    let (rig, worker) = synced(2, 0.0).await;
    let issue = rig.jira.control().issue_ids(&rig.projects[0])[0].to_string();
    rig.jira.control().apply(Mutation::DeleteComment { issue: issue.clone() }).unwrap();
    rig.jira.control().apply(Mutation::DeleteWorklog { issue }).unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.comment").await, 39);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worklog").await, 19);
    assert_eq!(
        rig.count(
            "SELECT (comments_removed + worklogs_removed) FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1"
        )
        .await,
        2
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_collection_is_fetched_in_full() {
    let (rig, worker) = synced(1, 1.0).await;
    let stats = rig.jira.control().stats();
    assert!(stats.comments + stats.worklogs > 20 * 25, "the threads are longer than what search inlines");
    let fetches = |endpoint| stats.by_endpoint.get(endpoint).copied().unwrap_or(0);
    assert!(fetches("/issue/{}/comment") + fetches("/issue/{}/worklog") >= 20);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.comment").await, i64::try_from(stats.comments).unwrap());
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worklog").await, i64::try_from(stats.worklogs).unwrap());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_issue_keeps_its_row_and_its_history() {
    a_moved_issue_keeps(Kind::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_issue_of_a_data_center_keeps_its_row_and_its_history() {
    a_moved_issue_keeps(Kind::DataCenter).await;
}

async fn a_moved_issue_keeps(kind: Kind) {
    let (rig, worker) = synced_on(kind, 1, 0.0).await;
    let entries = "SELECT count(*) FROM syncline.changelog";
    let before = rig.count(entries).await;
    let id = rig.jira.control().issue_ids(&rig.projects[0])[0];
    let moved = Mutation::MoveIssue { issue: id.to_string(), project: rig.projects[1].clone() };
    let change = rig.jira.control().apply(moved).unwrap();
    assert_eq!(rig.sync(&rig.projects[1], "incremental").await, "succeeded");
    let (key, project): (String, String) = sqlx::query_as(
        "SELECT i.key, p.key FROM syncline.issue i JOIN syncline.project p ON p.id = i.project_id WHERE i.id = $1",
    )
    .bind(i64::try_from(id).unwrap())
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    assert_eq!((key.as_str(), project.as_str()), (change.key.as_str(), rig.projects[1].as_str()));
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 20);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.comment").await, 20);
    assert!(before > 0 && rig.count(entries).await > before, "what was stays, and the move is told");
    // The old project's next sync, whose window holds nothing of it, leaves it where it is.
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE key LIKE 'ACME-%'").await, 9);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_worklogs_that_changed_a_moment_ago_are_read_in_full() {
    let (rig, worker) = synced(1, 1.0).await;
    let ids = rig.jira.control().issue_ids(&rig.projects[0]);
    for id in &ids[..6] {
        rig.jira.control().apply(Mutation::AddWorklog { issue: id.to_string() }).unwrap();
        rig.jira.control().apply(Mutation::DeleteWorklog { issue: id.to_string() }).unwrap();
        rig.jira.control().apply(Mutation::AddWorklog { issue: id.to_string() }).unwrap();
    }
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    // The feeds leave out the last minute: they are asked, and not believed for these issues.
    let stats = rig.jira.control().stats();
    assert!(stats.by_endpoint.get("/worklog/updated").is_some_and(|asked| *asked > 0), "{:?}", stats.by_endpoint);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worklog").await, i64::try_from(stats.worklogs).unwrap());
    assert_eq!(rig.count("SELECT count(DISTINCT cursor_at) FROM syncline.sync_state s JOIN syncline.project p ON p.id = s.project_id WHERE p.key = 'ACME'").await, 1);
    worker.stop().await;
}
