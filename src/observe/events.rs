//! The names of logged events, so that a search finds every line of a kind whatever its wording.
//!
//! Written as a field: `info!(event = events::RUN_FINISHED, %run_id, "run finished")`. What must hold: a failure is logged
//! once, where it is handled, with its failure code and the id of its run.

macro_rules! events {
    ($($ident:ident = $name:literal, $level:literal, $fields:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $ident: &str = $name;
        )*
        /// Every event: name, level, fields, meaning.
        pub const ALL: &[(&str, &str, &str, &str)] = &[$(($name, $level, $fields, $meaning)),*];
    };
}

events! {
    WORKER_STARTED = "worker_started", "info", "owner, version", "A worker process has started its loops.";
    WORKER_FOLLOWS = "worker_follows", "info", "projects, paused, next, next_at", "The schedules of a worker's database: the number of projects, and the next one that is due.";
    WORKER_DRAINING = "worker_draining", "info", "owner, grace_seconds", "A worker is stopping and takes no more work.";
    WORKER_STOPPED = "worker_stopped", "info", "owner, handed_back", "A worker has stopped; unfinished steps returned to the queue.";
    ADMIN_LISTENING = "admin_listening", "info", "address", "Probes and metrics are served.";
    ADMIN_MOVED = "admin_moved", "warn", "wanted, address", "Another process uses the default admin port; probes and metrics are served at the next free one.";
    API_LISTENING = "api_listening", "info", "address", "The API is served.";
    API_MOVED = "api_moved", "warn", "wanted, address", "Another process uses the default address of the API; it is served at the next free port.";
    API_FAILED = "api_failed", "error", "error", "A request to the API failed because of an error in this program or in the database.";
    SIGN_IN_REFUSED = "sign_in_refused", "warn", "address, limited", "A log-in failed: a wrong name or password, or too many attempts.";
    WEBHOOK_REFUSED = "webhook_refused", "warn", "site, reason, count", "Webhooks of a site were refused. Logged once a minute for each site and reason, with their number.";
    WEBHOOK_FAILED = "webhook_failed", "warn", "site, error", "The database did not take a webhook; Jira sends it again.";
    HINTS_FAILED = "hints_failed", "warn", "error", "Hints of webhooks could not be turned into runs; it is retried.";
    DATABASE_LOST = "database_lost", "error", "error", "PostgreSQL does not answer; the process reconnects with back-off.";
    DATABASE_BACK = "database_back", "info", "seconds", "PostgreSQL answers again.";
    DATABASE_AWAITED = "database_awaited", "warn", "server, reason", "PostgreSQL does not accept the first connection yet; the process retries for a limited time.";
    POOLER_FOUND = "pooler_found", "info", "", "There is a connection pooler; LISTEN and migrations need database.direct_url.";
    DATABASE_PARAMETER_IGNORED = "database_parameter_ignored", "warn", "names", "The database URL has unknown parameters; they are ignored.";
    SETTINGS_CHANGED = "settings_changed", "info", "workers, max_attempts, backoff_base_seconds, backoff_factor, backoff_max_seconds, rate_pause_seconds", "The settings of a worker have changed.";
    MIGRATED = "migrated", "info", "applied, version", "The schema was migrated.";
    SCHEMA_NEWER = "schema_newer", "warn", "found, expected", "The schema belongs to a newer program, which declared it fit for this one: an upgrade is in progress, or was rolled back.";
    WORKER_FAILED = "worker_failed", "error", "error", "The workers of a process ended by themselves.";
    LEASE_LOST = "lease_lost", "error", "owner", "A process could not renew its lease; its steps stop, and other workers take them over.";
    PULSE_FAILED = "pulse_failed", "warn", "error", "One renewal of the lease failed; it is retried.";
    CLAIM_FAILED = "claim_failed", "warn", "queue, error", "A claim failed; it is retried.";
    LISTEN_LOST = "listen_lost", "warn", "error", "The connection for notifications was lost; until it is back, the heartbeat loop finds ready steps.";
    STEP_RESCUED = "step_rescued", "warn", "step_id, kind, run_id, attempt, trace_id", "A step was taken over from a worker that stopped renewing its lease.";
    STEP_FENCED = "step_fenced", "warn", "step_id", "Another worker had taken over the step; this process's result is discarded.";
    STEP_UNKNOWN = "step_unknown", "warn", "kind", "The kind of a step is unknown; it is left to another version.";
    STEP_PUT_OFF = "step_put_off", "warn", "error", "The database failed during a step; the step is executed again, which costs no attempt.";
    OUTCOME_NOT_RECORDED = "outcome_not_recorded", "warn", "step_id, error", "The result of a step could not be written; the step will be rescued.";
    STEP_RETRIED = "step_retried", "warn", "step_id, code, wait_seconds", "An attempt failed and is retried.";
    STEP_DEAD = "step_dead", "error", "step_id, code, message", "A step is dead and waits for an operator.";
    VERIFY_WAITS = "verify_waits", "info", "code, seconds", "A verification waits because Jira asked for a pause or did not answer.";
    WALK_RESTARTED = "walk_restarted", "warn", "partition, seq, message", "Jira refused its own page token: the walk restarts.";
    CURSOR_PUT_BACK = "cursor_put_back", "warn", "project, stood_at, to", "A cursor was ahead of the clock and was put back; the run reads what was skipped.";
    RUN_PLANNED = "run_planned", "info", "project, kind, estimate, partitions, repairs", "A run is planned.";
    RUN_STOPPED = "run_stopped", "error", "run_id, code, message", "A run was stopped because another run of its site met refused credentials.";
    RUN_FINISHED = "run_finished", "info", "run_id, project, outcome, seconds", "A run succeeded or was cancelled.";
    RUN_FAILED = "run_failed", "error", "run_id, project, code, message, advice", "A run has failed.";
    GATE_SHUT = "gate_shut", "info", "gate, code, wait_seconds", "Jira asked for a pause; all processes keep it.";
    RATE_LEARNT = "rate_learnt", "info", "bucket, rate_per_second, reason", "A site has shown a rate limit; all processes use this rate and adapt it to the site's answers.";
    SITE_STOPPED = "site_stopped", "error", "gate, code, advice", "All work on a site is stopped until somebody acts.";
    SCHEDULER_FAILED = "scheduler_failed", "warn", "error", "Due schedules could not be read; this is retried.";
    SCHEDULE_PAUSED = "schedule_paused", "error", "project_id, problem", "A schedule cannot be read and was paused.";
    SCHEDULE_PUT_RIGHT = "schedule_put_right", "warn", "project_id, stood_at, next_run", "A wrong clock had moved a schedule ahead; it continues with its next slot.";
    CLOCK_OFF = "clock_off", "warn", "ahead_seconds", "The machine's clock differs from the database's; Syncline uses the database's.";
    CLOCK_RIGHT = "clock_right", "info", "ahead_seconds", "The machine's clock agrees with the database's again.";
    SCHEDULE_MISSED = "schedule_missed", "warn", "project, slots", "Slots passed without a run; one run makes up for them.";
    RECORD_REJECTED = "record_rejected", "warn", "run_id", "A record could not be read and was skipped. Logged for the first one of a page; the run's log has all of them.";
    SCHEMA_DRIFT = "schema_drift", "warn", "entity, path", "Jira's answer has an unknown shape. Logged once for each shape.";
    PROJECT_BACKED_OFF = "project_backed_off", "warn", "project, code, rung, failures, next_try", "A failing project runs less often.";
    PROJECT_RESTORED = "project_restored", "info", "project", "A success restored the base cadence of a project.";
    SITE_BACKED_OFF = "site_backed_off", "warn", "site, code, rung, probe, next_try", "The site itself fails: one project is the probe for all of them.";
    SITE_RESTORED = "site_restored", "info", "site, code", "A success restored the base cadences of the projects of a site.";
    WATCH_FAILED = "watch_failed", "warn", "error", "The search for projects without a success failed; it is retried.";
    UPKEEP_DONE = "upkeep_done", "info", "removed", "Expired rows were removed.";
    UPKEEP_FAILED = "upkeep_failed", "warn", "error", "Expired rows could not be removed; this is retried.";
    ALERT_MESSAGE = "alert_message", "by severity", "alert_id, delivery_id, alert_event, severity, class, about, advice", "A message of an alert whose channel is the log.";
    ALERT_DECIDED = "alert_decided", "info", "alert_id, alert_event, reason, withheld, deliveries", "An episode began, became worse, sends a reminder or is over; its messages were enqueued.";
    ALERT_DELIVERED = "alert_delivered", "info", "delivery_id, channel, refused", "A channel accepted a message.";
    ALERT_UNDELIVERED = "alert_undelivered", "warn", "delivery_id, channel, code, result", "A channel, or one of its recipients, did not accept a message.";
    CHANNEL_UNREACHABLE = "channel_unreachable", "warn", "channel, code, advice", "A check of an alert channel failed.";
    KEEPER_FAILED = "keeper_failed", "warn", "error", "Due alerts could not be processed; this is retried.";
    ALERT_UNREADABLE = "alert_unreadable", "error", "alert_id, error", "This version cannot read a stored alert; it skips the alert for a day.";
    TRACE_EXPORT_FAILED = "trace_export_failed", "warn", "error", "The trace collector does not accept spans; they are dropped until it does. Logged once.";
    TRACE_EXPORT_BACK = "trace_export_back", "info", "", "The trace collector accepts spans again.";
    LOG_LEVEL_CHANGED = "log_level_changed", "warn", "from, to", "The log filter of this process was changed at run time.";
    TEMPLATE_FAILED = "template_failed", "warn", "delivery_id, problem", "A template of the folder could not be used; the built-in one was used instead.";
    PANIC = "panic", "error", "message, location", "A defect: the code panicked; its step counts as failed.";
}

/// The list as the page `docs/logs.md`.
pub fn document() -> String {
    let mut page = String::from(
        "# Log events\n\n\
         One line per event on standard error: JSON, and on a terminal a time and a sentence, with fields where something is\n\
         wrong (`log.format = \"text\"`: text with every field, everywhere). The field `event` names the kind, and lines of a step\n\
         carry its span: `step`, `step_id`, `run_id`, `attempt` and `trace_id`. What is logged can be changed while a process\n\
         runs: see [traces](traces.md).\n\n\
         This page is generated from `src/observe/events.rs`: after a change run `UPDATE_DOCS=1 cargo test --lib observe::events`.\n\n\
         | event | level | fields | meaning |\n|---|---|---|---|\n",
    );
    for (name, level, fields, meaning) in ALL {
        page.push_str(&format!("| `{name}` | {level} | {fields} | {meaning} |\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, all);
            } else if !path.ends_with("observe/events.rs") {
                all.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_documented_event_is_emitted() {
        let mut source = String::new();
        read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut source);
        let constant = |name: &str| format!("events::{}", name.to_uppercase());
        let silent: Vec<&str> =
            ALL.iter().map(|(name, ..)| *name).filter(|name| !source.contains(&constant(name))).collect();
        assert_eq!(silent, Vec::<&str>::new(), "remove them, or emit them");
    }

    #[test]
    fn the_documentation_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/logs.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == document(), "docs/logs.md is old: run UPDATE_DOCS=1 cargo test --lib observe::events");
    }
}
