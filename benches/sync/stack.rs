//! What every measurement stands on: the product's own embedded PostgreSQL (fsync on), a database per round, a simulated
//! Jira, and workers, in this process or as processes of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use syncline::clock::Clock;
use syncline::config::Config;
use syncline::postgres::{Cluster, ClusterOptions};
use syncline::simulator::{self, Amount, Handle, Options, ProjectSpec, Simulator};
use syncline::store::PoolOptions;
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;

static CLUSTER: OnceCell<Mutex<Option<Cluster>>> = OnceCell::const_new();

async fn server() -> SecretString {
    if let Ok(url) = std::env::var("SYNCLINE_BENCH_DATABASE_URL") {
        return url.into();
    }
    let cluster = CLUSTER
        .get_or_init(|| async {
            let data_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench/pg");
            let program = Some(env!("CARGO_BIN_EXE_syncline").into());
            let options = ClusterOptions { program, ..ClusterOptions::new(data_dir) };
            Mutex::new(Some(Cluster::start_or_join(&options).await.expect("PostgreSQL for the benchmark")))
        })
        .await;
    cluster.lock().await.as_ref().unwrap().url().clone()
}

/// Stops the server, if this process started it.
pub async fn stop() {
    if let Some(cluster) = CLUSTER.get()
        && let Some(cluster) = cluster.lock().await.take()
    {
        cluster.stop().await;
    }
}

/// A fresh, migrated database.
pub struct Database {
    pub pool: PgPool,
    pub url: String,
}

impl Database {
    pub async fn new() -> Self {
        let server = server().await;
        let admin = PgPoolOptions::new().max_connections(1).connect(server.expose_secret()).await.unwrap();
        let name = format!("bench_{}", Clock::system().new_id().simple());
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&admin).await.unwrap();
            assert_eq!(value, "on", "{setting} must be on for a figure");
        }
        let mut url = url::Url::parse(server.expose_secret()).unwrap();
        url.set_path(&name);
        let pool = {
            let options = PoolOptions { max_connections: 24, ..PoolOptions::default() };
            syncline::store::connect(&SecretString::from(url.as_str()), &options).await.unwrap()
        };
        syncline::store::migrate(&pool).await.unwrap();
        Self { pool, url: url.into() }
    }

    /// Registers a site with projects.
    pub async fn register(&self, jira: &Handle, projects: &[ProjectSpec]) {
        let site = Clock::system().new_id();
        sqlx::query(
            "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES ($1, 'sim', $2, $3, $4)",
        )
        .bind(site)
        .bind(jira.base_url())
        .bind(simulator::DEFAULT_EMAIL)
        .bind(format!("file:{}", token_file().display()))
        .execute(&self.pool)
        .await
        .unwrap();
        let keys: Vec<&str> = projects.iter().map(|project| project.key.as_str()).collect();
        sqlx::query(
            "INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), $1, k FROM unnest($2::text[]) k",
        )
        .bind(site)
        .bind(keys)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    pub async fn enqueue(&self, project: &str, kind: &str) -> Uuid {
        sqlx::query_scalar("SELECT syncline.enqueue_sync($1, kind => $2)")
            .bind(project)
            .bind(kind)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits for a run's end and insists on its success.
    pub async fn succeeded(&self, run: Uuid) {
        loop {
            let (state, message): (String, Option<String>) =
                sqlx::query_as("SELECT state, error_message FROM syncline.sync_run WHERE id = $1")
                    .bind(run)
                    .fetch_one(&self.pool)
                    .await
                    .unwrap();
            match state.as_str() {
                "succeeded" => return,
                "queued" | "running" => tokio::time::sleep(Duration::from_millis(5)).await,
                _ => panic!("run {state}: {message:?}"),
            }
        }
    }

    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Commits of the database so far, as PostgreSQL counts them.
    pub async fn commits(&self) -> i64 {
        // Backends report when they have been idle for ten seconds, at the latest.
        tokio::time::sleep(Duration::from_secs(11)).await;
        self.number(
            "SELECT (xact_commit + xact_rollback)::int8 FROM pg_stat_database WHERE datname = current_database()",
        )
        .await
    }
}

fn token_file() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench/token");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, simulator::DEFAULT_TOKEN).unwrap();
    path
}

/// One project of `issues` issues with 3 comments and 2 worklogs each.
pub async fn jira(issues: u32, latency: Duration) -> (Handle, Vec<ProjectSpec>) {
    let mut options = Options::new(Clock::system());
    options.projects.truncate(1);
    options.issues = issues;
    options.comments = Amount::Exactly(3);
    options.worklogs = Amount::Exactly(2);
    options.long_threads = 0.0;
    options.latency = latency;
    let projects = options.projects.clone();
    (Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap(), projects)
}

/// The default configuration without an admin address.
pub fn config() -> Config {
    let mut config = Config::default();
    config.http.address = None;
    config
}

/// A worker process with default settings.
pub fn worker_process(url: &str) -> Child {
    worker_process_with(url, None)
}

/// The same with variables in its environment.
pub fn worker_process_with<'a>(url: &str, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Child {
    Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(["worker"])
        .env("DATABASE_URL", url)
        .env("SYNCLINE__HTTP__ADDRESS", "127.0.0.1:0")
        .env("SYNCLINE__LOG__LEVEL", "error")
        .envs(variables)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until `workers` processes have a lease.
pub async fn alive(database: &Database, workers: i64) {
    while database.number("SELECT count(*) FROM syncline.worker WHERE lease_until > clock_timestamp()").await < workers
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
