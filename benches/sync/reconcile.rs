//! The most memory a worker process takes to compare a million ids.

use std::time::{Duration, Instant};

use crate::memory::peak_mebibytes;
use crate::stack::{self, Database};

const ISSUES: u32 = 1_000_000;
/// The replica shows one more in a thousand than Jira does.
const GONE: i64 = 1_000;

pub async fn measure() -> Vec<(&'static str, f64)> {
    let (jira, projects) = stack::jira(ISSUES, Duration::ZERO).await;
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    fill(&database, &jira.control().issue_ids(&projects[0].key)).await;
    let mut worker = stack::worker_process(&database.url);
    stack::alive(&database, 1).await;
    let started = Instant::now();
    let run: uuid::Uuid = sqlx::query_scalar("SELECT syncline.request_reconcile($1)")
        .bind(&projects[0].key)
        .fetch_one(&database.pool)
        .await
        .unwrap();
    database.succeeded(run).await;
    let seconds = started.elapsed().as_secs_f64();
    let peak = peak_mebibytes(worker.id());
    worker.kill().unwrap();
    worker.wait().unwrap();
    jira.stop().await;
    assert_eq!(database.number("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NOT NULL").await, GONE);
    vec![("reconcile_1m_ids_peak_rss_mebibytes", peak), ("reconcile_1m_ids_seconds", seconds)]
}

/// A replica that was complete yesterday, and some issues that Jira does not have.
async fn fill(database: &Database, ids: &[u64]) {
    for ids in ids.chunks(100_000) {
        let ids: Vec<i64> = ids.iter().map(|id| i64::try_from(*id).unwrap()).collect();
        insert(database, &ids).await;
    }
    let gone: Vec<i64> = (1..=GONE).map(|n| 5_000_000_000 + n).collect();
    insert(database, &gone).await;
    // Cursors of tomorrow: the run has nothing to read but ids.
    sqlx::query(
        "INSERT INTO syncline.sync_state (project_id, entity, cursor_at, status)
         SELECT id, e, now() + interval '1 day', 'succeeded'
           FROM syncline.project, unnest(ARRAY['issue', 'comment', 'worklog', 'changelog']) e",
    )
    .execute(&database.pool)
    .await
    .unwrap();
}

async fn insert(database: &Database, ids: &[i64]) {
    sqlx::query(
        "INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, created_at, updated_at, content_hash, synced_at)
         SELECT p.site_id, n, p.id, p.key || '-' || n, 'x', 'Bug', 'Open', 'new', '2020-01-01Z', '2020-01-01Z', '', now()
           FROM syncline.project p, unnest($1::int8[]) n",
    )
    .bind(ids)
    .execute(&database.pool)
    .await
    .unwrap();
}
