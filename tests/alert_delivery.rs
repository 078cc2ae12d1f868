//! A message is sent at least once, recognisably the same, and is never lost: not by a channel that fails, not by a process
//! that dies.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use syncline::alert::Message;
use syncline::alert::channel::{Delivered, Reason, ReasonCode, Undelivered};
use syncline::domain::failure::Severity;

use crate::support::alerts::{Desk, cleared, firing, project};
use crate::support::smtp::{SmtpOptions, SmtpServer};

fn later(_: &Message) -> Result<Delivered, Undelivered> {
    Err(Undelivered::Later { after: None, reason: Reason::new(ReasonCode::Unreachable, "connection refused") })
}

fn never(_: &Message) -> Result<Delivered, Undelivered> {
    Err(Undelivered::Never { reason: Reason::new(ReasonCode::AuthInvalid, "535 no such user") })
}

/// A desk with a mail channel, and an alert that is about to be told.
async fn desk_with_mail() -> Desk {
    let desk = Desk::new().await;
    desk.add_route("mail", &["ops@example.com"], |_| {}).await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.keeper.tick().await.unwrap();
    desk.hands.advance(TimeDelta::seconds(31));
    desk
}

#[tokio::test]
async fn what_is_tried_again_is_the_same_message() {
    let desk = desk_with_mail().await;
    let tries = AtomicI32::new(0);
    desk.answers("mail", move |message| match tries.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => later(message),
        _ => Ok(Delivered::default()),
    });
    desk.keeper.tick().await.unwrap();
    desk.deliver().await;
    let wait = "SELECT extract(epoch FROM next_try_at - created_at)::int8 FROM syncline.alert_delivery";
    assert!(desk.count(wait).await >= 1, "it is tried again after a while");
    desk.deliver().await;
    desk.retry().await;
    desk.retry().await;
    desk.retry().await;
    let messages = desk.messages();
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| *message == messages[0]), "text, time and delivery id are the same");
    let state = "SELECT state || ' after ' || attempts FROM syncline.alert_delivery";
    assert_eq!(desk.text(state).await, "delivered after 3");
}

#[tokio::test]
async fn the_other_side_says_when_to_come_back() {
    let desk = desk_with_mail().await;
    desk.answers("mail", |_| {
        let reason = Reason::new(ReasonCode::RateLimited, "429");
        Err(Undelivered::Later { after: Some(Duration::from_secs(1234)), reason })
    });
    desk.keeper.tick().await.unwrap();
    desk.deliver().await;
    let wait = "SELECT extract(epoch FROM next_try_at - created_at)::int8 FROM syncline.alert_delivery";
    assert_eq!(desk.count(wait).await, 1234);
    let step = "SELECT round(extract(epoch FROM ready_at - clock_timestamp()) / 10)::int8 FROM syncline.sync_step WHERE state = 'later'";
    assert_eq!(desk.count(step).await, 123);
}

#[tokio::test]
async fn a_process_that_dies_after_sending_sends_the_same_again() {
    let mut desk = desk_with_mail().await;
    desk.keeper.tick().await.unwrap();
    // The transaction that records the delivery fails: as good as a process that died before it.
    desk.execute("ALTER TABLE syncline.alert_delivery ADD CONSTRAINT nothing_ends CHECK (state = 'pending') NOT VALID")
        .await;
    desk.deliver().await;
    desk.execute("ALTER TABLE syncline.alert_delivery DROP CONSTRAINT nothing_ends").await;
    desk.restart();
    desk.retry().await;
    let messages = desk.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0], messages[1]);
    assert_eq!(desk.text("SELECT state FROM syncline.alert_delivery").await, "delivered");
}

#[tokio::test]
async fn undeliverable_messages_go_to_the_log_and_raise_an_alert() {
    let desk = desk_with_mail().await;
    desk.answers("mail", never);
    desk.keeper.tick().await.unwrap();
    desk.deliver().await;
    assert_eq!(desk.told(), ["mail opened", "log opened"]);
    let failed = "SELECT reason_code || ', ' || state FROM syncline.alert_delivery WHERE channel = 'mail'";
    assert_eq!(desk.text(failed).await, "auth_invalid, failed");
    desk.pass(TimeDelta::minutes(1)).await;
    let messages = desk.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].metadata.about, "channel mail");
    assert_eq!(messages[0].metadata.class, "CHANNEL_FAILING");
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert_delivery WHERE channel = 'mail'").await, 1);
    // Its next success ends that alert.
    desk.answers("mail", |_| Ok(Delivered::default()));
    desk.observe(&[firing(project(0), Severity::Critical, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told(), ["mail escalated", "log resolved"]);
    let open = "SELECT string_agg(class, ' ') FROM syncline.alert WHERE state <> 'resolved'";
    assert_eq!(desk.text(open).await, "SERVER_ERROR");
}

#[tokio::test]
async fn a_channel_that_keeps_failing_is_an_alert_on_another_one() {
    let desk = Desk::new().await;
    desk.add_route("mail", &["ops@example.com"], |route| route.goes_on = true).await;
    desk.add_route("chat", &[], |_| {}).await;
    desk.answers("mail", later);
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::seconds(31)).await;
    assert_eq!(desk.told(), ["mail opened", "chat opened"]);
    for _ in 0..4 {
        assert_eq!(desk.count("SELECT count(*) FROM syncline.alert WHERE scope_kind = 'channel'").await, 0);
        desk.retry().await;
    }
    desk.told();
    desk.pass(TimeDelta::seconds(31)).await;
    let messages = desk.messages();
    let told: Vec<_> = messages.iter().map(|message| message.metadata.about.as_str()).collect();
    assert_eq!(told, ["channel mail"], "on chat alone, and nothing in the log: chat has got the message");
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert_delivery WHERE channel = 'log'").await, 0);
}

#[tokio::test]
async fn a_message_stuck_on_all_channels_goes_to_the_log() {
    let desk = desk_with_mail().await;
    desk.answers("mail", later);
    desk.keeper.tick().await.unwrap();
    desk.deliver().await;
    for _ in 0..4 {
        desk.retry().await;
    }
    let told = desk.told();
    assert_eq!(told.iter().filter(|one| *one == "log opened").count(), 1, "{told:?}");
    // A day later it is given up for good, and nobody tries again.
    desk.hands.advance(TimeDelta::hours(25));
    desk.retry().await;
    desk.told();
    desk.retry().await;
    assert_eq!(desk.text("SELECT state FROM syncline.alert_delivery WHERE channel = 'mail'").await, "failed");
}

#[tokio::test]
async fn a_refused_recipient_is_recorded_a_deferred_one_is_retried() {
    let desk = Desk::new().await;
    desk.add_route("mail", &["a@example.com", "b@example.com", "c@example.com"], |_| {}).await;
    desk.answers("mail", |message| {
        let refused = |to: &str, code| (to.to_owned(), Reason::new(code, "no"));
        let all = [
            refused("b@example.com", ReasonCode::MailboxFull),
            refused("c@example.com", ReasonCode::RecipientDeferred),
        ];
        let refused = if message.to.len() > 1 { all.to_vec() } else { vec![] };
        Ok(Delivered { reference: None, refused })
    });
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let refused = "SELECT refused->0->>'to' || ' ' || (refused->0->>'code') FROM syncline.alert_delivery";
    assert_eq!(desk.text(refused).await, "b@example.com mailbox_full");
    assert_eq!(desk.messages().len(), 1);
    desk.retry().await;
    let again = desk.messages();
    assert_eq!((again.len(), again[0].to.clone()), (1, vec!["c@example.com".to_owned()]));
    // The end is told to the three of them at once, as the beginning was.
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let ends = desk.messages();
    assert_eq!((ends.len(), ends[0].to.len()), (1, 3));
}

#[tokio::test]
async fn messages_of_an_episode_make_one_thread() {
    let desk = desk_with_mail().await;
    desk.pass(TimeDelta::hours(25)).await;
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let messages = desk.messages();
    let opens: Vec<bool> = messages.iter().map(|message| message.metadata.opens_thread).collect();
    assert_eq!(opens, [true, false, false]);
    let first = format!("ref-{}", messages[0].metadata.delivery_id);
    assert_eq!(messages[0].metadata.thread_reference, None);
    assert!(messages[1..].iter().all(|message| message.metadata.thread_reference.as_ref() == Some(&first)));
    assert!(messages.iter().all(|message| message.metadata.alert_id == messages[0].metadata.alert_id));
}

#[tokio::test]
async fn a_channel_that_was_removed_leaves_its_messages_to_the_log() {
    let desk = desk_with_mail().await;
    desk.keeper.tick().await.unwrap();
    desk.execute("DELETE FROM syncline.alert_route; DELETE FROM syncline.alert_channel WHERE name = 'mail'").await;
    desk.deliver().await;
    assert_eq!(desk.told(), ["log opened"]);
}

#[tokio::test]
async fn a_panic_in_a_channel_stops_no_worker_and_is_logged() {
    let desk = desk_with_mail().await;
    desk.answers("mail", |_| panic!("a defect"));
    desk.keeper.tick().await.unwrap();
    desk.deliver().await;
    for _ in 0..9 {
        desk.retry().await;
    }
    let told = desk.told();
    assert!(told.contains(&"log opened".to_owned()), "{told:?}");
    assert_eq!(desk.text("SELECT state FROM syncline.alert_delivery WHERE channel = 'mail'").await, "failed");
}

#[tokio::test]
async fn an_episode_is_one_thread_of_mails_at_a_real_server() {
    let server = SmtpServer::start(SmtpOptions::default());
    let mut desk = Desk::new().await;
    desk.use_real_channels();
    let settings = json!({"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "syncline@example.com", "timeout_seconds": 5});
    desk.add_channel_of("email", "mail", settings).await;
    desk.add_route("mail", &["greylisted@example.com", "ops@example.com", "refused@example.com"], |_| {}).await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    desk.retry().await;
    desk.observe(&[firing(project(0), Severity::Critical, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let received = server.received(4).await;
    assert_eq!(received.len(), 4, "the beginning twice (once for whom it was greylisted), the rise, the end");
    let mails = server.mails();
    let header = |mail: &str, name: &str| {
        let line = mail.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.map(|line| line[name.len() + 2..].trim().to_owned())
    };
    let first = header(&mails[0], "Message-ID");
    assert_eq!(header(&mails[1], "Message-ID"), first, "the same mail for the one who got it later");
    for reply in &mails[2..] {
        assert_eq!(header(reply, "In-Reply-To"), first);
        assert_ne!(header(reply, "Message-ID"), first);
    }
    let refused = "SELECT string_agg(DISTINCT r->>'to' || ' ' || (r->>'code'), ', ') FROM syncline.alert_delivery, jsonb_array_elements(refused) r";
    assert_eq!(
        desk.text(refused).await,
        "greylisted@example.com recipient_deferred, refused@example.com recipient_refused"
    );
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert_delivery WHERE state <> 'delivered'").await, 0);
}

#[tokio::test]
async fn a_mail_server_that_is_down_is_an_alert_in_the_log() {
    let mut desk = Desk::new().await;
    desk.use_real_channels();
    // A port that was free a moment ago: nobody listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = json!({"host": "127.0.0.1", "port": closed, "tls": "none", "from": "syncline@example.com", "timeout_seconds": 2});
    desk.add_channel_of("email", "mail", settings).await;
    desk.add_route("mail", &["ops@example.com"], |_| {}).await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    for _ in 0..4 {
        desk.hands.advance(TimeDelta::minutes(2));
        desk.retry().await;
    }
    desk.pass(TimeDelta::minutes(1)).await;
    let logged = "SELECT string_agg(a.class, ' ' ORDER BY a.class) FROM syncline.alert_delivery d JOIN syncline.alert a ON a.id = d.alert_id WHERE d.channel = 'log' AND d.state = 'delivered'";
    assert_eq!(desk.text(logged).await, "CHANNEL_FAILING SERVER_ERROR");
    assert_eq!(desk.text("SELECT reason_code FROM syncline.alert_channel WHERE name = 'mail'").await, "unreachable");
}

#[tokio::test]
async fn what_happened_first_is_told_first() {
    let desk = desk_with_mail().await;
    let tries = AtomicI32::new(0);
    desk.answers("mail", move |message| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => later(message), // greylisted
        _ => Ok(Delivered::default()),
    });
    desk.keeper.tick().await.unwrap();
    desk.deliver().await;
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::seconds(5)).await;
    assert_eq!(desk.told(), ["mail opened"], "the end waits for the beginning");
    desk.retry().await;
    desk.retry().await;
    assert_eq!(desk.told(), ["mail opened", "mail resolved"]);
}

#[tokio::test]
async fn an_unreachable_channel_is_known_before_it_is_needed() {
    let desk = Desk::new().await;
    desk.add_channel("mail").await;
    desk.unreachable("mail", true);
    assert_eq!(desk.probe().await, 1);
    let up = "SELECT count(*) FROM syncline.alert_channel WHERE failures = 0 AND probe_problem IS NULL";
    assert_eq!(desk.count(up).await, 1, "the log");
    assert_eq!(desk.probe().await, 0, "not its turn");
    desk.unreachable("mail", false);
    desk.hands.advance(TimeDelta::minutes(10));
    assert_eq!(desk.probe().await, 0);
    assert_eq!(desk.count(up).await, 2);
}

#[tokio::test]
async fn a_delivery_that_nobody_works_on_is_found_again() {
    let desk = desk_with_mail().await;
    desk.keeper.tick().await.unwrap();
    desk.execute("DELETE FROM syncline.sync_step").await;
    assert_eq!(desk.keeper.sweep().await.unwrap(), 0, "not at once: it may just have been handed over");
    desk.hands.advance(TimeDelta::hours(1));
    assert_eq!(desk.keeper.sweep().await.unwrap(), 1);
    assert_eq!(desk.keeper.sweep().await.unwrap(), 0);
    desk.deliver().await;
    assert_eq!(desk.told(), ["mail opened"]);
}
