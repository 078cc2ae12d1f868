//! The log as a channel: what is used when nothing else is configured, so that no alert is lost.

use futures::future::BoxFuture;
use secrecy::SecretString;

use super::settings::{Problem, Settings};
use super::{Channel, Delivered, Kind, Reason, Undelivered};
use crate::alert::Message;
use crate::domain::alert::Event;
use crate::domain::failure::Severity;
use crate::observe::events;

/// Writes one line per message.
#[derive(Debug)]
pub(super) struct Log;

impl Log {
    pub fn open(settings: Settings<'_>, credential: Option<SecretString>) -> Result<Self, Problem> {
        settings.finish()?;
        if credential.is_some() {
            return Err(Problem::new("credential", "is given, but the log needs none", "leave the credential out"));
        }
        Ok(Self)
    }
}

impl Channel for Log {
    fn kind(&self) -> Kind {
        Kind::Log
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Delivered, Undelivered>> {
        macro_rules! line {
            ($level:ident, $m:expr) => {
                tracing::$level!(
                    event = events::ALERT_MESSAGE,
                    alert_id = %$m.alert_id,
                    delivery_id = %$m.delivery_id,
                    alert_event = $m.event.as_str(),
                    severity = $m.severity.as_str(),
                    class = $m.class,
                    about = $m.about,
                    advice = $m.advice,
                    "{}",
                    $m.summary
                )
            };
        }
        let metadata = &message.metadata;
        let good_news = matches!(metadata.event, Event::Resolved | Event::Test);
        match metadata.severity {
            _ if good_news => line!(info, metadata),
            Severity::Info => line!(info, metadata),
            Severity::Warning => line!(warn, metadata),
            Severity::Error | Severity::Critical => line!(error, metadata),
        }
        Box::pin(std::future::ready(Ok(Delivered::default())))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
