//! Telemetry: reads how runs ended, decides how often a project is tried, and tells people what has come to be wrong or right.
//!
//! `analyse_run` is enqueued in the transaction that ends a run. It reads every end of the project's runs that was not read
//! yet, in order, under the lock of the project's health: so each is read once, whichever delivery comes first. What it
//! finds is *observed* (`store::alert::observe`) in that transaction. The [`Keeper`] looks at the episodes that observations
//! belong to and decides once what people are told; each message becomes a step, [`DeliverAlert`], in the transaction of the
//! decision.
//!
//! What must hold: a base cadence is never overwritten; the first success restores it in the transaction that reads it; an
//! episode is decided by whoever holds its row, so that two processes never tell the same twice; nothing is sent from inside
//! a transaction; what nobody takes goes to the log.

mod ahead;
mod analyse_run;
mod compose;
mod conditions;
mod deliver_alert;
mod judge;
mod keeper;
mod pace;
mod probe;
mod silence;
mod token;
mod words;

pub use ahead::observe_ahead;
pub use analyse_run::{AnalyseRun, analyse};
pub use compose::{Occasion, enqueue_test, test_message};
pub use deliver_alert::{Channels, DeliverAlert};
pub use keeper::{Keeper, keep};
pub use probe::{probe, probe_due};
pub use silence::{observe_silence, watch};
pub use token::observe_tokens;
pub use words::span;
