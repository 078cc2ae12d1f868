//! Why a message was not taken, in words that are the same for every channel.
//!
//! What must hold: a code decides what is done, a text never; a text has been sanitised before it is kept here.

use std::fmt;
use std::time::Duration;

use crate::domain::failure::sanitise;

/// Why a message, or one of its recipients, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// The recipient does not exist, or takes nothing from this sender.
    RecipientRefused,
    /// The recipient is not taken now (greylisting, a limit of recipients): the same message may be, later.
    RecipientDeferred,
    /// The recipient's mailbox is full.
    MailboxFull,
    /// The recipient must write first, or a template must be used (WhatsApp's window of 24 hours).
    ReengagementRequired,
    /// The credential is wrong, or lacks a permission.
    AuthInvalid,
    /// The credential was right once: it has expired or was revoked.
    AuthExpired,
    /// No connection: the name does not resolve, or nobody listens.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// No trusted encryption.
    Tls,
    /// Too many messages.
    RateLimited,
    /// The template is unknown, paused, or does not fit its parameters.
    TemplateRejected,
    /// The message is larger than the channel takes.
    TooLarge,
    /// The other side failed.
    ServerError,
    /// Refused for any other reason.
    Refused,
    /// The address is one that must not be connected to.
    ForbiddenAddress,
    /// The channel's settings, or the message for it, cannot be used.
    Config,
}

impl ReasonCode {
    /// Every code, in the order of this file.
    pub const ALL: [Self; 16] = [
        Self::RecipientRefused,
        Self::RecipientDeferred,
        Self::MailboxFull,
        Self::ReengagementRequired,
        Self::AuthInvalid,
        Self::AuthExpired,
        Self::Unreachable,
        Self::Timeout,
        Self::Tls,
        Self::RateLimited,
        Self::TemplateRejected,
        Self::TooLarge,
        Self::ServerError,
        Self::Refused,
        Self::ForbiddenAddress,
        Self::Config,
    ];

    /// The code as stored, shown and counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecipientRefused => "recipient_refused",
            Self::RecipientDeferred => "recipient_deferred",
            Self::MailboxFull => "mailbox_full",
            Self::ReengagementRequired => "reengagement_required",
            Self::AuthInvalid => "auth_invalid",
            Self::AuthExpired => "auth_expired",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::RateLimited => "rate_limited",
            Self::TemplateRejected => "template_rejected",
            Self::TooLarge => "too_large",
            Self::ServerError => "server_error",
            Self::Refused => "refused",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Config => "config",
        }
    }

    /// The code stored as `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// What to do about it: one sentence for an operator.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::RecipientRefused => "Check the recipient, and that the sender may write to it.",
            Self::RecipientDeferred => "Nothing to do: the recipient's server asked for a later attempt.",
            Self::MailboxFull => "The recipient must make room in the mailbox, or the route must name another one.",
            Self::ReengagementRequired => {
                "Configure an approved template: free text needs a message from the recipient."
            }
            Self::AuthInvalid => "Check the channel's credential and the permissions it was given.",
            Self::AuthExpired => "Create a new credential and store it in the channel.",
            Self::Unreachable => "Check the channel's host and port, the DNS and the firewall.",
            Self::Timeout => "Check the other side's load and the network; raise timeout_seconds if it is only slow.",
            Self::Tls => "Check the server's certificate, the channel's tls mode and its ca_file.",
            Self::RateLimited => {
                "Nothing to do: Syncline retries later. If this persists, send fewer messages \
                through this channel."
            }
            Self::TemplateRejected => "Check the template's name, language, approval and number of parameters.",
            Self::TooLarge => "Shorten the message's template, or raise the other side's limit.",
            Self::ServerError => {
                "Nothing to do: Syncline retries. If this persists, check the other side's status \
                page."
            }
            Self::Refused => "See the other side's answer above.",
            Self::ForbiddenAddress => "Use a public address, or set allow_private_addresses on the channel.",
            Self::Config => "Correct the channel's settings.",
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a message, or one of its recipients, was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What kind of reason.
    pub code: ReasonCode,
    /// The other side's words or our own; sanitised.
    pub message: String,
}

impl Reason {
    /// A reason; `message` is sanitised here, so callers may pass what they were sent.
    pub fn new(code: ReasonCode, message: impl AsRef<str>) -> Self {
        Self { code, message: sanitise(message.as_ref()) }
    }

    /// Try again, when it suits.
    pub(super) fn later(self) -> Undelivered {
        Undelivered::Later { after: None, reason: self }
    }

    /// Never try this again.
    pub(super) fn never(self) -> Undelivered {
        Undelivered::Never { reason: self }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// A message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How the channel calls the message: hand that of a thread's first message back in `Metadata::thread_reference`.
    pub reference: Option<String>,
    /// Recipients that did not get it while others did. One with [`ReasonCode::RecipientDeferred`] or
    /// [`ReasonCode::RateLimited`] may take the same message later, sent to that recipient alone.
    pub refused: Vec<(String, Reason)>,
}

/// A message that nobody got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The same message may be taken later.
    Later {
        /// How long the other side asked to be left alone, where it did.
        after: Option<Duration>,
        /// Why.
        reason: Reason,
    },
    /// It never will, until somebody changes something.
    Never {
        /// Why.
        reason: Reason,
    },
}

impl Undelivered {
    /// Why.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Later { reason, .. } | Self::Never { reason } => reason,
        }
    }

    pub(super) fn into_reason(self) -> Reason {
        match self {
            Self::Later { reason, .. } | Self::Never { reason } => reason,
        }
    }
}

/// What became of a message that is sent to each recipient by itself: delivered when anybody got it. When nobody did, it
/// is worth trying again if it is for any one of them.
pub(super) fn gather(outcomes: Vec<(String, Result<String, Undelivered>)>) -> Result<Delivered, Undelivered> {
    let (mut references, mut failed) = (Vec::new(), Vec::new());
    for (recipient, outcome) in outcomes {
        match outcome {
            Ok(reference) => references.push(reference),
            Err(undelivered) => failed.push((recipient, undelivered)),
        }
    }
    if !references.is_empty() {
        let refused = failed.into_iter().map(|(to, undelivered)| (to, undelivered.into_reason())).collect();
        return Ok(Delivered { reference: Some(references.join(",")), refused });
    }
    let worth = failed.iter().position(|(_, undelivered)| matches!(undelivered, Undelivered::Later { .. }));
    match failed.into_iter().nth(worth.unwrap_or(0)) {
        Some((_, undelivered)) => Err(undelivered),
        None => Err(Reason::new(ReasonCode::Config, "the message has no recipients").never()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_stored_text() {
        for code in ReasonCode::ALL {
            assert_eq!(ReasonCode::parse(code.as_str()), Some(code));
        }
        assert_eq!(ReasonCode::parse("no_such"), None);
    }

    #[test]
    fn a_message_that_anybody_got_is_delivered_and_names_the_others() {
        let refused = || Reason::new(ReasonCode::RecipientRefused, "unknown").never();
        let limited = || Reason::new(ReasonCode::RateLimited, "slow down").later();
        let outcome = gather(vec![("a".into(), Err(refused())), ("b".into(), Ok("1".into()))]).unwrap();
        assert_eq!(outcome.reference.as_deref(), Some("1"));
        assert_eq!(outcome.refused[0].0, "a");
        // Nobody got it: it is tried again for the sake of the one that may take it.
        let outcome = gather(vec![("a".into(), Err(refused())), ("b".into(), Err(limited()))]);
        assert_eq!(outcome, Err(limited()));
        assert!(matches!(gather(Vec::new()), Err(Undelivered::Never { .. })));
    }
}
