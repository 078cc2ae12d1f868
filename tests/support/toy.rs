//! The engine with toy steps: scripted handlers, runs made of them, and workers that execute them. No Jira, no sync.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::domain::queue::Queue;
use syncline::engine::{
    ClaimedStep, Commit, Engine, EngineOptions, FINAL_STEP, NewStep, RetryOptions, Step, StepContext, StepError,
};
use syncline::observe::health::Heartbeats;
use syncline::queue::{self, QueueOptions};
use syncline::store::{self, PoolOptions, finalize, step};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::TestDb;

/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(60);

type Script = dyn Fn(Given) -> BoxFuture<'static, Result<Commit, StepError>> + Send + Sync;

/// What a scripted step is given.
pub struct Given {
    pub step: Arc<ClaimedStep>,
    pub pool: PgPool,
}

struct Toy {
    kind: &'static str,
    time_limit: Duration,
    script: Box<Script>,
}

impl Step for Toy {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        (self.script)(Given { step: Arc::clone(&context.step), pool: context.pool.clone() })
    }
}

/// A kind of step that does what `script` says.
pub fn toy<F, R>(kind: &'static str, script: F) -> Arc<dyn Step>
where
    F: Fn(Given) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Commit, StepError>> + Send + 'static,
{
    hasty_toy(kind, Duration::from_secs(300), script)
}

/// The same with a time limit.
pub fn hasty_toy<F, R>(kind: &'static str, time_limit: Duration, script: F) -> Arc<dyn Step>
where
    F: Fn(Given) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Commit, StepError>> + Send + 'static,
{
    Arc::new(Toy { kind, time_limit, script: Box::new(move |given| Box::pin(script(given))) })
}

/// A commit that writes one row into `toy_effect`, then enqueues `next`.
pub fn effect(step: &ClaimedStep, next: Vec<NewStep>) -> Commit {
    let (kind, key, run_id) = (step.kind.clone(), step.key.clone(), step.run_id);
    Commit::effects(move |conn| {
        Box::pin(async move {
            let insert = sqlx::query("INSERT INTO toy_effect (kind, key, run_id) VALUES ($1, $2, $3)");
            insert.bind(kind).bind(key).bind(run_id).execute(conn).await?;
            Ok(next)
        })
    })
}

/// The final step: it ends the run as the real one does, and leaves an effect.
fn finalize_toy() -> Arc<dyn Step> {
    toy(FINAL_STEP, |given| async move {
        let run_id = given.step.run_id.expect("a run");
        let project_id: Uuid = sqlx::query_scalar("SELECT project_id FROM syncline.sync_run WHERE id = $1")
            .bind(run_id)
            .fetch_one(&given.pool)
            .await?;
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                finalize::finalize(conn, run_id, project_id, Clock::system().now()).await?;
                let insert = sqlx::query("INSERT INTO toy_effect (kind, key, run_id) VALUES ('finalize_run', '', $1)");
                insert.bind(run_id).execute(conn).await?;
                Ok(Vec::new())
            })
        }))
    })
}

/// Waits until a step says that it has started.
pub async fn heard(said: &Notify) {
    tokio::time::timeout(DEADLINE, said.notified()).await.expect("the step starts");
}

/// A step of the queue for the network.
pub fn new(kind: &'static str, key: impl ToString) -> NewStep {
    NewStep::new(Queue::Jira, kind, key.to_string())
}

/// What ran, in order.
#[derive(Clone, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub fn note(&self, line: impl Into<String>) {
        self.0.lock().expect("no panic while it is held").push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic while it is held").clone()
    }

    pub fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|found| *found == line).count()
    }
}

/// A database with one site, and the runs of a test.
pub struct World {
    pub db: TestDb,
    pub clock: Clock,
    site: Uuid,
}

impl World {
    pub async fn new() -> Self {
        let (db, clock) = (TestDb::new().await, Clock::system());
        let site = clock.new_id();
        sqlx::raw_sql("CREATE TABLE toy_effect (n bigserial, kind text NOT NULL, key text NOT NULL, run_id uuid)")
            .execute(db.pool())
            .await
            .expect("a table");
        sqlx::query(
            "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
             VALUES ($1, 'toys', 'https://toys.example.test', 'ana@example.test', 'env:TOYS')",
        )
        .bind(site)
        .execute(db.pool())
        .await
        .expect("a site");
        Self { db, clock, site }
    }

    pub fn pool(&self) -> &PgPool {
        self.db.pool()
    }

    /// Projects without runs: `T0`, `T1`, …
    pub async fn projects(&self, count: usize) -> Vec<Uuid> {
        let ids: Vec<Uuid> = (0..count).map(|_| self.clock.new_id()).collect();
        sqlx::query(
            "INSERT INTO syncline.project (id, site_id, key)
             SELECT p.id, $2, 'T' || (p.n - 1) FROM unnest($1) WITH ORDINALITY AS p (id, n)",
        )
        .bind(&ids)
        .bind(self.site)
        .execute(self.pool())
        .await
        .expect("projects");
        ids
    }

    /// Running runs, each of a project of its own, with these first steps. All become visible at once.
    pub async fn runs(&self, steps: Vec<Vec<NewStep>>) -> Vec<Uuid> {
        let projects = self.projects(steps.len()).await;
        let ids: Vec<Uuid> = projects.iter().map(|_| self.clock.new_id()).collect();
        let mut tx = self.pool().begin().await.expect("a transaction");
        sqlx::query(
            "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by)
             SELECT r.id, r.project_id, 'full', 'manual', 'running', 'ana' FROM unnest($1::uuid[], $2::uuid[]) AS r (id, project_id)",
        )
        .bind(&ids)
        .bind(&projects)
        .execute(&mut *tx)
        .await
        .expect("runs");
        for (id, steps) in ids.iter().zip(&steps) {
            step::enqueue(&mut *tx, &self.clock, Some(*id), steps).await.expect("steps");
        }
        tx.commit().await.expect("a commit");
        ids
    }

    /// One run.
    pub async fn run(&self, steps: Vec<NewStep>) -> Uuid {
        self.runs(vec![steps]).await[0]
    }

    /// Waits until the run has ended; answers its state.
    pub async fn ended(&self, run: Uuid) -> String {
        let state = "SELECT state FROM syncline.sync_run WHERE id = $1 AND finished_at IS NOT NULL";
        self.poll("the end of a run", async || {
            sqlx::query_scalar::<_, String>(state).bind(run).fetch_optional(self.pool()).await.ok().flatten()
        })
        .await
    }

    /// Waits until `sql` (about `run`, as `$1`) is true.
    pub async fn until(&self, sql: &'static str, run: Uuid) {
        self.poll(sql, async || self.ask(sql, run).await.filter(|true_now| *true_now)).await;
    }

    /// One value about a run.
    pub async fn get<T>(&self, sql: &'static str, run: Uuid) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql).bind(run).fetch_one(self.pool()).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// How many effects of a kind were committed, by run.
    pub async fn effects(&self, kind: &str) -> HashMap<Uuid, i64> {
        let sql = "SELECT run_id, count(*) FROM toy_effect WHERE kind = $1 GROUP BY run_id";
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(sql).bind(kind).fetch_all(self.pool()).await.expect("the effects");
        rows.into_iter().collect()
    }

    async fn ask(&self, sql: &'static str, run: Uuid) -> Option<bool> {
        sqlx::query_scalar(sql).bind(run).fetch_optional(self.pool()).await.ok().flatten()
    }

    /// Asks until there is an answer. Errors are no answer: some tests take the database away.
    pub async fn poll<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let asking = async {
            loop {
                if let Some(answer) = ask().await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let answer = tokio::time::timeout(DEADLINE, asking).await;
        answer.unwrap_or_else(|_| panic!("it did not come: {what}"))
    }

    /// An engine that nothing feeds.
    pub async fn engine(&self, steps: Vec<Arc<dyn Step>>, tuning: &Tuning) -> Engine {
        let options = PoolOptions { max_connections: 12, ..PoolOptions::default() };
        let pool = store::connect(&self.db.secret_url(), &options).await.expect("a pool");
        let mut all = vec![finalize_toy()];
        all.extend(steps);
        let options = EngineOptions {
            concurrency: tuning.concurrency,
            retry: tuning.retry,
            max_attempts: tuning.max_attempts,
            ..EngineOptions::default()
        };
        Engine::new(pool, self.clock.clone(), all, options)
    }

    /// A worker that has renewed its lease once.
    pub async fn worker(&self, steps: Vec<Arc<dyn Step>>, tuning: Tuning) -> Worker {
        let engine = self.engine(steps, &tuning).await;
        let stop = CancellationToken::new();
        let options = QueueOptions {
            lease: tuning.lease,
            pulse: tuning.pulse,
            grace: tuning.grace,
            direct_url: None,
            host: "toy".to_owned(),
            heartbeats: Heartbeats::default(),
        };
        let task = tokio::spawn(queue::run(engine.clone(), options, queue::Heard::default(), stop.clone()));
        self.until("SELECT EXISTS (SELECT 1 FROM syncline.worker WHERE id = $1)", engine.epoch().owner).await;
        Worker { engine, stop, task }
    }
}

/// How a worker is made; the default is fast, with short back-off.
pub struct Tuning {
    pub concurrency: [usize; 3],
    pub retry: RetryOptions,
    pub max_attempts: i16,
    pub pulse: Duration,
    pub lease: Duration,
    pub grace: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            concurrency: [8, 2, 2],
            retry: RetryOptions {
                base: Duration::from_millis(20),
                cap: Duration::from_millis(200),
                ..RetryOptions::default()
            },
            max_attempts: 3,
            pulse: Duration::from_millis(100),
            lease: Duration::from_secs(5),
            grace: Duration::from_secs(20),
        }
    }
}

impl Tuning {
    /// Nothing is found by looking: what happens was notified, or handed on within the process.
    pub fn by_notification_only() -> Self {
        Self { pulse: Duration::from_secs(300), lease: Duration::from_secs(900), ..Self::default() }
    }

    /// A lease that runs out soon.
    pub fn short_lease() -> Self {
        Self { lease: Duration::from_millis(1500), ..Self::default() }
    }
}

/// A worker of this process.
pub struct Worker {
    pub engine: Engine,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    /// Stops as a process that was asked to; all places must be free afterwards.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("the worker stops").expect("without a panic");
        for queue in Queue::ALL {
            assert_eq!(self.engine.slots().free(queue), self.engine.slots().capacity(queue), "places of {queue}");
        }
    }

    /// Ends it as SIGKILL would: nothing is said to the database.
    pub async fn kill(self) {
        self.task.abort();
        self.task.await.ok();
        self.engine.pool().close().await;
    }
}
