//! Webhooks of Jira: what proves them, which came, and which issues are to be read because of them.
//!
//! What must hold: a webhook is taken by one statement; it leads to a hint and never to a row of the replica; hints of one issue
//! are one row; the database holds no secret in clear.

mod event;
mod hint;
mod secret;

pub use event::{Arrival, Event, Refusals, Standing, Taken, count_refusals, list, standing, take};
pub use hint::{Read, due_in, request, settle};
pub use secret::{NewSecret, Proof, Secret, Sender, add, remove, rotate, secrets, senders};
