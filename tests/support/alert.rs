//! Messages and channels for tests of what carries alerts.

use std::path::PathBuf;
use std::sync::Arc;

use syncline::alert::channel::{Channel, Definition, Kind, Problem, Reason, Undelivered, open};
use syncline::alert::template::Templates;
use syncline::alert::{Message, Metadata};
use syncline::config::SecretsConfig;
use syncline::domain::alert::Event;
use syncline::domain::failure::Severity;
use uuid::Uuid;

/// A message about an event of one alert, to these recipients.
pub fn message(event: Event, to: &[&str]) -> Message {
    let metadata = Metadata {
        delivery_id: Uuid::from_u128(0x0190_f3c0_2222_7000_8000_0000_0000_0000 + event as u128),
        alert_id: "0190f3c0-1111-7000-8000-000000000001".parse().unwrap(),
        event,
        severity: Severity::Critical,
        category: "billing".into(),
        class: "SUSPENDED_PAYMENT".into(),
        about: "site acme".into(),
        summary: "Jira has suspended the site because its subscription is not paid".into(),
        advice: "The billing contact must settle the subscription.".into(),
        since: "2026-03-01T08:15:00Z".parse().unwrap(),
        at: "2026-03-02T09:45:00Z".parse().unwrap(),
        facts: vec![("Failures in a row".into(), "7".into()), ("Last error".into(), "HTTP 402 größer als <1>".into())],
        commands: vec![("Look further".into(), "syncline alert show 0190f3c0".into())],
        links: vec![("The site in Jira".into(), "https://acme.example.com/".into())],
        thread_reference: None,
        opens_thread: event == Event::Opened,
    };
    let rendered = Templates::built_in().render(&metadata);
    Message {
        to: to.iter().map(|&to| to.to_owned()).collect(),
        cc: Vec::new(),
        bcc: Vec::new(),
        from: None,
        reply_to: None,
        subject: rendered.subject,
        text: rendered.text,
        html: Some(rendered.html),
        attachments: Vec::new(),
        metadata,
    }
}

/// A channel of these settings, and the secret in a file of its own.
pub fn channel(kind: Kind, settings: serde_json::Value, secret: Option<&str>) -> Result<Arc<dyn Channel>, Problem> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("secret");
    let credential = secret.map(|secret| {
        std::fs::write(&path, secret).unwrap();
        format!("file:{}", path.display())
    });
    open(&Definition { name: "test".into(), kind, settings, credential }, &SecretsConfig::default())
}

/// Why a message is to be tried again.
pub fn later<T: std::fmt::Debug>(outcome: Result<T, Undelivered>) -> Reason {
    match outcome {
        Err(Undelivered::Later { reason, .. }) => reason,
        other => panic!("not to be tried again: {other:?}"),
    }
}

/// Why a message has failed for good.
pub fn never<T: std::fmt::Debug>(outcome: Result<T, Undelivered>) -> Reason {
    match outcome {
        Err(Undelivered::Never { reason }) => reason,
        other => panic!("not failed for good: {other:?}"),
    }
}
