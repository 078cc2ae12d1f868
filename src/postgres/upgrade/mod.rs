//! Moving the data of a private cluster to a newer major version of PostgreSQL.
//!
//! The old server runs, for nobody but this; a new cluster is made beside it, and the newer programs dump the one into the
//! other. What both hold is compared, the servers are stopped, and the folders change places ([`swap`]).
//!
//! What must hold: nobody else uses the cluster meanwhile; a process that is killed anywhere leaves a folder that the next
//! start puts right by itself, with the old data as they were before the copy is whole and compared, and with the new ones
//! from then on; the old data are kept until somebody asks for their removal.

mod copy;
pub(super) mod swap;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::copy::{Counts, Side};
use super::account::Account;
use super::folder::{Connection, Folder, remove};
use super::server::{Port, Server};
use super::{Error, Programs, initialise};
use crate::clock::Clock;

/// How long a server that nobody uses may take to end.
const END_SECONDS: u64 = 120;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks that find a user before it is taken for one that stays.
const LOOKS: u32 = 40;

/// Which data are moved, and by whose programs.
#[derive(Clone, Debug)]
pub struct UpgradeOptions {
    /// The cluster's folder.
    pub data_dir: PathBuf,
    /// The programs that the data are moved to; the newest installation, where it is newer than the data, when absent.
    pub target: Option<PathBuf>,
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The server of the data has ended, and nobody can start it.
    Alone,
    /// There is an empty cluster of the newer version.
    Made,
    /// It holds what the old one holds.
    Copied,
    /// Both hold the same, and the new one is on disk: from now on it is finished, not undone.
    Ready,
    /// The old data have left their place.
    Moved,
}

/// What an upgrade did.
#[derive(Clone, Debug)]
pub struct Upgraded {
    /// The major version of before.
    pub from: u32,
    /// The one of now.
    pub to: u32,
    /// How many databases were copied.
    pub databases: usize,
    /// How many tables they have.
    pub tables: usize,
    /// How many rows those hold.
    pub rows: u64,
    /// Where the old data are.
    pub kept: PathBuf,
}

/// What can be done about the version of the data.
#[derive(Clone, Debug)]
pub enum Plan {
    /// There are no data yet.
    NoData,
    /// No newer version is installed.
    Newest {
        /// The version of the data.
        major: u32,
    },
    /// They can be moved.
    Newer {
        /// The programs of the version that wrote the data.
        old: Programs,
        /// Those of the newer one.
        new: Programs,
    },
}

/// What can be done about the version of the data. Nothing is changed.
///
/// # Errors
/// [`Error::OtherVersion`] when the version that wrote the data is not installed; [`Error::NoClient`].
pub fn plan(options: &UpgradeOptions) -> Result<Plan, Error> {
    let path = &options.data_dir;
    let folder = match path.is_dir() {
        true => Folder::open(path)?,
        false => return Ok(Plan::NoData),
    };
    let Some(version) = swap::version(&folder) else { return Ok(Plan::NoData) };
    let old = Programs::find(None, Some(&version), path)?;
    let new = match &options.target {
        Some(target) => Programs::find(Some(target), None, path)?,
        None => Programs::find(None, None, path)?,
    };
    if new.major <= old.major && options.target.is_none() {
        return Ok(Plan::Newest { major: old.major });
    }
    if let Some(program) = copy::PROGRAMS.iter().copied().find(|program| !new.path(program).is_file()) {
        return Err(Error::NoClient { program, major: new.major, folder: new.folder });
    }
    Ok(Plan::Newer { old, new })
}

/// Moves the data to the newer version; nothing when there is none. `tell` hears each stage when it is over.
///
/// # Errors
/// [`Error::InUse`] while somebody uses the server; [`Error::KeptAlready`]; [`Error::NotTheSame`]; what programs say. The
/// data are as they were.
pub async fn upgrade(
    options: &UpgradeOptions,
    clock: &Clock,
    tell: impl Fn(Stage) + Sync,
) -> Result<Option<Upgraded>, Error> {
    let folder = Folder::open(&options.data_dir)?;
    let _alone = take(&folder).await?;
    let account = Account::choose().await?;
    swap::settle(&folder, account).await?;
    let Plan::Newer { old, new } = plan(options)? else { return Ok(None) };
    let Some(data) = folder.data() else { return Ok(None) };
    let kept = swap::kept(&folder, old.major);
    if kept.symlink_metadata().is_ok() {
        return Err(Error::KeptAlready { folder: kept });
    }
    tell(Stage::Alone);
    let (from, to) = (old.major, new.major);
    let server = Server::new(&folder, old, account, data).await;
    server.stop_orphan().await?;
    let password = password(&folder, &server, clock).await?;
    let made = initialise::make(&folder, swap::NEW, &new, account, &password, clock).await;
    let counts = match made {
        Ok(aside) => {
            tell(Stage::Made);
            let target = Server::new(&folder, new, account, aside).await;
            fill(&server, &target, &password, &tell).await
        }
        Err(problem) => Err(problem),
    };
    let counts = match counts {
        Ok(counts) => counts,
        Err(problem) => {
            // Half a copy is none; where it cannot be removed now, the next start does it.
            swap::settle(&folder, account).await.ok();
            return Err(problem);
        }
    };
    swap::commit(&folder)?;
    tell(Stage::Ready);
    swap::forward(&folder, || tell(Stage::Moved))?;
    let Counts { databases, tables, rows } = counts;
    Ok(Some(Upgraded { from, to, databases, tables, rows, kept }))
}

/// Copies one cluster into another, compares them, and stops both.
async fn fill(old: &Server, new: &Server, password: &str, tell: &(impl Fn(Stage) + Sync)) -> Result<Counts, Error> {
    let (mut port, mut new_port) = (0, 0);
    let running = old.start(&mut port, Port::MayChange).await?;
    let filled = match new.start(&mut new_port, Port::MayChange).await {
        Ok(new_running) => {
            let (from, to) = (Side { port, password }, Side { port: new_port, password });
            let outcome = copy::copy(&new.programs, from, to, || tell(Stage::Copied)).await;
            new.stop(new_running).await;
            outcome
        }
        Err(problem) => Err(problem),
    };
    // Neither runs when folders are moved.
    old.stop(running).await;
    let counts = filled?;
    initialise::sync(new).await?;
    Ok(counts)
}

/// The password of the cluster's user, a new one where the file that held it is lost; says that no server is ready.
async fn password(folder: &Folder, server: &Server, clock: &Clock) -> Result<String, Error> {
    let known = folder.connection()?;
    let password = match &known {
        Some(known) => known.password.clone(),
        None => {
            let password = initialise::new_password(clock);
            initialise::set_password(server, &password).await?;
            password
        }
    };
    let port = known.map_or(0, |known| known.port);
    folder.set_connection(&Connection { port, password: password.clone(), ready: false })?;
    Ok(password)
}

/// Keeps keepers and users out, once the server has ended. The locks go with the files, and with the process.
async fn take(folder: &Folder) -> Result<(File, File), Error> {
    let in_use = || Error::InUse { folder: folder.path().to_owned() };
    if folder.try_keep()?.is_none() {
        folder.ask_to_leave();
    }
    let deadline = Instant::now() + Duration::from_secs(END_SECONDS);
    let mut used = 0;
    let lock = loop {
        if let Some(lock) = folder.try_keep()? {
            break lock;
        }
        // A keeper that is stopping the server keeps users out too: it has said by then that nothing is ready.
        let ready = folder.connection()?.is_some_and(|known| known.ready);
        used = if ready && folder.try_close()?.is_none() { used + 1 } else { 0 };
        if used >= LOOKS || Instant::now() > deadline {
            return Err(in_use());
        }
        sleep(LOOK_EVERY).await;
    };
    folder.was_asked_to_leave();
    // The keeper lets go of its users a moment after the server.
    for _ in 0..LOOKS {
        if let Some(users) = folder.try_close()? {
            return Ok((lock, users));
        }
        sleep(LOOK_EVERY).await;
    }
    Err(in_use())
}

/// The data that upgrades have left behind, and how many bytes they have.
///
/// # Errors
/// [`Error::Io`].
pub fn kept_data(data_dir: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    swap::all_kept(data_dir)
}

/// Removes data that an upgrade has left behind.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_kept(kept: &Path) -> Result<(), Error> {
    remove(kept)
}
