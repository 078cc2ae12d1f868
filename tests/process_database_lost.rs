//! A database that dies under a worker: the worker lives on, comes back with it, and loses nothing.

use std::path::Path;
use std::process::Command;

use secrecy::ExposeSecret;
use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::postgres::{Cluster, ClusterOptions};
use syncline::simulator::{self, Handle, Options, ProjectSpec, Simulator};
use syncline::store::{self, PoolOptions};
use tempfile::TempDir;

use crate::support::{WorkerProcess, ended, enqueue, eventually, program};

/// A server of its own, with a site and a project in it.
struct Stage {
    folder: TempDir,
    cluster: Cluster,
    jira: Handle,
    pool: PgPool,
}

const ISSUES: u32 = 1_200;

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path());
        let cluster = start(folder.path()).await;
        let project = ProjectSpec { key: "ACME".into(), name: "Acme shop".into(), issues: Some(ISSUES) };
        let options = Options { projects: vec![project], ..Options::new(Clock::system()) };
        let jira = Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, simulator::DEFAULT_TOKEN).unwrap();
        let stage = Self { pool: pool(&cluster).await, folder, cluster, jira };
        let credential = format!("file:{}", token.display());
        let base_url = stage.jira.base_url().to_owned();
        stage.syncline(&["migrate"]).await;
        let account = ["--email", simulator::DEFAULT_EMAIL, "--credential", &credential];
        stage.syncline(&[&["site", "add", "sim", "--url", &base_url][..], &account].concat()).await;
        // A schedule that does not come due while the test runs.
        stage.syncline(&["project", "add", "sim", "ACME", "--cron", "0 0 29 2 *", "--no-first-sync"]).await;
        stage
    }

    fn url(&self) -> &str {
        self.cluster.url().expose_secret()
    }

    async fn syncline(&self, arguments: &[&str]) {
        let mut command = tokio::process::Command::new(program());
        command.args(arguments).env_clear().env("DATABASE_URL", self.url()).current_dir("/");
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    async fn count(&self, sql: &'static str) -> Option<i64> {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.ok()
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn start(folder: &Path) -> Cluster {
    let options = ClusterOptions { program: Some(program().into()), ..ClusterOptions::new(folder) };
    Cluster::start_or_join(&options).await.unwrap()
}

async fn pool(cluster: &Cluster) -> PgPool {
    store::connect(cluster.url(), &PoolOptions::default()).await.unwrap()
}

fn postmaster(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("data/postmaster.pid")).ok()?;
    text.lines().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_a_server_that_is_killed_under_load() {
    let stage = Stage::new().await;
    stage.jira.control().set_latency(std::time::Duration::from_millis(100), std::time::Duration::ZERO);
    let worker = WorkerProcess::start(stage.url(), &[("SYNCLINE__SYNC__PAGE_SIZE", "50")]).await;
    let run = enqueue(&stage.pool, "ACME", "full").await;
    eventually("some issues", async || stage.count("SELECT count(*) FROM syncline.issue").await >= Some(200)).await;
    let server = postmaster(stage.folder.path()).unwrap();
    assert!(Command::new("kill").args(["-9", &server]).status().unwrap().success());
    eventually("another server", async || {
        postmaster(stage.folder.path()).is_some_and(|pid| pid != server)
            && stage.count("SELECT 1::int8").await.is_some()
    })
    .await;
    assert_eq!(ended(&stage.pool, run).await, "succeeded");
    assert_eq!(stage.count("SELECT count(*) FROM syncline.issue").await, Some(i64::from(ISSUES)));
    assert_eq!(
        stage.count("SELECT sum(failures)::int8 FROM syncline.sync_step").await,
        Some(0),
        "an outage spends no attempt"
    );
    assert_eq!(worker.get("/healthz").await.unwrap().0, 200);

    let again = enqueue(&stage.pool, "ACME", "full").await;
    assert_eq!(ended(&stage.pool, again).await, "succeeded");
    let written = "SELECT issues_created + issues_updated + comments_written + worklogs_written
                     FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1";
    assert_eq!(stage.count(written).await, Some(0), "nothing was lost and nothing half written");
    drop(worker);
    stage.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_a_worker_is_alive_and_not_ready() {
    let Stage { folder, cluster, jira, pool } = Stage::new().await;
    let url = cluster.url().expose_secret().to_owned();
    let worker = WorkerProcess::start(&url, &[]).await;
    pool.close().await;
    cluster.stop().await;
    eventually("a worker that is not ready", async || {
        let answer = worker.get("/readyz").await;
        answer.is_ok_and(|(code, body)| code == 503 && body.contains("database_lost"))
    })
    .await;
    assert_eq!(worker.get("/healthz").await.unwrap().0, 200, "a restart would not bring the database back");
    let (code, metrics) = worker.get("/metrics").await.unwrap();
    assert_eq!(code, 200);
    assert!(metrics.contains("syncline_worker_slots"), "its own metrics are served");

    let cluster = start(folder.path()).await;
    assert_eq!(cluster.url().expose_secret(), url, "the server comes back where it was");
    eventually("a worker that is ready", async || worker.get("/readyz").await.is_ok_and(|(code, _)| code == 200)).await;
    let pool = self::pool(&cluster).await;
    let run = enqueue(&pool, "ACME", "full").await;
    assert_eq!(ended(&pool, run).await, "succeeded");
    pool.close().await;
    drop((worker, jira));
    cluster.stop().await;
}
