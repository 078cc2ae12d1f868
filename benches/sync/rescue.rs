//! A worker process is killed in the middle of its steps: how long until another one has taken over each of them.

use std::time::Duration;

use uuid::Uuid;

use crate::stack::{self, Database};
use crate::summary::percentile;

const KILLS: usize = 30;

pub async fn measure() -> Vec<(&'static str, f64)> {
    let (jira, projects) = stack::jira(2_000, Duration::from_millis(400)).await;
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    let mut survivor = stack::worker_process(&database.url);
    stack::alive(&database, 1).await;
    let mut waits = vec![];
    for _ in 0..KILLS {
        let before = owners(&database).await;
        let mut victim = stack::worker_process(&database.url);
        stack::alive(&database, 2).await;
        let owner = owners(&database).await.into_iter().find(|owner| !before.contains(owner)).unwrap();
        let run = database.enqueue(&projects[0].key, "full").await;
        let held = loop {
            let held: Vec<Uuid> =
                sqlx::query_scalar("SELECT id FROM syncline.sync_step WHERE state = 'running' AND owner = $1")
                    .bind(owner)
                    .fetch_all(&database.pool)
                    .await
                    .unwrap();
            let active = database.number("SELECT count(*) FROM syncline.sync_run WHERE state = 'running'").await > 0;
            if !held.is_empty() || !active {
                break held;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        };
        victim.kill().unwrap();
        let killed: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&database.pool).await.unwrap();
        victim.wait().unwrap();
        // What it held at the very moment of its death counts, not what it had finished since we looked.
        let held: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM syncline.sync_step WHERE id = ANY ($1) AND state = 'running' AND owner = $2",
        )
        .bind(&held)
        .bind(owner)
        .fetch_all(&database.pool)
        .await
        .unwrap();
        for id in held {
            let taken: chrono::DateTime<chrono::Utc> = loop {
                let taken = sqlx::query_scalar(
                    "SELECT claimed_at FROM syncline.sync_step WHERE id = $1 AND rescues > 0 AND owner IS DISTINCT FROM $2 AND claimed_at > $3",
                )
                .bind(id)
                .bind(owner)
                .bind(killed)
                .fetch_optional(&database.pool)
                .await
                .unwrap();
                if let Some(taken) = taken {
                    break taken;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            waits.push((taken - killed).as_seconds_f64());
        }
        database.succeeded(run).await;
        sqlx::raw_sql("DELETE FROM syncline.worker WHERE lease_until < clock_timestamp()")
            .execute(&database.pool)
            .await
            .unwrap();
    }
    survivor.kill().unwrap();
    survivor.wait().unwrap();
    jira.stop().await;
    vec![
        ("rescue_after_sigkill_p50_seconds", percentile(&mut waits, 0.5)),
        ("rescue_after_sigkill_p99_seconds", percentile(&mut waits, 0.99)),
        ("rescue_after_sigkill_samples", waits.len() as f64),
    ]
}

async fn owners(database: &Database) -> Vec<Uuid> {
    sqlx::query_scalar("SELECT id FROM syncline.worker WHERE lease_until > clock_timestamp()")
        .fetch_all(&database.pool)
        .await
        .unwrap()
}
