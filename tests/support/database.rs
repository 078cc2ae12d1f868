//! A real PostgreSQL database of its own for every test, made from a template in some 30 ms.
//!
//! The server is the one of `SYNCLINE_TEST_DATABASE_URL`, else a cluster under `target/test-pg` that the first test starts
//! by `tests/support/postgres.sh` and that stops by itself when it has not been used for a while. The template is made
//! once for each content of `migrations/`, under a lock that holds across processes.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use syncline::store::{self, PoolOptions};

/// Serialises the making of templates and databases; any number that nobody else uses.
const LOCK: i64 = 0x73_79_6e_63_74_65_73_74;
/// Shared by the names of all databases that tests make, and by the session that keeps each of them.
const PREFIX: &str = "syncline_test_";

/// A database that lives as long as this value.
pub struct TestDb {
    pool: PgPool,
    url: String,
    name: String,
    server: String,
    /// Shows to others, by its application name, that the database is in use.
    keeper: Option<PgConnection>,
}

impl TestDb {
    /// A migrated, empty database.
    pub async fn new() -> Self {
        Self::create(true).await
    }

    /// A database without any schema, for tests of migrating.
    pub async fn unmigrated() -> Self {
        Self::create(false).await
    }

    /// A pool of five connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// `postgres://…` of this database, for programs under test.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same as a secret, as the library takes it.
    pub fn secret_url(&self) -> SecretString {
        SecretString::from(self.url.clone())
    }

    /// Makes new sessions refuse writes, as a standby does, or ends that. Sessions that are open keep what they had.
    pub async fn read_only(&self, on: bool) {
        let sql = format!(
            "ALTER DATABASE {} SET default_transaction_read_only = {}",
            self.name,
            if on { "on" } else { "off" }
        );
        let mut admin = PgConnectOptions::from_str(&self.server).unwrap().connect().await.unwrap();
        execute(&mut admin, sql).await;
    }

    async fn create(migrated: bool) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let server = server_url();
        let name = format!("{PREFIX}{}_{count}_{}", std::process::id(), nonce());
        let mut keeper = PgConnectOptions::from_str(&server)
            .expect("the test server's URL")
            .application_name(&name)
            .connect()
            .await
            .expect("the test server must be reachable");
        sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut keeper).await.expect("the lock");
        drop_left_overs(&mut keeper).await;
        let template = if migrated { template(&mut keeper, &server).await } else { "template0".to_owned() };
        // Copying files is the faster way where nothing is synced to disk; before version 15 it is the only one.
        let strategy = if keeper.server_version_num() >= Some(150_000) { "STRATEGY file_copy" } else { "" };
        execute(&mut keeper, format!("CREATE DATABASE {name} TEMPLATE {template} {strategy}")).await;
        sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK).execute(&mut keeper).await.expect("the lock");
        let url = with_database(&server, &name);
        let pool = connect(&url, 5).await;
        Self { pool, url, name, server, keeper: Some(keeper) }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (name, server, keeper) = (self.name.clone(), self.server.clone(), self.keeper.take());
        // A runtime of its own: the test's may be unwinding. What cannot be dropped is dropped by a later test.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                if let Ok(mut admin) = PgConnection::connect(&server).await {
                    let sql = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                    sqlx::query(sql).execute(&mut admin).await.ok();
                }
            });
        });
        dropper.join().ok();
        drop(keeper);
    }
}

/// `postgres://…` of the server that tests use, started when it is not running.
pub fn server_url() -> String {
    static URL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    URL.get_or_init(|| match std::env::var("SYNCLINE_TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => start_server(),
    })
    .clone()
}

fn start_server() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/test-pg");
    std::fs::create_dir_all(&folder).expect("target/test-pg can be made");
    // Hundreds of test processes start at once: one of them starts the server, the others wait here.
    let lock = File::create(folder.join("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let output = Command::new(root.join("tests/support/postgres.sh"))
        .args(["start".as_ref(), folder.as_os_str()])
        .output()
        .expect("tests/support/postgres.sh can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "no PostgreSQL for the tests: {errors}");
    String::from_utf8(output.stdout).expect("a URL").trim().to_owned()
}

/// The migrated database that others are copied from. Called under [`LOCK`].
async fn template(admin: &mut PgConnection, server: &str) -> String {
    let name = format!("syncline_template_{}", store::migrate::fingerprint());
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut *admin)
        .await
        .expect("the list of databases");
    if !exists {
        let building = format!("{name}_building");
        execute(admin, format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)")).await;
        execute(admin, format!("CREATE DATABASE {building} TEMPLATE template0")).await;
        let pool = connect(&with_database(server, &building), 1).await;
        store::migrate(&pool).await.expect("the migrations apply to an empty database");
        pool.close().await;
        // Nobody may connect to a template while it is being copied, the server's own housekeeping included.
        execute(admin, format!("ALTER DATABASE {building} ALLOW_CONNECTIONS false")).await;
        execute(admin, format!("ALTER DATABASE {building} RENAME TO {name}")).await;
    }
    name
}

/// Removes databases of test processes that were killed. Called under [`LOCK`].
async fn drop_left_overs(admin: &mut PgConnection) {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database
         WHERE starts_with(datname::text, $1)
           AND NOT EXISTS (
               SELECT FROM pg_stat_activity AS session
               WHERE session.application_name = pg_database.datname OR session.datname = pg_database.datname
           )",
    )
    .bind(PREFIX)
    .fetch_all(&mut *admin)
    .await
    .expect("the list of databases");
    for name in names {
        let sql = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        sqlx::query(sql).execute(&mut *admin).await.ok();
    }
}

async fn connect(url: &str, max_connections: u32) -> PgPool {
    let options = PoolOptions { max_connections, ..PoolOptions::default() };
    store::connect(&SecretString::from(url.to_owned()), &options).await.expect("the test's database")
}

async fn execute(connection: &mut PgConnection, sql: String) {
    let result = sqlx::query(AssertSqlSafe(sql.clone())).execute(connection).await;
    assert!(result.is_ok(), "{sql}: {result:?}");
}

fn with_database(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).expect("the test server's URL");
    url.set_path(name);
    url.to_string()
}

/// Keeps names apart when process ids repeat, as they do in containers that share a server.
fn nonce() -> String {
    syncline::clock::Clock::system().new_id().simple().to_string().chars().skip(24).collect()
}
