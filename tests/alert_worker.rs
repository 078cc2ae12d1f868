//! Workers keep alerts by themselves: an observation wakes them, and each message is sent once, however many there are.

use std::time::{Duration, Instant};

use syncline::clock::Clock;
use syncline::config::Config;
use syncline::domain::alert::{Observation, Scope, Signal};
use syncline::domain::failure::Severity;
use syncline::runtime::Worker;
use syncline::store::alert;

use crate::support::alerts::details;
use crate::support::{TestDb, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_observation_is_told_at_once_and_once_by_two_workers() {
    let db = TestDb::new().await;
    let mut config = Config::default();
    config.http.address = None;
    config.alerts.group_wait_seconds = 0;
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(Worker::start(&config, db.pool().clone(), Clock::system()).await.unwrap());
    }
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    eventually("two listeners", async || {
        sqlx::query_scalar::<_, i64>(listening).fetch_one(db.pool()).await.unwrap() == 2
    })
    .await;
    let began = Instant::now();
    let signal = Signal::Firing(Box::new(details(Severity::Error, 0)));
    let seen = Observation { scope: Scope::System, class: "INTERNAL".into(), signal };
    let mut tx = db.pool().begin().await.unwrap();
    alert::observe(&mut tx, Clock::system().now(), &[seen]).await.unwrap();
    tx.commit().await.unwrap();
    let delivered = "SELECT count(*) FROM syncline.alert_delivery WHERE state = 'delivered'";
    eventually("a message", async || sqlx::query_scalar::<_, i64>(delivered).fetch_one(db.pool()).await.unwrap() == 1)
        .await;
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    for worker in workers {
        worker.stop().await;
    }
    let all: i64 =
        sqlx::query_scalar("SELECT count(*) FROM syncline.alert_delivery").fetch_one(db.pool()).await.unwrap();
    assert_eq!(all, 1);
}
