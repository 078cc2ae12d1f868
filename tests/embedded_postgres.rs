//! The private cluster: kept between runs, shared by its users, and whole again after whatever was killed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::PgPool;
use syncline::postgres::{Cluster, ClusterOptions, Error};
use syncline::store::{self, PoolOptions};
use tempfile::TempDir;

use crate::support::program;

/// Set for the process that is to be killed: the folder of the cluster that it uses.
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
    // Both at once: whoever comes first starts it.
    let (one, other) = tokio::join!(start(folder.path()), start(folder.path()));
    assert_ne!(one.joined(), other.joined());
    write_row(&one).await;
    assert_eq!(rows(&other).await, 1);
    let (first, last) = if one.joined() { (other, one) } else { (one, other) };
    first.stop().await;
    assert_eq!(rows(&last).await, 1, "who started it takes nothing along");
    last.stop().await;
    assert_eq!(postmaster(folder.path()), None, "the last one ends it");
}

#[tokio::test]
async fn a_killed_user_takes_the_server_from_nobody() {
    let folder = folder(0o755);
    let mut first = spawn_user(folder.path()).await;
    let cluster = start(folder.path()).await;
    assert!(cluster.joined());
    let server = postmaster(folder.path());
    let pool = pool(&cluster).await;
    first.kill().unwrap();
    first.wait().unwrap();
    write_row(&cluster).await;
    assert_eq!(count(&pool).await, 1, "the connection from before is still good");
    pool.close().await;
    assert_eq!(postmaster(folder.path()), server);
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_whose_users_were_all_killed_ends() {
    let folder = folder(0o755);
    let mut user = spawn_user(folder.path()).await;
    user.kill().unwrap();
    user.wait().unwrap();
    wait_for("the end of the server", || postmaster(folder.path()).is_none()).await;
    let cluster = start(folder.path()).await;
    assert!(!cluster.joined());
    cluster.stop().await;
}

#[tokio::test]
async fn a_command_that_follows_finds_the_server_running() {
    let folder = folder(0o755);
    drop(start(folder.path()).await);
    let cluster = start(folder.path()).await;
    assert!(cluster.joined());
    cluster.stop().await;
}

#[tokio::test]
async fn a_killed_keeper_is_replaced_on_the_same_port() {
    let folder = folder(0o755);
    let cluster = start(folder.path()).await;
    write_row(&cluster).await;
    let server = postmaster(folder.path()).unwrap();
    kill(&keeper(folder.path()));
    let is_new = || postmaster(folder.path()).is_some_and(|pid| pid != server);
    wait_for("another server", is_new).await;
    let pool = reconnect(&cluster).await;
    assert_eq!(count(&pool).await, 1);
    pool.close().await;
    cluster.stop().await;
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
async fn a_server_does_not_outlive_its_killed_keeper() {
    let folder = folder(0o755);
    drop(start(folder.path()).await);
    kill(&keeper(folder.path()));
    wait_for("the end of the server", || postmaster(folder.path()).is_none()).await;
}

#[tokio::test]
async fn an_orphaned_server_is_replaced_by_the_next_keeper() {
    let folder = folder(0o755);
    let cluster = start(folder.path()).await;
    write_row(&cluster).await;
    let pattern = format!("syncline-watchdog {}", folder.path().join("data").display());
    processes(&pattern).iter().for_each(|pid| kill(pid));
    let orphan = postmaster(folder.path()).unwrap();
    kill(&keeper(folder.path()));
    wait_for("another server", || postmaster(folder.path()).is_some_and(|pid| pid != orphan)).await;
    let pool = reconnect(&cluster).await;
    assert_eq!(count(&pool).await, 1);
    pool.close().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_removed_folder_ends_its_server() {
    let folder = folder(0o755);
    let _cluster = start(folder.path()).await;
    let keeper = keeper(folder.path());
    let data = folder.path().join("data").canonicalize().unwrap();
    folder.close().unwrap();
    wait_for("the end of the keeper", || !Path::new("/proc").join(&keeper).exists()).await;
    assert!(processes(&format!("postgres -D {}", data.display())).is_empty());
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
    let options = ClusterOptions { bin_dir: Some(empty.path().to_owned()), ..ClusterOptions::new(folder.path()) };
    let error = Cluster::start_or_join(&options).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("apt-get install postgresql"), "{error}");
}

/// Not a promise: the process that tests above kill.
#[tokio::test]
#[ignore = "started by other tests"]
async fn user_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let _cluster = start(Path::new(&folder)).await;
    std::future::pending::<()>().await;
}

/// Starts a process that uses the folder's cluster, and waits until it does.
async fn spawn_user(folder: &Path) -> std::process::Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded_postgres::user_to_be_killed", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let connection = folder.join("connection.json");
    let is_ready = || std::fs::read_to_string(&connection).is_ok_and(|text| text.contains("\"ready\":true"));
    wait_for("the user", is_ready).await;
    child
}

/// The process id of the folder's keeper.
fn keeper(folder: &Path) -> String {
    let found = processes(&format!("keep-private-server {}", folder.canonicalize().unwrap().display()));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// The ids of processes by their command line.
fn processes(pattern: &str) -> Vec<String> {
    let found = Command::new("pgrep").args(["-f", pattern]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn folder(mode: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    folder
}

async fn start(folder: &Path) -> Cluster {
    let options = ClusterOptions { program: Some(program().into()), ..ClusterOptions::new(folder) };
    Cluster::start_or_join(&options).await.unwrap()
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
