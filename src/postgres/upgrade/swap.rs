//! The folders of an upgrade, and how they change places.
//!
//! ```text
//! data.upgrade   being filled: worth nothing
//! data.ready     whole and on disk, in the place of `data` as soon as anybody starts
//! data.old-15    the data of before, written by version 15
//! ```
//!
//! What must hold: the name alone tells what a folder is worth, so that a process that was killed needs no record; one
//! rename, `data.upgrade` to `data.ready`, decides between before and after. Each may be a link, as `data` may.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::super::account::Account;
use super::super::folder::{Folder, remove};
use super::super::server::Server;
use super::super::{Error, Programs};

/// What is being filled.
pub const NEW: &str = "data.upgrade";
const READY: &str = "data.ready";
const KEPT: &str = "data.old-";

/// Where data of a version are kept.
pub fn kept(folder: &Folder, major: u32) -> PathBuf {
    folder.file(&format!("{KEPT}{major}"))
}

/// The version of the data that the next start serves; none without data.
pub fn version(folder: &Folder) -> Option<String> {
    match std::fs::read_to_string(folder.file(READY).join("PG_VERSION")) {
        Ok(version) => Some(version.trim().to_owned()),
        Err(_) => folder.data_version(),
    }
}

/// Puts the folder right after an upgrade that ended anywhere; the caller holds the keeper's lock.
///
/// # Errors
/// [`Error::Io`].
pub async fn settle(folder: &Folder, account: Account) -> Result<(), Error> {
    if is_there(&folder.file(READY)) {
        tracing::warn!("an upgrade of the private server was interrupted after its copy was complete; finishing it");
        forward(folder, || {})?;
    }
    let new = folder.file(NEW);
    if is_there(&new) {
        tracing::warn!("an upgrade of the private server was interrupted; removed the copy, the data are unchanged");
        if let Ok(data) = new.canonicalize()
            && data.join("postmaster.pid").exists()
        {
            // Any version's pg_ctl stops it.
            let programs = Programs::find(None, None, folder.path())?;
            Server::new(folder, programs, account, data).await.stop_orphan().await?;
        }
        remove(&new)?;
    }
    Ok(())
}

/// Says that the copy is whole: from now on an upgrade is finished, not undone.
///
/// # Errors
/// [`Error::Io`].
pub fn commit(folder: &Folder) -> Result<(), Error> {
    rename(folder, &folder.file(NEW), &folder.file(READY))
}

/// Keeps the data that are there aside, and puts the ready ones in their place. `moved` is called between the two.
///
/// # Errors
/// [`Error::Io`].
pub fn forward(folder: &Folder, moved: impl FnOnce()) -> Result<(), Error> {
    let data = folder.file("data");
    // Without data they were moved already.
    if let Some(version) = folder.data_version() {
        rename(folder, &data, &folder.file(&format!("{KEPT}{version}")))?;
    }
    moved();
    rename(folder, &folder.file(READY), &data)
}

/// What is kept, with its bytes.
pub fn all_kept(data_dir: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    let entries = match std::fs::read_dir(data_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read the folder", data_dir)(error)),
    };
    let mut kept: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(KEPT))
        .map(|entry| entry.path())
        .collect();
    kept.sort();
    Ok(kept.into_iter().map(|path| (path.clone(), path.canonicalize().map_or(0, |data| bytes(&data)))).collect())
}

fn bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// A rename that a loss of power does not undo.
fn rename(folder: &Folder, from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(Error::io("rename", from))?;
    let path = folder.path();
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("write the folder", path))
}
