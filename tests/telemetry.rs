//! Telemetry reads how runs ended: each end once and in order, the ladder beside the base cadence, a site's trouble as one.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use syncline::clock::{Clock, VirtualClock};
use syncline::domain::health::Rules;
use syncline::{scheduler, telemetry};
use uuid::Uuid;

use crate::support::TestDb;

fn noon() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

/// Projects of one site with a schedule of every 15 minutes, and a clock that is moved by hand.
struct Fleet {
    db: TestDb,
    clock: Clock,
    hands: VirtualClock,
    rules: Rules,
    projects: Vec<Uuid>,
}

impl Fleet {
    async fn new(count: i32) -> Self {
        let db = TestDb::new().await;
        let (clock, hands) = Clock::virtual_at(noon(), 1);
        let projects = sqlx::query_scalar(
            "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                        VALUES (syncline.new_id(), 'acme', 'http://x', 'x@example.com', 'env:X') RETURNING id),
                  p AS (INSERT INTO syncline.project (id, site_id, key, created_at)
                        SELECT syncline.new_id(), s.id, 'P' || n, $2 FROM s, generate_series(1, $1) n RETURNING id),
                  c AS (INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at, updated_at)
                        SELECT id, '*/15 * * * *', $2, $2, $2 FROM p)
             SELECT id FROM p",
        )
        .bind(count)
        .bind(noon())
        .fetch_all(db.pool())
        .await
        .unwrap();
        let mut rules = Rules::default();
        rules.ladder.jitter = 0.0;
        Self { db, clock, hands, rules, projects }
    }

    /// A run that ended now, `seconds` after it began; not read yet.
    async fn ended(&self, project: usize, code: Option<&str>, seconds: i64) -> Uuid {
        let now = self.clock.now();
        sqlx::query_scalar(
            "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at, error_code, error_message)
             VALUES (syncline.new_id(), $1, 'incremental', 'schedule', CASE WHEN $2::text IS NULL THEN 'succeeded' ELSE 'failed' END,
                     'test', $3, $3, $4, $2, 'it went wrong') RETURNING id",
        )
        .bind(self.projects[project])
        .bind(code)
        .bind(now - TimeDelta::seconds(seconds))
        .bind(now)
        .fetch_one(self.db.pool())
        .await
        .unwrap()
    }

    async fn read(&self, project: usize) -> usize {
        let mut transaction = self.db.pool().begin().await.unwrap();
        let read =
            telemetry::analyse(&mut transaction, &self.clock, self.projects[project], &self.rules).await.unwrap();
        transaction.commit().await.unwrap();
        read
    }

    /// A run ends and is read; then time passes.
    async fn run(&self, project: usize, code: Option<&str>, minutes_after: i64) {
        self.ended(project, code, 5).await;
        assert_eq!(self.read(project).await, 1);
        self.hands.advance(TimeDelta::minutes(minutes_after));
    }

    /// Minutes from now until the project's next start.
    async fn next_minutes(&self, project: usize) -> i64 {
        let next: DateTime<Utc> =
            self.one("SELECT next_run_at FROM syncline.schedule WHERE project_id = $1", project).await;
        (next - self.clock.now()).num_minutes()
    }

    async fn hold(&self, project: usize) -> Option<String> {
        self.one("SELECT hold FROM syncline.schedule WHERE project_id = $1", project).await
    }

    async fn one<T>(&self, sql: &'static str, project: usize) -> T
    where
        T: Send + Unpin,
        (T,): for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        let row: (T,) = sqlx::query_as(sql).bind(self.projects[project]).fetch_one(self.db.pool()).await.unwrap();
        row.0
    }
}

async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn every_result_is_read_once_and_in_order() {
    let fleet = Fleet::new(1).await;
    for code in [Some("TIMEOUT"), None, Some("TIMEOUT"), Some("DNS"), Some("DNS")] {
        fleet.ended(0, code, 5).await;
        fleet.hands.advance(TimeDelta::minutes(1));
    }
    let (first, second) = tokio::join!(fleet.read(0), fleet.read(0));
    assert_eq!(first + second, 5);
    assert_eq!(fleet.read(0).await, 0, "delivered again");
    let streaks: (i32, i32, String) =
        sqlx::query_as("SELECT failure_streak, class_streak, code FROM syncline.project_health")
            .fetch_one(fleet.db.pool())
            .await
            .unwrap();
    assert_eq!(streaks, (3, 2, "DNS".to_owned()));
}

#[tokio::test]
async fn a_streak_climbs_the_ladder_and_one_success_resets_it() {
    let fleet = Fleet::new(1).await;
    let mut waits = Vec::new();
    for _ in 0..8 {
        fleet.run(0, Some("TIMEOUT"), 0).await;
        waits.push((fleet.hold(0).await, fleet.next_minutes(0).await));
    }
    let minutes: Vec<_> = waits.iter().filter(|(hold, _)| hold.is_some()).map(|(_, minutes)| *minutes).collect();
    assert_eq!(minutes, [30, 60, 120, 240, 480, 1440], "from the third failure on: {waits:?}");
    assert_eq!(
        fleet.one::<String>("SELECT cron FROM syncline.schedule WHERE project_id = $1", 0).await,
        "*/15 * * * *"
    );
    fleet.run(0, None, 0).await;
    assert_eq!(fleet.hold(0).await, None);
    assert!(fleet.next_minutes(0).await < 30);
}

#[tokio::test]
async fn a_held_project_is_not_started_during_its_probe_run() {
    let fleet = Fleet::new(1).await;
    for _ in 0..4 {
        fleet.run(0, Some("TIMEOUT"), 0).await;
    }
    assert_eq!(fleet.next_minutes(0).await, 60);
    fleet.hands.advance(TimeDelta::minutes(60));
    scheduler::tick(fleet.db.pool(), &fleet.clock).await.unwrap();
    assert_eq!(number(fleet.db.pool(), "SELECT count(*) FROM syncline.sync_run WHERE state = 'running'").await, 1);
    for _ in 0..3 {
        fleet.hands.advance(TimeDelta::minutes(15));
        scheduler::tick(fleet.db.pool(), &fleet.clock).await.unwrap();
    }
    assert_eq!(
        number(fleet.db.pool(), "SELECT count(*) FROM syncline.sync_run WHERE state IN ('running', 'queued')").await,
        1
    );
    assert_eq!(
        number(fleet.db.pool(), "SELECT missed_total FROM syncline.schedule").await,
        0,
        "held back is not missed"
    );
}

#[tokio::test]
async fn a_time_that_jira_named_is_waited_for_exactly() {
    let fleet = Fleet::new(1).await;
    let run = fleet.ended(0, Some("QUOTA"), 5).await;
    let reset = noon() + TimeDelta::minutes(37);
    sqlx::query("UPDATE syncline.sync_run SET error_retry_at = $2 WHERE id = $1")
        .bind(run)
        .bind(reset)
        .execute(fleet.db.pool())
        .await
        .unwrap();
    fleet.read(0).await;
    assert_eq!(fleet.hold(0).await.as_deref(), Some("until"));
    assert_eq!(
        fleet.one::<DateTime<Utc>>("SELECT next_run_at FROM syncline.schedule WHERE project_id = $1", 0).await,
        reset
    );
}

#[tokio::test]
async fn a_site_failure_is_one_event_with_one_probe_project() {
    let fleet = Fleet::new(5).await;
    fleet.run(0, Some("SUSPENDED_PAYMENT"), 1).await;
    assert_eq!(number(fleet.db.pool(), "SELECT count(*) FROM syncline.schedule WHERE hold = 'site'").await, 0);
    fleet.run(1, Some("SUSPENDED_PAYMENT"), 0).await;
    assert_eq!(number(fleet.db.pool(), "SELECT count(*) FROM syncline.schedule WHERE hold = 'site'").await, 5);
    let probe = fleet.next_minutes(1).await;
    for other in [0, 2, 3, 4] {
        assert!(fleet.next_minutes(other).await >= 2 * probe, "only one project is tried");
    }
    // Each try that fails puts the others off again, and climbs.
    for _ in 0..3 {
        let wait = fleet.next_minutes(1).await;
        fleet.hands.advance(TimeDelta::minutes(wait));
        scheduler::tick(fleet.db.pool(), &fleet.clock).await.unwrap();
        let running = number(fleet.db.pool(), "SELECT count(*) FROM syncline.sync_run WHERE state = 'running'").await;
        assert_eq!(running, 1, "only one project is tried");
        sqlx::query("UPDATE syncline.sync_run SET state = 'failed', created_at = $1, finished_at = $1 + interval '5 seconds', error_code = 'SUSPENDED_PAYMENT' WHERE state = 'running'")
            .bind(fleet.clock.now())
            .execute(fleet.db.pool())
            .await
            .unwrap();
        fleet.read(1).await;
    }
    assert_eq!(number(fleet.db.pool(), "SELECT rung::int8 FROM syncline.site_health").await, 6);
    assert_eq!(fleet.next_minutes(1).await, 1440);
    // Somebody pays, and starts any project by hand.
    fleet.hands.advance(TimeDelta::minutes(30));
    fleet.run(3, None, 0).await;
    assert_eq!(number(fleet.db.pool(), "SELECT count(*) FROM syncline.schedule WHERE hold IS NOT NULL").await, 0);
    for project in 0..5 {
        assert!(fleet.next_minutes(project).await < 30);
    }
}

#[tokio::test]
async fn projects_of_one_site_that_fail_on_and_off_become_one_alert() {
    let fleet = Fleet::new(8).await;
    let open = "SELECT count(*) FROM syncline.alert WHERE state <> 'resolved' AND scope_kind = 'project'";
    let of_site = "SELECT count(*) FROM syncline.alert WHERE state <> 'resolved' AND scope_kind = 'site'";
    for project in 0..3 {
        for _ in 0..3 {
            fleet.run(project, Some("TIMEOUT"), 0).await;
            fleet.run(7, None, 1).await; // another one gets through
        }
    }
    assert_eq!((number(fleet.db.pool(), open).await, number(fleet.db.pool(), of_site).await), (3, 0));
    for _ in 0..3 {
        fleet.run(3, Some("NETWORK_GLITCH"), 0).await;
        fleet.run(7, None, 1).await;
    }
    assert_eq!((number(fleet.db.pool(), open).await, number(fleet.db.pool(), of_site).await), (0, 1));
    let named: String = sqlx::query_scalar("SELECT details->>'projects' FROM syncline.alert WHERE scope_kind = 'site'")
        .fetch_one(fleet.db.pool())
        .await
        .unwrap();
    assert!((1..=4).all(|n| named.contains(&format!("acme/P{n}"))), "{named}");
    assert_eq!(fleet.hold(5).await, None, "nobody is held back for it");
    // They come and go; the site is steady after an hour without any of them.
    for project in 0..4 {
        fleet.run(project, None, 1).await;
    }
    assert_eq!((number(fleet.db.pool(), open).await, number(fleet.db.pool(), of_site).await), (0, 1));
    fleet.hands.advance(TimeDelta::minutes(61));
    fleet.run(6, None, 0).await;
    let told = "SELECT count(*) FROM syncline.alert WHERE cleared_at IS NULL";
    assert_eq!(number(fleet.db.pool(), told).await, 0);
}

#[tokio::test]
async fn projects_of_a_recovered_site_get_time_before_an_alert() {
    let fleet = Fleet::new(4).await;
    for project in 0..4 {
        fleet.run(project, None, 0).await;
    }
    for project in [0, 1] {
        fleet.run(project, Some("AUTH_EXPIRED"), 1).await;
    }
    let silent = async |minutes| {
        fleet.hands.advance(TimeDelta::minutes(minutes));
        let mut transaction = fleet.db.pool().begin().await.unwrap();
        let silent = telemetry::observe_silence(&mut transaction, fleet.clock.now(), &fleet.rules).await.unwrap();
        transaction.commit().await.unwrap();
        silent
    };
    assert_eq!(silent(24 * 60).await, 0, "their site's alert tells of them");
    fleet.run(1, None, 0).await;
    assert_eq!(silent(5).await, 0, "they have not had their turn yet");
    assert_eq!(silent(6 * 60).await, 4, "and now they have");
}

#[tokio::test]
async fn a_token_expiry_is_reported_early_and_again_shortly_before() {
    let fleet = Fleet::new(1).await;
    let ends_in = async |days: i64| {
        let ends_at = fleet.clock.now() + TimeDelta::days(days);
        sqlx::query("UPDATE syncline.site SET token_expires_at = $1")
            .bind(ends_at)
            .execute(fleet.db.pool())
            .await
            .unwrap();
    };
    let look = async |days| {
        fleet.hands.advance(TimeDelta::days(days));
        let mut transaction = fleet.db.pool().begin().await.unwrap();
        let told = telemetry::observe_tokens(&mut transaction, fleet.clock.now()).await.unwrap();
        transaction.commit().await.unwrap();
        told
    };
    let severity = async || -> Option<String> {
        sqlx::query_scalar("SELECT severity FROM syncline.alert WHERE class = 'TOKEN_ENDS' AND cleared_at IS NULL")
            .fetch_optional(fleet.db.pool())
            .await
            .unwrap()
    };
    assert_eq!(look(0).await, 0, "nobody knows when it ends");
    ends_in(20).await;
    assert_eq!(look(0).await, 0);
    assert_eq!((look(7).await, severity().await.as_deref()), (1, Some("warning")));
    assert_eq!(look(5).await, 0, "it is told once");
    assert_eq!((look(6).await, severity().await.as_deref()), (1, Some("error")));
    assert_eq!(look(3).await, 0, "it has ended, which its runs tell");
    ends_in(90).await;
    assert_eq!((look(0).await, severity().await), (1, None), "a new one was stored");
    assert_eq!(look(0).await, 0);
    ends_in(3).await;
    sqlx::query("UPDATE syncline.project SET state = 'paused'").execute(fleet.db.pool()).await.unwrap();
    assert_eq!(look(0).await, 0, "nothing is read with it");
}

#[tokio::test]
async fn slow_runs_are_staggered_and_not_normal_for_a_week() {
    let fleet = Fleet::new(1).await;
    for _ in 0..12 {
        fleet.ended(0, None, 20).await;
        fleet.read(0).await;
        fleet.hands.advance(TimeDelta::minutes(15));
    }
    for n in 0..3 {
        assert_eq!(fleet.hold(0).await, None, "after {n} slow runs");
        fleet.ended(0, None, 600).await;
        fleet.read(0).await;
        fleet.hands.advance(TimeDelta::minutes(15));
    }
    assert_eq!(fleet.hold(0).await.as_deref(), Some("slow"));
    assert_eq!(number(fleet.db.pool(), "SELECT count(*) FROM syncline.sync_run WHERE slow").await, 3);
    let alerting: Vec<String> =
        fleet.one("SELECT alerting FROM syncline.project_health WHERE project_id = $1", 0).await;
    assert_eq!(alerting, ["SLOW_RUNS"]);
    fleet.run(0, None, 0).await;
    assert_eq!(fleet.hold(0).await, None);
}

#[tokio::test]
async fn a_project_without_a_success_is_alerted_even_without_runs() {
    let fleet = Fleet::new(3).await;
    for project in 0..3 {
        fleet.run(project, None, 0).await;
    }
    sqlx::query("UPDATE syncline.schedule SET cron = '0 3 * * *' WHERE project_id = $1")
        .bind(fleet.projects[1])
        .execute(fleet.db.pool())
        .await
        .unwrap();
    sqlx::query("UPDATE syncline.project SET state = 'paused' WHERE id = $1")
        .bind(fleet.projects[2])
        .execute(fleet.db.pool())
        .await
        .unwrap();
    let silent = async |minutes| {
        fleet.hands.advance(TimeDelta::minutes(minutes));
        let mut transaction = fleet.db.pool().begin().await.unwrap();
        let silent = telemetry::observe_silence(&mut transaction, fleet.clock.now(), &fleet.rules).await.unwrap();
        transaction.commit().await.unwrap();
        silent
    };
    assert_eq!(silent(359).await, 0);
    assert_eq!(
        silent(2).await,
        1,
        "the one that runs each quarter of an hour; neither the daily one nor the paused one"
    );
    assert_eq!(silent(60).await, 0, "it is told once");
    assert_eq!(silent(6 * 24 * 60).await, 1, "the daily one, after six of its cadences");
}

#[tokio::test]
async fn a_new_cadence_and_a_pause_keep_the_rung() {
    use syncline::store::schedule_admin::{self, NextSlot};
    let fleet = Fleet::new(1).await;
    // These statements take the server's time, so the fleet lives now.
    fleet.hands.set(Clock::system().now());
    for _ in 0..4 {
        fleet.run(0, Some("TIMEOUT"), 0).await;
    }
    assert_eq!(fleet.next_minutes(0).await, 60, "rung 2 over 15 minutes");
    let soon = fleet.clock.now() + TimeDelta::minutes(1);
    let next = NextSlot { slot_at: soon, run_at: soon };
    let (pool, project) = (fleet.db.pool(), fleet.projects[0]);
    let who = syncline::store::audit::Who { name: "ana", way: "cli", address: None };
    schedule_admin::pause(pool, project, "acme/P1", &who).await.unwrap();
    schedule_admin::resume(pool, project, next, "acme/P1", &who).await.unwrap();
    assert_eq!(fleet.next_minutes(0).await, 60, "a pause keeps what holds it back");
    let hourly = fleet.rules.ladder.wait(2, std::time::Duration::from_secs(3600), 0.5).as_secs_f64();
    schedule_admin::reschedule(pool, project, "0 * * * *", "UTC", next, hourly, "acme/P1", "ana").await.unwrap();
    assert_eq!(fleet.next_minutes(0).await, 240, "rung 2 over an hour");
    let rung: i16 = fleet.one("SELECT rung FROM syncline.schedule WHERE project_id = $1", 0).await;
    assert_eq!(rung, 2);
}

#[tokio::test]
async fn operators_see_what_ails_a_project_and_why_it_waits() {
    let fleet = Fleet::new(2).await;
    fleet.hands.set(Clock::system().now());
    fleet.run(0, None, 0).await;
    for _ in 0..3 {
        fleet.run(1, Some("PERMISSION"), 0).await;
    }
    let ask = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::support::program());
        command.args(arguments).env_clear().env("DATABASE_URL", fleet.db.url()).current_dir("/");
        let output = command.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    let (health, code) = ask(&["health", "--check"]);
    assert_eq!(code, Some(3), "{health}");
    assert!(health.contains("failing") && health.contains("PERMISSION") && health.contains("3 failed"), "{health}");
    let (one, code) = ask(&["health", "acme/P2"]);
    assert!(one.contains("Browse projects") && code == Some(0), "{one}");
    let (show, _) = ask(&["schedule", "show", "acme/P2"]);
    assert!(show.contains("on rung 1 of the back-off ladder instead of every 15 min"), "{show}");
    let (list, _) = ask(&["schedule", "list", "-o", "jsonl"]);
    assert_eq!(list.lines().filter(|line| line.contains("\"rung\":1")).count(), 1, "{list}");
}

#[tokio::test]
async fn the_end_of_a_run_is_read_by_a_worker() {
    let rig = crate::support::Rig::new(syncline::simulator::Options::new(Clock::system())).await;
    let worker = rig.worker().await;
    rig.set_token("wrong");
    let project = rig.projects[0].clone();
    assert_eq!(rig.sync(&project, "incremental").await, "failed");
    rig.set_token(syncline::simulator::DEFAULT_TOKEN);
    assert_eq!(rig.sync(&project, "incremental").await, "succeeded");
    let read = "SELECT count(*) FROM syncline.sync_run WHERE analysed_at IS NOT NULL";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while rig.count(read).await < 2 {
        assert!(tokio::time::Instant::now() < deadline, "nobody reads how runs ended");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let well = "SELECT count(*) FROM syncline.project_health WHERE success_streak = 1 AND failure_streak = 0 AND last_failure_at < last_success_at";
    assert_eq!(rig.count(well).await, 1);
    worker.stop().await;
}
