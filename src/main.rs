//! The `syncline` program: parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use syncline::cli::{self, Cli};
use syncline::runtime;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(Cli::parse(), runtime::work).await.into()
}
