//! The values of labels that are known when a process starts: their series are created at 0.
//!
//! A value that is missing here still works; its series only appears with its first event.

/// Queues, by what a step uses.
pub const QUEUES: &[&str] = &["jira", "store", "control"];
/// Steps, by name.
pub const STEPS: &[&str] = &[
    "plan_run",
    "fetch_page",
    "upsert_batch",
    "fetch_collection",
    "repair_batch",
    "advance_cursor",
    "finalize_run",
    "deliver_alert",
];
/// How an attempt at a step ends.
pub const STEP_OUTCOMES: &[&str] = &["done", "retried", "dead", "cancelled", "lost"];
/// Kinds of runs.
pub const RUN_KINDS: &[&str] = &["incremental", "full"];
/// What starts a run.
pub const TRIGGERS: &[&str] = &["schedule", "manual", "retry", "repair"];
/// How a run ends.
pub const RUN_OUTCOMES: &[&str] = &["succeeded", "failed", "cancelled"];
/// What is replicated.
pub const ENTITIES: &[&str] = &["issue", "comment", "worklog", "user"];
/// What became of a record.
pub const OPERATIONS: &[&str] = &["created", "updated", "unchanged", "removed"];
/// Classes of answers: by status, or no answer at all.
pub const STATUS_CLASSES: &[&str] = &["2xx", "3xx", "4xx", "5xx", "error"];
/// Why Jira asked for a pause.
pub const LIMIT_REASONS: &[&str] = &["quota_global", "quota_tenant", "burst", "retry_after", "unknown"];
/// Kinds of alert channels.
pub const CHANNEL_KINDS: &[&str] = &["email", "slack", "whatsapp", "webhook", "log"];
/// How a try to deliver a message ends.
pub const DELIVERY_RESULTS: &[&str] = &["delivered", "later", "failed"];
