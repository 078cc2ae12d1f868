//! Text from Jira does nothing but be read, wherever it is shown: on a terminal, in JSON, in a mail, in a chat.

use serde_json::{Value, json};
use syncline::alert::channel::Kind;
use syncline::domain::alert::Event;
use syncline::domain::display::is_unseen;

use crate::support::TestDb;
use crate::support::alert::{channel, message};
use crate::support::answering::{Answering, reply};
use crate::support::command::{ask, words};
use crate::support::smtp::{SmtpOptions, SmtpServer};

/// Fills the clipboard, clears the screen, turns letters around, hides some, and begins a line of its own.
const HOSTILE: &str =
    "Shop\u{1b}]52;c;cm0gLXJm\u{7}\u{1b}[2J\u{9b}2J\u{202e}gpj.exe\u{2066}\u{200b}\u{e0041}\u{7f}\r\nforged succeeded";

/// A database in which everything that comes from outside is hostile.
async fn staged() -> TestDb {
    let db = TestDb::new().await;
    for sql in [
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential)
         VALUES ('00000000-0000-7000-8000-000000000001', 'acme', 'http://127.0.0.1:1', 'bot@example.com', 'env:TOKEN')",
        "INSERT INTO syncline.project (id, site_id, jira_id, key, name)
         VALUES ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 1, 'WEB', $1)",
        "INSERT INTO syncline.schedule (project_id, cron, time_zone, state, next_slot_at, next_run_at)
         VALUES ('00000000-0000-7000-8000-000000000011', '* * * * *', 'UTC', 'active', now(), now())",
        "INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, created_at, started_at, finished_at, error_code, error_message, error_advice)
         VALUES ('00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000011', 'full', 'manual', 'failed', $1, now(), now(), now(), 'UNKNOWN', $1, $1)",
        "INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, attempt, finished_at, error_code, error_message, error_advice)
         VALUES ('00000000-0000-7000-8000-000000000031', '00000000-0000-7000-8000-000000000022', 'jira', 'fetch_page', '0/1', 'dead', 1, now(), 'UNKNOWN', $1, $1)",
        "INSERT INTO syncline.sync_log (run_id, project_id, step_kind, level, event, code, message)
         VALUES ('00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000011', 'fetch_page', 'error', 'step_dead', 'UNKNOWN', $1)",
        "INSERT INTO syncline.jira_user (site_id, account_id, display_name, email, active)
         VALUES ('00000000-0000-7000-8000-000000000001', $1, $1, $1, true)",
        "INSERT INTO syncline.site_capability (site_id, feature, state, reason)
         VALUES ('00000000-0000-7000-8000-000000000001', 'boards', 'absent', $1)",
    ] {
        let query = sqlx::query(sql);
        let query = if sql.contains("$1") { query.bind(HOSTILE) } else { query };
        query.execute(db.pool()).await.unwrap();
    }
    db
}

fn obeyed(text: &str) -> Vec<char> {
    text.chars().filter(|c| is_unseen(*c) && *c != '\n').collect()
}

#[tokio::test]
async fn no_command_shows_what_a_terminal_would_obey() {
    let db = staged().await;
    let mut seen = 0;
    for arguments in [
        &["project", "list"][..],
        &["project", "show", "WEB"],
        &["project", "remove", "WEB"],
        &["run", "list"],
        &["run", "show", "00000000-0000-7000-8000-000000000022"],
        &["run", "watch", "00000000-0000-7000-8000-000000000022"],
        &["log", "list"],
        &["queue", "dead"],
        &["queue", "stats"],
        &["schedule", "list"],
        &["health"],
        &["user", "list", "acme"],
        &["user", "match", "acme"],
        &["site", "check", "acme"],
        &["site", "list"],
        &["doctor"],
        &["drift", "list", "acme"],
        &["alert", "list"],
        // What somebody types comes back in errors.
        &["project", "show", HOSTILE],
        &["site", "show", HOSTILE],
        &["site", "add", "u", "--url", HOSTILE, "--email", "a@example.com", "--credential", "env:TOKEN"],
        &["config", "set", "page_size", HOSTILE],
    ] {
        for format in ["table", "json", "jsonl"] {
            let output = ask(&db, &[arguments, &["-v", "-o", format]].concat());
            let text = words(&output);
            assert_eq!(obeyed(&text), Vec::<char>::new(), "{arguments:?} -o {format}: {text:?}");
            assert!(!text.contains("panicked"), "{text}");
            // A line feed of Jira's makes no row of its own.
            assert!(!text.lines().any(|line| line.starts_with("forged")), "{arguments:?}: {text}");
            seen += usize::from(text.contains("\\u{202e}") || text.contains("\\u202e"));
        }
    }
    assert!(seen > 15, "{seen} outputs had anything to show");
}

#[tokio::test]
async fn json_keeps_the_text_as_it_is() {
    let db = staged().await;
    let output = ask(&db, &["project", "list", "-o", "json"]);
    assert!(output.stdout.iter().all(u8::is_ascii), "the escapes are JSON's own");
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed[0]["name"], HOSTILE);
}

#[tokio::test]
async fn no_message_carries_what_is_obeyed_or_not_seen() {
    let mut hostile = message(Event::Opened, &["ops@example.com"]);
    hostile.metadata.about = format!("project acme/{HOSTILE}");
    hostile.metadata.summary = HOSTILE.into();
    hostile.metadata.advice = HOSTILE.into();
    hostile.metadata.facts = vec![(HOSTILE.into(), HOSTILE.into())];
    let rendered = syncline::alert::template::Templates::built_in().render(&hostile.metadata);
    (hostile.subject, hostile.text, hostile.html) = (rendered.subject, rendered.text, Some(rendered.html));

    let server = SmtpServer::start(SmtpOptions::default());
    let settings = json!({"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "a@example.com"});
    channel(Kind::Email, settings, None).unwrap().send(&hostile).await.unwrap();
    let mail = &server.mails()[0];
    // The marks of direction in UTF-8, as quoted-printable and encoded words have them.
    for mark in ["=E2=80=AE", "=1B", "=C2=9B", "=F3=A0", "=E2=81=A6", "\u{1b}"] {
        assert!(!mail.contains(mark), "{mark} in {mail}");
    }
    assert!(mail.contains("202e"), "{mail}");

    let answer = json!({"ok": true, "channel": "C024BE91L", "ts": "1.1", "messages": [{"id": "m"}]}).to_string();
    for (kind, to, secret) in [
        (Kind::Slack, "#alerts", "xoxb-a-token"),
        (Kind::Whatsapp, "+4915112345678", "a-token"),
        (Kind::Webhook, "", "a-secret"),
    ] {
        let server = Answering::start(vec![reply(200, answer.clone()); 2]).await;
        let settings = match kind {
            Kind::Slack => json!({"base_url": server.url()}),
            Kind::Whatsapp => json!({"base_url": server.url(), "phone_number_id": "1", "template": "t"}),
            _ => json!({"url": server.url(), "allow_private_addresses": true}),
        };
        hostile.to = [to].into_iter().filter(|to| !to.is_empty()).map(str::to_owned).collect();
        channel(kind, settings, Some(secret)).unwrap().send(&hostile).await.unwrap();
        let body = server.asked()[0].json().to_string();
        // Read back, so that escapes of JSON's own count as what they stand for.
        let body: Value = serde_json::from_str(&body).unwrap();
        let mut texts = Vec::new();
        collect(&body, &mut texts);
        let found: Vec<char> = texts.iter().flat_map(|text| obeyed(text)).collect();
        assert_eq!(found, Vec::<char>::new(), "{kind}: {body}");
        assert!(texts.iter().any(|text| text.contains("\\u{202e}")), "{kind}: {body}");
    }
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, texts)),
        _ => {}
    }
}
