//! E-mail by SMTP.
//!
//! What must hold: nothing is sent, and nobody logs in, without the encryption that was configured; recipients that the
//! server refuses are told apart from the message being refused; a message that is tried again is the same, byte for byte.

mod compose;
mod connection;
mod replies;

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::{Certificate, TlsParameters, TlsParametersBuilder};
use secrecy::SecretString;

use super::settings::{Problem, Settings, is_loopback_name};
use super::{Channel, Delivered, Kind, Reason, Undelivered, required};
use crate::alert::Message;

/// A mail server that takes our messages, and the sender's address.
#[derive(Debug)]
pub(super) struct Email {
    server: connection::Server,
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// Not at all: for a relay on this machine or network.
    None,
    /// After `STARTTLS`, which the server must offer.
    Starttls,
    /// From the first byte.
    Implicit,
}

impl Tls {
    /// Ports of RFC 5321, 6409 and 8314.
    const fn port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::Starttls => 587,
            Self::Implicit => 465,
        }
    }
}

/// The user's name and password.
struct Login {
    username: String,
    password: SecretString,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Email {
    pub fn open(mut settings: Settings<'_>, credential: Option<SecretString>) -> Result<Self, Problem> {
        let host = settings.text("host", "the mail server's name, e.g. smtp.example.com")?.to_owned();
        let words = [("none", Tls::None), ("starttls", Tls::Starttls), ("tls", Tls::Implicit)];
        let tls = settings.choice("tls", &words, Tls::Starttls)?;
        let port = settings.integer("port", 1..=65_535, u64::from(tls.port()))?;
        let from = mailbox("from", settings.text("from", "the sender, e.g. Syncline <syncline@example.com>")?)?;
        let reply_to = settings.optional_text("reply_to", "a mailbox")?.map(|text| mailbox("reply_to", text));
        let username = settings.optional_text("username", "the name to log in with")?.map(str::to_owned);
        let ca_file = settings.optional_text("ca_file", "the path of a PEM file")?.map(str::to_owned);
        let timeout: Duration = settings.timeout(30)?;
        let pool_size = settings.integer("pool_size", 1..=20, 2)?;
        settings.finish()?;
        let login = match (username, credential) {
            (Some(username), credential) => Some(Login { username, password: required(credential, "the password")? }),
            (None, Some(_)) => {
                return Err(Problem::new(
                    "username",
                    "is missing, but there is a password",
                    "write the name to log in with",
                ));
            }
            (None, None) => None,
        };
        if tls == Tls::None && login.is_some() && !is_loopback_name(&host) {
            return Err(Problem::new(
                "tls",
                "is none, so the password would cross the network in clear text",
                "use starttls or tls, or a server that needs no login",
            ));
        }
        let encryption = if tls == Tls::None { None } else { Some(parameters(&host, ca_file.as_deref())?) };
        let server = connection::Server::new(connection::Options {
            host,
            port: u16::try_from(port).unwrap_or(tls.port()),
            tls,
            encryption,
            login,
            timeout,
            pool_size: usize::try_from(pool_size).unwrap_or(1),
        });
        Ok(Self { server, from, reply_to: reply_to.transpose()? })
    }

    async fn deliver(&self, message: &Message) -> Result<Delivered, Undelivered> {
        let mail = compose::compose(message, &self.from, self.reply_to.as_ref())?;
        let refused = self.server.send(&mail).await?;
        Ok(Delivered { reference: Some(mail.message_id), refused })
    }
}

impl Channel for Email {
    fn kind(&self) -> Kind {
        Kind::Email
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Delivered, Undelivered>> {
        Box::pin(self.deliver(message))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>> {
        Box::pin(self.server.probe())
    }
}

/// The machine's own roots, and those of the file.
fn parameters(host: &str, ca_file: Option<&str>) -> Result<TlsParameters, Problem> {
    let mut builder = TlsParametersBuilder::new(host.to_owned());
    let remedy = "name a file of PEM certificates that this user may read";
    if let Some(path) = ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| Problem::new("ca_file", format!("{path} cannot be read: {error}"), remedy))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(Problem::new("ca_file", format!("{path} holds no PEM certificate"), remedy));
        }
        let certificate = Certificate::from_pem(&pem)
            .map_err(|error| Problem::new("ca_file", format!("{path} is damaged: {error}"), remedy))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| Problem::new("ca_file", format!("cannot be used: {error}"), remedy))
}

fn mailbox(field: &str, text: &str) -> Result<Mailbox, Problem> {
    let wrong = |problem: &str| {
        Problem::new(field, problem, "write an address, alone or with a name: The team <team@example.com>")
    };
    if text.chars().any(char::is_control) {
        return Err(wrong("holds a control character"));
    }
    text.parse().map_err(|_| wrong("is no mailbox"))
}

pub(super) fn check_recipients(to: &[String]) -> Result<(), Problem> {
    if to.is_empty() {
        return Err(Problem::new("to", "names no recipient", "name at least one mailbox"));
    }
    to.iter().enumerate().try_for_each(|(at, text)| mailbox(&format!("to[{at}]"), text).map(drop))
}
