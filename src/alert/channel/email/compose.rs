//! A message as a mail: multipart, threaded, marked as sent by a program.
//!
//! # Threads
//! The first mail of an alert is called `<alert-ALERT@domain>`, the following ones `<DELIVERY@domain>`, and those refer to
//! the first by `In-Reply-To` and `References`. All names are made of ids that are known beforehand, so that whoever
//! sends a mail need not have seen the first one, and a client that never got it threads the others all the same.
//!
//! What must hold: the same message gives the same bytes, with the same `Message-ID`, so that a mail that arrives twice
//! is shown once; no header can be injected.

use std::time::SystemTime;

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MultiPart, SinglePart};

use super::super::reason::{Reason, ReasonCode, Undelivered};
use super::mailbox;
use crate::alert::Message;

/// A mail, ready to be sent.
#[derive(Debug)]
pub(super) struct Mail {
    /// With its angle brackets.
    pub message_id: String,
    pub sender: Address,
    /// As they were given, and as they are told to the server; each address once.
    pub recipients: Vec<(String, Address)>,
    pub bytes: Vec<u8>,
}

/// Makes the mail.
pub(super) fn compose(message: &Message, from: &Mailbox, reply_to: Option<&Mailbox>) -> Result<Mail, Undelivered> {
    let parse = |field: &str, text: &str| {
        mailbox(field, text).map_err(|problem| Reason::new(ReasonCode::Config, problem.to_string()).never())
    };
    let own = message.from.as_deref().map(|text| parse("from", text)).transpose()?;
    let from = own.as_ref().unwrap_or(from);
    let own = message.reply_to.as_deref().map(|text| parse("reply_to", text)).transpose()?;
    let reply_to = own.as_ref().or(reply_to);

    let about = &message.metadata;
    let domain = from.email.domain();
    let first = format!("<alert-{}@{domain}>", about.alert_id);
    let message_id = if about.opens_thread { first.clone() } else { format!("<{}@{domain}>", about.delivery_id) };
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .date(SystemTime::from(about.at))
        .message_id(Some(message_id.clone()))
        .subject(one_line(&message.subject))
        // RFC 3834: so that nobody's absence note answers; the second header says so to Exchange.
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    if let Some(reply_to) = reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if !about.opens_thread {
        builder = builder.in_reply_to(first.clone()).references(first);
    }
    let mut recipients: Vec<(String, Address)> = Vec::new();
    let mut add = |given: &str, address: &Address| {
        if !recipients.iter().any(|(_, known)| known == address) {
            recipients.push((given.to_owned(), address.clone()));
        }
    };
    for text in &message.to {
        let to = parse("to", text)?;
        add(text, &to.email);
        builder = builder.to(to);
    }
    for text in &message.cc {
        let cc = parse("cc", text)?;
        add(text, &cc.email);
        builder = builder.cc(cc);
    }
    for text in &message.bcc {
        add(text, &parse("bcc", text)?.email);
    }
    if recipients.is_empty() {
        return Err(Reason::new(ReasonCode::Config, "the message has no recipients").never());
    }
    let addresses = recipients.iter().map(|(_, address)| address.clone()).collect();
    let unusable = |error: &dyn std::fmt::Display| {
        Reason::new(ReasonCode::Config, format!("the message is not an e-mail: {error}")).never()
    };
    let envelope = lettre::address::Envelope::new(Some(from.email.clone()), addresses).map_err(|e| unusable(&e))?;
    let mail = builder.envelope(envelope).multipart(body(message)?).map_err(|e| unusable(&e))?;
    Ok(Mail { message_id, sender: from.email.clone(), recipients, bytes: mail.formatted() })
}

/// Text and HTML beside each other, and the files after them. Boundaries are made of the delivery's id, for chance would
/// make another mail of each try.
fn body(message: &Message) -> Result<MultiPart, Undelivered> {
    let id = message.metadata.delivery_id.simple();
    let text = SinglePart::plain(message.text.clone());
    let mut alternatives = MultiPart::alternative().boundary(format!("alternative-{id}")).singlepart(text);
    if let Some(html) = &message.html {
        alternatives = alternatives.singlepart(SinglePart::html(html.clone()));
    }
    if message.attachments.is_empty() {
        return Ok(alternatives);
    }
    let mut all = MultiPart::mixed().boundary(format!("mixed-{id}")).multipart(alternatives);
    for file in &message.attachments {
        let kind = ContentType::parse(&file.content_type).map_err(|_| {
            let problem = format!("the attachment {} has an invalid media type", file.name);
            Reason::new(ReasonCode::Config, problem).never()
        })?;
        all = all.singlepart(Part::new(one_line(&file.name)).body(file.content.clone(), kind));
    }
    Ok(all)
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Attachment;
    use crate::alert::template::sample;
    use crate::domain::alert::Event;

    fn composed(message: &Message) -> (Mail, String) {
        let mail = compose(message, &"Syncline <syncline@example.com>".parse().unwrap(), None).unwrap();
        let text = String::from_utf8(mail.bytes.clone()).unwrap();
        (mail, text)
    }

    #[test]
    fn a_mail_that_is_tried_again_is_the_same_mail() {
        let mut message = sample::message(Event::Opened);
        message.attachments =
            vec![Attachment { name: "runs.csv".into(), content_type: "text/csv".into(), content: b"a,b".to_vec() }];
        assert_eq!(composed(&message).1, composed(&message).1);
    }

    #[test]
    fn the_mails_of_an_alert_make_one_thread() {
        let opened = composed(&sample::message(Event::Opened));
        let resolved = composed(&sample::message(Event::Resolved));
        let alert = sample::metadata(Event::Opened).alert_id;
        assert_eq!(opened.0.message_id, format!("<alert-{alert}@example.com>"));
        assert!(!opened.1.contains("In-Reply-To:"));
        assert!(resolved.1.contains(&format!("In-Reply-To: {}", opened.0.message_id)), "{}", resolved.1);
        assert!(resolved.1.contains(&format!("References: {}", opened.0.message_id)));
        assert_ne!(opened.0.message_id, resolved.0.message_id);
    }

    #[test]
    fn a_mail_says_that_a_program_sent_it_and_when_it_was_decided() {
        let (_, text) = composed(&sample::message(Event::Opened));
        assert!(text.contains("Auto-Submitted: auto-generated\r\n"));
        assert!(text.contains("X-Auto-Response-Suppress: All\r\n"));
        assert!(text.contains("Date: Mon, 02 Mar 2026 09:45:00 +0000\r\n"), "{text}");
    }

    #[test]
    fn no_header_can_be_injected_and_no_unseen_recipient_is_shown() {
        let mut message = sample::message(Event::Opened);
        message.subject = "One\r\nBcc: everybody@example.com".into();
        message.bcc = vec!["unseen@example.com".into(), "ops@example.com".into()];
        let (mail, text) = composed(&message);
        assert!(text.contains("Subject: One Bcc: everybody@example.com\r\n"), "{text}");
        assert!(!text.contains("\r\nBcc:") && !text.contains("unseen@"));
        let told: Vec<_> = mail.recipients.iter().map(|(_, address)| address.to_string()).collect();
        assert_eq!(told, ["ops@example.com", "unseen@example.com"], "each address once");
        message.to = vec!["ops@example.com\r\nBcc: all@example.com".into()];
        assert!(compose(&message, &"a@example.com".parse().unwrap(), None).is_err());
    }

    #[test]
    fn a_message_without_a_usable_recipient_fails_permanently() {
        for to in [vec![], vec!["nobody".to_owned()]] {
            let message = Message { to, ..sample::message(Event::Opened) };
            let refused = compose(&message, &"a@example.com".parse().unwrap(), None).unwrap_err();
            assert!(matches!(refused, Undelivered::Never { reason } if reason.code == ReasonCode::Config));
        }
    }
}
