//! What a shell offers for a word that is being typed: names and ids out of the database.
//!
//! What must hold: a shell is never kept waiting for longer than [`LONGEST`], nothing is started, and whatever goes wrong
//! offers nothing and says nothing.

use std::ffi::OsString;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use sqlx::PgPool;

use super::Cli;
use crate::config::{self, Sources};
use crate::domain::display;
use crate::postgres::Cluster;
use crate::store::{self, candidates};

/// How long the database is waited for.
const LONGEST: Duration = Duration::from_millis(1_500);
/// The environment variable by which a shell's script asks.
pub(super) const VARIABLE: &str = "COMPLETE";

/// Answers a shell that asks what fits, and says whether one did.
pub(super) fn answer() -> bool {
    let words: Vec<OsString> = std::env::args_os().collect();
    let here = std::env::current_dir().ok();
    let engine = CompleteEnv::with_factory(Cli::command).var(VARIABLE);
    matches!(engine.try_complete(words, here.as_deref()), Ok(true))
}

/// Projects as SITE/KEY and, where it is the only one of that key, KEY.
pub(super) fn projects() -> ArgValueCandidates {
    ArgValueCandidates::new(|| of(|pool| Box::pin(async move { candidates::projects(&pool).await })))
}

/// Projects, and words that may stand behind them.
pub(super) fn projects_and(words: &'static [&'static str]) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let mut found = of(|pool| Box::pin(async move { candidates::projects(&pool).await }));
        found.extend(words.iter().map(|word| CompletionCandidate::new(*word)));
        found
    })
}

/// Sites.
pub(super) fn sites() -> ArgValueCandidates {
    ArgValueCandidates::new(|| of(|pool| Box::pin(async move { candidates::sites(&pool).await })))
}

/// The newest runs, and `latest` of each project.
pub(super) fn runs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| with_latest(of(|pool| Box::pin(async move { candidates::runs(&pool).await }))))
}

/// Steps that nobody tries any more.
pub(super) fn steps() -> ArgValueCandidates {
    ArgValueCandidates::new(|| of(|pool| Box::pin(async move { candidates::dead_steps(&pool).await })))
}

/// Alerts, open ones first.
pub(super) fn alerts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| with_latest(of(|pool| Box::pin(async move { candidates::alerts(&pool).await }))))
}

/// Channels that alerts are told by.
pub(super) fn channels() -> ArgValueCandidates {
    ArgValueCandidates::new(|| of(|pool| Box::pin(async move { candidates::channels(&pool).await })))
}

/// Settings that can be stored.
pub(super) fn settings() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        crate::domain::setting::KEYS
            .iter()
            .map(|key| CompletionCandidate::new(key.name).help(Some(key.meaning.into())))
            .collect()
    })
}

/// Settings with the sign behind which the value is written.
pub(super) fn assignments() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        crate::domain::setting::KEYS
            .iter()
            .map(|key| CompletionCandidate::new(format!("{}=", key.name)).help(Some(key.meaning.into())))
            .collect()
    })
}

fn with_latest(mut found: Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
    found.insert(
        0,
        CompletionCandidate::new("latest").help(Some(
            "the newest one; KEY@latest for that of a \
        project"
                .into(),
        )),
    );
    found
}

type Ask = fn(PgPool) -> futures::future::BoxFuture<'static, store::Result<Vec<(String, String)>>>;

/// What the database knows; nothing where it does not answer in time.
fn of(ask: Ask) -> Vec<CompletionCandidate> {
    // A runtime of its own: the program has none yet.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let found = runtime.block_on(async { tokio::time::timeout(LONGEST, look(ask)).await });
    runtime.shutdown_background();
    let found = found.ok().flatten().unwrap_or_default();
    found
        .into_iter()
        .map(|(value, about)| {
            let about = display::line(&about).into_owned();
            CompletionCandidate::new(value).help((!about.is_empty()).then(|| about.into()))
        })
        .collect()
}

async fn look(ask: Ask) -> Option<Vec<(String, String)>> {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut sources = Sources { file: said(&words, "--config").map(Into::into), ..Sources::of_process() };
    if let Some(url) = said(&words, "--database-url") {
        sources.flags.push(("--database-url", "database.url", url));
    }
    let config = config::load(&sources).ok()?.config;
    let url = match config.database.url {
        Some(url) => url,
        None => Cluster::running(&config.database.private_folder())?,
    };
    let options = store::PoolOptions { max_connections: 1, first_timeout: LONGEST, ..store::PoolOptions::default() };
    let pool = store::connect(&url, &options).await.ok()?;
    ask(pool).await.ok()
}

/// The value of a flag that was typed already.
fn said(words: &[String], flag: &str) -> Option<String> {
    let at = words.iter().position(|word| word == flag);
    let joined = words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('=').map(str::to_owned));
    joined.or_else(|| words.get(at? + 1).cloned())
}
