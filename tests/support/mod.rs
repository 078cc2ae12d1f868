//! What every test of a promise stands on: a database of its own, and the program under test.
#![allow(dead_code)] // each test uses a part

pub mod alert;
pub mod alerts;
pub mod answering;
pub mod browser;
pub mod collector;
pub mod command;
mod database;
mod rig;
pub mod silent;
pub mod smtp;
pub mod toy;
mod worker;

pub use database::{TestDb, server_url};
pub use rig::{Rig, ended, enqueue};
pub use worker::{WorkerProcess, eventually};

use std::path::Path;

/// Removes what is older than it is to be kept by default; answers how many rows were removed.
pub async fn sweep(pool: &sqlx::PgPool) -> u64 {
    let retention = syncline::store::upkeep::Retention::default();
    let holder = syncline::clock::Clock::system().new_id();
    let stop = tokio_util::sync::CancellationToken::new();
    syncline::scheduler::janitor::round(&pool.clone().into(), &retention, holder, &stop).await.unwrap()
}

/// What an address answers.
pub async fn http_get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    syncline::tls::client().build()?.get(url).send().await
}

/// The `syncline` program, as built for this test run.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_syncline"))
}
