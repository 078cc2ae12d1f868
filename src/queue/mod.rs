//! apalis over the step table: claim, renew, wake. The only place that names apalis' types.
//!
//! Each queue has a *feeder*, which claims as many ready steps as there are free places, and an apalis worker, which takes
//! them from a channel ([`backend`]) and lets the engine execute them. One *pulse* a second renews this process's lease,
//! rescues what dead processes held, and starts timers; one *listener* hears the database's notifications.
//!
//! What must hold: a place is taken before a step is claimed, so that nothing claimed waits; a process that cannot renew
//! its lease stops its steps by itself; losing the database ends nothing but the steps in flight.

mod backend;
mod feeder;
mod lanes;
mod listener;
mod pulse;
mod worker;

pub use listener::Heard;
pub use worker::{QueueOptions, run};
