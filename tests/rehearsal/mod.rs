//! A rehearsed day in about a minute: worker processes against simulated sites, scraped by a real Prometheus with the
//! project's rules, through normal load, an outage, limits, refused credentials, a slow site and a killed worker.

pub mod boards;
pub mod check;
#[allow(dead_code)] // the benchmarks draw
pub mod picture;
mod prometheus;
pub mod rules;
mod runbooks;

use std::time::Duration;

use syncline::clock::Clock;
use syncline::simulator::{FaultKind, FaultPlan, FaultRule, Options};
use uuid::Uuid;

pub use prometheus::Prometheus;

use crate::support::{Rig, WorkerProcess, eventually};

/// What a day leaves: everything still runs, so that it can be asked.
pub struct Day {
    pub rig: Rig,
    pub prometheus: Prometheus,
    /// When it began and ended, Unix seconds.
    pub began: f64,
    pub ended: f64,
    /// A run that lost its worker.
    pub run: Uuid,
    workers: Vec<WorkerProcess>,
}

/// A day's settings: what takes minutes in life takes seconds here.
const SETTINGS: &[(&str, &str)] = &[
    ("SYNCLINE__QUEUE__MAX_ATTEMPTS", "2"),
    ("SYNCLINE__SYNC__PAGE_SIZE", "25"),
    ("SYNCLINE__ALERTS__GROUP_WAIT_SECONDS", "1"),
    ("SYNCLINE__SYNC__FRESHNESS_OBJECTIVE_SECONDS", "10"),
];

/// Seconds, as Prometheus counts them.
#[allow(clippy::cast_precision_loss)] // milliseconds fit
fn now() -> f64 {
    Clock::system().now().timestamp_millis() as f64 / 1000.0
}

impl Day {
    /// Lives through it.
    pub async fn rehearse() -> Self {
        let rig = Rig::new(Options { issues: 600, ..Options::new(Clock::system()) }).await;
        let rules = boards::files("dashboards/prometheus", ".yml");
        let rules: Vec<_> = rules.iter().map(std::path::PathBuf::as_path).collect();
        let prometheus = Prometheus::start(&rules).await;
        let mut workers = vec![
            WorkerProcess::start(rig.db.url(), SETTINGS).await,
            WorkerProcess::start(rig.db.url(), SETTINGS).await,
        ];
        prometheus.scrape(&[workers[0].address(), workers[1].address()]);
        let began = now();
        prometheus.until("count(up == 1) == 2").await;

        normal_load(&rig).await;
        outage(&rig).await;
        limits(&rig).await;
        refused_credentials(&rig).await;
        slow_site(&rig).await;
        let run = killed_worker(&rig, &prometheus, &mut workers).await;
        assert_eq!(rig.sync("BETA", "incremental").await, "succeeded");
        // The project that never succeeded is stale ten seconds after it was added.
        prometheus.until(r#"max(syncline_sync_projects{freshness="stale"}) == 1"#).await;
        // What happened last is seen: database gauges may be five seconds old, rules need their samples.
        prometheus.until("sum(syncline_steps_rescued_total) > 0 and on () (time() - max(syncline_sync_last_success_timestamp_seconds) > 6)").await;
        Self { rig, prometheus, began, ended: now(), run, workers }
    }
}

/// Schedules come due, one of them late by some slots, everything is read, and people work in Jira.
async fn normal_load(rig: &Rig) {
    sqlx::query(
        "INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '* * * * *', s.slot, greatest(s.slot, now()) FROM syncline.project,
                LATERAL (SELECT date_trunc('minute', now()) - CASE key WHEN 'GAMMA' THEN interval '5 minutes' ELSE interval '0' END) AS s (slot)",
    )
    .execute(rig.db.pool())
    .await
    .unwrap();
    sqlx::query("SELECT pg_notify('syncline_schedule', '')").execute(rig.db.pool()).await.unwrap();
    rig.jira.control().set_mutations_per_second(10.0);
    let mut runs = Vec::new();
    for project in &rig.projects {
        runs.push(rig.enqueue(project, "full").await);
    }
    for run in runs {
        assert_eq!(rig.ended(run).await, "succeeded");
    }
    let idle = "SELECT count(*) FROM syncline.sync_run WHERE state IN ('queued', 'running')";
    let untouched = "SELECT count(*) FROM syncline.schedule WHERE last_slot_at IS NULL";
    eventually("the scheduled runs", async || rig.count(untouched).await + rig.count(idle).await == 0).await;
    // From here on runs start when the day says so.
    sqlx::query("UPDATE syncline.schedule SET next_slot_at = now() + interval '1 hour', next_run_at = now() + interval '1 hour'")
        .execute(rig.db.pool())
        .await
        .unwrap();
}

/// Jira fails: attempts are made again, then the runs fail.
async fn outage(rig: &Rig) {
    let kinds = vec![FaultKind::ServerError, FaultKind::BadGateway, FaultKind::Reset];
    rig.jira.control().set_faults(FaultPlan { rate: 1.0, kinds, ..FaultPlan::default() });
    for project in ["ACME", "BETA"] {
        // As a schedule asks for them: what people try by hand moves no cadence.
        let request = "SELECT syncline.request_run(syncline.find_project($1), 'incremental', 'schedule', 'test')";
        let run = sqlx::query_scalar(request).bind(project).fetch_one(rig.db.pool()).await.unwrap();
        assert_eq!(rig.ended(run).await, "failed");
    }
    rig.jira.control().set_faults(FaultPlan::default());
}

/// Jira asks for pauses, for one endpoint and for the site.
async fn limits(rig: &Rig) {
    for (after, kind) in (0..).zip([FaultKind::RateLimit, FaultKind::RateLimit, FaultKind::Quota]) {
        rig.jira.control().add_fault(FaultRule { after, path: Some("/search/jql".into()), ..FaultRule::next(kind, 1) });
    }
    assert_eq!(rig.sync("GAMMA", "incremental").await, "succeeded");
}

/// A second site, whose token is wrong.
async fn refused_credentials(rig: &Rig) {
    let mut token = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut token, b"wrong").unwrap();
    sqlx::query(
        "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                    VALUES (syncline.new_id(), 'locked', $1, 'bot@example.com', $2) RETURNING id),
              p AS (INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), id, 'LOST' FROM s RETURNING id)
         INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '0 0 1 1 *', now() + interval '1 day', now() + interval '1 day' FROM p",
    )
    .bind(rig.jira.base_url())
    .bind(format!("file:{}", token.path().display()))
    .execute(rig.db.pool())
    .await
    .unwrap();
    // Twice is a streak for credentials: people are told.
    for _ in 0..2 {
        assert_eq!(rig.sync("LOST", "incremental").await, "failed");
    }
    let delivered = "SELECT count(*) FROM syncline.alert_delivery WHERE state = 'delivered'";
    eventually("the message", async || rig.count(delivered).await > 0).await;
}

/// Every answer takes its time.
async fn slow_site(rig: &Rig) {
    rig.jira.control().set_latency(Duration::from_millis(300), Duration::from_millis(200));
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    rig.jira.control().set_latency(Duration::ZERO, Duration::ZERO);
}

/// A worker is killed in the middle of a request; another one takes over, and one is started in its place.
async fn killed_worker(rig: &Rig, prometheus: &Prometheus, workers: &mut Vec<WorkerProcess>) -> Uuid {
    let hang = FaultRule { path: Some("/search/jql".into()), ..FaultRule::next(FaultKind::Hang, 1) };
    rig.jira.control().add_fault(hang);
    let run = rig.enqueue("ACME", "full").await;
    eventually("a request that hangs", async || rig.jira.control().stats().faults.contains_key(&FaultKind::Hang)).await;
    let holders: Vec<i32> = sqlx::query_scalar(
        "SELECT w.pid FROM syncline.sync_step s JOIN syncline.worker w ON w.id = s.owner
          WHERE s.run_id = $1 AND s.state = 'running' AND s.kind = 'fetch_page' ORDER BY s.claimed_at LIMIT 1",
    )
    .bind(run)
    .fetch_all(rig.db.pool())
    .await
    .unwrap();
    let holds = |worker: &WorkerProcess| holders.iter().any(|pid| i64::from(*pid) == i64::from(worker.pid()));
    let at = workers.iter().position(holds).expect("one of the workers holds it");
    workers.remove(at).kill();
    assert_eq!(rig.ended(run).await, "succeeded");
    workers.push(WorkerProcess::start(rig.db.url(), SETTINGS).await);
    let addresses: Vec<&str> = workers.iter().map(WorkerProcess::address).collect();
    prometheus.scrape(&addresses);
    prometheus.until("count(up == 1) == 2").await;
    run
}

/// The main project's id, for the dashboards of one run.
pub async fn project_id(rig: &Rig) -> Uuid {
    sqlx::query_scalar("SELECT id FROM syncline.project WHERE key = 'ACME'").fetch_one(rig.db.pool()).await.unwrap()
}
