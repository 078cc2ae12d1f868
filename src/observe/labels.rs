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
    "fetch_worklogs",
    "fetch_changes",
    "fetch_catalogue",
    "apply_names",
    "mend_keys",
    "sweep_ids",
    "mark_gone",
    "repair_batch",
    "advance_cursor",
    "finalize_run",
    "deliver_alert",
];
/// How an attempt at a step ends.
pub const STEP_OUTCOMES: &[&str] = &["succeeded", "failed"];
/// Kinds of runs.
pub const RUN_KINDS: &[&str] = &["incremental", "full"];
/// What starts a run.
pub const TRIGGERS: &[&str] = &["schedule", "manual", "retry", "repair"];
/// How a run ends.
pub const RUN_OUTCOMES: &[&str] = &["succeeded", "failed", "cancelled"];
/// What is replicated.
pub const ENTITIES: &[&str] = &["issue", "comment", "worklog", "changelog", "user"];
/// What became of the records of an entity.
pub const OPERATIONS: &[(&str, &[&str])] = &[
    ("issue", &["created", "updated", "unchanged", "deleted"]),
    ("comment", &["written", "removed"]),
    ("worklog", &["written", "removed"]),
    ("changelog", &["written"]),
];
/// Endpoints of Jira, as templates; `jira::Endpoint` has the same, and a test compares them.
pub const ENDPOINTS: &[&str] = &[
    "/rest/api/3/myself",
    "/rest/api/3/serverInfo",
    "/rest/api/3/project/{key}",
    "/rest/api/3/project/search",
    "/rest/api/3/search/approximate-count",
    "/rest/api/3/search/jql",
    "/rest/api/3/issue/{id}",
    "/rest/api/3/issue/bulkfetch",
    "/rest/api/3/issue/{id}/comment",
    "/rest/api/3/issue/{id}/worklog",
    "/rest/api/3/field",
    "/rest/api/2/search",
    "/rest/api/2/project",
    "/rest/api/3/issue/{id}/changelog",
    "/rest/api/3/changelog/bulkfetch",
    "/rest/api/3/worklog/updated",
    "/rest/api/3/worklog/deleted",
    "/rest/api/3/worklog/list",
    "/rest/api/3/project/{key}/versions",
    "/rest/api/3/project/{key}/components",
    "/rest/api/3/status",
    "/rest/api/3/issuetype",
    "/rest/api/3/priority",
    "/rest/api/3/resolution",
    "/rest/api/3/users/search",
    "/rest/api/3/user/search",
    "/rest/api/3/mypermissions",
    "/rest/api/3/project/{key}/issuesecuritylevelscheme",
    "/rest/api/3/project/{key}/securitylevel",
    "/rest/agile/1.0/board",
    "/rest/agile/1.0/board/{id}/sprint",
    "/rest/pat/latest/tokens",
    "/oauth/token",
    "/oauth/token/accessible-resources",
    "/app/report-accounts/",
];
/// Classes of answers: by status, or no answer at all.
pub const STATUS_CLASSES: &[&str] = &["2xx", "3xx", "4xx", "5xx", "error"];
/// Why Jira asked for a pause: which quota is spent, too many requests of one kind, a time to wait for without a reason, or
/// nothing that tells.
pub const LIMIT_REASONS: &[&str] = &["quota_global", "quota_tenant", "burst", "retry_after", "unknown"];
/// What a request waits for before it is sent.
pub const GATE_REASONS: &[&str] = &["bucket", "points", "pause", "concurrency"];
/// Kinds of alert channels.
pub const CHANNEL_KINDS: &[&str] = &["email", "slack", "whatsapp", "webhook", "log"];
/// Kinds of rows that the janitor removes; `store::upkeep::Kind` has the same, and a test compares them.
pub const UPKEEP_KINDS: &[&str] = &[
    "steps",
    "dead_steps",
    "runs",
    "pages",
    "verifications",
    "logs",
    "drift",
    "alerts",
    "reminders",
    "silences",
    "workers",
    "gates",
    "audit",
    "summaries",
    "webhooks",
];
/// What becomes of webhooks that are taken.
pub const WEBHOOK_OUTCOMES: &[&str] = &["hinted", "run", "ignored", "duplicate"];
/// Why webhooks are refused; `app::webhook::Refusal` has the same, and a test compares them.
pub const WEBHOOK_REFUSALS: &[&str] = &[
    "unknown_site",
    "unsigned",
    "bad_signature",
    "bad_token",
    "bad_path",
    "no_secret",
    "not_json",
    "too_old",
    "too_large",
    "encoded",
    "over_budget",
    "unavailable",
];
/// How a try to deliver a message ends.
pub const DELIVERY_RESULTS: &[&str] = &["delivered", "later", "failed"];
