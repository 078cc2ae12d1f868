//! The `syncline` program: parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;
use std::time::Duration;

use syncline::cli;
use syncline::runtime::work;

/// How long threads that wait for the system (a name that is looked up) may keep a process that has ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            let problem = cli::Error::failure(format!("no threads can be started: {problem}"));
            problem.print();
            return problem.exit.into();
        }
    };
    let exit = runtime.block_on(async {
        match cli::parse() {
            Ok(asked) => cli::main(asked, work).await,
            Err(exit) => exit,
        }
    });
    runtime.shutdown_timeout(LEFT_BEHIND);
    exit.into()
}
