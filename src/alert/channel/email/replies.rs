//! What a mail server's replies mean: by the reply code of RFC 5321 and the enhanced code of RFC 3463 before the text.

use std::fmt;

use lettre::transport::smtp::Error;

use super::super::http::is_tls;
use super::super::reason::{Reason, ReasonCode, Undelivered};

/// What the server was asked when it replied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To greet us.
    Connect,
    /// To encrypt.
    Starttls,
    /// To let us in.
    Login,
    /// To take mail from the sender.
    Sender,
    /// To take mail for a recipient.
    Recipient,
    /// To take the mail itself.
    Content,
}

/// Completes the sentence "the server …" for a reply that does not come.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "did not greet",
            Self::Starttls => "did not finish STARTTLS",
            Self::Login => "did not answer the login",
            Self::Sender => "did not answer MAIL",
            Self::Recipient => "did not answer RCPT",
            Self::Content => "did not confirm the mail",
        })
    }
}

/// What an error of the dialogue means.
pub(super) fn undelivered(stage: Stage, error: &Error) -> Undelivered {
    let said = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if let Some(status) = error.status() {
        let reply = u16::from(status);
        let reason = Reason::new(classify(stage, reply, &said), format!("the server answered {reply}: {said}"));
        return if reply < 500 { reason.later() } else { reason.never() };
    }
    let code = if error.is_timeout() {
        ReasonCode::Timeout
    } else if is_tls(error) || stage == Stage::Starttls {
        ReasonCode::Tls
    } else if error.is_response() {
        // Something that is no reply, or the connection closed in the middle of one.
        ReasonCode::ServerError
    } else if error.is_client() {
        return Reason::new(ReasonCode::Config, said).never();
    } else {
        ReasonCode::Unreachable
    };
    Reason::new(code, said).later()
}

/// What a negative reply is about. Whether it is worth trying again is its first digit.
fn classify(stage: Stage, reply: u16, said: &str) -> ReasonCode {
    let (subject, detail) = enhanced(said).unwrap_or((0, 0));
    match (stage, reply, subject, detail) {
        (Stage::Starttls, ..) => ReasonCode::Tls,
        // RFC 4954: the password must be changed before it works again.
        (_, 432, ..) | (_, _, 7, 12) => ReasonCode::AuthExpired,
        (Stage::Login, 454 | 421 | 451, ..) => ReasonCode::ServerError,
        (Stage::Login, ..) | (_, 530 | 534 | 535 | 538, ..) => ReasonCode::AuthInvalid,
        (_, _, 7, 28) => ReasonCode::RateLimited,
        (_, 421, ..) => ReasonCode::ServerError,
        (_, _, 2, 2) => ReasonCode::MailboxFull,
        (_, _, 2, 3) | (_, _, 3, 4) | (_, 523, ..) => ReasonCode::TooLarge,
        // Too many recipients, or no room on the server: RFC 5321 has one code for these and for a full mailbox.
        (Stage::Recipient, 452, 5, 3) => ReasonCode::RecipientDeferred,
        (Stage::Recipient, 452 | 552, 0, _) => ReasonCode::MailboxFull,
        (_, 452, ..) => ReasonCode::ServerError,
        // RFC 1870: the size was exceeded.
        (_, 552, ..) => ReasonCode::TooLarge,
        (Stage::Recipient, 400..=499, ..) => ReasonCode::RecipientDeferred,
        (Stage::Recipient, ..) => ReasonCode::RecipientRefused,
        (_, 400..=499, ..) => ReasonCode::ServerError,
        _ => ReasonCode::Refused,
    }
}

/// Subject and detail of a code such as `5.2.2` at the beginning of a reply's text.
fn enhanced(said: &str) -> Option<(u16, u16)> {
    let mut parts = said.split_whitespace().next()?.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !matches!(class, "4" | "5") {
        return None;
    }
    Some((subject.parse().ok()?, detail.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_says_what_it_is_about() {
        use ReasonCode::*;
        use Stage::*;
        for (stage, reply, said, code) in [
            (Recipient, 550, "5.1.1 no such user", RecipientRefused),
            (Recipient, 550, "unknown", RecipientRefused),
            (Recipient, 551, "user not local", RecipientRefused),
            (Recipient, 553, "5.1.3 bad address syntax", RecipientRefused),
            (Recipient, 554, "5.7.1 relay access denied", RecipientRefused),
            (Recipient, 450, "4.2.0 greylisted", RecipientDeferred),
            (Recipient, 451, "4.7.1 greylisted, try again", RecipientDeferred),
            (Recipient, 452, "4.5.3 too many recipients", RecipientDeferred),
            (Recipient, 452, "4.2.2 the mailbox is full", MailboxFull),
            (Recipient, 452, "mailbox full", MailboxFull),
            (Recipient, 452, "4.3.1 insufficient system storage", ServerError),
            (Recipient, 552, "5.2.2 over quota", MailboxFull),
            (Recipient, 552, "over quota", MailboxFull),
            (Recipient, 421, "4.3.2 shutting down", ServerError),
            (Content, 552, "5.2.2 over quota", MailboxFull),
            (Content, 552, "5.3.4 message too big", TooLarge),
            (Content, 552, "too big", TooLarge),
            (Content, 554, "5.7.1 this is spam", Refused),
            (Content, 451, "4.3.0 try again", ServerError),
            (Content, 421, "going down", ServerError),
            (Content, 450, "4.7.28 too many messages", RateLimited),
            (Sender, 550, "5.7.1 not your address", Refused),
            (Sender, 530, "5.7.0 authentication required", AuthInvalid),
            (Sender, 552, "5.3.4 too big", TooLarge),
            (Login, 535, "5.7.8 bad credentials", AuthInvalid),
            (Login, 534, "5.7.9 a stronger mechanism is needed", AuthInvalid),
            (Login, 432, "4.7.12 a password transition is needed", AuthExpired),
            (Login, 454, "4.7.0 temporary failure", ServerError),
            (Starttls, 454, "TLS is not available", Tls),
            (Connect, 554, "no service for you", Refused),
            (Connect, 421, "4.7.0 too many connections", ServerError),
        ] {
            assert_eq!(classify(stage, reply, said), code, "{stage:?} {reply} {said}");
        }
    }

    #[test]
    fn an_enhanced_code_is_read_only_where_there_is_one() {
        assert_eq!(enhanced("5.2.2 over quota"), Some((2, 2)));
        for text in ["", "over quota", "2.0.0 ok", "5.2 x", "5.2.2.1 x", "5.a.b x", "10.0.0.1 refused"] {
            assert_eq!(enhanced(text), None, "{text}");
        }
    }
}
