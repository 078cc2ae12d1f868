//! A message as tests want it: one alert, every event.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::alert::{Message, Metadata};
use crate::domain::alert::Event;
use crate::domain::failure::{FailureCode, Severity};

pub(in crate::alert) fn metadata(event: Event) -> Metadata {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let pairs = |list: &[(&str, &str)]| list.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
    let alert = "0190f3c0-1111-7000-8000-000000000001";
    Metadata {
        delivery_id: Uuid::from_u128(0x0190_f3c0_2222_7000_8000_0000_0000_0000 + event as u128),
        alert_id: alert.parse().unwrap(),
        event,
        severity: if event == Event::Test { Severity::Info } else { Severity::Critical },
        category: "billing".to_owned(),
        class: "SUSPENDED_PAYMENT".to_owned(),
        about: "site acme".to_owned(),
        summary: "Jira has suspended the site because its subscription is not paid".to_owned(),
        advice: FailureCode::SuspendedPayment.advice().to_owned(),
        since: at("2026-03-02T08:15:00Z"),
        at: match event {
            Event::Opened | Event::Test => at("2026-03-02T09:45:00Z"),
            Event::Escalated => at("2026-03-02T20:15:00Z"),
            Event::Reminder => at("2026-03-03T09:45:00Z"),
            Event::Resolved => at("2026-03-10T10:15:00Z"),
        },
        facts: match event {
            Event::Test => pairs(&[("Channel", "mail"), ("Asked for by", "kim@example.com")]),
            Event::Resolved => pairs(&[
                ("Failures in a row", "41"),
                ("Ended by", "a successful run of acme/OPS"),
                ("Cadence", "every 15 minutes again"),
            ]),
            _ => pairs(&[
                ("Failures in a row", "7 in 12 projects"),
                (
                    "Last error",
                    "HTTP 402: {\"error\":\"Site temporarily unavailable\",\"reason\":\"payment <overdue>\"}",
                ),
                ("Back-off", "rung 3 of 6: one run every 2 h instead of every 15 min"),
                ("Next try", "2026-03-02 11:40 UTC, by acme/OPS"),
                ("Projects", "acme/OPS, acme/WEB, acme/DATA, acme/HR, acme/LEGAL and 7 more"),
            ]),
        },
        commands: match event {
            Event::Test => Vec::new(),
            _ => pairs(&[
                ("Look further", &format!("syncline alert show {alert}")),
                ("Acknowledge", &format!("syncline alert ack {alert}")),
                ("Silence for four hours", &format!("syncline alert silence {alert} --for 4h")),
            ])
            .into_iter()
            .take(if event == Event::Resolved { 1 } else { 3 })
            .collect(),
        },
        links: match event {
            Event::Test => Vec::new(),
            _ => pairs(&[
                ("The site in Jira", "https://acme.atlassian.net/"),
                ("Run book", "https://wiki.example.com/syncline/SynclineProjectFailing.md"),
                ("Dashboard", "https://grafana.example.com/d/syncline-freshness"),
            ]),
        },
        thread_reference: None,
        opens_thread: matches!(event, Event::Opened | Event::Test),
    }
}

pub(in crate::alert) fn message(event: Event) -> Message {
    let metadata = metadata(event);
    let rendered = super::Templates::built_in().render(&metadata);
    Message {
        to: vec!["ops@example.com".to_owned()],
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
