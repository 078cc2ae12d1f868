//! An account whose profile has another zone than UTC: times come in it, and nothing is lost or read twice for that, neither in
//! autumn's doubled hour nor in the one that spring leaves out.

use chrono::TimeDelta;
use syncline::clock::Clock;
use syncline::simulator::{Amount, Kind, Mutation, Options};
use syncline::verify;

use crate::support::Rig;

/// Edits a project every twenty minutes for three hours from `start` on, and reads it after each.
async fn follows(kind: Kind, start: &str) {
    let (clock, hands) = Clock::virtual_at(start.parse().unwrap(), 1);
    let mut options = Options::new(clock);
    options.kind = kind;
    options.issues = 30;
    options.projects.truncate(1);
    (options.comments, options.worklogs) = (Amount::Exactly(1), Amount::Exactly(1));
    options.history_end = Some(start.parse().unwrap());
    options.accounts[0].zone = chrono_tz::Europe::Berlin;
    let rig = Rig::new(options).await;
    let project = rig.projects[0].clone();
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&project, "full").await, "succeeded", "{}", rig.said().await);
    let ids = rig.jira.control().issue_ids(&project);
    for round in 0..9 {
        hands.advance(TimeDelta::minutes(20));
        for id in &ids[round * 3..round * 3 + 3] {
            rig.jira.control().apply(Mutation::EditIssue { issue: id.to_string() }).unwrap();
        }
        assert_eq!(rig.sync(&project, "incremental").await, "succeeded", "{}", rig.said().await);
        let seen = "SELECT issues_seen FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1";
        // What was edited now, and what the overlap reaches back to: what was edited last, twenty minutes ago.
        let expected = if round == 0 { 3..=4 } else { 6..=6 };
        assert!(
            expected.contains(&rig.count(seen).await),
            "{start}, round {round}: an hour is neither lost nor read twice"
        );
        let report = rig.verify(&project, &verify::Options::default()).await.unwrap();
        assert!(report.is_clean(), "{start}, round {round}: {report:#?}");
    }
    worker.stop().await;
}

/// 03:00 becomes 02:00 at 01:00 UTC.
const AUTUMN: &str = "2024-10-26T23:30:00Z";
/// 02:00 becomes 03:00 at 01:00 UTC.
const SPRING: &str = "2024-03-30T23:30:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_elsewhere_reads_each_hour_once_on_cloud() {
    follows(Kind::Cloud, AUTUMN).await;
    follows(Kind::Cloud, SPRING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_elsewhere_reads_each_hour_once_on_data_center() {
    follows(Kind::DataCenter, AUTUMN).await;
    follows(Kind::DataCenter, SPRING).await;
}
