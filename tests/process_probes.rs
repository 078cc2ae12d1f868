//! What worker processes show of themselves, and what they refuse to start on.

use std::process::Stdio;

use syncline::clock::Clock;
use syncline::observe::catalog::{self, Kind};
use syncline::simulator::Options;
use tokio::process::Command;

use crate::support::{Rig, TestDb, WorkerProcess, program};

fn syncline(db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("DATABASE_URL", db.url()).env("SYNCLINE__HTTP__ADDRESS", "127.0.0.1:0");
    command.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The sum of a metric over its labels.
fn total(metrics: &str, name: &str) -> f64 {
    let lines = metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_tell_of_a_sync() {
    let rig = Rig::new(Options { issues: 300, ..Options::new(Clock::system()) }).await;
    // A project with a schedule is promised to be fresh.
    sqlx::query(
        "INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '0 0 29 2 *', now() + interval '1 year', now() + interval '1 year' FROM syncline.project",
    )
    .execute(rig.db.pool())
    .await
    .unwrap();
    let worker = WorkerProcess::start(rig.db.url(), &[]).await;
    assert_eq!(worker.get("/healthz").await.unwrap().0, 200);
    let before = worker.get("/metrics").await.unwrap().1;
    let moving = [
        "syncline_step_attempts_total",
        "syncline_step_duration_seconds_count",
        "syncline_step_wait_seconds_count",
        "syncline_checkpoint_commit_seconds_count",
        "syncline_runs_total",
        "syncline_run_duration_seconds_count",
        "syncline_sync_records_total",
        "syncline_jira_requests_total",
        "syncline_jira_request_duration_seconds_count",
    ];
    for name in moving {
        assert_eq!(total(&before, name), 0.0, "{name} before there was work");
    }

    rig.jira.control().set_paused(true);
    let run = rig.enqueue("ACME", "full").await;
    crate::support::eventually("a busy place", async || {
        let metrics = worker.get("/metrics").await.unwrap().1;
        metrics
            .lines()
            .any(|line| line.starts_with("syncline_worker_slots{") && line.contains("busy") && !line.ends_with(" 0"))
    })
    .await;
    assert_eq!(worker.get("/readyz").await.unwrap().0, 200);
    rig.jira.control().set_paused(false);
    assert_eq!(rig.ended(run).await, "succeeded");

    // Gauges of the database may be a few seconds old.
    crate::support::eventually("the watermark", async || {
        worker.get("/metrics").await.unwrap().1.contains("syncline_sync_watermark_timestamp_seconds{")
    })
    .await;
    let after = worker.get("/metrics").await.unwrap().1;
    for name in moving {
        assert!(total(&after, name) > 0.0, "{name} after a run:\n{after}");
    }
    let mut absent = Vec::new();
    for metric in catalog::ALL {
        let histogram = matches!(metric.kind, Kind::Histogram(_));
        let name = if histogram { format!("{}_bucket", metric.name) } else { metric.name.to_owned() };
        if !after.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))) {
            absent.push(metric.name);
        }
    }
    // Their labels are sites and reasons, which are not known before Jira asks for a pause, and projects, which are not
    // there before one was verified. No webhook has come.
    let labelled = ["syncline_jira_rate_limit", "syncline_verify_", "syncline_webhooks_total"];
    absent.retain(|name| !labelled.iter().any(|start| name.starts_with(start)));
    assert_eq!(absent, Vec::<&str>::new(), "documented and not exported");
    assert!(!after.contains("quantile="), "summaries cannot be added up");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_migrate_and_serve_at_once_share_the_work() {
    let rig = Rig::new(Options { issues: 600, ..Options::new(Clock::system()) }).await;
    let empty = TestDb::unmigrated().await;
    let (one, other) = tokio::join!(syncline(&empty, &["migrate"]).output(), syncline(&empty, &["migrate"]).output());
    for output in [one.unwrap(), other.unwrap()] {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let workers = tokio::join!(WorkerProcess::start(rig.db.url(), &[]), WorkerProcess::start(rig.db.url(), &[]));
    rig.jira.control().set_latency(std::time::Duration::from_millis(20), std::time::Duration::ZERO);
    let mut runs = Vec::new();
    for project in &rig.projects {
        runs.push(rig.enqueue(project, "full").await);
    }
    for run in runs {
        assert_eq!(rig.ended(run).await, "succeeded");
    }
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 600);
    assert_eq!(rig.count("SELECT sum(failures + rescues)::int8 FROM syncline.sync_step").await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.worker").await, 2);
    for worker in [&workers.0, &workers.1] {
        let metrics = worker.get("/metrics").await.unwrap().1;
        assert!(total(&metrics, "syncline_step_attempts_total") > 0.0, "both take part");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_a_schema_that_is_not_its_own() {
    for (change, words) in [
        ("DROP SCHEMA syncline CASCADE", "run `syncline migrate`"),
        (
            "INSERT INTO syncline.schema_migration (version, description, success, checksum, execution_time)
             VALUES (9999, 'later', true, '', 0)",
            "this program is older than the database",
        ),
        ("UPDATE syncline.schema_migration SET success = false", "was left half-way"),
    ] {
        let db = TestDb::new().await;
        sqlx::raw_sql(change).execute(db.pool()).await.unwrap();
        for arguments in [&["worker"][..], &["queue", "stats"], &["migrate", "--check"]] {
            let output = syncline(&db, arguments).output().await.unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
            assert!(errors.contains("error: ") && errors.contains(words), "{arguments:?}: {errors}");
        }
    }
}
