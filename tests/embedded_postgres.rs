//! The private cluster: kept between runs, joined by others, and whole again after whatever was killed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::postgres::{Cluster, ClusterOptions, Error};
use syncline::store::{self, PoolOptions};
use tempfile::TempDir;

/// Set for the process that is to be killed: the folder of the cluster that it owns.
const FOLDER: &str = "SYNCLINE_TEST_CLUSTER_FOLDER";

#[tokio::test]
async fn data_and_address_are_kept_between_runs() {
    let folder = folder(0o755);
    let cluster = start(folder.path()).await;
    let url = cluster.url().expose_secret().to_owned();
    assert!(!cluster.joined());
    write_row(&cluster).await;
    cluster.stop().await;

    let cluster = start(folder.path()).await;
    assert_eq!(rows(&cluster).await, 1);
    assert_eq!(cluster.url().expose_secret(), url);
    cluster.stop().await;
}

#[tokio::test]
async fn the_password_is_shown_to_nobody() {
    let folder = folder(0o755);
    let cluster = start(folder.path()).await;
    let url = url::Url::parse(cluster.url().expose_secret()).unwrap();
    let password = url.password().unwrap().to_owned();
    assert_eq!(password.len(), 32);
    assert!(!format!("{cluster:?}").contains(&password));
    let mode = std::fs::metadata(folder.path().join("connection.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    cluster.stop().await;
    let log = std::fs::read_to_string(folder.path().join("postgres.log")).unwrap();
    assert!(!log.contains(&password));
}

#[tokio::test]
async fn a_second_command_joins_the_running_cluster() {
    let folder = folder(0o755);
    // Both at once: whoever comes first owns.
    let (one, other) = tokio::join!(start(folder.path()), start(folder.path()));
    assert_ne!(one.joined(), other.joined());
    let (owner, joiner) = if one.joined() { (other, one) } else { (one, other) };
    write_row(&owner).await;
    assert_eq!(rows(&joiner).await, 1);
    joiner.stop().await;
    assert_eq!(rows(&owner).await, 1, "a joiner that leaves takes nothing along");
    owner.stop().await;
}

#[tokio::test]
async fn a_killed_server_comes_back_with_all_that_was_committed() {
    let folder = folder(0o755);
    let cluster = start(folder.path()).await;
    write_row(&cluster).await;
    let killed = postmaster(folder.path()).unwrap();
    kill(&killed);
    wait_for("another server", || postmaster(folder.path()).is_some_and(|pid| pid != killed)).await;
    let pool = reconnect(&cluster).await;
    assert_eq!(count(&pool).await, 1);
    cluster.stop().await;
    assert_eq!(postmaster(folder.path()), None);
}

#[tokio::test]
async fn a_server_does_not_outlive_its_killed_owner() {
    let folder = folder(0o755);
    let mut owner = spawn_owner(folder.path()).await;
    let joiner = start(folder.path()).await;
    assert!(joiner.joined());
    write_row(&joiner).await;
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for("the end of the server", || postmaster(folder.path()).is_none()).await;
    let cluster = start(folder.path()).await;
    assert!(!cluster.joined());
    assert_eq!(rows(&cluster).await, 1);
    cluster.stop().await;
}

#[tokio::test]
async fn an_orphaned_server_is_replaced_by_the_next_owner() {
    let folder = folder(0o755);
    let mut owner = spawn_owner(folder.path()).await;
    let joiner = start(folder.path()).await;
    write_row(&joiner).await;
    let pattern = format!("syncline-watchdog {}", folder.path().join("data").display());
    let watchdogs = Command::new("pgrep").args(["-f", &pattern]).output().unwrap();
    for pid in String::from_utf8(watchdogs.stdout).unwrap().lines() {
        kill(pid);
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    let orphan = postmaster(folder.path()).expect("nobody is left to stop it");
    let cluster = start(folder.path()).await;
    assert!(!cluster.joined());
    assert_ne!(postmaster(folder.path()).unwrap(), orphan);
    assert_eq!(rows(&cluster).await, 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_lock_file_with_a_reused_process_id_is_no_obstacle() {
    let folder = folder(0o755);
    start(folder.path()).await.stop().await;
    // This test's own id: alive, and not a server of the folder.
    let stale = format!("{}\n{}\n1\n5432\n\n127.0.0.1\n0\nready\n", std::process::id(), folder.path().display());
    std::fs::write(folder.path().join("data/postmaster.pid"), stale).unwrap();
    start(folder.path()).await.stop().await;
}

#[tokio::test]
async fn data_survive_the_loss_of_the_password() {
    let folder = folder(0o755);
    let cluster = start(folder.path()).await;
    write_row(&cluster).await;
    cluster.stop().await;
    std::fs::remove_file(folder.path().join("connection.json")).unwrap();
    let cluster = start(folder.path()).await;
    assert_eq!(rows(&cluster).await, 1);
    cluster.stop().await;
}

#[tokio::test]
async fn an_initialisation_that_was_killed_is_done_again() {
    let folder = folder(0o755);
    std::fs::create_dir_all(folder.path().join("data.new/base")).unwrap();
    start(folder.path()).await.stop().await;
    assert!(!folder.path().join("data.new").exists());
}

#[tokio::test]
async fn a_port_that_was_taken_meanwhile_is_replaced() {
    let folder = folder(0o755);
    let cluster = start(folder.path()).await;
    let port = url::Url::parse(cluster.url().expose_secret()).unwrap().port().unwrap();
    cluster.stop().await;
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let cluster = start(folder.path()).await;
    assert_ne!(url::Url::parse(cluster.url().expose_secret()).unwrap().port().unwrap(), port);
    write_row(&cluster).await;
    cluster.stop().await;
}

#[tokio::test]
async fn below_a_private_home_root_puts_the_data_elsewhere() {
    let folder = folder(0o700);
    let cluster = start(folder.path()).await;
    write_row(&cluster).await;
    cluster.stop().await;
    let data = folder.path().join("data");
    if let Ok(elsewhere) = std::fs::read_link(&data) {
        assert!(elsewhere.starts_with("/var/lib/syncline"), "{elsewhere:?}");
        let cluster = start(folder.path()).await;
        assert_eq!(rows(&cluster).await, 1);
        cluster.stop().await;
        std::fs::remove_dir_all(elsewhere).unwrap();
    } else {
        assert!(data.join("PG_VERSION").exists(), "only root has to go elsewhere");
    }
}

#[tokio::test]
async fn a_machine_without_postgres_is_told_how_to_get_it() {
    let (folder, empty) = (folder(0o755), tempfile::tempdir().unwrap());
    let options = ClusterOptions { data_dir: folder.path().to_owned(), bin_dir: Some(empty.path().to_owned()) };
    let error = Cluster::start_or_join(&options, &Clock::system()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("apt-get install postgresql"), "{error}");
}

/// Not a promise: the process that two tests above kill.
#[tokio::test]
#[ignore = "started by other tests"]
async fn owner_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let _cluster = start(Path::new(&folder)).await;
    std::future::pending::<()>().await;
}

/// Starts a process that owns the folder's cluster, and waits until it does.
async fn spawn_owner(folder: &Path) -> std::process::Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded_postgres::owner_to_be_killed", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let connection = folder.join("connection.json");
    let is_ready = || std::fs::read_to_string(&connection).is_ok_and(|text| text.contains("\"ready\":true"));
    wait_for("the owner", is_ready).await;
    child
}

fn folder(mode: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    folder
}

async fn start(folder: &Path) -> Cluster {
    let options = ClusterOptions { data_dir: folder.to_owned(), bin_dir: None };
    Cluster::start_or_join(&options, &Clock::system()).await.unwrap()
}

async fn pool(cluster: &Cluster) -> PgPool {
    store::connect(cluster.url(), &PoolOptions::default()).await.unwrap()
}

/// A server that recovers is not there for a moment.
async fn reconnect(cluster: &Cluster) -> PgPool {
    for _ in 0..600 {
        match store::connect(cluster.url(), &PoolOptions::default()).await {
            Ok(pool) => return pool,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server did not come back");
}

async fn write_row(cluster: &Cluster) {
    let pool = pool(cluster).await;
    sqlx::query("CREATE TABLE kept (id int)").execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO kept VALUES (1)").execute(&pool).await.unwrap();
}

async fn rows(cluster: &Cluster) -> i64 {
    count(&pool(cluster).await).await
}

async fn count(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(pool).await.unwrap()
}

/// The process id of the folder's server.
fn postmaster(folder: &Path) -> Option<String> {
    let file: PathBuf = folder.join("data/postmaster.pid");
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().next().map(str::to_owned)
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success(), "kill {pid}");
}

async fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..600 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for {what}");
}
