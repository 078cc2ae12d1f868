//! The catalogue of metrics: every name once, with its type, unit, labels, buckets and meaning.
//!
//! What must hold: a histogram has buckets (summaries cannot be added up over pods), a counter ends in `_total`, a name says
//! its unit. `docs/metrics.md` is written from this file and a test compares them.

/// What kind of series a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows, until the process restarts.
    Counter,
    /// A value of this process.
    Gauge,
    /// A value read from the database: the same on every pod, so take `max without (instance, pod)`.
    DatabaseGauge,
    /// A distribution over these upper bounds, in the metric's unit.
    Histogram(&'static [f64]),
}

/// One metric, as documented and exported.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The exported name.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The unit, in words.
    pub unit: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// Bounds for what happens within a process or its database: 0.5 ms to 10 s.
const SHORT: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bounds for what crosses the network or waits its turn: 5 ms to 5 min.
const LONG: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Bounds for whole runs: 0.5 s to 4 h.
const RUN: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0];

macro_rules! catalog {
    ($($ident:ident = $kind:expr, $name:literal, $unit:literal, [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $ident: Metric = Metric {
                name: concat!("syncline_", $name), kind: $kind, unit: $unit, labels: &[$($label),*], help: $help,
            };
        )*
        /// Every metric, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($ident),*];
    };
}

use Kind::{Counter, DatabaseGauge, Gauge, Histogram};

catalog! {
    BUILD_INFO = Gauge, "build_info", "1", ["version", "revision"],
        "Always 1; its labels identify the running program.";

    QUEUE_JOBS = DatabaseGauge, "queue_jobs", "steps", ["queue", "state"],
        "Steps in the queue, by state.";
    QUEUE_OLDEST_READY_AGE = DatabaseGauge, "queue_oldest_ready_age_seconds", "seconds", ["queue"],
        "Waiting time of the oldest ready step; 0 if no step is ready.";
    WORKERS = DatabaseGauge, "workers", "processes", [],
        "Worker processes with a valid lease, whether Prometheus scrapes them or not.";
    WORKER_SLOTS = Gauge, "worker_slots", "slots", ["queue", "state"],
        "Slots for steps in this process: busy or free.";

    STEP_CLAIM = Histogram(SHORT), "step_claim_seconds", "seconds", ["queue"],
        "Duration of the statement that claims ready steps, even if it finds none.";
    STEP_WAIT = Histogram(LONG), "step_wait_seconds", "seconds", ["step"],
        "Time from ready to claim of a step.";
    STEP_DURATION = Histogram(LONG), "step_duration_seconds", "seconds", ["step", "outcome"],
        "Time from a step's claim to its end.";
    STEP_ATTEMPTS = Counter, "step_attempts_total", "attempts", ["step"],
        "Attempts at steps.";
    STEP_RETRIES = Counter, "step_retries_total", "retries", ["step", "class"],
        "Failed attempts that are retried, by failure code.";
    STEPS_DEAD = Counter, "steps_dead_total", "steps", ["step", "class"],
        "Steps that became dead, by failure code.";
    STEPS_RESCUED = Counter, "steps_rescued_total", "steps", ["step"],
        "Steps taken over from a worker that stopped renewing its lease.";
    STEPS_REPLAYED = Counter, "steps_replayed_total", "steps", ["step"],
        "Steps that were delivered again after their commit and acknowledged without effect.";
    CHECKPOINT_COMMIT = Histogram(SHORT), "checkpoint_commit_seconds", "seconds", [],
        "Time to commit a step: its writes, its checkpoint and its follow-up steps in one transaction.";

    RUNS = Counter, "runs_total", "runs", ["kind", "trigger", "outcome"],
        "Runs that ended.";
    RUN_DURATION = Histogram(RUN), "run_duration_seconds", "seconds", ["kind", "outcome"],
        "Time from a run's start to its end.";

    SCHEDULER_LAG = Gauge, "scheduler_lag_seconds", "seconds", [],
        "Delay with which the last due schedule was enqueued.";
    CLOCK_AHEAD = Gauge, "clock_ahead_seconds", "seconds", [],
        "Difference of this machine's clock from the database's (negative: behind). Syncline does not use this clock.";
    SCHEDULE_MISSED = Counter, "schedule_missed_total", "slots", [],
        "Slots that passed without a run of their own; one run made up for them.";

    SYNC_WATERMARK = DatabaseGauge, "sync_watermark_timestamp_seconds", "Unix time", ["project"],
        "Time up to which the replica of a project is complete; the oldest one of its entities.";
    SYNC_LAST_SUCCESS = DatabaseGauge, "sync_last_success_timestamp_seconds", "Unix time", ["project"],
        "End of the last successful run of a project.";
    SYNC_FRESH_UNTIL = DatabaseGauge, "sync_fresh_until_timestamp_seconds", "Unix time", ["project"],
        "Time at which a project becomes stale unless a run succeeds before: its last success plus `sync.freshness_objective_seconds`, or plus two intervals of its schedule if that is longer. None for a project without a schedule.";
    SYNC_PROJECTS = DatabaseGauge, "sync_projects", "projects", ["freshness"],
        "Projects that are fresh, stale, paused, or unscheduled; counts all projects, including those in `other`.";
    SYNC_BACKOFF_RUNG = DatabaseGauge, "sync_backoff_rung", "rung", ["project"],
        "Rung of a failing project on the back-off ladder; 0 is its base cadence.";
    SYNC_FAILURE_STREAK = DatabaseGauge, "sync_failure_streak", "runs", ["project"],
        "Runs of a project that failed since its last success.";
    VERIFY_LAST = DatabaseGauge, "verify_last_timestamp_seconds", "Unix time", ["project"],
        "Time of the last comparison of a project with Jira by `syncline verify`; none if there was no comparison.";
    VERIFY_DIFFERENCES = DatabaseGauge, "verify_differences", "differences", ["project"],
        "Differences that the last comparison of a project with Jira found.";
    SYNC_RECORDS = Counter, "sync_records_total", "records", ["entity", "operation"],
        "Records that were compared with the replica, by operation.";
    SYNC_RECORD_ERRORS = Counter, "sync_record_errors_total", "records", ["entity"],
        "Records that could not be read and were skipped; the log of the run lists them.";
    SCHEMA_DRIFT = Counter, "schema_drift_total", "sightings", ["entity"],
        "Unknown shapes in Jira's answers.";

    JIRA_REQUESTS = Counter, "jira_requests_total", "requests", ["endpoint", "status"],
        "HTTP attempts against Jira.";
    JIRA_REQUEST_DURATION = Histogram(LONG), "jira_request_duration_seconds", "seconds", ["endpoint", "status"],
        "Duration of an HTTP attempt, from sending to the end of the body.";
    JIRA_RATE_LIMITED = Counter, "jira_rate_limited_total", "answers", ["site", "reason"],
        "Answers in which Jira asked for a pause.";
    JIRA_RATE_LIMIT_WAIT = Counter, "jira_rate_limit_wait_seconds_total", "seconds", ["site", "reason"],
        "Length of the pauses that Jira asked for, in whole seconds, rounded up.";
    JIRA_CONCURRENCY_LIMIT = Gauge, "jira_concurrency_limit", "requests", ["site"],
        "Maximum number of concurrent requests of this process to a site; lower while the site is slow or fails.";
    RATE_GATE_WAIT = Histogram(LONG), "rate_gate_wait_seconds", "seconds", ["reason"],
        "Time that a request waited before it was sent: for a permit of the shared token bucket, for points of the hour's plan, for the end of a pause, or for a free slot among the concurrent requests.";

    ALERTS_FIRING = DatabaseGauge, "alerts_firing", "episodes", ["severity", "category"],
        "Open alert episodes, without those that the episode of their site has absorbed.";
    ALERT_CHANNEL_UP = DatabaseGauge, "alert_channel_up", "1", ["channel"],
        "1 if a channel accepted its last message and can be reached, else 0.";
    ALERT_DELIVERIES = Counter, "alert_deliveries_total", "tries", ["channel", "result"],
        "Attempts to deliver a message, by kind of channel: delivered, later (retried), failed (permanently).";
    ALERT_DELIVERY = Histogram(LONG), "alert_delivery_seconds", "seconds", ["channel"],
        "Time that a kind of channel took to accept or refuse a message.";

    WEBHOOKS = Counter, "webhooks_total", "webhooks", ["site", "outcome"],
        "Webhooks of Jira that were taken: hinted (an issue will be read), run (a project is synchronised), ignored, or duplicate.";
    WEBHOOKS_REFUSED = Counter, "webhooks_refused_total", "webhooks", ["site", "reason"],
        "Webhooks that were refused, by reason. `site` is `unknown` where no site of that name takes webhooks.";
    WEBHOOK_TAKE = Histogram(SHORT), "webhook_take_seconds", "seconds", [],
        "Time to verify a webhook and to store its hint.";

    DB_POOL_CONNECTIONS = Gauge, "db_pool_connections", "connections", ["state"],
        "Connections of this process's pool: used, idle, or unopened; their sum is the limit.";
    DB_POOL_ACQUIRE = Histogram(SHORT), "db_pool_acquire_seconds", "seconds", [],
        "Time to get a connection from the pool, for claims and commits.";
    DB_SIZE = DatabaseGauge, "db_size_bytes", "bytes", [],
        "Size of the database on disk.";
    DB_TABLE_SIZE = DatabaseGauge, "db_table_size_bytes", "bytes", ["table"],
        "Size of a table of the schema `syncline` on disk, with its indexes.";
    DB_TABLE_DEAD_ROWS = DatabaseGauge, "db_table_dead_rows", "rows", ["table"],
        "Dead rows of a table that vacuum has not removed yet, as estimated by PostgreSQL.";

    UPKEEP_REMOVED = Counter, "upkeep_rows_removed_total", "rows", ["kind"],
        "Expired rows that this process removed.";
    UPKEEP_LAG = DatabaseGauge, "upkeep_lag_seconds", "seconds", ["kind"],
        "Time by which the oldest row of a kind exceeds its retention; it also grows while no janitor runs. 0 if no expired rows are left.";
}

/// The catalogue as the page `docs/metrics.md`.
pub fn document() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Served as `/metrics` on the admin address, in Prometheus' text format. This page is generated from\n\
         `src/observe/catalog.rs`: after a change run `UPDATE_DOCS=1 cargo test --lib observe::catalog`.\n\n\
         - Label values come from enumerations or the configuration, never from an issue, a user, a message or a URL.\n\
         - `project` is `SITE/KEY`, only on gauges, and names at most `http.metrics_project_limit` active projects (200), the\n\
         \x20 worst ones; the others share `other`, with the value of the worst of them. `site` names at most 50 sites.\n\
         - `queue_jobs` counts at most 100,000 steps of a state, so that a scrape costs the same however many steps wait.\n\
         - *Database gauges* are read from the database and are the same on every pod: query\n\
         \x20 `max without (instance, pod) (…)`. They are absent while the database does not answer.\n\
         - Known label sets exist from the start, at 0, so that `rate()` sees the first event.\n\n\
         | metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in ALL {
        let kind = match metric.kind {
            Counter => "counter",
            Gauge => "gauge",
            DatabaseGauge => "database gauge",
            Histogram(_) => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        page.push_str(&format!("| `{}` | {kind} | {} | {labels} | {} |\n", metric.name, metric.unit, metric.help));
    }
    page.push_str("\n## Buckets\n\n| histogram | upper bounds |\n|---|---|\n");
    for metric in ALL {
        if let Histogram(bounds) = metric.kind {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            page.push_str(&format!("| `{}` | {} |\n", metric.name, bounds.join(" ")));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_types_and_are_unique() {
        let mut names = std::collections::BTreeSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} twice", metric.name);
            assert_eq!(metric.kind == Counter, metric.name.ends_with("_total"), "{}", metric.name);
            let stem = metric.name.trim_end_matches("_total");
            let seconds = stem.ends_with("_seconds") && !stem.ends_with("_timestamp_seconds");
            assert_eq!(metric.unit == "seconds", seconds, "{}", metric.name);
            if metric.labels.contains(&"project") {
                assert_eq!(metric.kind, DatabaseGauge, "{}: `project` is only for gauges", metric.name);
            }
            if let Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted() && !bounds.is_empty(), "{}", metric.name);
            }
        }
    }

    #[test]
    fn the_documentation_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == document(), "docs/metrics.md is old: run UPDATE_DOCS=1 cargo test --lib observe::catalog");
    }
}
