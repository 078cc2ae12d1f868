//! The user's side of a private cluster: counted among its users, with a keeper that is started when there is none.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::folder::Folder;
use super::initialise::tail;
use super::keeper::{COMMAND, Word};
use super::{Error, Programs};

/// How long a user waits for a server that another process starts or stops.
const JOIN_SECONDS: u64 = 120;
/// How often a user that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a user looks whether there is still a keeper; doubled up to [`WATCH_AT_MOST`] while none can be started.
const WATCH_EVERY: Duration = Duration::from_secs(1);
const WATCH_AT_MOST: Duration = Duration::from_secs(30);
/// What a keeper said is kept up to this size.
const LOG_BYTES: u64 = 1024 * 1024;

/// Where the cluster lives, and whose programs run it.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The cluster's folder, kept between runs.
    pub data_dir: PathBuf,
    /// The folder of `postgres`, `initdb` and `pg_ctl`; looked for in the usual places when absent.
    pub bin_dir: Option<PathBuf>,
    /// The `syncline` program, for the keeper; this process's own when absent.
    pub program: Option<PathBuf>,
}

impl ClusterOptions {
    /// A cluster in `data_dir`, with the programs that are found.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), bin_dir: None, program: None }
    }
}

/// A cluster that runs as long as this is kept.
#[derive(Debug)]
pub struct Cluster {
    /// A secret, hidden by its type.
    url: SecretString,
    folder: Folder,
    joined: bool,
    made: bool,
    /// Held as long as this process is a user.
    _user: File,
    watch: JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Cluster {
    /// Starts the folder's cluster, making it first where there is none, or joins the one that runs.
    ///
    /// # Errors
    /// See [`Error`]; each variant says what to do.
    pub async fn start_or_join(options: &ClusterOptions) -> Result<Self, Error> {
        let folder = Folder::open(&options.data_dir)?;
        let deadline = Instant::now() + Duration::from_secs(JOIN_SECONDS);
        let user = loop {
            if let Some(user) = folder.try_use()? {
                break user;
            }
            pause(&folder, deadline).await?;
        };
        let (mut joined, mut made) = (true, false);
        loop {
            if folder.try_keep()?.is_some() {
                // Nobody keeps it: the lock was given back at once, for the keeper to take.
                if let Word::Ready { made: new } = start_keeper(&folder, options).await? {
                    (joined, made) = (false, new);
                }
            }
            if let Some(connection) = folder.connection()?.filter(|connection| connection.ready)
                && TcpStream::connect(("127.0.0.1", connection.port)).await.is_ok()
            {
                let watch = tokio::spawn(watch(folder.clone(), options.clone()));
                return Ok(Self { url: connection.url(), folder, joined, made, _user: user, watch });
            }
            pause(&folder, deadline).await?;
        }
    }

    /// Where the cluster of a folder answers, if it runs: nothing is started or made, and it is not kept running.
    pub fn running(data_dir: &std::path::Path) -> Option<SecretString> {
        let folder = data_dir.is_dir().then(|| Folder::open(data_dir).ok()).flatten()?;
        folder.connection().ok().flatten().filter(|known| known.ready).map(|known| known.url())
    }

    /// `postgres://…` of the cluster's database.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// Whether the server ran before this process came.
    pub fn joined(&self) -> bool {
        self.joined
    }

    /// The folder, when this process made the cluster.
    pub fn made(&self) -> Option<PathBuf> {
        self.made.then(|| self.folder.path().to_owned())
    }

    /// Leaves, and waits for the server's end, unless others use it. Dropping leaves too: the server then ends a few
    /// seconds later, so that a command that follows finds it running.
    pub async fn stop(self) {
        let folder = self.folder.clone();
        folder.ask_to_leave();
        drop(self);
        let deadline = Instant::now() + Duration::from_secs(JOIN_SECONDS);
        let mut used = 0;
        // The end is when the keeper is gone, or when others use the server for longer than anybody merely looks.
        while let Ok(None) = folder.try_keep()
            && Instant::now() < deadline
            && used < 10
        {
            let ready = folder.connection().is_ok_and(|known| known.is_some_and(|known| known.ready));
            used = if ready && matches!(folder.try_close(), Ok(None)) { used + 1 } else { 0 };
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn pause(folder: &Folder, deadline: Instant) -> Result<(), Error> {
    if Instant::now() > deadline {
        return Err(Error::KeeperSilent { folder: folder.path().to_owned(), seconds: JOIN_SECONDS });
    }
    sleep(LOOK_EVERY).await;
    Ok(())
}

/// Starts another keeper when the one that was there is gone.
async fn watch(folder: Folder, options: ClusterOptions) {
    let mut every = WATCH_EVERY;
    loop {
        sleep(every).await;
        let Ok(Some(lock)) = folder.try_keep() else {
            every = WATCH_EVERY;
            continue;
        };
        drop(lock);
        tracing::warn!("the keeper of the private PostgreSQL server has ended; starting both again");
        match start_keeper(&folder, &options).await {
            Ok(_) => every = WATCH_EVERY,
            Err(problem) => {
                every = (every * 2).min(WATCH_AT_MOST);
                tracing::error!(%problem, "the private PostgreSQL server cannot be started again");
            }
        }
    }
}

/// Starts a keeper and waits for its word. It outlives this process: in a group of its own, so that Ctrl-C at the terminal
/// does not reach it, and with no stream of ours, so that nobody who reads our output waits for it.
async fn start_keeper(folder: &Folder, options: &ClusterOptions) -> Result<Word, Error> {
    // Said by this process, with its remedy, before another one is started for nothing.
    Programs::find(options.bin_dir.as_deref(), folder.data_version().as_deref(), folder.path())?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(Error::io("find", "the running program"))?,
    };
    let path = folder.file("keeper.log");
    let fits = std::fs::metadata(&path).is_ok_and(|log| log.len() < LOG_BYTES);
    let log = OpenOptions::new().create(true).write(true).append(fits).truncate(!fits).mode(0o600).open(&path);
    let log = log.map_err(Error::io("open", &path))?;
    let mut command = Command::new(&program);
    command.arg(COMMAND).arg(folder.path());
    if let Some(programs) = &options.bin_dir {
        command.arg("--programs").arg(programs);
    }
    command.env_remove("DATABASE_URL").current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(Error::io("run", &program))?;
    let Some(said) = child.stdout.take() else { return Ok(Word::Taken) };
    let heard = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).ok();
        line
    });
    // Collected when it ends before this process does.
    std::thread::spawn(move || child.wait());
    let line = heard.await.unwrap_or_default();
    match serde_json::from_str(&line) {
        Ok(Word::Failed { message }) => Err(Error::Keeper { message }),
        Ok(word) => Ok(word),
        Err(_) => {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            Err(Error::Keeper { message: format!("the keeper ended at once: {}", tail(&said)) })
        }
    }
}
