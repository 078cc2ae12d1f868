//! Alerts from the command line: what can be asked, what can be done, and what is refused with the reason.

use std::process::{Command, Output, Stdio};

use chrono::TimeDelta;
use syncline::domain::failure::Severity;

use crate::support::alerts::{Desk, firing, firing_as, project, site};
use crate::support::program;

/// 32 bytes of nothing in base64.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn ask(desk: &Desk, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("USER", "ana").env("SYNCLINE__SECRETS__KEY", KEY).env("HOOK", "secret");
    command.env("DATABASE_URL", desk.db.url()).current_dir("/").stdin(Stdio::null()).output().unwrap()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `syncline alert …` succeeds; its words, data first.
fn alert(desk: &Desk, arguments: &[&str]) -> String {
    let output = ask(desk, &[&["alert"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    words(&output)
}

fn refuses(desk: &Desk, arguments: &[&str], expected: &[&str]) {
    let output = ask(desk, &[&["alert"], arguments].concat());
    let text = words(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {text}");
    for word in expected {
        assert!(text.contains(word), "{arguments:?}: {text} lacks {word:?}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// A desk with channels as people configure them.
async fn configured() -> Desk {
    let desk = Desk::new().await;
    let mail = [
        "channel",
        "add",
        "mail",
        "--kind",
        "email",
        "--set",
        "host=smtp.example.com",
        "--set",
        "from=bot@example.com",
    ];
    alert(&desk, &mail);
    let hook = [
        "channel",
        "add",
        "hook",
        "--kind",
        "webhook",
        "--set",
        "url=https://example.com/hook",
        "--credential",
        "env:HOOK",
    ];
    alert(&desk, &hook);
    desk
}

#[tokio::test]
async fn alerts_are_listed_shown_taken_on_and_ended() {
    let desk = Desk::new().await;
    assert!(alert(&desk, &["list"]).contains("nothing is wrong"));
    desk.observe(&[firing(site(), Severity::Critical, 3), firing_as(project(0), "PERMISSION", Severity::Error, 0)])
        .await;
    desk.pass(TimeDelta::minutes(1)).await;
    let list = alert(&desk, &["list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[1].contains("critical") && lines[1].contains("site acme"), "{list}");
    assert!(lines[2].contains("PERMISSION") && lines[2].contains("project acme/OPS"), "{list}");
    let id = lines[1].split_whitespace().next().unwrap().to_owned();

    let shown = alert(&desk, &["show", &id]);
    for word in
        ["SERVER_ERROR (availability)", "Check its status page.", "GET /search answered 503", "opened", "delivered"]
    {
        assert!(shown.contains(word), "{shown} lacks {word}");
    }
    let json: serde_json::Value = serde_json::from_str(&alert(&desk, &["show", &id, "-o", "json"])).unwrap();
    assert_eq!(json["deliveries"][0]["channel"], "log");
    let jsonl = alert(&desk, &["list", "-o", "jsonl"]);
    assert_eq!(jsonl.lines().count(), 2);

    alert(&desk, &["ack", &id, "--note", "calling them"]);
    assert!(alert(&desk, &["ack", &id]).contains("ana has acknowledged it already"));
    assert!(alert(&desk, &["list"]).contains("open, acknowledged"));
    alert(&desk, &["silence", &id, "--for", "4h"]);
    assert!(alert(&desk, &["list"]).contains("open, silenced"));
    assert!(alert(&desk, &["silence", "list"]).contains("alert "));
    alert(&desk, &["unsilence", &id]);
    alert(&desk, &["resolve", &id]);
    let shown = alert(&desk, &["show", &id]);
    assert!(shown.contains("calling them") && shown.contains("ended by hand"), "{shown}");
    let actions = "SELECT string_agg(action, ' ' ORDER BY id) FROM syncline.audit WHERE actor = 'ana'";
    assert_eq!(desk.text(actions).await, "alert.ack alert.silence.add alert.silence.remove alert.resolve");
    refuses(&desk, &["show", "ffffffff"], &["unknown alert"]);
    refuses(&desk, &["ack", "x"], &["does not name an alert"]);
}

#[tokio::test]
async fn a_route_is_checked_before_it_is_stored() {
    let desk = configured().await;
    refuses(&desk, &["route", "add", "mial"], &["unknown channel", "did you mean mail?"]);
    refuses(&desk, &["route", "add", "mail"], &["to"]);
    refuses(&desk, &["route", "add", "mail", "--to", "nobody"], &["is no mailbox"]);
    refuses(&desk, &["route", "add", "hook", "--to", "ops@example.com"], &["webhook"]);
    refuses(&desk, &["route", "add", "hook", "--cc", "ops@example.com"], &["copies"]);
    let mail = ["route", "add", "mail", "--to", "ops@example.com"];
    refuses(&desk, &[&mail[..], &["--hours", "MON-FRI 8-18"]].concat(), &["time of day"]);
    refuses(&desk, &[&mail[..], &["--hours", "08:00-18:00 Europe/Berln"]].concat(), &["time zone"]);
    refuses(&desk, &[&mail[..], &["--category", "biling"]].concat(), &["did you mean billing?"]);
    refuses(&desk, &[&mail[..], &["--class", "NO_SUCH"]].concat(), &["unknown class"]);
    refuses(&desk, &[&mail[..], &["--min-severity", "loud"]].concat(), &["unknown severity"]);
    refuses(&desk, &[&mail[..], &["--site", "nowhere"]].concat(), &["unknown site", "acme"]);
    refuses(&desk, &[&mail[..], &["--project", "NOPE"]].concat(), &["unknown project"]);
    refuses(&desk, &[&mail[..], &["--escalate-after", "soon"]].concat(), &["not a duration"]);
    assert!(alert(&desk, &["route", "list"]).contains("every alert goes to the log"));
}

#[tokio::test]
async fn a_test_of_the_routes_says_who_and_why_not_the_others() {
    let desk = configured().await;
    alert(&desk, &["route", "add", "hook", "--category", "latency", "--hours", "MON-FRI 08:00-18:00 UTC"]);
    alert(&desk, &["route", "add", "mail", "--to", "billing@example.com", "--category", "billing"]);
    alert(
        &desk,
        &["route", "add", "mail", "--to", "boss@example.com", "--min-severity", "critical", "--escalate-after", "2h"],
    );
    assert!(alert(&desk, &["route", "list"]).contains("category latency; in MON-FRI 08:00-18:00 UTC"));
    let failure = ["route", "test", "--class", "SUSPENDED_PAYMENT", "--project", "OPS"];
    let said = alert(&desk, &failure);
    assert!(said.contains("is for category latency, this is billing"), "{said}");
    assert!(said.contains("billing@example.com") && said.contains("it matches"), "{said}");
    assert!(said.contains("nobody has acknowledged for 2 hours"), "{said}");
    let later = alert(&desk, &[&failure[..], &["--unacknowledged-for", "3h", "-o", "json"]].concat());
    let rows: serde_json::Value = serde_json::from_str(&later).unwrap();
    assert_eq!(rows[2]["gets_it"], true);
    let at = |time: &str| alert(&desk, &["route", "test", "--class", "SLOW_RUNS", "--at", time]);
    assert!(at("2026-03-02T10:00:00Z").contains("yes"));
    let night = at("2026-03-02T22:00:00Z");
    assert!(night.contains("now it is MON 22:00 UTC") && night.contains("it goes to the log"), "{night}");
    refuses(&desk, &["channel", "remove", "mail", "--yes"], &["2 routes name channel mail"]);
    refuses(&desk, &["route", "remove", "7"], &["no route 7"]);
    alert(&desk, &["route", "move", "3", "1"]);
    alert(&desk, &["route", "remove", "1"]);
}

#[tokio::test]
async fn a_silence_has_an_end_and_something_that_it_is_for() {
    let desk = Desk::new().await;
    refuses(&desk, &["silence", "--site", "acme"], &["a silence must end", "--for 4h"]);
    refuses(&desk, &["silence", "--for", "4h"], &["silence everything"]);
    refuses(&desk, &["silence", "--site", "acme", "--until", "2020-01-01T00:00:00Z"], &["is over already"]);
    refuses(&desk, &["silence", "--site", "acme", "--for", "0h"], &["not a duration"]);
    refuses(&desk, &["maintenance", "add", "--for", "4h"], &["--site"]);
    let backwards = ["--from", "2199-01-02T00:00:00Z", "--until", "2199-01-01T00:00:00Z"];
    refuses(&desk, &[&["maintenance", "add", "--site", "acme"], &backwards[..]].concat(), &["ends before it starts"]);
    alert(&desk, &["silence", "--site", "acme", "--class", "TIMEOUT", "--for", "2d", "--reason", "move"]);
    let listed = alert(&desk, &["silence", "list"]);
    assert!(listed.contains("class TIMEOUT; site acme") && listed.contains("move"), "{listed}");
    alert(&desk, &["maintenance", "add", "--site", "acme", "--project", "WEB", "--for", "1h"]);
    let listed = alert(&desk, &["maintenance", "list", "-o", "jsonl"]);
    assert_eq!(listed.lines().count(), 2, "the site, and the project");
    let first: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    alert(&desk, &["maintenance", "remove", first["id"].as_str().unwrap()]);
    refuses(&desk, &["unsilence", "00000000-0000-7000-8000-000000000000"], &["there is no silence"]);
}

#[tokio::test]
async fn a_channel_is_checked_and_its_secret_never_shown() {
    let desk = configured().await;
    refuses(&desk, &["channel", "add", "mail", "--kind", "email"], &["host is missing"]);
    refuses(&desk, &["channel", "add", "x", "--kind", "pigeon"], &["unknown kind of channel"]);
    refuses(&desk, &["channel", "add", "Bad Name", "--kind", "log"], &["is not a valid channel name"]);
    refuses(
        &desk,
        &["channel", "add", "x", "--kind", "webhook", "--set", "url=https://example.com", "--credential", "hunter2"],
        &["--credential env:"],
    );
    refuses(
        &desk,
        &[
            "channel",
            "add",
            "hook",
            "--kind",
            "webhook",
            "--set",
            "url=https://example.com",
            "--credential",
            "env:HOOK",
        ],
        &["already"],
    );
    refuses(&desk, &["channel", "remove", "log", "--yes"], &["cannot be removed"]);
    alert(&desk, &["channel", "add", "mail", "--update", "--set", "timeout_seconds=5"]);
    let listed = alert(&desk, &["channel", "list"]);
    assert!(listed.contains("timeout_seconds=5") && listed.contains("host=smtp.example.com"), "{listed}");
    assert!(listed.contains("env:HOOK") && !listed.contains("secret"), "{listed}");
    alert(&desk, &["channel", "remove", "hook", "--yes"]);
    alert(&desk, &["channel", "test", "log"]);
    refuses(&desk, &["channel", "test", "mail"], &["to"]);
}

#[tokio::test]
async fn a_test_message_goes_through_the_outbox() {
    let desk = Desk::new().await;
    alert(&desk, &["test", "--class", "SUSPENDED_PAYMENT", "--site", "acme"]);
    desk.deliver().await;
    let messages = desk.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].metadata.event.as_str(), messages[0].metadata.about.as_str()), ("test", "site acme"));
    desk.pass(TimeDelta::days(3)).await;
    assert!(desk.told().is_empty(), "nothing follows");
    assert!(alert(&desk, &["list"]).contains("nothing is wrong"));
}
