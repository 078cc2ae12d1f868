//! The `syncline` program: parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use syncline::cli::{self, Cli};
use syncline::runtime;

/// How long threads that wait for the system (a name that is looked up) may keep a process that has ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            eprintln!("error: no threads can be started: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(async { cli::main(Cli::parse(), runtime::work).await });
    runtime.shutdown_timeout(LEFT_BEHIND);
    exit.into()
}
