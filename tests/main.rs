//! The promises of the program, one module each, in one test binary: linking is the expensive part of building tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alert_cli;
mod alert_delivery;
mod alert_email;
mod alert_episode;
mod alert_http;
mod alert_policy;
mod alert_rules;
mod alert_worker;
mod architecture;
mod bad_input;
mod cli;
mod convergence;
mod dashboards;
mod database;
mod deploy;
mod doctor;
mod embedded_postgres;
mod engine_commit;
mod engine_failure;
mod engine_gate;
mod engine_lease;
mod engine_queue;
mod engine_run;
mod enqueueing;
mod healthcheck;
mod people;
mod pooler;
mod process_database_lost;
mod process_kill;
mod process_probes;
mod process_stop;
mod rehearsal;
mod scheduling;
mod scrape;
mod support;
mod sync;
mod sync_changes;
mod sync_failures;
mod sync_guard;
mod sync_pages;
mod telemetry;
mod traces;
mod upgrade;
mod verify;
