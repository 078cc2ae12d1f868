//! Mails reach a real mail server, or what became of them is known.

use std::time::Duration;

use serde_json::json;
use std::sync::Arc;
use syncline::alert::channel::{Channel, Kind, ReasonCode};
use syncline::domain::alert::Event;

use crate::support::alert::{channel, later, message, never};
use crate::support::smtp::{SmtpOptions, SmtpServer};

/// A channel to a server without encryption and login.
fn mail(server: &SmtpServer) -> Arc<dyn Channel> {
    let settings = json!({"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "Syncline <syncline@example.com>", "timeout_seconds": 5});
    channel(Kind::Email, settings, None).unwrap()
}

fn encrypted(server: &SmtpServer, tls: &str, trusted: bool, login: Option<(&str, &str)>) -> Arc<dyn Channel> {
    let mut settings = json!({"host": "localhost", "port": server.port, "tls": tls, "from": "syncline@example.com", "timeout_seconds": 5});
    if trusted {
        settings["ca_file"] = json!(server.certificate());
    }
    if let Some((user, _)) = login {
        settings["username"] = json!(user);
    }
    channel(Kind::Email, settings, login.map(|(_, password)| password)).unwrap()
}

#[tokio::test]
async fn a_mail_arrives_with_text_and_html_and_in_one_thread() {
    let server = SmtpServer::start(SmtpOptions::default());
    let mail = mail(&server);
    for event in [Event::Opened, Event::Escalated, Event::Resolved] {
        let delivered = mail.send(&message(event, &["Operations <ops@example.com>"])).await.unwrap();
        assert!(delivered.refused.is_empty());
        assert!(delivered.reference.unwrap().ends_with("@example.com>"));
    }
    let mails = server.mails();
    assert_eq!(mails.len(), 3);
    for mail in &mails {
        assert!(mail.contains("multipart/alternative") && mail.contains("text/plain") && mail.contains("text/html"));
        assert!(mail.contains("Auto-Submitted: auto-generated") && mail.contains("To: Operations <ops@example.com>"));
        assert!(mail.is_ascii(), "a server without 8BITMIME could not take it");
    }
    let first = header(&mails[0], "Message-ID");
    assert_eq!(first, "<alert-0190f3c0-1111-7000-8000-000000000001@example.com>");
    for reply in &mails[1..] {
        assert_eq!((header(reply, "In-Reply-To"), header(reply, "References")), (first.clone(), first.clone()));
        assert_ne!(header(reply, "Message-ID"), first);
    }
    server.received(3).await;
    assert_eq!(server.events("connected").len(), 1, "one connection serves them all");
}

#[tokio::test]
async fn a_mail_that_is_sent_twice_is_the_same_mail() {
    let server = SmtpServer::start(SmtpOptions::default());
    let (mail, message) = (mail(&server), message(Event::Opened, &["ops@example.com"]));
    let first = mail.send(&message).await.unwrap();
    assert_eq!(mail.send(&message).await.unwrap(), first);
    let mails = server.mails();
    assert_eq!(mails[0], mails[1]);
}

#[tokio::test]
async fn a_login_needs_tls_and_wrong_passwords_are_recognised() {
    let login = Some(("syncline", "correct horse"));
    for tls in ["starttls", "tls"] {
        let server = SmtpServer::start(SmtpOptions { tls: Some(tls), login, ..Default::default() });
        let right = encrypted(&server, tls, true, login);
        assert_eq!(right.probe().await, Ok(()));
        right.send(&message(Event::Opened, &["ops@example.com"])).await.unwrap();
        let received = &server.received(1).await[0];
        assert_eq!((&received["encrypted"], &received["login"]), (&json!(true), &json!("syncline")));

        let wrong = encrypted(&server, tls, true, Some(("syncline", "battery staple")));
        let reason = never(wrong.send(&message(Event::Opened, &["ops@example.com"])).await);
        assert_eq!(reason.code, ReasonCode::AuthInvalid, "{tls}: {reason}");
        assert_eq!(wrong.probe().await.unwrap_err().code, ReasonCode::AuthInvalid);
        for shown in [format!("{wrong:?}"), reason.to_string()] {
            assert!(!shown.contains("battery staple"), "{shown}");
        }
        let nobody = encrypted(&server, tls, true, None);
        let reason = never(nobody.send(&message(Event::Opened, &["ops@example.com"])).await);
        assert_eq!(reason.code, ReasonCode::AuthInvalid, "the server asks for a login: {reason}");
    }
    let in_the_clear = json!({"host": "mail.example.com", "tls": "none", "from": "a@example.com", "username": "u"});
    assert_eq!(channel(Kind::Email, in_the_clear, Some("p")).unwrap_err().field, "tls");
}

#[tokio::test]
async fn without_trusted_encryption_the_mail_waits() {
    for tls in ["starttls", "tls"] {
        let server = SmtpServer::start(SmtpOptions { tls: Some(tls), ..Default::default() });
        let untrusting = encrypted(&server, tls, false, None);
        let reason = later(untrusting.send(&message(Event::Opened, &["ops@example.com"])).await);
        assert_eq!(reason.code, ReasonCode::Tls, "{tls}: {reason}");
        assert_eq!(server.mails().len(), 0);
    }
    let bare = SmtpServer::start(SmtpOptions::default());
    let reason =
        later(encrypted(&bare, "starttls", false, None).send(&message(Event::Opened, &["a@example.com"])).await);
    assert_eq!(reason.code, ReasonCode::Tls, "{reason}");
    assert_eq!(bare.mails().len(), 0);
}

#[tokio::test]
async fn a_greylisted_mail_is_tried_again_and_arrives_once() {
    let server = SmtpServer::start(SmtpOptions::default());
    let (mail, message) = (mail(&server), message(Event::Opened, &["greylisted@example.com"]));
    let reason = later(mail.send(&message).await);
    assert_eq!(reason.code, ReasonCode::RecipientDeferred, "{reason}");
    mail.send(&message).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn refused_recipients_do_not_stop_the_mail_to_others() {
    let server = SmtpServer::start(SmtpOptions::default());
    let to = [
        "refused@example.com",
        "Ops <ops@example.com>",
        "full@example.com",
        "overquota@example.com",
        "greylisted@example.com",
    ];
    let delivered = mail(&server).send(&message(Event::Opened, &to)).await.unwrap();
    let refused: Vec<_> = delivered.refused.iter().map(|(to, reason)| (to.as_str(), reason.code)).collect();
    let expected = [
        ("refused@example.com", ReasonCode::RecipientRefused),
        ("full@example.com", ReasonCode::MailboxFull),
        ("overquota@example.com", ReasonCode::MailboxFull),
        ("greylisted@example.com", ReasonCode::RecipientDeferred),
    ];
    assert_eq!(refused, expected);
    assert_eq!(server.received(1).await[0]["recipients"], json!(["ops@example.com"]));
}

#[tokio::test]
async fn a_refusal_says_why_and_whether_to_try_again() {
    let server = SmtpServer::start(SmtpOptions::default());
    let mail = mail(&server);
    for (to, code, again) in [
        ("refused@example.com", ReasonCode::RecipientRefused, false),
        ("full@example.com", ReasonCode::MailboxFull, true),
        ("overquota@example.com", ReasonCode::MailboxFull, false),
        ("toolarge@example.com", ReasonCode::TooLarge, false),
        ("spam@example.com", ReasonCode::Refused, false),
        ("closing@example.com", ReasonCode::ServerError, true),
    ] {
        let outcome = mail.send(&message(Event::Opened, &[to])).await;
        let reason = if again { later(outcome) } else { never(outcome) };
        assert_eq!(reason.code, code, "{to}: {reason}");
    }
    // A refusal leaves nothing behind that would spoil the next mail.
    mail.send(&message(Event::Opened, &["ops@example.com"])).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_silent_server_is_waited_for_no_longer_than_the_limit() {
    let impatient = |port: u16| {
        let settings =
            json!({"host": "127.0.0.1", "port": port, "tls": "none", "from": "a@example.com", "timeout_seconds": 1});
        channel(Kind::Email, settings, None).unwrap()
    };
    let mute = SmtpServer::start(SmtpOptions { mute: true, ..Default::default() });
    let talking = SmtpServer::start(SmtpOptions::default());
    for (channel, to) in [(impatient(mute.port), "ops@example.com"), (impatient(talking.port), "silent@example.com")] {
        let message = message(Event::Opened, &[to]);
        let sent = tokio::time::timeout(Duration::from_secs(20), channel.send(&message)).await.expect("it gives up");
        assert_eq!(later(sent).code, ReasonCode::Timeout);
    }
    assert_eq!(impatient(mute.port).probe().await.unwrap_err().code, ReasonCode::Timeout);
}

#[tokio::test]
async fn a_server_that_takes_its_time_is_waited_for() {
    let server = SmtpServer::start(SmtpOptions::default());
    mail(&server).send(&message(Event::Opened, &["slow@example.com"])).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_no_settings_error_but_reported() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let settings = json!({"host": "127.0.0.1", "port": port, "tls": "none", "from": "a@example.com"});
    let down = channel(Kind::Email, settings, None).expect("it opens all the same");
    assert_eq!(down.probe().await.unwrap_err().code, ReasonCode::Unreachable);
    let reason = later(down.send(&message(Event::Opened, &["ops@example.com"])).await);
    assert_eq!(reason.code, ReasonCode::Unreachable);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_made_anew() {
    let first = SmtpServer::start(SmtpOptions::default());
    let mail = mail(&first);
    mail.send(&message(Event::Opened, &["ops@example.com"])).await.unwrap();
    // The server closes the connection after this reply; the channel must not use it again.
    later(mail.send(&message(Event::Opened, &["closing@example.com"])).await);
    mail.send(&message(Event::Opened, &["ops@example.com"])).await.unwrap();
    drop(first);
    let reason = later(mail.send(&message(Event::Opened, &["ops@example.com"])).await);
    assert_eq!(reason.code, ReasonCode::Unreachable, "{reason}");
}

#[tokio::test]
async fn concurrent_mails_share_the_allowed_connections() {
    let server = SmtpServer::start(SmtpOptions::default());
    let (mail, message) = (mail(&server), message(Event::Opened, &["slow@example.com"]));
    let sent = futures::future::join_all((0..4).map(|_| mail.send(&message))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(server.received(4).await.len(), 4);
    assert_eq!(server.events("connected").len(), 2, "pool_size is 2 by default");
}

/// A header's value, unfolded.
fn header(mail: &str, name: &str) -> String {
    let unfolded = mail.replace("\r\n ", " ").replace("\r\n\t", " ");
    let line = unfolded.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in:\n{mail}"))
}
