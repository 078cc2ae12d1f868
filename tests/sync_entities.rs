//! A run brings everything that Jira shows of a project, in few requests.

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Options};

use crate::support::Rig;

async fn synced(long_threads: f64) -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.issues = 200;
    options.projects.truncate(1);
    options.comments = Amount::About(2.0);
    options.worklogs = Amount::About(1.0);
    options.long_threads = long_threads;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    (rig, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn history_catalogues_and_parts_of_issues_are_rows() {
    let (rig, worker) = synced(0.05).await;
    for (table, sql) in [
        ("changelog", "SELECT count(*) FROM syncline.changelog"),
        ("attachment", "SELECT count(*) FROM syncline.attachment"),
        ("issue_link", "SELECT count(*) FROM syncline.issue_link"),
        ("sprint", "SELECT count(*) FROM syncline.sprint"),
        ("board", "SELECT count(*) FROM syncline.board"),
        ("version", "SELECT count(*) FROM syncline.version WHERE jira_project_id IS NOT NULL"),
        ("component", "SELECT count(*) FROM syncline.component"),
        ("status", "SELECT count(*) FROM syncline.status"),
        ("issue types", "SELECT count(*) FROM syncline.term WHERE kind = 'issue_type'"),
        ("priorities", "SELECT count(*) FROM syncline.term WHERE kind = 'priority'"),
        ("resolutions", "SELECT count(*) FROM syncline.term WHERE kind = 'resolution'"),
        ("field", "SELECT count(*) FROM syncline.field WHERE custom"),
        (
            "status of issues",
            "SELECT count(*) FROM syncline.issue WHERE status_id IS NOT NULL AND issue_type_id IS NOT NULL",
        ),
        ("other fields", "SELECT count(*) FROM syncline.issue WHERE fields <> '{}'"),
        ("sprints of issues", "SELECT count(*) FROM syncline.issue WHERE sprint_ids <> '{}'"),
    ] {
        assert!(rig.count(sql).await > 0, "{table} is empty");
    }
    // Every status that the history ends in is the one that the issue has.
    assert_eq!(
        rig.count(
            "SELECT count(*) FROM syncline.issue i
              JOIN LATERAL (SELECT to_status FROM syncline.issue_status_change c
                             WHERE c.site_id = i.site_id AND c.issue_id = i.id ORDER BY changed_at DESC, change_id DESC LIMIT 1) c ON true
             WHERE c.to_status <> i.status"
        )
        .await,
        0
    );
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_state WHERE cursor_at IS NULL").await, 0);
    assert_eq!(
        rig.count("SELECT changes_written - (SELECT count(*) FROM syncline.changelog) FROM syncline.sync_run").await,
        0
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_finds_nothing_changed_asks_four_questions_at_most() {
    let (rig, worker) = synced(0.05).await;
    let before = rig.jira.control().stats();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    let after = rig.jira.control().stats();
    assert!(after.requests - before.requests <= 4, "{:?}\n{:?}", before.by_endpoint, after.by_endpoint);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_asked_for_in_bundles() {
    let (rig, worker) = synced(0.0).await;
    let stats = rig.jira.control().stats();
    let fetches = |endpoint| stats.by_endpoint.get(endpoint).copied().unwrap_or(0);
    assert_eq!(fetches("/changelog/bulkfetch"), 1, "{:?}", stats.by_endpoint);
    assert_eq!(fetches("/issue/{}/changelog"), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_complete_issues_cost_at_most_sixty_requests() {
    let mut options = Options::new(Clock::system());
    options.issues = 1_000;
    options.projects.truncate(1);
    // Drawn for comments and for worklogs by themselves: two in a hundred issues have one of them long.
    options.long_threads = 0.01;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    let stats = rig.jira.control().stats();
    assert!(stats.requests <= 60, "{}: {:?}", stats.requests, stats.by_endpoint);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.comment").await, i64::try_from(stats.comments).unwrap());
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worklog").await, i64::try_from(stats.worklogs).unwrap());
    // What not everyone sees says so.
    for restricted in [
        "comment WHERE (restriction_type, restricted_to) = ('role', 'Administrators')",
        "comment WHERE is_internal",
        "worklog WHERE (restriction_type, restricted_to) = ('group', 'managers')",
    ] {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM syncline.{restricted}")))
            .fetch_one(rig.db.pool())
            .await
            .unwrap();
        assert!(rows > 0, "{restricted}");
    }
    worker.stop().await;
}
