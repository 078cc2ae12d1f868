//! A worker process that is killed in the middle of a step: another one finishes the run, nothing is lost or done twice,
//! and no attempt is spent.
//!
//! A victim is held inside a step of the wanted kind, by a Jira that does not answer or by a trigger that waits for a lock
//! within the step's own transaction; then it gets SIGKILL, and only then the obstacle is removed.

use sqlx::{Connection, PgConnection, PgPool};
use syncline::clock::Clock;
use syncline::simulator::{FaultKind, FaultRule, Options, ProjectSpec};
use syncline::store::step;
use syncline::sync;
use uuid::Uuid;

use crate::support::{Rig, WorkerProcess, eventually};

const ISSUES: i64 = 300;

/// What holds a victim.
enum Obstacle {
    /// The next request whose path contains this is never answered.
    Jira(&'static str),
    /// The statements that this trigger fires on wait, inside their transaction.
    Database(&'static str),
}

/// The lock that triggers wait for; a test's session holds it.
const HELD: i64 = 71;

async fn rig() -> Rig {
    let project = ProjectSpec { key: "ACME".into(), name: "Acme shop".into(), issues: None };
    let issues = u32::try_from(ISSUES).unwrap();
    let options = Options { projects: vec![project], issues, long_threads: 0.05, ..Options::new(Clock::system()) };
    Rig::new(options).await
}

/// Kills a worker in a step of `kind` of `run`, lets another one finish the run, and checks what is left.
async fn kill_in(rig: &Rig, kind: &str, obstacle: Obstacle, request: impl AsyncFnOnce(&Rig) -> Uuid) -> Uuid {
    let settings = [("SYNCLINE__SYNC__PAGE_SIZE", "60")];
    let lock = hold(rig, &obstacle).await;
    let mut victim = WorkerProcess::start(rig.db.url(), &settings).await;
    let run = request(rig).await;
    eventually("the victim in its step", async || is_held(rig, run, kind, &obstacle).await).await;
    victim.kill();
    if let Some(lock) = lock {
        lock.close().await.unwrap();
    }
    let successor = WorkerProcess::start(rig.db.url(), &settings).await;
    assert_eq!(rig.ended(run).await, "succeeded");
    let pool = rig.db.pool();
    let rescued = of_run(pool, run, "SELECT sum(rescues)::int8 FROM syncline.sync_step WHERE run_id = $1").await;
    assert!(rescued >= 1, "the step must have been taken over");
    assert_eq!(of_run(pool, run, "SELECT rescues::int8 FROM syncline.sync_run WHERE id = $1").await, rescued);
    for spent in ["failures", "(state <> 'done')::int"] {
        let sql = format!("SELECT sum({spent})::int8 FROM syncline.sync_step WHERE run_id = $1");
        assert_eq!(of_run(pool, run, &sql).await, 0, "{spent}");
    }
    assert_eq!(of_run(pool, run, "SELECT retries::int8 FROM syncline.sync_run WHERE id = $1").await, 0);
    let metrics = successor.get("/metrics").await.unwrap().1;
    let counter = format!("syncline_steps_rescued_total{{step=\"{kind}\"}}");
    assert!(metrics.lines().any(|line| line.starts_with(&counter) && !line.ends_with(" 0")), "{counter}:\n{metrics}");
    run
}

/// Every issue is there, and reading everything again finds nothing to write.
async fn is_complete(rig: &Rig) {
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NULL").await, ISSUES);
    let stats = rig.jira.control().stats();
    for (sql, expected) in [
        ("SELECT count(*) FROM syncline.comment", stats.comments),
        ("SELECT count(*) FROM syncline.worklog", stats.worklogs),
    ] {
        assert_eq!(rig.count(sql).await, i64::try_from(expected).unwrap(), "{sql}");
    }
    let worker = rig.worker().await;
    let again = rig.enqueue("ACME", "full").await;
    assert_eq!(rig.ended(again).await, "succeeded");
    worker.stop().await;
    let written = "SELECT issues_created + issues_updated + comments_written + comments_removed
                          + worklogs_written + worklogs_removed FROM syncline.sync_run WHERE id = $1";
    assert_eq!(of_run(rig.db.pool(), again, written).await, 0, "a second full run finds everything as it is");
    let seen = "SELECT issues_unchanged FROM syncline.sync_run WHERE id = $1";
    assert_eq!(of_run(rig.db.pool(), again, seen).await, ISSUES);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_page").await, 0);
}

async fn full_run_survives(kind: &str, obstacle: Obstacle) {
    let rig = rig().await;
    kill_in(&rig, kind, obstacle, async |rig| rig.enqueue("ACME", "full").await).await;
    is_complete(&rig).await;
}

async fn hold(rig: &Rig, obstacle: &Obstacle) -> Option<PgConnection> {
    match obstacle {
        Obstacle::Jira(path) => {
            let rule = FaultRule { path: Some((*path).to_owned()), ..FaultRule::next(FaultKind::Hang, 1) };
            rig.jira.control().add_fault(rule);
            None
        }
        Obstacle::Database(trigger) => {
            let mut session = PgConnection::connect(rig.db.url()).await.unwrap();
            let sql = format!(
                "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock_shared({HELD}); RETURN NEW; END $$;
                 CREATE TRIGGER wait {trigger} EXECUTE FUNCTION public.wait();
                 SELECT pg_advisory_lock({HELD})"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
            Some(session)
        }
    }
}

async fn is_held(rig: &Rig, run: Uuid, kind: &str, obstacle: &Obstacle) -> bool {
    let running: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM syncline.sync_step WHERE run_id = $1 AND kind = $2 AND state = 'running'",
    )
    .bind(run)
    .bind(kind)
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    let stopped = match obstacle {
        Obstacle::Jira(_) => rig.jira.control().stats().faults.contains_key(&FaultKind::Hang),
        Obstacle::Database(_) => {
            let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                            WHERE l.locktype = 'advisory' AND NOT l.granted AND d.datname = current_database()";
            rig.count(waiting).await > 0
        }
    };
    running > 0 && stopped
}

async fn of_run(pool: &PgPool, run: Uuid, sql: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).bind(run).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_plans_is_replaced() {
    full_run_survives("plan_run", Obstacle::Jira("/approximate-count")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_commits_the_plan_is_replaced() {
    full_run_survives("plan_run", Obstacle::Database("BEFORE INSERT ON syncline.sync_partition FOR EACH STATEMENT"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_fetches_a_page_is_replaced() {
    full_run_survives("fetch_page", Obstacle::Jira("/search/jql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_stages_a_page_is_replaced() {
    full_run_survives("fetch_page", Obstacle::Database("BEFORE INSERT ON syncline.sync_page FOR EACH STATEMENT")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_writes_a_page_is_replaced() {
    full_run_survives("upsert_batch", Obstacle::Database("AFTER INSERT ON syncline.comment FOR EACH STATEMENT")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_fetches_a_long_thread_is_replaced() {
    full_run_survives("fetch_collection", Obstacle::Jira("/comment")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_moves_a_cursor_is_replaced() {
    let moves = "BEFORE UPDATE OF cursor_at ON syncline.sync_state FOR EACH ROW";
    full_run_survives("advance_cursor", Obstacle::Database(moves)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_ends_a_run_is_replaced() {
    let ends = "BEFORE UPDATE OF finished_at ON syncline.sync_run FOR EACH STATEMENT";
    full_run_survives("finalize_run", Obstacle::Database(ends)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_repairs_is_replaced() {
    let rig = rig().await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    worker.stop().await;
    let lost: Vec<i64> = sqlx::query_scalar(
        "WITH lost AS (DELETE FROM syncline.issue WHERE id IN (SELECT min(id) FROM syncline.issue) RETURNING id)
         SELECT id FROM lost",
    )
    .fetch_all(rig.db.pool())
    .await
    .unwrap();
    kill_in(&rig, "repair_batch", Obstacle::Jira("/bulkfetch"), async |rig| repair(rig, &lost).await).await;
    is_complete(&rig).await;
}

/// Requests a repair of single issues.
async fn repair(rig: &Rig, ids: &[i64]) -> Uuid {
    let run = Clock::system().new_id();
    sqlx::query(
        "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by)
         SELECT $1, id, 'incremental', 'repair', 'running', 'test' FROM syncline.project",
    )
    .bind(run)
    .execute(rig.db.pool())
    .await
    .unwrap();
    step::enqueue(rig.db.pool(), &Clock::system(), Some(run), &sync::repair_steps(rig.site_id, ids)).await.unwrap();
    run
}
