//! One bad value costs that value: answers that are slightly wrong in one place, and issues that cannot be read at the ends
//! of a project.

use serde_json::Value;
use syncline::clock::Clock;
use syncline::simulator::{Amount, FaultKind, FaultPlan, FaultRule, Options};

use crate::support::Rig;

fn options(issues: u32) -> Options {
    let mut options = Options::new(Clock::system());
    options.projects.truncate(1);
    options.issues = issues;
    options.comments = Amount::Exactly(1);
    options.worklogs = Amount::Exactly(1);
    options
}

/// `kind` for every request to paths that contain `path`.
fn always(kind: FaultKind, path: &str) -> FaultPlan {
    let rule = FaultRule { requests: None, path: Some(path.into()), ..FaultRule::next(kind, 1) };
    FaultPlan { rules: vec![rule], ..FaultPlan::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_slightly_wrong_stops_nothing() {
    use FaultKind as F;
    let rig = Rig::new(options(12)).await;
    let worker = rig.worker().await;
    for (kind, path) in [
        (F::ControlCharacter, "/search/jql"),
        (F::BadEscape, "/search/jql"),
        (F::Nan, "/search/jql"),
        (F::ByteOrderMark, "/search/jql"),
        (F::Twice, "/search/jql"),
        (F::ControlCharacter, "/field"),
        (F::ControlCharacter, "/bulkfetch"),
        (F::Twice, "/bulkfetch"),
        (F::ByteOrderMark, "/myself"),
        (F::ControlCharacter, "/rest/"),
        (F::ByteOrderMark, "/rest/"),
    ] {
        sqlx::query("DELETE FROM syncline.issue").execute(rig.db.pool()).await.unwrap();
        rig.jira.control().set_faults(always(kind, path));
        let state = rig.sync(&rig.projects[0], "full").await;
        assert_eq!(state, "succeeded", "{} at {path}: {}", kind.name(), rig.said().await);
        assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 12, "{} at {path}", kind.name());
        assert_eq!(rig.count("SELECT max(issues_rejected) FROM syncline.sync_run").await, 0);
        let pool = rig.db.pool();
        let met = |sql| async move { sqlx::query_scalar::<_, bool>(sql).fetch_one(pool).await.unwrap() };
        match (kind, path) {
            // What was mangled is kept as it came.
            (F::ControlCharacter, "/search/jql") => {
                assert!(met(r"SELECT bool_or(summary LIKE E'line\nbreak\x0B %') FROM syncline.issue").await);
            }
            (F::BadEscape, _) => {
                assert!(met(r"SELECT bool_or(summary LIKE 'bad \\x41 escape %') FROM syncline.issue").await);
            }
            (F::Nan, _) => {
                assert!(met("SELECT bool_or(fields->>'customfield_19500' = 'NaN') FROM syncline.issue").await);
            }
            _ => {}
        }
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_without_sense_at_either_end_keeps_no_other_out() {
    let mut rig = Rig::new(options(60)).await;
    rig.config.sync.partition_target_issues = 10;
    let worker = rig.worker().await;
    for kind in [FaultKind::MissingUpdated, FaultKind::ControlCharacter] {
        rig.jira.control().set_faults(always(kind, "/search/jql"));
        assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded", "{}", rig.said().await);
    }
    rig.jira.control().set_faults(FaultPlan::default());
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 60);
    // Divided each time: one page of one part each is not enough for sixty issues in six parts.
    let pages: Vec<Value> =
        sqlx::query_scalar("SELECT to_jsonb(pages) FROM syncline.sync_run").fetch_all(rig.db.pool()).await.unwrap();
    assert!(pages.iter().all(|pages| pages.as_i64() > Some(1)), "{pages:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_without_a_place_stays_among_the_fields() {
    let rig = Rig::new(options(12)).await;
    let worker = rig.worker().await;
    rig.jira.control().set_faults(always(FaultKind::OddDates, "/search/jql"));
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded", "{}", rig.said().await);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 12);
    let odd = "SELECT count(*) FROM syncline.issue WHERE due_date = '12024-05-01' AND resolved_at IS NULL
                  AND fields ->> 'resolutiondate' = '292278994-08-17T07:12:55.807+0000'";
    assert_eq!(rig.count(odd).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_asked_for_in_parts() {
    let mut rig = Rig::new(options(40)).await;
    rig.config.sync.answer_limit_mebibytes = 1;
    let worker = rig.worker().await;
    for (path, met) in [("/search/jql", 3), ("/bulkfetch", 6)] {
        let rule = FaultRule { path: Some(path.into()), ..FaultRule::next(FaultKind::Oversize, 3) };
        rig.jira.control().set_faults(FaultPlan { rules: vec![rule], ..FaultPlan::default() });
        assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded", "{path}: {}", rig.said().await);
        assert_eq!(rig.jira.control().stats().faults.get(&FaultKind::Oversize).copied(), Some(met), "{path}");
        assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 40);
        assert_eq!(rig.count("SELECT max(issues_rejected) FROM syncline.sync_run").await, 0);
    }
    worker.stop().await;
}
