//! What every channel passes on its way out and back.
//!
//! What must hold: a message is made fit to be shown before any channel sees it, so that no name of Jira's turns the order
//! of a mail's letters around; a reason repeats no secret of the channel, whatever the other side answers.

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Channel, Delivered, Kind, Reason, Undelivered};
use crate::alert::Message;
use crate::domain::scrub::Secrets;

/// A channel behind the guard.
#[derive(Debug)]
pub(super) struct Guarded<C> {
    channel: C,
    secrets: Secrets,
}

impl<C: Channel> Guarded<C> {
    /// `credential` is the channel's, and so is what its settings hold of an address: the path of a hook may be its key.
    pub fn new(channel: C, credential: Option<&SecretString>, settings: &Value) -> Self {
        let mut secrets = Secrets::default();
        if let Some(credential) = credential {
            secrets.add(credential.expose_secret());
            add_address(&mut secrets, credential.expose_secret());
        }
        if let Some(url) = settings.get("url").and_then(Value::as_str) {
            add_address(&mut secrets, url);
        }
        Self { channel, secrets }
    }

    fn reason(&self, reason: Reason) -> Reason {
        Reason { message: self.secrets.scrub(&reason.message), ..reason }
    }

    fn delivered(&self, delivered: Delivered) -> Delivered {
        let refused = delivered.refused.into_iter().map(|(to, reason)| (to, self.reason(reason))).collect();
        Delivered { refused, ..delivered }
    }

    fn undelivered(&self, undelivered: Undelivered) -> Undelivered {
        match undelivered {
            Undelivered::Later { after, reason } => Undelivered::Later { after, reason: self.reason(reason) },
            Undelivered::Never { reason } => Undelivered::Never { reason: self.reason(reason) },
        }
    }
}

/// The path and the query of an address, and what follows the last slash.
fn add_address(secrets: &mut Secrets, text: &str) {
    if let Some((_, path)) = text.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
        secrets.add(path);
        secrets.add(path.rsplit(['/', '=', '?', '&']).next().unwrap_or_default());
    }
}

impl<C: Channel> Channel for Guarded<C> {
    fn kind(&self) -> Kind {
        self.channel.kind()
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Delivered, Undelivered>> {
        Box::pin(async move {
            let outcome = self.channel.send(&message.shown()).await;
            outcome.map(|delivered| self.delivered(delivered)).map_err(|undelivered| self.undelivered(undelivered))
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>> {
        Box::pin(async move { self.channel.probe().await.map_err(|reason| self.reason(reason)) })
    }
}
