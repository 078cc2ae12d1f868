//! The channels that carry messages: e-mail, Slack, WhatsApp, a webhook, the log.
//!
//! A channel is made from its [`Definition`] by [`open`], which connects to nothing: a channel whose server is down opens,
//! and tells so when it is asked ([`Channel::probe`], [`Channel::send`]).
//!
//! What must hold:
//! * a channel keeps no state between messages but idle connections: what a thread needs comes with the message;
//! * the same message sent twice is recognisable as the same: by its `Message-ID`, its delivery id, its callback data;
//! * delivered, try again and failed for good are told apart by documented codes, never by the wording of an error;
//! * a secret is in no `Debug`, error or log, and a message is shown as it is: see [`guarded`].

mod email;
mod guarded;
mod http;
mod log;
mod reason;
mod settings;
mod slack;
mod webhook;
mod whatsapp;

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::clock::Clock;
use crate::config::{SecretsConfig, secret};

pub use reason::{Delivered, Reason, ReasonCode, Undelivered};
pub use settings::Problem;
use settings::Settings;

/// Something that carries messages to people or programs.
pub trait Channel: Send + Sync + fmt::Debug {
    /// What kind of channel it is.
    fn kind(&self) -> Kind;

    /// Sends a message once. Delivery is at least once: when the answer is lost, the message may have arrived.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Delivered, Undelivered>>;

    /// Whether the other side can be reached and lets this channel in; sends no message.
    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>>;
}

/// The kinds of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Mail by SMTP.
    Email,
    /// Slack, by incoming webhook or bot token.
    Slack,
    /// WhatsApp Cloud API, by template.
    Whatsapp,
    /// An HTTP endpoint that takes signed JSON.
    Webhook,
    /// A line in the log.
    Log,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Email, Self::Slack, Self::Whatsapp, Self::Webhook, Self::Log];

    /// The kind as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Slack => "slack",
            Self::Whatsapp => "whatsapp",
            Self::Webhook => "webhook",
            Self::Log => "log",
        }
    }

    /// The kind stored as `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A channel as it is configured.
///
/// | kind | credential | settings (defaults) |
/// |---|---|---|
/// | `email` | the password, with `username` | `host`, `port` (by `tls`: 25, 587, 465), `tls` = `none`, `starttls` or `tls` (`starttls`), `username`, `from`, `reply_to`, `ca_file`, `timeout_seconds` (30), `pool_size` (2) |
/// | `slack` | an incoming webhook's URL, or a bot token `xoxb-…` | `channel`, `base_url`, `timeout_seconds` (15) |
/// | `whatsapp` | the access token | `phone_number_id`, `template`, `language` (`en`), `parameters` (`event`, `about`, `summary`, `advice`), `base_url`, `timeout_seconds` (15) |
/// | `webhook` | the secret that signs | `url`, `allow_private_addresses` (false), `timeout_seconds` (15) |
/// | `log` | none | none |
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The channel's name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What its kind needs; nothing secret.
    pub settings: serde_json::Value,
    /// A reference to its secret: `env:NAME`, `file:PATH` or `enc:v1:…` (see [`secret`]).
    pub credential: Option<String>,
}

impl Definition {
    /// What an encrypted credential of the channel `name` is bound to: the owner to hand to [`secret::encrypt`].
    pub fn owner(name: &str) -> String {
        format!("channel:{name}")
    }
}

/// Makes the channel, with the machine's clock.
///
/// # Errors
/// When a setting or the credential cannot be used; nothing is connected to, so that a server that is down is no error.
pub fn open(definition: &Definition, secrets: &SecretsConfig) -> Result<Arc<dyn Channel>, Problem> {
    open_at(definition, secrets, &Clock::system())
}

/// The same with a clock, which dates signatures and waits.
///
/// # Errors
/// As [`open`].
pub fn open_at(definition: &Definition, secrets: &SecretsConfig, clock: &Clock) -> Result<Arc<dyn Channel>, Problem> {
    let settings = Settings::new(&definition.settings)?;
    let credential = definition.credential.as_deref().map(|reference| resolve(reference, definition, secrets));
    let credential = credential.transpose()?;
    fn guard<C: Channel + 'static>(
        channel: C,
        credential: Option<&SecretString>,
        definition: &Definition,
    ) -> Arc<dyn Channel> {
        Arc::new(guarded::Guarded::new(channel, credential, &definition.settings))
    }
    let kept = credential.clone();
    let kept = kept.as_ref();
    Ok(match definition.kind {
        Kind::Email => guard(email::Email::open(settings, credential)?, kept, definition),
        Kind::Slack => guard(slack::Slack::open(settings, credential, clock)?, kept, definition),
        Kind::Whatsapp => guard(whatsapp::Whatsapp::open(settings, credential, clock)?, kept, definition),
        Kind::Webhook => guard(webhook::Webhook::open(settings, credential, clock)?, kept, definition),
        Kind::Log => guard(log::Log::open(settings, credential)?, kept, definition),
    })
}

/// Whether messages of a channel of this kind can be sent `to` these.
///
/// # Errors
/// The first recipient that cannot be used, or that there are none where some are needed.
pub fn check_recipients(kind: Kind, to: &[String]) -> Result<(), Problem> {
    match kind {
        Kind::Email => email::check_recipients(to),
        Kind::Slack => slack::check_recipients(to),
        Kind::Whatsapp => whatsapp::check_recipients(to),
        Kind::Webhook | Kind::Log if to.is_empty() => Ok(()),
        Kind::Webhook | Kind::Log => Err(Problem::new(
            "to",
            format!("names {} recipients, but a channel of kind {kind} has none", to.len()),
            "leave the recipients out",
        )),
    }
}

fn resolve(reference: &str, definition: &Definition, secrets: &SecretsConfig) -> Result<SecretString, Problem> {
    use secret::Error;
    secret::resolve(reference, &Definition::owner(&definition.name), secrets).map_err(|error| match error {
        Error::Damaged { .. } | Error::WrongKey { .. } => Problem::new(
            "credential",
            "cannot be decrypted with the configured key",
            "configure the key with which it was encrypted (secrets.key), or store the channel's credential again",
        ),
        Error::Form { .. } => Problem::new(
            "credential",
            error.to_string(),
            "give a reference to the secret: env:SMTP_PASSWORD or file:/run/secrets/smtp",
        ),
        Error::Empty { .. } => {
            Problem::new("credential", error.to_string(), "write the channel's secret to that place")
        }
        other => Problem::new("credential", format!("cannot be used: {other}"), other.help()),
    })
}

/// A credential that a kind cannot do without.
fn required(credential: Option<SecretString>, what: &str) -> Result<SecretString, Problem> {
    credential.ok_or_else(|| {
        Problem::new(
            "credential",
            "is missing",
            format!(
                "give a reference to {what}: env:NAME or file:PATH, or \
            store it encrypted"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definition(kind: Kind, settings: serde_json::Value) -> Definition {
        Definition { name: "test".into(), kind, settings, credential: None }
    }

    #[test]
    fn an_unusable_recipient_is_refused_by_name_and_kind() {
        let to = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        for (kind, good) in [
            (Kind::Email, to(&["ops@example.com", "The team <team@example.com>"])),
            (Kind::Slack, to(&["#alerts", "C024BE91L"])),
            (Kind::Slack, to(&[])),
            (Kind::Whatsapp, to(&["+4915112345678"])),
            (Kind::Webhook, to(&[])),
            (Kind::Log, to(&[])),
        ] {
            assert_eq!(check_recipients(kind, &good), Ok(()), "{kind}");
        }
        for (kind, bad) in [
            (Kind::Email, to(&[])),
            (Kind::Email, to(&["ops@example.com", "nobody"])),
            (Kind::Email, to(&["ops@example.com\r\nBcc: all@example.com"])),
            (Kind::Slack, to(&["alerts please"])),
            (Kind::Whatsapp, to(&[])),
            (Kind::Whatsapp, to(&["0151 12345678"])),
            (Kind::Webhook, to(&["ops@example.com"])),
        ] {
            let problem = check_recipients(kind, &bad).unwrap_err();
            assert!(problem.field.starts_with("to"), "{kind}: {problem}");
            assert!(!problem.help().is_empty());
        }
    }

    #[test]
    fn an_incomplete_definition_is_refused_before_sending() {
        for (kind, settings, field) in [
            (Kind::Email, json!({}), "host"),
            (Kind::Email, json!({"host": "smtp.example.com"}), "from"),
            (Kind::Email, json!({"host": "smtp.example.com", "from": "nobody"}), "from"),
            (Kind::Email, json!({"host": "h.test", "from": "a@example.com", "username": "u"}), "credential"),
            (Kind::Email, json!({"host": "h.test", "from": "a@example.com", "tls": "maybe"}), "tls"),
            (Kind::Email, json!({"host": "h.test", "from": "a@example.com", "ca_file": "/no/such"}), "ca_file"),
            (Kind::Slack, json!({}), "credential"),
            (Kind::Whatsapp, json!({"phone_number_id": "1", "template": "t"}), "credential"),
            (Kind::Webhook, json!({"url": "https://example.com"}), "credential"),
            (Kind::Log, json!({"file": "/tmp/x"}), "file"),
        ] {
            let problem = open(&definition(kind, settings.clone()), &SecretsConfig::default()).unwrap_err();
            assert_eq!(problem.field, field, "{kind} {settings}: {problem}");
        }
        let plain = Definition { credential: Some("hunter2".into()), ..definition(Kind::Slack, json!({})) };
        let problem = open(&plain, &SecretsConfig::default()).unwrap_err();
        assert!(problem.field == "credential" && !format!("{problem}{}", problem.help()).contains("hunter2"));
    }
}
