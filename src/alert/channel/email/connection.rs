//! Connections to one mail server: kept while they are of use, and the dialogue over them.
//!
//! The library's own transport ends a message at the first recipient that is refused; here the others get it.
//!
//! What must hold: every reply is waited for no longer than the time limit; a connection in an unknown state is not used
//! again; at most `pool_size` connections exist.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Noop, Quit, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use super::super::reason::{Reason, ReasonCode, Undelivered};
use super::compose::Mail;
use super::replies::{self, Stage};
use super::{Login, Tls};

/// Servers hang up on those who stay silent; RFC 5321 lets them after five minutes, many do after one.
const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// For a good-bye that nobody needs.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How to reach a server.
pub(super) struct Options {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub encryption: Option<TlsParameters>,
    pub login: Option<Login>,
    pub timeout: Duration,
    pub pool_size: usize,
}

/// A server and the connections to it.
pub(super) struct Server {
    options: Options,
    slots: Semaphore,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Options { host, port, tls, login, .. } = &self.options;
        let fields = &mut f.debug_struct("Server");
        fields.field("host", host).field("port", port).field("tls", tls).field("login", login).finish_non_exhaustive()
    }
}

impl Server {
    pub fn new(options: Options) -> Self {
        let slots = Semaphore::new(options.pool_size);
        Self { options, slots, idle: Mutex::new(Vec::new()) }
    }

    /// Sends the mail, and gives the recipients that were refused while others were not.
    pub async fn send(&self, mail: &Mail) -> Result<Vec<(String, Reason)>, Undelivered> {
        let _slot = self.slots.acquire().await;
        let mut connection = self.connection().await?;
        let outcome = self.dialogue(&mut connection, mail).await;
        match &outcome {
            Ok(_) if !connection.has_broken() => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push((connection, Instant::now()));
            }
            _ => drop(tokio::time::timeout(QUIT_TIMEOUT, connection.command(Quit)).await),
        }
        outcome
    }

    /// Connects anew and logs in, sends nothing.
    pub async fn probe(&self) -> Result<(), Reason> {
        let mut connection = self.connect().await.map_err(Undelivered::into_reason)?;
        let alive = self.reply(Stage::Connect, connection.command(Noop)).await;
        drop(tokio::time::timeout(QUIT_TIMEOUT, connection.command(Quit)).await);
        alive.map(drop).map_err(Undelivered::into_reason)
    }

    /// An idle connection that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Undelivered> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((mut connection, since)) = idle else { return self.connect().await };
            if since.elapsed() < LONGEST_IDLE
                && tokio::time::timeout(self.options.timeout, connection.command(Noop)).await.is_ok_and(|r| r.is_ok())
            {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Undelivered> {
        let Options { host, port, tls, encryption, login, timeout, .. } = &self.options;
        let name = ClientId::default();
        let at_once = encryption.clone().filter(|_| *tls == Tls::Implicit);
        let server = (host.as_str(), *port);
        // A part of the time for each address, so that one which is dead leaves some for the others.
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(*timeout / 3), &name, at_once, None);
        let mut connection = self.reply(Stage::Connect, connecting).await?;
        if *tls == Tls::Starttls
            && let Some(encryption) = encryption
        {
            if !connection.can_starttls() {
                return Err(Reason::new(ReasonCode::Tls, format!("{host} does not offer STARTTLS")).later());
            }
            self.reply(Stage::Starttls, connection.starttls(encryption.clone(), &name)).await?;
        }
        if let Some(login) = login {
            let known = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&known).is_none() {
                let problem = format!("{host} offers no login by name and password (AUTH PLAIN or LOGIN)");
                return Err(Reason::new(ReasonCode::Config, problem).never());
            }
            let password = login.password.expose_secret();
            let credentials = Credentials::new(login.username.clone(), password.to_owned());
            self.reply(Stage::Login, connection.auth(&known, &credentials)).await?;
        }
        Ok(connection)
    }

    async fn dialogue(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &Mail,
    ) -> Result<Vec<(String, Reason)>, Undelivered> {
        let international = std::iter::once(&mail.sender)
            .chain(mail.recipients.iter().map(|(_, address)| address))
            .any(|address| !address.to_string().is_ascii());
        let mut parameters = Vec::new();
        if international {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let problem = "the server accepts only ASCII addresses (no SMTPUTF8)";
                return Err(Reason::new(ReasonCode::RecipientRefused, problem).never());
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let sender = MailFrom::new(Some(mail.sender.clone()), parameters);
        self.reply(Stage::Sender, connection.command(sender)).await?;

        let (mut taken, mut refused) = (false, Vec::new());
        for (given, address) in &mail.recipients {
            match self.reply(Stage::Recipient, connection.command(Rcpt::new(address.clone(), Vec::new()))).await {
                Ok(_) => taken = true,
                Err(undelivered) if is_about_recipient(&undelivered) => refused.push((given.clone(), undelivered)),
                Err(undelivered) => return Err(undelivered),
            }
        }
        if !taken {
            // Nobody gets it: it is tried again when that can help any one of them.
            let worth = refused.iter().position(|(_, undelivered)| matches!(undelivered, Undelivered::Later { .. }));
            let chosen = refused.into_iter().nth(worth.unwrap_or(0)).map(|(_, undelivered)| undelivered);
            return Err(chosen.unwrap_or_else(|| Reason::new(ReasonCode::Config, "no recipients").never()));
        }
        self.reply(Stage::Content, connection.command(Data)).await?;
        self.reply(Stage::Content, connection.message(&mail.bytes)).await?;
        Ok(refused.into_iter().map(|(given, undelivered)| (given, undelivered.into_reason())).collect())
    }

    async fn reply<T>(&self, stage: Stage, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Undelivered> {
        match tokio::time::timeout(self.options.timeout, asked).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(replies::undelivered(stage, &error)),
            Err(_) => {
                let waited = self.options.timeout.as_secs();
                let problem = format!("{} {stage} in {waited} s", self.options.host);
                Err(Reason::new(ReasonCode::Timeout, problem).later())
            }
        }
    }
}

/// Whether only this recipient is refused, and the next may be asked for.
fn is_about_recipient(undelivered: &Undelivered) -> bool {
    use ReasonCode::{MailboxFull, RecipientDeferred, RecipientRefused};
    matches!(undelivered.reason().code, RecipientRefused | RecipientDeferred | MailboxFull)
}
