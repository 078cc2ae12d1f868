//! A site with an hourly quota of points plans its hour: it never asks for more, and keeps something for everyone.
//!
//! The hour of these tests is short: the plan is told that it began long ago.

use std::time::{Duration, Instant};

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, FaultKind, FaultPlan, FaultRule, Limits, Options, ProjectSpec, Stats};

use crate::support::{Rig, eventually};

const QUOTA: u64 = 4_000;

fn project(key: &str, issues: u32) -> ProjectSpec {
    ProjectSpec { key: key.to_owned(), name: key.to_owned(), issues: Some(issues) }
}

/// A large project that nobody has read yet, and a small one that is up to date; then a worker that knows of the quota.
async fn staged(large: u32, quota: u64) -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.projects = vec![project("LARGE", large), project("SMALL", 10)];
    (options.comments, options.worklogs, options.long_threads) = (Amount::Exactly(0), Amount::Exactly(0), 0.0);
    options.limits = Limits { points_per_hour: Some(quota), ..Limits::default() };
    let mut rig = Rig::new(options).await;
    rig.config.sync.page_size = 20;
    rig.config.queue.max_attempts = 1;
    let worker = rig.worker().await;
    assert_eq!(rig.sync("SMALL", "full").await, "succeeded");
    worker.stop().await;
    let quota = i32::try_from(quota).unwrap();
    sqlx::query("UPDATE syncline.site SET points_per_hour = $1").bind(quota).execute(rig.db.pool()).await.unwrap();
    let worker = rig.worker().await;
    (rig, worker)
}

/// So much is left of the hour; what was used is known.
async fn hour_ends_in(rig: &Rig, left: Duration) {
    sqlx::query(
        "INSERT INTO syncline.rate_quota (key, points_per_hour, spent, tokens, resets_at)
         SELECT 'site:' || id || '/points', points_per_hour, $1, 0, clock_timestamp() + make_interval(secs => $2) FROM syncline.site",
    )
    .bind(stats(rig).points_used as f64)
    .bind(left.as_secs_f64())
    .execute(rig.db.pool())
    .await
    .unwrap();
}

fn stats(rig: &Rig) -> Stats {
    rig.jira.control().stats()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_leaves_points_to_an_incremental_run() {
    const HOUR: Duration = Duration::from_secs(12);
    let (rig, worker) = staged(1_600, QUOTA).await;
    hour_ends_in(&rig, HOUR).await;
    let (began, before) = (Instant::now(), stats(&rig).points_used);
    let backfill = rig.enqueue("LARGE", "full").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = Instant::now();
    assert_eq!(rig.sync("SMALL", "incremental").await, "succeeded");
    let took = asked.elapsed();
    assert_eq!(
        rig.count("SELECT count(*) FROM syncline.sync_run r JOIN syncline.project p ON p.id = r.project_id WHERE p.key = 'LARGE' AND r.state = 'running'").await,
        1,
        "the backfill was still at work"
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    tokio::time::sleep((HOUR / 2).saturating_sub(began.elapsed())).await;
    let half = stats(&rig).points_used - before;
    // Histories come 500 at once, and the first such request is paid for when it has shown what it costs.
    assert!(half <= QUOTA * 75 / 100, "{half} of {QUOTA} points in the first half");
    assert_eq!(rig.ended(backfill).await, "succeeded");
    let stats = stats(&rig);
    assert!(began.elapsed() >= HOUR / 2, "{:?}: it was spread", began.elapsed());
    assert_eq!(stats.points_limited, 0, "nothing was refused");
    assert!(stats.points_used <= QUOTA, "{} of {QUOTA} points", stats.points_used);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 1_610);
    assert_eq!(rig.count("SELECT coalesce(sum(failures), 0)::int8 FROM syncline.sync_step").await, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_quota_empties_the_plan_for_the_hour() {
    const HOUR: Duration = Duration::from_secs(8);
    let (rig, worker) = staged(60, 10 * QUOTA).await;
    hour_ends_in(&rig, HOUR).await;
    let began = Instant::now();
    // Others have spent the quota: Jira says so once, and names a time that is too early.
    let rule = FaultRule { path: Some("/search/jql".into()), after: 1, ..FaultRule::next(FaultKind::Quota, 1) };
    rig.jira.control().set_faults(FaultPlan { rules: vec![rule], retry_after_seconds: 1, ..FaultPlan::default() });
    let run = rig.enqueue("LARGE", "full").await;
    let emptied = "SELECT count(*) FROM syncline.rate_quota WHERE spent >= points_per_hour";
    eventually("an empty plan", async || rig.count(emptied).await == 1).await;
    // What is under way ends; then there is silence until the hour is over.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let silent = stats(&rig).requests;
    tokio::time::sleep(HOUR.saturating_sub(began.elapsed() + Duration::from_millis(1_000))).await;
    assert_eq!(stats(&rig).requests, silent, "requests while there were no points");
    assert_eq!(rig.ended(run).await, "succeeded");
    assert!(began.elapsed() >= HOUR - Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 70);
    assert_eq!(rig.count("SELECT coalesce(sum(failures), 0)::int8 FROM syncline.sync_step").await, 0);
    worker.stop().await;
}
