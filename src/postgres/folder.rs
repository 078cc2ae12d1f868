//! The cluster's folder: who owns it, where the data are, and how others connect.
//!
//! ```text
//! lock              held by the keeper as long as it lives
//! users             held, shared, by everybody who uses the server
//! leave             left by a user who does not want the server to linger
//! connection.json   port and password, 0600
//! data              PGDATA, or a link to it where the server's account cannot enter this folder
//! data.…           of an upgrade: see `upgrade::swap`
//! postgres.log      what the server says, bounded; 0600
//! keeper.log        what the keeper says; 0600
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Error;

/// The user and the database of an embedded cluster.
pub const NAME: &str = "syncline";

/// The cluster's folder, absolute.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// What is needed to connect. No `Debug`: it holds the password.
#[derive(Clone, Serialize, Deserialize)]
pub struct Connection {
    /// The server's port on 127.0.0.1, kept between runs while it is free.
    pub port: u16,
    /// The password of the user `syncline`.
    pub password: String,
    /// Whether the keeper has seen the server ready.
    pub ready: bool,
}

impl Connection {
    /// `postgres://…`
    pub fn url(&self) -> SecretString {
        SecretString::from(format!("postgres://{NAME}:{}@127.0.0.1:{}/{NAME}", self.password, self.port))
    }
}

impl Folder {
    /// Makes the folder where it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(Error::io("create the folder", path))?;
        path.canonicalize().map(Self).map_err(Error::io("open the folder", path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// PGDATA, with links followed; nothing before the first start.
    pub fn data(&self) -> Option<PathBuf> {
        let data = self.file("data").canonicalize().ok()?;
        data.join("PG_VERSION").exists().then_some(data)
    }

    /// The major version that wrote the data.
    pub fn data_version(&self) -> Option<String> {
        let version = std::fs::read_to_string(self.data()?.join("PG_VERSION")).ok()?;
        Some(version.trim().to_owned())
    }

    /// Becomes the keeper, unless another process is. The lock goes with the returned file, and with the process.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn try_keep(&self) -> Result<Option<File>, Error> {
        self.lock_file("lock", File::try_lock)
    }

    /// Counts this process among the users; nothing while the keeper is stopping the server. The lock goes with the
    /// returned file, and with the process, however it ends.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn try_use(&self) -> Result<Option<File>, Error> {
        self.lock_file("users", File::try_lock_shared)
    }

    /// Keeps new users out, unless there is a user.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn try_close(&self) -> Result<Option<File>, Error> {
        self.lock_file("users", File::try_lock)
    }

    /// Waits until nobody uses the server. It blocks its thread.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn wait_until_unused(&self) -> Result<(), Error> {
        let path = self.file("users");
        let lock = self.open_lock(&path)?;
        lock.lock().map_err(Error::io("lock", &path))
    }

    /// Asks the keeper not to let the server linger after its last user.
    pub fn ask_to_leave(&self) {
        // Without it the server ends a few seconds later.
        File::create(self.file("leave")).ok();
    }

    /// Whether somebody asked so; asking again answers no.
    pub fn was_asked_to_leave(&self) -> bool {
        std::fs::remove_file(self.file("leave")).is_ok()
    }

    fn lock_file(
        &self,
        name: &str,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<File>, Error> {
        let path = self.file(name);
        let file = self.open_lock(&path)?;
        match lock(&file) {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::Io { action: "lock", path, source }),
        }
    }

    fn open_lock(&self, path: &Path) -> Result<File, Error> {
        let options = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        options.map_err(Error::io("open", path))
    }

    /// How to connect, as the keeper left it; nothing when there is no such file or it cannot be understood.
    ///
    /// # Errors
    /// [`Error::Io`] when the file exists and this user may not read it.
    pub fn connection(&self) -> Result<Option<Connection>, Error> {
        let path = self.file("connection.json");
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { action: "read", path, source }),
        }
    }

    /// Leaves word how to connect; readers see the old file or the new one, never a part.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_connection(&self, connection: &Connection) -> Result<(), Error> {
        let (path, draft) = (self.file("connection.json"), self.file("connection.json.new"));
        std::fs::remove_file(&draft).ok();
        let write = || {
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec(connection)?)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)
        };
        write().map_err(Error::io("write", &path))
    }
}

/// Removes a folder, or a link and the folder that it leads to.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(path: &Path) -> Result<(), Error> {
    let failed = Error::io("remove", path);
    let remove = || {
        if !path.symlink_metadata()?.is_symlink() {
            return std::fs::remove_dir_all(path);
        }
        match std::fs::remove_dir_all(std::fs::read_link(path)?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::remove_file(path),
        }
    };
    remove().map_err(failed)
}
