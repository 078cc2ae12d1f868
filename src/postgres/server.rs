//! The server process: started, watched, started again when it dies, and stopped.
//!
//! What must hold: a server does not outlive its keeper, however that ends. The keeper never signals by process id (an id
//! may belong to somebody else by then); the watchdog does, after comparing it with the server's own lock file.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::Error;
use super::account::Account;
use super::folder::Folder;
use super::initialise::tail;
use super::programs::Programs;

/// Waits until the keeper closes the pipe or dies, then asks the server for a fast shutdown (SIGINT).
const WATCHDOG: &str =
    r#"trap '' HUP INT TERM; read -r _; [ "$(head -n 1 "$1/postmaster.pid")" = "$2" ] && kill -INT "$2""#;
/// The log is cut when it is larger, and the part before kept aside.
const LOG_BYTES: u64 = 16 * 1024 * 1024;
/// A server that dies more often than this within [`CRASH_WINDOW`] is left alone.
const MAX_CRASHES: usize = 5;
const CRASH_WINDOW: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Whether a port that is taken may be replaced by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// At the start, when no message was sent the port yet.
    MayChange,
    /// After a crash.
    Fixed,
}

/// All that is needed to run the server of one folder.
#[derive(Debug)]
pub struct Server {
    pub(super) programs: Programs,
    pub(super) account: Account,
    pub(super) data: PathBuf,
    log: PathBuf,
    wal_compression: &'static str,
}

/// A server that has become ready.
#[derive(Debug)]
pub struct Running {
    server: Child,
    watchdog: Child,
}

impl Server {
    /// A server of `data`, not started.
    pub async fn new(folder: &Folder, programs: Programs, account: Account, data: PathBuf) -> Self {
        let mut server = Self { programs, account, data, log: folder.file("postgres.log"), wal_compression: "off" };
        // lz4 costs next to nothing, pglz does not; only a server that was built with lz4 accepts the setting.
        let mut probe = server.command("postgres");
        probe.args(["-C", "wal_compression", "-c", "wal_compression=lz4", "-D"]).arg(&server.data);
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        if server.programs.major >= 15 && probe.status().await.is_ok_and(|status| status.success()) {
            server.wal_compression = "lz4";
        }
        server
    }

    /// Starts the server and waits until it takes connections; recovery after a crash may take its time.
    ///
    /// # Errors
    /// [`Error::NotReady`] with the end of the server's log.
    pub async fn start(&self, port: &mut u16, may: Port) -> Result<Running, Error> {
        let deadline = Instant::now() + STOP_PATIENCE;
        loop {
            if may == Port::MayChange && (*port == 0 || TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err()) {
                *port = free_port()?;
            }
            self.limit_log();
            let before = std::fs::metadata(&self.log).map_or(0, |log| log.len());
            let mut server = self.spawn(*port)?;
            if self.becomes_ready(&mut server).await? {
                let watchdog = self.spawn_watchdog(&server)?;
                return Ok(Running { server, watchdog });
            }
            let said = self.said_since(before);
            // Processes of a server that was killed let go of its memory within moments; ports of others are another
            // reason to try again.
            let passing = ["in use", "could not bind", "already exists"].iter().any(|part| said.contains(part));
            if !passing || Instant::now() > deadline {
                return Err(Error::NotReady { folder: self.data.clone(), output: tail(&said) });
            }
            if said.contains("could not bind") && may == Port::MayChange {
                *port = 0;
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Stops a server that a killed keeper left behind, and removes a lock file that a reused process id keeps alive.
    ///
    /// # Errors
    /// [`Error::Program`] when it cannot be stopped.
    pub async fn stop_orphan(&self) -> Result<(), Error> {
        let Some(pid) = self.pid_file_line(0) else { return Ok(()) };
        if !command_line(&pid).await.contains(&*self.data.to_string_lossy()) {
            // Nobody else may start one here: we hold the folder's lock.
            let path = self.data.join("postmaster.pid");
            return std::fs::remove_file(&path).map_err(Error::io("remove the stale", path));
        }
        tracing::warn!(pid, "stopping a PostgreSQL server whose keeper was killed");
        match self.pg_ctl_stop("fast").await {
            Err(_) if self.pid_file_line(0).is_some() => self.pg_ctl_stop("immediate").await,
            _ => Ok(()),
        }
    }

    /// Keeps the server running until `stop` says so or its sender is dropped; `_lock` is held for as long.
    pub async fn supervise(self, mut running: Running, port: u16, mut stop: oneshot::Receiver<()>, _lock: File) {
        let mut crashes: Vec<Instant> = Vec::new();
        let mut log_check = tokio::time::interval(Duration::from_secs(60));
        loop {
            let status = tokio::select! {
                _ = &mut stop => return self.stop(running).await,
                _ = log_check.tick() => { self.limit_log(); continue }
                status = running.server.wait() => status,
            };
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            crashes.retain(|crash| crash.elapsed() < CRASH_WINDOW);
            crashes.push(Instant::now());
            if crashes.len() > MAX_CRASHES {
                tracing::error!(status, log = %self.log.display(), "PostgreSQL ends repeatedly; it is not started \
                    again");
                return;
            }
            tracing::warn!(status, "PostgreSQL ended unexpectedly; starting it again");
            let mut same = port;
            let restarted = tokio::select! {
                restarted = self.start(&mut same, Port::Fixed) => restarted,
                // What was being started has no watchdog yet.
                _ = &mut stop => { self.pg_ctl_stop("fast").await.ok(); return }
            };
            running = match restarted {
                Ok(running) => running,
                Err(error) => {
                    tracing::error!(%error, "PostgreSQL cannot be started again");
                    return;
                }
            };
        }
    }

    /// Stops the server and waits for its end.
    pub async fn stop(&self, mut running: Running) {
        drop(running.watchdog.stdin.take());
        if timeout(STOP_PATIENCE, running.server.wait()).await.is_err() {
            tracing::warn!("PostgreSQL does not stop; killing it, it recovers at the next start");
            self.pg_ctl_stop("immediate").await.ok();
            running.server.wait().await.ok();
        }
        running.watchdog.wait().await.ok();
    }

    fn spawn(&self, port: u16) -> Result<Child, Error> {
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log);
        let log = log.map_err(Error::io("open", &self.log))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data);
        let (port, wal_compression) = (format!("port={port}"), format!("wal_compression={}", self.wal_compression));
        let settings = [
            "listen_addresses=127.0.0.1",
            &port,
            // A path below a deep folder does not fit into a socket's address.
            "unix_socket_directories=",
            "fsync=on",
            "synchronous_commit=on",
            "shared_buffers=128MB",
            "max_connections=200",
            "max_wal_size=2GB",
            &wal_compression,
            // Short statements on small tables: compiling them costs more than it saves.
            "jit=off",
            "logging_collector=off",
            "log_destination=stderr",
            // A failing statement is in the error that the program handles; its values do not belong in a log.
            "log_min_error_statement=panic",
        ];
        for setting in settings {
            command.args(["-c", setting]);
        }
        // A group of its own, so that no signal meant for the keeper reaches the server.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(Error::io("run", self.programs.path("postgres")))
    }

    fn spawn_watchdog(&self, server: &Child) -> Result<Child, Error> {
        let pid = server.id().unwrap_or_default().to_string();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHDOG, "syncline-watchdog"]).arg(&self.data).arg(pid);
        command.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.account.apply(&mut command);
        command.spawn().map_err(Error::io("run", "/bin/sh"))
    }

    /// Waits for the server to announce itself in its lock file; false when it ends before.
    async fn becomes_ready(&self, server: &mut Child) -> Result<bool, Error> {
        let pid = server.id().unwrap_or_default().to_string();
        loop {
            if server.try_wait().map_err(Error::io("wait for", self.programs.path("postgres")))?.is_some() {
                return Ok(false);
            }
            if self.pid_file_line(0).as_ref() == Some(&pid)
                && self.pid_file_line(7).is_some_and(|state| state.starts_with("ready"))
            {
                return Ok(true);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A line of `postmaster.pid`: 0 is the process id, 7 the state ("starting", "ready", "stopping").
    fn pid_file_line(&self, line: usize) -> Option<String> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        text.lines().nth(line).map(|line| line.trim().to_owned())
    }

    async fn pg_ctl_stop(&self, mode: &str) -> Result<(), Error> {
        let mut command = self.command("pg_ctl");
        command.args(["stop", "-w", "-t", "60", "-m", mode, "-D"]).arg(&self.data);
        let output = command.output().await.map_err(Error::io("run", self.programs.path("pg_ctl")))?;
        if output.status.success() {
            return Ok(());
        }
        let output_text = tail(&String::from_utf8_lossy(&output.stderr));
        Err(Error::Program { program: "pg_ctl stop", status: output.status.to_string(), output: output_text })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.path(program));
        command.current_dir(&self.data);
        self.account.apply(&mut command);
        command
    }

    fn said_since(&self, offset: u64) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(offset).unwrap_or(0).min(bytes.len());
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }

    /// The server appends, so that it goes on at the start of a file that was cut under it.
    fn limit_log(&self) {
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
            std::fs::copy(&self.log, self.log.with_extension("log.1")).ok();
            OpenOptions::new().write(true).open(&self.log).and_then(|log| log.set_len(0)).ok();
        }
    }
}

fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(Error::io("bind a port on", "127.0.0.1"))
}

/// How a process was called; empty when it does not exist.
async fn command_line(pid: &str) -> String {
    match std::fs::read(Path::new("/proc").join(pid).join("cmdline")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) if Path::new("/proc/self").exists() => String::new(),
        Err(_) => {
            let output = Command::new("ps").args(["-ww", "-o", "args=", "-p", pid]).output().await;
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        }
    }
}
