//! A generic webhook: JSON, signed, the same bytes however often it is tried.
//!
//! ```text
//! POST URL
//! Content-Type: application/json
//! X-Syncline-Delivery: 0190f3c0-…            the same for every try: keep it to tell a repetition
//! X-Syncline-Event: opened
//! X-Syncline-Signature: t=1790000000,v1=…    hex HMAC-SHA256 of "1790000000." and the body; refuse an old t
//! ```
//! Any 2xx says that the message was taken.
//!
//! What must hold: an address that is not public is not connected to unless the channel allows it; the addresses that were
//! checked are the ones that are connected to; no redirect is followed.

mod address;
mod signature;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use secrecy::SecretString;
use serde::Serialize;
use url::{Host, Url};

use super::http;
use super::settings::{Problem, Settings, http_url};
use super::{Channel, Delivered, Kind, Reason, ReasonCode, Undelivered, required};
use crate::alert::{Message, Metadata};
use crate::clock::Clock;

pub(super) use address::Forbidden;

const DELIVERY: HeaderName = HeaderName::from_static("x-syncline-delivery");
const EVENT: HeaderName = HeaderName::from_static("x-syncline-event");
const SIGNATURE: HeaderName = HeaderName::from_static("x-syncline-signature");

/// An HTTP endpoint of somebody's own.
pub(super) struct Webhook {
    client: Client,
    clock: Clock,
    url: Url,
    secret: SecretString,
    allow_private: bool,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path and the query may hold a token.
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Webhook {
    pub fn open(mut settings: Settings<'_>, credential: Option<SecretString>, clock: &Clock) -> Result<Self, Problem> {
        let url = http_url("url", settings.text("url", "the endpoint's https:// address")?)?;
        let allow_private = settings.flag("allow_private_addresses")?;
        let timeout = settings.timeout(15)?;
        settings.finish()?;
        if url.host_str() == Some("hooks.slack.com") {
            return Err(Problem::new(
                "url",
                "is the address of a Slack incoming webhook, which is a secret",
                "create a channel of kind slack with this address as its credential",
            ));
        }
        if url.scheme() == "http" && !allow_private {
            return Err(Problem::new(
                "url",
                "is not encrypted: it begins with http://",
                "write an https:// address, or set allow_private_addresses for an endpoint of your own network",
            ));
        }
        let webhook_client = http::builder(timeout);
        let client = if allow_private {
            http::build(webhook_client)?
        } else {
            http::build(webhook_client.dns_resolver(Arc::new(address::PublicOnly)))?
        };
        let secret = required(credential, "the secret that signs the messages")?;
        let webhook = Self { client, clock: clock.clone(), url, secret, allow_private };
        webhook.check_literal().map_err(|forbidden| {
            Problem::new("url", format!("names {forbidden}"), ReasonCode::ForbiddenAddress.advice())
        })?;
        Ok(webhook)
    }

    /// An address written as such is resolved by nobody, so that the resolver cannot refuse it.
    fn check_literal(&self) -> Result<(), Forbidden> {
        let address = match self.url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        if self.allow_private { Ok(()) } else { address::check(address) }
    }

    async fn deliver(&self, message: &Message) -> Result<Delivered, Undelivered> {
        let about = &message.metadata;
        let body = serde_json::to_vec(&Body::of(message))
            .map_err(|error| Reason::new(ReasonCode::Config, format!("the message is not JSON: {error}")).never())?;
        let signature = signature::sign(&self.secret, self.clock.now().timestamp(), &body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(DELIVERY, about.delivery_id.to_string())
            .header(EVENT, about.event.as_str())
            .header(SIGNATURE, signature)
            .body(body);
        let answer = http::ask(request, &self.clock).await?;
        if answer.status.is_success() { Ok(Delivered::default()) } else { Err(answer.by_status()) }
    }
}

/// What is sent. Fields are added, never changed: receivers ignore those that they do not know.
#[derive(Serialize)]
struct Body<'a> {
    subject: &'a str,
    text: &'a str,
    #[serde(flatten)]
    about: About<'a>,
}

#[derive(Serialize)]
struct About<'a> {
    delivery_id: String,
    alert_id: String,
    event: &'static str,
    severity: &'static str,
    category: &'a str,
    class: &'a str,
    about: &'a str,
    summary: &'a str,
    advice: &'a str,
    since: String,
    at: String,
    facts: Vec<Named<'a>>,
    commands: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> Body<'a> {
    fn of(message: &'a Message) -> Self {
        let Metadata { delivery_id, alert_id, event, severity, category, class, .. } = &message.metadata;
        let metadata = &message.metadata;
        let named = |pairs: &'a [(String, String)]| pairs.iter().map(|(name, value)| Named { name, value }).collect();
        let about = About {
            delivery_id: delivery_id.to_string(),
            alert_id: alert_id.to_string(),
            event: event.as_str(),
            severity: severity.as_str(),
            category,
            class,
            about: &metadata.about,
            summary: &metadata.summary,
            advice: &metadata.advice,
            since: metadata.since.to_rfc3339(),
            at: metadata.at.to_rfc3339(),
            facts: named(&metadata.facts),
            commands: named(&metadata.commands),
        };
        Self { subject: &message.subject, text: &message.text, about }
    }
}

impl Channel for Webhook {
    fn kind(&self) -> Kind {
        Kind::Webhook
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Delivered, Undelivered>> {
        Box::pin(self.deliver(message))
    }

    /// Any answer will do: an endpoint that takes only POST answers HEAD with 405.
    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>> {
        Box::pin(async move {
            let answer = http::ask(self.client.head(self.url.clone()), &self.clock).await;
            answer.map(drop).map_err(Undelivered::into_reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Definition, open};
    use super::*;
    use crate::config::SecretsConfig;
    use serde_json::json;

    #[test]
    fn a_private_address_is_refused_when_the_channel_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret").unwrap();
        let open = |url: &str, allow: bool| {
            let settings = json!({"url": url, "allow_private_addresses": allow});
            let credential = Some(format!("file:{}", path.display()));
            open(
                &Definition { name: "hook".into(), kind: Kind::Webhook, settings, credential },
                &SecretsConfig::default(),
            )
        };
        for url in [
            "https://10.0.0.7/hook",
            "https://[::1]/hook",
            // The metadata services of clouds.
            "https://169.254.169.254/",
            "https://[fd00:ec2::254]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            // Other ways to write an address.
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://0/",
            "https://\u{ff11}27.0.0.1/",
        ] {
            let problem = open(url, false).unwrap_err();
            assert!(problem.field == "url" && problem.help().contains("allow_private_addresses"), "{url}: {problem}");
            assert!(open(url, true).is_ok(), "{url}");
        }
        assert_eq!(open("http://example.com/hook", false).unwrap_err().field, "url");
        let slack = open("https://hooks.slack.com/services/T0/B0/hunter2", false).unwrap_err();
        assert!(slack.help().contains("kind slack") && !format!("{slack:?}").contains("hunter2"), "{slack}");
        let webhook = open("https://example.com/hook?token=hunter2", false).unwrap();
        assert!(!format!("{webhook:?}").contains("hunter2") && !format!("{webhook:?}").contains("s3cret"));
    }
}
