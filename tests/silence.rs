//! Connections that die without a word, processes that freeze, networks that cut off: nothing hangs, and no step is charged.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use syncline::clock::Clock;
use syncline::simulator::Options;

use crate::support::silent::SilentWay;
use crate::support::{Rig, TestDb, WorkerProcess, eventually, program};

/// Longer than a silent connection may go unnoticed, and much shorter than the system takes to notice.
const NOTICED: Duration = Duration::from_secs(30);

async fn rig() -> Rig {
    Rig::new(Options { issues: 300, ..Options::new(Clock::system()) }).await
}

const CHARGED: &str = "SELECT coalesce(sum(failures), 0)::int8 FROM syncline.sync_step";

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fall_silent_stop_no_run() {
    let rig = rig().await;
    let way = SilentWay::to(rig.db.url()).await;
    let worker = WorkerProcess::start(&way.url(rig.db.url()), &[]).await;
    rig.jira.control().set_paused(true);
    let run = rig.enqueue("ACME", "full").await;
    eventually("a request that waits", async || rig.jira.control().stats().in_flight > 0).await;
    way.silence_open();
    let silent = Instant::now();
    rig.jira.control().set_paused(false);
    assert_eq!(rig.ended(run).await, "succeeded");
    assert!(silent.elapsed() < NOTICED, "{:?}", silent.elapsed());
    assert_eq!(rig.count(CHARGED).await, 0, "a silent connection spends no attempt");
    assert_eq!(worker.get("/healthz").await.unwrap().0, 200, "nothing hangs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_whose_connection_is_silent_goes_on() {
    let rig = rig().await;
    let way = SilentWay::to(rig.db.url()).await;
    let _worker = WorkerProcess::start(&way.url(rig.db.url()), &[]).await;
    way.silence_open();
    let silent = Instant::now();
    sqlx::query(
        "INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '0 0 29 2 *', now(), now() FROM syncline.project WHERE key = 'BETA'",
    )
    .execute(rig.db.pool())
    .await
    .unwrap();
    eventually("a run of the schedule", async || rig.count("SELECT count(*) FROM syncline.sync_run").await == 1).await;
    assert!(silent.elapsed() < NOTICED, "{:?}", silent.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_in_time_though_nothing_is_heard() {
    let rig = rig().await;
    let way = SilentWay::to(rig.db.url()).await;
    let mut worker = WorkerProcess::start(&way.url(rig.db.url()), &[("SYNCLINE__QUEUE__GRACE_SECONDS", "3")]).await;
    rig.jira.control().set_paused(true);
    rig.enqueue("ACME", "full").await;
    eventually("a request that waits", async || rig.jira.control().stats().in_flight > 0).await;
    way.silence_all();
    worker.terminate();
    let told = Instant::now();
    worker.ended().await;
    // Three of grace, and what leaving the fleet may take.
    assert!(told.elapsed() < Duration::from_secs(3 + 12), "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_database_is_lost_and_wedges_nobody() {
    let rig = rig().await;
    let way = SilentWay::to(rig.db.url()).await;
    let worker = WorkerProcess::start(&way.url(rig.db.url()), &[]).await;
    way.silence_all();
    eventually("a worker that is not ready", async || {
        worker.get("/readyz").await.is_ok_and(|(code, body)| code == 503 && body.contains("database_lost"))
    })
    .await;
    assert_eq!(worker.get("/healthz").await.unwrap().0, 200, "a restart would not bring the database back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_outlives_its_connection() {
    let rig = rig().await;
    let way = SilentWay::to(rig.db.url()).await;
    let worker = WorkerProcess::start(rig.db.url(), &[]).await;
    rig.jira.control().set_paused(true);
    let mut command = tokio::process::Command::new(program());
    command.args(["sync", "start", "ACME", "--wait"]).env_clear().env("DATABASE_URL", way.url(rig.db.url()));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let waiting = command.spawn().unwrap();
    eventually("a request that waits", async || rig.jira.control().stats().in_flight > 0).await;
    // Three connections at least: the first one, the schema's, the watch's own.
    eventually("a watch", async || way.opened() >= 2).await;
    way.silence_open();
    // The last word of a connection that breaks is a reset.
    way.reset_next(1);
    rig.jira.control().set_paused(false);
    let output = tokio::time::timeout(Duration::from_secs(60), waiting.wait_with_output()).await.unwrap().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(words.contains("succeeded"), "{words}");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_reset_at_the_start_is_made_again() {
    let rig = rig().await;
    let way = SilentWay::to(rig.db.url()).await;
    way.reset_next(3);
    let mut command = tokio::process::Command::new(program());
    command.args(["run", "list"]).env_clear().env("DATABASE_URL", way.url(rig.db.url())).current_dir("/");
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    way.reset_next(5);
    let worker = WorkerProcess::start(&way.url(rig.db.url()), &[]).await;
    assert_eq!(worker.get("/readyz").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_waited_for_and_said() {
    let db = TestDb::new().await;
    // A port that nobody listens on, for now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut url = url::Url::parse(db.url()).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(port.port())).unwrap();
    let mut command = tokio::process::Command::new(program());
    command.args(["run", "list"]).env_clear().env("DATABASE_URL", url.as_str()).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let waiting = command.spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await; // so that it has something to say
    let listener = tokio::net::TcpListener::bind(port).await.unwrap();
    let relay = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let output = waiting.wait_with_output().await.unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert!(words.contains("waiting for PostgreSQL"), "{words}");
    relay.abort();
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_freezes_inside_a_transaction_is_not_waited_for() {
    let rig = rig().await;
    let mut session = PgConnection::connect(rig.db.url()).await.unwrap();
    let mut lock = session.begin().await.unwrap();
    sqlx::query("LOCK TABLE syncline.sync_partition IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let frozen = WorkerProcess::start(rig.db.url(), &[]).await;
    let run = rig.enqueue("ACME", "full").await;
    eventually("a step that waits inside its transaction", async || {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        rig.count(waiting).await > 0
    })
    .await;
    signal(frozen.pid(), "-STOP");
    lock.rollback().await.unwrap();
    let stopped = Instant::now();
    eventually("a transaction that nobody goes on with", async || {
        let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'";
        rig.count(idle).await > 0
    })
    .await;
    let other = WorkerProcess::start(rig.db.url(), &[]).await;
    assert_eq!(rig.ended(run).await, "succeeded");
    assert!(stopped.elapsed() < Duration::from_secs(20), "{:?}", stopped.elapsed());
    assert_eq!(rig.count(CHARGED).await, 0, "who waited for the frozen one spends no attempt");
    signal(frozen.pid(), "-CONT");
    drop((frozen, other));
}

/// A database of its own encoding; it is dropped by hand.
async fn database_of(encoding: &str, server: &str) -> (String, String) {
    let name = format!("syncline_test_{}_{}", encoding.to_lowercase(), Clock::system().new_id().simple());
    let mut admin = PgConnection::connect(server).await.unwrap();
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(&name);
    (name, url.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_is_refused_with_the_remedy() {
    let db = TestDb::unmigrated().await;
    for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP"] {
        let (name, url) = database_of(encoding, db.url()).await;
        let ask = async |arguments: &[&str]| {
            let mut command = tokio::process::Command::new(program());
            command.args(arguments).env_clear().env("DATABASE_URL", &url).current_dir("/").stdin(Stdio::null());
            let output = command.output().await.unwrap();
            let words =
                String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
            (output.status.code(), words)
        };
        let (code, words) = ask(&["migrate"]).await;
        assert_eq!(code, Some(1), "{words}");
        for part in [format!("encoding {encoding}"), "UTF8 is needed".into(), "createdb -E UTF8".into()] {
            assert!(words.contains(&part), "{encoding}: {words}");
        }
        let (code, words) = ask(&["doctor", "-o", "json"]).await;
        assert!(code == Some(3) && words.contains(&format!("encoding is {encoding}")), "{words}");
        let mut admin = PgConnection::connect(db.url()).await.unwrap();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut admin).await.unwrap();
    }
}

/// Settings of a database that are in the way of programs that do not expect them.
const ODD: &[(&str, &str)] = &[
    ("default_transaction_isolation", "'serializable'"),
    ("default_transaction_deferrable", "on"),
    ("search_path", "nowhere, pg_catalog"),
    ("statement_timeout", "'1s'"),
    ("lock_timeout", "'10ms'"),
    ("idle_in_transaction_session_timeout", "'50ms'"),
    ("idle_session_timeout", "'300ms'"),
    ("TimeZone", "'Asia/Kathmandu'"),
    ("DateStyle", "'German'"),
    ("IntervalStyle", "'iso_8601'"),
    ("bytea_output", "'escape'"),
    ("standard_conforming_strings", "off"),
    ("extra_float_digits", "'-15'"),
];

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_database_change_no_run_and_are_named() {
    for isolation in ["'serializable'", "'repeatable read'"] {
        let rig = rig().await;
        let mut admin = PgConnection::connect(rig.db.url()).await.unwrap();
        let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut admin).await.unwrap();
        for (setting, value) in ODD {
            let value = if setting.ends_with("isolation") { isolation } else { value };
            let sql = format!("ALTER DATABASE {name} SET {setting} = {value}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
        let worker = WorkerProcess::start(rig.db.url(), &[]).await;
        let mut runs = Vec::new();
        for project in &rig.projects {
            runs.push(rig.enqueue(project, "full").await);
        }
        for run in runs {
            assert_eq!(rig.ended(run).await, "succeeded", "{isolation}: {}", rig.said().await);
        }
        assert_eq!(rig.count(CHARGED).await, 0);
        assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 300);
        let log = worker.log();
        assert!(!log.contains("40001") && !log.contains("_failed\"") && !log.contains("_lost\""), "{log}");
        let mut command = tokio::process::Command::new(program());
        command.args(["doctor", "-o", "json"]).env_clear().env("DATABASE_URL", rig.db.url()).current_dir("/");
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        for named in ["default_transaction_isolation is ", "search_path is nowhere", "lock_timeout is 10 ms"] {
            assert!(words.contains(named), "{words}");
        }
    }
}
