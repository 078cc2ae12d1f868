//! The promises of the program, one module each, in one test binary: linking is the expensive part of building tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod bad_input;
mod cli;
mod database;
mod doctor;
mod embedded_postgres;
mod enqueueing;
mod process_database_lost;
mod process_kill;
mod process_probes;
mod process_stop;
mod scheduling;
mod support;
mod sync;
