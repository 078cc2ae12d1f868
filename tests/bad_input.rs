//! What goes wrong outside of the program: each cause is named, has its exit code, and once it is gone the work goes on.
//!
//! Wrong flags, cron expressions, time zones and configuration keys are in `cli.rs`, the library's errors in `database.rs`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use syncline::clock::Clock;
use syncline::simulator::Options;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use uuid::Uuid;

use crate::support::{Rig, TestDb, WorkerProcess, eventually, program};

/// Exit code and standard error of the program.
async fn syncline(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("DATABASE_URL", url).env("SYNCLINE__HTTP__ADDRESS", "127.0.0.1:0");
    let output = command.current_dir("/").stdin(Stdio::null()).output().await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn refuses(url: &str, arguments: &[&str], code: i32, words: &[&str]) {
    let (found, errors) = syncline(url, arguments).await;
    assert_eq!(found, Some(code), "{arguments:?}: {errors}");
    for word in words {
        assert!(errors.contains(word), "{arguments:?}: {errors} lacks {word:?}");
    }
    assert!(!errors.contains("hunter2") && !errors.contains("panicked"), "{errors}");
}

fn small() -> Options {
    Options { issues: 240, ..Options::new(Clock::system()) }
}

/// Code, message and advice of a run.
async fn error_of(rig: &Rig, run: Uuid) -> (String, String, String) {
    sqlx::query_as("SELECT error_code, error_message, error_advice FROM syncline.sync_run WHERE id = $1")
        .bind(run)
        .fetch_one(rig.db.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_named_before_any_work() {
    for command in ["worker", "migrate"] {
        refuses("mysql://u:hunter2@localhost/db", &[command], 2, &["DATABASE_URL", "postgres://"]).await;
    }
    // A worker waits longer: it may have been started before its database.
    let words = ["waiting for PostgreSQL", "cannot reach PostgreSQL at 127.0.0.1:1"];
    refuses("postgres://u:hunter2@127.0.0.1:1/db", &["migrate"], 1, &words).await;
    let db = TestDb::new().await;
    let mut url = url::Url::parse(db.url()).unwrap();
    url.set_path("no_such_database");
    refuses(url.as_str(), &["worker"], 1, &["has no database \"no_such_database\"", "createdb"]).await;
    url.set_username("nobody_of_this_name").unwrap();
    url.set_password(Some("hunter2")).unwrap();
    refuses(url.as_str(), &["worker"], 1, &["refused user \"nobody_of_this_name\"", "check user and password"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused_with_its_version() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u:hunter2@{}/db", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(old_server(connection));
        }
    });
    for command in [&["worker"][..], &["migrate"], &["run", "list"]] {
        refuses(&url, command, 1, &["is version 12", "14 or newer", "upgrade the server"]).await;
    }
    refuses(&url, &["doctor"], 3, &["checks failed"]).await;
    server.abort();
}

/// As much of PostgreSQL's protocol as a log-in takes.
async fn old_server(mut connection: tokio::net::TcpStream) -> Option<()> {
    loop {
        let mut head = [0; 8];
        connection.read_exact(&mut head).await.ok()?;
        let length = usize::try_from(u32::from_be_bytes(head[..4].try_into().ok()?)).ok()?;
        connection.read_exact(&mut vec![0; length - 8]).await.ok()?;
        // SSLRequest comes before the start-up message, and is declined.
        if u32::from_be_bytes(head[4..].try_into().ok()?) != 80_877_103 {
            break;
        }
        connection.write_all(b"N").await.ok()?;
    }
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    };
    let log_in = [
        message(b'R', &[0; 4]),
        message(b'S', b"server_version\x0012.19\x00"),
        message(b'K', &[0; 8]),
        message(b'Z', b"I"),
    ];
    connection.write_all(&log_in.concat()).await.ok()?;
    connection.read_to_end(&mut Vec::new()).await.ok().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_done_migration_is_repaired_as_its_message_says() {
    let db = TestDb::new().await;
    let newest = syncline::store::migrate::expected_version();
    sqlx::query("UPDATE syncline.schema_migration SET success = false WHERE version = $1")
        .bind(newest)
        .execute(db.pool())
        .await
        .unwrap();
    let remedy = format!("DELETE FROM syncline.schema_migration WHERE version = {newest}");
    refuses(db.url(), &["worker"], 1, &["was left half-way", &remedy]).await;
    refuses(db.url(), &["migrate"], 1, &["was left half-way", &remedy]).await;
    // Repaired by hand: here by undoing all that it did.
    sqlx::raw_sql("DROP SCHEMA syncline CASCADE").execute(db.pool()).await.unwrap();
    assert_eq!(syncline(db.url(), &["migrate"]).await.0, Some(0));
    assert_eq!(syncline(db.url(), &["migrate", "--check"]).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_stops_work_until_it_takes_writes_again() {
    let rig = Rig::new(small()).await;
    let run = rig.enqueue("ACME", "full").await;
    rig.db.read_only(true).await;
    refuses(rig.db.url(), &["sync", "start", "ACME"], 1, &["the database is read-only", "primary"]).await;
    let worker = WorkerProcess::launch(rig.db.url(), &[]).await;
    eventually("a worker that is not ready", async || {
        let answer = worker.get("/readyz").await;
        answer.is_ok_and(|(code, body)| code == 503 && body.contains("database_lost"))
    })
    .await;
    assert!(worker.log().contains("the database is read-only"), "{}", worker.log());
    assert_eq!(worker.get("/healthz").await.unwrap().0, 200);
    rig.db.read_only(false).await;
    assert_eq!(rig.ended(run).await, "succeeded");
    eventually("a worker that is ready", async || worker.get("/readyz").await.is_ok_and(|(code, _)| code == 200)).await;
    assert_eq!(rig.count("SELECT sum(failures)::int8 FROM syncline.sync_step").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_read_only_costs_a_run_nothing() {
    let rig = Rig::new(small()).await;
    rig.jira.control().set_latency(Duration::from_millis(50), Duration::ZERO);
    let worker = WorkerProcess::start(rig.db.url(), &[("SYNCLINE__SYNC__PAGE_SIZE", "10")]).await;
    let run = rig.enqueue("ACME", "full").await;
    eventually("some issues", async || rig.count("SELECT count(*) FROM syncline.issue").await > 0).await;
    rig.db.read_only(true).await;
    // Sessions keep what they had when they began: end them, as a fail-over would.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'syncline' AND pid <> pg_backend_pid()";
    sqlx::query(end).execute(rig.db.pool()).await.unwrap();
    eventually("a worker that is not ready", async || worker.get("/readyz").await.is_ok_and(|(code, _)| code == 503))
        .await;
    rig.db.read_only(false).await;
    eventually("a worker that is ready", async || worker.get("/readyz").await.is_ok_and(|(code, _)| code == 200)).await;
    let mut session = <sqlx::PgConnection as sqlx::Connection>::connect(rig.db.url()).await.unwrap();
    let mut state = String::from("running");
    while state == "running" {
        let query = sqlx::query_scalar("SELECT state FROM syncline.sync_run WHERE id = $1").bind(run);
        state = query.fetch_one(&mut session).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state, "succeeded");
    let failures: i64 =
        sqlx::query_scalar("SELECT sum(failures)::int8 FROM syncline.sync_step").fetch_one(&mut session).await.unwrap();
    assert_eq!(failures, 0);
}

/// A small file system of its own, unmounted at the end.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// None where this process may not mount, or PostgreSQL runs elsewhere.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        open_to_all(folder.path());
        let disk = Self { folder };
        std::fs::create_dir(disk.mount_point()).ok()?;
        let run = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            command.args(arguments).arg(disk.mount_point()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        // The account that the test server runs as when the tests are root, see tests/support/postgres.sh.
        let may = run("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            && (run("chown", &["postgres"]) || run("chown", &["nobody"]));
        may.then_some(disk)
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Leaves no byte to anybody.
    fn fill(&self) {
        let filler = self.mount_point().join("filler");
        let written = std::fs::write(filler, vec![0; 16 << 20]);
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        std::fs::remove_file(self.mount_point().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("-l").arg(self.mount_point()).status().ok();
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn execute(rig: &Rig, sql: String) {
    let result = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(rig.db.pool()).await;
    assert!(result.is_ok(), "{sql}: {result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_a_run_up_and_fails_nothing() {
    let (Some(disk), true) = (SmallDisk::mount(), std::env::var_os("SYNCLINE_TEST_DATABASE_URL").is_none()) else {
        eprintln!("SKIPPED: a full disk needs the right to mount a tmpfs, and the tests' own server");
        return;
    };
    let rig = Rig::new(small()).await;
    let tablespace = format!("syncline_test_{}", Clock::system().new_id().simple());
    execute(&rig, format!("CREATE TABLESPACE {tablespace} LOCATION '{}'", disk.mount_point().display())).await;
    execute(&rig, format!("ALTER TABLE syncline.issue SET TABLESPACE {tablespace}")).await;
    disk.fill();

    let worker = WorkerProcess::start(rig.db.url(), &[("SYNCLINE__QUEUE__MAX_ATTEMPTS", "2")]).await;
    let run = rig.enqueue("ACME", "full").await;
    // More refusals than a step has attempts.
    let claims = "SELECT coalesce(max(attempt), 0)::int8 FROM syncline.sync_step WHERE kind = 'upsert_batch'";
    eventually("refusals", async || rig.count(claims).await > 3).await;
    let (code, message, advice): (String, String, String) = sqlx::query_as(
        "SELECT error_code, error_message, error_advice FROM syncline.sync_step
          WHERE kind = 'upsert_batch' AND error_code IS NOT NULL LIMIT 1",
    )
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    assert_eq!(code, "DATABASE");
    assert!(message.contains("disk is full") && message.contains("free space"), "{message}");
    assert!(advice.contains("check its disk"), "{advice}");
    assert!(worker.log().contains("disk is full"), "{}", worker.log());
    assert_eq!(rig.count("SELECT sum(failures)::int8 FROM syncline.sync_step").await, 0);

    disk.free();
    assert_eq!(rig.ended(run).await, "succeeded");
    let issues = i64::try_from(rig.jira.control().issue_ids("ACME").len()).unwrap();
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, issues);
    drop(worker);
    execute(&rig, "ALTER TABLE syncline.issue SET TABLESPACE pg_default".into()).await;
    execute(&rig, format!("DROP TABLESPACE {tablespace}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_stop_the_site_until_they_are_right() {
    let rig = Rig::new(small()).await;
    let worker = WorkerProcess::start(rig.db.url(), &[("SYNCLINE__SYNC__PAGE_SIZE", "1")]).await;
    rig.jira.control().set_latency(Duration::from_millis(100), Duration::ZERO);
    let under_way = rig.enqueue("ACME", "full").await;
    eventually("some issues", async || rig.count("SELECT count(*) FROM syncline.issue").await > 0).await;
    rig.set_token("revoked");
    let refused = rig.enqueue("BETA", "full").await;
    for run in [refused, under_way] {
        assert_eq!(rig.ended(run).await, "failed");
        let (code, message, advice) = error_of(&rig, run).await;
        assert_eq!(code, "AUTH_INVALID");
        assert!(advice.contains("API token") && advice.contains("syncline site update SITE"), "{advice}");
        assert!(!message.contains("revoked"), "{message}");
    }
    refuses(rig.db.url(), &["site", "check", "sim"], 3, &["cannot work with sim"]).await;
    refuses(rig.db.url(), &["sync", "start", "GAMMA", "--wait"], 1, &["AUTH_INVALID", "help: A site administrator"])
        .await;

    rig.jira.control().set_latency(Duration::ZERO, Duration::ZERO);
    rig.set_token(syncline::simulator::DEFAULT_TOKEN);
    assert_eq!(syncline(rig.db.url(), &["site", "check", "sim"]).await.0, Some(0));
    for project in &rig.projects {
        assert_eq!(rig.sync(project, "incremental").await, "succeeded", "{project}");
    }
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 240);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_unknown_to_jira_is_named_at_add_and_at_run() {
    let rig = Rig::new(small()).await;
    let worker = rig.worker().await;
    refuses(rig.db.url(), &["project", "add", "sim", "NOPE"], 1, &["NOPE"]).await;
    assert_eq!(rig.count("SELECT count(*) FROM syncline.project WHERE key = 'NOPE'").await, 0);
    let (code, errors) = syncline(rig.db.url(), &["project", "add", "sim", "NOPE", "--offline"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let run = rig.enqueue("NOPE", "full").await;
    assert_eq!(rig.ended(run).await, "failed");
    let (code, message, advice) = error_of(&rig, run).await;
    assert_eq!(code, "NOT_FOUND_PROJECT");
    assert!(advice.contains("check the key"), "{message} {advice}");
    // One project's mistake is no other's.
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    worker.stop().await;
}
