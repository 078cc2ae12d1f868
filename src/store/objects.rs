//! Every table, view and function of the schema: what it is for, who may do what with it, and how long its rows are kept.
//!
//! `syncline role` grants what stands here, the janitor's settings are named here, and `docs/tables.md` is written from it.
//!
//! What must hold: nothing of the schema is missing here, so that a new table is not readable, and does not grow, without
//! anybody having said so; a column that can hold a secret is hidden from readers. `tests/roles.rs` compares this with the
//! schema.

/// What readers see of a table or view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of it.
    All,
    /// These columns; the others are hidden, and every column is one or the other.
    Columns {
        /// What is shown.
        shown: &'static [&'static str],
        /// What is not: secrets, and what leads to them.
        hidden: &'static [&'static str],
    },
    /// Nothing.
    Nothing,
}

/// What workers, and people at the command line, do with a table or view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Working {
    /// Read, insert, update, delete.
    Writes,
    /// Read and insert; the janitor deletes what is old. Nothing is changed.
    Appends,
    /// Read.
    Reads,
}

impl Working {
    /// The privileges, as PostgreSQL names them.
    pub const fn privileges(self) -> &'static [&'static str] {
        match self {
            Self::Writes => &["SELECT", "INSERT", "UPDATE", "DELETE"],
            Self::Appends => &["SELECT", "INSERT", "DELETE"],
            Self::Reads => &["SELECT"],
        }
    }
}

/// A table or a view.
#[derive(Clone, Copy, Debug)]
pub struct Relation {
    /// Its name in the schema `syncline`.
    pub name: &'static str,
    /// What readers see.
    pub reading: Reading,
    /// What workers do.
    pub working: Working,
    /// How long a row stays.
    pub kept: &'static str,
}

/// Who may execute a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// Everybody: it computes and reads nothing.
    Everybody,
    /// Enqueuers and workers: it works with its owner's rights.
    Enqueuers,
    /// Workers, with their own rights.
    Workers,
    /// Workers; it works with its owner's rights.
    WorkersAsOwner,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name in the schema `syncline`.
    pub name: &'static str,
    /// Who may execute it.
    pub calling: Calling,
}

const fn shown(name: &'static str, kept: &'static str) -> Relation {
    Relation { name, reading: Reading::All, working: Working::Writes, kept }
}

const fn internal(name: &'static str, kept: &'static str) -> Relation {
    Relation { name, reading: Reading::Nothing, working: Working::Writes, kept }
}

const fn view(name: &'static str) -> Relation {
    Relation { name, reading: Reading::All, working: Working::Reads, kept: "computed when it is read" }
}

/// As Jira has it.
const REPLICA: &str = "as long as Jira has it; gone rows stay, marked; with its project";
const BY_HAND: &str = "until somebody removes it";
const ONE_EACH: &str = "one row each, with its project or site";
const RUNS: &str = "`retention_runs_days` after the run's end; the newest run of a project stays";
const ALERTS: &str = "`retention_alerts_days` after its end";

/// Every table and view.
pub const RELATIONS: &[Relation] = &[
    Relation {
        reading: Reading::Columns {
            shown: &[
                "id",
                "name",
                "base_url",
                "kind",
                "account_email",
                "max_concurrency",
                "field_map",
                "created_at",
                "updated_at",
                "auth",
                "version",
                "cloud_id",
                "story_points_field",
                "token_expires_at",
                "checked_at",
                "catalogue_synced_at",
                "users_synced_at",
                "match_by_name",
                "points_per_hour",
                "names_asked_at",
                "names_read_at",
                "names_doubted_at",
                "names_version",
                "names_applied",
                "accounts_reported_at",
                "accounts_report_due_at",
            ],
            hidden: &["credential"],
        },
        ..shown("site", BY_HAND)
    },
    Relation {
        reading: Reading::Columns {
            shown: &["site_id", "scopes", "expires_at", "revoked_at", "updated_at"],
            hidden: &[
                "client_id",
                "client_secret",
                "access_token",
                "refresh_token",
                "generation",
                "refresh_owner",
                "refresh_until",
                "auth_url",
                "api_url",
                "site_url",
            ],
        },
        ..shown("site_oauth", ONE_EACH)
    },
    Relation {
        reading: Reading::Columns {
            shown: &["id", "site_id", "kind", "created_by", "created_at", "ends_at", "last_used_at"],
            hidden: &["credential", "fingerprint"],
        },
        ..shown("webhook_secret", BY_HAND)
    },
    shown("webhook_event", "7 days"),
    shown("webhook_hint", "until the issue was read"),
    shown("webhook_refusal", "7 days"),
    shown("site_capability", ONE_EACH),
    shown("site_health", ONE_EACH),
    shown("project", BY_HAND),
    shown("project_health", ONE_EACH),
    shown("schedule", ONE_EACH),
    shown("tracked_user", BY_HAND),
    shown("setting", BY_HAND),
    shown("sync_state", ONE_EACH),
    shown("sync_run", RUNS),
    Relation {
        reading: Reading::Columns {
            shown: &[
                "id",
                "run_id",
                "queue",
                "kind",
                "key",
                "state",
                "priority",
                "gates",
                "attempt",
                "failures",
                "rescues",
                "max_attempts",
                "ready_at",
                "owner",
                "claimed_at",
                "finished_at",
                "error_code",
                "error_message",
                "error_advice",
                "trace_context",
                "created_at",
            ],
            // Where Jira's page tokens are.
            hidden: &["payload"],
        },
        ..shown(
            "sync_step",
            "done and cancelled: `retention_steps_hours`; dead: with its run, or `retention_runs_days`",
        )
    },
    shown("sync_partition", "until the run's end; leftovers for an hour"),
    internal("sync_page", "until the run's end; leftovers for an hour"),
    shown("sync_rejected", "until the run's end, when they are counted; with the run"),
    internal("reconcile_seen", "until the run's end; leftovers for an hour"),
    internal("verify_seen", "until the verification's end; leftovers for a day"),
    shown("sync_log", "`retention_logs_days`"),
    shown("run_daily", "`retention_summaries_days`"),
    shown("size_daily", "`retention_summaries_days`"),
    shown("verification", ONE_EACH),
    shown("schema_drift", "`retention_logs_days` after it was last seen"),
    shown("worker", "until an hour after its lease"),
    shown("rate_gate", "until a day after it opened"),
    shown("rate_bucket", "until a day after its limit was last met; with its site"),
    shown("rate_quota", ONE_EACH),
    shown("upkeep", "one row per kind"),
    internal("upkeep_turn", "one row"),
    shown("alert", ALERTS),
    shown("alert_event", "with its episode; old reminders of an open one: `retention_alerts_days`"),
    internal("alert_delivery", "with its episode; old reminders of an open one: `retention_alerts_days`"),
    Relation {
        reading: Reading::Columns {
            shown: &[
                "name",
                "kind",
                "created_at",
                "updated_at",
                "failures",
                "failing_since",
                "reported",
                "reason_code",
            ],
            // Settings hold addresses that may be secrets themselves; reasons may quote what an address answered.
            hidden: &["settings", "credential", "reason", "probed_at", "probe_problem"],
        },
        ..shown("alert_channel", BY_HAND)
    },
    internal("alert_route", BY_HAND),
    shown("alert_silence", ALERTS),
    internal("account", BY_HAND),
    internal("session", "12 hours after its last use, 7 days at most; deleted with the next sign-in"),
    internal("sign_in_attempt", "15 minutes; deleted with the next sign-in"),
    internal("api_token", "until somebody deletes it; a token that was revoked stays in the list"),
    Relation { working: Working::Appends, ..internal("audit", "`retention_audit_days`") },
    shown("jira_user", REPLICA),
    internal("forgotten_name", "as long as its site; it prevents the name from coming back"),
    shown("member", BY_HAND),
    shown("member_link", BY_HAND),
    shown("issue", REPLICA),
    shown("comment", REPLICA),
    shown("worklog", REPLICA),
    shown("changelog", REPLICA),
    shown("issue_link", REPLICA),
    shown("attachment", REPLICA),
    shown("board", REPLICA),
    shown("sprint", REPLICA),
    shown("version", REPLICA),
    shown("component", REPLICA),
    shown("status", REPLICA),
    shown("term", REPLICA),
    shown("field", REPLICA),
    shown("field_view", ONE_EACH),
    view("issue_status_change"),
    view("issue_status_period"),
    view("issue_time_in_status"),
    view("site_status_category"),
    view("issue_cycle_time"),
    view("issue_sprint"),
    view("issue_current_sprint"),
    view("worklog_by_member"),
    view("issue_flat"),
    Relation { working: Working::Reads, ..shown("schema_migration", "one row per migration") },
    Relation { working: Working::Reads, ..shown("schema_compatibility", "one row per migration") },
    Relation { working: Working::Reads, ..internal("role_name", "one row per part") },
];

const fn function(name: &'static str, calling: Calling) -> Function {
    Function { name, calling }
}

/// Every function.
pub const FUNCTIONS: &[Function] = &[
    function("new_id", Calling::Everybody),
    function("id_floor", Calling::Everybody),
    function("enqueue_sync", Calling::Enqueuers),
    function("request_reconcile", Calling::Enqueuers),
    function("request_run", Calling::Workers),
    function("request_repair", Calling::Workers),
    function("activate_run", Calling::Workers),
    function("cancel_run", Calling::Workers),
    function("find_project", Calling::Workers),
    function("match_members", Calling::Workers),
    function("keep_forgotten", Calling::Workers),
    function("forget_in_audit", Calling::WorkersAsOwner),
    function("effective_settings", Calling::Workers),
    function("is_due_again", Calling::Workers),
    function("forget_partial_cursors", Calling::Workers),
    function("place_status_changes", Calling::Workers),
    function("place_added_changes", Calling::Workers),
    function("place_corrected_change", Calling::Workers),
    function("roll_up_run", Calling::WorkersAsOwner),
    function("publish_replica", Calling::Workers),
    function("publish_fields", Calling::WorkersAsOwner),
    function("drop_field_view", Calling::WorkersAsOwner),
];

/// This list as the page `docs/tables.md`.
pub fn document() -> String {
    let mut page = String::from(
        "# Tables\n\n\
         Every table, view and function of the schema `syncline`, with the privileges of each role \
         ([security](security.md)) and\n\
         the retention of its rows ([the janitor](operations.md#the-janitor)). Readers and workers may read \
         everything in the schema\n\
         `jira` ([schema](schema.md)). This page is generated from `src/store/objects.rs`: after a\n\
         change run `UPDATE_DOCS=1 cargo test --lib store::objects`.\n\n\
         | table or view | readers | workers | a row is kept |\n|---|---|---|---|\n",
    );
    for relation in RELATIONS {
        let readers = match relation.reading {
            Reading::All => "all".to_owned(),
            Reading::Nothing => "–".to_owned(),
            Reading::Columns { hidden, .. } => {
                format!("all but {}", hidden.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
            }
        };
        let workers = match relation.working {
            Working::Writes => "read, write",
            Working::Appends => "read, insert, delete",
            Working::Reads => "read",
        };
        page.push_str(&format!("| `{}` | {readers} | {workers} | {} |\n", relation.name, relation.kept));
    }
    page.push_str("\n| function | who may execute it |\n|---|---|\n");
    for function in FUNCTIONS {
        let who = match function.calling {
            Calling::Everybody => "everybody; it computes without reading data",
            Calling::Enqueuers => "enqueuers, workers; it runs with its owner's privileges",
            Calling::Workers => "workers, with their own privileges",
            Calling::WorkersAsOwner => "workers; it runs with its owner's privileges",
        };
        page.push_str(&format!("| `{}` | {who} |\n", function.name));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_of_tables_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tables.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == document(), "docs/tables.md is old: run UPDATE_DOCS=1 cargo test --lib store::objects");
    }
}
