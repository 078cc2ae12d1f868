//! A run makes the replica what Jira shows.

use syncline::clock::Clock;
use syncline::simulator::{Amount, Options};

use crate::support::Rig;

fn small() -> Options {
    let mut options = Options::new(Clock::system());
    options.issues = 600;
    options.comments = Amount::About(3.0);
    options.worklogs = Amount::About(2.0);
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_run_brings_every_issue_comment_and_worklog() {
    let rig = Rig::new(small()).await;
    let worker = rig.worker().await;
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 600);
    assert!(rig.count("SELECT count(*) FROM syncline.comment").await > 600);
    assert!(rig.count("SELECT count(*) FROM syncline.worklog").await > 600);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_page").await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_state WHERE cursor_at IS NULL").await, 0);

    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(
        rig.count(
            "SELECT (issues_created + issues_updated)::int8 FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1"
        )
        .await,
        0
    );
    worker.stop().await;
}
