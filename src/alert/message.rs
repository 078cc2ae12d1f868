//! A message, before any channel has made it its own.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::alert::Event;
use crate::domain::display;
use crate::domain::failure::Severity;

/// What is sent: the same for every channel, which takes from it what it can show. Kept as JSON with the delivery, so that
/// a message that is tried again is the same message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Recipients: mailboxes, telephone numbers or nothing, as the channel has it.
    pub to: Vec<String>,
    /// Mailboxes that get a copy.
    pub cc: Vec<String>,
    /// Mailboxes that get a copy unseen.
    pub bcc: Vec<String>,
    /// The sender; the channel's own when absent.
    pub from: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// One line.
    pub subject: String,
    /// The plain text, complete in itself.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
    /// What it is about, for channels that build their own form.
    pub metadata: Metadata,
}

impl Message {
    /// The same with every character that is obeyed or not seen shown as its code.
    pub fn shown(&self) -> Self {
        let mut message = self.clone();
        let about = &mut message.metadata;
        for text in [&mut message.subject, &mut about.about] {
            *text = display::line(text).into_owned();
        }
        for text in [&mut message.text, &mut about.summary, &mut about.advice].into_iter().chain(message.html.as_mut())
        {
            *text = display::block(text).into_owned();
        }
        for (name, value) in about.facts.iter_mut().chain(&mut about.commands).chain(&mut about.links) {
            *name = display::line(name).into_owned();
            *value = display::block(value).into_owned();
        }
        for file in &mut message.attachments {
            file.name = display::line(&file.name).into_owned();
        }
        message
    }
}

/// A file that goes with a message.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The file's name.
    pub name: String,
    /// Its media type, e.g. `text/csv`.
    pub content_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} bytes)", self.name, self.content_type, self.content.len())
    }
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The delivery: the same however often it is tried, so that a receiver can tell a repetition.
    pub delivery_id: Uuid,
    /// The episode: messages of one episode make one thread.
    pub alert_id: Uuid,
    /// What happened to it.
    pub event: Event,
    /// How bad it is.
    pub severity: Severity,
    /// A failure's category, or `latency`, `freshness`, `delivery`.
    pub category: String,
    /// The class of the condition, e.g. `SUSPENDED_PAYMENT`.
    pub class: String,
    /// What it is about, in words: `site acme`, `project acme/OPS`.
    pub about: String,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// Who must do what.
    pub advice: String,
    /// When the episode began.
    pub since: DateTime<Utc>,
    /// When the message was decided.
    pub at: DateTime<Utc>,
    /// Names and values, in the order to be shown.
    pub facts: Vec<(String, String)>,
    /// Commands to look further, acknowledge and silence: what for, and the command.
    pub commands: Vec<(String, String)>,
    /// Pages to look further: what for, and the address. Absent in messages of older programs.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// What the channel answered to the first message of this thread (its `Delivered::reference`), if it was delivered.
    pub thread_reference: Option<String>,
    /// Whether the thread begins with this message.
    pub opens_thread: bool,
}
