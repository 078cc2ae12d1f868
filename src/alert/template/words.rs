//! The words that every form of a message shares: mail, chat, telephone.

use chrono::{DateTime, TimeDelta, Utc};

use crate::alert::Metadata;
use crate::domain::alert::{Event, class as alert};
use crate::domain::failure::{FailureCode, Severity};

/// The event, capitalised.
pub const fn event(event: Event) -> &'static str {
    match event {
        Event::Opened => "Opened",
        Event::Escalated => "Escalated",
        Event::Reminder => "Still open",
        Event::Resolved => "Resolved",
        Event::Test => "Test",
    }
}

/// The severity, capitalised.
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "Info",
        Severity::Warning => "Warning",
        Severity::Error => "Error",
        Severity::Critical => "Critical",
    }
}

/// A class or category in words: `SUSPENDED_PAYMENT` is "Suspended payment".
pub fn class(class: &str) -> String {
    let mut words = class.split('_').enumerate().map(|(index, word)| match word {
        "API" | "DNS" | "TLS" | "CAPTCHA" => word.to_owned(),
        "HTML" => "HTML".to_owned(),
        _ if index == 0 => capitalised(&word.to_lowercase()),
        _ => word.to_lowercase(),
    });
    let first = words.next().unwrap_or_default();
    words.fold(first, |text, word| text + " " + &word)
}

/// The first letter large.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What happened to what, as a heading.
pub fn heading(about: &Metadata) -> String {
    match about.event {
        Event::Opened => capitalised(&about.about),
        Event::Test => "Test message".to_owned(),
        other => format!("{}: {}", event(other), about.about),
    }
}

/// What a mail says in large letters.
pub fn title(about: &Metadata) -> String {
    match about.event {
        Event::Opened | Event::Escalated | Event::Reminder => about.summary.clone(),
        Event::Resolved => format!("It is over after {}", span(about.at - about.since)),
        Event::Test => "This message has arrived".to_owned(),
    }
}

/// What the message means for whoever reads it.
pub fn sentence(about: &Metadata) -> String {
    let lasted = span(about.at - about.since);
    match about.event {
        Event::Opened => "Further messages follow if it becomes worse or stays open, and when it is over.".to_owned(),
        Event::Escalated => {
            format!("It has been open for {lasted}, and has become worse or waits for an acknowledgement.")
        }
        Event::Reminder => format!("It has been open for {lasted}."),
        Event::Resolved => format!("It was: {}. You need do nothing.", about.summary),
        Event::Test => "This is a test message to check delivery. Nothing is wrong.".to_owned(),
    }
}

/// The part of a subject that is the same for every message of an alert, so that mail clients see one conversation.
/// What changes stands before it in brackets, which RFC 5256 (section 2.1) leaves out of a subject's base.
pub fn topic(about: &Metadata) -> String {
    match about.event {
        Event::Test => "Syncline reaches you".to_owned(),
        _ => format!("{}: {}", capitalised(&about.about), cause(&about.class)),
    }
}

/// What is wrong, in plain words; a class that is not known is told by its name.
fn cause(name: &str) -> String {
    let own = match name {
        alert::SLOW_RUNS => "runs take far longer than before",
        alert::LOW_THROUGHPUT => "runs read far fewer issues per second than before",
        alert::WATERMARK_LAG => "the replica is refreshed too late",
        alert::NO_RECENT_SUCCESS => "no run has succeeded for a long time",
        alert::TOKEN_ENDS => "the token expires soon",
        alert::DATED_AHEAD => "issues are dated ahead of the clock",
        alert::CHANNEL_FAILING => "messages are not delivered",
        _ => match FailureCode::parse(name) {
            Some(code) => code.cause(),
            None => return lower_first(&class(name)),
        },
    };
    own.to_owned()
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // Not the first letter of DNS.
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

/// The word in brackets before the topic.
pub const fn tag(about: &Metadata) -> &'static str {
    match about.event {
        Event::Opened => severity(about.severity),
        Event::Reminder => "Reminder",
        other => event(other),
    }
}

/// Names and values in the order to be shown: what every alert has, then its own.
pub fn facts(about: &Metadata) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if about.event != Event::Test {
        let lasted = span(about.at - about.since);
        facts.push(("Since".to_owned(), format!("{} ({lasted})", time(about.since))));
        facts.push(("Class".to_owned(), format!("{}, {}", about.class, lower_first(&class(&about.category)))));
    }
    let known = |name: &str| name.eq_ignore_ascii_case("since") || name.eq_ignore_ascii_case("class");
    let own = about.facts.iter().filter(|(name, value)| !value.is_empty() && !known(name));
    facts.extend(own.cloned());
    facts
}

/// A time, in UTC and to the minute.
pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A length of time in its two largest units.
pub fn span(length: TimeDelta) -> String {
    let minutes = length.num_minutes().max(0);
    let (days, hours, rest) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let day = |n: i64| format!("{n} day{}", if n == 1 { "" } else { "s" });
    match (days, hours, rest) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => day(d),
        (d, h, _) => format!("{} {h} h", day(d)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::template::sample;

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (minutes, text) in [
            (-5, "less than a minute"),
            (0, "less than a minute"),
            (7, "7 min"),
            (60, "1 h"),
            (200, "3 h 20 min"),
            (1440, "1 day"),
            (13_080, "9 days 2 h"),
        ] {
            assert_eq!(span(TimeDelta::minutes(minutes)), text);
        }
    }

    #[test]
    fn a_class_reads_as_words() {
        assert_eq!(class("SUSPENDED_PAYMENT"), "Suspended payment");
        assert_eq!(class("API_REMOVED"), "API removed");
        assert_eq!(class("GATEWAY_HTML"), "Gateway HTML");
        assert_eq!(class("rate_limit"), "Rate limit");
        assert_eq!(lower_first(&class("DNS")), "DNS");
        assert_eq!(class(""), "");
    }

    #[test]
    fn the_subjects_of_an_alert_differ_in_brackets_only() {
        let topics: Vec<_> = [Event::Opened, Event::Escalated, Event::Reminder, Event::Resolved]
            .map(|event| topic(&sample::metadata(event)))
            .into();
        assert!(topics.iter().all(|topic| *topic == topics[0]), "{topics:?}");
        let tags: std::collections::BTreeSet<_> =
            [Event::Opened, Event::Escalated, Event::Reminder, Event::Resolved, Event::Test]
                .map(|event| tag(&sample::metadata(event)))
                .into();
        assert_eq!(tags.len(), 5);
    }
}
