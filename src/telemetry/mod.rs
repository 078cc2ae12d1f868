//! Telemetry: reads how runs ended, decides how often a project is tried, and says what has come to be wrong or right.
//!
//! `analyse_run` is enqueued in the transaction that ends a run. It reads every end of the project's runs that was not read
//! yet, in order, under the lock of the project's health: so each is read once, whichever delivery comes first.
//!
//! What must hold: a base cadence is never overwritten; the first success restores it in the transaction that reads it;
//! nothing is sent from here: conditions are observed, and episodes decide who hears of them.

mod analyse_run;
mod conditions;
mod judge;
mod pace;
mod silence;
mod words;

pub use analyse_run::{AnalyseRun, analyse};
pub use silence::{observe_silence, watch};
pub use words::span;
