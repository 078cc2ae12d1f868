//! The `syncline` program. All of it is in the library, where it is compiled once for the program and its tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    syncline::runtime::main()
}
