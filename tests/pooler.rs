//! Behind PgBouncer in transaction mode: work goes on, woken by a direct connection or by the pulse alone.
//!
//! Needs PgBouncer 1.21 or newer (`SYNCLINE_TEST_PGBOUNCER`, else `pgbouncer` on the path): older ones cannot keep prepared
//! statements across transactions. Where there is none, these promises are not tried, and say so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use syncline::clock::Clock;
use syncline::simulator::Options;
use url::Url;

use crate::support::{Rig, TestDb, WorkerProcess, eventually, program, server_url};

struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The program, if there is one that is new enough.
fn pgbouncer() -> Option<PathBuf> {
    let given = std::env::var_os("SYNCLINE_TEST_PGBOUNCER").map(PathBuf::from);
    let path = given.into_iter().chain(["pgbouncer".into(), "/usr/sbin/pgbouncer".into()]);
    let found = path.into_iter().find(|program| minor_version(program).is_some_and(|minor| minor >= 21));
    if found.is_none() {
        eprintln!("not tried: PgBouncer 1.21 or newer is missing; name one in SYNCLINE_TEST_PGBOUNCER");
    }
    found
}

fn minor_version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(1)?.split('.').nth(1)?.parse().ok()
}

impl Pooler {
    /// A pooler of few sessions in front of the test server.
    async fn start(program: &Path) -> Self {
        let server = Url::parse(&server_url()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let password = server.password().map(|password| format!(" password={password}")).unwrap_or_default();
        let settings = format!(
            "[databases]\n* = host={} port={} user={}{password}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 8\nmax_prepared_statements = 200\n",
            server.host_str().unwrap_or("127.0.0.1"),
            server.port().unwrap_or(5432),
            server.username(),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        // It refuses to run as root, and then has to read its settings as somebody else.
        if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            let everyone = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
            std::fs::set_permissions(folder.path(), everyone).unwrap();
            command.args(["-u", "nobody"]);
        }
        let child = command.arg("-q").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { child, port, _folder: folder };
        eventually("the pooler", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        pooler
    }

    /// The way to a database through this pooler.
    fn url(&self, direct: &str) -> String {
        let mut url = Url::parse(direct).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

async fn syncline(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(program());
    command.args(arguments).env_clear().current_dir("/").envs(settings.iter().copied());
    command.output().await.unwrap()
}

/// The status and the texts of a check.
fn finding(findings: &Value, check: &str) -> String {
    let found = findings.as_array().unwrap().iter().find(|finding| finding["check"] == check);
    found.map(|found| format!("{} {} {}", found["status"], found["found"], found["remedy"])).unwrap_or_default()
}

async fn doctor(settings: &[(&str, &str)]) -> Value {
    let output = syncline(&["doctor", "-o", "json"], settings).await;
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_succeed_behind_a_pooler_directly_and_by_polling() {
    let Some(program) = pgbouncer() else { return };
    let pooler = Pooler::start(&program).await;
    let rig = Rig::new(Options { issues: 300, ..Options::new(Clock::system()) }).await;
    let pooled = pooler.url(rig.db.url());
    for direct in [Some(rig.db.url()), None] {
        let mut settings = vec![("SYNCLINE__SYNC__PAGE_SIZE", "60")];
        settings.extend(direct.map(|url| ("SYNCLINE__DATABASE__DIRECT_URL", url)));
        let mut worker = WorkerProcess::start(&pooled, &settings).await;
        for project in &rig.projects {
            assert_eq!(rig.sync(project, "full").await, "succeeded", "{direct:?}");
        }
        let mut told = vec![("DATABASE_URL", pooled.as_str())];
        told.extend(direct.map(|url| ("SYNCLINE__DATABASE__DIRECT_URL", url)));
        let findings = doctor(&told).await;
        let (notifications, pooler) = (finding(&findings, "notifications"), finding(&findings, "pooler"));
        match direct {
            Some(_) => assert!(notifications.contains("pass") && pooler.contains("ALTER ROLE"), "{findings:#}"),
            None => assert!(notifications.contains("warn") && pooler.contains("database.direct_url"), "{findings:#}"),
        }
        assert!(finding(&findings, "workers").contains("pass"), "{findings:#}");
        worker.terminate();
        assert!(worker.ended().await.success(), "{}", worker.log());
        let log = worker.log();
        assert!(log.contains("pooler_found"), "{log}");
        let trouble: Vec<&str> =
            log.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).collect();
        assert!(trouble.is_empty(), "{trouble:#?}");
    }
    let issues = rig.count("SELECT count(*) FROM syncline.issue").await;
    assert_eq!(issues, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_bypass_the_pooler_or_are_refused_with_advice() {
    let Some(program) = pgbouncer() else { return };
    let pooler = Pooler::start(&program).await;
    let db = TestDb::unmigrated().await;
    let pooled = pooler.url(db.url());
    let refused = syncline(&["migrate"], &[("DATABASE_URL", &pooled)]).await;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("database.direct_url"), "{words}");
    let settings = [("DATABASE_URL", pooled.as_str()), ("SYNCLINE__DATABASE__DIRECT_URL", db.url())];
    let migrated = syncline(&["migrate"], &settings).await;
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
}
