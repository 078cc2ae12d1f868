//! Connecting and the schema's version: what is wrong is said, and a schema of another version is refused.

use secrecy::SecretString;
use syncline::store::{self, Error, PoolOptions};

use crate::support::{TestDb, server_url};

async fn connect(url: &str) -> Result<sqlx::PgPool, Error> {
    store::connect(&SecretString::from(url), &PoolOptions::default()).await
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let mut url = url::Url::parse(&server_url()).unwrap();
    url.set_path("no_such_database");
    let error = connect(url.as_str()).await.unwrap_err();
    assert!(matches!(&error, Error::DatabaseMissing { database, .. } if database == "no_such_database"), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_wrong_password_is_told_from_an_unreachable_server() {
    let mut url = url::Url::parse(&server_url()).unwrap();
    url.set_username("nobody_of_this_name").unwrap();
    url.set_password(Some("hunter2")).unwrap();
    let error = connect(url.as_str()).await.unwrap_err();
    assert!(matches!(&error, Error::LoginRefused { user, .. } if user == "nobody_of_this_name"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_session_that_hangs_at_its_start_is_replaced() {
    let db = TestDb::new().await;
    let mut url = url::Url::parse(db.url()).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    // Takes the first connection and says nothing; leads the others to the server.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let between = tokio::spawn(async move {
        let _silent = listener.accept().await.unwrap();
        loop {
            let (mut ours, _) = listener.accept().await.unwrap();
            let mut theirs = tokio::net::TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut ours, &mut theirs).await });
        }
    });
    let options = PoolOptions { acquire_timeout: std::time::Duration::from_secs(20), ..PoolOptions::default() };
    let pool = store::connect(&SecretString::from(url.to_string()), &options).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&pool).await.unwrap(), 1);
    between.abort();
}

#[tokio::test]
async fn sessions_give_up_locks_by_themselves() {
    let db = TestDb::new().await;
    for setting in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(db.pool()).await.unwrap();
        assert_ne!(value, "0", "{setting}");
    }
}

#[tokio::test]
async fn a_read_only_database_is_recognised() {
    let db = TestDb::new().await;
    let mut transaction = db.pool().begin().await.unwrap();
    sqlx::query("SET TRANSACTION READ ONLY").execute(&mut *transaction).await.unwrap();
    let refused = sqlx::query("CREATE TABLE syncline.scratch ()").execute(&mut *transaction).await.unwrap_err();
    let error = Error::from(refused);
    assert!(matches!(error, Error::ReadOnly(_)) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn processes_that_migrate_at_once_apply_each_migration_once() {
    let db = TestDb::unmigrated().await;
    let (one, other) = tokio::join!(store::migrate(db.pool()), store::migrate(db.pool()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.version, store::migrate::expected_version());
    assert!(one.applied.is_empty() || other.applied.is_empty(), "{one:?} {other:?}");
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM syncline.schema_migration").fetch_one(db.pool()).await.unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), one.applied.len() + other.applied.len());
    store::check_version(db.pool()).await.unwrap();
}

#[tokio::test]
async fn a_database_without_schema_asks_for_migrate() {
    let db = TestDb::unmigrated().await;
    let error = store::check_version(db.pool()).await.unwrap_err();
    assert!(matches!(error, Error::SchemaTooOld { found: 0, .. }), "{error:?}");
    assert!(error.to_string().contains("syncline migrate"));
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_workers_and_by_migrate() {
    let db = TestDb::new().await;
    record(&db, 9_999, true).await;
    for error in [store::check_version(db.pool()).await.unwrap_err(), store::migrate(db.pool()).await.unwrap_err()] {
        assert!(matches!(error, Error::SchemaTooNew { found: 9_999, .. }), "{error:?}");
        assert!(error.to_string().contains("older than the database"));
    }
}

#[tokio::test]
async fn a_migration_left_half_way_is_named() {
    let db = TestDb::new().await;
    record(&db, 9_999, false).await;
    for error in [store::check_version(db.pool()).await.unwrap_err(), store::migrate(db.pool()).await.unwrap_err()] {
        assert!(matches!(error, Error::SchemaDirty { version: 9_999 }), "{error:?}");
        assert!(error.to_string().contains("DELETE FROM syncline.schema_migration WHERE version = 9999"));
    }
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let db = TestDb::new().await;
    let edited = sqlx::query("UPDATE syncline.schema_migration SET checksum = '\\x00' WHERE version = 1");
    if edited.execute(db.pool()).await.unwrap().rows_affected() == 0 {
        assert_eq!(store::migrate::expected_version(), 0, "migration 1 must be recorded");
        return;
    }
    let error = store::check_version(db.pool()).await.unwrap_err();
    assert!(matches!(error, Error::SchemaDiffers { version: 1 }), "{error:?}");
}

async fn record(db: &TestDb, version: i64, success: bool) {
    sqlx::query(
        "INSERT INTO syncline.schema_migration (version, description, success, checksum, execution_time)
         VALUES ($1, 'from the future', $2, '', 0)",
    )
    .bind(version)
    .bind(success)
    .execute(db.pool())
    .await
    .unwrap();
}
