//! The functions that record metrics; the only place of the raw macros.
//!
//! What must hold: a label is a `FailureCode`, one of the `&'static str`s of an enumeration, or a site's configured name
//! (bounded in number). Nothing here fails or waits; without an installed recorder every function does nothing.

#![allow(clippy::disallowed_macros)] // the one place that may

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::catalog;
pub use super::exporter::{InstallError, install, render, upkeep};
pub use super::gauges::{AlertsFiring, ChannelUp, DbGauges, OldestReady, ProjectGauges, QueueDepth, TableGauges};
use crate::domain::failure::FailureCode;

/// The most site names that become labels; the rest are `other`.
pub const SITE_LIMIT: usize = 50;

/// Counts old rows of a kind that were removed; `kind` is one of [`super::labels::UPKEEP_KINDS`].
pub fn upkeep_removed(kind: &'static str, rows: u64) {
    counter!(catalog::UPKEEP_REMOVED.name, "kind" => kind).increment(rows);
}

/// Counts the claim of a step and how long it had been ready.
pub fn step_claimed(step: &'static str, waited: Duration) {
    counter!(catalog::STEP_ATTEMPTS.name, "step" => step).increment(1);
    histogram!(catalog::STEP_WAIT.name, "step" => step).record(waited.as_secs_f64());
}

/// Records the time of a statement that claims steps of `queue`.
pub fn claim_took(queue: &'static str, took: Duration) {
    histogram!(catalog::STEP_CLAIM.name, "queue" => queue).record(took.as_secs_f64());
}

/// Records the end of an attempt; `outcome` is one of [`super::labels::STEP_OUTCOMES`].
pub fn step_finished(step: &'static str, outcome: &'static str, took: Duration) {
    histogram!(catalog::STEP_DURATION.name, "step" => step, "outcome" => outcome).record(took.as_secs_f64());
}

/// Counts an attempt that failed and will be made again.
pub fn step_retried(step: &'static str, code: FailureCode) {
    counter!(catalog::STEP_RETRIES.name, "step" => step, "class" => code.as_str()).increment(1);
}

/// Counts a step that was given up.
pub fn step_dead(step: &'static str, code: FailureCode) {
    counter!(catalog::STEPS_DEAD.name, "step" => step, "class" => code.as_str()).increment(1);
}

/// Counts a step taken over from a worker whose lease had run out.
pub fn step_rescued(step: &'static str) {
    counter!(catalog::STEPS_RESCUED.name, "step" => step).increment(1);
}

/// Counts a delivery of a step that had been committed before.
pub fn step_replayed(step: &'static str) {
    counter!(catalog::STEPS_REPLAYED.name, "step" => step).increment(1);
}

/// Records the time a step's transaction took to commit.
pub fn checkpoint_committed(took: Duration) {
    histogram!(catalog::CHECKPOINT_COMMIT.name).record(took.as_secs_f64());
}

/// Sets how many of this process's places for steps of `queue` are busy and free.
pub fn worker_slots(queue: &'static str, busy: usize, free: usize) {
    gauge!(catalog::WORKER_SLOTS.name, "queue" => queue, "state" => "busy").set(busy as f64);
    gauge!(catalog::WORKER_SLOTS.name, "queue" => queue, "state" => "free").set(free as f64);
}

/// Counts a run that ended and its duration; the labels are of [`super::labels`].
pub fn run_finished(kind: &'static str, trigger: &'static str, outcome: &'static str, took: Duration) {
    counter!(catalog::RUNS.name, "kind" => kind, "trigger" => trigger, "outcome" => outcome).increment(1);
    histogram!(catalog::RUN_DURATION.name, "kind" => kind, "outcome" => outcome).record(took.as_secs_f64());
}

/// Sets how late the schedule that was enqueued last came.
pub fn scheduler_lag(lag: Duration) {
    gauge!(catalog::SCHEDULER_LAG.name).set(lag.as_secs_f64());
}

/// Sets how far this machine's clock is ahead of the database's.
pub fn clock_ahead(seconds: f64) {
    gauge!(catalog::CLOCK_AHEAD.name).set(seconds);
}

/// Counts slots that were merged into a later run.
pub fn schedule_missed(slots: u32) {
    counter!(catalog::SCHEDULE_MISSED.name).increment(u64::from(slots));
}

/// Counts records by what became of them; the labels are of [`super::labels`].
pub fn records(entity: &'static str, operation: &'static str, count: u64) {
    counter!(catalog::SYNC_RECORDS.name, "entity" => entity, "operation" => operation).increment(count);
}

/// Counts records that were skipped because they could not be read.
pub fn record_errors(entity: &'static str, count: u64) {
    counter!(catalog::SYNC_RECORD_ERRORS.name, "entity" => entity).increment(count);
}

/// Counts sightings of unknown shapes.
pub fn schema_drift(entity: &'static str, count: u64) {
    counter!(catalog::SCHEMA_DRIFT.name, "entity" => entity).increment(count);
}

/// Counts one HTTP attempt against Jira and its duration. `endpoint` is a template (`/issue/{}/comment`), `status_class`
/// one of [`super::labels::STATUS_CLASSES`].
pub fn jira_request(endpoint: &'static str, status_class: &'static str, seconds: f64) {
    super::requests::sent();
    counter!(catalog::JIRA_REQUESTS.name, "endpoint" => endpoint, "status" => status_class).increment(1);
    histogram!(catalog::JIRA_REQUEST_DURATION.name, "endpoint" => endpoint, "status" => status_class).record(seconds);
}

/// Counts an answer by which Jira asked for a pause of `wait`; `site` is the site's name as configured.
pub fn jira_rate_limited(site: &str, reason: &'static str, wait: Duration) {
    let site = site_label(site);
    counter!(catalog::JIRA_RATE_LIMITED.name, "site" => site.clone(), "reason" => reason).increment(1);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    counter!(catalog::JIRA_RATE_LIMIT_WAIT.name, "site" => site, "reason" => reason).increment(seconds);
}

/// Sets how many requests to a site may be under way at once in this process.
pub fn jira_concurrency_limit(site: &str, limit: u32) {
    gauge!(catalog::JIRA_CONCURRENCY_LIMIT.name, "site" => site_label(site)).set(f64::from(limit));
}

/// Records how long a request waited to be sent; `reason` is one of [`super::labels::GATE_REASONS`].
pub fn rate_gate_waited(reason: &'static str, wait: Duration) {
    histogram!(catalog::RATE_GATE_WAIT.name, "reason" => reason).record(wait.as_secs_f64());
}

/// Creates a site's series at 0; call it for each configured site at the start.
pub fn site_known(site: &str) {
    let site = site_label(site);
    for &reason in super::labels::LIMIT_REASONS {
        counter!(catalog::JIRA_RATE_LIMITED.name, "site" => site.clone(), "reason" => reason).absolute(0);
        counter!(catalog::JIRA_RATE_LIMIT_WAIT.name, "site" => site.clone(), "reason" => reason).absolute(0);
    }
}

/// Counts a webhook that was taken; `outcome` is one of [`super::labels::WEBHOOK_OUTCOMES`].
pub fn webhook_taken(site: &str, outcome: &'static str, took: Duration) {
    counter!(catalog::WEBHOOKS.name, "site" => site_label(site), "outcome" => outcome).increment(1);
    histogram!(catalog::WEBHOOK_TAKE.name).record(took.as_secs_f64());
}

/// Counts a webhook that was refused; `reason` is one of [`super::labels::WEBHOOK_REFUSALS`], `site` one that is known, or `unknown`.
pub fn webhook_refused(site: &str, reason: &'static str) {
    counter!(catalog::WEBHOOKS_REFUSED.name, "site" => site_label(site), "reason" => reason).increment(1);
}

/// Counts a try to deliver a message through a kind of channel; `result` is one of [`super::labels::DELIVERY_RESULTS`].
pub fn alert_delivery(kind: &'static str, result: &'static str, took: Duration) {
    counter!(catalog::ALERT_DELIVERIES.name, "channel" => kind, "result" => result).increment(1);
    histogram!(catalog::ALERT_DELIVERY.name, "channel" => kind).record(took.as_secs_f64());
}

/// Sets the state of this process's connection pool; `unopened` is what its limit leaves.
pub fn db_pool(idle: usize, used: usize, unopened: usize) {
    gauge!(catalog::DB_POOL_CONNECTIONS.name, "state" => "idle").set(idle as f64);
    gauge!(catalog::DB_POOL_CONNECTIONS.name, "state" => "used").set(used as f64);
    gauge!(catalog::DB_POOL_CONNECTIONS.name, "state" => "unopened").set(unopened as f64);
}

/// Records the time it took to get a connection.
pub fn db_pool_acquired(took: Duration) {
    histogram!(catalog::DB_POOL_ACQUIRE.name).record(took.as_secs_f64());
}

/// The first [`SITE_LIMIT`] names keep their own label.
fn site_label(site: &str) -> String {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.contains(site) {
        return site.to_owned();
    }
    if seen.len() < SITE_LIMIT {
        seen.insert(site.to_owned());
        return site.to_owned();
    }
    "other".to_owned()
}
