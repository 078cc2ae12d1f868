//! What can keep a private cluster from running, each with its remedy.

use std::path::PathBuf;

use super::programs::MINIMUM_MAJOR;

/// An error of the embedded PostgreSQL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no PostgreSQL on this machine.
    #[error(
        "PostgreSQL {MINIMUM_MAJOR} or newer was not found on this machine. Install it in one of these ways:\n  \
         Debian, Ubuntu:  sudo apt-get install postgresql\n  \
         macOS:           brew install postgresql@17\n  \
         Docker:          docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres:17\n                   \
         and DATABASE_URL=postgres://postgres:secret@localhost:5432/postgres\n\
         or set DATABASE_URL to your own server. Searched in: {looked_in}"
    )]
    NotFound {
        /// The folders, comma-separated.
        looked_in: String,
    },
    /// Only versions that are too old are installed.
    #[error(
        "PostgreSQL {found} in {} is too old: {MINIMUM_MAJOR} or newer is needed. Install a newer one, or set DATABASE_URL",
        folder.display()
    )]
    TooOld {
        /// The newest major version found.
        found: u32,
        /// Where.
        folder: PathBuf,
    },
    /// The data were written by a major version that is not installed.
    #[error(
        "the data in {} were written by PostgreSQL {wanted}, which is not installed any more. Install \
            postgresql-{wanted} again (if a newer version is installed beside it, `syncline database upgrade` moves \
            the data), or remove the folder to start with an empty replica",
        folder.display()
    )]
    OtherVersion {
        /// The data folder.
        folder: PathBuf,
        /// The major version that wrote it.
        wanted: String,
    },
    /// The process is root, PostgreSQL refuses to be, and there is no other account.
    #[error(
        "PostgreSQL refuses to run as root and there is neither a user \"postgres\" nor \"nobody\": run as another user"
    )]
    NoAccount,
    /// A program of PostgreSQL failed.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The server did not become ready.
    #[error("PostgreSQL in {} did not start: {output}", folder.display())]
    NotReady {
        /// The data folder.
        folder: PathBuf,
        /// The end of its log.
        output: String,
    },
    /// The process that runs the server cannot run it.
    #[error("the private PostgreSQL server cannot be started: {message}")]
    Keeper {
        /// What it said.
        message: String,
    },
    /// The server that another process starts or stops does not come.
    #[error(
        "the private PostgreSQL server in {} did not become ready within {seconds} s; see keeper.log and postgres.log in \
         that folder, or choose another folder",
        folder.display()
    )]
    KeeperSilent {
        /// The cluster's folder.
        folder: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// The data cannot be moved while somebody uses the server.
    #[error(
        "the private server in {} is in use: stop the workers, `syncline up` and other commands that use it, and \
            repeat the command",
        folder.display()
    )]
    InUse {
        /// The cluster's folder.
        folder: PathBuf,
    },
    /// An earlier upgrade has left its data where these would be kept.
    #[error(
        "{} holds data of an earlier upgrade: remove them with `syncline database upgrade --remove-old`, or move them away",
        folder.display()
    )]
    KeptAlready {
        /// Where.
        folder: PathBuf,
    },
    /// A newer server is installed without its clients.
    #[error(
        "PostgreSQL {major} in {} has no {program}, which is needed to move data: install postgresql-client-{major}",
        folder.display()
    )]
    NoClient {
        /// What is missing.
        program: &'static str,
        /// The newer version.
        major: u32,
        /// Where its programs are.
        folder: PathBuf,
    },
    /// The copy differs from the data.
    #[error("the copy of the database {database} differs: {difference}; the data are unchanged")]
    NotTheSame {
        /// Its name.
        database: String,
        /// What differs.
        difference: String,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system answered.
        source: std::io::Error,
    },
}

impl Error {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
