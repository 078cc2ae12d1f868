//! The keeper: a process that runs the server of one folder for its users, and ends a while after the last of them.
//!
//! What must hold: the server is stopped only while nobody can become a user, so that none connects to a server that is
//! about to end; a keeper that is asked to end (SIGTERM) stops the server properly.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::folder::{Connection, Folder};
use super::server::{Port, Server};
use super::upgrade::swap;
use super::{Error, Programs, initialise};
use crate::clock::Clock;

/// The command of the program that runs a keeper; people need not know it.
pub const COMMAND: &str = "keep-private-server";
/// How long the server runs on without a user: a command that follows at once finds it there.
const LINGER: Duration = Duration::from_secs(5);
/// How long a lock may be held by somebody who only looks.
const LOOKERS: Duration = Duration::from_secs(2);

/// What a keeper tells the process that started it, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Word {
    /// The server takes connections.
    Ready {
        /// Whether the cluster was made just now.
        made: bool,
    },
    /// Another keeper was quicker.
    Taken,
    /// There is no server.
    Failed {
        /// Why, and what to do.
        message: String,
    },
}

/// Runs the server of `folder` until nobody uses it, or `stopped` says so. `tell` is given one line for the process that
/// started it, once it is known how the start went.
///
/// # Errors
/// See [`Error`]; it has been told by then.
pub async fn keep<S: Future<Output = ()>>(
    folder: &Path,
    programs: Option<&Path>,
    clock: &Clock,
    stopped: S,
    tell: impl FnOnce(&str),
) -> Result<(), Error> {
    let started = start(folder, programs, clock).await;
    let word = match &started {
        Ok(Some(kept)) => Word::Ready { made: kept.made },
        Ok(None) => Word::Taken,
        Err(problem) => Word::Failed { message: problem.to_string() },
    };
    tell(&serde_json::to_string(&word).unwrap_or_default());
    let Some(kept) = started? else { return Ok(()) };
    kept.run(stopped).await
}

/// A server that runs, and the right to run it.
struct Kept {
    folder: Folder,
    connection: Connection,
    made: bool,
    stop: oneshot::Sender<()>,
    supervisor: tokio::task::JoinHandle<()>,
}

async fn start(path: &Path, programs: Option<&Path>, clock: &Clock) -> Result<Option<Kept>, Error> {
    let folder = Folder::open(path)?;
    let deadline = Instant::now() + LOOKERS;
    let lock = loop {
        match folder.try_keep()? {
            Some(lock) => break lock,
            None if Instant::now() > deadline => return Ok(None),
            None => sleep(Duration::from_millis(20)).await,
        }
    };
    let account = Account::choose().await?;
    swap::settle(&folder, account).await?;
    let wrote_data = folder.data_version();
    let programs = Programs::find(programs, wrote_data.as_deref(), folder.path())?;
    let known = folder.connection()?;
    let mut connection = Connection {
        port: known.as_ref().map_or(0, |known| known.port),
        password: known.as_ref().map_or_else(|| initialise::new_password(clock), |known| known.password.clone()),
        ready: false,
    };
    folder.set_connection(&connection)?;
    let data = match folder.data() {
        Some(data) => data,
        None => initialise::initialise(&folder, &programs, account, &connection.password, clock).await?,
    };
    let server = Server::new(&folder, programs, account, data).await;
    server.stop_orphan().await?;
    if known.is_none() && wrote_data.is_some() {
        // The data outlived the file that says how to connect.
        initialise::set_password(&server, &connection.password).await?;
    }
    let running = server.start(&mut connection.port, Port::MayChange).await?;
    connection.ready = true;
    folder.set_connection(&connection)?;
    let (stop, stopping) = oneshot::channel();
    let supervisor = tokio::spawn(server.supervise(running, connection.port, stopping, lock));
    Ok(Some(Kept { folder, connection, made: wrote_data.is_none(), stop, supervisor }))
}

impl Kept {
    async fn run<S: Future<Output = ()>>(mut self, stopped: S) -> Result<(), Error> {
        tokio::pin!(stopped);
        let mut unused = unused(self.folder.clone());
        let closed = loop {
            let folder_there = async {
                while self.folder.path().exists() {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                // The supervisor has said why; a user that is still there starts another keeper.
                _ = &mut self.supervisor => return Ok(()),
                () = &mut stopped => break None,
                () = folder_there => break None,
                told = unused.recv() => if told.is_none() { break None },
            }
            if !self.folder.was_asked_to_leave() {
                tokio::select! {
                    () = &mut stopped => break None,
                    () = sleep(LINGER) => {}
                }
            }
            if let Some(closed) = self.folder.try_close()? {
                break Some(closed);
            }
        };
        // Whoever comes now waits until the server is down, and starts another one.
        self.connection.ready = false;
        self.folder.set_connection(&self.connection).ok();
        self.stop.send(()).ok();
        self.supervisor.await.ok();
        self.folder.was_asked_to_leave();
        drop(closed);
        Ok(())
    }
}

/// Tells each time when nobody uses the server. Waiting for a file lock takes a thread: a timer would wake an idle machine.
fn unused(folder: Folder) -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel(1);
    std::thread::spawn(move || {
        while folder.wait_until_unused().is_ok() && tell.blocking_send(()).is_ok() {
            // The keeper lingers meanwhile; looking again at once would only find the same.
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    told
}
