//! Messages by HTTP: what Slack, WhatsApp and a webhook are sent, and what their answers lead to.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use syncline::alert::channel::{Channel, Kind, ReasonCode, Undelivered};
use syncline::domain::alert::Event;

use crate::support::alert::{channel, later, message, never};
use crate::support::answering::{Answering, reply};

fn bot(slack: &Answering) -> Arc<dyn Channel> {
    channel(Kind::Slack, json!({"base_url": slack.url()}), Some("xoxb-secret-token")).unwrap()
}

fn posted(channel: &str, ts: &str) -> String {
    json!({"ok": true, "channel": channel, "ts": ts}).to_string()
}

fn whatsapp(api: &Answering, more: Value) -> Arc<dyn Channel> {
    let mut settings =
        json!({"base_url": api.url(), "phone_number_id": "1055", "template": "syncline_alert", "language": "en_US"});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    channel(Kind::Whatsapp, settings, Some("graph-secret-token")).unwrap()
}

fn webhook(url: &str) -> Arc<dyn Channel> {
    channel(Kind::Webhook, json!({"url": url, "allow_private_addresses": true}), Some("signing secret")).unwrap()
}

#[tokio::test]
async fn a_bot_posts_once_then_replies_and_updates_its_message() {
    let ok = |ts: &str| reply(200, posted("C024BE91L", ts));
    let slack = Answering::start(vec![ok("1.1"), ok("1.2"), ok("1.1"), ok("1.3")]).await;
    let bot = bot(&slack);
    let reference = bot.send(&message(Event::Opened, &["#alerts"])).await.unwrap().reference;
    assert_eq!(reference.as_deref(), Some("C024BE91L:1.1"));
    for event in [Event::Escalated, Event::Resolved] {
        let mut message = message(event, &["#alerts"]);
        message.metadata.thread_reference.clone_from(&reference);
        bot.send(&message).await.unwrap();
    }
    let asked = slack.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/chat.postMessage", "/chat.postMessage", "/chat.update", "/chat.postMessage"]);
    assert!(asked.iter().all(|asked| asked.header("authorization") == "Bearer xoxb-secret-token"));
    let bodies: Vec<_> = asked.iter().map(|asked| asked.json()).collect();
    assert_eq!((&bodies[0]["channel"], &bodies[0]["thread_ts"]), (&json!("#alerts"), &Value::Null));
    assert_eq!((&bodies[1]["thread_ts"], &bodies[1]["reply_broadcast"]), (&json!("1.1"), &json!(true)));
    assert_eq!((&bodies[2]["ts"], &bodies[2]["channel"]), (&json!("1.1"), &json!("C024BE91L")));
    assert_eq!((&bodies[3]["thread_ts"], &bodies[3]["reply_broadcast"]), (&json!("1.1"), &json!(false)));
    assert!(bodies.iter().all(|body| body["text"].as_str().is_some_and(|text| text.contains("suspended"))));
    assert!(bodies[2]["blocks"][0]["text"]["text"].as_str().unwrap().contains("Resolved"));
}

#[tokio::test]
async fn what_slack_refuses_is_told_apart() {
    for (status, body, code, again) in [
        (200, r#"{"ok":false,"error":"token_expired"}"#, ReasonCode::AuthExpired, false),
        (200, r#"{"ok":false,"error":"invalid_auth"}"#, ReasonCode::AuthInvalid, false),
        (200, r#"{"ok":false,"error":"channel_not_found"}"#, ReasonCode::RecipientRefused, false),
        (200, r#"{"ok":false,"error":"internal_error"}"#, ReasonCode::ServerError, true),
        (503, "upstream", ReasonCode::ServerError, true),
    ] {
        let slack = Answering::start(vec![reply(status, body)]).await;
        let outcome = bot(&slack).send(&message(Event::Opened, &["#alerts"])).await;
        let reason = if again { later(outcome) } else { never(outcome) };
        assert_eq!(reason.code, code, "{body}");
        assert!(!reason.message.contains("secret-token"));
    }
}

#[tokio::test]
async fn a_limit_is_kept_for_as_long_as_slack_asks() {
    let limited = (429, vec![("Retry-After", "30".to_owned())], r#"{"ok":false,"error":"ratelimited"}"#.to_owned());
    let slack = Answering::start(vec![limited]).await;
    let outcome = bot(&slack).send(&message(Event::Opened, &["#alerts"])).await;
    let Err(Undelivered::Later { after, reason }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((after, reason.code), (Some(Duration::from_secs(30)), ReasonCode::RateLimited));
}

#[tokio::test]
async fn a_message_whose_blocks_are_refused_goes_out_as_text() {
    let refused = reply(200, r#"{"ok":false,"error":"invalid_blocks"}"#);
    let slack = Answering::start(vec![refused, reply(200, posted("C024BE91L", "1.1"))]).await;
    bot(&slack).send(&message(Event::Opened, &["#alerts"])).await.unwrap();
    let asked = slack.asked();
    assert!(asked[0].json().get("blocks").is_some() && asked[1].json().get("blocks").is_none());
    assert!(
        asked[1].json()["text"].as_str().unwrap().contains("What to do")
            || asked[1].json()["text"].as_str().unwrap().contains("WHAT TO DO")
    );
}

#[tokio::test]
async fn a_thread_that_is_gone_does_not_keep_the_message_back() {
    let failed = |error: &str| reply(200, json!({"ok": false, "error": error}).to_string());
    let slack = Answering::start(vec![
        failed("message_not_found"),
        failed("thread_not_found"),
        reply(200, posted("C1", "9.9")),
    ])
    .await;
    let mut message = message(Event::Resolved, &["#alerts"]);
    message.metadata.thread_reference = Some("C024BE91L:1.1".into());
    bot(&slack).send(&message).await.unwrap();
    assert_eq!(slack.asked()[2].json()["thread_ts"], Value::Null);
}

#[tokio::test]
async fn a_refusing_channel_does_not_stop_other_channels() {
    let refused = reply(200, r#"{"ok":false,"error":"is_archived"}"#);
    let slack = Answering::start(vec![refused, reply(200, posted("C2", "2.2"))]).await;
    let delivered = bot(&slack).send(&message(Event::Opened, &["#old", "#new"])).await.unwrap();
    assert_eq!(delivered.reference.as_deref(), Some("C2:2.2"));
    assert_eq!((delivered.refused[0].0.as_str(), delivered.refused[0].1.code), ("#old", ReasonCode::RecipientRefused));
}

#[tokio::test]
async fn an_incoming_webhook_is_a_secret_that_no_error_repeats() {
    let slack = Answering::start(vec![reply(200, "ok"), reply(404, "no_service"), reply(400, "no_text")]).await;
    let url = format!("{}/services/T0/B0/hunter2", slack.url());
    let hook = channel(Kind::Slack, json!({}), Some(&url)).unwrap();
    hook.send(&message(Event::Opened, &[])).await.unwrap();
    let reason = never(hook.send(&message(Event::Opened, &[])).await);
    assert_eq!(reason.code, ReasonCode::AuthInvalid, "the webhook was removed");
    assert_eq!(hook.probe().await, Ok(()), "a webhook that misses the text is there");
    assert_eq!(slack.asked()[2].json(), json!({}), "a probe shows nothing to anybody");
    assert!(!format!("{hook:?}{reason}").contains("hunter2"));

    let nowhere =
        channel(Kind::Slack, json!({"timeout_seconds": 2}), Some("http://127.0.0.1:1/services/hunter2")).unwrap();
    let reason = later(nowhere.send(&message(Event::Opened, &[])).await);
    assert!(reason.code == ReasonCode::Unreachable && !reason.message.contains("hunter2"), "{reason}");
    let problem = channel(Kind::Slack, json!({}), Some("http://hooks.example.com/hunter2")).unwrap_err();
    assert!(!format!("{problem}{}", problem.help()).contains("hunter2"));
}

#[tokio::test]
async fn whatsapp_gets_the_template_with_one_line_per_parameter() {
    let api = Answering::start(vec![reply(200, r#"{"messages":[{"id":"wamid.A"}]}"#)]).await;
    let channel = whatsapp(&api, json!({"parameters": ["event", "summary", "since"]}));
    let mut message = message(Event::Opened, &["+4915112345678"]);
    message.metadata.summary = "one\n\ttwo     three".into();
    assert_eq!(channel.send(&message).await.unwrap().reference.as_deref(), Some("wamid.A"));
    let asked = &api.asked()[0];
    assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/1055/messages", "Bearer graph-secret-token"));
    let text = |value: &str| json!({"type": "text", "text": value});
    assert_eq!(
        asked.json(),
        json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "4915112345678",
            "type": "template",
            "template": {
                "name": "syncline_alert",
                "language": {"code": "en_US"},
                "components": [{
                    "type": "body",
                    "parameters": [text("Opened"), text("one two three"), text("2026-03-01 08:15 UTC")],
                }],
            },
            "biz_opaque_callback_data": message.metadata.delivery_id.to_string(),
        })
    );
}

#[tokio::test]
async fn what_whatsapp_refuses_is_told_apart_and_others_get_it() {
    let error = |status: u16, code: i64| {
        let body =
            json!({"error": {"message": format!("(#{code}) title"), "code": code, "error_data": {"details": "more"}}});
        reply(status, body.to_string())
    };
    for (status, number, code, again) in [
        (400, 131_026, ReasonCode::RecipientRefused, false),
        (400, 131_047, ReasonCode::ReengagementRequired, false),
        (401, 190, ReasonCode::AuthExpired, false),
        (400, 130_429, ReasonCode::RateLimited, true),
        (400, 131_056, ReasonCode::RateLimited, true),
        (400, 132_000, ReasonCode::TemplateRejected, false),
        (404, 132_001, ReasonCode::TemplateRejected, false),
    ] {
        let api = Answering::start(vec![error(status, number)]).await;
        let outcome = whatsapp(&api, json!({})).send(&message(Event::Opened, &["+4915112345678"])).await;
        let reason = if again { later(outcome) } else { never(outcome) };
        assert_eq!(reason.code, code, "{number}");
    }
    let api = Answering::start(vec![error(400, 131_026), reply(200, r#"{"messages":[{"id":"wamid.B"}]}"#)]).await;
    let to = ["+4915112345678", "+4915187654321"];
    let delivered = whatsapp(&api, json!({})).send(&message(Event::Opened, &to)).await.unwrap();
    assert_eq!(delivered.refused[0].0, to[0]);
    api.then(error(401, 190));
    assert_eq!(whatsapp(&api, json!({})).probe().await.unwrap_err().code, ReasonCode::AuthExpired);
}

#[tokio::test]
async fn a_webhook_can_prove_who_sent_it_and_recognise_a_repetition() {
    let endpoint = Answering::start(vec![reply(500, "not now"), reply(204, "")]).await;
    let (hook, message) = (webhook(&format!("{}/hook?team=a", endpoint.url())), message(Event::Opened, &[]));
    assert_eq!(later(hook.send(&message).await).code, ReasonCode::ServerError);
    hook.send(&message).await.unwrap();
    let asked = endpoint.asked();
    assert_eq!(asked[0].body, asked[1].body, "the same message is the same bytes");
    for asked in &asked {
        assert_eq!((asked.path.as_str(), asked.header("content-type")), ("/hook?team=a", "application/json"));
        assert_eq!(asked.header("x-syncline-delivery"), message.metadata.delivery_id.to_string());
        assert_eq!(asked.header("x-syncline-event"), "opened");
        let signature = asked.header("x-syncline-signature");
        let (time, digest) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"signing secret").unwrap();
        mac.update(format!("{time}.").as_bytes());
        mac.update(&asked.body);
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, expected);
        let body = asked.json();
        assert_eq!((&body["event"], &body["class"]), (&json!("opened"), &json!("SUSPENDED_PAYMENT")));
        assert_eq!(body["facts"][0], json!({"name": "Failures in a row", "value": "7"}));
    }
}

#[tokio::test]
async fn a_webhook_follows_no_redirect_and_reaches_no_private_address() {
    let inside = Answering::start(vec![reply(200, "secrets")]).await;
    let moved = (307, vec![("Location", inside.url())], String::new());
    let outside = Answering::start(vec![moved]).await;
    let reason = never(webhook(&outside.url()).send(&message(Event::Opened, &[])).await);
    assert_eq!(reason.code, ReasonCode::Refused, "{reason}");

    // A name is judged by what it resolves to, when it is connected to.
    let url = format!("https://localhost:{}/hook", inside.port());
    let careful = channel(Kind::Webhook, json!({"url": url}), Some("signing secret")).unwrap();
    let reason = never(careful.send(&message(Event::Opened, &[])).await);
    assert_eq!(reason.code, ReasonCode::ForbiddenAddress, "{reason}");
    assert_eq!(careful.probe().await.unwrap_err().code, ReasonCode::ForbiddenAddress);
    assert_eq!(inside.asked().len(), 0);
}

#[tokio::test]
async fn a_silent_endpoint_is_awaited_only_up_to_the_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = json!({"url": url, "allow_private_addresses": true, "timeout_seconds": 1});
    let hook = channel(Kind::Webhook, settings, Some("s")).unwrap();
    assert_eq!(later(hook.send(&message(Event::Opened, &[])).await).code, ReasonCode::Timeout);
    drop(listener);
    assert_eq!(later(hook.send(&message(Event::Opened, &[])).await).code, ReasonCode::Unreachable);
}
