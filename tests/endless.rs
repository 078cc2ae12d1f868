//! A site that never ends, or never answers: the run ends, says why, and people hear of it.

use syncline::clock::Clock;
use syncline::domain::failure::FailureCode;
use syncline::simulator::{FaultKind, FaultPlan, FaultRule, Kind, Options};
use syncline::verify;

use crate::support::Rig;

async fn rig(kind: Kind) -> Rig {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    options.issues = 60;
    options.projects.truncate(1);
    let mut rig = Rig::new(options).await;
    rig.config.sync.page_size = 60;
    rig.config.sync.request_timeout_seconds = 1;
    rig
}

fn always(kind: FaultKind, path: &str) -> FaultPlan {
    let rule = FaultRule { requests: None, path: Some(path.into()), ..FaultRule::next(kind, 1) };
    FaultPlan { rules: vec![rule], ..FaultPlan::default() }
}

async fn failure(rig: &Rig, run: uuid::Uuid) -> (String, String, i32) {
    assert_eq!(rig.ended(run).await, "failed");
    sqlx::query_as("SELECT error_code, error_message, retries FROM syncline.sync_run WHERE id = $1")
        .bind(run)
        .fetch_one(rig.db.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_without_an_end_end_the_run() {
    for (kind, path) in [(Kind::Cloud, "/search/jql"), (Kind::DataCenter, "/rest/api/2/search")] {
        let rig = rig(kind).await;
        let worker = rig.worker().await;
        for (fault, says) in [(FaultKind::Endless, "the same issues"), (FaultKind::EndlessInvented, "the site counts")]
        {
            if (kind, fault) == (Kind::DataCenter, FaultKind::EndlessInvented) {
                continue; // its total grows with what it invents: only the time limit ends that
            }
            rig.jira.control().set_faults(always(fault, path));
            let run = rig.enqueue(&rig.projects[0], "full").await;
            let (code, message, _) = failure(&rig, run).await;
            assert_eq!(code, FailureCode::EndlessPages.as_str(), "{}: {message}", fault.name());
            assert!(message.contains(says), "{}: {message}", fault.name());
        }
        rig.jira.control().set_faults(FaultPlan::default());
        assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded", "{}", rig.said().await);
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_and_a_verification_without_an_end_end_too() {
    let rig = rig(Kind::Cloud).await;
    let worker = rig.worker().await;
    let project = &rig.projects[0];
    assert_eq!(rig.sync(project, "full").await, "succeeded");
    rig.jira.control().set_faults(always(FaultKind::Endless, "/search/jql"));
    let refused = rig.verify(project, &verify::Options::default()).await.unwrap_err().to_string();
    assert!(refused.contains("never end"), "{refused}");
    assert_eq!(rig.reconcile(project, "incremental").await, "failed");
    let gone = "SELECT count(*) FROM syncline.issue WHERE deleted_at IS NOT NULL";
    assert_eq!(rig.count(gone).await, 0, "a sweep that does not end marks nothing");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jira_that_hangs_is_told_as_that_and_counts() {
    for kind in [FaultKind::Hang, FaultKind::Dribble] {
        let mut rig = rig(Kind::Cloud).await;
        rig.config.telemetry.threshold = 1;
        let worker = rig.worker().await;
        rig.jira.control().set_faults(always(kind, "/rest/"));
        let run = rig.enqueue(&rig.projects[0], "incremental").await;
        let (code, message, retries) = failure(&rig, run).await;
        assert_eq!(code, "TIMEOUT", "{}: {message}", kind.name());
        assert!(message.contains("no complete answer from") && message.ends_with("within 1 s"), "{message}");
        assert_eq!(retries, 2, "three attempts, whatever the configuration allows");
        let told = "SELECT count(*) FROM syncline.alert WHERE class = 'TIMEOUT'";
        while rig.count(told).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(rig.count("SELECT max(failure_streak)::int8 FROM syncline.project_health").await, 1);
        worker.stop().await;
    }
}
