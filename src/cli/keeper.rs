//! The process behind a private server: started by whoever needs the server, hidden from people.

use std::path::PathBuf;

use super::{Error, Output};
use crate::clock::Clock;
use crate::observe::{self, logs};
use crate::postgres;

/// Run the private PostgreSQL server of a folder for as long as anybody uses it
#[derive(Debug, clap::Args)]
pub struct KeeperArgs {
    /// The server's folder
    folder: PathBuf,
    /// The folder of PostgreSQL's programs
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// Executes the command. Its words on the standard output are for the process that started it.
///
/// # Errors
/// When the server cannot be run.
pub(super) async fn run(args: &KeeperArgs, output: Output) -> Result<(), Error> {
    let options = logs::LogOptions { format: logs::LogFormat::Text, filter: "info".to_owned() };
    let _guard = observe::init(&options)?;
    let stopped = stop_signal()?;
    // A user that was killed meanwhile hears nothing; the server waits for the next one for as long as for any.
    let tell = |line: &str| drop(output.print(line));
    Ok(postgres::keep(&args.folder, args.programs.as_deref(), &Clock::system(), stopped, tell).await?)
}

/// SIGTERM stops the server properly. The end of the terminal and its Ctrl-C are for the users.
fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut ignored = (signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = ignored.0.recv() => {}
                _ = ignored.1.recv() => {}
            }
        }
    })
}
