//! From the request of a run, as a client sees it, to the first byte that reaches Jira, on an idle worker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use syncline::clock::Clock;
use syncline::runtime::Worker;

use crate::stack::{self, Database};
use crate::summary::percentile;

const TRIGGERS: usize = 200;

pub async fn measure() -> Vec<(&'static str, f64)> {
    // A Jira that notes when it is asked first, and refuses: the run ends at once.
    let first: Arc<Mutex<Option<Instant>>> = Arc::default();
    let noted = Arc::clone(&first);
    let refuse = move || {
        let noted = Arc::clone(&noted);
        async move {
            noted.lock().unwrap().get_or_insert_with(Instant::now);
            (StatusCode::UNAUTHORIZED, "Client must be authenticated to access this resource.")
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });

    let (jira, projects) = stack::jira(10, Duration::ZERO).await;
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    sqlx::query("UPDATE syncline.site SET base_url = $1")
        .bind(format!("http://{address}"))
        .execute(&database.pool)
        .await
        .unwrap();
    let worker = Worker::start(&stack::config(), database.pool.clone(), Clock::system()).await.unwrap();
    stack::alive(&database, 1).await;
    let mut waits = vec![];
    for round in 0..TRIGGERS + 10 {
        *first.lock().unwrap() = None;
        let started = Instant::now();
        let run = database.enqueue(&projects[0].key, "incremental").await;
        let asked = loop {
            if let Some(asked) = *first.lock().unwrap() {
                break asked;
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        };
        if round >= 10 {
            waits.push((asked - started).as_secs_f64() * 1000.0);
        }
        while database.number("SELECT count(*) FROM syncline.sync_run WHERE state = 'running'").await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = run;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.stop().await;
    jira.stop().await;
    server.abort();
    vec![
        ("trigger_to_first_request_p50_ms", percentile(&mut waits, 0.5)),
        ("trigger_to_first_request_p99_ms", percentile(&mut waits, 0.99)),
    ]
}
