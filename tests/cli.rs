//! The command line keeps its word: what it prints, where, and how it ends.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::{TestDb, program};

/// 32 bytes of nothing in base64.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The program without anything of this process' environment.
fn syncline(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("USER", "ana").env("SYNCLINE__SECRETS__KEY", KEY).current_dir("/");
    command.stdin(Stdio::null());
    command
}

fn in_db(db: &TestDb, arguments: &[&str]) -> Output {
    syncline(arguments).env("DATABASE_URL", db.url()).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Everything that a command said, for snapshots.
fn said(db: &TestDb, arguments: &[&str]) -> String {
    let output = in_db(db, arguments);
    let code = output.status.code().unwrap_or(-1);
    format!("$ syncline {}\n{}{}[exit {code}]\n", arguments.join(" "), out(&output), err(&output))
}

fn succeeds(db: &TestDb, arguments: &[&str]) -> String {
    let output = in_db(db, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", err(&output));
    out(&output)
}

/// Refused with this exit code and these words.
fn refuses(db: &TestDb, arguments: &[&str], code: i32, words: &[&str]) {
    let output = in_db(db, arguments);
    let text = err(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {text} lacks {word:?}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

async fn execute(db: &TestDb, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db.pool()).await.unwrap();
}

/// A history with fixed ids and times.
async fn seeded() -> TestDb {
    let db = TestDb::new().await;
    execute(
        &db,
        r"
        INSERT INTO syncline.site (id, name, base_url, account_email, credential, created_at, updated_at) VALUES
          ('00000000-0000-7000-8000-000000000001', 'acme', 'https://acme.example.com', 'bot@example.com', 'env:JIRA_TOKEN', '2025-03-01', '2025-03-01'),
          ('00000000-0000-7000-8000-000000000002', 'beta', 'https://beta.example.com', 'bot@example.com', 'enc:v1:AAAA', '2025-03-01', '2025-03-02');
        INSERT INTO syncline.project (id, site_id, jira_id, key, name, state) VALUES
          ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 10001, 'WEB', 'Web shop', 'active'),
          ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', NULL, 'APP', '', 'paused'),
          ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000002', 10003, 'APP', 'Other app', 'active');
        INSERT INTO syncline.schedule (project_id, cron, time_zone, state, next_slot_at, next_run_at, missed_total) VALUES
          ('00000000-0000-7000-8000-000000000011', '*/15 * * * *', 'UTC', 'active', '2025-03-04 10:15Z', '2025-03-04 10:17Z', 3),
          ('00000000-0000-7000-8000-000000000012', '0 6 * * MON-FRI', 'Europe/Berlin', 'paused', '2025-03-04 05:00Z', '2025-03-04 05:01Z', 0),
          ('00000000-0000-7000-8000-000000000013', '@hourly', 'UTC', 'active', '2025-03-04 11:00Z', '2025-03-04 11:00Z', 0);
        INSERT INTO syncline.sync_state (project_id, entity, cursor_at, last_sync_time, status) VALUES
          ('00000000-0000-7000-8000-000000000011', 'issue', '2025-03-04 10:00Z', '2025-03-04 10:01Z', 'succeeded'),
          ('00000000-0000-7000-8000-000000000011', 'comment', '2025-03-04 09:45Z', '2025-03-04 10:01Z', 'failed'),
          ('00000000-0000-7000-8000-000000000011', 'worklog', '2025-03-04 10:00Z', '2025-03-04 10:01Z', 'succeeded');
        INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at,
               pages, issues_seen, issues_created, issues_updated, issues_unchanged, issues_rejected, comments_written,
               worklogs_written, steps, retries, error_code, error_message, error_advice, window_from) VALUES
          ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000011', 'full', 'manual', 'succeeded', 'ana',
           '2025-03-04 09:00Z', '2025-03-04 09:00:01Z', '2025-03-04 09:02:05Z', 12, 1200, 1200, 0, 0, 0, 3600, 2400, 38, 1, NULL, NULL, NULL, NULL),
          ('00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000011', 'incremental', 'schedule', 'failed', 'scheduler',
           '2025-03-04 10:00Z', '2025-03-04 10:00:01Z', '2025-03-04 10:00:03Z', 1, 40, 2, 5, 33, 1, 4, 0, 4, 0, 'AUTH_INVALID',
           'GET /myself answered 401', 'Check the token.', '2025-03-04 09:55Z');
        INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, attempt, finished_at, error_code, error_message, error_advice) VALUES
          ('00000000-0000-7000-8000-000000000031', '00000000-0000-7000-8000-000000000022', 'jira', 'fetch_page', '0/1', 'dead', 1,
           '2025-03-04 10:00:03Z', 'AUTH_INVALID', 'GET /myself answered 401', 'Check the token.');
        INSERT INTO syncline.sync_log (at, run_id, project_id, step_kind, level, event, code, message) VALUES
          ('2025-03-04 10:00:01Z', '00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000011', 'plan_run', 'info', 'run_planned', NULL, 'incremental, 40 issues'),
          ('2025-03-04 10:00:03Z', '00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000011', 'fetch_page', 'error', 'step_dead', 'AUTH_INVALID', 'GET /myself answered 401');
        ",
    )
    .await;
    db
}

#[test]
fn help_of_every_noun_reads_as_agreed() {
    let mut text = String::new();
    for arguments in [
        vec![],
        vec!["site"],
        vec!["site", "add"],
        vec!["project"],
        vec!["project", "add"],
        vec!["project", "remove"],
        vec!["sync", "start"],
        vec!["run"],
        vec!["run", "list"],
        vec!["log", "list"],
        vec!["queue"],
        vec!["queue", "requeue"],
        vec!["config"],
        vec!["config", "set"],
        vec!["member"],
        vec!["member", "import"],
        vec!["user"],
        vec!["user", "match"],
        vec!["project", "discover"],
        vec!["project", "track"],
        vec!["site", "update"],
        vec!["site", "authorize"],
        vec!["drift"],
        vec!["completions"],
    ] {
        let asked = [arguments.clone(), vec!["-h"]].concat();
        let output = syncline(&asked).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{asked:?}");
        // The options that every command has are shown once.
        let help = out(&output);
        let own = if arguments.is_empty() { &help } else { help.split("Global options:").next().unwrap() };
        text.push_str(&format!("$ syncline {}\n{}\n\n", asked.join(" "), own.trim_end()));
    }
    insta::assert_snapshot!("help", text);
}

#[tokio::test]
async fn tables_are_for_people() {
    let db = seeded().await;
    let text: String = [
        &["site", "list"][..],
        &["site", "show", "beta"],
        &["project", "list"],
        &["project", "show", "web"],
        &["run", "list"],
        &["run", "show", "00000000-0000-7000-8000-000000000022"],
        &["log", "list"],
        &["log", "list", "--level", "error", "--project", "acme/web"],
        &["queue", "stats"],
        &["queue", "dead"],
        &["run", "watch", "00000000-0000-7000-8000-000000000022", "-q"],
    ]
    .into_iter()
    .map(|arguments| said(&db, arguments) + "\n")
    .collect();
    insta::assert_snapshot!("tables", text);
}

#[tokio::test]
async fn json_is_for_machines() {
    let db = seeded().await;
    let text: String = [
        &["site", "list", "-o", "jsonl"][..],
        &["run", "show", "00000000-0000-7000-8000-000000000022", "-o", "json"],
        &["log", "list", "-o", "jsonl"],
        &["queue", "dead", "-o", "json"],
        &["project", "list", "--site", "beta", "-o", "json"],
    ]
    .into_iter()
    .map(|arguments| said(&db, arguments) + "\n")
    .collect();
    insta::assert_snapshot!("json", text);
    let empty = succeeds(&db, &["run", "list", "--state", "queued", "-o", "json"]);
    assert_eq!(empty.trim(), "[]");
}

#[tokio::test]
async fn a_wrong_question_is_answered_with_what_to_do_and_exit_code_2() {
    let db = seeded().await;
    let remove = ["project", "remove", "web"];
    refuses(
        &db,
        &remove,
        2,
        &["error: this would stop synchronising acme/WEB", "help: to confirm, repeat the command with --yes"],
    );
    refuses(&db, &["queue", "requeue", "--all"], 2, &["--yes"]);
    refuses(&db, &["project", "show", "app"], 2, &["acme/APP, beta/APP", "SITE/KEY"]);
    let add = ["project", "add", "acme", "NEW", "--offline"];
    refuses(&db, &[&add[..], &["--cron", "0 25 * * *"]].concat(), 2, &["the hour field \"25\"", "0-23"]);
    refuses(&db, &[&add[..], &["--cron", "0 1 * *"]].concat(), 2, &["4 fields", "write five"]);
    refuses(&db, &[&add[..], &["--time-zone", "Europe/Berln"]].concat(), 2, &["did you mean \"Europe/Berlin\""]);
    refuses(&db, &["project", "add", "acme", "no-key", "--offline"], 2, &["is not a valid project key"]);
    refuses(&db, &["project", "reschedule", "web", "--cron", "* * * 13 *"], 2, &["month"]);
    refuses(&db, &["site", "add", "Bad Name", "--update"], 2, &["is not a valid site name"]);
    let plain = ["site", "add", "new", "--url", "https://x.example.com", "--email", "b@example.com", "--credential"];
    refuses(&db, &[&plain[..], &["hunter2hunter2"]].concat(), 2, &["neither env:NAME nor file:PATH"]);
    assert!(!err(&in_db(&db, &[&plain[..], &["hunter2hunter2"]].concat())).contains("hunter2"));
    refuses(&db, &["nonsense"], 2, &["unrecognized subcommand"]);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_exit_code_1() {
    let db = seeded().await;
    refuses(&db, &["project", "show", "wep"], 1, &["unknown project \"wep\"", "did you mean acme/WEB?"]);
    refuses(&db, &["sync", "start", "nope"], 1, &["unknown project", "help: list the projects"]);
    refuses(&db, &["sync", "start", "acme/app"], 1, &["is paused", "syncline project resume acme/APP"]);
    refuses(&db, &["site", "show", "gamma"], 1, &["the sites are: acme, beta"]);
    refuses(&db, &["site", "remove", "acme", "--yes"], 1, &["still has projects: APP, WEB", "--purge"]);
    let unknown = "00000000-0000-7000-8000-0000000000ff";
    for verb in ["show", "watch", "cancel", "retry"] {
        refuses(&db, &["run", verb, unknown], 1, &["unknown run", "run list"]);
    }
    refuses(&db, &["queue", "requeue", unknown], 1, &["nothing was retried", "queue dead"]);
}

#[test]
fn a_wrong_configuration_exits_with_2_before_any_work() {
    let url = "postgres://u:hunter2@127.0.0.1:1/db";
    for (name, value, words) in [
        ("SYNCLINE__SYNC__PAGE_SISE", "1", "did you mean SYNCLINE__SYNC__PAGE_SIZE?"),
        ("SYNCLINE__SYNC__PAGE_SIZE", "zero", "sync.page_size"),
        ("SYNCLINE__SYNC__TIME_ZONE", "Mars/Olympus", "sync.time_zone"),
        ("SYNCLINE__DATABASE__URL", "mysql://u:hunter2@h/db", "scheme \"mysql\""),
        ("SYNCLINE_CONFIG", "/no/such/file.toml", "/no/such/file.toml"),
    ] {
        let output = syncline(&["run", "list"]).env("DATABASE_URL", url).env(name, value).output().unwrap();
        let text = err(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words) && text.contains("help: ") && !text.contains("hunter2"), "{text}");
    }
    let output = syncline(&["run", "list"]).env("DATABASE_URL", url).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("127.0.0.1:1") && !err(&output).contains("hunter2"), "{}", err(&output));
}

#[tokio::test]
async fn a_database_without_the_schema_says_migrate() {
    let db = TestDb::unmigrated().await;
    refuses(&db, &["run", "list"], 1, &["syncline migrate"]);
    assert!(succeeds(&db, &["migrate"]).contains("schema is at version"));
    assert_eq!(succeeds(&db, &["run", "list", "-o", "json"]).trim(), "[]");
}

#[tokio::test]
async fn a_piped_token_is_stored_sealed_and_shown_nowhere() {
    let db = TestDb::new().await;
    let add = [
        "site",
        "add",
        "acme",
        "--url",
        "https://acme.example.com",
        "--email",
        "b@example.com",
        "--kind",
        "cloud",
        "--token-stdin",
        "--offline",
    ];
    let mut child = syncline(&add)
        .env("DATABASE_URL", db.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"token-of-nobody\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let stored: String = sqlx::query_scalar("SELECT credential FROM syncline.site").fetch_one(db.pool()).await.unwrap();
    assert!(stored.starts_with("enc:v1:") && !stored.contains("nobody"));
    for arguments in [&["site", "show", "acme", "-o", "json"][..], &["site", "list"]] {
        let text = succeeds(&db, arguments);
        assert!(text.contains("encrypted") && !text.contains("enc:v1") && !text.contains("nobody"), "{text}");
    }
    refuses(&db, &add, 2, &["not one token"]);
    // Updating keeps what is not given.
    succeeds(&db, &["site", "add", "acme", "--update", "--email", "new@example.com", "--offline"]);
    let site = succeeds(&db, &["site", "show", "acme", "-o", "json"]);
    assert!(site.contains("new@example.com") && site.contains("https://acme.example.com"), "{site}");
}

#[tokio::test]
async fn a_request_during_an_active_run_waits_and_is_cancellable() {
    let db = seeded().await;
    let first = succeeds(&db, &["sync", "start", "web"]).trim().to_owned();
    let second = succeeds(&db, &["sync", "start", "acme/WEB", "--full"]).trim().to_owned();
    assert_ne!(first, second);
    assert_eq!(succeeds(&db, &["sync", "start", "web"]).trim(), second, "a third request is served by the kept run");
    refuses(&db, &["run", "retry", &first], 1, &["cannot be retried", "run watch"]);
    assert_eq!(succeeds(&db, &["run", "cancel", &second]).trim(), "cancelled");
    assert_eq!(succeeds(&db, &["run", "cancel", &first]).trim(), "cancelling");
    assert!(succeeds(&db, &["run", "show", &first]).contains("cancelling"), "visible at once");
    let again = succeeds(&db, &["run", "retry", &second]).trim().to_owned();
    let shown = succeeds(&db, &["run", "show", &again, "-o", "json"]);
    assert!(shown.contains(&format!("\"retry_of\": \"{second}\"")) && shown.contains("\"kind\": \"full\""), "{shown}");
}

#[tokio::test]
async fn a_dead_step_comes_back_as_a_new_run_of_its_project() {
    let db = seeded().await;
    execute(
        &db,
        "INSERT INTO syncline.sync_step (id, queue, kind, key, state, finished_at)
         VALUES ('00000000-0000-7000-8000-000000000032', 'control', 'tidy', '', 'dead', now())",
    )
    .await;
    let requeued = succeeds(&db, &["queue", "requeue", "--all", "--yes", "-o", "json"]);
    let requeued: serde_json::Value = serde_json::from_str(&requeued).unwrap();
    assert_eq!(requeued["ready"][0], "00000000-0000-7000-8000-000000000032");
    let run = requeued["runs"][0].as_str().unwrap();
    let shown = succeeds(&db, &["run", "show", run, "-o", "json"]);
    assert!(shown.contains("\"retry_of\": \"00000000-0000-7000-8000-000000000022\""), "{shown}");
    assert_eq!(succeeds(&db, &["queue", "dead", "-o", "json"]).trim(), "[]");
}

#[tokio::test]
async fn a_project_pauses_resumes_and_leaves_with_or_without_its_rows() {
    let db = seeded().await;
    execute(
        &db,
        "INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, created_at, updated_at, content_hash, synced_at)
         SELECT site_id, 1, id, 'WEB-1', 'One', 'Task', 'Done', 'done', now(), now(), '', now() FROM syncline.project WHERE key = 'WEB';
         INSERT INTO syncline.comment (site_id, id, issue_id, body, created_at, updated_at, content_hash)
         SELECT site_id, 1, 1, 'Hello', now(), now(), '' FROM syncline.project WHERE key = 'WEB'",
    )
    .await;
    let state = || succeeds(&db, &["project", "show", "web", "-o", "json"]);
    succeeds(&db, &["project", "pause", "web"]);
    assert!(state().contains("\"paused\"") && state().contains("\"next_run_at\": null"), "{}", state());
    succeeds(&db, &["project", "resume", "web"]);
    assert!(state().contains("\"active\"") && !state().contains("\"next_run_at\": null"), "{}", state());
    succeeds(&db, &["project", "remove", "web", "--yes"]);
    assert!(state().contains("\"removed\"") && state().contains("\"issues\": 1"), "{}", state());
    let again = succeeds(&db, &["project", "add", "acme", "web", "app", "--offline", "-o", "jsonl"]);
    assert!(again.contains("added") && again.contains("exists"), "{again}");
    assert!(state().contains("\"active\"") && state().contains("Web shop"), "{}", state());
    succeeds(&db, &["project", "remove", "web", "--purge", "--yes"]);
    refuses(&db, &["project", "show", "web"], 1, &["unknown project"]);
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM syncline.issue) + (SELECT count(*) FROM syncline.comment) + (SELECT count(*) FROM syncline.sync_run)",
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert_eq!(left, 0);
    let acts: Vec<String> = sqlx::query_scalar("SELECT action FROM syncline.audit WHERE actor = 'ana' ORDER BY id")
        .fetch_all(db.pool())
        .await
        .unwrap();
    assert_eq!(acts, ["project.pause", "project.resume", "project.remove", "project.add", "project.purge"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    // Much more than a pipe holds, so that the writer meets the closed end.
    let mut child = syncline(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(err(&output), "");
}

#[test]
fn no_colour_reaches_a_pipe() {
    let output = syncline(&["config", "show"]).output().unwrap();
    assert!(output.status.success() && !out(&output).contains('\u{1b}'));
    assert!(out(&output).contains("(hidden)") && !out(&output).contains(KEY));
}
