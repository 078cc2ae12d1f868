//! One private server behind several commands, as people have them in several terminals.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{eventually, program};

/// A folder for a private server, and what runs on it.
struct Terminal {
    folder: TempDir,
}

impl Terminal {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command.env("SYNCLINE__DATABASE__DATA_DIR", self.folder.path().join("pg")).current_dir(self.folder.path());
        command
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(output.status.success(), "{arguments:?}: {words}");
        words
    }

    /// Starts a command that stays, its words in a file.
    fn start(&self, arguments: &[&str], log: &str) -> Stays {
        let log = std::fs::File::create(self.folder.path().join(log)).unwrap();
        let child = self.command(arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Stays(child)
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    async fn says(&self, name: &str, word: &str) {
        eventually(word, async || self.log(name).contains(word)).await;
    }

    fn server(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.path().join("pg/data/postmaster.pid")).ok()?;
        text.lines().next().map(str::to_owned)
    }
}

/// Killed when dropped.
struct Stays(Child);

impl Stays {
    fn signal(&mut self, signal: &str) -> std::process::ExitStatus {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap()
    }
}

impl Drop for Stays {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn up_on_an_empty_machine_is_ready_and_says_where() {
    let terminal = Terminal::new();
    let mut up = terminal.start(&["up"], "up.log");
    terminal.says("up.log", "Syncline is up").await;
    let said = terminal.log("up.log");
    for word in ["created a private PostgreSQL server in", "syncline psql", "/metrics", "site add"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(terminal.succeeds(&["health"]).contains("no project") || terminal.ask(&["health"]).status.success());
    assert!(up.signal("-TERM").success(), "{}", terminal.log("up.log"));
    assert_eq!(terminal.server(), None, "it leaves nothing behind");
}

#[tokio::test]
async fn no_command_takes_the_server_from_another_one() {
    let terminal = Terminal::new();
    // A worker that comes before the schema fails, and leaves the server to the others.
    let mut waits = terminal.start(&["database", "url"], "url.log");
    let early = terminal.ask(&["worker"]);
    assert!(!early.status.success());
    waits.0.wait().unwrap();
    terminal.succeeds(&["migrate"]);

    // Whoever started the server is killed or ends; the others go on.
    let first = terminal.start(&["worker"], "first.log");
    terminal.says("first.log", "admin_listening").await;
    let second = terminal.start(&["worker"], "second.log");
    terminal.says("second.log", "admin_listening").await;
    assert!(terminal.log("second.log").contains("admin_moved"), "two workers need no configuration");
    let server = terminal.server().unwrap();
    drop(first);
    terminal.succeeds(&["run", "list"]);
    terminal.succeeds(&["psql", "--", "-c", "SELECT count(*) FROM issue"]);
    assert_eq!(terminal.server().as_deref(), Some(&*server), "the server of before");
    assert!(!terminal.log("second.log").contains("database_lost"), "{}", terminal.log("second.log"));
    let mut second = second;
    assert!(second.signal("-TERM").success());
    assert_eq!(terminal.server(), None);
}

#[tokio::test]
async fn a_port_that_was_asked_for_is_not_replaced() {
    let terminal = Terminal::new();
    terminal.succeeds(&["migrate"]);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = terminal.command(&["worker"]).env("SYNCLINE__HTTP__ADDRESS", &address).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&address) && said.contains("is in use"), "{said}");
}

#[tokio::test]
async fn a_backup_brings_back_what_was_there() {
    let terminal = Terminal::new();
    terminal.succeeds(&["migrate"]);
    let count = ["psql", "--", "-At", "-c", "SELECT count(*) FROM setting"];
    terminal.succeeds(&["config", "set", "page_size=77"]);
    let file = terminal.folder.path().join("all.backup");
    let file = file.to_str().unwrap();
    terminal.succeeds(&["database", "backup", file]);
    assert!(!terminal.ask(&["database", "backup", file]).status.success(), "an existing file is not replaced");
    terminal.succeeds(&["config", "unset", "page_size"]);
    assert_eq!(terminal.succeeds(&count).trim(), "0");
    assert_eq!(terminal.ask(&["database", "restore", file]).status.code(), Some(2), "nobody can be asked");
    terminal.succeeds(&["database", "restore", file, "--yes"]);
    assert_eq!(terminal.succeeds(&count).trim(), "1");
    assert!(!Path::new(&format!("{file}.partial")).exists());
    eventually_stopped(&terminal).await;
}

/// The server ends a few seconds after the last command.
async fn eventually_stopped(terminal: &Terminal) {
    let ended = async || terminal.server().is_none();
    tokio::time::timeout(Duration::from_secs(30), eventually("the end of the server", ended)).await.unwrap();
}
