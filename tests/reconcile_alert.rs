//! What the guard of a reconciliation stopped is told, and stays told until one goes through.

use std::time::Duration;

use syncline::clock::Clock;
use syncline::simulator::{Amount, Mutation, Options};
use syncline::store::gauges::{self, GaugeOptions};

use crate::support::{Rig, eventually};

const OPEN: &str =
    "SELECT count(*) FROM syncline.alert WHERE class = 'RECONCILE_GUARD' AND state IN ('pending', 'open')";
const UNREAD: &str = "SELECT count(*) FROM syncline.sync_run WHERE finished_at IS NOT NULL AND analysed_at IS NULL";

async fn read(rig: &Rig) {
    eventually("every end to be read", async || rig.count(UNREAD).await == 0).await;
}

/// Episodes of this category that are not over, as a metric.
async fn firing(rig: &Rig) -> u64 {
    let options = GaugeOptions { project_limit: 10, freshness_objective: Duration::from_secs(3_600) };
    let gauges = gauges::read(rig.db.pool(), &options).await.unwrap();
    let of =
        gauges.alerts.iter().filter(|one| (one.severity.as_str(), one.category.as_str()) == ("critical", "permission"));
    of.map(|one| one.count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_reconciliation_is_an_alert_until_one_goes_through() {
    let mut options = Options::new(Clock::system());
    options.issues = 80;
    options.projects.truncate(1);
    (options.comments, options.worklogs) = (Amount::Exactly(0), Amount::Exactly(0));
    let mut rig = Rig::new(options).await;
    rig.config.alerts.group_wait_seconds = 0;
    let worker = rig.worker().await;
    let project = rig.projects[0].clone();
    assert_eq!(rig.sync(&project, "full").await, "succeeded");
    for id in rig.jira.control().issue_ids(&project).into_iter().take(30) {
        rig.jira.control().apply(Mutation::DeleteIssue { issue: id.to_string() }).unwrap();
    }
    assert_eq!(rig.reconcile(&project, "incremental").await, "failed");
    read(&rig).await;
    assert_eq!((rig.count(OPEN).await, firing(&rig).await), (1, 1));
    let advice: String =
        sqlx::query_scalar("SELECT details ->> 'advice' FROM syncline.alert WHERE class = 'RECONCILE_GUARD'")
            .fetch_one(rig.db.pool())
            .await
            .unwrap();
    assert!(advice.contains("reconcile_max_share"), "{advice}");
    // Runs that read what is new succeed: they say nothing about what is gone, and are not slowed down.
    for _ in 0..2 {
        assert_eq!(rig.sync(&project, "incremental").await, "succeeded");
    }
    read(&rig).await;
    assert_eq!((rig.count(OPEN).await, firing(&rig).await), (1, 1));
    assert_eq!(rig.count("SELECT failure_streak::int8 FROM syncline.project_health").await, 0);

    let sql = "INSERT INTO syncline.setting (scope, key, value, updated_by) VALUES ('all', 'reconcile_max_share', '0.9', 'test')";
    sqlx::query(sql).execute(rig.db.pool()).await.unwrap();
    assert_eq!(rig.reconcile(&project, "incremental").await, "succeeded");
    read(&rig).await;
    eventually("the end of the alert", async || rig.count(OPEN).await == 0).await;
    assert_eq!(firing(&rig).await, 0);
    worker.stop().await;
}
