//! What every process that stays does: it says when the schema is newer than itself, and waits for the signal to stop.

use anyhow::Context;

use crate::observe::events;
use crate::store;

/// In the middle of an upgrade, or after a rollback, this is as it should be; at any other time somebody wants to know.
pub(super) fn warn_of_newer_schema(found: i64) {
    let expected = store::migrate::expected_version();
    if found > expected {
        tracing::warn!(
            event = events::SCHEMA_NEWER,
            found,
            expected,
            "the schema is newer than this program, and declared fit for it"
        );
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for SIGINT"),
    }
}
