//! What the histories of runs say, and who must hear of it.
//!
//! Conditions that begin or end are *observed* (`store::alert::observe`) in the transaction that saw them. The [`keeper`]
//! looks at the episodes that they belong to and decides once what people are told; each message becomes a step,
//! [`DeliverAlert`], in the transaction of the decision.
//!
//! What must hold: an episode is decided by whoever holds its row, so that two processes never tell the same twice; nothing
//! is sent from inside a transaction; what nobody takes goes to the log.

mod compose;
mod deliver_alert;
mod keeper;
mod probe;

pub use compose::{Occasion, enqueue_test, test_message};
pub use deliver_alert::{Channels, DeliverAlert};
pub use keeper::{Keeper, keep};
pub use probe::{probe, probe_due};
