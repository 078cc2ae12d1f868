//! What an answer leaves out is not empty, and what one way of asking does not show is not gone.

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, FaultKind, FaultPlan, FaultRule, Kind, Mutation, Options};
use syncline::verify::{self, Report};

use crate::support::Rig;
use crate::support::command::{ask, words};

fn always(kind: FaultKind, path: &str) -> FaultPlan {
    let path = (!path.is_empty()).then(|| path.to_owned());
    let rule = FaultRule { kind, after: 0, requests: None, path, retry_after_seconds: None };
    FaultPlan { rules: vec![rule], ..FaultPlan::default() }
}

async fn rig(kind: Kind) -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    options.issues = 60;
    options.projects.truncate(1);
    options.comments = Amount::About(2.0);
    options.worklogs = Amount::About(1.5);
    options.long_threads = 0.1;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    (rig, worker)
}

async fn synced(kind: Kind) -> (Rig, Worker) {
    let (rig, worker) = rig(kind).await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    (rig, worker)
}

async fn report(rig: &Rig) -> Report {
    rig.verify("ACME", &verify::Options::default()).await.unwrap()
}

/// Comments and worklogs here and in Jira.
async fn lists(rig: &Rig) -> [(i64, i64); 2] {
    let stats = rig.jira.control().stats();
    [
        (rig.count("SELECT count(*) FROM syncline.comment").await, i64::try_from(stats.comments).unwrap()),
        (rig.count("SELECT count(*) FROM syncline.worklog").await, i64::try_from(stats.worklogs).unwrap()),
    ]
}

async fn known(rig: &Rig, feature: &str) -> String {
    sqlx::query_scalar("SELECT coalesce((SELECT state FROM syncline.site_capability WHERE feature = $1), 'unknown')")
        .bind(feature)
        .fetch_one(rig.db.pool())
        .await
        .unwrap()
}

fn edit_all(rig: &Rig) {
    for id in rig.jira.control().issue_ids("ACME") {
        rig.jira.control().apply(Mutation::EditIssue { issue: id.to_string() }).unwrap();
    }
}

async fn lists_are_read_from_their_end_points(kind: Kind) {
    let (rig, worker) = rig(kind).await;
    rig.jira.control().set_faults(always(FaultKind::OmitLists, ""));
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    for (here, there) in lists(&rig).await {
        assert_eq!(here, there);
        assert!(here > 60);
    }
    assert_eq!(known(&rig, "comments_in_search").await, "absent");
    assert_eq!(known(&rig, "worklogs_in_search").await, "absent");
    let checked = words(&ask(&rig.db, &["site", "check"]));
    assert!(checked.contains("comments in search: absent"), "{checked}");
    let run: String =
        sqlx::query_scalar("SELECT id::text FROM syncline.sync_run").fetch_one(rig.db.pool()).await.unwrap();
    let shown = words(&ask(&rig.db, &["run", "show", &run]));
    assert!(shown.contains("read issue by issue"), "{shown}");

    // Later runs ask for what changed, and only for that.
    let asked = || rig.jira.control().stats().by_endpoint.get("/issue/{}/comment").copied().unwrap_or(0);
    let issue = rig.jira.control().issue_ids("ACME")[0].to_string();
    rig.jira.control().apply(Mutation::AddComment { issue }).unwrap();
    let before = asked();
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    assert_eq!(asked() - before, 1);
    let found = report(&rig).await;
    assert!(found.is_clean(), "{found:#?}");
    assert_eq!(found.left_out["comment"], 60);
    assert_eq!(i64::try_from(found.checked_comments).unwrap(), lists(&rig).await[0].0);

    rig.jira.control().set_faults(FaultPlan::default());
    edit_all(&rig);
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    assert_eq!(known(&rig, "comments_in_search").await, "available");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_search_leaves_out_are_read_elsewhere() {
    lists_are_read_from_their_end_points(Kind::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_a_data_center_leaves_out_are_read_elsewhere() {
    lists_are_read_from_their_end_points(Kind::DataCenter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_nobody_gives_any_more_stay_as_they_are() {
    let (rig, worker) = synced(Kind::Cloud).await;
    let before = lists(&rig).await;
    let mut plan = always(FaultKind::Gone, "/comment");
    plan.rules.extend(always(FaultKind::Gone, "/worklog").rules);
    plan.rules.extend(always(FaultKind::OmitLists, "").rules);
    rig.jira.control().set_faults(plan);
    edit_all(&rig);
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    assert_eq!(lists(&rig).await, before, "nothing was erased");
    worker.stop().await;
}

/// How much of an issue's own values the replica holds.
const VALUES: &str = "SELECT (SELECT sum(cardinality(labels) + cardinality(component_ids) + cardinality(fix_version_ids)
        + cardinality(sprint_ids) + (story_points IS NOT NULL)::int + (SELECT count(*) FROM jsonb_object_keys(fields)))
        FROM syncline.issue)::int8 + (SELECT count(*) FROM syncline.issue_link) * 1000 + (SELECT count(*) FROM syncline.attachment) * 1000000";

#[tokio::test(flavor = "multi_thread")]
async fn values_that_every_answer_leaves_out_are_kept_and_told() {
    let (rig, worker) = synced(Kind::Cloud).await;
    let before = rig.count(VALUES).await;
    rig.jira.control().set_faults(always(FaultKind::OmitValues, ""));
    for id in rig.jira.control().issue_ids("ACME") {
        rig.jira.control().apply(Mutation::Transition { issue: id.to_string() }).unwrap();
    }
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    assert_eq!(rig.count(VALUES).await, before);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'values_left_out'").await, 1);
    assert_eq!(known(&rig, "values_by_id").await, "absent");
    let found = report(&rig).await;
    assert!(found.is_clean(), "{found:#?}");
    assert!(found.left_out["values"] > 0);
    let told = words(&ask(&rig.db, &["verify", "--settle", "0"]));
    assert!(told.contains("equal") && told.contains("the stored values stay"), "{told}");

    // What is shown again is taken, also where it became empty meanwhile.
    rig.jira.control().set_faults(FaultPlan::default());
    edit_all(&rig);
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    let found = report(&rig).await;
    assert!(found.is_clean() && found.left_out.is_empty(), "{found:#?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_search_leaves_out_are_read_by_id() {
    let (rig, worker) = rig(Kind::Cloud).await;
    rig.jira.control().set_faults(always(FaultKind::OmitValues, "/search"));
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(known(&rig, "values_by_id").await, "available");
    let found = report(&rig).await;
    assert!(found.is_clean(), "{found:#?}");
    rig.jira.control().set_faults(FaultPlan::default());
    let found = report(&rig).await;
    assert!(found.is_clean(), "nothing is missing: {found:#?}");
    worker.stop().await;
}

async fn marked(rig: &Rig) -> i64 {
    rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NOT NULL").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_search_shows_is_not_gone_when_look_ups_fail() {
    let (rig, worker) = synced(Kind::Cloud).await;
    let five: Vec<i64> =
        rig.jira.control().issue_ids("ACME").into_iter().take(5).map(|id| i64::try_from(id).unwrap()).collect();
    sqlx::query("UPDATE syncline.issue SET summary = 'altered' WHERE id = ANY ($1)")
        .bind(&five)
        .execute(rig.db.pool())
        .await
        .unwrap();
    rig.jira.control().set_faults(always(FaultKind::BlindLookUp, ""));
    let found = report(&rig).await;
    assert_eq!((found.stale.len(), found.one_way.len()), (5, 5), "{found:#?}");
    assert!(found.one_way.iter().all(|issue| issue.shown_by == "search"));
    assert_eq!(rig.repair("ACME", &five).await, "succeeded");
    assert_eq!(marked(&rig).await, 0);
    assert_eq!(known(&rig, "look_up_by_id").await, "absent");
    let log = "SELECT count(*) FROM syncline.sync_log WHERE event = 'ways_contradict' AND message LIKE '5 issues%'";
    assert_eq!(rig.count(log).await, 1);
    let found = report(&rig).await;
    assert!(found.is_clean(), "search's word was written: {found:#?}");

    // As a program left them that believed the look-ups.
    sqlx::query("UPDATE syncline.issue SET deleted_at = now(), deleted_reason = 'not_visible' WHERE id = ANY ($1)")
        .bind(&five)
        .execute(rig.db.pool())
        .await
        .unwrap();
    let found = report(&rig).await;
    assert_eq!(found.missing.len(), 5, "{found:#?}");
    assert!(found.missing.iter().all(|issue| issue.marked.as_deref() == Some("not_visible")));
    assert_eq!(rig.reconcile("ACME", "incremental").await, "succeeded");
    assert_eq!(marked(&rig).await, 0, "what is seen again is restored");
    worker.stop().await;
}

async fn search_is_blind(kind: Kind) {
    let (rig, worker) = synced(kind).await;
    rig.jira.control().set_faults(always(FaultKind::BlindSearch, "/search"));
    assert_eq!(rig.reconcile("ACME", "incremental").await, "succeeded");
    assert_eq!(marked(&rig).await, 0);
    assert!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'ways_contradict'").await > 0);
    let found = report(&rig).await;
    assert!(found.is_clean(), "{found:#?}");
    assert_eq!(found.one_way.len(), 20);
    assert!(found.one_way.iter().all(|issue| issue.shown_by == "look_up"), "{found:#?}");
    // Marked here, and shown by a look-up alone.
    let marked = "UPDATE syncline.issue SET deleted_at = now(), deleted_reason = 'deleted' WHERE id % 3 = 0";
    sqlx::query(marked).execute(rig.db.pool()).await.unwrap();
    let found = report(&rig).await;
    assert_eq!(found.missing.len(), 20, "{found:#?}");
    assert!(found.missing.iter().all(|issue| issue.marked.as_deref() == Some("deleted")));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_look_ups_show_is_not_gone_when_search_fails() {
    search_is_blind(Kind::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_data_center_shows_by_id_is_not_gone() {
    search_is_blind(Kind::DataCenter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_way_shows_is_gone() {
    let (rig, worker) = synced(Kind::Cloud).await;
    for id in rig.jira.control().issue_ids("ACME").into_iter().take(3) {
        rig.jira.control().apply(Mutation::DeleteIssue { issue: id.to_string() }).unwrap();
    }
    let found = report(&rig).await;
    assert_eq!((found.extra.len(), found.one_way.len()), (3, 0), "{found:#?}");
    assert_eq!(rig.reconcile("ACME", "incremental").await, "succeeded");
    assert_eq!(marked(&rig).await, 3);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'ways_contradict'").await, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_jira_shows_twice_is_no_difference() {
    for kind in [FaultKind::Doubled, FaultKind::Shared] {
        let (rig, worker) = rig(Kind::Cloud).await;
        rig.jira.control().set_faults(always(kind, "/rest/api/"));
        assert_eq!(rig.sync("ACME", "full").await, "succeeded");
        let found = report(&rig).await;
        assert!(found.is_clean(), "{kind:?}: {found:#?}");
        assert_eq!(found.doubled > 0, kind == FaultKind::Shared);
        assert_eq!(rig.sync("ACME", "full").await, "succeeded");
        let found = report(&rig).await;
        assert!(found.is_clean(), "{kind:?}, after another run: {found:#?}");
        worker.stop().await;
    }
}

async fn histories_disagree(kind: Kind, poorer: &str) {
    let (rig, worker) = synced(kind).await;
    let before = rig.count("SELECT count(*) FROM syncline.changelog").await;
    rig.jira.control().set_faults(always(FaultKind::ShortHistory, poorer));
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.changelog").await, before, "an entry is not forgotten");
    let found = report(&rig).await;
    assert!(found.is_clean(), "{found:#?}");
    assert!(found.changes_only_here > 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_that_end_points_tell_differently_are_joined() {
    histories_disagree(Kind::Cloud, "/changelog/bulkfetch").await;
    histories_disagree(Kind::DataCenter, "/search").await;
}
