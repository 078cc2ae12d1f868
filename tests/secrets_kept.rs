//! A secret is shown nowhere, whoever repeats it: a token endpoint, a Jira, a mail server, a hook, the command line.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use syncline::alert::channel::{Channel, Kind};
use syncline::domain::alert::Event;
use syncline::jira::TokenSource as _;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::oauth::{authorize, authorized, part, site, tokens};
use crate::support::alert::{channel, message};
use crate::support::answering::{Answering, reply};
use crate::support::command::{ask, command, words};
use crate::support::{Rig, TestDb, http_get};

/// Answers with this status and whatever it was sent, in every form that it can think of.
async fn echo(State((status, is_json)): State<(u16, bool)>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let text = String::from_utf8_lossy(&body).into_owned();
    let form: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let pairs = form.as_object().into_iter().flatten().map(|(name, value)| (name, value.as_str().unwrap_or_default()));
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let header = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    let token = header.split(' ').nth(1).unwrap_or_default();
    let decoded = STANDARD.decode(token).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let said = format!("no: {encoded} {text} {} {header} {token} {decoded}", STANDARD.encode(&body));
    let answer = match is_json {
        true => json!({ "error": "invalid_request", "error_description": said, "scope": said, "expires_in": said })
            .to_string(),
        false => said,
    };
    (StatusCode::from_u16(status).unwrap(), answer)
}

async fn echoing(status: u16, is_json: bool) -> String {
    let app = Router::new().fallback(echo).with_state((status, is_json));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

/// Whether any row of any table holds the text.
async fn is_stored(db: &TestDb, text: &str) -> Option<String> {
    let tables: Vec<String> = sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'syncline'")
        .fetch_all(db.pool())
        .await
        .unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        let query = format!("SELECT EXISTS (SELECT FROM syncline.\"{table}\" t WHERE strpos(t::text, $1) > 0)");
        if sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(text).fetch_one(db.pool()).await.unwrap() {
            return Some(table);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_endpoint_that_echoes_leaves_no_secret_behind() {
    for (status, is_json) in
        [(400, true), (401, false), (403, true), (500, false), (200, true), (200, false), (302, true)]
    {
        let url = echoing(status, is_json).await;
        let db = authorized(&url, Duration::ZERO).await;
        let failure = tokens(&db).token(None).await.unwrap_err();
        // Through the program too, with all that it logs.
        let output = ask(&db, &["-vv", "site", "check", "acme"]);
        assert_eq!(output.status.code(), Some(3), "{}", words(&output));
        let shown = format!("{failure} {failure:?} {}", words(&output));
        for secret in ["app-secret", "refresh-0", &STANDARD.encode("refresh-0")[..8]] {
            assert!(!shown.contains(secret), "{status}: {secret} in {shown}");
            assert_eq!(is_stored(&db, secret).await, None, "{status}: {secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_that_the_token_endpoint_repeats_is_not_shown() {
    for (status, is_json) in [(400, true), (400, false), (200, true), (200, false)] {
        let url = echoing(status, is_json).await;
        let db = TestDb::new().await;
        site(&db).await;
        let (child, address) = authorize(&db, &url, &["--port", "0"]);
        let back = format!("{}?code=canary-code-1&state={}", part(&address, "redirect_uri"), part(&address, "state"));
        http_get(back.replace("localhost", "127.0.0.1")).await.unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success());
        let shown = words(&output);
        assert!(!shown.contains("canary-code") && !shown.contains("of-nobody"), "{status}: {shown}");
        assert_eq!(is_stored(&db, "canary-code-1").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_jira_that_repeats_the_request_leaves_no_secret_behind() {
    let mut options = syncline::simulator::Options::new(syncline::clock::Clock::system());
    options.issues = 1;
    let rig = Rig::new(options).await;
    rig.set_token("canary/token+1");
    let (pair, part) = (STANDARD.encode("sync@example.com:canary/token+1"), STANDARD.encode("canary/token+1"));
    for (status, is_json, auth) in
        [(401, true, "basic"), (400, false, "bearer"), (500, true, "basic"), (404, false, "bearer")]
    {
        let url = echoing(status, is_json).await;
        sqlx::query("UPDATE syncline.site SET base_url = $1, auth = $2")
            .bind(&url)
            .bind(auth)
            .execute(rig.db.pool())
            .await
            .unwrap();
        let credential = format!("file:{}", rig.token_path().display());
        let add =
            ["-vv", "site", "add", "u", "--url", &url, "--email", "sync@example.com", "--credential", &credential];
        for arguments in
            [&["-vv", "site", "check", "sim"][..], &add, &["-vv", "project", "add", "sim", "AA", "BB"], &["doctor"]]
        {
            let output = ask(&rig.db, arguments);
            assert_ne!(output.status.code(), Some(0), "{arguments:?}");
            let shown = words(&output);
            for secret in ["canary/token", "canary%2Ftoken", "canary\\/token", &pair[..16], &part[..12]] {
                assert!(!shown.contains(secret), "{status} {arguments:?}: {secret} in {shown}");
            }
        }
        assert_eq!(is_stored(&rig.db, "canary").await, None, "{status}");
    }
}

/// A mail server that repeats the line with the password.
async fn repeating_mail_server() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 here\r\n").await.unwrap();
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                let said = line.trim_end().to_owned();
                let reply = match said.split(' ').next() {
                    Some("EHLO") => "250-here\r\n250 AUTH PLAIN\r\n".to_owned(),
                    Some("AUTH") => {
                        let bytes = STANDARD.decode(said.rsplit(' ').next().unwrap()).unwrap();
                        let plain = String::from_utf8_lossy(&bytes).replace('\0', " ");
                        format!("535 5.7.8 {said} is wrong, {plain}, really\r\n")
                    }
                    _ => "250 ok\r\n".to_owned(),
                };
                if stream.write_all(reply.as_bytes()).await.is_err() {
                    break;
                }
                line.clear();
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_repeats_its_secret_does_not_have_it_told() {
    let port = repeating_mail_server().await;
    let settings = json!({"host": "127.0.0.1", "port": port, "tls": "none", "from": "a@example.com", "username": "u"});
    let mut channels: Vec<(Arc<dyn Channel>, &str, &[&str])> =
        vec![(channel(Kind::Email, settings, Some("canary-pass-1")).unwrap(), "canary-pass-1", &["a@example.com"])];
    let echo = |secret: &str| format!(r#"{{"ok":false,"error":"no {secret} {}","code":1}}"#, STANDARD.encode(secret));
    for (kind, secret, to) in [
        (Kind::Slack, "xoxb-canary-token", &["#alerts"][..]),
        (Kind::Whatsapp, "canary-graph-token", &["+4915112345678"]),
        (Kind::Webhook, "canary-signing-key", &[]),
    ] {
        let server = Answering::start((0..8).map(|at| reply([403, 500][at % 2], echo(secret))).collect()).await;
        let settings = match kind {
            Kind::Slack => json!({"base_url": server.url()}),
            Kind::Whatsapp => json!({"base_url": server.url(), "phone_number_id": "1", "template": "t"}),
            _ => json!({"url": format!("{}/hook/canary-path-1", server.url()), "allow_private_addresses": true}),
        };
        channels.push((channel(kind, settings, Some(secret)).unwrap(), secret, to));
    }
    // The address is the secret.
    let hook =
        Answering::start((0..8).map(|_| reply(404, "no /services/T0/B0/canary-hook-1 and canary-hook-1")).collect())
            .await;
    let url = format!("{}/services/T0/B0/canary-hook-1", hook.url());
    channels.push((channel(Kind::Slack, json!({}), Some(&url)).unwrap(), "canary-hook-1", &[]));
    for (channel, secret, to) in channels {
        let sent = channel.send(&message(Event::Opened, to)).await;
        let shown = format!("{sent:?} {:?} {channel:?}", channel.probe().await);
        assert!(!shown.contains("canary"), "{secret} in {shown}");
        assert!(!shown.contains(&STANDARD.encode(secret)[..8]), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn a_secret_in_the_wrong_place_is_not_repeated() {
    let db = TestDb::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncline.toml");
    std::fs::write(&file, "[database]\nurl = postgres://u:canary-1@h/db\n").unwrap();
    let file = file.to_str().unwrap();
    let further = if db.url().contains('?') { "&" } else { "?" };
    let url = format!("{}{further}sslpassword=canary-1&channel_binding=require", db.url());
    let no_port = "postgres://u:canary-1@h:canary-1/db";
    for (arguments, code, told) in [
        (&["--config", file, "run", "list"][..], 2, "line 2, column 7 (database.url)"),
        (&["-v", "--database-url", &url, "run", "list"], 0, "sslpassword"),
        (&["--database-url", no_port, "run", "list"], 2, "port"),
        (&["site", "add", "acme", "--token-stdin", "canary-1"], 2, "unexpected argument"),
        (&["site", "add", "acme", "--url", "https://u:canary-1@h", "--credential", "env:A"], 2, "credentials"),
        (
            &[
                "site",
                "authorize",
                "a",
                "--client-id",
                "x",
                "--client-secret",
                "env:A",
                "--auth-url",
                "u:canary-1@h:canary-1",
                "--more",
            ],
            2,
            "--more",
        ),
    ] {
        let output = ask(&db, arguments);
        let shown = words(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {shown}");
        assert!(shown.contains(told) && !shown.contains("canary"), "{arguments:?}: {shown}");
    }
    let output = command(&db, &["run", "list"]).env("SYNCLINE__SECRETS__KEY", "canary-1").output().unwrap();
    assert!(!words(&output).contains("canary") && words(&output).contains("secrets.key"), "{}", words(&output));
}
