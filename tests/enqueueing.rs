//! The way in by SQL: an id at once, in the caller's transaction, and clear refusals.

use sqlx::PgPool;
use uuid::Uuid;

use crate::support::TestDb;

async fn project(pool: &PgPool, site: &str, key: &str) {
    sqlx::query(
        "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                    VALUES (syncline.new_id(), $1, 'http://x', 'x@example.com', 'env:X') ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id)
         INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), id, $2 FROM s",
    )
    .bind(site)
    .bind(key)
    .execute(pool)
    .await
    .unwrap();
}

async fn request(pool: &PgPool, project: &str, kind: &str) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("SELECT syncline.enqueue_sync($1, kind => $2, requested_by => 'ana')")
        .bind(project)
        .bind(kind)
        .fetch_one(pool)
        .await
}

/// The message and the hint of a refusal.
fn refusal(error: sqlx::Error) -> (String, String) {
    let error = error.into_database_error().unwrap();
    let error = error.downcast_ref::<sqlx::postgres::PgDatabaseError>();
    (error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_request_is_a_run_with_its_first_step() {
    let db = TestDb::new().await;
    project(db.pool(), "acme", "ACME").await;
    let run = request(db.pool(), "acme", "full").await.unwrap();
    let (state, by, kind): (String, String, String) =
        sqlx::query_as("SELECT state, requested_by, kind FROM syncline.sync_run WHERE id = $1")
            .bind(run)
            .fetch_one(db.pool())
            .await
            .unwrap();
    assert_eq!((state.as_str(), by.as_str(), kind.as_str()), ("running", "ana", "full"));
    let steps: Vec<String> =
        sqlx::query_scalar("SELECT kind || ' ' || state FROM syncline.sync_step WHERE run_id = $1")
            .bind(run)
            .fetch_all(db.pool())
            .await
            .unwrap();
    assert_eq!(steps, ["plan_run ready"]);
    assert_eq!(run.get_version_num(), 7);
    let traced: bool = sqlx::query_scalar(
        "SELECT bool_and(s.trace_context = r.trace_context AND r.trace_context ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-01$')
           FROM syncline.sync_run r JOIN syncline.sync_step s ON s.run_id = r.id",
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert!(traced, "run and step carry one trace context");
}

#[tokio::test]
async fn requests_during_a_run_share_the_next_and_the_wider_wins() {
    let db = TestDb::new().await;
    project(db.pool(), "acme", "ACME").await;
    let first = request(db.pool(), "ACME", "incremental").await.unwrap();
    let second = request(db.pool(), "ACME", "incremental").await.unwrap();
    let third = request(db.pool(), "acme/acme", "full").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(second, third);
    let (state, kind): (String, String) = sqlx::query_as("SELECT state, kind FROM syncline.sync_run WHERE id = $1")
        .bind(second)
        .fetch_one(db.pool())
        .await
        .unwrap();
    assert_eq!((state.as_str(), kind.as_str()), ("queued", "full"));
}

#[tokio::test]
async fn a_request_is_part_of_the_callers_transaction() {
    let db = TestDb::new().await;
    project(db.pool(), "acme", "ACME").await;
    let mut tx = db.pool().begin().await.unwrap();
    let _: Uuid = sqlx::query_scalar("SELECT syncline.enqueue_sync('ACME')").fetch_one(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    let runs: i64 = sqlx::query_scalar("SELECT count(*) FROM syncline.sync_run").fetch_one(db.pool()).await.unwrap();
    assert_eq!(runs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_requests_make_one_active_run_and_one_that_waits() {
    let db = TestDb::new().await;
    project(db.pool(), "acme", "ACME").await;
    let requests = (0..16).map(|_| request(db.pool(), "ACME", "incremental"));
    let mut ids: Vec<Uuid> = futures::future::join_all(requests).await.into_iter().map(Result::unwrap).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2);
    let states: Vec<String> =
        sqlx::query_scalar("SELECT state FROM syncline.sync_run ORDER BY state").fetch_all(db.pool()).await.unwrap();
    assert_eq!(states, ["queued", "running"]);
}

#[tokio::test]
async fn refused_requests_for_runs_give_advice() {
    let db = TestDb::new().await;
    project(db.pool(), "acme", "ACME").await;
    let (message, hint) = refusal(request(db.pool(), "NOPE", "full").await.unwrap_err());
    assert!(message.contains("unknown project \"NOPE\"") && hint.contains("project list"), "{message} {hint}");
    let (message, hint) = refusal(request(db.pool(), "ACME", "everything").await.unwrap_err());
    assert!(message.contains("unknown kind \"everything\"") && hint.contains("'full'"), "{message} {hint}");
    sqlx::query("UPDATE syncline.project SET state = 'paused'").execute(db.pool()).await.unwrap();
    let (message, hint) = refusal(request(db.pool(), "ACME", "full").await.unwrap_err());
    assert!(message.contains("paused") && hint.contains("project resume ACME"), "{message} {hint}");
    project(db.pool(), "other", "ACME").await;
    let (message, hint) = refusal(request(db.pool(), "ACME", "full").await.unwrap_err());
    assert!(message.contains("several sites: acme/ACME, other/ACME") && hint.contains("SITE/KEY"), "{message} {hint}");
}
