//! What a template sees: texts only, ready to be placed. The same for built-in templates and for those of a folder.

use serde::Serialize;

use super::words;
use crate::alert::Metadata;
use crate::domain::alert::Event;
use crate::domain::failure::Severity;

/// A name and a value.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Named {
    pub name: String,
    pub value: String,
}

/// The values of a template; each is a name to be used between `{{` and `}}`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    /// `opened`, `escalated`, `reminder`, `resolved`, `test`.
    pub event: &'static str,
    /// `info`, `warning`, `error`, `critical`.
    pub severity: &'static str,
    /// What stands in brackets before the topic of a subject.
    pub tag: &'static str,
    /// The part of a subject that is the same for all messages of an alert.
    pub topic: String,
    /// The event in words.
    pub eyebrow: &'static str,
    /// What it is about.
    pub about: String,
    /// What is said in large letters: what is wrong, or that it is over.
    pub title: String,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// What the message means for its reader.
    pub sentence: String,
    /// Who must do what; empty when nothing is to be done.
    pub advice: String,
    /// The class as it is stored.
    pub class: String,
    /// The category as it is stored.
    pub category: String,
    /// Since when, and how long by now.
    pub since: String,
    /// When the message was decided.
    pub at: String,
    /// Lines of a table.
    pub facts: Vec<Named>,
    /// What for, and the command.
    pub commands: Vec<Named>,
    /// What for, and the address of a page.
    pub links: Vec<Named>,
    /// The alert.
    pub alert_id: String,
    /// The delivery.
    pub delivery_id: String,
    /// A word for the colour: `critical`, `error`, `warning`, `info`, `good`, `calm`.
    pub tone: &'static str,
    /// What the badge says: the severity, or that there is none any more.
    pub badge: &'static str,
    /// The colour, its tint as a ground, and both for dark grounds. Each pair has a contrast of 4.5 or more.
    pub accent: &'static str,
    pub tint: &'static str,
    pub dark_accent: &'static str,
    pub dark_tint: &'static str,
}

impl View {
    pub fn of(about: &Metadata) -> Self {
        let named = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, value)| Named { name: name.clone(), value: value.clone() }).collect()
        };
        let (tone, [accent, tint, dark_accent, dark_tint]) = colours(about.event, about.severity);
        let quiet = matches!(about.event, Event::Resolved | Event::Test);
        Self {
            event: about.event.as_str(),
            severity: about.severity.as_str(),
            tag: words::tag(about),
            topic: words::topic(about),
            eyebrow: words::event(about.event),
            about: about.about.clone(),
            title: words::title(about),
            summary: about.summary.clone(),
            sentence: words::sentence(about),
            advice: if quiet { String::new() } else { about.advice.clone() },
            class: about.class.clone(),
            category: about.category.clone(),
            since: words::time(about.since),
            at: words::time(about.at),
            facts: named(&words::facts(about)),
            commands: named(&about.commands),
            links: named(&about.links),
            alert_id: about.alert_id.to_string(),
            delivery_id: about.delivery_id.to_string(),
            tone,
            badge: if quiet { words::event(about.event) } else { words::severity(about.severity) },
            accent,
            tint,
            dark_accent,
            dark_tint,
        }
    }
}

fn colours(event: Event, severity: Severity) -> (&'static str, [&'static str; 4]) {
    match (event, severity) {
        (Event::Resolved, _) => ("good", ["#1a7f37", "#dff5e5", "#57d17e", "#12331f"]),
        (Event::Test, _) => ("calm", ["#4a5562", "#e9edf1", "#b3bdc8", "#262d36"]),
        (_, Severity::Critical) => ("critical", ["#c4222b", "#fde8e8", "#ff8a88", "#451a1d"]),
        (_, Severity::Error) => ("error", ["#b34a00", "#fdeddd", "#ffa662", "#40260f"]),
        (_, Severity::Warning) => ("warning", ["#8a6100", "#fbf1d0", "#e9c04f", "#3a2e0c"]),
        (_, Severity::Info) => ("info", ["#1f63c4", "#e3eefc", "#7db4ff", "#152c4d"]),
    }
}
