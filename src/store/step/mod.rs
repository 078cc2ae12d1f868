//! `sync_step`: checkpoint and queue in one.
//!
//! What must hold: claiming is one statement; ending a step names the claim's number and owner, so that a claim that was
//! taken over ends nothing; a transaction that ends a step locks its own step first, then the run, then other steps.

mod claim;
mod end;
mod fail;
mod journal;
mod pulse;

pub use claim::{ClaimedStep, Claims, claim};
pub use end::{End, Ended, Enqueued, NewStep, Placement, enqueue, finish};
pub use fail::{fail_run, hand_back, retry_later, shut_gate, stop_gate, take_turn};
pub use journal::{Entry, Level, journal, journal_once};
pub use pulse::{PulseReport, Rescued, forget_worker, pulse, record_rescues};

/// The kind of a run's last step: enqueued by whoever ends the last of the others.
pub const FINAL_STEP: &str = "finalize_run";

/// The channel on which a queue's name is notified when one of its steps becomes ready.
pub const STEP_CHANNEL: &str = "syncline_step";

/// A run must end: its last step is tried until it succeeds.
pub const FINAL_STEP_ATTEMPTS: i16 = i16::MAX;
