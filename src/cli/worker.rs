//! `syncline worker`: its arguments. What a worker is made of is composed above this module ([`super::Work`]).

/// Execute steps and follow schedules until SIGTERM; you can run many workers
#[derive(Debug, clap::Args)]
pub struct WorkerArgs {}
