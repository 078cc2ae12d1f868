//! The `syncline` program: parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;

use syncline::{cli, runtime};

#[tokio::main]
async fn main() -> ExitCode {
    match cli::parse() {
        Ok(asked) => cli::main(asked, runtime::work).await.into(),
        Err(exit) => exit.into(),
    }
}
