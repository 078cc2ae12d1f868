//! The day with it: first syncs start at once, things are named in a few letters, several projects are changed together,
//! and what is held back is tried when the way in was mended.

use std::process::Stdio;

use syncline::clock::Clock;
use syncline::simulator::{self, Options, ProjectSpec};
use uuid::Uuid;

use crate::support::command::{ask, command, json, refuses, succeeds, words};
use crate::support::{Rig, TestDb};

async fn execute(db: &TestDb, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db.pool()).await.unwrap();
}

async fn count(db: &TestDb, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db.pool()).await.unwrap()
}

/// A Jira whose projects nobody synchronises yet.
async fn rig() -> Rig {
    let mut options = Options::new(Clock::system());
    options.issues = 5;
    let project = |key: &str| ProjectSpec { key: key.into(), name: format!("Project {key}"), issues: None };
    options.projects = ["AA", "BB", "CC"].map(project).into();
    let rig = Rig::new(options).await;
    sqlx::query("DELETE FROM syncline.project").execute(rig.db.pool()).await.unwrap();
    rig
}

const NEVER: [&str; 2] = ["--cron", "0 0 29 2 *"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_first_sync_starts_at_once_whatever_the_hours() {
    let rig = rig().await;
    let added = json(&rig.db, &[&["project", "add", "sim", "AA"], &NEVER[..]].concat());
    let run: Uuid = added[0]["run_id"].as_str().unwrap().parse().unwrap();
    let found = json(&rig.db, &["project", "discover", "sim", "--track", "BB"]);
    assert_eq!(found.as_array().unwrap().iter().filter(|one| one["tracked"] == "added").count(), 1);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_run WHERE state = 'running'").await, 2);
    let later = json(&rig.db, &[&["project", "add", "sim", "CC", "--no-first-sync"], &NEVER[..]].concat());
    assert!(later[0]["run_id"].is_null() && later[0]["outcome"] == "added", "{later}");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_run").await, 2);
    let worker = rig.worker().await;
    assert_eq!(rig.ended(run).await, "succeeded");
    // What was removed and comes back is read at once too; --wait waits for it.
    succeeds(&rig.db, &["project", "remove", "AA", "--yes"]);
    let text = succeeds(&rig.db, &[&["project", "add", "sim", "AA", "--wait"], &NEVER[..]].concat());
    assert!(text.contains("sim/AA succeeded"), "{text}");
    worker.stop().await;
}

/// Two projects, three runs; the ids of two runs begin alike.
async fn seeded() -> TestDb {
    let db = TestDb::new().await;
    execute(
        &db,
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES
           ('00000000-0000-7000-8000-000000000001', 'acme', 'https://acme.example.com', 'bot@example.com', 'env:TOKEN');
         INSERT INTO syncline.project (id, site_id, key, name) VALUES
           ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'WEB', 'Web shop'),
           ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'OPS', 'Operations'),
           ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000001', 'HR', 'People');
         INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at)
         SELECT id, '0 0 * * *', now() + interval '1 day', now() + interval '1 day' FROM syncline.project;
         INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at, requests, reconcile, issues_deleted) VALUES
           ('0197aaaa-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000011', 'full', 'manual', 'succeeded', 'ana', '2025-03-01', '2025-03-01', '2025-03-01 00:01', 17, true, 3),
           ('0197aabb-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000012', 'full', 'manual', 'failed', 'ana', '2025-03-03', '2025-03-03', '2025-03-03 00:01', 2, false, 0),
           ('0198cccc-0000-7000-8000-000000000023', '00000000-0000-7000-8000-000000000011', 'incremental', 'schedule', 'succeeded', 'scheduler', '2025-03-02', '2025-03-02', '2025-03-02 00:01', 3, false, 0);
         INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, finished_at, error_code, failures, claimed_at) VALUES
           ('0197aaaa-0000-7000-8000-000000000031', '0197aaaa-0000-7000-8000-000000000021', 'jira', 'fetch_page', '0/1', 'done', '2025-03-01 00:00:03', NULL, 2, '2025-03-01 00:00:01'),
           ('0197aabb-0000-7000-8000-000000000032', '0197aabb-0000-7000-8000-000000000022', 'jira', 'fetch_page', '0/1', 'dead', '2025-03-03 00:00:03', 'TIMEOUT', 3, NULL);
         INSERT INTO syncline.sync_log (run_id, project_id, step_kind, level, event, code, message, details) VALUES
           ('0197aaaa-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000011', 'fetch_page', 'info', 'gate_shut', 'RATE_LIMIT', 'Jira asked for a pause', '{\"delay_seconds\": 12.5}'),
           ('0197aaaa-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000011', 'fetch_page', 'warn', 'step_retried', 'TIMEOUT', 'no answer', '{\"delay_seconds\": 2}'),
           ('0197aaaa-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000011', 'fetch_page', 'warn', 'step_retried', 'TIMEOUT', 'no answer', '{\"delay_seconds\": 4}')",
    )
    .await;
    db
}

#[tokio::test]
async fn a_run_is_named_by_a_prefix_latest_or_its_project() {
    let db = seeded().await;
    let shown = |name: &str| json(&db, &["run", "show", name])["id"].as_str().unwrap().to_owned();
    assert_eq!(shown("0198"), "0198cccc-0000-7000-8000-000000000023");
    assert_eq!(shown("0197aab"), "0197aabb-0000-7000-8000-000000000022");
    assert_eq!(shown("latest"), "0197aabb-0000-7000-8000-000000000022", "the newest of all");
    assert_eq!(shown("web@latest"), "0198cccc-0000-7000-8000-000000000023");
    assert_eq!(shown("acme/OPS@latest"), "0197aabb-0000-7000-8000-000000000022");
    let both = ["0197aaaa-0000-7000-8000-000000000021 (acme/WEB, full, succeeded)", "0197aabb", "write more digits"];
    refuses(&db, &["run", "show", "0197a"], 2, &both);
    refuses(&db, &["run", "show", "ffff"], 1, &["no run's id begins with \"ffff\"", "syncline run list"]);
    refuses(&db, &["run", "show", "WEB"], 2, &["does not name a run", "KEY@latest"]);
    refuses(&db, &["run", "show", "HR@latest"], 1, &["there is no run yet"]);
    refuses(&db, &["run", "show", "NOPE@latest"], 1, &["unknown project"]);
    // Every other verb, too.
    assert!(succeeds(&db, &["run", "logs", "web@latest"]).contains("no entry matches"));
    assert_eq!(json(&db, &["log", "list", "--run", "0197aaaa"]).as_array().unwrap().len(), 3);
    refuses(&db, &["queue", "requeue", "0198"], 1, &["no dead step's id begins with"]);
    let back = json(&db, &["queue", "requeue", "ops@latest"]);
    assert_eq!(back["runs"].as_array().unwrap().len(), 1, "{back}");
}

#[tokio::test]
async fn a_run_is_shown_with_its_steps_requests_and_waits() {
    let db = seeded().await;
    let run = json(&db, &["run", "show", "0197aaaa"]);
    assert_eq!((run["requests"].as_i64(), run["issues_deleted"].as_i64()), (Some(17), Some(3)));
    assert_eq!(run["steps_by_kind"][0]["kind"], "fetch_page");
    assert_eq!((&run["steps_by_kind"][0]["done"], &run["steps_by_kind"][0]["seconds"]), (&1.into(), &2.0.into()));
    assert_eq!((&run["waits"][0]["reason"], &run["waits"][0]["seconds"]), (&"RATE_LIMIT".into(), &12.5.into()));
    assert_eq!((&run["waits"][1]["reason"], &run["waits"][1]["times"]), (&"TIMEOUT".into(), &2.into()));
    let text = succeeds(&db, &["run", "show", "0197aaaa"]);
    for word in ["3 issues are no longer in Jira", "17", "fetch_page", "Jira asked for a pause", "12.5s", "6.0s"] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    // What is followed ends with its run.
    let followed = succeeds(&db, &["run", "logs", "0197aaaa", "--follow"]);
    assert_eq!(followed.lines().count(), 3, "{followed}");
    assert_eq!(succeeds(&db, &["log", "--level", "warn"]).lines().count(), 3, "a head and two entries");
}

#[tokio::test]
async fn cancelling_what_is_over_says_so_with_its_exit_code() {
    let db = seeded().await;
    refuses(&db, &["run", "cancel", "web@latest"], 1, &["succeeded", "is over already: it has succeeded"]);
    let run = json(&db, &["sync", "start", "HR"])["run_id"].as_str().unwrap().to_owned();
    assert_eq!(json(&db, &["run", "cancel", &run])["state"], "cancelling");
    let several = ["run", "cancel", "hr@latest", "web@latest"];
    refuses(&db, &several, 1, &["cancelling", "is over already: it has succeeded"]);
}

#[tokio::test]
async fn one_command_counts_then_changes_several_projects() {
    let db = seeded().await;
    let state = || async {
        let states: Vec<String> =
            sqlx::query_scalar("SELECT state FROM syncline.project ORDER BY key").fetch_all(db.pool()).await.unwrap();
        states.join(" ") // HR, OPS, WEB
    };
    let text = succeeds(&db, &["project", "pause", "OPS", "web"]);
    assert!(text.contains("pause: 2 projects: acme/OPS, acme/WEB"), "{text}");
    assert_eq!(state().await, "active paused paused");
    refuses(&db, &["project", "resume", "--all"], 2, &["this would resume 3 projects: acme/HR, acme/OPS", "--yes"]);
    refuses(&db, &["project", "resume", "OPS", "NOPE"], 1, &["unknown project"]);
    assert_eq!(state().await, "active paused paused", "all are found before the first is changed");
    let done = json(&db, &["project", "resume", "--filter", "shop", "--yes"]);
    assert_eq!((&done[0]["project"], &done[0]["outcome"]), (&"acme/WEB".into(), &"resumed".into()));
    assert_eq!(
        json(&db, &["project", "resume", "WEB"])["outcome"],
        "unchanged",
        "an object for the one that was named"
    );
    refuses(&db, &["project", "pause", "--filter", "nothing like it", "--yes"], 1, &["no project matches"]);
    let cron = ["project", "reschedule", "--site", "acme", "--cron", "0 3 * * *"];
    refuses(&db, &cron, 2, &["this would reschedule 3 projects"]);
    assert_eq!(json(&db, &[&cron[..], &["--yes"]].concat()).as_array().unwrap().len(), 3);
    assert_eq!(count(&db, "SELECT count(*) FROM syncline.schedule WHERE cron = '0 3 * * *'").await, 3);
    let shown = json(&db, &["schedule", "show", "--all"]);
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["cron"]), (3, &"0 3 * * *".into()));
    let shown = succeeds(&db, &["schedule", "show", "OPS", "web"]);
    assert!(shown.contains("acme/OPS") && shown.contains("acme/WEB") && !shown.contains("acme/HR"), "{shown}");
    assert_eq!(json(&db, &["schedule", "show", "web"])["project"], "acme/WEB", "an object for the one that was named");
    assert_eq!(json(&db, &["project", "show", "--filter", "shop"])[0]["key"], "WEB");
    refuses(&db, &["schedule", "show", "OPS", "NOPE"], 1, &["unknown project"]);
    let started = json(&db, &["sync", "start", "--all", "--yes"]);
    assert_eq!(started.as_array().unwrap().len(), 2, "one is paused: {started}");
    refuses(
        &db,
        &["sync", "start", "OPS", "WEB"],
        1,
        &["no run was requested for 1 of 2 projects: acme/OPS", "paused"],
    );
    let gone = json(&db, &["project", "remove", "OPS", "HR", "--yes"]);
    assert_eq!((gone.as_array().unwrap().len(), &gone[0]["outcome"]), (2, &"removed".into()));
}

#[tokio::test]
async fn a_shell_is_offered_names_and_ids() {
    let db = seeded().await;
    let offered = |typed: &[&str]| {
        let mut asked = command(&db, &[&["--", "syncline"], typed].concat());
        asked.env("COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", typed.len().to_string());
        let output = asked.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{typed:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered(&["project", "pause", "W"]), ["WEB"]);
    assert_eq!(offered(&["schedule", "show", "WEB", "O"]), ["OPS"]);
    assert_eq!(offered(&["project", "track", "WEB", "re"]), ["remove"]);
    assert_eq!(offered(&["config", "unset", "page_size", "--project", "W"]), ["WEB"]);
    assert_eq!(offered(&["site", "show", ""]).first().map(String::as_str), Some("acme"));
    assert!(offered(&["run", "show", "0198"]).contains(&"0198cccc-0000-7000-8000-000000000023".to_owned()));
    assert!(offered(&["config", "get", "page"]).contains(&"page_size".to_owned()));
    assert!(offered(&["queue", "requeue", "0197"]).contains(&"0197aabb-0000-7000-8000-000000000032".to_owned()));
    assert!(offered(&["pro"]).contains(&"project".to_owned()), "commands as before");
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeds(&db, &["completions", shell]);
        assert!(script.contains("COMPLETE") && script.contains("syncline"), "{shell}: {script}");
    }
    // A database that is not there offers nothing, and says nothing.
    let mut asked = command(&db, &["--", "syncline", "site", "show", ""]);
    asked.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    asked.env("COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", "3");
    let output = asked.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", words(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_changed_credential_lifts_the_hold_and_tries_at_once() {
    let rig = rig().await;
    for key in ["AA", "BB"] {
        succeeds(&rig.db, &[&["project", "add", "sim", key, "--no-first-sync"], &NEVER[..]].concat());
    }
    let held = "UPDATE syncline.schedule SET hold = 'site', hold_code = 'AUTH_INVALID', rung = 4, held_since = now(),
                hold_until = now() + interval '1 day', next_run_at = now() + interval '1 day', hold_seconds = 86400";
    let due =
        "SELECT count(*) FROM syncline.schedule WHERE hold IS NULL AND rung = 0 AND next_run_at <= clock_timestamp()";
    execute(&rig.db, held).await;
    // What is not about access lifts nothing.
    succeeds(&rig.db, &["site", "update", "sim", "--max-concurrency", "3"]);
    assert_eq!(count(&rig.db, due).await, 0);
    // Nobody has asked the site: one is tried for all.
    let credential = format!("file:{}", rig.token_path().display());
    let text = succeeds(&rig.db, &["site", "update", "sim", "--credential", &credential, "--offline"]);
    assert!(text.contains("1 held project is released and runs now"), "{text}");
    assert_eq!(count(&rig.db, due).await, 1);
    execute(&rig.db, held).await;
    let text = succeeds(&rig.db, &["site", "update", "sim", "--email", simulator::DEFAULT_EMAIL]);
    assert!(text.contains("2 held projects are released and run now"), "{text}");
    assert_eq!(count(&rig.db, due).await, 2);
    let worker = rig.worker().await;
    let run: Uuid = loop {
        let run =
            sqlx::query_scalar("SELECT id FROM syncline.sync_run LIMIT 1").fetch_optional(rig.db.pool()).await.unwrap();
        if let Some(run) = run {
            break run;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(rig.ended(run).await, "succeeded");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn what_changes_something_says_what_in_json() {
    let rig = rig().await;
    let outcome = |arguments: &[&str]| {
        let done = json(&rig.db, arguments);
        let one = done.as_array().map_or(&done, |list| &list[0]);
        one["outcome"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(outcome(&["project", "add", "sim", "AA", "--no-first-sync"]), "added");
    assert_eq!(outcome(&["project", "pause", "AA"]), "paused");
    assert_eq!(outcome(&["project", "resume", "AA"]), "resumed");
    assert_eq!(outcome(&["project", "reschedule", "AA", "--cron", "@hourly"]), "rescheduled");
    assert_eq!(outcome(&["config", "set", "page_size=50"]), "set");
    assert_eq!(outcome(&["config", "unset", "page_size"]), "unset");
    assert_eq!(outcome(&["site", "update", "sim", "--max-concurrency", "3"]), "changed");
    assert_eq!(outcome(&["member", "add", "Ana", "--email", "ana@example.com"]), "added");
    assert_eq!(outcome(&["member", "remove", "ana@example.com", "--yes"]), "removed");
    assert_eq!(outcome(&["alert", "silence", "--class", "TIMEOUT", "--for", "1h"]), "silenced");
    let silence = json(&rig.db, &["alert", "silence", "list"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(outcome(&["alert", "unsilence", &silence[..30]]), "ended");
    assert_eq!(outcome(&["alert", "maintenance", "add", "--all", "--for", "1h"]), "planned");
    assert_eq!(outcome(&["alert", "route", "add", "log"]), "added");
    assert_eq!(outcome(&["alert", "route", "remove", "1"]), "removed");
    assert_eq!(outcome(&["project", "remove", "AA", "--purge", "--yes"]), "purged");
    assert_eq!(outcome(&["site", "remove", "sim", "--yes"]), "removed");
}

#[tokio::test]
async fn a_list_of_projects_tells_success_and_newest_change_apart() {
    let db = seeded().await;
    execute(
        &db,
        "INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, created_at, updated_at, content_hash, synced_at)
         SELECT site_id, 1, id, 'WEB-1', 'One', 'Task', 'Done', 'done', '2024-01-01', '2024-06-07 08:09:10Z', '', now() FROM syncline.project WHERE key = 'WEB'",
    )
    .await;
    let text = succeeds(&db, &["project", "list"]);
    assert!(text.contains("LAST SUCCESS") && text.contains("NEWEST CHANGE") && !text.contains("FRESH UNTIL"), "{text}");
    let web = text.lines().find(|line| line.contains("WEB")).unwrap();
    assert!(web.contains("2025-03-02 00:01:00Z") && web.contains("2024-06-07 08:09:10Z"), "{web}");
    let output = ask(&db, &["project", "list", "-o", "json"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"last_success_at\""));
}
