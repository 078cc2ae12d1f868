//! Slack: an incoming webhook (one channel, no threads), or a bot token (threads, and the first message updated when the
//! alert is over).
//!
//! What must hold: the credential is secret, also when it is a URL; a message whose blocks Slack refuses goes out as text;
//! a resolved alert shows so where it was announced, and says so in its thread.
//!
//! Facts: `chat.postMessage`, `chat.update` and `auth.test` of Slack's Web API answer 200 with `ok: false` and an error
//! name, or 429 with `Retry-After`; an incoming webhook answers with a status and one word.

mod answers;
mod blocks;

use std::fmt;

use futures::future::BoxFuture;
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::http::{self, Answer};
use super::reason::gather;
use super::settings::{Problem, Settings, service_url};
use super::{Channel, Delivered, Kind, Reason, ReasonCode, Undelivered, required};
use crate::alert::Message;
use crate::clock::Clock;
use crate::domain::alert::Event;

const API: &str = "https://slack.com/api";

/// A Slack workspace, or one channel of it.
pub(super) struct Slack {
    client: Client,
    clock: Clock,
    access: Access,
}

enum Access {
    Webhook { url: SecretString },
    Bot { token: SecretString, base_url: String, channel: Option<String> },
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match &self.access {
            Access::Webhook { .. } => "incoming webhook",
            Access::Bot { .. } => "bot token",
        };
        f.debug_struct("Slack").field("access", &access).finish_non_exhaustive()
    }
}

/// A message that was posted: its channel and its time stamp, which is its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Posted {
    channel: String,
    ts: String,
}

impl Posted {
    fn parse_all(reference: &str) -> Vec<Self> {
        let parts = reference.split(',').filter_map(|part| part.split_once(':'));
        parts.map(|(channel, ts)| Self { channel: channel.to_owned(), ts: ts.to_owned() }).collect()
    }

    fn reference(&self) -> String {
        format!("{}:{}", self.channel, self.ts)
    }
}

impl Slack {
    pub fn open(mut settings: Settings<'_>, credential: Option<SecretString>, clock: &Clock) -> Result<Self, Problem> {
        let channel = settings.optional_text("channel", "a channel's id or #name")?.map(str::to_owned);
        let base_url = settings.base_url(API)?;
        let timeout = settings.timeout(15)?;
        settings.finish()?;
        let credential = required(credential, "an incoming webhook's URL or a bot token")?;
        let secret = credential.expose_secret();
        let access = if secret.starts_with("http://") || secret.starts_with("https://") {
            // The parser's words could repeat a part of the secret.
            if service_url("credential", secret).is_err() {
                return Err(Problem::new(
                    "credential",
                    "is not the https:// URL of an incoming webhook",
                    "copy the URL as Slack shows it: https://hooks.slack.com/services/…",
                ));
            }
            Access::Webhook { url: credential }
        } else if secret.starts_with("xoxb-") {
            if let Some(channel) = &channel {
                check_recipients(std::slice::from_ref(channel))
                    .map_err(|problem| Problem { field: "channel".into(), ..problem })?;
            }
            Access::Bot { token: credential, base_url, channel }
        } else {
            return Err(Problem::new(
                "credential",
                format!("is neither a webhook's URL nor a bot token ({} characters)", secret.chars().count()),
                "store an incoming webhook's URL (https://…) or a bot token (xoxb-…)",
            ));
        };
        Ok(Self { client: http::build(http::builder(timeout))?, clock: clock.clone(), access })
    }

    async fn deliver(&self, message: &Message) -> Result<Delivered, Undelivered> {
        match &self.access {
            Access::Webhook { url } => {
                let request = || self.client.post(url.expose_secret());
                let body = blocks::body(message);
                let answer = http::ask(request().json(&body), &self.clock).await?;
                match answers::of_webhook(&answer) {
                    Err(refused) if answers::is_about_form(&answer.body) => {
                        tracing::debug!(
                            code = refused.reason().code.as_str(),
                            "Slack refuses the blocks: sending text"
                        );
                        let answer = http::ask(request().json(&blocks::plain(message)), &self.clock).await?;
                        answers::of_webhook(&answer)
                    }
                    outcome => outcome,
                }?;
                Ok(Delivered::default())
            }
            Access::Bot { channel, .. } => {
                let thread = message.metadata.thread_reference.as_deref().map(Posted::parse_all).unwrap_or_default();
                let mut outcomes = Vec::new();
                if thread.is_empty() {
                    let own = channel.iter().filter(|_| message.to.is_empty());
                    for channel in message.to.iter().chain(own) {
                        let posted = self.post(channel, None, message).await;
                        outcomes.push((channel.clone(), posted.map(|posted| posted.reference())));
                    }
                } else {
                    for first in &thread {
                        let posted = self.follow_up(first, message).await;
                        outcomes.push((first.channel.clone(), posted.map(|posted| posted.reference())));
                    }
                }
                gather(outcomes)
            }
        }
    }

    /// Answers in the thread; when the alert is over, its first message is changed before that.
    async fn follow_up(&self, first: &Posted, message: &Message) -> Result<Posted, Undelivered> {
        if message.metadata.event == Event::Resolved {
            let mut body = blocks::body(message);
            body["channel"] = json!(first.channel);
            body["ts"] = json!(first.ts);
            match self.call("chat.update", &body).await {
                // Too old to be changed, or gone: the thread says it all the same.
                Err(Undelivered::Never { .. }) | Ok(_) => {}
                Err(later) => return Err(later),
            }
        }
        match self.post(&first.channel, Some(&first.ts), message).await {
            // The thread's first message was deleted.
            Err(Undelivered::Never { reason }) if reason.message.contains("thread_not_found") => {
                self.post(&first.channel, None, message).await
            }
            outcome => outcome,
        }
    }

    async fn post(&self, channel: &str, thread: Option<&str>, message: &Message) -> Result<Posted, Undelivered> {
        let addressed = |mut body: Value| {
            body["channel"] = json!(channel);
            if let Some(ts) = thread {
                body["thread_ts"] = json!(ts);
                // What became worse is shown to everybody in the channel, the rest to those who follow the thread.
                body["reply_broadcast"] = json!(message.metadata.event == Event::Escalated);
            }
            body
        };
        let answer = match self.call("chat.postMessage", &addressed(blocks::body(message))).await {
            Err(Undelivered::Never { reason }) if answers::is_about_form(&reason.message) => {
                tracing::debug!(code = reason.code.as_str(), "Slack refuses the blocks: sending text");
                self.call("chat.postMessage", &addressed(blocks::plain(message))).await
            }
            outcome => outcome,
        }?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Posted {
            channel: text("channel").unwrap_or_else(|| channel.to_owned()),
            ts: text("ts").unwrap_or_default(),
        })
    }

    async fn call(&self, method: &str, body: &Value) -> Result<Value, Undelivered> {
        let Access::Bot { token, base_url, .. } = &self.access else {
            return Err(Reason::new(ReasonCode::Config, "an incoming webhook has no methods").never());
        };
        let request: RequestBuilder = self.client.post(format!("{base_url}/{method}"));
        let answer: Answer = http::ask(request.bearer_auth(token.expose_secret()).json(body), &self.clock).await?;
        answers::of_method(&answer)
    }
}

impl Channel for Slack {
    fn kind(&self) -> Kind {
        Kind::Slack
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Delivered, Undelivered>> {
        Box::pin(self.deliver(message))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>> {
        Box::pin(async move {
            match &self.access {
                Access::Bot { .. } => self.call("auth.test", &json!({})).await.map(drop),
                Access::Webhook { url } => {
                    // A message without text is refused by a webhook that exists, and shown to nobody.
                    match http::ask(self.client.post(url.expose_secret()).json(&json!({})), &self.clock).await {
                        Ok(answer) if answers::is_about_form(&answer.body) => Ok(()),
                        Ok(answer) => answers::of_webhook(&answer),
                        Err(undelivered) => Err(undelivered),
                    }
                }
            }
            .map_err(Undelivered::into_reason)
        })
    }
}

/// Channels: an id, or a name that begins with `#`. None are needed where the channel has its own.
pub(super) fn check_recipients(to: &[String]) -> Result<(), Problem> {
    let is_name = |text: &str| {
        text.strip_prefix('#').is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        })
    };
    let is_id = |text: &str| {
        text.starts_with(['C', 'D', 'G', 'U', 'W'])
            && text.len() >= 8
            && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    };
    match to.iter().position(|text| !is_name(text) && !is_id(text)) {
        None => Ok(()),
        Some(at) => Err(Problem::new(
            format!("to[{at}]"),
            "is not a Slack channel",
            "write a channel's id (C024BE91L) or its #name; the bot must be a member of it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_every_message_of_a_thread() {
        let posted = Posted::parse_all("C1:1700000000.000100,C2:1700000001.000200");
        assert_eq!(posted.len(), 2);
        assert_eq!(posted[1].reference(), "C2:1700000001.000200");
        assert!(Posted::parse_all("nonsense").is_empty());
    }
}
