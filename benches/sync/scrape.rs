//! What a scrape costs of a worker with ten thousand projects, when it has to ask the database.

use std::time::{Duration, Instant};

use crate::stack::Database;
use crate::summary::percentile;
use crate::support::WorkerProcess;

const SCRAPES: usize = 11;
/// Answers of the database are used again for so long.
const KEPT: Duration = Duration::from_millis(5_100);

pub async fn measure() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         VALUES (syncline.new_id(), 'sim', 'http://127.0.0.1:9', 'bot@example.com', 'env:NONE');
         INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), id, 'P' || n FROM syncline.site, generate_series(1, 10000) n;
         INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at, last_slot_at)
         SELECT id, '0 0 1 1 *', now() + interval '1 day', now() + interval '1 day', now() FROM syncline.project;
         INSERT INTO syncline.sync_state (project_id, entity, cursor_at, last_sync_time)
         SELECT id, e, now(), now() FROM syncline.project, unnest(ARRAY['issue', 'comment', 'worklog']) e;
         INSERT INTO syncline.sync_step (id, queue, kind, key, state, ready_at)
         SELECT syncline.new_id(), 'jira', 'none', n::text, 'later', now() + interval '1 day' FROM generate_series(1, 10000) n;
         -- As autovacuum does within a minute.
         ANALYZE;",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let worker = WorkerProcess::start(&database.url, &[]).await;
    let mut milliseconds = Vec::new();
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        tokio::time::sleep(KEPT).await;
        let asked = Instant::now();
        let (status, text) = worker.get("/metrics").await.unwrap();
        milliseconds.push(asked.elapsed().as_secs_f64() * 1000.0);
        assert!(status == 200 && text.contains("project=\"other\""), "the gauges of the database are there");
        bytes = text.len();
    }
    // A middle value: what a scrape costs, not what else the machine does.
    vec![
        ("metrics_scrape_10000_projects_ms", percentile(&mut milliseconds, 0.5)),
        ("metrics_scrape_10000_projects_kibibytes", bytes as f64 / 1024.0),
    ]
}
