//! Each night, a scheduled run takes a reconciliation along; what its guard stopped waits for the next night.

use chrono::{DateTime, Utc};
use syncline::clock::{Clock, VirtualClock};
use syncline::domain::night;
use syncline::runtime::Worker;
use syncline::scheduler;
use syncline::simulator::{Amount, FaultKind, FaultPlan, FaultRule, Mutation, Options};
use uuid::Uuid;

use crate::support::Rig;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-03-{text}:00Z").parse().unwrap()
}

/// A project with a schedule, and a clock that is moved by hand; it is noon of the second.
struct Nights {
    rig: Rig,
    worker: Worker,
    clock: Clock,
    hands: VirtualClock,
}

impl Nights {
    async fn new(issues: u32) -> Self {
        let (clock, hands) = Clock::virtual_at(at("02T12:00"), 1);
        let mut options = Options::new(clock.clone());
        options.issues = issues;
        options.projects.truncate(1);
        (options.comments, options.worklogs) = (Amount::Exactly(0), Amount::Exactly(0));
        let rig = Rig::new(options).await;
        sqlx::query("UPDATE syncline.project SET created_at = $1")
            .bind(at("02T11:00"))
            .execute(rig.db.pool())
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO syncline.schedule (project_id, cron, time_zone, next_slot_at, next_run_at)
             SELECT id, '*/15 * * * *', 'Europe/Berlin', $1, $1 FROM syncline.project",
        )
        .bind(at("31T00:00"))
        .execute(rig.db.pool())
        .await
        .unwrap();
        let worker = rig.worker_at(clock.clone()).await;
        assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
        Self { rig, worker, clock, hands }
    }

    fn delete(&self, count: usize) {
        for id in self.rig.jira.control().issue_ids(&self.rig.projects[0]).into_iter().take(count) {
            self.rig.jira.control().apply(Mutation::DeleteIssue { issue: id.to_string() }).unwrap();
        }
    }

    /// The scheduled run of a time: how it ended, and whether it reconciled.
    async fn run_at(&self, time: &str) -> (String, bool) {
        self.hands.set(at(time));
        let pool = self.rig.db.pool();
        sqlx::query("UPDATE syncline.schedule SET next_slot_at = $1, next_run_at = $1")
            .bind(at(time))
            .execute(pool)
            .await
            .unwrap();
        scheduler::tick(pool, &self.clock).await.unwrap();
        let run: Uuid =
            sqlx::query_scalar("SELECT id FROM syncline.sync_run WHERE trigger = 'schedule' AND slot_at = $1")
                .bind(at(time))
                .fetch_one(pool)
                .await
                .unwrap();
        let state = self.rig.ended(run).await;
        let reconciled = sqlx::query_scalar("SELECT reconcile FROM syncline.sync_run WHERE id = $1");
        (state, reconciled.bind(run).fetch_one(pool).await.unwrap())
    }

    async fn marked(&self) -> i64 {
        self.rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NOT NULL").await
    }
}

fn run(state: &str, reconciled: bool) -> (String, bool) {
    (state.to_owned(), reconciled)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_scheduled_run_each_night_reconciles() {
    let nights = Nights::new(20).await;
    nights.delete(2);
    assert_eq!(nights.run_at("02T12:15").await, run("succeeded", false));
    assert_eq!(nights.marked().await, 0);
    // The night of Berlin is between midnight and three, UTC.
    assert_eq!(nights.run_at("02T23:45").await, run("succeeded", false));
    assert_eq!(nights.run_at("03T03:15").await, run("succeeded", true));
    assert_eq!(nights.marked().await, 2);
    assert_eq!(nights.run_at("03T03:30").await, run("succeeded", false));
    nights.delete(1);
    assert_eq!(nights.run_at("03T20:00").await, run("succeeded", false));
    assert_eq!(nights.run_at("04T03:15").await, run("succeeded", true));
    assert_eq!(nights.marked().await, 3);
    // A project that runs once a day, by day, is reconciled by that run.
    assert_eq!(nights.run_at("05T09:00").await, run("succeeded", true));
    assert_eq!(nights.run_at("06T09:00").await, run("succeeded", true));
    nights.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_reconciliation_is_retried_the_next_night() {
    let nights = Nights::new(80).await;
    nights.delete(30);
    assert_eq!(nights.run_at("03T03:15").await, run("failed", true));
    for time in ["03T03:30", "03T06:00", "03T23:30"] {
        assert_eq!(nights.run_at(time).await, run("succeeded", false), "{time}");
    }
    assert_eq!(nights.run_at("04T03:15").await, run("failed", true));
    sqlx::query("INSERT INTO syncline.setting (scope, key, value, updated_by) VALUES ('all', 'reconcile_max_share', '0.9', 'test')")
        .execute(nights.rig.db.pool())
        .await
        .unwrap();
    assert_eq!(nights.run_at("04T03:30").await, run("succeeded", false));
    assert_eq!(nights.run_at("05T03:15").await, run("succeeded", true));
    assert_eq!(nights.marked().await, 30);
    nights.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_another_reason_is_tried_again_the_same_night() {
    let nights = Nights::new(20).await;
    nights.delete(2);
    let rule = FaultRule { path: Some("/issue/bulkfetch".into()), ..FaultRule::next(FaultKind::WrongShape, 1_000) };
    nights.rig.jira.control().set_faults(FaultPlan { rules: vec![rule], ..FaultPlan::default() });
    assert_eq!(nights.run_at("03T03:15").await, run("failed", true));
    nights.rig.jira.control().set_faults(FaultPlan::default());
    assert_eq!(nights.run_at("03T03:30").await, run("succeeded", false), "not with each run");
    assert_eq!(nights.run_at("03T04:30").await, run("succeeded", true));
    assert_eq!(nights.marked().await, 2);
    nights.worker.stop().await;
}

#[test]
fn projects_of_a_site_reconcile_at_spread_times_at_night() {
    let now = at("03T12:00");
    let zone = chrono_tz::Tz::Europe__Berlin;
    let mut starts: Vec<_> = (0..200u128).map(|id| night::last(Uuid::from_u128(id), zone, now)).collect();
    starts.sort_unstable();
    assert!(starts[0] >= at("03T00:00") && starts[199] < at("03T03:00"));
    let crowded = starts.windows(10).filter(|ten| (ten[9] - ten[0]).num_seconds() < 60).count();
    assert_eq!(crowded, 0, "ten of two hundred in one minute");
}
