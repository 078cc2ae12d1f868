//! The cluster's folder: who owns it, where the data are, and how others connect.
//!
//! ```text
//! lock              held by the owner as long as it lives
//! connection.json   port and password, 0600
//! data              PGDATA, or a link to it where the server's account cannot enter this folder
//! postgres.log      what the server says, bounded; 0600
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
    /// Whether the owner has seen the server ready.
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

    /// Becomes the owner, unless another process is. The lock goes with the returned file, and with the process.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn try_own(&self) -> Result<Option<File>, Error> {
        let path = self.file("lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.map_err(Error::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::Io { action: "lock", path, source }),
        }
    }

    /// How to connect, as the owner left it; nothing when there is no such file or it cannot be understood.
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
