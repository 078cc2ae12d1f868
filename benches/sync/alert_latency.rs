//! From the end of the run that makes a condition, to the alert; and from the first success to the restored cadence. Real
//! time, a real worker, a simulated Jira that suspends its site.

use std::time::Duration;

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{FaultKind, FaultPlan, FaultRule};

use crate::stack::{self, Database};
use crate::summary::percentile;

const ROUNDS: usize = 30;

pub async fn measure() -> Vec<(&'static str, f64)> {
    let (jira, projects) = stack::jira(30, Duration::ZERO).await;
    let mut database = Database::new().await;
    database.register(&jira, &projects).await;
    sqlx::query("INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), site_id, 'OTHER' FROM syncline.project LIMIT 1")
        .execute(&database.pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '0 0 1 1 *', now() + interval '300 days', now() + interval '300 days' FROM syncline.project ON CONFLICT DO NOTHING",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let worker = Worker::start(&stack::config(), database.pool.clone(), Clock::system()).await.unwrap();
    stack::alive(&database, 1).await;
    let (mut detected, mut restored) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let suspended = FaultRule {
            kind: FaultKind::PaymentRequired,
            after: 0,
            requests: None,
            path: None,
            retry_after_seconds: None,
        };
        jira.control().set_faults(FaultPlan { rules: vec![suspended], ..FaultPlan::default() });
        for project in [projects[0].key.as_str(), "OTHER"] {
            database.enqueue(project, "incremental").await;
        }
        let seen = "SELECT extract(epoch FROM clock_timestamp() - (SELECT max(finished_at) FROM syncline.sync_run))::float8
                      FROM syncline.alert WHERE state IN ('pending', 'open') AND cleared_at IS NULL AND scope_kind = 'site'";
        detected.push(first(&mut database, seen).await);
        jira.control().set_faults(FaultPlan::default());
        database.enqueue(&projects[0].key, "incremental").await;
        let back = "SELECT extract(epoch FROM clock_timestamp() - (SELECT max(finished_at) FROM syncline.sync_run WHERE state = 'succeeded'))::float8
                     WHERE NOT EXISTS (SELECT 1 FROM syncline.schedule WHERE hold IS NOT NULL)
                       AND NOT EXISTS (SELECT 1 FROM syncline.sync_run WHERE finished_at IS NULL)";
        restored.push(first(&mut database, back).await);
    }
    worker.stop().await;
    vec![
        ("alert_detection_p50_seconds_after_threshold", percentile(&mut detected, 0.5)),
        ("alert_detection_p99_seconds_after_threshold", percentile(&mut detected, 0.99)),
        ("restore_after_first_success_seconds", percentile(&mut restored, 0.99)),
    ]
}

/// Asks until there is an answer.
async fn first(database: &mut Database, sql: &'static str) -> f64 {
    loop {
        if let Some(seconds) = sqlx::query_scalar::<_, f64>(sql).fetch_optional(&database.pool).await.unwrap() {
            return seconds;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
