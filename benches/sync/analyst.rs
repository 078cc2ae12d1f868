//! What analysts wait for: 100,000 issues of ten projects with 583,000 entries of history, asked as dashboards and extracts ask.

use std::time::Instant;

use sqlx::{AssertSqlSafe, PgPool};

use crate::summary::median;
use crate::support::TestDb;

const ISSUES: usize = 100_000;
const ROUNDS: usize = 3;

const QUESTIONS: &[(&str, &str)] = &[
    (
        "analyst_open_by_status_seconds",
        "SELECT status, count(*) FROM jira.issue_flat WHERE status_category <> 'done' GROUP BY status",
    ),
    ("analyst_cycle_time_seconds", "SELECT count(cycle_hours), avg(cycle_hours) FROM jira.issue_cycle_time"),
    ("analyst_time_in_status_seconds", "SELECT status, sum(hours) FROM jira.issue_time_in_status GROUP BY status"),
    ("analyst_velocity_seconds", "SELECT * FROM jira.sprint_velocity"),
    ("analyst_extract_seconds", "COPY (SELECT * FROM jira.issue_flat) TO STDOUT"),
    ("analyst_one_project_seconds", "COPY (SELECT * FROM jira.issue_flat WHERE project_key = 'P3') TO STDOUT"),
];

pub async fn measure() -> Vec<(&'static str, f64)> {
    let db = TestDb::new().await;
    let stock = include_str!("analyst.sql").replace(":issues", &ISSUES.to_string());
    sqlx::raw_sql(AssertSqlSafe(stock)).execute(db.pool()).await.unwrap();
    // Index-only scans need to know which pages everybody sees.
    sqlx::raw_sql("VACUUM ANALYZE").execute(db.pool()).await.unwrap();
    let mut figures = Vec::new();
    for &(name, sql) in QUESTIONS {
        let mut seconds = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            ask(db.pool(), sql).await;
            seconds.push(start.elapsed().as_secs_f64());
        }
        figures.push((name, median(&mut seconds)));
    }
    figures
}

async fn ask(pool: &PgPool, sql: &'static str) {
    use futures::StreamExt;
    let mut connection = pool.acquire().await.unwrap();
    if sql.starts_with("COPY") {
        let mut rows = connection.copy_out_raw(sql).await.unwrap();
        while let Some(part) = rows.next().await {
            part.unwrap();
        }
    } else {
        sqlx::query(sql).fetch_all(&mut *connection).await.unwrap();
    }
}
