//! The promises of the program, one module each, in one test binary: linking is the expensive part of building tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alert_email;
mod alert_http;
mod architecture;
mod bad_input;
mod cli;
mod convergence;
mod database;
mod doctor;
mod embedded_postgres;
mod engine_commit;
mod engine_failure;
mod engine_gate;
mod engine_lease;
mod engine_queue;
mod engine_run;
mod enqueueing;
mod pooler;
mod process_database_lost;
mod process_kill;
mod process_probes;
mod process_stop;
mod scheduling;
mod support;
mod sync;
mod sync_changes;
mod sync_failures;
mod sync_guard;
mod sync_pages;
mod telemetry;
mod traces;
mod verify;
