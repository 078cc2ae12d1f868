//! Alerts on their way to people: the message, its templates, and the channels that carry it.
//!
//! What must hold: a channel keeps no state between messages; it tells delivered, try again and failed for good apart; no
//! secret of a channel reaches a log, an error or `Debug`.

pub mod channel;
mod message;
pub mod template;

pub use message::{Attachment, Message, Metadata};
