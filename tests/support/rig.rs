//! A simulated Jira, a database of its own, and workers in this process: everything a sync needs.

use std::time::Duration;

use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::config::Config;
use syncline::domain::site_kind::SiteKind;
use syncline::jira::{Auth, HttpPool, JiraClient, SiteAccess};
use syncline::runtime::Worker;
use syncline::simulator::{self, Handle, Kind, Options, Simulator};
use syncline::verify::{self, Report};
use uuid::Uuid;

use super::TestDb;

/// How long a run may take before a test gives up: far more than any takes.
const DEADLINE: Duration = Duration::from_secs(240);

/// A site with its projects, registered in a fresh database.
pub struct Rig {
    /// The database.
    pub db: TestDb,
    /// The simulated Jira.
    pub jira: Handle,
    /// The site's id.
    pub site_id: Uuid,
    /// Keys of the registered projects.
    pub projects: Vec<String>,
    /// How workers are configured.
    pub config: Config,
    token: tempfile::NamedTempFile,
}

impl Rig {
    /// Starts a Jira with `options` and registers its projects.
    pub async fn new(options: Options) -> Self {
        let db = TestDb::new().await;
        let projects: Vec<String> = options.projects.iter().map(|project| project.key.clone()).collect();
        let (kind, auth) = match options.kind {
            Kind::Cloud => ("cloud", "basic"),
            Kind::DataCenter => ("data_center", "bearer"),
        };
        let jira = Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let mut token = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut token, simulator::DEFAULT_TOKEN.as_bytes()).unwrap();
        let site_id = Clock::system().new_id();
        sqlx::query(
            "INSERT INTO syncline.site (id, name, base_url, account_email, credential, kind, auth)
             VALUES ($1, 'sim', $2, $3, $4, $5, $6)",
        )
        .bind(site_id)
        .bind(jira.base_url())
        .bind(simulator::DEFAULT_EMAIL)
        .bind(format!("file:{}", token.path().display()))
        .bind(kind)
        .bind(auth)
        .execute(db.pool())
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), $1, k FROM unnest($2::text[]) k",
        )
        .bind(site_id)
        .bind(&projects)
        .execute(db.pool())
        .await
        .unwrap();
        let mut config = Config::default();
        config.http.address = None;
        config.queue.backoff_base_seconds = 1;
        config.queue.backoff_max_seconds = 1;
        Self { db, jira, site_id, projects, config, token }
    }

    /// A worker in this process.
    pub async fn worker(&self) -> Worker {
        Worker::start(&self.config, self.db.pool().clone(), Clock::system()).await.unwrap()
    }

    /// A worker of another clock.
    pub async fn worker_at(&self, clock: Clock) -> Worker {
        Worker::start(&self.config, self.db.pool().clone(), clock).await.unwrap()
    }

    /// Compares a project with Jira.
    pub async fn verify(&self, project: &str, options: &verify::Options) -> Result<Report, verify::Error> {
        let clock = Clock::system();
        let kind: String =
            sqlx::query_scalar("SELECT kind FROM syncline.site").fetch_one(self.db.pool()).await.unwrap();
        let access = SiteAccess {
            name: "sim".to_owned(),
            base_url: self.jira.base_url().parse().unwrap(),
            kind: SiteKind::parse(&kind).unwrap(),
            auth: Auth::Basic {
                user: simulator::DEFAULT_EMAIL.into(),
                token: simulator::DEFAULT_TOKEN.to_owned().into(),
            },
            request_timeout: Duration::from_secs(10),
        };
        let jira = JiraClient::new(&HttpPool::new(clock.clone()).unwrap(), access).unwrap();
        let scope = verify::scopes(self.db.pool(), Some(project)).await.unwrap().remove(0);
        verify::verify(self.db.pool(), &jira, &scope, options, &clock, &|_| {}).await
    }

    /// Requests a run that reads issues again by id, and waits for its end.
    pub async fn repair(&self, project: &str, ids: &[i64]) -> String {
        let run: Uuid = sqlx::query_scalar("SELECT syncline.request_repair(syncline.find_project($1), $2, 'test')")
            .bind(project)
            .bind(ids)
            .fetch_one(self.db.pool())
            .await
            .unwrap();
        self.ended(run).await
    }

    /// Requests a run.
    pub async fn enqueue(&self, project: &str, kind: &str) -> Uuid {
        enqueue(self.db.pool(), project, kind).await
    }

    /// Waits until a run ended; answers its state.
    pub async fn ended(&self, run: Uuid) -> String {
        ended(self.db.pool(), run).await
    }

    /// Requests a run and waits for its end.
    pub async fn sync(&self, project: &str, kind: &str) -> String {
        let run = self.enqueue(project, kind).await;
        self.ended(run).await
    }

    /// Requests a reconciliation and waits for its end.
    pub async fn reconcile(&self, project: &str, kind: &str) -> String {
        let run: Uuid = sqlx::query_scalar("SELECT syncline.request_reconcile($1, kind => $2, requested_by => 'test')")
            .bind(project)
            .bind(kind)
            .fetch_one(self.db.pool())
            .await
            .unwrap();
        self.ended(run).await
    }

    /// Where the site's token is kept.
    pub fn token_path(&self) -> &std::path::Path {
        self.token.path()
    }

    /// Changes the token that the site's credential refers to.
    pub fn set_token(&self, token: &str) {
        std::fs::write(self.token.path(), token).unwrap();
    }

    /// What runs have failed for, for messages.
    pub async fn said(&self) -> String {
        sqlx::query_scalar(
            "SELECT coalesce(string_agg(error_code || ': ' || error_message, '; '), '') FROM syncline.sync_run",
        )
        .fetch_one(self.db.pool())
        .await
        .unwrap()
    }

    /// One number.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.db.pool()).await.unwrap()
    }
}

/// Requests a run.
pub async fn enqueue(pool: &PgPool, project: &str, kind: &str) -> Uuid {
    sqlx::query_scalar("SELECT syncline.enqueue_sync($1, kind => $2, requested_by => 'test')")
        .bind(project)
        .bind(kind)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Waits until a run ended; answers its state.
pub async fn ended(pool: &PgPool, run: Uuid) -> String {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let state: String = sqlx::query_scalar("SELECT state FROM syncline.sync_run WHERE id = $1")
            .bind(run)
            .fetch_one(pool)
            .await
            .unwrap();
        if !matches!(state.as_str(), "queued" | "running") {
            return state;
        }
        assert!(tokio::time::Instant::now() < deadline, "run {run} is still {state}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
