//! From a decision to a message: the facts worth a line, and the commands to look further.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{conditions, deliver_alert};
use crate::alert::template::{Linked, Templates, words};
use crate::alert::{Message, Metadata};
use crate::clock::Clock;
use crate::domain::alert::{Details, Event, Scope};
use crate::domain::episode::{self, Episode, Happening};
use crate::domain::route::Audience;
use crate::store::alert::admin::{self, TestAlert};
use crate::store::alert::keep::{Due, NewDelivery};
use crate::store::{Result, step};

/// The most projects that a message names; the rest are counted.
const MAX_PROJECTS: usize = 20;

/// What a message is about.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// The episode.
    pub alert_id: Uuid,
    /// The number of the event within it.
    pub seq: i32,
    /// What it is about, in words.
    pub about: String,
    /// The class of the condition.
    pub class: String,
    /// Its category.
    pub category: String,
    /// How telemetry describes it.
    pub details: Details,
    /// Its project, as SITE/KEY.
    pub project: Option<String>,
    /// Its site.
    pub site: Option<String>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When somebody took it on.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// How often it came back.
    pub flaps: i32,
    /// Where its site is.
    pub site_url: Option<String>,
}

impl Occasion {
    /// An episode as it is now.
    pub(super) fn new(due: &Due, episode: &Episode) -> Self {
        let about = match &due.scope {
            Scope::Site { site_id } => format!("site {}", due.site.clone().unwrap_or_else(|| site_id.to_string())),
            Scope::Project { project_id, .. } => {
                format!("project {}", due.project.clone().unwrap_or_else(|| project_id.to_string()))
            }
            Scope::Channel { name } => format!("channel {name}"),
            Scope::System => "syncline".to_owned(),
        };
        let mut details = due.details.clone();
        details.projects.extend(due.children.iter().cloned());
        details.projects.sort();
        details.projects.dedup();
        Self {
            alert_id: due.row.id,
            seq: due.row.last_seq,
            about,
            class: due.class.clone(),
            category: due.category.clone(),
            details,
            project: due.project.clone(),
            site: due.site.clone(),
            ended_at: episode.cleared_at,
            acknowledged_at: episode.acknowledged_at,
            flaps: episode.flaps,
            site_url: due.site_url.clone(),
        }
    }

    fn facts(&self, event: Event, reason: &str) -> Vec<(String, String)> {
        let details = &self.details;
        let mut facts = Vec::new();
        let mut fact = |name: &str, value: String| {
            if !value.is_empty() {
                facts.push((name.to_owned(), value));
            }
        };
        if event == Event::Escalated {
            fact("Escalated because", reason.to_owned());
        }
        if let Some(ended_at) = self.ended_at.filter(|_| event == Event::Resolved) {
            fact("Until", words::time(ended_at));
        }
        if details.count > 0 {
            fact(
                "Seen",
                if details.count == 1 { "1 time".to_owned() } else { format!("{} times in a row", details.count) },
            );
        }
        if self.flaps > 0 {
            fact("Came back", if self.flaps == 1 { "1 time".to_owned() } else { format!("{} times", self.flaps) });
        }
        if self.project.is_none() {
            fact("Projects", list(&details.projects));
        }
        fact("Last error", details.last_error.clone().unwrap_or_default());
        if event != Event::Resolved {
            fact("Next try", details.next_try_at.map(words::time).unwrap_or_default());
            fact("Acknowledged", self.acknowledged_at.map(words::time).unwrap_or_default());
        }
        // What was waited for while it lasted says nothing any more.
        let is_over = |name: &str| event == Event::Resolved && conditions::ABOUT_WAITING.contains(&name);
        facts.extend(details.facts.iter().filter(|(name, _)| !is_over(name)).cloned());
        facts
    }

    fn commands(&self, event: Event) -> Vec<(String, String)> {
        let id = self.alert_id;
        let mut commands = vec![("Look further".to_owned(), format!("syncline alert show {id}"))];
        if let Some(run_id) = self.details.run_id {
            commands.push(("See the last run".to_owned(), format!("syncline run show {run_id}")));
        }
        if let Some(project) = &self.project {
            commands.push(("Read its log".to_owned(), format!("syncline log list --project {project}")));
        } else if let Some(site) = &self.site {
            commands.push(("Ask the site".to_owned(), format!("syncline site check {site}")));
        }
        if !matches!(event, Event::Resolved | Event::Test) {
            commands.push(("Acknowledge".to_owned(), format!("syncline alert ack {id}")));
            commands.push(("Silence".to_owned(), format!("syncline alert silence {id} --for 4h")));
        }
        commands
    }
}

fn list(projects: &[String]) -> String {
    let named = projects.iter().take(MAX_PROJECTS).cloned().collect::<Vec<_>>().join(", ");
    match projects.len().saturating_sub(MAX_PROJECTS) {
        0 => named,
        rest => format!("{named} and {rest} more"),
    }
}

/// The message that tells `audience` what happened.
pub(super) fn message(
    templates: &Templates,
    occasion: &Occasion,
    happening: &Happening,
    audience: &Audience,
    delivery_id: Uuid,
    now: DateTime<Utc>,
) -> Message {
    let details = &occasion.details;
    let metadata = Metadata {
        delivery_id,
        alert_id: occasion.alert_id,
        event: happening.event,
        severity: details.severity,
        category: occasion.category.clone(),
        class: occasion.class.clone(),
        about: occasion.about.clone(),
        summary: details.summary.clone(),
        advice: details.advice.clone(),
        since: details.since,
        at: now,
        facts: occasion.facts(happening.event, &happening.reason),
        commands: occasion.commands(happening.event),
        links: match happening.event {
            Event::Test => Vec::new(),
            _ => templates.pages().links(&Linked {
                site_url: occasion.site_url.as_deref(),
                project: occasion.project.as_deref(),
                class: &occasion.class,
                alert_id: occasion.alert_id.to_string(),
            }),
        },
        // Known when it is sent: see `deliver_alert`.
        thread_reference: None,
        opens_thread: false,
    };
    let rendered = templates.render(&metadata);
    Message {
        to: audience.to.clone(),
        cc: audience.cc.clone(),
        bcc: audience.bcc.clone(),
        from: None,
        reply_to: None,
        subject: rendered.subject,
        text: rendered.text,
        html: Some(rendered.html),
        attachments: Vec::new(),
        metadata,
    }
}

/// The message's place in the outbox.
pub(super) fn delivery(
    occasion: &Occasion,
    event: Event,
    audience: &Audience,
    id: Uuid,
    message: &Message,
) -> NewDelivery {
    NewDelivery {
        id,
        alert_id: occasion.alert_id,
        event_seq: occasion.seq,
        event: event.as_str().to_owned(),
        channel: audience.channel.clone(),
        recipients: audience.recipients(),
        // A message holds texts, times and bytes: nothing that JSON refuses.
        message: serde_json::to_value(message).unwrap_or_default(),
    }
}

fn asked_for() -> Happening {
    let reason = "on request".to_owned();
    Happening { event: Event::Test, reason, audience: episode::Audience::Routes }
}

/// A test message, to be sent past the outbox.
pub fn test_message(clock: &Clock, templates: &Templates, occasion: &Occasion, audience: &Audience) -> Message {
    let mut message = message(templates, occasion, &asked_for(), audience, clock.new_id(), clock.now());
    message.metadata.opens_thread = true;
    message
}

/// Enqueues a test message to each of `audiences`, through the outbox as any other. Answers how many were enqueued.
///
/// # Errors
/// When the database refuses.
pub async fn enqueue_test(
    pool: &PgPool,
    clock: &Clock,
    templates: &Templates,
    occasion: &Occasion,
    audiences: &[Audience],
    actor: &str,
) -> Result<usize> {
    let now = clock.now();
    let happening = asked_for();
    let mut deliveries = Vec::with_capacity(audiences.len());
    for audience in audiences {
        let id = clock.new_id();
        let message = message(templates, occasion, &happening, audience, id, now);
        deliveries.push(delivery(occasion, Event::Test, audience, id, &message));
    }
    let alert = TestAlert {
        id: occasion.alert_id,
        class: occasion.class.clone(),
        category: occasion.category.clone(),
        severity: occasion.details.severity.as_str().to_owned(),
        details: serde_json::to_value(&occasion.details).unwrap_or_default(),
    };
    let mut tx = pool.begin().await?;
    let fresh = admin::test(&mut tx, now, &alert, &deliveries, actor).await?;
    let steps: Vec<_> = fresh.iter().map(|id| deliver_alert::step(*id, Duration::ZERO)).collect();
    step::enqueue(&mut *tx, clock, None, &steps).await?;
    tx.commit().await?;
    Ok(fresh.len())
}
