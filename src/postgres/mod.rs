//! A private PostgreSQL cluster for those who have no server: made, started and stopped by this program.
//!
//! The first process on a folder owns the cluster; later ones join it. The owner's end is the cluster's end, by a *fast*
//! shutdown that does not wait for joiners: they lose their connections as they would to any server that restarts, and
//! nothing that was committed. When the owner is killed, a watchdog (a shell that waits on a pipe) stops the server; when
//! that was killed too, the next owner stops what it finds and starts afresh. A server that dies under a living owner is
//! started again on the same port.
//!
//! As root the server runs as `postgres`, else as `nobody`. Where that account cannot enter the folder (below a home of
//! mode 0700, say) the data live in `/var/lib/syncline`, and the folder holds a link to them.
//!
//! What must hold: one owner per folder, by a file lock that ends with its process; the server listens on the loopback
//! address only and asks for a generated password; an acknowledged commit survives the loss of power (`fsync` and
//! `synchronous_commit` are on); data appear in the folder whole or not at all.

mod account;
mod error;
mod folder;
mod initialise;
mod programs;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use error::Error;
pub use programs::{MINIMUM_MAJOR, Programs};

use crate::clock::Clock;
use account::Account;
use folder::{Connection, Folder};
use server::Server;

/// How long a second process waits for the first one's server.
const JOIN_SECONDS: u64 = 120;

/// Where the cluster lives, and whose programs run it.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The cluster's folder, kept between runs.
    pub data_dir: PathBuf,
    /// The folder of `postgres`, `initdb` and `pg_ctl`; looked for in the usual places when absent.
    pub bin_dir: Option<PathBuf>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { data_dir: PathBuf::from(".syncline/pg"), bin_dir: None }
    }
}

/// A cluster that runs, owned by this process or joined.
#[derive(Debug)]
pub struct Cluster {
    /// A secret, hidden by its type.
    url: SecretString,
    owned: Option<Owned>,
}

/// Dropping it stops the server as [`Cluster::stop`] does, without waiting for the end.
#[derive(Debug)]
struct Owned {
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Cluster {
    /// Starts the folder's cluster, making it first where there is none, or joins the one that another process runs.
    ///
    /// # Errors
    /// See [`Error`]; each variant says what to do.
    pub async fn start_or_join(options: &ClusterOptions, clock: &Clock) -> Result<Self, Error> {
        let folder = Folder::open(&options.data_dir)?;
        let deadline = Instant::now() + Duration::from_secs(JOIN_SECONDS);
        while Instant::now() < deadline {
            if let Some(lock) = folder.try_own()? {
                return Self::own(folder, lock, options, clock).await;
            }
            if let Some(connection) = folder.connection()?.filter(|connection| connection.ready)
                && TcpStream::connect(("127.0.0.1", connection.port)).await.is_ok()
            {
                return Ok(Self { url: connection.url(), owned: None });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(Error::OwnerSilent { folder: folder.path().to_owned(), seconds: JOIN_SECONDS })
    }

    /// `postgres://…` of the cluster's database.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// Whether another process owns the cluster.
    pub fn joined(&self) -> bool {
        self.owned.is_none()
    }

    /// Stops the cluster when this process owns it, and waits for the end; a joiner merely leaves.
    pub async fn stop(self) {
        if let Some(Owned { stop, supervisor }) = self.owned {
            // An error means that the supervisor has given up already, and has said so.
            stop.send(()).ok();
            supervisor.await.ok();
        }
    }

    async fn own(folder: Folder, lock: std::fs::File, options: &ClusterOptions, clock: &Clock) -> Result<Self, Error> {
        let wrote_data = folder.data_version();
        let programs = Programs::find(options.bin_dir.as_deref(), wrote_data.as_deref(), folder.path())?;
        let account = Account::choose().await?;
        let known = folder.connection()?;
        let mut connection = Connection {
            port: known.as_ref().map_or(0, |known| known.port),
            password: known.as_ref().map_or_else(|| new_password(clock), |known| known.password.clone()),
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
        let running = server.start(&mut connection.port, server::Port::MayChange).await?;
        connection.ready = true;
        folder.set_connection(&connection)?;
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(server.supervise(running, connection.port, stopped, lock));
        Ok(Self { url: connection.url(), owned: Some(Owned { stop, supervisor }) })
    }
}

/// 32 hexadecimal digits: nothing to be escaped in a URL or in SQL.
fn new_password(clock: &Clock) -> String {
    let mut bytes = [0_u8; 16];
    clock.fill_random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
