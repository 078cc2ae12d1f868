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
    WORKER_FOLLOWS = "worker_follows", "info", "projects, paused, next, next_at", "What the schedules of a worker's database ask for: how many projects, and which is due next.";
    WORKER_DRAINING = "worker_draining", "info", "owner, grace_seconds", "It was told to stop and takes no more work.";
    WORKER_STOPPED = "worker_stopped", "info", "owner, handed_back", "It has stopped; unfinished steps were handed back.";
    ADMIN_LISTENING = "admin_listening", "info", "address", "Probes and metrics are served.";
    ADMIN_MOVED = "admin_moved", "warn", "wanted, address", "Another process uses the default admin port; probes and metrics are served at the next free one.";
    API_LISTENING = "api_listening", "info", "address", "The API is served.";
    API_MOVED = "api_moved", "warn", "wanted, address", "Another process uses the default address of the API; it is served at the next free port.";
    API_FAILED = "api_failed", "error", "error", "A request to the API failed by a fault of this program or of the database.";
    SIGN_IN_REFUSED = "sign_in_refused", "warn", "address, limited", "Somebody could not sign in: a wrong name or password, or too many tries.";
    DATABASE_LOST = "database_lost", "error", "error", "PostgreSQL does not answer; connecting again with back-off.";
    DATABASE_BACK = "database_back", "info", "seconds", "PostgreSQL answers again.";
    DATABASE_AWAITED = "database_awaited", "warn", "server, reason", "PostgreSQL does not take the first connection yet; it is tried again for a time.";
    POOLER_FOUND = "pooler_found", "info", "", "A connection pooler is in between; LISTEN and migrations need database.direct_url.";
    DATABASE_PARAMETER_IGNORED = "database_parameter_ignored", "warn", "names", "The database URL has parameters that are not known; they are left out.";
    SETTINGS_CHANGED = "settings_changed", "info", "workers, max_attempts, backoff_base_seconds, backoff_factor, backoff_max_seconds, rate_pause_seconds", "A worker follows other settings from now on.";
    MIGRATED = "migrated", "info", "applied, version", "The schema was brought up to date.";
    SCHEMA_NEWER = "schema_newer", "warn", "found, expected", "The schema is of a newer program, which declared it fit for this one: an upgrade is under way, or was rolled back.";
    WORKER_FAILED = "worker_failed", "error", "error", "The workers of a process ended by themselves.";
    LEASE_LOST = "lease_lost", "error", "owner", "A process could not renew its lease; its steps stop and others take them over.";
    PULSE_FAILED = "pulse_failed", "warn", "error", "The lease was not renewed this time; it is tried again.";
    CLAIM_FAILED = "claim_failed", "warn", "queue, error", "No steps could be claimed; it is tried again.";
    LISTEN_LOST = "listen_lost", "warn", "error", "Notifications are not heard; ready steps are found by the pulse until they are.";
    STEP_RESCUED = "step_rescued", "warn", "step_id, kind, run_id, attempt, trace_id", "A step was taken over from a worker that had fallen silent.";
    STEP_FENCED = "step_fenced", "warn", "step_id", "A step had been taken over; what this process did for it is discarded.";
    STEP_UNKNOWN = "step_unknown", "warn", "kind", "No handler for this kind of step; it is left for another version.";
    STEP_PUT_OFF = "step_put_off", "warn", "error", "The database failed a step; it is tried again and no attempt is spent.";
    OUTCOME_NOT_RECORDED = "outcome_not_recorded", "warn", "step_id, error", "What became of a step could not be written; it will be taken back.";
    STEP_RETRIED = "step_retried", "warn", "step_id, code, wait_seconds", "An attempt failed and will be made again.";
    STEP_DEAD = "step_dead", "error", "step_id, code, message", "A step was given up and waits for an operator.";
    VERIFY_WAITS = "verify_waits", "info", "code, seconds", "A verification waits because Jira asked it to, or did not answer.";
    WALK_RESTARTED = "walk_restarted", "warn", "partition, seq, message", "Jira refused its own page token: the walk begins anew.";
    CURSOR_PUT_BACK = "cursor_put_back", "warn", "project, stood_at, to", "A cursor stood ahead of the clock and was put back; the run reads what it had passed over.";
    RUN_PLANNED = "run_planned", "info", "project, kind, estimate, partitions, repairs", "A run knows what it will read.";
    RUN_STOPPED = "run_stopped", "error", "run_id, code, message", "A run was stopped because another one of its site lost its credentials.";
    RUN_FINISHED = "run_finished", "info", "run_id, project, outcome, seconds", "A run has ended well or was cancelled.";
    RUN_FAILED = "run_failed", "error", "run_id, project, code, message, advice", "A run has failed.";
    GATE_SHUT = "gate_shut", "info", "gate, code, wait_seconds", "Jira asked for a pause; the whole fleet keeps it.";
    RATE_LEARNT = "rate_learnt", "info", "bucket, rate_per_second, reason", "A site showed a limit; all processes ask at this rate now, and adapt it to what the site says.";
    SITE_STOPPED = "site_stopped", "error", "gate, code, advice", "Nothing is tried on a site until somebody acts.";
    SCHEDULER_FAILED = "scheduler_failed", "warn", "error", "Due schedules could not be read; it is tried again.";
    SCHEDULE_PAUSED = "schedule_paused", "error", "project_id, problem", "A schedule cannot be read and was paused.";
    SCHEDULE_PUT_RIGHT = "schedule_put_right", "warn", "project_id, stood_at, next_run", "A wrong clock had pushed a schedule ahead; it starts with its next slot.";
    CLOCK_OFF = "clock_off", "warn", "ahead_seconds", "The machine's clock and the database's are far apart; the database's decides.";
    CLOCK_RIGHT = "clock_right", "info", "ahead_seconds", "The machine's clock is as the database's again.";
    SCHEDULE_MISSED = "schedule_missed", "warn", "project, slots", "Slots passed without a run; one run makes up for them.";
    RECORD_REJECTED = "record_rejected", "warn", "run_id", "A record could not be read; the page went on. The first of a page, and the journal has more.";
    SCHEMA_DRIFT = "schema_drift", "warn", "entity, path", "Jira answered with a shape that is not known. Said once for each.";
    PROJECT_BACKED_OFF = "project_backed_off", "warn", "project, code, rung, failures, next_try", "A project that keeps failing is tried less often.";
    PROJECT_RESTORED = "project_restored", "info", "project", "A success gave a project its base cadence back.";
    SITE_BACKED_OFF = "site_backed_off", "warn", "site, code, rung, probe, next_try", "The failures are the site's: one project is tried for all.";
    SITE_RESTORED = "site_restored", "info", "site, code", "A success gave the projects of a site their base cadences back.";
    WATCH_FAILED = "watch_failed", "warn", "error", "Silent projects could not be looked for; it is tried again.";
    UPKEEP_DONE = "upkeep_done", "info", "removed", "Old rows were removed.";
    UPKEEP_FAILED = "upkeep_failed", "warn", "error", "Old rows could not be removed; it is tried again.";
    ALERT_MESSAGE = "alert_message", "by severity", "alert_id, delivery_id, alert_event, severity, class, about, advice", "A message to people, where the log is the channel.";
    ALERT_DECIDED = "alert_decided", "info", "alert_id, alert_event, reason, withheld, deliveries", "An episode began, became worse, goes on or is over; its messages were enqueued.";
    ALERT_DELIVERED = "alert_delivered", "info", "delivery_id, channel, refused", "A channel has taken a message.";
    ALERT_UNDELIVERED = "alert_undelivered", "warn", "delivery_id, channel, code, result", "A channel, or a recipient of its, did not take a message.";
    CHANNEL_UNREACHABLE = "channel_unreachable", "warn", "channel, code, advice", "An alert channel was asked whether it would take a message, and would not.";
    KEEPER_FAILED = "keeper_failed", "warn", "error", "Alerts that are due could not be looked at; it is tried again.";
    ALERT_UNREADABLE = "alert_unreadable", "error", "alert_id, error", "A stored alert cannot be read by this version; it is left alone for a day.";
    TRACE_EXPORT_FAILED = "trace_export_failed", "warn", "error", "The trace collector does not take spans; they are dropped until it does. Said once.";
    TRACE_EXPORT_BACK = "trace_export_back", "info", "", "The trace collector takes spans again.";
    LOG_LEVEL_CHANGED = "log_level_changed", "warn", "from, to", "The filter of this process' log lines was changed while it runs.";
    TEMPLATE_FAILED = "template_failed", "warn", "delivery_id, problem", "A template of the folder could not be used; the built-in one was.";
    PANIC = "panic", "error", "message, location", "A defect: code panicked; the step that ran it is handled as failed.";
}

/// The list as the page `docs/logs.md`.
pub fn document() -> String {
    let mut page = String::from(
        "# Log events\n\n\
         One line per event on standard error: JSON, and on a terminal a time and a sentence, with fields where something is\n\
         wrong (`log.format = \"text\"`: text with every field, everywhere). The field `event` names the kind, and lines of a step\n\
         carry its span: `step`, `step_id`, `run_id`, `attempt` and `trace_id`. What is logged can be changed while a process\n\
         runs: see [traces](traces.md).\n\n\
         This page is written from `src/observe/events.rs`: after a change run `UPDATE_DOCS=1 cargo test --lib observe::events`.\n\n\
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
