//! `verify` finds what differs, says what it is, and its repair mends it.

use std::time::Duration;

use syncline::clock::Clock;
use syncline::domain::site_kind::SiteKind;
use syncline::jira::{Auth, HttpPool, JiraClient, SiteAccess};
use syncline::runtime::Worker;
use syncline::simulator::{self, Amount, FaultKind, FaultPlan, Mutation, Options};
use syncline::verify::{self, Reason, Report, Scope};

use crate::support::Rig;

async fn synced() -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.issues = 60;
    options.projects.truncate(2);
    options.comments = Amount::Exactly(2);
    options.worklogs = Amount::Exactly(1);
    options.long_threads = 0.1;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    (rig, worker)
}

async fn scope(rig: &Rig, project: &str) -> Scope {
    verify::scopes(rig.db.pool(), Some(project)).await.unwrap().remove(0)
}

async fn report(rig: &Rig, project: &str) -> Result<Report, verify::Error> {
    let clock = Clock::system();
    let access = SiteAccess {
        name: "sim".to_owned(),
        base_url: rig.jira.base_url().parse().unwrap(),
        kind: SiteKind::Cloud,
        auth: Auth::Basic { user: simulator::DEFAULT_EMAIL.into(), token: simulator::DEFAULT_TOKEN.to_owned().into() },
        request_timeout: Duration::from_secs(10),
    };
    let jira = JiraClient::new(&HttpPool::new(clock.clone()).unwrap(), access).unwrap();
    let options = verify::Options { page_size: 7, ..verify::Options::default() };
    verify::verify(rig.db.pool(), &jira, &scope(rig, project).await, &options, &clock, &|_| {}).await
}

async fn execute(rig: &Rig, sql: &'static str) {
    let done = sqlx::query(sql).execute(rig.db.pool()).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_right_has_no_difference() {
    let (rig, worker) = synced().await;
    let report = report(&rig, "ACME").await.unwrap();
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(report.checked_issues, 30);
    assert_eq!(
        i64::try_from(report.checked_comments).unwrap(),
        rig.count("SELECT count(*) FROM syncline.comment c JOIN syncline.issue i ON i.id = c.issue_id WHERE i.key LIKE 'ACME-%'").await
    );
    assert_eq!(rig.count("SELECT count(*) FROM syncline.verify_seen").await, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_difference_is_named_and_mended() {
    let (rig, worker) = synced().await;
    let ids = rig.jira.control().issue_ids("ACME");
    execute(&rig, "DELETE FROM syncline.issue WHERE id = (SELECT min(id) FROM syncline.issue WHERE key LIKE 'ACME-%')")
        .await;
    // Altered behind the replica's back: the stored hashes know nothing of it.
    execute(&rig, "UPDATE syncline.issue SET summary = 'tampered' WHERE id = (SELECT min(id) FROM syncline.issue WHERE key LIKE 'ACME-%')").await;
    execute(&rig, "UPDATE syncline.comment SET body = 'tampered' WHERE id = (SELECT max(c.id) FROM syncline.comment c JOIN syncline.issue i ON i.id = c.issue_id WHERE i.key LIKE 'ACME-%')").await;
    execute(&rig, "DELETE FROM syncline.worklog WHERE id = (SELECT max(w.id) FROM syncline.worklog w JOIN syncline.issue i ON i.id = w.issue_id WHERE i.key LIKE 'ACME-%')").await;
    let deleted = ids[ids.len() / 2];
    rig.jira.control().apply(Mutation::DeleteIssue { issue: deleted.to_string() }).unwrap();
    let found = report(&rig, "ACME").await.unwrap();
    assert_eq!(found.missing.iter().map(|missing| missing.id as u64).collect::<Vec<_>>(), [ids[0]]);
    let tampered = found.stale.iter().find(|stale| stale.id as u64 == ids[1]).unwrap();
    assert_eq!(tampered.fields, ["summary"]);
    assert!(found.stale.iter().any(|stale| stale.comments.len() == 1));
    assert!(found.stale.iter().any(|stale| stale.worklogs.len() == 1));
    assert_eq!(found.extra.len(), 1);
    assert_eq!((found.extra[0].id as u64, &found.extra[0].reason), (deleted, &Reason::Gone));

    let run = verify::repair(rig.db.pool(), &scope(&rig, "ACME").await, &found, "test").await.unwrap().unwrap();
    assert_eq!(rig.ended(run).await, "succeeded");
    let after = report(&rig, "ACME").await.unwrap();
    assert!(after.is_clean(), "{after:#?}");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NOT NULL").await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_moved_is_told_from_one_that_is_gone() {
    let (rig, worker) = synced().await;
    let id = rig.jira.control().issue_ids("ACME")[0];
    let mutation = Mutation::MoveIssue { issue: id.to_string(), project: "BETA".into() };
    rig.jira.control().apply(mutation).unwrap();
    let found = report(&rig, "ACME").await.unwrap();
    let moved = found.extra.iter().find(|extra| extra.id as u64 == id).unwrap();
    assert_eq!(moved.reason, Reason::Moved { to: "BETA".into(), tracked: true });
    assert_eq!(rig.sync("BETA", "incremental").await, "succeeded");
    let found = report(&rig, "ACME").await.unwrap();
    assert!(found.extra.is_empty(), "{found:#?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_let_in_makes_nothing_extra() {
    let (rig, worker) = synced().await;
    rig.jira.control().set_faults(FaultPlan { rate: 1.0, kinds: vec![FaultKind::Anonymous], ..FaultPlan::default() });
    assert!(report(&rig, "ACME").await.is_err());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_waits_as_jira_asks_it_to() {
    let (rig, worker) = synced().await;
    rig.jira.control().set_faults(FaultPlan { rate: 0.2, retry_after_seconds: 1, ..FaultPlan::default() });
    let report = report(&rig, "ACME").await.unwrap();
    assert!(report.is_clean(), "{report:#?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_meets_a_kept_run_is_done_by_it() {
    let (rig, worker) = synced().await;
    worker.stop().await; // nothing runs, so that requests pile up
    execute(&rig, "UPDATE syncline.issue SET summary = 'tampered' WHERE id = (SELECT min(id) FROM syncline.issue WHERE key LIKE 'ACME-%')").await;
    let found = report(&rig, "ACME").await.unwrap();
    let scope = scope(&rig, "ACME").await;
    rig.enqueue("ACME", "incremental").await;
    let kept = verify::repair(rig.db.pool(), &scope, &found, "test").await.unwrap().unwrap();
    assert_eq!(rig.enqueue("ACME", "incremental").await, kept, "one run is kept, and it serves both");
    assert_eq!(verify::repair(rig.db.pool(), &scope, &found, "test").await.unwrap(), Some(kept));
    let worker = rig.worker().await;
    assert_eq!(rig.ended(kept).await, "succeeded");
    let after = report(&rig, "ACME").await.unwrap();
    assert!(after.is_clean(), "{after:#?}");
    worker.stop().await;
}
